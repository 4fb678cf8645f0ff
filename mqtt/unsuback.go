package mqtt

// Unsuback is the answer to an UNSUBSCRIBE, MQTT 5 §3.11: one reason code for each Topic Filter, in their order
// [MQTT-3.11.3-1]. Before version 5 it has none.
type Unsuback struct {
	PacketID    PacketID
	Properties  Properties   // version 5
	ReasonCodes []ReasonCode // version 5
}

// Type returns TypeUnsuback.
func (*Unsuback) Type() PacketType { return TypeUnsuback }

// Parse implements Packet.
func (p *Unsuback) Parse(v Version, flags byte, body []byte) error {
	if err := checkFlags(TypeUnsuback, flags, v); err != nil {
		return err
	}
	d := decoder{b: body, v: v}
	p.PacketID = d.packetID()
	p.Properties.Reset()
	p.ReasonCodes = p.ReasonCodes[:0]
	if v != V5 {
		return d.finish()
	}
	p.Properties.parse(&d, TypeUnsuback)
	for d.err == nil && len(d.b) > 0 {
		p.ReasonCodes = append(p.ReasonCodes, d.reasonCode(TypeUnsuback, "MQTT-3.11.3-2"))
	}
	if d.err == nil && len(p.ReasonCodes) == 0 {
		d.fail(ProtocolError, "", "MQTT-3.11.3-1", "UNSUBACK without a reason code")
	}
	return d.err
}

// Append implements Packet. Reason codes are not written in versions 3.1 and 3.1.1.
func (p *Unsuback) Append(dst []byte, v Version) ([]byte, error) {
	var s sizer
	var props int
	s.packetID(p.PacketID)
	if v == V5 {
		props = s.properties(&p.Properties, TypeUnsuback)
		if len(p.ReasonCodes) == 0 {
			s.fail(ProtocolError, "MQTT-3.11.3-1", "UNSUBACK without a reason code")
		}
		for _, c := range p.ReasonCodes {
			s.reasonCode(c, TypeUnsuback)
		}
	}
	if err := s.finish(); err != nil {
		return dst, err
	}
	dst = AppendHeader(dst, TypeUnsuback, 0, s.n)
	dst = appendUint16(dst, uint16(p.PacketID))
	if v == V5 {
		dst = p.Properties.append(dst, props)
		for _, c := range p.ReasonCodes {
			dst = append(dst, byte(c))
		}
	}
	return dst, nil
}
