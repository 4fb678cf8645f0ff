package mqtt

// Pingresp is the answer to a PINGREQ, MQTT 5 §3.13.
type Pingresp struct{}

// Type returns TypePingresp.
func (*Pingresp) Type() PacketType { return TypePingresp }

// Parse implements Packet. Nothing may follow the fixed header.
func (*Pingresp) Parse(v Version, flags byte, body []byte) error {
	if err := checkFlags(TypePingresp, flags, v); err != nil {
		return err
	}
	d := decoder{b: body, v: v}
	return d.finish()
}

// Append implements Packet.
func (*Pingresp) Append(dst []byte, _ Version) ([]byte, error) {
	return AppendHeader(dst, TypePingresp, 0, 0), nil
}
