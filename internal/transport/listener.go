// Package transport opens the listeners through which clients reach the broker, and says what each connection proved.
// It knows nothing of MQTT and never imports the broker: it satisfies the broker's seams by shape.
package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// keepAlive says how often an idle TCP connection is probed, so that the sockets of clients that vanished are freed
// even when they asked for no MQTT Keep Alive.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 20 * time.Second, Count: 3}

// Listener accepts plain TCP connections. Its methods are safe for concurrent use.
type Listener struct {
	inner *net.TCPListener
}

// ErrNotLoopback says that a plain listener would be reachable from other machines.
var ErrNotLoopback = errors.New("plain listener is reachable from other machines")

// ListenLoopback opens a plain TCP listener that only this machine can reach; any other address is ErrNotLoopback. Port
// 0 picks a free one. A port in use is a *BusyError that names the process, if the kernel shows it.
func ListenLoopback(ctx context.Context, address netip.AddrPort) (*Listener, error) {
	if !address.Addr().Unmap().IsLoopback() {
		return nil, fmt.Errorf("listen on %s: %w", address, ErrNotLoopback)
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	l, err := lc.Listen(ctx, "tcp", address.String())
	if err != nil {
		return nil, Busy(address, err)
	}
	t, ok := l.(*net.TCPListener)
	if !ok || !Loopback(l.Addr()) {
		_ = l.Close()
		return nil, fmt.Errorf("listen on %s: %w", address, ErrNotLoopback)
	}
	return &Listener{inner: t}, nil
}

// Loopback reports whether a bound address can be reached from this machine only. It judges the real socket, not what
// was written in a configuration.
func Loopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// Accept waits for the next connection. After Close it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.inner.AcceptTCP()
	if err != nil {
		return nil, err
	}
	_ = c.SetNoDelay(true)
	conn, err := newTCPConn(c)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return conn, nil
}

// Close stops accepting. Connections that were accepted stay open.
func (l *Listener) Close() error { return l.inner.Close() }

// Addr returns the bound address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }
