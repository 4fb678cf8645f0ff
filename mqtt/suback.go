package mqtt

// Suback is the answer to a SUBSCRIBE, MQTT 5 §3.9: one reason code for each Topic Filter, in their order
// [MQTT-3.9.3-1].
type Suback struct {
	PacketID    PacketID
	Properties  Properties   // version 5
	ReasonCodes []ReasonCode // before version 5 only the three granted QoS and 0x80
}

// Type returns TypeSuback.
func (*Suback) Type() PacketType { return TypeSuback }

// Parse implements Packet.
func (p *Suback) Parse(v Version, flags byte, body []byte) error {
	if err := checkFlags(TypeSuback, flags, v); err != nil {
		return err
	}
	d := decoder{b: body, v: v}
	p.PacketID = d.packetID()
	p.Properties.Reset()
	if v == V5 {
		p.Properties.parse(&d, TypeSuback)
	}
	p.ReasonCodes = p.ReasonCodes[:0]
	for d.err == nil && len(d.b) > 0 {
		c := ReasonCode(d.b[0])
		d.b = d.b[1:]
		if !c.ValidIn(TypeSuback) || v != V5 && c.IsError() && c != UnspecifiedError {
			d.fail(ProtocolError, "MQTT-3.9.3-2", "MQTT-3.9.3-2", "reason code that SUBACK cannot carry")
		}
		p.ReasonCodes = append(p.ReasonCodes, c)
	}
	if d.err == nil && len(p.ReasonCodes) == 0 {
		d.fail(ProtocolError, "MQTT-3.8.4-5", "MQTT-3.8.4-6", "SUBACK without a reason code")
	}
	return d.err
}

// Append implements Packet. Before version 5 every failure is written as 0x80, the only one there is [MQTT-3.9.3-2].
func (p *Suback) Append(dst []byte, v Version) ([]byte, error) {
	var s sizer
	var props int
	s.packetID(p.PacketID)
	if v == V5 {
		props = s.properties(&p.Properties, TypeSuback)
	}
	if len(p.ReasonCodes) == 0 {
		s.fail(ProtocolError, "MQTT-3.8.4-6", "SUBACK without a reason code")
	}
	for _, c := range p.ReasonCodes {
		s.reasonCode(c, TypeSuback)
	}
	if err := s.finish(); err != nil {
		return dst, err
	}
	dst = AppendHeader(dst, TypeSuback, 0, s.n)
	dst = appendUint16(dst, uint16(p.PacketID))
	if v == V5 {
		dst = p.Properties.append(dst, props)
	}
	for _, c := range p.ReasonCodes {
		if v != V5 && c.IsError() {
			c = UnspecifiedError
		}
		dst = append(dst, byte(c))
	}
	return dst, nil
}
