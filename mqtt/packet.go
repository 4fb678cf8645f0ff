package mqtt

// Packet is one MQTT control packet.
type Packet interface {
	// Type returns the control packet type.
	Type() PacketType
	// Parse reads the packet from the flags of its fixed header and the bytes that follow it, all of them and no
	// more. The packet aliases body afterwards.
	Parse(v Version, flags byte, body []byte) error
	// Append appends the whole packet, fixed header included, in the form of version v. With an error dst is
	// returned as it was.
	Append(dst []byte, v Version) ([]byte, error)
}

// New returns an empty packet of type t, or nil when t is reserved.
func New(t PacketType) Packet {
	switch t {
	case TypeConnect:
		return new(Connect)
	case TypeConnack:
		return new(Connack)
	case TypePublish:
		return new(Publish)
	case TypePuback:
		return new(Puback)
	case TypePubrec:
		return new(Pubrec)
	case TypePubrel:
		return new(Pubrel)
	case TypePubcomp:
		return new(Pubcomp)
	case TypeSubscribe:
		return new(Subscribe)
	case TypeSuback:
		return new(Suback)
	case TypeUnsubscribe:
		return new(Unsubscribe)
	case TypeUnsuback:
		return new(Unsuback)
	case TypePingreq:
		return new(Pingreq)
	case TypePingresp:
		return new(Pingresp)
	case TypeDisconnect:
		return new(Disconnect)
	case TypeAuth:
		return new(Auth)
	default:
		return nil
	}
}

// Parse allocates the packet that h announces and parses body, which must have h.Remaining bytes, into it. With an
// error, the packet is returned too if it is a CONNECT, so that a server can see which version to answer in; it is nil
// in all other cases.
func Parse(v Version, h Header, body []byte) (Packet, error) {
	p := New(h.Type)
	if p == nil {
		return nil, refuse(MalformedPacket, v.clause("MQTT 3.1.1 §2.2.1", "MQTT 5 §2.1.2"), "reserved packet type")
	}
	if h.Type != TypeConnect && (v < V31 || v > V5) {
		return nil, refuse(ProtocolError, "MQTT-3.1.0-1", "packet before the version is known")
	}
	if len(body) != h.Remaining {
		return nil, refuse(MalformedPacket, v.clause("MQTT-4.8.0-1", "MQTT-4.13.1-1"), "body is not of the Remaining Length")
	}
	err := p.Parse(v, h.Flags, body)
	if c, ok := p.(*Connect); ok {
		if err == nil && c.ProtocolVersion == V5 && !h.Minimal {
			err = refuse(MalformedPacket, "MQTT-1.5.5-1", "Remaining Length longer than necessary")
		}
		return c, err
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}
