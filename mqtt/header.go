package mqtt

import "fmt"

const (
	// MaxRemainingLength is the largest Remaining Length, MQTT 5 §2.1.4.
	MaxRemainingLength = 268_435_455
	// MaxPacketSize is the size of the largest possible packet, in bytes.
	MaxPacketSize = 1 + 4 + MaxRemainingLength
)

// Header is the fixed header of a control packet, MQTT 5 §2.1.1.
type Header struct {
	Type      PacketType
	Flags     byte // lower four bits of the first byte
	Remaining int  // Remaining Length, bytes
	Minimal   bool // Remaining Length was in the shortest form, as version 5 demands [MQTT-1.5.5-1]
}

// flagRule tells which values the flags of a packet type may have: flags&mask must equal value.
type flagRule struct{ mask, value byte }

// flagRules is MQTT 5 table 2-2 [MQTT-2.1.3-1]. PUBLISH uses all four bits and is checked by checkFlags.
var flagRules = [16]flagRule{
	TypeConnect: {0xF, 0}, TypeConnack: {0xF, 0}, TypePublish: {0, 0},
	TypePuback: {0xF, 0}, TypePubrec: {0xF, 0}, TypePubrel: {0xF, 2}, TypePubcomp: {0xF, 0},
	TypeSubscribe: {0xF, 2}, TypeSuback: {0xF, 0}, TypeUnsubscribe: {0xF, 2}, TypeUnsuback: {0xF, 0},
	TypePingreq: {0xF, 0}, TypePingresp: {0xF, 0}, TypeDisconnect: {0xF, 0}, TypeAuth: {0xF, 0},
}

const (
	flagDup    = 0x8 // PUBLISH, and repeated PUBREL, SUBSCRIBE and UNSUBSCRIBE in 3.1
	flagRetain = 0x1 // PUBLISH
)

// checkFlags refuses reserved packet types and flag bits.
func checkFlags(t PacketType, flags byte, v Version) error {
	if t == TypePublish {
		if flags&0x6 == 0x6 {
			return refuse(MalformedPacket, "MQTT-3.3.1-4", "PUBLISH with both QoS bits set")
		}
		if flags&flagDup != 0 && flags&0x6 == 0 {
			return refuse(MalformedPacket, "MQTT-3.3.1-2", "PUBLISH with DUP and QoS 0")
		}
		return nil
	}
	if t == 0 || t > TypeAuth || t == TypeAuth && v != V5 && v != 0 {
		return refuse(MalformedPacket, v.clause("MQTT 3.1.1 §2.2.1", "MQTT 5 §2.1.2"), "reserved packet type")
	}
	rule := flagRules[t]
	if v == V31 && rule.value != 0 {
		rule.mask &^= flagDup // 3.1 marks repeated requests with DUP
	}
	if flags&rule.mask != rule.value {
		return refuse(MalformedPacket, v.clause("MQTT-2.2.2-2", "MQTT-2.1.3-1"), "reserved flags of "+t.String())
	}
	return nil
}

// ParseHeader reads the fixed header at the start of b. It returns the number of bytes it took; 0 without an error
// means that more bytes are needed. The packet type and its flags are judged as soon as the first byte is there. A
// Remaining Length that claims to go on after four bytes is refused without looking at a fifth [MQTT-1.5.5-1].
//
// Version 0 means not known yet, as before CONNECT; a Remaining Length that is longer than necessary is an error in
// version 5 only, and Minimal tells the caller who learns the version later.
func ParseHeader(b []byte, v Version) (h Header, n int, err error) {
	if len(b) == 0 {
		return Header{}, 0, nil
	}
	h.Type, h.Flags = PacketType(b[0]>>4), b[0]&0xF
	if err := checkFlags(h.Type, h.Flags, v); err != nil {
		return Header{}, 0, err
	}
	for i := 1; i < len(b); i++ {
		h.Remaining |= int(b[i]&0x7F) << (7 * (i - 1))
		if b[i] < 0x80 {
			h.Minimal = b[i] != 0 || i == 1
			if !h.Minimal && v == V5 {
				return Header{}, 0, refuse(MalformedPacket, "MQTT-1.5.5-1", "Remaining Length longer than necessary")
			}
			return h, i + 1, nil
		}
		if i == 4 {
			return Header{}, 0, refuse(MalformedPacket, v.clause("MQTT 3.1.1 §2.2.3", "MQTT 5 §1.5.5"),
				"Remaining Length of more than four bytes")
		}
	}
	return Header{}, 0, nil
}

// AppendHeader appends a fixed header with the Remaining Length in its shortest form. remaining must be between 0 and
// MaxRemainingLength; anything else is an error of the program and panics, like an index out of range.
func AppendHeader(dst []byte, t PacketType, flags byte, remaining int) []byte {
	if uint(remaining) > MaxRemainingLength {
		panic(fmt.Sprintf("mqtt: Remaining Length %d out of range", remaining))
	}
	return appendVarint(append(dst, byte(t)<<4|flags&0xF), uint32(remaining))
}
