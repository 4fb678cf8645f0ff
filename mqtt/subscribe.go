package mqtt

import "strings"

// MaxSubscriptions is how many Topic Filters one SUBSCRIBE or UNSUBSCRIBE may carry. The standard sets no bound; a
// caller may be stricter.
const MaxSubscriptions = 4096

// Subscribe asks for one or more Subscriptions, MQTT 5 §3.8.
type Subscribe struct {
	PacketID      PacketID
	Properties    Properties // version 5
	Subscriptions []Subscription
}

// Subscription is a Topic Filter with its Subscription Options, MQTT 5 §3.8.3.1. The syntax of the filter is not
// checked here, so that a server can answer each filter by itself: see topic.ParseSubscription.
type Subscription struct {
	Filter            string
	QoS               QoS
	NoLocal           bool // version 5
	RetainAsPublished bool // version 5
	RetainHandling    byte // version 5: 0 send retained messages, 1 if the subscription is new, 2 do not
}

const (
	optionNoLocal           = 0x04
	optionRetainAsPublished = 0x08
	sharePrefix             = "$share/"
)

// Type returns TypeSubscribe.
func (*Subscribe) Type() PacketType { return TypeSubscribe }

// Parse implements Packet.
func (p *Subscribe) Parse(v Version, flags byte, body []byte) error {
	if err := checkFlags(TypeSubscribe, flags, v); err != nil {
		return err
	}
	d := decoder{b: body, v: v}
	p.PacketID = d.packetID()
	p.Properties.Reset()
	if v == V5 {
		p.Properties.parse(&d, TypeSubscribe)
	}
	p.Subscriptions = p.Subscriptions[:0]
	for d.err == nil && len(d.b) > 0 {
		if len(p.Subscriptions) == MaxSubscriptions {
			d.fail(QuotaExceeded, "MQTT 3.1.1 §3.8.3", "MQTT 5 §3.8.3", "more than 4096 Topic Filters")
			break
		}
		p.Subscriptions = append(p.Subscriptions, d.subscription())
	}
	if d.err == nil && len(p.Subscriptions) == 0 {
		d.fail(ProtocolError, "MQTT-3.8.3-3", "MQTT-3.8.3-2", "SUBSCRIBE without a Topic Filter")
	}
	return d.err
}

// subscription reads a Topic Filter and its options.
func (d *decoder) subscription() Subscription {
	s := Subscription{Filter: d.text("Topic Filter")}
	options := d.byte("Subscription Options")
	s.QoS = QoS(options & 3)
	if d.v != V5 {
		if options > 2 {
			d.fail(MalformedPacket, "MQTT-3.8.3-4", "", "requested QoS above 2 or reserved bits")
		}
		return s
	}
	s.NoLocal = options&optionNoLocal != 0
	s.RetainAsPublished = options&optionRetainAsPublished != 0
	s.RetainHandling = options >> 4 & 3
	switch {
	case options&0xC0 != 0:
		d.fail(MalformedPacket, "", "MQTT-3.8.3-5", "reserved bits of Subscription Options")
	case s.QoS > ExactlyOnce:
		d.fail(ProtocolError, "", "MQTT 5 §3.8.3.1", "Maximum QoS 3")
	case s.RetainHandling > 2:
		d.fail(ProtocolError, "", "MQTT 5 §3.8.3.1", "Retain Handling 3")
	case s.NoLocal && strings.HasPrefix(s.Filter, sharePrefix):
		d.fail(ProtocolError, "", "MQTT-3.8.3-4", "No Local on a Shared Subscription")
	}
	return s
}

// Append implements Packet. Options other than the QoS are not written in versions 3.1 and 3.1.1.
func (p *Subscribe) Append(dst []byte, v Version) ([]byte, error) {
	var s sizer
	var props int
	s.packetID(p.PacketID)
	if v == V5 {
		props = s.properties(&p.Properties, TypeSubscribe)
	}
	s.filters(len(p.Subscriptions))
	for i := range p.Subscriptions {
		sub := &p.Subscriptions[i]
		s.field(len(sub.Filter), "Topic Filter")
		s.n++
		if sub.QoS > ExactlyOnce || sub.RetainHandling > 2 {
			s.fail(ProtocolError, "MQTT 5 §3.8.3.1", "Subscription Options out of range")
		}
		if v == V5 && sub.NoLocal && strings.HasPrefix(sub.Filter, sharePrefix) {
			s.fail(ProtocolError, "MQTT-3.8.3-4", "No Local on a Shared Subscription")
		}
	}
	if err := s.finish(); err != nil {
		return dst, err
	}
	dst = AppendHeader(dst, TypeSubscribe, flagRules[TypeSubscribe].value, s.n)
	dst = appendUint16(dst, uint16(p.PacketID))
	if v == V5 {
		dst = p.Properties.append(dst, props)
	}
	for i := range p.Subscriptions {
		dst = appendString(dst, p.Subscriptions[i].Filter)
		dst = append(dst, p.Subscriptions[i].options(v))
	}
	return dst, nil
}

// options is the Subscription Options byte.
func (s *Subscription) options(v Version) byte {
	b := byte(s.QoS)
	if v != V5 {
		return b
	}
	if s.NoLocal {
		b |= optionNoLocal
	}
	if s.RetainAsPublished {
		b |= optionRetainAsPublished
	}
	return b | s.RetainHandling<<4
}

// filters checks the number of Topic Filters of a SUBSCRIBE or UNSUBSCRIBE.
func (s *sizer) filters(n int) {
	if n == 0 {
		s.fail(ProtocolError, "MQTT-3.8.3-2", "no Topic Filter")
	}
	if n > MaxSubscriptions {
		s.fail(QuotaExceeded, "MQTT 5 §3.8.3", "more than 4096 Topic Filters")
	}
}

// Clone returns a copy that shares no memory with p.
func (p *Subscribe) Clone() *Subscribe {
	c := *p
	c.Properties = p.Properties.Clone()
	c.Subscriptions = append([]Subscription(nil), p.Subscriptions...)
	for i := range c.Subscriptions {
		c.Subscriptions[i].Filter = strings.Clone(c.Subscriptions[i].Filter)
	}
	return &c
}
