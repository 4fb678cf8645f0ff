package mqtt

import (
	"math/bits"
	"strings"
)

// MaxUserProperties is how many User Properties one packet, or one Will, may carry. The standard sets no bound; this
// one keeps a small packet from becoming a large amount of work.
const MaxUserProperties = 256

// UserProperty is a UTF-8 String Pair. The same key may appear more than once, and order is kept [MQTT-3.3.2-18].
type UserProperty struct {
	Key, Value string
}

// Properties are the properties of a packet, MQTT 5 §2.2.2. Present tells which of the fields count; the Set and Add
// methods keep it. Fields of absent properties are zero after Parse and Reset.
type Properties struct {
	Present PropertySet

	PayloadFormat           byte   // 0 unspecified bytes, 1 UTF-8 text
	RequestProblemInfo      byte   // 0 or 1
	RequestResponseInfo     byte   // 0 or 1
	MaximumQoS              byte   // 0 or 1
	RetainAvailable         byte   // 0 or 1
	WildcardAvailable       byte   // 0 or 1
	SubscriptionIDAvailable byte   // 0 or 1
	SharedAvailable         byte   // 0 or 1
	ServerKeepAlive         uint16 // seconds
	ReceiveMaximum          uint16 // positive
	TopicAliasMaximum       uint16
	TopicAlias              uint16 // positive
	MessageExpiry           uint32 // seconds
	SessionExpiry           uint32 // seconds; 0xFFFFFFFF means never
	WillDelay               uint32 // seconds
	MaximumPacketSize       uint32 // bytes, positive
	ContentType             string
	ResponseTopic           string // a Topic Name
	AssignedClientID        string
	AuthMethod              string
	ResponseInfo            string
	ServerReference         string
	ReasonString            string
	CorrelationData         []byte
	AuthData                []byte   `json:"-"` // may be a secret
	SubscriptionIDs         []uint32 // each 1 to 268,435,455; more than one only in PUBLISH
	User                    []UserProperty
}

// Has reports whether the property is present.
func (p *Properties) Has(id Property) bool { return p.Present.Has(id) }

// Reset removes all properties; the slices keep their memory for the next Parse.
func (p *Properties) Reset() {
	if p.Present == 0 {
		return
	}
	clear(p.User)
	*p = Properties{User: p.User[:0], SubscriptionIDs: p.SubscriptionIDs[:0]}
}

// Clone returns a copy that shares no memory with p.
func (p *Properties) Clone() Properties {
	if p.Present == 0 {
		return Properties{}
	}
	c := *p
	c.ContentType = strings.Clone(p.ContentType)
	c.ResponseTopic = strings.Clone(p.ResponseTopic)
	c.AssignedClientID = strings.Clone(p.AssignedClientID)
	c.AuthMethod = strings.Clone(p.AuthMethod)
	c.ResponseInfo = strings.Clone(p.ResponseInfo)
	c.ServerReference = strings.Clone(p.ServerReference)
	c.ReasonString = strings.Clone(p.ReasonString)
	c.CorrelationData = cloneBytes(p.CorrelationData)
	c.AuthData = cloneBytes(p.AuthData)
	c.SubscriptionIDs = append([]uint32(nil), p.SubscriptionIDs...)
	c.User = append([]UserProperty(nil), p.User...)
	for i, u := range c.User {
		c.User[i] = UserProperty{strings.Clone(u.Key), strings.Clone(u.Value)}
	}
	return c
}

// cloneBytes copies b with the exact capacity; nil stays nil.
func cloneBytes(b []byte) []byte {
	if b == nil {
		return nil
	}
	c := make([]byte, len(b))
	copy(c, b)
	return c
}

// Parse reads properties without a length in front, as those of a packet of type t, or of a Will when t is 0. The
// properties alias b.
func (p *Properties) Parse(b []byte, t PacketType) error {
	d := decoder{b: b, v: V5}
	p.Reset()
	p.parseEach(&d, t)
	return d.err
}

