package mqtt

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Generators of valid packets. Each draws from the whole range of its field.

var (
	genText     = rapid.StringMatching(`[ -~¡-ɏ一-龥]{0,40}`)
	genTopic    = rapid.StringMatching(`[a-zA-Z0-9 _\-/$日本ü]{1,60}`)
	genBytes    = rapid.SliceOfN(rapid.Byte(), 0, 200)
	genPacketID = rapid.Custom(func(t *rapid.T) PacketID { return PacketID(rapid.Uint16Min(1).Draw(t, "id")) })
	genQoS      = rapid.SampledFrom([]QoS{AtMostOnce, AtLeastOnce, ExactlyOnce})
)

// genReason draws a reason code that the packet type may carry.
func genReason(typ PacketType) *rapid.Generator[ReasonCode] {
	return rapid.Custom(func(t *rapid.T) ReasonCode { return ReasonCode(rapid.Byte().Draw(t, "code")) }).
		Filter(func(c ReasonCode) bool { return c.ValidIn(typ) })
}

// genProperties draws any legal set of properties of the packet type; 0 is the Will.
func genProperties(typ PacketType) *rapid.Generator[Properties] {
	return rapid.Custom(func(t *rapid.T) Properties {
		var p Properties
		for _, id := range propertiesOf[typ] {
			if rapid.Bool().Draw(t, id.String()) {
				drawProperty(t, &p, id, typ)
			}
		}
		if p.Has(PropAuthData) || typ == TypeAuth {
			p.SetAuthMethod("m")
		}
		return p
	})
}

func drawProperty(t *rapid.T, p *Properties, id Property, typ PacketType) {
	var value []byte
	switch known := propertyValue[id]; {
	case id == PropUser:
		for range rapid.IntRange(1, 5).Draw(t, "users") {
			p.AddUser(genText.Draw(t, "key"), genText.Draw(t, "value"))
		}
		return
	case id == PropSubscriptionID:
		most := 1
		if typ == TypePublish {
			most = 5
		}
		for range rapid.IntRange(1, most).Draw(t, "ids") {
			p.AddSubscriptionID(rapid.Uint32Range(1, MaxRemainingLength).Draw(t, "id"))
		}
		return
	case id == PropCorrelationData, id == PropAuthData:
		value = []byte(lp(string(genBytes.Draw(t, "bytes"))))
	case id == PropResponseTopic:
		value = []byte(lp(genTopic.Draw(t, "topic")))
	case known[0] == 0 && int(known[1]) == len(known)-2 && len(known) != 4 && len(known) != 2:
		value = []byte(lp(genText.Draw(t, "text")))
	default:
		value = []byte(known)
		for i := range value[:len(value)-1] {
			value[i] = rapid.Byte().Draw(t, "byte")
		}
	}
	one := new(Properties)
	if err := one.Parse(append([]byte{byte(id)}, value...), typ); err != nil {
		t.Fatalf("generated %s: %v", id, err)
	}
	encoded, err := p.Append(nil, typ)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Parse(append(append(encoded, byte(id)), value...), typ); err != nil {
		t.Fatalf("generated %s: %v", id, err)
	}
}

// genPacket draws a packet of any type of version v.
func genPacket(v Version) *rapid.Generator[Packet] {
	return rapid.Custom(func(t *rapid.T) Packet {
		properties := func(typ PacketType) (p Properties) {
			if v == V5 {
				p = genProperties(typ).Draw(t, "properties")
			}
			return p
		}
		reason := func(typ PacketType) (c ReasonCode) {
			if v == V5 {
				c = genReason(typ).Draw(t, "reason")
			}
			return c
		}
		id := genPacketID.Draw(t, "packet id")
		switch typ := PacketType(rapid.ByteRange(1, 15).Draw(t, "type")); typ {
		case TypeConnect:
			return drawConnect(t, v, properties)
		case TypeConnack:
			p := &Connack{ReasonCode: reason(typ), Properties: properties(typ)}
			p.SessionPresent = v != V31 && p.ReasonCode == Success && rapid.Bool().Draw(t, "session present")
			return p
		case TypePuback:
			return &Puback{id, reason(typ), properties(typ)}
		case TypePubrec:
			return &Pubrec{id, reason(typ), properties(typ)}
		case TypePubrel:
			return &Pubrel{id, reason(typ), properties(typ)}
		case TypePubcomp:
			return &Pubcomp{id, reason(typ), properties(typ)}
		case TypeSubscribe:
			p := &Subscribe{PacketID: id, Properties: properties(typ)}
			for range rapid.IntRange(1, 20).Draw(t, "filters") {
				p.Subscriptions = append(p.Subscriptions, drawSubscription(t, v))
			}
			return p
		case TypeSuback:
			gen := genReason(typ)
			if v != V5 {
				gen = rapid.SampledFrom([]ReasonCode{0, 1, 2, 0x80})
			}
			return &Suback{id, properties(typ), rapid.SliceOfN(gen, 1, 20).Draw(t, "codes")}
		case TypeUnsubscribe:
			return &Unsubscribe{id, properties(typ), rapid.SliceOfN(genText, 1, 20).Draw(t, "filters")}
		case TypeUnsuback:
			p := &Unsuback{PacketID: id, Properties: properties(typ)}
			if v == V5 {
				p.ReasonCodes = rapid.SliceOfN(genReason(typ), 1, 20).Draw(t, "codes")
			}
			return p
		case TypePingreq:
			return &Pingreq{}
		case TypePingresp:
			return &Pingresp{}
		case TypeDisconnect:
			return &Disconnect{reason(typ), properties(typ)}
		case TypeAuth:
			if v == V5 {
				return &Auth{reason(typ), properties(typ)}
			}
		}
		return drawPublish(t, v, id, properties)
	})
}

