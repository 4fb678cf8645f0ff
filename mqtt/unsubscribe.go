package mqtt

import "strings"

// Unsubscribe asks to end one or more Subscriptions, MQTT 5 §3.10. The syntax of the filters is not checked here.
type Unsubscribe struct {
	PacketID   PacketID
	Properties Properties // version 5
	Filters    []string
}

// Type returns TypeUnsubscribe.
func (*Unsubscribe) Type() PacketType { return TypeUnsubscribe }

// Parse implements Packet.
func (p *Unsubscribe) Parse(v Version, flags byte, body []byte) error {
	if err := checkFlags(TypeUnsubscribe, flags, v); err != nil {
		return err
	}
	d := decoder{b: body, v: v}
	p.PacketID = d.packetID()
	p.Properties.Reset()
	if v == V5 {
		p.Properties.parse(&d, TypeUnsubscribe)
	}
	p.Filters = p.Filters[:0]
	for d.err == nil && len(d.b) > 0 {
		if len(p.Filters) == MaxSubscriptions {
			d.fail(QuotaExceeded, "MQTT 3.1.1 §3.10.3", "MQTT 5 §3.10.3", "more than 4096 Topic Filters")
			break
		}
		p.Filters = append(p.Filters, d.text("Topic Filter"))
	}
	if d.err == nil && len(p.Filters) == 0 {
		d.fail(ProtocolError, "MQTT-3.10.3-2", "MQTT-3.10.3-2", "UNSUBSCRIBE without a Topic Filter")
	}
	return d.err
}

// Append implements Packet.
func (p *Unsubscribe) Append(dst []byte, v Version) ([]byte, error) {
	var s sizer
	var props int
	s.packetID(p.PacketID)
	if v == V5 {
		props = s.properties(&p.Properties, TypeUnsubscribe)
	}
	s.filters(len(p.Filters))
	for _, f := range p.Filters {
		s.field(len(f), "Topic Filter")
	}
	if err := s.finish(); err != nil {
		return dst, err
	}
	dst = AppendHeader(dst, TypeUnsubscribe, flagRules[TypeUnsubscribe].value, s.n)
	dst = appendUint16(dst, uint16(p.PacketID))
	if v == V5 {
		dst = p.Properties.append(dst, props)
	}
	for _, f := range p.Filters {
		dst = appendString(dst, f)
	}
	return dst, nil
}

// Clone returns a copy that shares no memory with p.
func (p *Unsubscribe) Clone() *Unsubscribe {
	c := *p
	c.Properties = p.Properties.Clone()
	c.Filters = append([]string(nil), p.Filters...)
	for i := range c.Filters {
		c.Filters[i] = strings.Clone(c.Filters[i])
	}
	return &c
}