// Append appends the properties without a length in front, in ascending order of their identifiers, as those of a
// packet of type t, or of a Will when t is 0.
func (p *Properties) Append(dst []byte, t PacketType) ([]byte, error) {
	if _, err := p.size(t); err != nil {
		return dst, err
	}
	return p.appendEach(dst), nil
}

// parse reads the Property Length and the properties of a packet of type t [MQTT-2.2.2-1].
func (p *Properties) parse(d *decoder, t PacketType) {
	if p.Present != 0 {
		p.Reset()
	}
	if len(d.b) > 0 && d.b[0] == 0 {
		d.b = d.b[1:]
		return
	}
	p.parseSome(d, t)
}

// parseSome is parse for a Property Length that is not 0.
func (p *Properties) parseSome(d *decoder, t PacketType) {
	n := int(d.varint("Property Length"))
	inner := decoder{b: d.take(n, "properties"), v: d.v}
	p.parseEach(&inner, t)
	if inner.err != nil && d.err == nil {
		d.err, d.b = inner.err, nil
	}
}

// parseEach reads properties until d is empty.
func (p *Properties) parseEach(d *decoder, t PacketType) {
	for len(d.b) > 0 {
		id := Property(d.byte("property identifier"))
		if id > lastProperty || !allowedIn[t&0xF].Has(id) {
			d.fail(MalformedPacket, "MQTT 5 §2.2.2.2", "MQTT 5 §2.2.2.2", "property that does not belong in the packet")
			return
		}
		repeats := id == PropUser || id == PropSubscriptionID && t == TypePublish
		if p.Has(id) && !repeats {
			d.fail(ProtocolError, "MQTT 5 §2.2.2.2", "MQTT 5 §2.2.2.2", id.String()+" more than once")
			return
		}
		p.Present |= 1 << id
		p.parseValue(d, id)
	}
}

// parseValue reads the value of one property and judges it.
func (p *Properties) parseValue(d *decoder, id Property) {
	row := &propertyTable[id]
	switch row.kind {
	case kindBool:
		x := d.byte(row.name)
		if x > 1 {
			d.invalidValue(id, "is neither 0 nor 1")
		}
		*p.byteField(id) = x
	case kindUint16, kindUint16Positive:
		x := d.uint16(row.name)
		if x == 0 && row.kind == kindUint16Positive {
			d.invalidValue(id, "is 0")
		}
		*p.uint16Field(id) = x
	case kindUint32, kindUint32Positive:
		x := d.uint32(row.name)
		if x == 0 && row.kind == kindUint32Positive {
			d.invalidValue(id, "is 0")
		}
		*p.uint32Field(id) = x
	case kindText:
		*p.stringField(id) = d.text(row.name)
	case kindTopic:
		s, wildcard := d.scannedText(row.name)
		if wildcard || s == "" {
			d.invalidValue(id, "is not a Topic Name")
		}
		*p.stringField(id) = s
	case kindBinary:
		*p.bytesField(id) = d.binary(row.name)
	case kindSubscriptionID:
		x := d.varint(row.name)
		if x == 0 {
			d.invalidValue(id, "is 0")
			return
		}
		p.SubscriptionIDs = append(p.SubscriptionIDs, x)
	case kindUser:
		p.parseUser(d)
	}
}

// parseUser reads one User Property [MQTT-1.5.7-1].
func (p *Properties) parseUser(d *decoder) {
	if len(p.User) == MaxUserProperties {
		d.malformed("more than 256 User Properties")
		return
	}
	key := d.text("name of User Property")
	value := d.text("value of User Property")
	if d.err == nil {
		p.User = append(p.User, UserProperty{key, value})
	}
}

