package transport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
)

// maxBatch is how much plaintext, in bytes, is encrypted before the kernel is asked to take it.
const maxBatch = 64 << 10

// maxBacklog bounds the ciphertext that waits for the kernel: one batch with the overhead of its records, and the few
// answers that TLS itself gives. A peer that makes us answer without reading is cut off here.
const maxBacklog = 2 * maxBatch

// largestPooled is the largest capacity, in bytes, of a ciphertext buffer that is used again.
const largestPooled = 80 << 10

var cipherBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// errWouldBlock is what a cipherPipe says when it has no more input. TLS implementations take it for a deadline that
// passed, and keep what they have.
var errWouldBlock = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no more input for now" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

var errBacklog = errors.New("the peer does not read what TLS answers")

// cipherPipe is the transport beneath a TLS connection. During the handshake it is the socket itself, and blocks. After
// detach neither Read nor Write touches the socket: Read gives what feed was handed, and Write collects ciphertext for
// flush, so that a slow peer never leaves half a record behind.
type cipherPipe struct {
	*socket
	detached atomic.Bool

	in []byte // ciphertext that has arrived and was not read yet; of the goroutine that reads

	mu     sync.Mutex
	out    []byte // ciphertext for the peer; nil at rest
	sent   int    // prefix of out that the kernel has
	busy   bool   // a blocking write of out is under way, without the lock
	closed bool
}

// Read implements net.Conn for the TLS connection above.
func (p *cipherPipe) Read(b []byte) (int, error) {
	if !p.detached.Load() {
		return p.socket.Read(b)
	}
	if len(p.in) == 0 {
		return 0, errWouldBlock
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}

// Write implements net.Conn for the TLS connection above.
func (p *cipherPipe) Write(b []byte) (int, error) {
	if !p.detached.Load() {
		return p.socket.Write(b)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return 0, net.ErrClosed
	case len(p.out)-p.sent+len(b) > maxBacklog:
		return 0, errBacklog
	}
	if p.out == nil {
		p.out = (*cipherBuffers.Get().(*[]byte))[:0]
	}
	p.out = append(p.out, b...)
	return len(b), nil
}

// keep makes input that was not read outlive the buffer it came in.
func (p *cipherPipe) keep() {
	if len(p.in) == 0 {
		p.in = nil
		return
	}
	p.in = bytes.Clone(p.in)
}

// await waits for input and keeps it.
func (p *cipherPipe) await() error {
	return p.ReadEach(func(b []byte) bool {
		p.in = bytes.Clone(b)
		return false
	})
}

// SetWriteDeadline is for the TLS connection above, whose writes cannot block once the pipe is detached.
func (p *cipherPipe) SetWriteDeadline(t time.Time) error {
	if p.detached.Load() {
		return nil
	}
	return p.socket.SetWriteDeadline(t)
}

// Close hands the kernel what it takes, which is the last alert in most cases, and closes the socket. It never waits.
func (p *cipherPipe) Close() error {
	_, _ = p.flush()
	p.mu.Lock()
	p.closed = true
	if !p.busy {
		p.release()
	}
	p.mu.Unlock()
	return p.socket.Close()
}

// release gives the buffer back, with the lock held.
func (p *cipherPipe) release() {
	if b := p.out; b != nil && cap(b) <= largestPooled {
		b = b[:0]
		cipherBuffers.Put(&b)
	}
	p.out, p.sent = nil, 0
}

// flush writes what the kernel takes without waiting, and reports whether that was all.
func (p *cipherPipe) flush() (done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.out) == 0:
		return true, nil
	case p.busy:
		return false, nil
	}
	n, err := p.TryWrite(p.out[p.sent:])
	if p.sent += n; p.sent == len(p.out) {
		p.release()
		return true, err
	}
	return false, err
}

// flushWait writes everything and waits for the kernel, up to the write deadline. After a deadline that passed nothing
// is lost: the rest is written by the next call.
func (p *cipherPipe) flushWait() (done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.out) > 0 && err == nil {
		rest := p.out[p.sent:]
		p.busy = true
		p.mu.Unlock()
		var n int
		n, err = p.socket.Write(rest)
		p.mu.Lock()
		p.busy = false
		if p.sent += n; p.sent == len(p.out) || p.closed {
			p.release()
		}
	}
	return err == nil, err
}

// tlsConn is a TLS connection over a cipherPipe: *tls.Conn or *psktls.Conn.
type tlsConn interface {
	net.Conn
	CloseWrite() error
}

