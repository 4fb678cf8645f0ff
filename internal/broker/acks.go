package broker

import (
	"sync"

	"github.com/sealmq/sealmq/mqtt"
)

// ackFIFO keeps the acknowledgements of one connection in the order of the packets they answer [MQTT-4.6.0-2]
// [MQTT-4.6.0-3]. A slot is opened when a PUBLISH or PUBREL arrives and completed when everything it promises is true:
// stored on disk, accepted by slow subscribers. Only the finished front of the queue is sent.
type ackFIFO struct {
	mu    sync.Mutex
	slots []slot
	base  uint64 // number of slots[0]
	open  int    // QoS 1 and 2 messages counted against the Receive Maximum
	bytes int64  // of messages whose slot is open
}

type slot struct {
	kind   mqtt.PacketType
	closes bool // sending it ends a message counted against the Receive Maximum
	code   mqtt.ReasonCode
	pid    mqtt.PacketID
	waits  int32
	size   int32 // of the PUBLISH, for the bound on unacknowledged bytes
	why    string
	word   string
}

// begin opens s, which waits for one complete call, and counts opened messages against the Receive Maximum. It returns how
// many messages and bytes are now open.
func (f *ackFIFO) begin(s slot, opened int) (number uint64, open int, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.waits = 1
	f.slots = append(f.slots, s)
	f.bytes += int64(s.size)
	f.open += opened
	return f.base + uint64(len(f.slots)) - 1, f.open, f.bytes
}

// wait makes the slot wait for n more complete calls.
func (f *ackFIFO) wait(number uint64, n int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := number - f.base; i < uint64(len(f.slots)) {
		f.slots[i].waits += n
	}
}

// answer is what a slot is completed with. The zero value is success.
type answer struct {
	code mqtt.ReasonCode
	why  string // Reason String
	word string // value of the User Property cose-err: why a payload was refused, in one word
}

// complete takes one wait off the slot. When that finishes the front of the queue, the acknowledgements there are
// appended to the connection's buffer, and w is told to flush it.
func (c *conn) complete(w *work, number uint64, a answer) {
	f := &c.acks
	f.mu.Lock()
	defer f.mu.Unlock()
	i := number - f.base
	if i >= uint64(len(f.slots)) {
		return // a stale slot of a connection that was reset
	}
	s := &f.slots[i]
	s.waits--
	if a.code > s.code || a.code.IsError() && !s.code.IsError() {
		s.code, s.why, s.word = a.code, a.why, a.word
	}
	n := 0
	for n < len(f.slots) && f.slots[n].waits <= 0 {
		n++
	}
	if n == 0 {
		return
	}
	if c.out.lock() {
		for _, s := range f.slots[:n] {
			if s.word != "" && c.version >= mqtt.V5 && c.reasonString(payloadProperty+s.word) != "" {
				c.out.buf = appendWordAck(c.out.buf, s.kind, s.pid, s.code, s.word)
				continue
			}
			c.out.buf = appendAck(c.out.buf, c.version, s.kind, s.pid, s.code, c.reasonString(s.why))
		}
		if c.out.unlock() {
			w.touch(c)
		}
	}
	for _, s := range f.slots[:n] {
		f.bytes -= int64(s.size)
		if s.closes || s.kind == mqtt.TypePubrec && s.code.IsError() {
			f.open--
		}
	}
	f.slots = f.slots[:copy(f.slots, f.slots[n:])]
	f.base += uint64(n)
	if len(f.slots) == 0 && cap(f.slots) > 64 {
		f.slots = nil
	}
}

const (
	ackOverhead     = 2 + 2 + 1 + 1 + 3 // bytes of an acknowledgement around its Reason String
	maxReasonString = 100               // bytes; the lengths of the packet then take one byte each
)

// reasonString is what an acknowledgement says in words: nothing when the client does not want to hear it
// [MQTT-3.1.2-29] or has no room for it [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.7.2-2].
func (c *conn) reasonString(why string) string {
	if !c.problemInfo || len(why) > maxReasonString || c.maxPacket > 0 && ackOverhead+len(why) > int(c.maxPacket) {
		return ""
	}
	return why
}

// appendAck appends PUBACK, PUBREC, PUBREL or PUBCOMP in the shortest form that says it. It adds no User Properties
// [MQTT-3.4.2-3] [MQTT-3.5.2-3] [MQTT-3.6.2-3] [MQTT-3.7.2-3].
func appendAck(dst []byte, v mqtt.Version, kind mqtt.PacketType, pid mqtt.PacketID, code mqtt.ReasonCode, why string) []byte {
	flags := byte(0)
	if kind == mqtt.TypePubrel {
		flags = 2
	}
	first := byte(kind)<<4 | flags
	hi, lo := byte(pid>>8), byte(pid)
	switch {
	case v < mqtt.V5 || code == mqtt.Success:
		return append(dst, first, 2, hi, lo)
	case why == "":
		return append(dst, first, 3, hi, lo, byte(code))
	default:
		n := 3 + len(why)
		dst = append(dst, first, byte(4+n), hi, lo, byte(code), byte(n), byte(mqtt.PropReasonString), 0, byte(len(why)))
		return append(dst, why...)
	}
}

// payloadProperty is the name of the User Property that says in one word why a payload was refused.
const payloadProperty = "cose-err"

// appendWordAck appends a PUBACK or PUBREC that refuses a payload, with the User Property that says why. Words are short,
// so that every length takes one byte.
func appendWordAck(dst []byte, kind mqtt.PacketType, pid mqtt.PacketID, code mqtt.ReasonCode, word string) []byte {
	n := 1 + 2 + len(payloadProperty) + 2 + len(word)
	dst = append(dst, byte(kind)<<4, byte(4+n), byte(pid>>8), byte(pid), byte(code), byte(n), byte(mqtt.PropUser))
	dst = append(append(dst, 0, byte(len(payloadProperty))), payloadProperty...)
	return append(append(dst, 0, byte(len(word))), word...)
}
