package mqtt

// Connack is the answer to a CONNECT, MQTT 5 §3.2. Before version 5 the reason code is written as a
// ConnectReturnCode, and read as the reason code of the same meaning.
type Connack struct {
	SessionPresent bool // not in version 3.1
	ReasonCode     ReasonCode
	Properties     Properties // version 5
}

// Type returns TypeConnack.
func (*Connack) Type() PacketType { return TypeConnack }

// Parse implements Packet.
func (p *Connack) Parse(v Version, flags byte, body []byte) error {
	if err := checkFlags(TypeConnack, flags, v); err != nil {
		return err
	}
	d := decoder{b: body, v: v}
	ackFlags := d.byte("Connect Acknowledge Flags")
	if v == V31 {
		ackFlags = 0 // 3.1 neither uses nor restricts this byte
	}
	if ackFlags > 1 {
		d.fail(MalformedPacket, "MQTT 3.1.1 §3.2.2.1", "MQTT-3.2.2-1", "reserved Connect Acknowledge Flags")
	}
	p.SessionPresent = ackFlags == 1
	p.Properties.Reset()
	if v == V5 {
		p.ReasonCode = d.reasonCode(TypeConnack, "MQTT-3.2.2-8")
		p.Properties.parse(&d, TypeConnack)
	} else {
		code := ConnectReturnCode(d.byte("return code"))
		if code >= firstReservedConnectReturn {
			d.fail(ProtocolError, "MQTT 3.1.1 §3.2.2.3", "", "reserved return code")
		}
		p.ReasonCode = code.ReasonCode()
	}
	if p.SessionPresent && p.ReasonCode != Success {
		d.fail(ProtocolError, "MQTT-3.2.2-4", "MQTT-3.2.2-6", "Session Present in a refusal")
	}
	return d.finish()
}

// Append implements Packet.
func (p *Connack) Append(dst []byte, v Version) ([]byte, error) {
	var s sizer
	var props int
	s.n++
	s.reasonCode(p.ReasonCode, TypeConnack)
	if v == V5 {
		props = s.properties(&p.Properties, TypeConnack)
	}
	if p.SessionPresent && p.ReasonCode != Success {
		s.fail(ProtocolError, "MQTT-3.2.2-6", "Session Present in a refusal")
	}
	if err := s.finish(); err != nil {
		return dst, err
	}
	var ackFlags byte
	if p.SessionPresent && v != V31 {
		ackFlags = 1
	}
	dst = append(AppendHeader(dst, TypeConnack, 0, s.n), ackFlags)
	if v == V5 {
		return p.Properties.append(append(dst, byte(p.ReasonCode)), props), nil
	}
	return append(dst, byte(p.ReasonCode.ConnectReturnCode())), nil
}
