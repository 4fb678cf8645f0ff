package transport

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/psktls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is what the broker asks of connections.
type wire interface {
	net.Conn
	ReadEach(f func(b []byte) bool) error
	TryWrite(b []byte) (n int, err error)
	Prove(ctx context.Context) (*identity.Evidence, error)
}

func listenTest(t testing.TB, o Options) *Listener {
	t.Helper()
	if o.Unix == "" {
		o.Address = netip.MustParseAddrPort("127.0.0.1:0")
	}
	l, err := Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// outcome is one side's view of a connection.
type outcome struct {
	conn wire
	ev   *identity.Evidence
	err  error
}

// acceptOne accepts and proves one connection.
func acceptOne(t testing.TB, l *Listener, limit time.Duration) <-chan outcome {
	t.Helper()
	result := make(chan outcome, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			result <- outcome{err: err}
			return
		}
		w := c.(wire)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		ev, err := w.Prove(ctx)
		if err != nil {
			_ = w.Close()
		}
		result <- outcome{w, ev, err}
	}()
	return result
}

const patience = 10 * time.Second

// connect opens a TLS connection through l and returns both ends. The client's error includes that of its first read.
func connect(t testing.TB, l *Listener, config *tls.Config) (*tls.Conn, outcome) {
	t.Helper()
	served := acceptOne(t, l, patience)
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, config)
	handshake := make(chan error, 1)
	go func() { handshake <- c.HandshakeContext(t.Context()) }()
	out := <-served
	if out.err != nil {
		_ = raw.Close()
	}
	<-handshake
	t.Cleanup(func() {
		_ = raw.Close()
		if out.conn != nil {
			_ = out.conn.Close()
		}
	})
	return c, out
}

// TestClientCertificates holds the rules about client certificates against each kind of bad one, in both modes.
func TestClientCertificates(t *testing.T) {
	p := newPKI(t)
	other := newAuthority(t, "other authority")
	revoked := p.client("revoked")
	p.crl(p.path("good.crl"), time.Hour, revoked)
	p.crl(p.path("stale.crl"), -time.Minute)
	for _, c := range []struct {
		name string
		mode ClientMode
		crl  string
		cert []tls.Certificate
		want Check // "" when the client gets in
	}{
		{"require, good", RequireClientCert, "good.crl", []tls.Certificate{p.client("a")}, ""},
		{"require, good, no crl", RequireClientCert, "", []tls.Certificate{p.client("a")}, ""},
		{"require, none", RequireClientCert, "", nil, CheckCertificate},
		{"request, none", RequestClientCert, "good.crl", nil, ""},
		{"request, good", RequestClientCert, "good.crl", []tls.Certificate{p.client("a")}, ""},
		{"no request, one", NoClientCert, "", []tls.Certificate{p.client("a")}, ""},
		{"request, other authority", RequestClientCert, "", []tls.Certificate{other.client("a")}, CheckAuthority},
		{"require, other authority", RequireClientCert, "", []tls.Certificate{other.client("a")}, CheckAuthority},
		{"request, expired", RequestClientCert, "", []tls.Certificate{p.issue("old", x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Minute)
		})}, CheckValidity},
		{"request, not yet valid", RequestClientCert, "", []tls.Certificate{p.issue("new", x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Minute)
		})}, CheckValidity},
		{"require, server's purpose", RequireClientCert, "", []tls.Certificate{p.issue("s", x509.ExtKeyUsageServerAuth, nil)}, CheckPurpose},
		{"require, a name that sounds like none", RequireClientCert, "", []tls.Certificate{other.client("it didn't provide a certificate")}, CheckAuthority},
		{"require, revoked", RequireClientCert, "good.crl", []tls.Certificate{revoked}, CheckRevocation},
		{"request, revoked", RequestClientCert, "good.crl", []tls.Certificate{revoked}, CheckRevocation},
		{"require, stale list", RequireClientCert, "stale.crl", []tls.Certificate{p.client("a")}, CheckCRL},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := p.certificate(c.mode)
			if c.crl != "" {
				o.CRLFile = p.path(c.crl)
			}
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				o.MinVersion = version
				l := listenTest(t, Options{Certificate: o})
				config := p.dial()
				if c.cert != nil { // whatever authorities the server names
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.cert[0], nil }
				}
				config.MaxVersion = version
				_, out := connect(t, l, config)
				if c.want == "" {
					if out.err != nil {
						t.Fatal(out.err)
					}
					shown := c.cert != nil && c.mode != NoClientCert
					if got := len(out.ev.TLS.Chain); shown != (got == 2) || out.ev.TLS.Version != version || !out.ev.Encrypted() {
						t.Errorf("chain of %d, evidence %+v", got, out.ev.TLS)
					}
					continue
				}
				var e *Error
				if !errors.As(out.err, &e) || e.Check != c.want || e.Expected == "" || e.Found == "" {
					t.Errorf("got %v, want a refusal by %s with what was expected and found", out.err, c.want)
				}
			}
		})
	}
}

