package mqtt

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// propertyValue is a legal value of each property, in wire form.
var propertyValue = map[Property]string{
	PropPayloadFormat: "\x01", PropMessageExpiry: "\x00\x00\x00\x01", PropContentType: lp("t"), PropResponseTopic: lp("r"),
	PropCorrelationData: lp("\x00"), PropSubscriptionID: "\x01", PropSessionExpiry: "\x00\x00\x00\x01",
	PropAssignedClientID: lp("i"), PropServerKeepAlive: "\x00\x01", PropAuthMethod: lp("m"), PropAuthData: lp("d"),
	PropRequestProblemInfo: "\x01", PropWillDelay: "\x00\x00\x00\x01", PropRequestResponseInfo: "\x01",
	PropResponseInfo: lp("i"), PropServerReference: lp("s"), PropReasonString: lp("r"), PropReceiveMaximum: "\x00\x01",
	PropTopicAliasMaximum: "\x00\x01", PropTopicAlias: "\x00\x01", PropMaximumQoS: "\x01", PropRetainAvailable: "\x01",
	PropUser: lp("k") + lp("v"), PropMaximumPacketSize: "\x00\x00\x00\x01", PropWildcardAvailable: "\x01",
	PropSubscriptionIDAvailable: "\x01", PropSharedAvailable: "\x01",
}

const will PacketType = 0

// propertiesOf is table 2-4 of the standard by packet; the Will stands under 0.
var propertiesOf = map[PacketType][]Property{
	will: {
		PropPayloadFormat, PropMessageExpiry, PropContentType, PropResponseTopic, PropCorrelationData, PropWillDelay,
		PropUser,
	},
	TypeConnect: {
		PropSessionExpiry, PropReceiveMaximum, PropMaximumPacketSize, PropTopicAliasMaximum, PropRequestResponseInfo,
		PropRequestProblemInfo, PropUser, PropAuthMethod, PropAuthData,
	},
	TypeConnack: {
		PropSessionExpiry, PropReceiveMaximum, PropMaximumQoS, PropRetainAvailable, PropMaximumPacketSize,
		PropAssignedClientID, PropTopicAliasMaximum, PropReasonString, PropUser, PropWildcardAvailable,
		PropSubscriptionIDAvailable, PropSharedAvailable, PropServerKeepAlive, PropResponseInfo, PropServerReference,
		PropAuthMethod, PropAuthData,
	},
	TypePublish: {
		PropPayloadFormat, PropMessageExpiry, PropTopicAlias, PropResponseTopic, PropCorrelationData, PropUser,
		PropSubscriptionID, PropContentType,
	},
	TypePuback: {PropReasonString, PropUser}, TypePubrec: {PropReasonString, PropUser},
	TypePubrel: {PropReasonString, PropUser}, TypePubcomp: {PropReasonString, PropUser},
	TypeSubscribe: {PropSubscriptionID, PropUser}, TypeSuback: {PropReasonString, PropUser},
	TypeUnsubscribe: {PropUser}, TypeUnsuback: {PropReasonString, PropUser},
	TypeDisconnect: {PropSessionExpiry, PropReasonString, PropUser, PropServerReference},
	TypeAuth:       {PropAuthMethod, PropAuthData, PropReasonString, PropUser},
}

// TestPropertyTable tries every identifier in every packet: alone, twice, and cut short at every place.
func TestPropertyTable(t *testing.T) {
	for typ := PacketType(0); typ < 16; typ++ {
		allowed := map[Property]bool{}
		for _, id := range propertiesOf[typ] {
			allowed[id] = true
		}
		for i := range 256 {
			id := Property(i)
			value, known := propertyValue[id]
			if !known {
				value = "\x01"
			}
			one := string([]byte{byte(id)}) + value
			var p Properties
			err := p.Parse([]byte(one), typ)
			if !allowed[id] {
				if !errors.Is(err, &Error{Code: MalformedPacket}) {
					t.Errorf("%s in type %s: %v", id, typ, err)
				}
				continue
			}
			if err != nil || !p.Has(id) {
				t.Errorf("%s in type %s: %v", id, typ, err)
				continue
			}
			if out, err := p.Append(nil, typ); err != nil || string(out) != one {
				t.Errorf("%s in type %s became % x, %v", id, typ, out, err)
			}
			err = p.Parse([]byte(one+one), typ)
			if repeats := id == PropUser || id == PropSubscriptionID && typ == TypePublish; repeats != (err == nil) ||
				!repeats && !errors.Is(err, &Error{Code: ProtocolError}) {
				t.Errorf("%s twice in type %s: %v", id, typ, err)
			}
			for cut := 1; cut < len(one); cut++ {
				if err := p.Parse([]byte(one[:cut]), typ); err == nil {
					t.Errorf("%s cut to %d bytes was accepted", id, cut)
				}
			}
			p.Reset()
			p.Remove(id) // absent: nothing happens
			if err := p.Parse([]byte(one), typ); err != nil {
				t.Error(err)
			}
			p.Remove(id)
			p.User, p.SubscriptionIDs = nil, nil // empty, with memory to reuse
			if !reflect.DeepEqual(p, Properties{}) {
				t.Errorf("%s leaves %+v behind", id, p)
			}
		}
	}
}

