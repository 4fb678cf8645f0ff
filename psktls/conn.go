package psktls

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// alertTimeout bounds the write of an alert or close_notify to a peer that does
// not read. The octets fit into any socket buffer that is not full.
const alertTimeout = 250 * time.Millisecond

// Conn is a TLS connection over a transport. It implements net.Conn. One Read,
// one Write, and Close, deadlines and accessors may run at the same time; Close
// never waits for a blocked Read or Write.
//
// Between records a Conn holds no buffers: Read uses the caller's slice while it
// waits, so the caller may find other octets in it beyond what was read, as
// io.Reader permits.
type Conn struct {
	transport net.Conn
	settings  *settings
	configErr error // why settings is nil
	client    bool

	handshakeMu   sync.Mutex // serialises handshakes; guards handshakeErr
	handshakeErr  error      // final
	handshakeDone atomic.Bool
	closed        atomic.Bool

	// Written by the handshake before handshakeDone, read-only afterwards.
	state    ConnectionState
	identity string
	exporter exporter

	in  inbound
	out outbound

	// A KeyUpdate of ours is due before the next application data: the peer
	// has asked for one, or should renew its own keys. Set by Read and sent by
	// Write, so that Read never waits for a blocked Write.
	updateDue  atomic.Bool
	askForKeys atomic.Bool
}

var (
	_ net.Conn  = (*Conn)(nil)
	_ net.Error = (*Error)(nil)
)

// Server makes the server side of a connection over transport. The handshake
// runs with the first Read, Write or HandshakeContext, which also report a
// Config that is not valid. Close closes transport.
func Server(transport net.Conn, config *Config) *Conn {
	s, err := config.compile(false)
	return &Conn{transport: transport, settings: s, configErr: err}
}

// Client makes the client side of a connection over transport; otherwise like
// Server.
func Client(transport net.Conn, config *Config) *Conn {
	s, err := config.compile(true)
	return &Conn{transport: transport, settings: s, configErr: err, client: true}
}

// Read reads application data. It gives io.EOF after the peer's close_notify
// and io.ErrUnexpectedEOF when the transport ended without one: the stream may
// have been cut. A deadline that passes leaves the connection usable.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	for len(c.in.plain) == 0 {
		if c.in.err != nil {
			return 0, c.in.err
		}
		if err := c.readRecord(b); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.in.plain)
	c.in.plain = c.in.plain[n:]
	if len(c.in.plain) == 0 && c.in.off == len(c.in.raw) {
		c.in.release()
	}
	return n, nil
}

// readRecord handles one record after the handshake.
func (c *Conn) readRecord(scratch []byte) error {
	in := &c.in
	typ, payload, err := in.nextRecord(c.transport, scratch)
	if err != nil {
		return c.readFailed(err)
	}
	if in.exhausted() && c.state.Version == VersionTLS13 {
		c.askForKeys.Store(true)
	}
	switch typ {
	case recordApplicationData:
		switch {
		case len(in.hand) > 0:
			err = refuse(CheckMessage, AlertUnexpectedMessage, "the rest of a handshake message", "application data")
		case len(payload) == 0:
			err = in.waste("empty application data")
		default:
			in.plain, in.useless = payload, 0
		}
	case recordHandshake:
		err = c.postHandshake(payload)
	case recordAlert:
		err = in.alert(payload, c.state.Version)
	default:
		err = refuse(CheckRecord, AlertUnexpectedMessage, "application data", fmt.Sprintf("a record of type %d", typ))
	}
	if err != nil {
		return c.readFailed(err)
	}
	return nil
}

// readFailed makes everything final but a passed deadline, and tells the peer
// of a refusal.
func (c *Conn) readFailed(err error) error {
	var refusal *Error
	switch {
	case errors.As(err, &refusal):
		c.in.wipe()
		c.in.release()
		c.refusePeer(refusal)
	case c.closed.Load():
		err = net.ErrClosed
	case errors.Is(err, errCloseNotify):
		err = io.EOF
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	default:
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return err
		}
	}
	c.in.err = err
	return err
}

// refusePeer sends the alert of a local refusal and ends the sending side. If a
// Write is under way the alert is left out rather than waited for.
func (c *Conn) refusePeer(e *Error) {
	if e.Remote || e.Alert == AlertNone || !c.out.mu.TryLock() {
		return
	}
	defer c.out.mu.Unlock()
	c.sendAlert(e.Alert)
	c.out.err = e
}

