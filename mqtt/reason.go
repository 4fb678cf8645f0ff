package mqtt

import "fmt"

// ReasonCode is an MQTT 5 reason code, §2.4. Codes below 0x80 report success; from 0x80 on they report failure.
type ReasonCode uint8

// The reason codes by the standard's names. Three of them share the value 0.
const (
	Success                             ReasonCode = 0x00
	NormalDisconnection                 ReasonCode = 0x00
	GrantedQoS0                         ReasonCode = 0x00
	GrantedQoS1                         ReasonCode = 0x01
	GrantedQoS2                         ReasonCode = 0x02
	DisconnectWithWill                  ReasonCode = 0x04
	NoMatchingSubscribers               ReasonCode = 0x10
	NoSubscriptionExisted               ReasonCode = 0x11
	ContinueAuthentication              ReasonCode = 0x18
	ReAuthenticate                      ReasonCode = 0x19
	UnspecifiedError                    ReasonCode = 0x80
	MalformedPacket                     ReasonCode = 0x81
	ProtocolError                       ReasonCode = 0x82
	ImplementationSpecificError         ReasonCode = 0x83
	UnsupportedProtocolVersion          ReasonCode = 0x84
	ClientIdentifierNotValid            ReasonCode = 0x85
	BadUserNameOrPassword               ReasonCode = 0x86
	NotAuthorized                       ReasonCode = 0x87
	ServerUnavailable                   ReasonCode = 0x88
	ServerBusy                          ReasonCode = 0x89
	Banned                              ReasonCode = 0x8A
	ServerShuttingDown                  ReasonCode = 0x8B
	BadAuthenticationMethod             ReasonCode = 0x8C
	KeepAliveTimeout                    ReasonCode = 0x8D
	SessionTakenOver                    ReasonCode = 0x8E
	TopicFilterInvalid                  ReasonCode = 0x8F
	TopicNameInvalid                    ReasonCode = 0x90
	PacketIdentifierInUse               ReasonCode = 0x91
	PacketIdentifierNotFound            ReasonCode = 0x92
	ReceiveMaximumExceeded              ReasonCode = 0x93
	TopicAliasInvalid                   ReasonCode = 0x94
	PacketTooLarge                      ReasonCode = 0x95
	MessageRateTooHigh                  ReasonCode = 0x96
	QuotaExceeded                       ReasonCode = 0x97
	AdministrativeAction                ReasonCode = 0x98
	PayloadFormatInvalid                ReasonCode = 0x99
	RetainNotSupported                  ReasonCode = 0x9A
	QoSNotSupported                     ReasonCode = 0x9B
	UseAnotherServer                    ReasonCode = 0x9C
	ServerMoved                         ReasonCode = 0x9D
	SharedSubscriptionsNotSupported     ReasonCode = 0x9E
	ConnectionRateExceeded              ReasonCode = 0x9F
	MaximumConnectTime                  ReasonCode = 0xA0
	SubscriptionIdentifiersNotSupported ReasonCode = 0xA1
	WildcardSubscriptionsNotSupported   ReasonCode = 0xA2
)

// packetSet is a set of packet types; bit t stands for PacketType t. Bit 0, which is no packet type, stands for the
// Will inside a CONNECT where properties are concerned.
type packetSet uint16

func (s packetSet) has(t PacketType) bool { return t < 16 && s&(1<<t) != 0 }

const (
	inWill        packetSet = 1 << 0
	inConnect     packetSet = 1 << TypeConnect
	inConnack     packetSet = 1 << TypeConnack
	inPublish     packetSet = 1 << TypePublish
	inPuback      packetSet = 1 << TypePuback
	inPubrec      packetSet = 1 << TypePubrec
	inPubrel      packetSet = 1 << TypePubrel
	inPubcomp     packetSet = 1 << TypePubcomp
	inSubscribe   packetSet = 1 << TypeSubscribe
	inSuback      packetSet = 1 << TypeSuback
	inUnsubscribe packetSet = 1 << TypeUnsubscribe
	inUnsuback    packetSet = 1 << TypeUnsuback
	inDisconnect  packetSet = 1 << TypeDisconnect
	inAuth        packetSet = 1 << TypeAuth
)

