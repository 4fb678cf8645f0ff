package psktls

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"testing"
)

// lowOrder are X25519 public values whose shared secret is all zeros.
var lowOrder = [][]byte{
	make([]byte, 32),
	append([]byte{1}, make([]byte, 31)...),
	append(append([]byte{0xec}, repeatByte(0xff, 30)...), 0x7f),
	append(append([]byte{0xed}, repeatByte(0xff, 30)...), 0x7f),
}

// TestHelloRefusals13: one thing wrong in a ClientHello of TLS 1.3 at a time.
func TestHelloRefusals13(t *testing.T) {
	share := func(group uint16) keyShare {
		key, err := ephemeral(group)
		if err != nil {
			t.Fatal(err)
		}
		return keyShare{group, key.PublicKey().Bytes()}
	}
	for _, c := range []struct {
		name  string
		edit  func(*clientHello)
		patch func([]byte) []byte
		check Check
		alert Alert
	}{
		{"no modes", nil, func(raw []byte) []byte {
			return bytes.Replace(raw, []byte{0, 45, 0, 2, 1, 1}, []byte{0xfa, 45, 0, 2, 1, 1}, 1)
		}, CheckExtension, AlertMissingExtension},
		{"psk_ke only", func(h *clientHello) { h.modes = []byte{modePSK} }, nil, CheckKEMode, AlertHandshakeFailure},
		{"unknown mode", func(h *clientHello) { h.modes = []byte{9} }, nil, CheckKEMode, AlertHandshakeFailure},
		{"share outside groups", func(h *clientHello) { h.groups = []uint16{GroupP256} }, nil, CheckKeyShare, AlertIllegalParameter},
		{"two shares of one group", func(h *clientHello) { h.shares = append(h.shares, h.shares[0]) }, nil, CheckKeyShare, AlertIllegalParameter},
		{"compression", func(h *clientHello) { h.compressions = []byte{0, 1} }, nil, CheckMessage, AlertIllegalParameter},
		{"unknown suites", func(h *clientHello) { h.suites = []uint16{0x1A1A, TLS_AES_256_GCM_SHA384} }, nil, CheckSuite, AlertHandshakeFailure},
		{"CCM_8 not named", func(h *clientHello) { h.suites = []uint16{TLS_AES_128_CCM_8_SHA256} }, nil, CheckSuite, AlertHandshakeFailure},
		{"short P-256 share", func(h *clientHello) {
			h.groups = []uint16{GroupP256}
			h.shares = []keyShare{{GroupP256, repeatByte(4, 64)}}
		}, nil, CheckKeyShare, AlertIllegalParameter},
		{"P-256 point off the curve", func(h *clientHello) {
			h.groups = []uint16{GroupP256}
			h.shares = []keyShare{{GroupP256, repeatByte(4, 65)}}
		}, nil, CheckKeyShare, AlertIllegalParameter},
		{"early_data once", nil, insertExtension(extEarlyData, nil), "", AlertNone},
		{"second supported_groups", nil, insertExtension(extSupportedGroups, []byte{0, 2, 0, 29}), CheckMessage, AlertIllegalParameter},
		{"early_data with a body", nil, insertExtension(extEarlyData, []byte{1}), CheckMessage, AlertDecodeError},
		{"pre_shared_key not last", nil, insertExtension(extPreSharedKey, []byte{0, 0}), CheckMessage, AlertDecodeError},
		{"legacy_version", nil, func(raw []byte) []byte { raw[5] = 2; return raw }, CheckMessage, AlertIllegalParameter},
		{"two valid shares", func(h *clientHello) { h.shares = append(h.shares, share(GroupP256)) }, nil, "", AlertNone},
		{"GREASE", func(h *clientHello) { h.suites = append([]uint16{0x2A2A}, h.suites...) }, insertExtension(0x3A3A, []byte{0}), "", AlertNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, client := only(VersionTLS13)
			server := serverConfig()
			client.MinVersion, client.Groups, server.Groups = VersionTLS13, x25519First, x25519First
			m := &handmade{edit: c.edit, patch: c.patch}
			s, serverErr, clientErr := meet(t, server, client, m)
			if c.check == "" {
				if serverErr != nil || clientErr != nil {
					t.Fatalf("server %v, client %v", serverErr, clientErr)
				}
				return
			}
			wantCheck(t, serverErr, c.check, c.alert)
			wantCheck(t, clientErr, CheckPeerAlert, c.alert)
			if s.PSKIdentity() != "" {
				t.Error("identity of a refused client")
			}
		})
	}
}