// secureConn moves plaintext through a TLS connection without blocking a goroutine, and without a buffer while idle. One
// goroutine reads and one writes at a time; Close, CloseWrite and deadlines may come from anywhere.
type secureConn struct {
	pipe  *cipherPipe
	tls   tlsConn
	prove func(context.Context) (*identity.TLS, error)
	held  int // bytes at the front of the writer's next call that are encrypted already
}

// ReadEach calls f with the plaintext of every batch that arrives, until f returns false (and ReadEach nil), the peer
// closes (io.EOF) or reading fails. The bytes are valid during the call.
//
// Before it waits, everything that TLS holds is read: records that came along with others make no socket readable.
func (c *secureConn) ReadEach(f func(b []byte) bool) error {
	more, err := c.drain(f)
	if !more || err != nil {
		return err
	}
	socketErr := c.pipe.ReadEach(func(b []byte) bool {
		c.pipe.in = b
		more, err = c.drain(f)
		c.pipe.keep()
		return more && err == nil
	})
	if err != nil {
		return err
	}
	return socketErr
}

// drain reads until TLS would block, and calls f once for as much as fits in a buffer, so that what arrived together is
// handled together. more is false when f wants no more.
func (c *secureConn) drain(f func(b []byte) bool) (more bool, err error) {
	buf := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(buf)
	n := 0
	for err == nil {
		var m int
		m, err = c.tls.Read(buf[n:])
		if n += m; n == len(buf) || err != nil && n > 0 {
			if !f(buf[:n]) {
				return false, nil
			}
			n = 0
		}
	}
	if errors.Is(err, errWouldBlock) {
		return true, nil
	}
	_, _ = c.pipe.flush() // the alert, if there is one
	return true, err
}

// Read blocks until plaintext arrives. The broker reads with ReadEach; this is for what needs a net.Conn.
func (c *secureConn) Read(b []byte) (int, error) {
	for {
		n, err := c.tls.Read(b)
		if n > 0 || !errors.Is(err, errWouldBlock) {
			return n, err
		}
		if err := c.pipe.await(); err != nil {
			return 0, err
		}
	}
}

// TryWrite encrypts and writes what the kernel takes without waiting. n < len(b) with a nil error means that it would
// block. Bytes count as written when their whole batch is with the kernel; until then they are encrypted and held, so the
// next call, of whichever kind, must begin with the bytes that this one left.
func (c *secureConn) TryWrite(b []byte) (n int, err error) { return c.write(b, c.pipe.flush) }

// Write is TryWrite that waits, up to the write deadline.
func (c *secureConn) Write(b []byte) (n int, err error) { return c.write(b, c.pipe.flushWait) }

func (c *secureConn) write(b []byte, flush func() (bool, error)) (n int, err error) {
	for {
		if done, err := flush(); err != nil || !done {
			return n, err
		}
		taken := min(c.held, len(b)-n)
		c.held -= taken
		if n += taken; n == len(b) {
			return n, nil
		}
		batch := b[n:min(len(b), n+maxBatch)]
		if _, err := c.tls.Write(batch); err != nil {
			return n, err
		}
		c.held = len(batch)
	}
}

// CloseWrite tells the peer that no more follows. It never waits.
func (c *secureConn) CloseWrite() error {
	if !c.pipe.detached.Load() {
		return errNoHandshake
	}
	if err := c.tls.CloseWrite(); err != nil {
		return err
	}
	if done, err := c.pipe.flush(); err != nil || !done {
		return err
	}
	return c.pipe.CloseWrite()
}

// Close ends the connection, from any state, without waiting.
func (c *secureConn) Close() error {
	if !c.pipe.detached.Load() {
		return c.pipe.socket.Close() // TLS would wait to send an alert
	}
	return c.tls.Close()
}

// LocalAddr implements net.Conn.
func (c *secureConn) LocalAddr() net.Addr { return c.pipe.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *secureConn) RemoteAddr() net.Addr { return c.pipe.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *secureConn) SetDeadline(t time.Time) error { return c.pipe.socket.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *secureConn) SetReadDeadline(t time.Time) error { return c.pipe.socket.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn. A write that runs into it leaves the connection usable.
func (c *secureConn) SetWriteDeadline(t time.Time) error { return c.pipe.socket.SetWriteDeadline(t) }

var errNoHandshake = errors.New("the handshake is not complete")
