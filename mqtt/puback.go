package mqtt

// Puback is the response to a PUBLISH with QoS 1, MQTT 5 §3.4.
type Puback struct {
	PacketID   PacketID
	ReasonCode ReasonCode // version 5
	Properties Properties // version 5
}

// Type returns TypePuback.
func (*Puback) Type() PacketType { return TypePuback }

// Parse implements Packet.
func (p *Puback) Parse(v Version, flags byte, body []byte) error {
	return p.parts().parse(v, flags, body)
}

// Append implements Packet. The reason code is not written in versions 3.1 and 3.1.1.
func (p *Puback) Append(dst []byte, v Version) ([]byte, error) { return p.parts().append(dst, v) }

// parts lists the fields; the reason codes are those of [MQTT-3.4.2-1].
func (p *Puback) parts() ackParts {
	return ackParts{TypePuback, "MQTT-3.4.2-1", &p.PacketID, &p.ReasonCode, &p.Properties}
}