// TestHelloRefusals12: the same for TLS 1.2.
func TestHelloRefusals12(t *testing.T) {
	for _, c := range []struct {
		name  string
		max   uint16 // of the server
		edit  func(*clientHello)
		patch func([]byte) []byte
		check Check
		alert Alert
	}{
		{"fallback", 0, func(h *clientHello) { h.suites = append(h.suites, scsvFallback) }, nil, CheckFallback, AlertInappropriateFallback},
		{"fallback to the server's best", VersionTLS12, func(h *clientHello) { h.suites = append(h.suites, scsvFallback) }, nil, "", AlertNone},
		{"renegotiation by suite value", 0, func(h *clientHello) { h.suites = append(h.suites, scsvRenegotiation) }, nil, "", AlertNone},
		{"no extended master secret", 0, nil, func(raw []byte) []byte {
			return bytes.Replace(raw, []byte{0, 23, 0, 0, 0xff, 1}, []byte{0xfa, 23, 0, 0, 0xff, 1}, 1)
		}, CheckEMS, AlertHandshakeFailure},
		{"renegotiation", 0, nil, func(raw []byte) []byte {
			return bytes.Replace(raw, []byte{0xff, 1, 0, 1, 0}, []byte{0xff, 1, 0, 1, 1}, 1)
		}, CheckMessage, AlertDecodeError},
		{"compression only", 0, func(h *clientHello) { h.compressions = []byte{1} }, nil, CheckMessage, AlertIllegalParameter},
		{"no common group", 0, func(h *clientHello) { h.groups = []uint16{0x6399} }, nil, CheckGroup, AlertHandshakeFailure},
		{"compressed points only", 0, func(h *clientHello) { h.pointFormats = []byte{1} }, nil, CheckGroup, AlertIllegalParameter},
		{"plain PSK", 0, func(h *clientHello) { h.suites = []uint16{TLS_PSK_WITH_AES_128_GCM_SHA256} }, nil, CheckSuite, AlertHandshakeFailure},
		{"TLS 1.1", 0, nil, func(raw []byte) []byte { raw[5] = 2; return raw }, CheckVersion, AlertProtocolVersion},
		{"TLS 1.4 in legacy_version", 0, nil, func(raw []byte) []byte { raw[5] = 5; return raw }, "", AlertNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, client := serverConfig(), clientConfig()
			server.MaxVersion, client.MaxVersion = c.max, VersionTLS12
			_, serverErr, clientErr := meet(t, server, client, &handmade{edit: c.edit, patch: c.patch})
			if c.check == "" {
				if serverErr != nil || clientErr != nil {
					t.Fatalf("server %v, client %v", serverErr, clientErr)
				}
				return
			}
			wantCheck(t, serverErr, c.check, c.alert)
			wantCheck(t, clientErr, CheckPeerAlert, c.alert)
		})
	}
}

// TestDowngradeMark: a client that can do TLS 1.3 and is answered with TLS 1.2 by
// a server that can too has been tampered with.
func TestDowngradeMark(t *testing.T) {
	m := &handmade{edit: func(h *clientHello) {
		// What an attacker in the middle would leave of the offer.
		h.versions, h.identities, h.shares = nil, nil, nil
		h.hasEMS, h.pointFormats = true, []byte{0}
	}}
	_, serverErr, clientErr := meet(t, serverConfig(), clientConfig(), m)
	wantCheck(t, clientErr, CheckDowngrade, AlertIllegalParameter)
	wantCheck(t, serverErr, CheckPeerAlert, AlertIllegalParameter)
}

// TestLowOrderPoints: contributory behaviour in both versions and roles.
func TestLowOrderPoints(t *testing.T) {
	for _, point := range lowOrder {
		_, client := only(VersionTLS13)
		m := &handmade{edit: func(h *clientHello) { h.shares = []keyShare{{GroupX25519, point}} }}
		_, serverErr, _ := meet(t, serverConfig(), client, m)
		wantCheck(t, serverErr, CheckKeyShare, AlertIllegalParameter)

		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sharedSecret(key, GroupX25519, point); !errors.Is(err, CheckKeyShare) {
			t.Errorf("point %x: %v", point, err)
		}
	}
}

