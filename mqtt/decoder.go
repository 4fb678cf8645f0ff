package mqtt

import (
	"encoding/binary"
	"unsafe"
)

// maxField is the largest length of a UTF-8 Encoded String or of Binary Data, in bytes, MQTT 5 §1.5.4 and §1.5.6.
const maxField = 65535

// decoder walks through the body of a packet. The first failure sticks: it empties the decoder, so that all later
// reads return zero values and loops over the rest end.
type decoder struct {
	b   []byte // what has not been read yet
	v   Version
	err error
}

// fail records a failure unless there is one. The clauses are those of MQTT 3.1.1 and of MQTT 5.
func (d *decoder) fail(code ReasonCode, v311, v5, text string) {
	if d.err == nil {
		d.err = refuse(code, d.v.clause(v311, v5), text)
	}
	d.b = nil
}

// malformed is fail for packets that cannot be read at all.
func (d *decoder) malformed(text string) {
	d.fail(MalformedPacket, "MQTT-4.8.0-1", "MQTT-4.13.1-1", text)
}

// finish reports the first failure, and refuses bytes that nothing asked for.
func (d *decoder) finish() error {
	if len(d.b) != 0 {
		d.malformed("bytes after the end of the packet")
	}
	return d.err
}

// rest takes everything that is left.
func (d *decoder) rest() []byte {
	b := d.b
	d.b = nil
	return b
}

func (d *decoder) byte(what string) byte {
	if len(d.b) < 1 {
		d.malformed(what + " is missing")
		return 0
	}
	x := d.b[0]
	d.b = d.b[1:]
	return x
}

func (d *decoder) uint16(what string) uint16 {
	if len(d.b) < 2 {
		d.malformed(what + " is cut short")
		return 0
	}
	x := binary.BigEndian.Uint16(d.b)
	d.b = d.b[2:]
	return x
}

func (d *decoder) uint32(what string) uint32 {
	if len(d.b) < 4 {
		d.malformed(what + " is cut short")
		return 0
	}
	x := binary.BigEndian.Uint32(d.b)
	d.b = d.b[4:]
	return x
}

// varint reads a Variable Byte Integer in its shortest form, MQTT 5 §1.5.5.
func (d *decoder) varint(what string) uint32 {
	var x uint32
	for i := 0; i < len(d.b) && i < 4; i++ {
		c := d.b[i]
		x |= uint32(c&0x7F) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				d.fail(MalformedPacket, "MQTT-1.5.5-1", "MQTT-1.5.5-1", what+" longer than necessary")
				return 0
			}
			d.b = d.b[i+1:]
			return x
		}
	}
	d.malformed(what + " is not a Variable Byte Integer")
	return 0
}

// take reads n bytes that the packet promised.
func (d *decoder) take(n int, what string) []byte {
	if n > len(d.b) {
		d.malformed(what + " is longer than what holds it")
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// binary reads Binary Data, MQTT 5 §1.5.6.
func (d *decoder) binary(what string) []byte {
	n := int(d.uint16(what))
	return d.take(n, what)
}

// text reads a UTF-8 Encoded String, MQTT 5 §1.5.4.
func (d *decoder) text(what string) string {
	s, _ := d.scannedText(what)
	return s
}

// scannedText reads a UTF-8 Encoded String and tells whether it has wildcard characters.
func (d *decoder) scannedText(what string) (s string, wildcard bool) {
	if len(d.b) < 2 || int(binary.BigEndian.Uint16(d.b)) > len(d.b)-2 {
		d.binary(what) // fails with the reason
		return "", false
	}
	n := 2 + int(binary.BigEndian.Uint16(d.b))
	b := d.b[2:n]
	d.b = d.b[n:]
	if len(b) == 0 {
		return "", false
	}
	legal, wildcard := scanText(b)
	if !legal {
		d.illegalText(what, b)
		return "", false
	}
	return unsafe.String(&b[0], len(b)), wildcard
}

// illegalText names the clause that text b, known to be illegal, breaks.
func (d *decoder) illegalText(what string, b []byte) {
	for _, c := range b {
		if c == 0 {
			d.fail(MalformedPacket, "MQTT-1.5.3-2", "MQTT-1.5.4-2", what+" has U+0000")
			return
		}
	}
	d.fail(MalformedPacket, "MQTT-1.5.3-1", "MQTT-1.5.4-1", what+" is not legal UTF-8 text")
}

// topicName reads a Topic Name, which has no wildcard characters. It may be empty, which the caller judges.
func (d *decoder) topicName(what string) string {
	s, wildcard := d.scannedText(what)
	if wildcard {
		d.fail(TopicNameInvalid, "MQTT-3.3.2-2", "MQTT-3.3.2-2", what+" has a wildcard character")
		return ""
	}
	return s
}

// packetID reads a Packet Identifier.
func (d *decoder) packetID() PacketID {
	id := PacketID(d.uint16("Packet Identifier"))
	if id == 0 {
		d.fail(MalformedPacket, "MQTT-2.3.1-1", "MQTT-2.2.1-3", "Packet Identifier 0")
	}
	return id
}

// reasonCode reads a reason code that packet type t may carry; clause is where the standard says which.
func (d *decoder) reasonCode(t PacketType, clause string) ReasonCode {
	c := ReasonCode(d.byte("reason code"))
	if d.err == nil && !c.ValidIn(t) {
		d.fail(ProtocolError, clause, clause, "reason code that "+t.String()+" cannot carry")
	}
	return c
}
