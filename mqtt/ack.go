package mqtt

// ackParts points at the fields that PUBACK, PUBREC, PUBREL and PUBCOMP have in common: their wire form is the same,
//
//	Packet Identifier [Reason Code [Property Length Properties]]
//
// where the brackets are for version 5 only, and stand for Success and no properties when left out.
type ackParts struct {
	t      PacketType
	clause string // of MQTT 5, says which reason codes the packet may carry
	id     *PacketID
	reason *ReasonCode
	props  *Properties
}

func (a ackParts) parse(v Version, flags byte, body []byte) error {
	if err := checkFlags(a.t, flags, v); err != nil {
		return err
	}
	d := decoder{b: body, v: v}
	*a.id = d.packetID()
	*a.reason = Success
	a.props.Reset()
	if v == V5 && len(d.b) > 0 {
		*a.reason = d.reasonCode(a.t, a.clause)
		if len(d.b) > 0 {
			a.props.parse(&d, a.t)
		}
	}
	return d.finish()
}

func (a ackParts) append(dst []byte, v Version) ([]byte, error) {
	var s sizer
	var props int
	s.packetID(*a.id)
	long := v == V5 && (*a.reason != Success || a.props.Present != 0)
	if long {
		s.reasonCode(*a.reason, a.t)
		if a.props.Present != 0 {
			props = s.properties(a.props, a.t)
		}
	}
	if err := s.finish(); err != nil {
		return dst, err
	}
	dst = AppendHeader(dst, a.t, flagRules[a.t].value, s.n)
	dst = appendUint16(dst, uint16(*a.id))
	if long {
		dst = append(dst, byte(*a.reason))
		if a.props.Present != 0 {
			dst = a.props.append(dst, props)
		}
	}
	return dst, nil
}