// TestPropertyValues tries all values of the one-byte properties and the edges of the others.
func TestPropertyValues(t *testing.T) {
	for id, typ := range map[Property]PacketType{
		PropPayloadFormat: TypePublish, PropRequestProblemInfo: TypeConnect, PropRequestResponseInfo: TypeConnect,
		PropMaximumQoS: TypeConnack, PropRetainAvailable: TypeConnack, PropWildcardAvailable: TypeConnack,
		PropSubscriptionIDAvailable: TypeConnack, PropSharedAvailable: TypeConnack,
	} {
		for value := range 256 {
			var p Properties
			err := p.Parse([]byte{byte(id), byte(value)}, typ)
			if value <= 1 != (err == nil) || err != nil && !errors.Is(err, &Error{Code: ProtocolError}) {
				t.Errorf("%s of %d: %v", id, value, err)
			}
		}
	}
	var p Properties
	if err := p.Parse([]byte("\x0B\xFF\xFF\xFF\x7F"), TypeSubscribe); err != nil || p.SubscriptionIDs[0] != MaxRemainingLength {
		t.Errorf("largest Subscription Identifier: %v", err)
	}
	if err := p.Parse([]byte("\x0B\xFF\xFF\xFF\xFF\x01"), TypeSubscribe); !errors.Is(err, &Error{Code: MalformedPacket}) {
		t.Errorf("Subscription Identifier of five bytes: %v", err)
	}
	most := strings.Repeat("\x26\x00\x00\x00\x00", MaxUserProperties)
	if err := p.Parse([]byte(most), TypePublish); err != nil || len(p.User) != MaxUserProperties {
		t.Errorf("%d User Properties: %v", MaxUserProperties, err)
	}
}

func TestSetters(t *testing.T) {
	set := map[Property]func(p *Properties){
		PropPayloadFormat:           func(p *Properties) { p.SetPayloadFormat(1) },
		PropMessageExpiry:           func(p *Properties) { p.SetMessageExpiry(1) },
		PropContentType:             func(p *Properties) { p.SetContentType("t") },
		PropResponseTopic:           func(p *Properties) { p.SetResponseTopic("r") },
		PropCorrelationData:         func(p *Properties) { p.SetCorrelationData([]byte{0}) },
		PropSubscriptionID:          func(p *Properties) { p.AddSubscriptionID(1) },
		PropSessionExpiry:           func(p *Properties) { p.SetSessionExpiry(1) },
		PropAssignedClientID:        func(p *Properties) { p.SetAssignedClientID("i") },
		PropServerKeepAlive:         func(p *Properties) { p.SetServerKeepAlive(1) },
		PropAuthMethod:              func(p *Properties) { p.SetAuthMethod("m") },
		PropAuthData:                func(p *Properties) { p.SetAuthData([]byte("d")) },
		PropRequestProblemInfo:      func(p *Properties) { p.SetRequestProblemInfo(true) },
		PropWillDelay:               func(p *Properties) { p.SetWillDelay(1) },
		PropRequestResponseInfo:     func(p *Properties) { p.SetRequestResponseInfo(true) },
		PropResponseInfo:            func(p *Properties) { p.SetResponseInfo("i") },
		PropServerReference:         func(p *Properties) { p.SetServerReference("s") },
		PropReasonString:            func(p *Properties) { p.SetReasonString("r") },
		PropReceiveMaximum:          func(p *Properties) { p.SetReceiveMaximum(1) },
		PropTopicAliasMaximum:       func(p *Properties) { p.SetTopicAliasMaximum(1) },
		PropTopicAlias:              func(p *Properties) { p.SetTopicAlias(1) },
		PropMaximumQoS:              func(p *Properties) { p.SetMaximumQoS(1) },
		PropRetainAvailable:         func(p *Properties) { p.SetRetainAvailable(true) },
		PropUser:                    func(p *Properties) { p.AddUser("k", "v") },
		PropMaximumPacketSize:       func(p *Properties) { p.SetMaximumPacketSize(1) },
		PropWildcardAvailable:       func(p *Properties) { p.SetWildcardAvailable(true) },
		PropSubscriptionIDAvailable: func(p *Properties) { p.SetSubscriptionIDAvailable(true) },
		PropSharedAvailable:         func(p *Properties) { p.SetSharedAvailable(true) },
	}
	for typ, ids := range propertiesOf {
		for _, id := range ids {
			var p Properties
			set[id](&p)
			out, err := p.Append(nil, typ)
			if want := string([]byte{byte(id)}) + propertyValue[id]; err != nil || string(out) != want {
				t.Errorf("%s: % x, %v; want % x", id, out, err, want)
			}
		}
	}
}

// TestResetForgets: User Properties of an earlier packet must not keep that packet's buffer alive.
func TestResetForgets(t *testing.T) {
	for name, forget := range map[string]func(p *Properties){
		"reset":  (*Properties).Reset,
		"remove": func(p *Properties) { p.Remove(PropUser) },
	} {
		p := props(messageProperties)
		forget(&p)
		for _, u := range p.User[:cap(p.User)] {
			if u != (UserProperty{}) {
				t.Errorf("%s keeps %q", name, u)
			}
		}
	}
}