// TestSeveralIdentities: tickets of another server and unknown names in front of
// the one we know; its binder alone counts.
func TestSeveralIdentities(t *testing.T) {
	many := func(n int) [][]byte {
		out := make([][]byte, n)
		for i := range out {
			out[i] = repeatByte('x', 1+i)
		}
		return out
	}
	known := []byte(testIdentity)
	wrongKey := repeatByte(1, 32)
	forKnown := func(right bool) func(int, []byte) []byte {
		return func(_ int, id []byte) []byte {
			if bytes.Equal(id, known) == right {
				return testKey
			}
			return wrongKey
		}
	}
	for _, c := range []struct {
		name       string
		identities [][]byte
		keys       func(int, []byte) []byte
		selected   uint16
		check      Check
	}{
		{"known last", append(many(3), known), forKnown(true), 3, ""},
		{"known first", append([][]byte{known}, many(3)...), forKnown(true), 0, ""},
		{"known with a wrong binder, the others right", append(many(3), known), forKnown(false), 0, CheckKey},
		{"known behind the bound", append(many(maxIdentities), known), forKnown(true), 0, CheckIdentity},
		{"long identity in front", [][]byte{repeatByte('l', 2000), known}, forKnown(true), 1, ""},
		{"long identity", [][]byte{repeatByte('l', MaxIdentityLen+1)}, forKnown(true), 0, CheckIdentity},
		{"none known", many(3), forKnown(false), 0, CheckIdentity},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, client := only(VersionTLS13)
			lookups := 0
			server.GetKey = func(id []byte) ([]byte, error) {
				if lookups++; len(id) > MaxIdentityLen {
					t.Errorf("GetKey was asked for an identity of %d octets", len(id))
				}
				return oneKey(id)
			}
			m := &handmade{edit: func(h *clientHello) { h.identities = c.identities }, keys: c.keys}
			s, serverErr, clientErr := meet(t, server, client, m)
			if lookups > maxIdentities {
				t.Errorf("%d lookups", lookups)
			}
			if c.check != "" {
				wantCheck(t, serverErr, c.check, AlertDecryptError)
				return
			}
			if c.selected == 0 {
				if serverErr != nil || clientErr != nil || s.PSKIdentity() != testIdentity {
					t.Fatalf("server %v, client %v, identity %q", serverErr, clientErr, s.PSKIdentity())
				}
				return
			}
			// The server took the binder of a later identity. Our client
			// offers one identity and refuses any other index.
			wantCheck(t, clientErr, CheckIdentity, AlertIllegalParameter)
			wantCheck(t, serverErr, CheckPeerAlert, AlertIllegalParameter)
		})
	}
}

// TestEarlyDataIsSkipped: records under early keys that a server does not have
// are dropped, with and without HelloRetryRequest, up to a bound.
func TestEarlyDataIsSkipped(t *testing.T) {
	early := func(n, records int) func(*Conn) error {
		return func(c *Conn) error {
			rec := append([]byte{byte(recordApplicationData), 3, 3, byte(n >> 8), byte(n)}, repeatByte(0xEE, n)...)
			_, err := c.transport.Write(bytes.Repeat(rec, records))
			return err
		}
	}
	for _, c := range []struct {
		name  string
		offer bool
		extra func(*Conn) error
		retry bool
		check Check
	}{
		{"one record", true, early(100, 1), false, ""},
		{"several", true, early(3000, 5), false, ""},
		{"before a second hello", true, early(1000, 2), true, ""},
		{"too much", true, early(10000, 4), false, CheckRecord},
		{"too much before a second hello", true, early(10000, 4), true, CheckRecord},
		{"not offered", false, early(100, 1), false, CheckRecord},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, client := only(VersionTLS13)
			if c.retry {
				server.Groups, client.Groups = []uint16{GroupP256}, x25519First
			}
			m := &handmade{extra: c.extra}
			if c.offer {
				m.patch = insertExtension(extEarlyData, nil)
			}
			// A pipe has no buffer: let the early data go out beside the server's flight.
			a, b := net.Pipe()
			s := Server(a, server)
			m.Conn = Client(&asyncWriter{Conn: b}, client)
			t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
			done := make(chan error, 1)
			go func() {
				err := s.Handshake()
				if err != nil {
					_ = a.Close()
				}
				done <- err
			}()
			clientErr := m.run()
			if clientErr != nil {
				_ = b.Close()
			}
			serverErr := <-done
			m.transport.(*asyncWriter).wait()
			if c.check != "" {
				if !errors.Is(serverErr, c.check) {
					t.Errorf("server: %v", serverErr)
				}
				return
			}
			if serverErr != nil || clientErr != nil {
				t.Errorf("server %v, client %v", serverErr, clientErr)
			}
		})
	}
}

// asyncWriter is a transport whose writes do not wait for the reader, like a
// socket's.
type asyncWriter struct {
	net.Conn
	queue chan []byte
	done  chan struct{}
}

func (w *asyncWriter) Write(b []byte) (int, error) {
	if w.queue == nil {
		w.queue, w.done = make(chan []byte, 64), make(chan struct{})
		go func() {
			defer close(w.done)
			for b := range w.queue {
				if _, err := w.Conn.Write(b); err != nil {
					for range w.queue { // drain
					}
					return
				}
			}
		}()
	}
	w.queue <- bytes.Clone(b)
	return len(b), nil
}