// invalidValue refuses the value of a property that could be read. The code is 0x82 except for Topic Alias, which has
// a code of its own.
func (d *decoder) invalidValue(id Property, text string) {
	switch id {
	case PropTopicAlias:
		d.fail(TopicAliasInvalid, "MQTT-3.3.2-8", "MQTT-3.3.2-8", id.String()+" "+text)
	case PropResponseTopic:
		d.fail(ProtocolError, "MQTT-3.3.2-14", "MQTT-3.3.2-14", id.String()+" "+text)
	default:
		d.fail(ProtocolError, "MQTT 5 §2.2.2.2", "MQTT 5 §2.2.2.2", id.String()+" "+text)
	}
}

// size returns the length of the properties in bytes, without the Property Length, after checking that a packet of
// type t may carry them.
func (p *Properties) size(t PacketType) (int, error) {
	if p.Present == 0 {
		return 0, nil
	}
	var s sizer
	if p.Present&^allowedIn[t&0xF] != 0 {
		s.fail(ProtocolError, "MQTT 5 §2.2.2.2", "property that does not belong in "+t.String())
	}
	for set := p.Present & allowedIn[t&0xF]; set != 0; set &= set - 1 {
		id := Property(bits.TrailingZeros64(uint64(set)))
		row := &propertyTable[id]
		s.n++
		switch row.kind {
		case kindBool:
			s.n++
		case kindUint16, kindUint16Positive:
			s.n += 2
		case kindUint32, kindUint32Positive:
			s.n += 4
		case kindText, kindTopic:
			s.field(len(*p.stringField(id)), row.name)
		case kindBinary:
			s.field(len(*p.bytesField(id)), row.name)
		case kindSubscriptionID:
			s.n += p.subscriptionIDSize(&s, t) - 1
		case kindUser:
			s.n--
			for i := range p.User {
				s.n++
				s.field(len(p.User[i].Key), row.name)
				s.field(len(p.User[i].Value), row.name)
			}
		}
	}
	if len(p.User) > MaxUserProperties {
		s.fail(PacketTooLarge, "MQTT 5 §2.2.2.2", "more than 256 User Properties")
	}
	return s.n, s.finish()
}

// subscriptionIDSize is the length of all Subscription Identifiers with their property identifiers.
func (p *Properties) subscriptionIDSize(s *sizer, t PacketType) int {
	if len(p.SubscriptionIDs) > 1 && t != TypePublish {
		s.fail(ProtocolError, "MQTT 5 §3.8.2.1.2", "more than one Subscription Identifier")
	}
	n := 0
	for _, x := range p.SubscriptionIDs {
		if x == 0 || x > MaxRemainingLength {
			s.fail(ProtocolError, "MQTT 5 §3.8.2.1.2", "Subscription Identifier out of range")
		}
		n += 1 + varintLen(x)
	}
	return n
}

// append writes the Property Length n, as computed by size, and the properties.
func (p *Properties) append(dst []byte, n int) []byte {
	dst = appendVarint(dst, uint32(n))
	if n == 0 {
		return dst
	}
	return p.appendEach(dst)
}

// appendEach writes the properties in ascending order of their identifiers.
func (p *Properties) appendEach(dst []byte) []byte {
	for set := p.Present; set != 0; set &= set - 1 {
		id := Property(bits.TrailingZeros64(uint64(set)))
		switch propertyTable[id].kind {
		case kindBool:
			dst = append(dst, byte(id), *p.byteField(id))
		case kindUint16, kindUint16Positive:
			dst = appendUint16(append(dst, byte(id)), *p.uint16Field(id))
		case kindUint32, kindUint32Positive:
			dst = appendUint32(append(dst, byte(id)), *p.uint32Field(id))
		case kindText, kindTopic:
			dst = appendString(append(dst, byte(id)), *p.stringField(id))
		case kindBinary:
			dst = appendBinary(append(dst, byte(id)), *p.bytesField(id))
		case kindSubscriptionID:
			for _, x := range p.SubscriptionIDs {
				dst = appendVarint(append(dst, byte(id)), x)
			}
		case kindUser:
			for i := range p.User {
				dst = appendString(append(dst, byte(id)), p.User[i].Key)
				dst = appendString(dst, p.User[i].Value)
			}
		}
	}
	return dst
}
