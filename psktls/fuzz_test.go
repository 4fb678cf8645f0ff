package psktls

import (
	"bytes"
	"net"
	"runtime/metrics"
	"testing"
	"time"
)

// script is a transport that plays one side's octets and then ends.
type script struct {
	in  bytes.Reader
	out bytes.Buffer
}

func (s *script) Read(b []byte) (int, error)       { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error)      { return s.out.Write(b) }
func (*script) Close() error                       { return nil }
func (*script) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (*script) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (*script) SetDeadline(time.Time) error        { return nil }
func (*script) SetReadDeadline(time.Time) error    { return nil }
func (*script) SetWriteDeadline(t time.Time) error { return nil }

// allocated is the heap ever allocated by this process, in octets.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// play runs a handshake against octets of someone who has not the key. It must
// fail, without a panic inside, and allocate in proportion to what was sent.
func play(t *testing.T, c *Conn, input []byte) {
	t.Helper()
	s := c.transport.(*script)
	s.in.Reset(input)
	before := allocated()
	err := c.Handshake()
	if used := allocated() - before; used > 1<<20+64*uint64(len(input)) {
		t.Errorf("%d octets allocated for %d received", used, len(input))
	}
	var e *Error
	switch {
	case err == nil || c.ConnectionState().HandshakeComplete || c.PSKIdentity() != "":
		t.Fatal("a handshake without the key succeeded")
	case !isError(err, &e):
		t.Fatalf("error of another type: %v", err)
	case e.Check == CheckInternal:
		t.Fatalf("internal: %v", err)
	}
	if n, err := c.Read(make([]byte, 100)); n != 0 || err == nil {
		t.Fatalf("Read after a failed handshake gives %d, %v", n, err)
	}
	if c.in.raw != nil || c.in.hand != nil || c.out.flight != nil {
		t.Fatal("buffers are left")
	}
	if s.out.Len() > 4096 {
		t.Fatalf("%d octets sent in answer", s.out.Len())
	}
}

func isError(err error, e **Error) bool {
	x, ok := err.(*Error) //nolint:errorlint // the very type is what is checked
	*e = x
	return ok
}

// firstFlight is what a client sends first, and for TLS 1.2 with what it would
// send on a given answer.
func firstFlight(t testing.TB, config *Config, edit func(*clientHello)) []byte {
	t.Helper()
	m := &handmade{Conn: Client(&script{}, config), edit: edit}
	_ = m.run()
	return m.transport.(*script).out.Bytes()
}

func fuzzServer() *Config {
	c := serverConfig()
	c.AllowNoForwardSecrecy = true
	c.NextProtos = []string{"mqtt"}
	return c
}

func FuzzServerFirstFlight(f *testing.F) {
	for _, v := range []uint16{VersionTLS12, VersionTLS13} {
		client := clientConfig()
		client.MaxVersion, client.AllowNoForwardSecrecy, client.NextProtos = v, true, []string{"mqtt"}
		f.Add(firstFlight(f, client, nil))
		client.Groups = x25519First
		f.Add(firstFlight(f, client, nil))
		client.Groups = []uint16{GroupP384}
		f.Add(firstFlight(f, client, func(h *clientHello) { h.groups = []uint16{GroupP256} }))
	}
	f.Add([]byte("\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02id"))
	f.Add([]byte{22, 3, 1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) { play(t, Server(&script{}, fuzzServer()), data) })
}

// FuzzServerSecondFlight has a valid ClientHello of someone with the key in
// front (an attacker can replay one), and fuzzes what follows.
func FuzzServerSecondFlight(f *testing.F) {
	tls12, plain12, tls13 := clientConfig(), clientConfig(), clientConfig()
	tls12.MaxVersion = VersionTLS12
	plain12.MaxVersion, plain12.AllowNoForwardSecrecy = VersionTLS12, true
	plain12.CipherSuites = []uint16{TLS_PSK_WITH_AES_128_GCM_SHA256}
	tls13.MinVersion = VersionTLS13
	hellos := [][]byte{
		firstFlight(f, tls12, nil), firstFlight(f, plain12, nil), firstFlight(f, tls13, nil),
		firstFlight(f, tls13, func(h *clientHello) { h.shares = []keyShare{{0x6399, []byte{1}}}; h.groups = append(h.groups, 0x6399) }),
	}
	ccs := []byte{20, 3, 3, 0, 1, 1}
	exchange := []byte{22, 3, 3, 0, 14, typeClientKeyExchange, 0, 0, 10, 0, 8, 's', 'e', 'n', 's', 'o', 'r', '-', '7'}
	f.Add(byte(1), append(append(bytes.Clone(exchange), ccs...), 22, 3, 3, 0, 40, 1, 2, 3))
	f.Add(byte(2), append(append(bytes.Clone(ccs), 23, 3, 3, 0, 53), make([]byte, 53)...))
	f.Add(byte(3), bytes.Clone(hellos[2]))
	f.Add(byte(0), []byte{21, 3, 3, 0, 2, 2, 40})
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		hello := hellos[int(which)%len(hellos)]
		play(t, Server(&script{}, fuzzServer()), append(bytes.Clone(hello), data...))
	})
}

func FuzzClient(f *testing.F) {
	for _, v := range []uint16{VersionTLS12, VersionTLS13} {
		server, client := only(v)
		s := Server(&script{}, server)
		s.transport.(*script).in.Reset(firstFlight(f, client, nil))
		_ = s.Handshake()
		f.Add(s.transport.(*script).out.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config := clientConfig()
		config.AllowNoForwardSecrecy = true
		play(t, Client(&script{}, config), data)
	})
}

// FuzzClientHello: what parses keeps the binders inside the message, and every
// slice is a part of it.
func FuzzClientHello(f *testing.F) {
	_, client := only(VersionTLS13)
	f.Add(firstFlight(f, client, nil)[recordHeaderLen:])
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < messageHeaderLen || len(raw) > maxMessage {
			return
		}
		h, err := parseClientHello(raw)
		if err != nil {
			return
		}
		if len(h.identities) != len(h.binders) || h.hasPreSharedKey != (len(h.identities) > 0) {
			t.Fatalf("%d identities, %d binders", len(h.identities), len(h.binders))
		}
		if h.hasPreSharedKey {
			n := 2
			for _, b := range h.binders {
				n += 1 + len(b)
			}
			if h.bindersAt+n != len(raw) {
				t.Fatalf("binders at %d with %d octets, message has %d", h.bindersAt, n, len(raw))
			}
		}
	})
}

// FuzzOpenRecord: nothing but what was sealed opens, for every suite.
func FuzzOpenRecord(f *testing.F) {
	f.Add(byte(0), []byte{23, 3, 3, 0, 20, 1, 2, 3})
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		if len(data) < recordHeaderLen {
			return
		}
		typ, n, err := parseRecordHeader(data)
		if err != nil || n != len(data)-recordHeaderLen {
			return
		}
		_, receive := protections(t, allSuites[int(which)%len(allSuites)])
		if got, plain, err := receive.open(bytes.Clone(data)); err == nil {
			t.Fatalf("a record of type %d opens as %d: %x", typ, got, plain)
		}
	})
}
