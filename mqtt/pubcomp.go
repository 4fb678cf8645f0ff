package mqtt

// Pubcomp is the response to a PUBREL and ends the QoS 2 exchange, MQTT 5 §3.7.
type Pubcomp struct {
	PacketID   PacketID
	ReasonCode ReasonCode // version 5
	Properties Properties // version 5
}

// Type returns TypePubcomp.
func (*Pubcomp) Type() PacketType { return TypePubcomp }

// Parse implements Packet.
func (p *Pubcomp) Parse(v Version, flags byte, body []byte) error {
	return p.parts().parse(v, flags, body)
}

// Append implements Packet. The reason code is not written in versions 3.1 and 3.1.1.
func (p *Pubcomp) Append(dst []byte, v Version) ([]byte, error) { return p.parts().append(dst, v) }

// parts lists the fields; the reason codes are those of [MQTT-3.7.2-1].
func (p *Pubcomp) parts() ackParts {
	return ackParts{TypePubcomp, "MQTT-3.7.2-1", &p.PacketID, &p.ReasonCode, &p.Properties}
}