func (w *asyncWriter) wait() { close(w.queue); <-w.done }

// TestSecondHello: what must not change after HelloRetryRequest.
func TestSecondHello(t *testing.T) {
	for _, c := range []struct {
		name   string
		second func(*clientHello)
		check  Check
	}{
		{"same", func(*clientHello) {}, ""},
		{"other suites", func(h *clientHello) { h.suites = slices.Clone(h.suites[:1]) }, CheckMessage},
		{"other random", func(h *clientHello) { h.random = repeatByte(9, 32) }, CheckMessage},
		{"other groups", func(h *clientHello) { h.groups = []uint16{GroupP256} }, CheckMessage},
		{"other identity", func(h *clientHello) { h.identities = [][]byte{[]byte("x")} }, CheckIdentity},
		{"no TLS 1.3", func(h *clientHello) { h.versions = []uint16{VersionTLS12} }, CheckMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, client := only(VersionTLS13)
			server.Groups, client.Groups = []uint16{GroupP256}, x25519First
			_, serverErr, _ := meet(t, server, client, &handmade{second: c.second})
			if c.check == "" && serverErr != nil || c.check != "" && !errors.Is(serverErr, c.check) {
				t.Errorf("server: %v, want %q", serverErr, string(c.check))
			}
		})
	}
}

// TestMessagesAcrossKeyChange: octets behind a ClientHello in the same record
// would be taken for protected ones.
func TestMessagesAcrossKeyChange(t *testing.T) {
	for _, v := range []uint16{VersionTLS12, VersionTLS13} {
		server, client := only(v)
		client.MaxVersion = v
		m := &handmade{}
		m.patch = nil
		a, b := net.Pipe()
		s := Server(a, server)
		m.Conn = Client(b, client)
		t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
		done := make(chan error, 1)
		go func() { done <- s.Handshake(); _ = a.Close() }()
		hello, _, err := m.makeHello()
		if err != nil {
			t.Fatal(err)
		}
		if v == VersionTLS13 {
			m.binder = newClientBinder(m.settings)
		}
		if err := m.sign(hello); err != nil {
			t.Fatal(err)
		}
		rec, err := m.out.seal(nil, recordHandshake, 0x0301, append(hello.raw, typeFinished, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = b.Write(rec); _, _ = b.Read(make([]byte, 1000)); _ = b.Close() }()
		if err := <-done; v == VersionTLS13 {
			wantCheck(t, err, CheckMessage, AlertUnexpectedMessage)
		} else if err == nil {
			t.Error("a handshake with a part of a Finished in front succeeded")
		}
	}
}

// TestPreSharedKeyMustBeLast: RFC 8446 §4.2.11, or the binders would not cover
// what comes behind.
func TestPreSharedKeyMustBeLast(t *testing.T) {
	_, client := only(VersionTLS13)
	client.MinVersion = VersionTLS13
	raw := firstFlight(t, client, nil)[recordHeaderLen:]
	if _, err := parseClientHello(raw); err != nil {
		t.Fatalf("control: %v", err)
	}
	marker := []byte{0x7a, 0x7a, 0, 0}
	patched := insertExtension(0x7a7a, nil)(bytes.Clone(raw))
	at := bytes.Index(patched, marker)
	behind := slices.Concat(patched[:at], patched[at+len(marker):], marker)
	_, err := parseClientHello(behind)
	wantCheck(t, err, CheckMessage, AlertDecodeError)
}

// TestDecoyKeyNeverAuthenticates: even if the random key of an unknown identity
// were the client's own key, the server would refuse.
func TestDecoyKeyNeverAuthenticates(t *testing.T) {
	for _, v := range []uint16{VersionTLS12, VersionTLS13} {
		server, client := only(v)
		client.Identity = []byte("stranger")
		a, b := net.Pipe()
		s, c := Server(a, server), Client(b, client)
		s.settings.decoys = bytes.NewReader(testKey)
		done := make(chan error, 1)
		go func() { done <- s.Handshake(); _ = a.Close() }()
		if err := c.Handshake(); err == nil {
			t.Errorf("%s: the client is connected", VersionName(v))
		}
		_ = b.Close()
		if err := <-done; !errors.Is(err, CheckIdentity) {
			t.Errorf("%s: %v", VersionName(v), err)
		}
	}
}

// TestReflection: a client that is answered with its own octets, the crudest
// Selfie, does not connect to itself.
func TestReflection(t *testing.T) {
	a, b := net.Pipe()
	c := Client(a, clientConfig())
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := b.Read(buf)
			if err != nil {
				return
			}
			if _, err := b.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	defer b.Close()
	wantCheck(t, c.Handshake(), CheckMessage, AlertUnexpectedMessage)
	_ = a.Close()
}
