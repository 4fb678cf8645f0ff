package mqtt

// Pubrel is the response to a PUBREC, MQTT 5 §3.6.
type Pubrel struct {
	PacketID   PacketID
	ReasonCode ReasonCode // version 5
	Properties Properties // version 5
}

// Type returns TypePubrel.
func (*Pubrel) Type() PacketType { return TypePubrel }

// Parse implements Packet.
func (p *Pubrel) Parse(v Version, flags byte, body []byte) error {
	return p.parts().parse(v, flags, body)
}

// Append implements Packet. The reason code is not written in versions 3.1 and 3.1.1.
func (p *Pubrel) Append(dst []byte, v Version) ([]byte, error) { return p.parts().append(dst, v) }

// parts lists the fields; the reason codes are those of [MQTT-3.6.2-1].
func (p *Pubrel) parts() ackParts {
	return ackParts{TypePubrel, "MQTT-3.6.2-1", &p.PacketID, &p.ReasonCode, &p.Properties}
}
