package mqtt

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// samePacket compares packets by their fields. An empty slice is as good as none; CredentialPrefix is derived.
var samePacket = []cmp.Option{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Connect{}, "CredentialPrefix")}

// mustAppend encodes p.
func mustAppend(tb testing.TB, p Packet, v Version) []byte {
	tb.Helper()
	b, err := p.Append(nil, v)
	if err != nil {
		tb.Fatalf("append %s %s: %v", v, p.Type(), err)
	}
	return b
}

// parseFrame decodes one whole packet.
func parseFrame(b []byte, v Version) (Packet, error) {
	h, n, err := ParseHeader(b, v)
	if err != nil {
		return nil, err
	}
	if n == 0 || len(b) != n+h.Remaining {
		return nil, errors.New("not one whole packet")
	}
	return Parse(v, h, b[n:])
}

func TestRoundTrip(t *testing.T) {
	for _, v := range versions {
		for _, p := range samples(v) {
			prefix := []byte("before")
			b, err := p.Append(prefix, v)
			if err != nil {
				t.Fatalf("%s %s: %v", v, p.Type(), err)
			}
			if !bytes.HasPrefix(b, prefix) {
				t.Errorf("%s %s: Append changed what was there before", v, p.Type())
			}
			b = b[len(prefix):]
			got, err := parseFrame(b, v)
			if err != nil {
				t.Errorf("%s %s: %v\n% x", v, p.Type(), err, b)
				continue
			}
			if diff := cmp.Diff(p, got, samePacket...); diff != "" {
				t.Errorf("%s %s: (-want +got)\n%s", v, p.Type(), diff)
			}
		}
	}
}

// TestTruncated cuts every sample at every place, once with the Remaining Length corrected, so that the parser of the
// packet meets the cut, and once without.
func TestTruncated(t *testing.T) {
	for _, v := range versions {
		for _, p := range samples(v) {
			b := mustAppend(t, p, v)
			h, n, _ := ParseHeader(b, v)
			for cut := range len(b) {
				if _, m, err := ParseHeader(b[:cut], v); err != nil || m != 0 && m != n {
					t.Errorf("%s %s: header of the first %d bytes: n=%d, %v", v, p.Type(), cut, m, err)
				}
			}
			for cut := range h.Remaining {
				body := b[n : n+cut : n+cut]
				got := New(p.Type())
				err := got.Parse(v, h.Flags, body)
				if err == nil && !shortForm(p, v, body) {
					t.Errorf("%s %s: the first %d of %d body bytes were accepted: %v", v, p.Type(), cut, h.Remaining, got)
				}
				if err != nil && !errors.As(err, new(*Error)) {
					t.Errorf("%s %s: %T is not *Error", v, p.Type(), err)
				}
			}
		}
	}
}

// shortForm reports whether body, the start of p, is a packet of its own.
func shortForm(p Packet, v Version, body []byte) bool {
	switch p := p.(type) {
	case *Publish: // any cut of the payload
		return len(body) >= len(mustLen(p, v))-len(p.Payload)
	case *Subscribe: // a cut between filters
		for i := range p.Subscriptions {
			c := *p
			c.Subscriptions = c.Subscriptions[:i]
			if i > 0 && len(mustLen(&c, v)) == len(body) {
				return true
			}
		}
	case *Unsubscribe:
		for i := range p.Filters {
			c := *p
			c.Filters = c.Filters[:i]
			if i > 0 && len(mustLen(&c, v)) == len(body) {
				return true
			}
		}
	case *Suback:
		return len(body) >= len(mustLen(p, v))-len(p.ReasonCodes)+1
	case *Unsuback:
		return v == V5 && len(body) >= len(mustLen(p, v))-len(p.ReasonCodes)+1
	case *Puback, *Pubrec, *Pubrel, *Pubcomp:
		return v == V5 && (len(body) == 2 || len(body) == 3)
	case *Disconnect:
		return v == V5 && len(body) <= 1
	case *Auth:
		return len(body) == 0
	case *Connect: // 3.1 packets may end before User Name or Password
		c := *p
		c.HasPassword = false
		if v == V31 && c.HasUsername && len(mustLen(&c, v)) == len(body) {
			return true
		}
		c.HasUsername = false
		return v == V31 && len(mustLen(&c, v)) == len(body)
	}
	return false
}

// mustLen returns the body of the encoded packet.
func mustLen(p Packet, v Version) []byte {
	b, err := p.Append(nil, v)
	if err != nil {
		panic(err)
	}
	_, n, _ := ParseHeader(b, v)
	return b[n:]
}

// TestExcess adds a byte to every packet whose last field is not open-ended.
func TestExcess(t *testing.T) {
	for _, v := range versions {
		for _, p := range samples(v) {
			switch p.(type) {
			case *Publish, *Suback:
				continue
			}
			b := mustAppend(t, p, v)
			h, n, _ := ParseHeader(b, v)
			for _, extra := range []string{"\xEE", "\xEE\xEE\xEE\xEE\xEE"} {
				if err := New(p.Type()).Parse(v, h.Flags, append(b[n:len(b):len(b)], extra...)); err == nil {
					t.Errorf("%s %s with %d more bytes was accepted", v, p.Type(), len(extra))
				}
			}
		}
	}
}

// TestFlags tries all flag values of all types; the only ones accepted are those of table 2-2 of the standard.
func TestFlags(t *testing.T) {
	for _, v := range versions {
		for typ := PacketType(0); typ < 16; typ++ {
			for flags := range byte(16) {
				want := flags == 0
				switch typ {
				case 0:
					want = false
				case TypePublish:
					want = flags&6 != 6 && flags&0xE != 8
				case TypePubrel, TypeSubscribe, TypeUnsubscribe:
					want = flags == 2 || v == V31 && flags == 0xA
				case TypeAuth:
					want = flags == 0 && v == V5
				}
				_, _, err := ParseHeader([]byte{byte(typ)<<4 | flags}, v)
				if (err == nil) != want {
					t.Errorf("%s %s flags %x: %v", v, typ, flags, err)
				}
				if p := New(typ); p != nil && err != nil && typ != TypeAuth {
					if direct := p.Parse(v, flags, nil); direct == nil || direct.Error() != err.Error() {
						t.Errorf("%s %s flags %x: header refused with %v, packet with %v", v, typ, flags, err, direct)
					}
				}
			}
		}
	}
}

// TestParseReuse parses packets again into what another packet of the type left behind: nothing of that may show, and
// after the first time nothing is allocated.
func TestParseReuse(t *testing.T) {
	for _, v := range versions {
		kept := map[PacketType]Packet{}
		for range 2 {
			for _, p := range samples(v) {
				b := mustAppend(t, p, v)
				h, n, _ := ParseHeader(b, v)
				into := kept[p.Type()]
				if into == nil {
					into = New(p.Type())
					kept[p.Type()] = into
				}
				if err := into.Parse(v, h.Flags, b[n:]); err != nil {
					t.Fatalf("%s %s: %v", v, p.Type(), err)
				}
				if diff := cmp.Diff(p, into, samePacket...); diff != "" {
					t.Errorf("%s %s parsed into a used packet: (-want +got)\n%s", v, p.Type(), diff)
				}
				out := make([]byte, 0, len(b))
				if n := testing.AllocsPerRun(20, func() {
					if err := into.Parse(v, h.Flags, b[n:]); err != nil {
						t.Fatal(err)
					}
					if _, err := into.Append(out, v); err != nil {
						t.Fatal(err)
					}
				}); n != 0 {
					t.Errorf("%s %s: %v allocations in steady state", v, p.Type(), n)
				}
			}
		}
	}
}

// TestClone overwrites the buffer that a packet was parsed from: the clone must not change.
func TestClone(t *testing.T) {
	for _, v := range versions {
		for _, p := range samples(v) {
			b := mustAppend(t, p, v)
			got, err := parseFrame(b, v)
			if err != nil {
				t.Fatal(err)
			}
			clone := clonePacket(got)
			if clone == nil {
				continue
			}
			clear(b)
			if diff := cmp.Diff(p, clone, samePacket...); diff != "" {
				t.Errorf("%s %s: clone changed with the buffer: (-want +got)\n%s", v, p.Type(), diff)
			}
		}
	}
}

// clonePacket clones the packets that can be cloned.
func clonePacket(p Packet) Packet {
	switch p := p.(type) {
	case *Connect:
		return p.Clone()
	case *Publish:
		return p.Clone()
	case *Subscribe:
		return p.Clone()
	case *Unsubscribe:
		return p.Clone()
	case *Disconnect:
		return p.Clone()
	case *Auth:
		return p.Clone()
	}
	return nil
}

// diffPackets tells how two packets differ; it is empty when they do not.
func diffPackets(a, b Packet) string { return cmp.Diff(a, b, samePacket...) }