// TestResumptionChecksAgain revokes a certificate between a session and its resumption.
func TestResumptionChecksAgain(t *testing.T) {
	p := newPKI(t)
	p.crl(p.path("c.crl"), time.Hour)
	cert := p.client("a")
	o := p.certificate(RequireClientCert)
	o.CRLFile = p.path("c.crl")
	l := listenTest(t, Options{Certificate: o})
	config := p.dial(cert)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 2 {
		c, out := connect(t, l, config)
		if out.err != nil {
			t.Fatal(out.err)
		}
		if _, err := out.conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // reads the ticket, too
			t.Fatal(err)
		}
		if resumed := c.ConnectionState().DidResume; resumed != (i == 1) {
			t.Fatalf("connection %d resumed: %v", i, resumed)
		}
		if len(out.ev.TLS.Chain) != 2 {
			t.Fatalf("connection %d has no chain", i)
		}
		if err := l.Entitled(out.ev); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue
		}
		p.crl(p.path("c.crl"), time.Hour, cert)
		if err := l.Reload(); err != nil {
			t.Fatal(err)
		}
		if err := l.Entitled(out.ev); !errors.Is(err, CheckRevocation) {
			t.Errorf("live connection: got %v, want revoked", err)
		}
	}
	if _, out := connect(t, l, config); !errors.Is(out.err, CheckRevocation) {
		t.Errorf("resumption: got %v, want revoked", out.err)
	}
}

// TestHandshakeErrors names what else can go wrong before there is evidence.
func TestHandshakeErrors(t *testing.T) {
	p := newPKI(t)
	l := listenTest(t, Options{Certificate: p.certificate(NoClientCert)})
	old := p.dial()
	old.MaxVersion = tls.VersionTLS12
	if _, out := connect(t, l, old); !errors.Is(out.err, CheckVersion) || !strings.Contains(out.err.Error(), "TLS 1.2") {
		t.Errorf("old version: %v", out.err)
	}
	wrong := p.dial()
	wrong.ServerName = "elsewhere.example"
	if _, out := connect(t, l, wrong); !errors.Is(out.err, CheckPeerAlert) {
		t.Errorf("client that wants another host: %v", out.err)
	}
	for sent, want := range map[string]Check{"\x10\x0c\x00\x04MQTT": CheckRecord, "GET / HTTP/1.1\r\n": CheckRecord, "\x16\x03\x01\x02": CheckTimeout} {
		served := acceptOne(t, l, 300*time.Millisecond)
		raw, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = raw.Write([]byte(sent))
		if out := <-served; !errors.Is(out.err, want) {
			t.Errorf("%q: got %v, want %s", sent, out.err, want)
		}
		_ = raw.Close()
	}
}

