package transport

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
)

// placed is a connection between two addresses that says when it must be read.
type placed struct {
	net.Conn
	local, remote net.Addr
	readUntil     time.Time
}

func (p *placed) LocalAddr() net.Addr { return p.local }

func (p *placed) RemoteAddr() net.Addr { return p.remote }

func (p *placed) SetReadDeadline(t time.Time) error { p.readUntil = t; return nil }

func (p *placed) CloseWrite() error { return nil }

func (p *placed) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

func tcp(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

// TestLoopbackIsBothEnds: a connection is on loopback when both of its ends are, by the real socket; an IPv4 address in
// IPv6 clothes is that address.
func TestLoopbackIsBothEnds(t *testing.T) {
	for _, c := range []struct {
		local, remote string
		loopback      bool
	}{
		{"127.0.0.1:1883", "127.0.0.1:40000", true},
		{"127.0.0.2:1883", "127.9.9.9:40000", true},
		{"[::1]:1883", "[::1]:40000", true},
		{"[::ffff:127.0.0.1]:1883", "[::ffff:127.0.0.1]:40000", true},
		{"127.0.0.1:1883", "192.0.2.1:40000", false}, // forwarded by a rule of the machine
		{"192.0.2.1:1883", "127.0.0.1:40000", false},
		{"192.0.2.1:1883", "192.0.2.1:40000", false},
		{"[::ffff:192.0.2.1]:1883", "[::ffff:192.0.2.7]:40000", false},
		{"[2001:db8::1]:1883", "[::1]:40000", false},
	} {
		ev := evidenceOf("tcp", &placed{local: tcp(c.local), remote: tcp(c.remote)})
		if ev.Loopback != c.loopback || ev.Remote.Addr().Is4In6() || ev.Local.Addr().Is4In6() ||
			ev.Remote.Port() != 40000 || ev.Local.Port() != 1883 || ev.Transport != "tcp" || ev.Encrypted() {
			t.Errorf("%s from %s: %+v", c.local, c.remote, ev)
		}
	}
	ev := evidenceOf("unix", &placed{local: &net.UnixAddr{Name: "/s"}, remote: &net.UnixAddr{}})
	if !ev.Loopback || ev.Remote.IsValid() || ev.Local.IsValid() {
		t.Errorf("a Unix socket: %+v", ev)
	}
	for a, want := range map[net.Addr]bool{
		tcp("127.0.0.1:1"): true, tcp("[::1]:1"): true, tcp("[::ffff:127.0.0.1]:1"): true, &net.UnixAddr{Name: "/s"}: true,
		tcp("0.0.0.0:1"): false, tcp("[::]:1"): false, tcp("192.0.2.1:1"): false, &net.IPAddr{}: false,
	} {
		if Loopback(a) != want {
			t.Errorf("%v is on loopback: %v", a, !want)
		}
	}
}

// TestListenerCombinations: what means nothing, or would be plain for other machines, is refused before a port is opened;
// the URL says what the listener speaks.
func TestListenerCombinations(t *testing.T) {
	p := newPKI(t)
	file := p.path("psk")
	write(t, file, 0o600, "lamp:"+hexKey+"\n")
	cert, psk, web := p.certificate(NoClientCert), &PSK{File: file}, &WebSocket{Path: "/mqtt", MaxMessage: 1}
	near, far := netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("0.0.0.0:0")
	for name, c := range map[string]struct {
		o      Options
		want   error
		scheme string
	}{
		"plain":                        {Options{Address: near}, nil, "mqtt"},
		"plain in IPv6 clothes":        {Options{Address: netip.MustParseAddrPort("[::ffff:127.0.0.1]:0")}, nil, "mqtt"},
		"plain for others":             {Options{Address: far}, ErrNotLoopback, ""},
		"plain for others, allowed":    {Options{Address: far, AllowPlaintext: true}, nil, "mqtt"},
		"WebSocket":                    {Options{Address: near, WebSocket: web}, nil, "ws"},
		"WebSocket for others":         {Options{Address: far, WebSocket: web}, ErrNotLoopback, ""},
		"TLS for others":               {Options{Address: far, Certificate: cert}, nil, "mqtts"},
		"WebSocket on TLS":             {Options{Address: far, Certificate: cert, WebSocket: web}, nil, "wss"},
		"keys for others":              {Options{Address: far, PSK: psk}, nil, "mqtts"},
		"certificate and keys":         {Options{Address: near, Certificate: cert, PSK: psk}, CheckConfig, ""},
		"WebSocket with keys":          {Options{Address: near, PSK: psk, WebSocket: web}, CheckConfig, ""},
		"Unix socket with certificate": {Options{Unix: p.path("s"), Certificate: cert}, CheckConfig, ""},
		"Unix socket with keys":        {Options{Unix: p.path("s"), PSK: psk}, CheckConfig, ""},
		"a key file that is missing":   {Options{Address: near, PSK: &PSK{File: p.path("none")}}, fs.ErrNotExist, ""},
		"certificate that is missing":  {Options{Address: near, Certificate: &Certificate{CertFile: p.path("none"), KeyFile: p.path("server.key")}}, fs.ErrNotExist, ""},
		"key that is missing":          {Options{Address: near, Certificate: &Certificate{CertFile: p.path("server.crt"), KeyFile: p.path("none")}}, fs.ErrNotExist, ""},
		"authorities that are missing": {Options{Address: near, Certificate: &Certificate{CertFile: p.path("server.crt"), KeyFile: p.path("server.key"), Clients: RequestClientCert, CAFile: p.path("none")}}, fs.ErrNotExist, ""},
	} {
		l, err := Listen(t.Context(), c.o)
		if !errors.Is(err, c.want) || c.want != nil && err == nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil {
			continue
		}
		want := c.scheme + "://" + l.Addr().String()
		if c.o.WebSocket != nil {
			want += "/mqtt"
		}
		if l.URL() != want {
			t.Errorf("%s: named %s, want %s", name, l.URL(), want)
		}
		if shown := l.Certificate(); (shown != nil) != (c.o.Certificate != nil) {
			t.Errorf("%s: shows %v", name, shown)
		}
		if err := l.Entitled(&identity.Evidence{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var busy *BusyError
		taken := l.Addr().(*net.TCPAddr).AddrPort()
		if second, err := Listen(t.Context(), Options{Address: netip.AddrPortFrom(taken.Addr().Unmap(), taken.Port()), AllowPlaintext: true}); !errors.As(err, &busy) {
			t.Errorf("%s: a second one on its port: %v, %v", name, second, err)
		}
		if first, second := l.Close(), l.Close(); first != nil || !errors.Is(second, net.ErrClosed) {
			t.Errorf("%s: closed with %v, then %v", name, first, second)
		}
		if c, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: accepts %v after Close, %v", name, c, err)
		}
	}
}

// TestPlainEvidence: of a plain connection nothing is said but where it comes from.
func TestPlainEvidence(t *testing.T) {
	l := listenTest(t, Options{})
	served := acceptOne(t, l, patience)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // test
	out := <-served
	if out.err != nil || out.ev.Transport != "tcp" || !out.ev.Loopback || out.ev.Encrypted() || out.ev.Remote.String() != c.LocalAddr().String() {
		t.Errorf("%v %+v", out.err, out.ev)
	}
	_ = out.conn.Close()
}

// otherListener accepts connections of a kind that the transport does not know.
type otherListener struct {
	net.Listener
	conn net.Conn
}

func (l otherListener) Accept() (net.Conn, error) { return l.conn, nil }

// TestOtherKindsOfConnections: what is no stream of the kernel is refused and closed.
func TestOtherKindsOfConnections(t *testing.T) {
	a, b := net.Pipe()
	l := &Listener{inner: otherListener{conn: a}}
	if c, err := l.Accept(); !errors.Is(err, CheckListenerKind) {
		t.Errorf("a pipe: %v, %v", c, err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("it is open: %v", err)
	}
	a, b = net.Pipe()
	l = &Listener{inner: otherListener{conn: &placed{Conn: a}}}
	if c, err := l.Accept(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a socket without a descriptor: %v, %v", c, err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("it is open: %v", err)
	}
}

// TestPipeBounds: a peer that makes TLS answer and does not read is cut off, and after Close nothing is collected.
func TestPipeBounds(t *testing.T) {
	p := new(cipherPipe)
	p.detached.Store(true)
	for _, n := range []int{maxBacklog - 1, 1} {
		if got, err := p.Write(make([]byte, n)); got != n || err != nil {
			t.Fatalf("%d bytes: %d, %v", n, got, err)
		}
	}
	if n, err := p.Write([]byte{0}); n != 0 || !errors.Is(err, errBacklog) {
		t.Errorf("a byte more: %d, %v", n, err)
	}
	p.sent = 10 // with the kernel
	if n, err := p.Write(make([]byte, 10)); n != 10 || err != nil {
		t.Errorf("as many as were sent: %d, %v", n, err)
	}
	p.closed = true
	if n, err := p.Write(nil); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %d, %v", n, err)
	}
}

// TestFarewell: who was refused is listened to for a moment, so that the alert arrives; who left, was too slow or refused
// us is not.
func TestFarewell(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want bool
	}{
		"refused":  {t.Context(), CheckRevocation, true},
		"left":     {t.Context(), &Error{Check: CheckTransport}, false},
		"too slow": {t.Context(), &Error{Check: CheckTimeout}, false},
		"alert":    {t.Context(), &Error{Check: CheckPeerAlert}, false},
		"no time":  {ended, CheckRevocation, false},
	} {
		a, b := net.Pipe()
		_ = b.Close()
		peer := &placed{Conn: a}
		(&socket{stream: peer}).farewell(c.ctx, c.err)
		if listened := !peer.readUntil.IsZero(); listened != c.want {
			t.Errorf("%s: listened %v", name, listened)
		}
		_ = a.Close()
	}
}
