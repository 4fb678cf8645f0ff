package mqtt

// Pingreq asks whether the other side is alive, MQTT 5 §3.12.
type Pingreq struct{}

// Type returns TypePingreq.
func (*Pingreq) Type() PacketType { return TypePingreq }

// Parse implements Packet. Nothing may follow the fixed header.
func (*Pingreq) Parse(v Version, flags byte, body []byte) error {
	if err := checkFlags(TypePingreq, flags, v); err != nil {
		return err
	}
	d := decoder{b: body, v: v}
	return d.finish()
}

// Append implements Packet.
func (*Pingreq) Append(dst []byte, _ Version) ([]byte, error) {
	return AppendHeader(dst, TypePingreq, 0, 0), nil
}
