package pebblestore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// A value is a CRC32C over key and record, big-endian, and the record. Because the key is covered, a record that turns
// up under another key is noticed. Integers in records are varints unless stated otherwise, texts have their length in
// front.

const crcLen = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errRecord is a record that does not have its form; errChecksum one whose checksum is wrong.
var (
	errRecord   = errors.New("record is malformed")
	errChecksum = errors.New("checksum is wrong")
)

// seal writes the checksum in front of value, whose first crcLen bytes are reserved for it.
func seal(key, value []byte) {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[crcLen:])
	binary.BigEndian.PutUint32(value, sum)
}

// unseal checks a stored value and returns its record, which shares the value's memory.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < crcLen {
		return nil, errRecord
	}
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[crcLen:])
	if sum != binary.BigEndian.Uint32(value) {
		return nil, errChecksum
	}
	return value[crcLen:], nil
}

// Bits of the first byte of a pointer and of a message.
const (
	bitsQoS     = 0x03
	bitRetain   = 0x04
	bitSole     = 0x08 // pointer
	bitAuthor   = 0x08 // message
	bitSealed   = 0x20 // message: sealed by the broker for itself
	bitExpires  = 0x10
	bitNoLocal  = 0x04 // subscription
	bitAsPub    = 0x08 // subscription: Retain As Published
	shiftRetain = 4    // subscription: Retain Handling
)

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendPrincipal(dst []byte, p *identity.Principal) []byte {
	return appendText(appendText(appendText(dst, p.Method), p.Issuer), p.Name)
}

// appendPointer: flags, Size, Body, [ExpiresAt, 8 bytes], [count, Subscription Identifiers]. Size is early because
// measuring a queue needs nothing else.
func appendPointer(dst []byte, p *store.Pointer) []byte {
	dst = append(dst, byte(p.QoS)|flag(p.Retain, bitRetain)|flag(p.Sole, bitSole)|flag(p.ExpiresAt != 0, bitExpires))
	dst = binary.AppendUvarint(dst, uint64(p.Size))
	dst = binary.AppendUvarint(dst, uint64(p.Body))
	if p.ExpiresAt != 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.ExpiresAt))
	}
	if len(p.SubscriptionIDs) != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(p.SubscriptionIDs)))
		for _, id := range p.SubscriptionIDs {
			dst = binary.AppendUvarint(dst, uint64(id))
		}
	}
	return dst
}

// parsePointerHead reads what sweeps and measuring need: Size, Body and Sole, without allocating.
func parsePointerHead(b []byte) (store.Pointer, error) {
	r := reader{b: b}
	p := r.pointerHead()
	return p, r.err
}

func (r *reader) pointerHead() store.Pointer {
	f := r.byte()
	if f&bitsQoS > byte(mqtt.ExactlyOnce) || f&^(bitsQoS|bitRetain|bitSole|bitExpires) != 0 {
		r.fail()
	}
	p := store.Pointer{QoS: mqtt.QoS(f & bitsQoS), Retain: f&bitRetain != 0, Sole: f&bitSole != 0}
	p.Size = uint32(r.bounded(math.MaxUint32))
	p.Body = store.BodyID(r.uint())
	if f&bitExpires != 0 {
		p.ExpiresAt = r.int64()
	}
	return p
}

func parsePointer(b []byte) (store.Pointer, error) {
	r := reader{b: b}
	p := r.pointerHead()
	if len(r.b) != 0 {
		n := r.bounded(min(store.MaxSubscriptionIDs, uint64(len(r.b))))
		p.SubscriptionIDs = make([]uint32, n)
		for i := range p.SubscriptionIDs {
			p.SubscriptionIDs[i] = uint32(r.bounded(math.MaxUint32))
		}
	}
	return p, r.end()
}

// appendInflight: State, QoS, Ord.
func appendInflight(dst []byte, in *store.Inflight) []byte {
	return binary.AppendUvarint(append(dst, byte(in.State), byte(in.QoS)), uint64(in.Ord))
}

func parseInflight(b []byte) (store.Inflight, error) {
	r := reader{b: b}
	in := store.Inflight{State: store.InflightState(r.byte()), QoS: mqtt.QoS(r.byte()), Ord: store.Ord(r.uint())}
	if in.State != store.Published && in.State != store.Released || in.QoS > mqtt.ExactlyOnce {
		r.fail()
	}
	return in, r.end()
}

// appendSession: Version, Expiry, ExpiresAt and Created (8 bytes each), ClientID, Group, Principal.
func appendSession(dst []byte, s *store.Session) []byte {
	dst = binary.AppendUvarint(append(dst, byte(s.Version)), uint64(s.Expiry))
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.ExpiresAt))
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Created))
	return appendPrincipal(appendText(appendText(dst, s.ClientID), s.Group), &s.Principal)
}

func parseSession(b []byte, words *words) (store.Session, error) {
	r := reader{b: b}
	s := store.Session{Version: mqtt.Version(r.byte()), Expiry: uint32(r.bounded(math.MaxUint32))}
	s.ExpiresAt, s.Created = r.int64(), r.int64()
	s.ClientID, s.Group = r.text(), r.text()
	s.Principal.Method, s.Principal.Issuer = words.text(r.bytes()), words.text(r.bytes())
	if name := r.bytes(); string(name) == s.ClientID { // as is usual for devices
		s.Principal.Name = s.ClientID
	} else {
		s.Principal.Name = string(name)
	}
	return s, r.end()
}

// words shares texts of which there are few: the methods and issuers of principals. It is for one goroutine.
type words struct {
	known map[string]string
}

