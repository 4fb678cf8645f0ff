package bench

import (
	"errors"
	"io"
	"net"
	"sync"
)

// Traffic is what passed a point of a connection: bytes of TCP payload, without the headers of TCP and IP.
type Traffic struct {
	Up, Down int // bytes to and from the broker
	Trips    int // times that the client waited for an answer to what it sent
}

func (t Traffic) minus(o Traffic) Traffic {
	return Traffic{t.Up - o.Up, t.Down - o.Down, t.Trips - o.Trips}
}

// counter counts what a client writes to its socket and reads from it.
type counter struct {
	mu   sync.Mutex
	t    Traffic // guarded by mu
	sent bool    // guarded by mu: something was sent since the last answer
}

func (c *counter) add(n int, up bool) {
	if n <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if up {
		c.t.Up += n
		c.sent = true
		return
	}
	c.t.Down += n
	if c.sent {
		c.t.Trips++
		c.sent = false
	}
}

func (c *counter) read() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// counted is a connection whose traffic is counted.
type counted struct {
	net.Conn
	c *counter
}

// Read implements net.Conn.
func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.c.add(n, false)
	return n, err
}

// Write implements net.Conn. It counts first: the answer may be read before Write has returned. A write that fails ends the
// measurement anyway.
func (c counted) Write(b []byte) (int, error) {
	c.c.add(len(b), true)
	return c.Conn.Write(b)
}

// Tap carries connections to one address and counts every byte that passes, independent of either end: what a packet
// capture shows as TCP payload.
type Tap struct {
	listener net.Listener
	to       string
	count    counter
	mu       sync.Mutex
	conns    []net.Conn // guarded by mu
	open     sync.WaitGroup
}

// NewTap listens on loopback.
func NewTap(to string) (*Tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &Tap{listener: l, to: to}
	t.open.Go(t.accept)
	return t, nil
}

// Addr is where clients connect.
func (t *Tap) Addr() string { return t.listener.Addr().String() }

// Traffic is what has passed so far.
func (t *Tap) Traffic() Traffic { return t.count.read() }

func (t *Tap) accept() {
	for {
		near, err := t.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", t.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		t.mu.Lock()
		t.conns = append(t.conns, near, far)
		t.mu.Unlock()
		t.open.Go(func() { t.carry(far, near, true) })
		t.open.Go(func() { t.carry(near, far, false) })
	}
}

// carry counts before it passes on, so that who has received something finds it counted.
func (t *Tap) carry(to, from net.Conn, up bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		t.count.add(n, up)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = errors.Join(err, werr)
			}
		}
		if err != nil {
			if c, ok := to.(interface{ CloseWrite() error }); ok && errors.Is(err, io.EOF) {
				_ = c.CloseWrite()
			} else {
				_ = to.Close()
			}
			return
		}
	}
}

// Close ends the tap and its connections.
func (t *Tap) Close() error {
	err := t.listener.Close()
	t.mu.Lock()
	for _, c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.open.Wait()
	return err
}