// TestReloadIsAllOrNothing breaks each file in turn: the listener goes on with what it had.
func TestReloadIsAllOrNothing(t *testing.T) {
	p := newPKI(t)
	p.crl(p.path("c.crl"), time.Hour)
	o := p.certificate(RequireClientCert)
	o.CRLFile = p.path("c.crl")
	l := listenTest(t, Options{Certificate: o})
	other := newAuthority(t, "other authority")
	for name, spoil := range map[string]func(){
		"key of another": func() {
			other.t = t
			writePEM(t, p.path("server.crt"), 0o644, "CERTIFICATE", other.client("x").Certificate[0])
		},
		"key others can read": func() { p.serve(); write(t, p.path("server.key"), 0o644, "") },
		"ca that is a client": func() { p.serve(); writePEM(t, p.path("ca.crt"), 0o644, "CERTIFICATE", p.client("x").Certificate[0]) },
		"ca others can write": func() { p.serve(); writePEM(t, p.path("ca.crt"), 0o666, "CERTIFICATE", p.cert.Raw) },
		"list of another":     func() { p.serve(); other.crl(p.path("c.crl"), time.Hour) },
		"no list":             func() { p.serve(); write(t, p.path("c.crl"), 0o644, "-----BEGIN NOTHING-----") },
	} {
		spoil()
		before := l.current.Load()
		if err := l.Reload(); err == nil || l.current.Load() != before {
			t.Errorf("%s: got %v", name, err)
		}
		writePEM(t, p.path("ca.crt"), 0o644, "CERTIFICATE", p.cert.Raw)
		p.crl(p.path("c.crl"), time.Hour)
	}
	fresh := p.serve()
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	c, out := connect(t, l, p.dial(p.client("a")))
	if out.err != nil || !c.ConnectionState().PeerCertificates[0].Equal(fresh.Leaf) {
		t.Errorf("after the reload: %v", out.err)
	}
}

const hexKey = "000102030405060708090a0b0c0d0e0f"

func pskClient(t testing.TB, l *Listener, id, key string, version uint16) (*psktls.Conn, outcome) {
	t.Helper()
	served := acceptOne(t, l, patience)
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := psktls.Client(raw, &psktls.Config{Identity: []byte(id), Key: psktls.Secret(key), MinVersion: version, MaxVersion: version})
	_ = c.HandshakeContext(t.Context())
	out := <-served
	t.Cleanup(func() {
		_ = raw.Close()
		if out.conn != nil {
			_ = out.conn.Close()
		}
	})
	return c, out
}

func TestPSK(t *testing.T) {
	file := t.TempDir() + "/psk"
	write(t, file, 0o600, "lamp:"+hexKey+"\nfan:"+hexKey+"\n")
	key := "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
	l := listenTest(t, Options{PSK: &PSK{File: file}})
	var lamp, fan *identity.Evidence
	for _, version := range []uint16{psktls.VersionTLS12, psktls.VersionTLS13} {
		c, out := pskClient(t, l, "lamp", key, version)
		if out.err != nil || out.ev.Transport != "psk" || out.ev.TLS.PSKIdentity != "lamp" || out.ev.TLS.Version != version {
			t.Fatalf("%v %+v", out.err, out.ev)
		}
		exchange(t, c, out.conn)
		lamp = out.ev
		if _, out := pskClient(t, l, "lamp", "another key of 16", version); !errors.Is(out.err, CheckKey) {
			t.Errorf("wrong key: %v", out.err)
		}
		if _, out := pskClient(t, l, "stranger", key, version); !errors.Is(out.err, CheckIdentity) {
			t.Errorf("unknown identity: %v", out.err)
		}
	}
	_, out := pskClient(t, l, "fan", key, psktls.VersionTLS13)
	fan = out.ev
	for _, ev := range []*identity.Evidence{lamp, fan} {
		if err := l.Entitled(ev); err != nil {
			t.Errorf("%s: %v", ev.TLS.PSKIdentity, err)
		}
	}
	if err := l.Entitled(&identity.Evidence{}); err != nil {
		t.Errorf("a connection without TLS has nothing to lose: %v", err)
	}
	if err := l.Entitled(&identity.Evidence{TLS: &identity.TLS{}}); !errors.Is(err, CheckIdentity) {
		t.Errorf("no identity: %v", err)
	}
	write(t, file, 0o600, "lamp:ff"+hexKey[2:]+"\n")
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := l.Entitled(lamp); !errors.Is(err, CheckKey) {
		t.Errorf("replaced key: %v", err)
	}
	if err := l.Entitled(fan); !errors.Is(err, CheckIdentity) {
		t.Errorf("removed identity: %v", err)
	}
	write(t, file, 0o644, "lamp:"+hexKey+"\n")
	if err := l.Reload(); !errors.Is(err, CheckPermissions) {
		t.Errorf("a file others can read: %v", err)
	}
}