func drawPublish(t *rapid.T, v Version, id PacketID, properties func(PacketType) Properties) Packet {
	p := &Publish{
		QoS: genQoS.Draw(t, "qos"), Retain: rapid.Bool().Draw(t, "retain"), Topic: genTopic.Draw(t, "topic"),
		Properties: properties(TypePublish), Payload: genBytes.Draw(t, "payload"),
	}
	if p.QoS > 0 {
		p.PacketID, p.Dup = id, rapid.Bool().Draw(t, "dup")
	}
	if v == V5 && p.Properties.Has(PropTopicAlias) && rapid.Bool().Draw(t, "alias only") {
		p.Topic = ""
	}
	return p
}

func drawSubscription(t *rapid.T, v Version) Subscription {
	s := Subscription{Filter: genText.Draw(t, "filter"), QoS: genQoS.Draw(t, "qos")}
	if v == V5 {
		s.NoLocal = rapid.Bool().Draw(t, "no local") && !strings.HasPrefix(s.Filter, "$share/")
		s.RetainAsPublished = rapid.Bool().Draw(t, "retain as published")
		s.RetainHandling = rapid.ByteRange(0, 2).Draw(t, "retain handling")
	}
	return s
}

func drawConnect(t *rapid.T, v Version, properties func(PacketType) Properties) Packet {
	c := &Connect{
		ProtocolVersion: v, CleanStart: rapid.Bool().Draw(t, "clean"), KeepAlive: rapid.Uint16().Draw(t, "keep alive"),
		ClientID: "x" + genText.Draw(t, "client id"), Properties: properties(TypeConnect),
		Bridge: v != V5 && rapid.Bool().Draw(t, "bridge"),
	}
	if c.HasUsername = rapid.Bool().Draw(t, "user"); c.HasUsername {
		c.Username = genText.Draw(t, "user name")
	}
	if c.HasPassword = (v == V5 || c.HasUsername) && rapid.Bool().Draw(t, "password"); c.HasPassword {
		c.Password = genBytes.Draw(t, "password bytes")
	}
	if c.HasWill = rapid.Bool().Draw(t, "will"); c.HasWill {
		c.Will = Will{
			QoS: genQoS.Draw(t, "will qos"), Retain: rapid.Bool().Draw(t, "will retain"),
			Topic: genTopic.Draw(t, "will topic"), Payload: genBytes.Draw(t, "will payload"), Properties: properties(will),
		}
	}
	return c
}

// TestRandomPackets: every valid packet survives encoding, and no proper prefix of a body makes the parser fail in
// another way than with an error.
func TestRandomPackets(t *testing.T) {
	for _, v := range versions {
		t.Run(v.String(), rapid.MakeCheck(func(t *rapid.T) {
			p := genPacket(v).Draw(t, "packet")
			b, err := p.Append(nil, v)
			if err != nil {
				t.Fatalf("%s: %v", p.Type(), err)
			}
			q, err := parseFrame(b, v)
			if err != nil {
				t.Fatalf("%s: %v\n% x", p.Type(), err, b)
			}
			if diff := diffPackets(p, q); diff != "" {
				t.Fatalf("%s: (-want +got)\n%s", p.Type(), diff)
			}
			h, n, _ := ParseHeader(b, v)
			for cut := range h.Remaining {
				_ = New(p.Type()).Parse(v, h.Flags, b[n:n+cut:n+cut])
			}
		}))
	}
}