// reasons is the table of MQTT 5 §2.4: the standard's words for each code and the packets that may carry it.
var reasons = [256]struct {
	name string
	in   packetSet
}{
	Success: {"Success", inConnack | inPuback | inPubrec | inPubrel | inPubcomp | inSuback | inUnsuback |
		inDisconnect | inAuth},
	GrantedQoS1:            {"Granted QoS 1", inSuback},
	GrantedQoS2:            {"Granted QoS 2", inSuback},
	DisconnectWithWill:     {"Disconnect with Will Message", inDisconnect},
	NoMatchingSubscribers:  {"No matching subscribers", inPuback | inPubrec},
	NoSubscriptionExisted:  {"No subscription existed", inUnsuback},
	ContinueAuthentication: {"Continue authentication", inAuth},
	ReAuthenticate:         {"Re-authenticate", inAuth},
	UnspecifiedError: {"Unspecified error", inConnack | inPuback | inPubrec | inSuback | inUnsuback |
		inDisconnect},
	MalformedPacket: {"Malformed Packet", inConnack | inDisconnect},
	ProtocolError:   {"Protocol Error", inConnack | inDisconnect},
	ImplementationSpecificError: {"Implementation specific error", inConnack | inPuback | inPubrec | inSuback |
		inUnsuback | inDisconnect},
	UnsupportedProtocolVersion: {"Unsupported Protocol Version", inConnack},
	ClientIdentifierNotValid:   {"Client Identifier not valid", inConnack},
	BadUserNameOrPassword:      {"Bad User Name or Password", inConnack},
	NotAuthorized: {"Not authorized", inConnack | inPuback | inPubrec | inSuback | inUnsuback |
		inDisconnect},
	ServerUnavailable:                   {"Server unavailable", inConnack},
	ServerBusy:                          {"Server busy", inConnack | inDisconnect},
	Banned:                              {"Banned", inConnack},
	ServerShuttingDown:                  {"Server shutting down", inDisconnect},
	BadAuthenticationMethod:             {"Bad authentication method", inConnack | inDisconnect},
	KeepAliveTimeout:                    {"Keep Alive timeout", inDisconnect},
	SessionTakenOver:                    {"Session taken over", inDisconnect},
	TopicFilterInvalid:                  {"Topic Filter invalid", inSuback | inUnsuback | inDisconnect},
	TopicNameInvalid:                    {"Topic Name invalid", inConnack | inPuback | inPubrec | inDisconnect},
	PacketIdentifierInUse:               {"Packet Identifier in use", inPuback | inPubrec | inSuback | inUnsuback},
	PacketIdentifierNotFound:            {"Packet Identifier not found", inPubrel | inPubcomp},
	ReceiveMaximumExceeded:              {"Receive Maximum exceeded", inDisconnect},
	TopicAliasInvalid:                   {"Topic Alias invalid", inDisconnect},
	PacketTooLarge:                      {"Packet too large", inConnack | inDisconnect},
	MessageRateTooHigh:                  {"Message rate too high", inDisconnect},
	QuotaExceeded:                       {"Quota exceeded", inConnack | inPuback | inPubrec | inSuback | inDisconnect},
	AdministrativeAction:                {"Administrative action", inDisconnect},
	PayloadFormatInvalid:                {"Payload format invalid", inConnack | inPuback | inPubrec | inDisconnect},
	RetainNotSupported:                  {"Retain not supported", inConnack | inDisconnect},
	QoSNotSupported:                     {"QoS not supported", inConnack | inDisconnect},
	UseAnotherServer:                    {"Use another server", inConnack | inDisconnect},
	ServerMoved:                         {"Server moved", inConnack | inDisconnect},
	SharedSubscriptionsNotSupported:     {"Shared Subscriptions not supported", inSuback | inDisconnect},
	ConnectionRateExceeded:              {"Connection rate exceeded", inConnack | inDisconnect},
	MaximumConnectTime:                  {"Maximum connect time", inDisconnect},
	SubscriptionIdentifiersNotSupported: {"Subscription Identifiers not supported", inSuback | inDisconnect},
	WildcardSubscriptionsNotSupported:   {"Wildcard Subscriptions not supported", inSuback | inDisconnect},
}

// String returns the standard's words. The value 0 is "Success" whatever the packet.
func (c ReasonCode) String() string {
	if name := reasons[c].name; name != "" {
		return name
	}
	return fmt.Sprintf("reason code 0x%02X", uint8(c))
}

// IsError reports whether the code reports a failure.
func (c ReasonCode) IsError() bool { return c >= 0x80 }

// ValidIn reports whether a packet of type t may carry the code (MQTT 5 §2.4). It does not tell directions apart:
// some DISCONNECT and AUTH codes are for one side only.
func (c ReasonCode) ValidIn(t PacketType) bool { return t != 0 && reasons[c].in.has(t) }

// ConnectReturnCode is a CONNACK return code of MQTT 3.1 and 3.1.1, §3.2.2.3.
type ConnectReturnCode uint8

// The return codes of MQTT 3.1.1. Higher values are reserved.
const (
	ConnectionAccepted           ConnectReturnCode = 0
	UnacceptableProtocolVersion  ConnectReturnCode = 1
	IdentifierRejected           ConnectReturnCode = 2
	ReturnServerUnavailable      ConnectReturnCode = 3
	ReturnBadUserNameOrPassword  ConnectReturnCode = 4
	ReturnNotAuthorized          ConnectReturnCode = 5
	firstReservedConnectReturn   ConnectReturnCode = 6
	reservedConnectReturnMessage                   = "reserved return code"
)

var connectReturns = [firstReservedConnectReturn]struct {
	name string
	code ReasonCode
}{
	{"connection accepted", Success},
	{"unacceptable protocol version", UnsupportedProtocolVersion},
	{"identifier rejected", ClientIdentifierNotValid},
	{"server unavailable", ServerUnavailable},
	{"bad user name or password", BadUserNameOrPassword},
	{"not authorized", NotAuthorized},
}

// String returns the standard's words in lower case.
func (c ConnectReturnCode) String() string {
	if c < firstReservedConnectReturn {
		return connectReturns[c].name
	}
	return reservedConnectReturnMessage
}

// ReasonCode returns the MQTT 5 code of the same meaning; for reserved return codes, UnspecifiedError.
func (c ConnectReturnCode) ReasonCode() ReasonCode {
	if c < firstReservedConnectReturn {
		return connectReturns[c].code
	}
	return UnspecifiedError
}

// ConnectReturnCode returns the 3.1.1 return code that tells a client most of what the reason code says. Refusals
// that another attempt may overcome become "server unavailable"; those that would be repeated, "not authorized".
func (c ReasonCode) ConnectReturnCode() ConnectReturnCode {
	switch c {
	case Success:
		return ConnectionAccepted
	case UnsupportedProtocolVersion:
		return UnacceptableProtocolVersion
	case ClientIdentifierNotValid:
		return IdentifierRejected
	case BadUserNameOrPassword:
		return ReturnBadUserNameOrPassword
	case UnspecifiedError, ImplementationSpecificError, ServerUnavailable, ServerBusy, ServerShuttingDown,
		QuotaExceeded, UseAnotherServer, ServerMoved, ConnectionRateExceeded:
		return ReturnServerUnavailable
	default:
		return ReturnNotAuthorized
	}
}
