package load

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// tagSize is what every payload ends with: time sent, publisher, number.
const tagSize = 8 + 4 + 4

// signatureSize is what follows the payload in a signed message (COSE_Sign1, RFC 9052 §4.2): a byte string of 64 bytes.
const signatureSize = 2 + 64

// tag is the last part of a payload.
type tag struct {
	sent      time.Duration // since epoch
	publisher uint32
	number    uint32
}

// epoch is what times in tags count from.
var epoch = time.Now()

func (t tag) put(b []byte) {
	binary.LittleEndian.PutUint64(b, uint64(t.sent))
	binary.LittleEndian.PutUint32(b[8:], t.publisher)
	binary.LittleEndian.PutUint32(b[12:], t.number)
}

// tagOf reads the tag at the end of a PUBLISH, or before its payload's signature.
func tagOf(frame []byte, trailer int) (tag, bool) {
	at := len(frame) - trailer - tagSize
	if at < 0 {
		return tag{}, false
	}
	b := frame[at:]
	return tag{time.Duration(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])}, true
}

// mould makes the PUBLISH packets of one publisher: a copy of one that is encoded, with what differs put in its place. A
// signed one is encoded each time.
type mould struct {
	publisher uint32
	next      uint32 // number
	frame     []byte
	idAt      int // of the Packet Identifier; -1 with QoS 0
	digitsAt  int // of the eight digits that choose names; -1 if the topic stays
	choose    func(number uint32) int
	sign      *protect.Sealer
	version   mqtt.Version
	packet    mqtt.Publish
	sealed    []byte
}

// digits stand in a topic for what choose returns.
const digits = "00000000"

// newMould prepares packets. Where the topic has digits, choose says for each message what they are.
func newMould(o *Options, publisher int, p mqtt.Publish, choose func(number uint32) int) (*mould, error) {
	m := &mould{publisher: uint32(publisher), idAt: -1, digitsAt: -1, choose: choose, version: o.Version, packet: p}
	m.packet.Payload = make([]byte, o.Payload)
	for i := range m.packet.Payload {
		m.packet.Payload[i] = byte('a' + i%26)
	}
	if p.QoS > 0 {
		m.packet.PacketID = 1
	}
	if o.Signing != "" {
		return m, m.signWith(o.Signing, login(publishing, publisher))
	}
	var err error
	if m.frame, err = m.packet.Append(nil, o.Version); err != nil {
		return nil, err
	}
	if p.QoS > 0 {
		m.idAt = mqtt.PacketIDOffset(m.frame)
	}
	if choose != nil {
		_, header, _ := mqtt.ParseHeader(m.frame, o.Version)
		for i := range p.Topic {
			if p.Topic[i:min(len(p.Topic), i+len(digits))] == digits {
				m.digitsAt = header + 2 + i
				break
			}
		}
	}
	return m, nil
}

// signWith finds the publisher's key.
func (m *mould) signWith(folder, name string) error {
	dir, err := keyring.Open(folder, keyring.Secret{})
	if err != nil {
		return err
	}
	for _, rec := range dir.Ring().Records() {
		if rec.Group != name {
			continue
		}
		s, err := protect.OpenSession(dir.Boot(rec.KID))
		if err != nil {
			return err
		}
		m.sign, err = protect.NewSealer(protect.SealerConfig{Key: rec, Session: s})
		return err
	}
	return fmt.Errorf("%s: no key is called %s", folder, name)
}

// append appends the next packet.
func (m *mould) append(dst []byte, id uint16, now time.Duration) ([]byte, error) {
	t := tag{now, m.publisher, m.next}
	m.next++
	if m.sign != nil {
		return m.appendSigned(dst, id, t)
	}
	at := len(dst)
	dst = append(dst, m.frame...)
	b := dst[at:]
	if m.idAt >= 0 {
		binary.BigEndian.PutUint16(b[m.idAt:], id)
	}
	if m.digitsAt >= 0 {
		putDigits(b[m.digitsAt:m.digitsAt+len(digits)], m.choose(t.number))
	}
	t.put(b[len(b)-tagSize:])
	return dst, nil
}

func (m *mould) appendSigned(dst []byte, id uint16, t tag) ([]byte, error) {
	t.put(m.packet.Payload[len(m.packet.Payload)-tagSize:])
	var err error
	if m.sealed, err = m.sign.Seal(m.sealed[:0], &protect.Message{Topic: m.packet.Topic, Payload: m.packet.Payload}); err != nil {
		return dst, err
	}
	p := m.packet
	p.Payload = m.sealed
	if p.QoS > 0 {
		p.PacketID = mqtt.PacketID(id)
	}
	return p.Append(dst, m.version)
}

func putDigits(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// numbered is a topic of a scenario that has many; it has as many digits as the mould.
func numbered(prefix, kind string, n int) string {
	s := strconv.Itoa(n)
	return prefix + "/" + kind + "/" + digits[:max(0, len(digits)-len(s))] + s + "/v"
}
