package mqtt

import (
	"encoding/binary"
	"errors"
)

// sizer adds up the size of a packet's body before anything is written. The first field that cannot be represented
// sticks as an error.
type sizer struct {
	n   int
	err error
}

func (s *sizer) fail(code ReasonCode, clause, text string) {
	if s.err == nil {
		s.err = refuse(code, clause, text)
	}
}

// field counts a UTF-8 Encoded String or Binary Data of n bytes.
func (s *sizer) field(n int, what string) {
	if n > maxField {
		s.fail(PacketTooLarge, "MQTT 5 §1.5.4", what+" of more than 65535 bytes")
	}
	s.n += 2 + n
}

// packetID counts a Packet Identifier.
func (s *sizer) packetID(id PacketID) {
	if id == 0 {
		s.fail(ProtocolError, "MQTT-2.2.1-3", "Packet Identifier 0")
	}
	s.n += 2
}

// reasonCode counts a reason code that packet type t must be able to carry.
func (s *sizer) reasonCode(c ReasonCode, t PacketType) {
	if !c.ValidIn(t) {
		s.fail(ProtocolError, "MQTT 5 §2.4", "reason code that "+t.String()+" cannot carry")
	}
	s.n++
}

// properties counts properties with their length in front, for packet type t, and returns their own length.
func (s *sizer) properties(p *Properties, t PacketType) int {
	n, err := p.size(t)
	if err != nil && s.err == nil {
		s.err = err
	}
	s.n += varintLen(uint32(n)) + n
	return n
}

// finish reports the first failure, and refuses bodies that no Remaining Length can describe.
func (s *sizer) finish() error {
	if s.n > MaxRemainingLength {
		s.fail(PacketTooLarge, "MQTT 5 §2.1.4", "packet of more than 268435455 bytes")
	}
	return s.err
}

// errNotInVersion tells that a packet does not exist in the version it was to be written for.
var errNotInVersion = errors.New("packet type does not exist in this version")

func appendUint16(dst []byte, x uint16) []byte { return binary.BigEndian.AppendUint16(dst, x) }

func appendUint32(dst []byte, x uint32) []byte { return binary.BigEndian.AppendUint32(dst, x) }

// appendVarint appends x, at most MaxRemainingLength, as a Variable Byte Integer, MQTT 5 §1.5.5.
func appendVarint(dst []byte, x uint32) []byte {
	for x >= 0x80 {
		dst = append(dst, byte(x)|0x80)
		x >>= 7
	}
	return append(dst, byte(x))
}

// varintLen is the number of bytes appendVarint writes.
func varintLen(x uint32) int {
	switch {
	case x < 1<<7:
		return 1
	case x < 1<<14:
		return 2
	case x < 1<<21:
		return 3
	default:
		return 4
	}
}

// appendString appends a UTF-8 Encoded String whose length a sizer has approved.
func appendString(dst []byte, s string) []byte {
	return append(appendUint16(dst, uint16(len(s))), s...)
}

// appendBinary appends Binary Data whose length a sizer has approved.
func appendBinary(dst, b []byte) []byte {
	return append(appendUint16(dst, uint16(len(b))), b...)
}
