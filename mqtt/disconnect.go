package mqtt

// Disconnect is the last packet of a connection, MQTT 5 §3.14. Only clients send it before version 5.
type Disconnect struct {
	ReasonCode ReasonCode // version 5
	Properties Properties // version 5
}

// Type returns TypeDisconnect.
func (*Disconnect) Type() PacketType { return TypeDisconnect }

// Parse implements Packet. Without a reason code the code is NormalDisconnection, MQTT 5 §3.14.2.1. Which codes and
// properties are for which side is left to the caller.
func (p *Disconnect) Parse(v Version, flags byte, body []byte) error {
	if err := checkFlags(TypeDisconnect, flags, v); err != nil {
		return err
	}
	d := decoder{b: body, v: v}
	p.ReasonCode = NormalDisconnection
	p.Properties.Reset()
	if v == V5 && len(d.b) > 0 {
		p.ReasonCode = d.reasonCode(TypeDisconnect, "MQTT-3.14.2-1")
		if len(d.b) > 0 {
			p.Properties.parse(&d, TypeDisconnect)
		}
	}
	return d.finish()
}

// Append implements Packet. Before version 5 neither reason code nor properties are written.
func (p *Disconnect) Append(dst []byte, v Version) ([]byte, error) {
	if v != V5 || p.ReasonCode == NormalDisconnection && p.Properties.Present == 0 {
		return AppendHeader(dst, TypeDisconnect, 0, 0), nil
	}
	var s sizer
	var props int
	s.reasonCode(p.ReasonCode, TypeDisconnect)
	if p.Properties.Present != 0 {
		props = s.properties(&p.Properties, TypeDisconnect)
	}
	if err := s.finish(); err != nil {
		return dst, err
	}
	dst = append(AppendHeader(dst, TypeDisconnect, 0, s.n), byte(p.ReasonCode))
	if p.Properties.Present != 0 {
		dst = p.Properties.append(dst, props)
	}
	return dst, nil
}

// Clone returns a copy that shares no memory with p.
func (p *Disconnect) Clone() *Disconnect {
	return &Disconnect{ReasonCode: p.ReasonCode, Properties: p.Properties.Clone()}
}