// sendAlert sends an alert if the sending side is still intact. out.mu is held.
func (c *Conn) sendAlert(a Alert) {
	if c.out.err != nil {
		return
	}
	wire := a.wire()
	_ = c.transport.SetWriteDeadline(time.Now().Add(alertTimeout))
	_ = c.out.writeRecord(c.transport, recordAlert, wire[:])
}

// Write writes application data in records of at most 16 KiB. After an error,
// a passed deadline included, the sending side is unusable: the peer may have
// seen a part of a record.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	written := 0
	for len(b) > 0 {
		if c.closed.Load() {
			return written, net.ErrClosed
		}
		if c.out.err != nil {
			return written, c.out.err
		}
		if err := c.renewKeys(); err != nil {
			return written, err
		}
		n := min(len(b), maxPlaintext)
		if err := c.out.writeRecord(c.transport, recordApplicationData, b[:n]); err != nil {
			return written, err
		}
		written += n
		b = b[n:]
	}
	return written, nil
}

// renewKeys sends a KeyUpdate when one is due. TLS 1.2 has none, so there the
// connection must end before the key is worn out. out.mu is held.
func (c *Conn) renewKeys() error {
	exhausted := c.out.exhausted()
	if c.state.Version == VersionTLS12 {
		if !exhausted {
			return nil
		}
		c.sendAlert(AlertCloseNotify)
		c.out.err = refuse(CheckKeyLimit, AlertCloseNotify, "a new connection: TLS 1.2 cannot renew its keys",
			"a key that has protected as much as it may")
		return c.out.err
	}
	ask := c.askForKeys.Swap(false)
	if due := c.updateDue.Swap(false); !due && !ask && !exhausted {
		return nil
	}
	return c.sendKeyUpdate(ask)
}

// Close sends close_notify, if no Write is under way, and closes the transport.
// It waits for neither. Blocked Reads and Writes return. Closing again gives
// net.ErrClosed.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if c.handshakeDone.Load() && c.out.mu.TryLock() {
		c.sendAlert(AlertCloseNotify)
		c.out.err = net.ErrClosed
		c.out.wipe()
		c.out.mu.Unlock()
	}
	return c.transport.Close()
}

// CloseWrite sends close_notify and ends the sending side; reading goes on. It
// waits for a Write that is under way, and leaves the transport open.
func (c *Conn) CloseWrite() error {
	if !c.handshakeDone.Load() {
		return &Error{Check: CheckNotFinished, Alert: AlertNone, Err: errors.New("nothing to close yet")}
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.err != nil {
		return c.out.err
	}
	c.sendAlert(AlertCloseNotify)
	if err := c.out.err; err != nil {
		return err
	}
	c.out.err = net.ErrClosed
	return nil
}

// Pending reports whether the Conn holds octets that Read would look at before
// it touches the transport. A caller that waits for readability of the transport
// must Read until Pending is false first; such a Read may still block if all it
// finds is a KeyUpdate or the like. Pending must not be called during a Read.
func (c *Conn) Pending() bool {
	if !c.handshakeDone.Load() {
		return false
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if len(c.in.plain) > 0 || c.in.err != nil {
		return true
	}
	rest := c.in.raw[c.in.off:]
	if len(rest) < recordHeaderLen {
		return false
	}
	_, n, err := parseRecordHeader(rest)
	return err != nil || len(rest) >= recordHeaderLen+n
}

// NetConn gives the transport. Reading from or writing to it breaks the
// connection.
func (c *Conn) NetConn() net.Conn { return c.transport }

// LocalAddr gives the local address of the transport.
func (c *Conn) LocalAddr() net.Addr { return c.transport.LocalAddr() }

// RemoteAddr gives the remote address of the transport.
func (c *Conn) RemoteAddr() net.Addr { return c.transport.RemoteAddr() }

// SetDeadline sets both deadlines of the transport.
func (c *Conn) SetDeadline(t time.Time) error { return c.transport.SetDeadline(t) }

// SetReadDeadline sets the deadline of Reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.transport.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of Writes. A Write that runs into it makes
// the sending side unusable.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.transport.SetWriteDeadline(t) }

// Format writes the role and the peer's address, whatever the verb, so that no
// print statement shows keys.
func (c *Conn) Format(f fmt.State, _ rune) {
	role := "server"
	if c.client {
		role = "client"
	}
	_, _ = fmt.Fprintf(f, "psktls.Conn(%s, %v)", role, c.transport.RemoteAddr())
}
