// Package transport opens the listeners through which clients reach the broker, and says what each connection proved.
// It is the only builder of a tls.Config for servers. It knows nothing of MQTT and never imports the broker: it satisfies
// the broker's seams by shape.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
)

// An idle TCP connection is probed, so that the sockets of clients that vanished are freed even when they asked for no
// MQTT Keep Alive.
const (
	probeIdle     = time.Minute
	probeInterval = 20 * time.Second
	probeCount    = 3
)

// Options says what a listener speaks. Certificate and PSK exclude each other; without both it is plain.
type Options struct {
	Address        netip.AddrPort // port 0 picks a free one; not used with Unix
	Unix           string         // path of a Unix socket, "" for TCP
	AllowPlaintext bool           // a plain listener may be reachable from other machines
	Certificate    *Certificate
	PSK            *PSK
	WebSocket      *WebSocket
}

// Listener accepts connections. Its methods are safe for concurrent use.
type Listener struct {
	inner   net.Listener
	options Options
	current atomic.Pointer[credentials]
	tickets *tls.Config // holds the keys of session tickets, which outlive a reload
}

// ErrNotLoopback says that a plain listener would be reachable from other machines.
var ErrNotLoopback = errors.New("plain listener is reachable from other machines")

// stream is what TCP and Unix connections have in common.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// Listen opens a listener. Every file it names is read and checked first. A plain listener that other machines can reach
// is ErrNotLoopback unless it is allowed. A port in use is a *BusyError that names the process, if the kernel shows it.
func Listen(ctx context.Context, o Options) (*Listener, error) {
	l := &Listener{options: o, tickets: new(tls.Config)}
	if err := o.check(); err != nil {
		return nil, err
	}
	creds, err := o.load()
	if err != nil {
		return nil, err
	}
	l.current.Store(creds)
	if o.Unix != "" {
		l.inner, err = listenUnix(ctx, o.Unix)
		return l, err
	}
	lc := listenConfig()
	if l.inner, err = lc.Listen(ctx, "tcp", o.Address.String()); err != nil {
		return nil, Busy(o.Address, err)
	}
	if !o.mayBeRemote() && !Loopback(l.inner.Addr()) { // as check did, by the real socket
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", o.Address, ErrNotLoopback), l.inner.Close())
	}
	return l, nil
}

// ListenLoopback opens a plain TCP listener that only this machine can reach; any other address is ErrNotLoopback.
func ListenLoopback(ctx context.Context, address netip.AddrPort) (*Listener, error) {
	return Listen(ctx, Options{Address: address})
}

func (o *Options) encrypted() bool { return o.Certificate != nil || o.PSK != nil }

func (o *Options) mayBeRemote() bool { return o.encrypted() || o.AllowPlaintext }

// check refuses combinations that mean nothing.
func (o *Options) check() error {
	switch {
	case o.Certificate != nil && o.PSK != nil:
		return refuse(CheckConfig, "a certificate or pre-shared keys", "both")
	case o.PSK != nil && o.WebSocket != nil:
		return refuse(CheckConfig, "WebSocket with a certificate or without TLS", "WebSocket with pre-shared keys")
	case o.Unix != "" && o.encrypted():
		return refuse(CheckConfig, "a Unix socket without TLS", "one with TLS")
	case o.Unix == "" && !o.mayBeRemote() && !o.Address.Addr().Unmap().IsLoopback():
		return fmt.Errorf("listen on %s: %w", o.Address, ErrNotLoopback)
	}
	return nil
}

// Loopback reports whether a bound address can be reached from this machine only. It judges the real socket, not what
// was written in a configuration.
func Loopback(a net.Addr) bool {
	if _, unix := a.(*net.UnixAddr); unix {
		return true
	}
	ap, _ := netip.ParseAddrPort(a.String()) // what is none is nowhere
	return ap.Addr().Unmap().IsLoopback()
}

func unmap(a *net.TCPAddr) netip.AddrPort {
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Accept waits for the next connection. It never performs a handshake: the connection's Prove does. After Close it
// returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.inner.Accept()
	if err != nil {
		return nil, err
	}
	transport := "tcp"
	s, ok := c.(stream)
	if _, tcp := c.(*net.TCPConn); !tcp { // net has set TCP_NODELAY otherwise
		transport = "unix"
	}
	if !ok {
		return nil, errors.Join(refuse(CheckListenerKind, "a TCP or Unix connection", fmt.Sprintf("%T", c)), c.Close())
	}
	sock, err := newSocket(s)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	switch {
	case l.options.WebSocket != nil:
		return newWebConn(l, sock), nil
	case l.options.Certificate != nil:
		sc := &secureConn{pipe: &cipherPipe{socket: sock}}
		sc.tls, sc.prove = l.serverTLS(sc.pipe)
		return sc, nil
	case l.options.PSK != nil:
		sc := &secureConn{pipe: &cipherPipe{socket: sock}}
		sc.tls, sc.prove = l.serverPSK(sc.pipe)
		return sc, nil
	default:
		return &plainConn{sock, transport}, nil
	}
}

// Prepare reads the listener's files again and checks them. Nothing changes until commit is called: then new handshakes
// use them, and what live connections proved can be judged by Entitled. Connections go on either way.
func (l *Listener) Prepare() (commit func(), err error) {
	next, err := l.options.load()
	if err != nil {
		return nil, err
	}
	return func() { l.current.Store(next) }, nil
}

// Reload is Prepare and commit.
func (l *Listener) Reload() error {
	commit, err := l.Prepare()
	if err == nil {
		commit()
	}
	return err
}

// Entitled refuses, with an *Error, evidence that this listener would not give any more: a certificate that was revoked,
// has expired or lost its authority, an identity that was removed or has another key.
func (l *Listener) Entitled(ev *identity.Evidence) error {
	if ev.TLS == nil {
		return nil
	}
	return l.current.Load().entitled(ev.TLS, time.Now())
}

// Certificate is the one that new connections are shown, nil without.
func (l *Listener) Certificate() *x509.Certificate {
	if c := l.current.Load().server; c != nil {
		return c.Certificates[0].Leaf
	}
	return nil
}

// Close stops accepting. Connections that were accepted stay open.
func (l *Listener) Close() error { return l.inner.Close() }

// Addr returns the bound address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// URL is how clients name the listener, with the address it is bound to.
func (l *Listener) URL() string {
	scheme, path := "mqtt", ""
	if l.options.WebSocket != nil {
		scheme, path = "ws", l.options.WebSocket.Path
	}
	if l.options.Unix != "" {
		return "unix:" + l.options.Unix
	}
	if l.options.encrypted() {
		scheme += "s"
	}
	return scheme + "://" + l.inner.Addr().String() + path
}
