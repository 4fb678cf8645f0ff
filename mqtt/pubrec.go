package mqtt

// Pubrec is the first response to a PUBLISH with QoS 2, MQTT 5 §3.5. A reason code that is an error ends the exchange.
type Pubrec struct {
	PacketID   PacketID
	ReasonCode ReasonCode // version 5
	Properties Properties // version 5
}

// Type returns TypePubrec.
func (*Pubrec) Type() PacketType { return TypePubrec }

// Parse implements Packet.
func (p *Pubrec) Parse(v Version, flags byte, body []byte) error {
	return p.parts().parse(v, flags, body)
}

// Append implements Packet. The reason code is not written in versions 3.1 and 3.1.1.
func (p *Pubrec) Append(dst []byte, v Version) ([]byte, error) { return p.parts().append(dst, v) }

// parts lists the fields; the reason codes are those of [MQTT-3.5.2-1].
func (p *Pubrec) parts() ackParts {
	return ackParts{TypePubrec, "MQTT-3.5.2-1", &p.PacketID, &p.ReasonCode, &p.Properties}
}