// exchange sends much in both directions, with a peer that does not read at first, in pieces of odd sizes.
func exchange(t testing.TB, peer net.Conn, w wire) {
	t.Helper()
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	written := make(chan struct{})
	go func() {
		defer close(written)
		rest := sent
		for len(rest) > 0 {
			n, err := w.TryWrite(rest[:min(len(rest), 100_001)])
			if err == nil && n == 0 {
				n, err = w.Write(rest[:min(len(rest), 70_001)])
			}
			if err != nil {
				t.Errorf("write: %v", err)
				return
			}
			rest = rest[n:]
		}
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("from the server: %v", err)
	}
	<-written
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)%40_000)
			if _, err := peer.Write(rest[:n]); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			rest = rest[n:]
		}
	}()
	var back []byte
	for len(back) < len(sent) { // one batch at a time: nothing may be lost between two calls
		if err := w.ReadEach(func(b []byte) bool { back = append(back, b...); return false }); err != nil {
			t.Fatalf("from the client: %v", err)
		}
	}
	if !bytes.Equal(back, sent) {
		t.Fatal("from the client: other bytes")
	}
}

func TestExchange(t *testing.T) {
	p := newPKI(t)
	o := p.certificate(NoClientCert)
	o.MinVersion = tls.VersionTLS12
	l := listenTest(t, Options{Certificate: o})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := p.dial()
		config.MaxVersion = version
		c, out := connect(t, l, config)
		if out.err != nil {
			t.Fatal(out.err)
		}
		if out.ev.Transport != "tls" || out.ev.TLS.ServerName != "localhost" || out.ev.TLS.Exporter == nil || !out.ev.Loopback {
			t.Errorf("evidence %+v", out.ev.TLS)
		}
		exchange(t, c, out.conn)
		w := out.conn.(*secureConn)
		if w.pipe.out != nil || len(w.pipe.in) > 0 {
			t.Error("a buffer is held at rest")
		}
		if err := w.CloseWrite(); err != nil {
			t.Error(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after close_notify: %v", err)
		}
		_ = c.Close()
		if err := w.ReadEach(func([]byte) bool { return true }); err != io.EOF {
			t.Errorf("after the client's close_notify: %v", err)
		}
	}
}

// TestWriteSurvivesDeadline lets a write to a peer that does not read run into its deadline, and then goes on.
func TestWriteSurvivesDeadline(t *testing.T) {
	p := newPKI(t)
	l := listenTest(t, Options{Certificate: p.certificate(NoClientCert)})
	c, out := connect(t, l, p.dial())
	if out.err != nil {
		t.Fatal(out.err)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
	_ = out.conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := out.conn.Write(sent)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || n == len(sent) {
		t.Fatalf("wrote %d: %v", n, err)
	}
	_ = out.conn.SetWriteDeadline(time.Time{})
	go func() { _, _ = out.conn.Write(sent[n:]) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("after the deadline: %v", err)
	}
}

func TestPlainStaysOnLoopback(t *testing.T) {
	for _, a := range []string{"0.0.0.0:0", "[::]:0"} {
		if l, err := Listen(t.Context(), Options{Address: netip.MustParseAddrPort(a)}); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("%s: %v %v", a, l, err)
		}
	}
}
