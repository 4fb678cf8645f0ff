package mqtt

import "fmt"

// Property is a property identifier, MQTT 5 §2.2.2.2.
type Property uint8

// The property identifiers.
const (
	PropPayloadFormat           Property = 0x01 // Payload Format Indicator
	PropMessageExpiry           Property = 0x02 // Message Expiry Interval
	PropContentType             Property = 0x03
	PropResponseTopic           Property = 0x08
	PropCorrelationData         Property = 0x09
	PropSubscriptionID          Property = 0x0B // Subscription Identifier
	PropSessionExpiry           Property = 0x11 // Session Expiry Interval
	PropAssignedClientID        Property = 0x12 // Assigned Client Identifier
	PropServerKeepAlive         Property = 0x13
	PropAuthMethod              Property = 0x15 // Authentication Method
	PropAuthData                Property = 0x16 // Authentication Data
	PropRequestProblemInfo      Property = 0x17 // Request Problem Information
	PropWillDelay               Property = 0x18 // Will Delay Interval
	PropRequestResponseInfo     Property = 0x19 // Request Response Information
	PropResponseInfo            Property = 0x1A // Response Information
	PropServerReference         Property = 0x1C
	PropReasonString            Property = 0x1F
	PropReceiveMaximum          Property = 0x21
	PropTopicAliasMaximum       Property = 0x22
	PropTopicAlias              Property = 0x23
	PropMaximumQoS              Property = 0x24
	PropRetainAvailable         Property = 0x25
	PropUser                    Property = 0x26 // User Property
	PropMaximumPacketSize       Property = 0x27
	PropWildcardAvailable       Property = 0x28 // Wildcard Subscription Available
	PropSubscriptionIDAvailable Property = 0x29 // Subscription Identifier Available
	PropSharedAvailable         Property = 0x2A // Shared Subscription Available

	lastProperty = PropSharedAvailable
)

// String returns the standard's name.
func (p Property) String() string {
	if p <= lastProperty && propertyTable[p].kind != kindNone {
		return propertyTable[p].name
	}
	return fmt.Sprintf("property 0x%02X", uint8(p))
}

// PropertySet is a set of properties; bit n stands for the property with identifier n.
type PropertySet uint64

// Has reports whether the set contains p.
func (s PropertySet) Has(p Property) bool { return p <= lastProperty && s&(1<<p) != 0 }

// propertyKind is a data type of MQTT 5 §1.5, with the range of values where it is restricted.
type propertyKind uint8

const (
	kindNone   propertyKind = iota // no such property
	kindBool                       // byte of 0 or 1
	kindUint16                     // Two Byte Integer
	kindUint16Positive
	kindUint32 // Four Byte Integer
	kindUint32Positive
	kindText
	kindTopic // text that is a Topic Name
	kindBinary
	kindSubscriptionID // Variable Byte Integer, positive
	kindUser           // UTF-8 String Pair
)

// property describes one row of MQTT 5 table 2-4.
type property struct {
	name string
	kind propertyKind
	in   packetSet
}

const (
	inMessage = inPublish | inWill
	inAny     = inConnect | inConnack | inPublish | inWill | inPuback | inPubrec | inPubrel | inPubcomp | inSubscribe |
		inSuback | inUnsubscribe | inUnsuback | inDisconnect | inAuth
	inReasoned = inConnack | inPuback | inPubrec | inPubrel | inPubcomp | inSuback | inUnsuback | inDisconnect | inAuth
	inEnhanced = inConnect | inConnack | inAuth
)

var propertyTable = [lastProperty + 1]property{
	PropPayloadFormat:           {"Payload Format Indicator", kindBool, inMessage},
	PropMessageExpiry:           {"Message Expiry Interval", kindUint32, inMessage},
	PropContentType:             {"Content Type", kindText, inMessage},
	PropResponseTopic:           {"Response Topic", kindTopic, inMessage},
	PropCorrelationData:         {"Correlation Data", kindBinary, inMessage},
	PropSubscriptionID:          {"Subscription Identifier", kindSubscriptionID, inPublish | inSubscribe},
	PropSessionExpiry:           {"Session Expiry Interval", kindUint32, inConnect | inConnack | inDisconnect},
	PropAssignedClientID:        {"Assigned Client Identifier", kindText, inConnack},
	PropServerKeepAlive:         {"Server Keep Alive", kindUint16, inConnack},
	PropAuthMethod:              {"Authentication Method", kindText, inEnhanced},
	PropAuthData:                {"Authentication Data", kindBinary, inEnhanced},
	PropRequestProblemInfo:      {"Request Problem Information", kindBool, inConnect},
	PropWillDelay:               {"Will Delay Interval", kindUint32, inWill},
	PropRequestResponseInfo:     {"Request Response Information", kindBool, inConnect},
	PropResponseInfo:            {"Response Information", kindText, inConnack},
	PropServerReference:         {"Server Reference", kindText, inConnack | inDisconnect},
	PropReasonString:            {"Reason String", kindText, inReasoned},
	PropReceiveMaximum:          {"Receive Maximum", kindUint16Positive, inConnect | inConnack},
	PropTopicAliasMaximum:       {"Topic Alias Maximum", kindUint16, inConnect | inConnack},
	PropTopicAlias:              {"Topic Alias", kindUint16Positive, inPublish},
	PropMaximumQoS:              {"Maximum QoS", kindBool, inConnack},
	PropRetainAvailable:         {"Retain Available", kindBool, inConnack},
	PropUser:                    {"User Property", kindUser, inAny},
	PropMaximumPacketSize:       {"Maximum Packet Size", kindUint32Positive, inConnect | inConnack},
	PropWildcardAvailable:       {"Wildcard Subscription Available", kindBool, inConnack},
	PropSubscriptionIDAvailable: {"Subscription Identifier Available", kindBool, inConnack},
	PropSharedAvailable:         {"Shared Subscription Available", kindBool, inConnack},
}

// allowedIn[t] is the set of properties that packet type t may carry; index 0 is the Will.
var allowedIn = func() (sets [16]PropertySet) {
	for id := range propertyTable {
		for t := range sets {
			if propertyTable[id].in.has(PacketType(t)) {
				sets[t] |= 1 << id
			}
		}
	}
	return sets
}()

// typeWill stands for the Will Properties of a CONNECT where a packet type is asked for.
const typeWill PacketType = 0
