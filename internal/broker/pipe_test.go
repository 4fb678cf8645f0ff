package broker

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeSize is how many bytes a stream of the memory network holds, unless a test asks for less: as much as any test
// sends, so that only tests of slow clients ever block.
const pipeSize = 8 << 20

// stream is one direction of a connection in memory. Everything in it blocks in a way that testing/synctest sees, and
// its deadlines follow the fake clock.
type stream struct {
	mu         sync.Mutex
	changed    sync.Cond
	buf        []byte
	size       int
	ended      bool // the writer has closed its side: EOF after what buf holds
	broken     bool // the reader has gone: writing fails
	readUntil  deadline
	writeUntil deadline
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newStream(size int) *stream {
	s := &stream{size: size}
	s.changed.L = &s.mu
	return s
}

// set changes one of the stream's deadlines and wakes whoever waits for it.
func (s *stream) set(d *deadline, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at, d.timer = at, nil
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), s.wake)
	}
	s.changed.Broadcast()
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken:
			return 0, net.ErrClosed
		case s.readUntil.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(b, s.buf)
			s.buf = append(s.buf[:0], s.buf[n:]...)
			s.changed.Broadcast()
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

// write writes all of b, or with wait false what there is room for.
func (s *stream) write(b []byte, wait bool) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.ended:
			return n, net.ErrClosed
		case s.broken:
			return n, syscall.EPIPE
		case wait && s.writeUntil.passed():
			return n, os.ErrDeadlineExceeded
		}
		m := min(len(b)-n, s.size-len(s.buf))
		if m > 0 {
			s.buf = append(s.buf, b[n:n+m]...)
			n += m
			s.changed.Broadcast()
		}
		if n == len(b) || !wait {
			return n, nil
		}
		s.changed.Wait()
	}
}

// end is the writer's close, abandon the reader's.
func (s *stream) end()     { s.mu.Lock(); s.ended = true; s.changed.Broadcast(); s.mu.Unlock() }
func (s *stream) abandon() { s.mu.Lock(); s.broken = true; s.changed.Broadcast(); s.mu.Unlock() }

// held is how many bytes wait to be read.
func (s *stream) held() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.buf) }

// memConn is one end of a connection in memory.
type memConn struct {
	in, out       *stream
	local, remote net.Addr
}

func (c *memConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *memConn) Write(b []byte) (int, error) { return c.out.write(b, true) }
func (c *memConn) LocalAddr() net.Addr         { return c.local }
func (c *memConn) RemoteAddr() net.Addr        { return c.remote }
func (c *memConn) CloseWrite() error           { c.out.end(); return nil }

func (c *memConn) Close() error {
	c.in.set(&c.in.readUntil, time.Time{})
	c.out.set(&c.out.writeUntil, time.Time{})
	c.out.end()
	c.in.abandon()
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error  { c.in.set(&c.in.readUntil, t); return nil }
func (c *memConn) SetWriteDeadline(t time.Time) error { c.out.set(&c.out.writeUntil, t); return nil }

func (c *memConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// memWire is a memConn with the abilities of a socket, as the transports give them.
type memWire struct{ *memConn }

func (c memWire) ReadEach(f func(b []byte) bool) error { return blockingWire{c.memConn}.ReadEach(f) }

func (c memWire) TryWrite(b []byte) (int, error) { return c.out.write(b, false) }

// memListener accepts connections in memory.
type memListener struct {
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemListener() *memListener {
	return &memListener{queue: make(chan net.Conn, 16), closed: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memListener) Addr() net.Addr { return memAddr("192.0.2.1:1883") }

// memAddr is a TCP address in text.
func memAddr(s string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		panic(err)
	}
	return a
}

// dial connects to the listener from an address. toClient is how many bytes the way to the client holds. With plain
// the broker gets a net.Conn that can do nothing but block.
func (l *memListener) dial(from string, toClient int, plain bool) (*memConn, error) {
	up, down := newStream(pipeSize), newStream(toClient)
	client := &memConn{in: down, out: up, local: memAddr(from), remote: l.Addr()}
	server := &memConn{in: up, out: down, local: l.Addr(), remote: memAddr(from)}
	var nc net.Conn = memWire{server}
	if plain {
		nc = server
	}
	select {
	case l.queue <- nc:
		return client, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	}
}

// over reports whether the writer has closed its side.
func (s *stream) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}
