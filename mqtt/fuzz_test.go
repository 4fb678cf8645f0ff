package mqtt

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// addSamples seeds f with every sample of every version and with every malformed packet.
func addSamples(f *testing.F) {
	for _, v := range versions {
		for _, p := range samples(v) {
			f.Add(byte(v), mustAppend(f, p, v))
		}
	}
	for _, list := range [][]malformed{malformedConnects(), malformedPublishes(), malformedSubscribes(), malformedOthers()} {
		for _, c := range list {
			if len(c.b) < 1000 {
				f.Add(byte(c.v), c.b)
			}
		}
	}
}

// checkFixedPoint encodes an accepted packet and decodes it again: the packet must be the same, and encoding it once
// more must give the same bytes.
func checkFixedPoint(t *testing.T, p Packet, v Version) []byte {
	t.Helper()
	b1, err := p.Append(nil, v)
	if err != nil {
		t.Fatalf("accepted %s %s cannot be encoded: %v", v, p.Type(), err)
	}
	q, err := parseFrame(b1, v)
	if err != nil {
		t.Fatalf("encoded %s %s is refused: %v\n% x", v, p.Type(), err, b1)
	}
	if diff := cmp.Diff(p, q, samePacket...); diff != "" {
		t.Fatalf("%s %s changed: (-first +second)\n%s", v, p.Type(), diff)
	}
	b2, err := q.Append(nil, v)
	if err != nil || !bytes.Equal(b1, b2) {
		t.Fatalf("%s %s: append is no fixed point of parse: %v\n% x\n% x", v, p.Type(), err, b1, b2)
	}
	return b1
}

// FuzzParse parses one packet of any type and version. What is accepted must survive encoding; what is refused must
// be refused with an *Error that names a clause.
func FuzzParse(f *testing.F) {
	addSamples(f)
	f.Fuzz(func(t *testing.T, version byte, b []byte) {
		v := versions[int(version)%len(versions)]
		h, n, err := ParseHeader(b, v)
		if err == nil && (n == 0 || len(b) < n+h.Remaining) {
			return // incomplete
		}
		var p Packet
		if err == nil {
			b = b[:n+h.Remaining]
			p, err = Parse(v, h, b[n:])
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || !e.Code.IsError() || e.Clause == "" || e.Err == nil {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		if c, ok := p.(*Connect); ok {
			v = c.ProtocolVersion
		}
		out := checkFixedPoint(t, p, v)
		if p.Type() == TypePublish && p.(*Publish).QoS > 0 {
			at := PacketIDOffset(out)
			if at < 0 || PacketID(out[at])<<8|PacketID(out[at+1]) != p.(*Publish).PacketID {
				t.Fatalf("Packet Identifier is not at %d", at)
			}
		}
	})
}

// FuzzReadPacket reads a stream of packets: however it is cut into reads, the packets are the same, and memory follows
// what was received and not what was announced.
func FuzzReadPacket(f *testing.F) {
	for _, v := range versions {
		var stream []byte
		for _, p := range samples(v) {
			stream = append(stream, mustAppend(f, p, v)...)
		}
		f.Add(byte(v), stream)
	}
	f.Add(byte(0), []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, 'a'})
	f.Fuzz(func(t *testing.T, version byte, b []byte) {
		v := versions[int(version)%len(versions)]
		readAll := func(r io.Reader) (types []PacketType, err error) {
			reader := NewReader(r, v, 0)
			for {
				p, err := reader.ReadPacket()
				if err != nil {
					return types, err
				}
				types = append(types, p.Type())
			}
		}
		types, err := readAll(bytes.NewReader(b))
		slow, slowErr := readAll(iotest.OneByteReader(bytes.NewReader(b)))
		if diff := cmp.Diff(types, slow); diff != "" || err.Error() != slowErr.Error() {
			t.Fatalf("depends on how the stream is cut: %v, %v\n%s", err, slowErr, diff)
		}
		room := &roomReader{r: iotest.OneByteReader(bytes.NewReader(b))}
		_, _ = readAll(room)
		if room.most > max(4096, 2*len(b)) {
			t.Fatalf("room for %d bytes was made for %d bytes of input", room.most, len(b))
		}
	})
}

// FuzzProperties parses properties in the context of every packet type.
func FuzzProperties(f *testing.F) {
	for _, p := range samplesV5() {
		if pub, ok := p.(*Publish); ok {
			b, err := pub.Properties.Append(nil, TypePublish)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(TypePublish), b)
		}
	}
	f.Add(byte(TypeConnack), []byte("\x24\x01\x25\x00\x12\x00\x01a"))
	f.Fuzz(func(t *testing.T, typ byte, b []byte) {
		pt := PacketType(typ & 15)
		var p, q Properties
		if err := p.Parse(b, pt); err != nil {
			return
		}
		out, err := p.Append(nil, pt)
		if err != nil {
			t.Fatalf("accepted properties cannot be encoded: %v", err)
		}
		if len(out) != len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(out))
		}
		if err := q.Parse(out, pt); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, q, samePacket...); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(p, p.Clone(), samePacket...); diff != "" {
			t.Fatal(diff)
		}
	})
}

// roomReader remembers the most room that a reader of it offered.
type roomReader struct {
	r    io.Reader
	most int
}

func (r *roomReader) Read(p []byte) (int, error) {
	r.most = max(r.most, len(p))
	return r.r.Read(p)
}