// maxWords bounds the table; beyond it texts are no longer shared.
const maxWords = 64

func (w *words) text(b []byte) string {
	if shared, ok := w.known[string(b)]; ok {
		return shared
	}
	v := string(b)
	if w.known == nil {
		w.known = map[string]string{}
	}
	if len(w.known) < maxWords {
		w.known[v] = v
	}
	return v
}

// appendSubscription: options, Subscription Identifier. The filter is in the key.
func appendSubscription(dst []byte, s *store.Subscription) []byte {
	dst = append(dst, byte(s.QoS)|flag(s.NoLocal, bitNoLocal)|flag(s.RetainAsPublished, bitAsPub)|s.RetainHandling<<shiftRetain)
	return binary.AppendUvarint(dst, uint64(s.SubscriptionID))
}

func parseSubscription(filter string, b []byte) (store.Subscription, error) {
	r := reader{b: b}
	f := r.byte()
	s := store.Subscription{
		Filter: filter, QoS: mqtt.QoS(f & bitsQoS), NoLocal: f&bitNoLocal != 0, RetainAsPublished: f&bitAsPub != 0,
		RetainHandling: f >> shiftRetain, SubscriptionID: uint32(r.bounded(math.MaxUint32)),
	}
	if s.QoS > mqtt.ExactlyOnce {
		r.fail()
	}
	return s, r.end()
}

// appendMessageHead is all of a message but its data: flags, ReceivedAt (8 bytes), [ExpiresAt, 8 bytes], [Author],
// ClientID, length of the topic, length of the properties. The data follows.
func appendMessageHead(dst []byte, m *message.Message) []byte {
	_, topicLen, propsLen := m.Data()
	dst = append(dst, byte(m.QoS)|flag(m.Retain, bitRetain)|flag(m.Author != nil, bitAuthor)|flag(m.ExpiresAt != 0, bitExpires)|
		flag(m.Sealed, bitSealed))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.ReceivedAt))
	if m.ExpiresAt != 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(m.ExpiresAt))
	}
	if m.Author != nil {
		dst = appendPrincipal(dst, m.Author)
	}
	dst = appendText(dst, m.ClientID)
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(topicLen)), uint64(propsLen))
}

// parseMessage builds a message that shares nothing with b. Its Author comes from authors.
func parseMessage(b []byte, authors *authors) (*message.Message, error) {
	r := reader{b: b}
	f := r.byte()
	if f&bitsQoS > byte(mqtt.ExactlyOnce) || f&^(bitsQoS|bitRetain|bitAuthor|bitExpires|bitSealed) != 0 {
		r.fail()
	}
	received, expires := r.int64(), int64(0)
	if f&bitExpires != 0 {
		expires = r.int64()
	}
	var author *identity.Principal
	if f&bitAuthor != 0 {
		author = authors.read(&r)
	}
	client := r.text()
	topicLen, propsLen := r.uint(), r.uint()
	if r.err == nil && (topicLen > uint64(len(r.b)) || propsLen > uint64(len(r.b))-topicLen) {
		r.fail()
	}
	if r.err != nil {
		return nil, r.err
	}
	m := message.Restore(append(make([]byte, 0, len(r.b)), r.b...), int(topicLen), int(propsLen))
	m.QoS, m.Retain, m.Author, m.ClientID = mqtt.QoS(f&bitsQoS), f&bitRetain != 0, author, client
	m.ReceivedAt, m.ExpiresAt, m.Sealed = received, expires, f&bitSealed != 0
	return m, nil
}

// appendWillHead: Delay, Due (8 bytes), ClientID, Principal. The message follows.
func appendWillHead(dst []byte, w *store.Will) []byte {
	dst = binary.AppendUvarint(dst, uint64(w.Delay))
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.Due))
	return appendPrincipal(appendText(dst, w.ClientID), &w.Principal)
}

func parseWill(b []byte, authors *authors) (store.Will, error) {
	r := reader{b: b}
	w := store.Will{Delay: uint32(r.bounded(math.MaxUint32)), Due: r.int64(), ClientID: r.text(), Principal: r.principal()}
	if r.err != nil {
		return store.Will{}, r.err
	}
	m, err := parseMessage(r.b, authors)
	w.Message = m
	return w, err
}

// authors shares the principals of messages that are read one after the other: most have few authors. It is for one
// goroutine.
type authors struct {
	known map[string]*identity.Principal
}

// maxAuthors bounds the table; beyond it principals are no longer shared.
const maxAuthors = 4096

func (a *authors) read(r *reader) *identity.Principal {
	start := r.b
	p := r.principal()
	if r.err != nil {
		return nil
	}
	encoded := start[:len(start)-len(r.b)]
	if shared := a.known[string(encoded)]; shared != nil {
		return shared
	}
	if a.known == nil {
		a.known = map[string]*identity.Principal{}
	}
	if len(a.known) < maxAuthors {
		a.known[string(encoded)] = &p
	}
	return &p
}

// reader takes a record apart. After the first error it returns zero values.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	r.b = nil
	if r.err == nil {
		r.err = errRecord
	}
}

// end reports the error, also when something is left over.
func (r *reader) end() error {
	if len(r.b) != 0 {
		r.fail()
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) int64() int64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return int64(v)
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bounded(limit uint64) uint64 {
	v := r.uint()
	if v > limit {
		r.fail()
		return 0
	}
	return v
}

func (r *reader) text() string { return string(r.bytes()) }

// bytes is a text that lies in the record.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) principal() identity.Principal {
	return identity.Principal{Method: r.text(), Issuer: r.text(), Name: r.text()}
}
