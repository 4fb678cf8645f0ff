package broker

import (
	"sync"
	"time"
)

// outBuffer collects what is to be sent to one client until somebody flushes it. Its lock is a leaf: nothing is called
// while it is held, and no system call is made under it.
type outBuffer struct {
	mu      sync.Mutex
	buf     []byte
	behind  int  // bytes that a flush or the writer goroutine has taken and not yet written
	writing bool // somebody writes: what is appended meanwhile is written by them
	marked  bool // in some goroutine's list of connections to flush
	last    bool // the connection's last packet is in buf or was written
	closed  bool
	waiters chan struct{} // closed when the buffer has drained; nil when nobody waits
}

// smallBuffer is the largest capacity, in bytes, that goes back to the pool.
const smallBuffer = 64 << 10

// outBuffers keeps buffers, and outHeaders what a pool needs around each while it is in use.
var (
	outBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}
	outHeaders = sync.Pool{New: func() any { return new([]byte) }}
)

func getOut() []byte {
	h := outBuffers.Get().(*[]byte)
	b := (*h)[:0]
	*h = nil
	outHeaders.Put(h)
	return b
}

func putOut(b []byte) {
	if cap(b) > 0 && cap(b) <= smallBuffer {
		h := outHeaders.Get().(*[]byte)
		*h = b[:0]
		outBuffers.Put(h)
	}
}

// lock returns the buffer for appending; unlock ends that. ok is false when the connection is gone or ends with what
// was appended before.
func (o *outBuffer) lock() (ok bool) {
	o.mu.Lock()
	if o.closed || o.last {
		o.mu.Unlock()
		return false
	}
	if o.buf == nil {
		o.buf = getOut()
	}
	return true
}

// unlock reports whether the caller must see to it that the connection is flushed.
func (o *outBuffer) unlock() (mark bool) {
	mark = !o.marked
	o.marked = true
	o.mu.Unlock()
	return mark
}

// size is how many bytes wait, with the lock held.
func (o *outBuffer) size() int { return len(o.buf) + o.behind }

// pending is how many bytes wait.
func (o *outBuffer) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size()
}

// append adds one encoded packet, which no limit may drop: acknowledgements and answers.
func (c *conn) append(w *work, frame func(dst []byte) []byte) {
	if !c.out.lock() {
		return
	}
	c.out.buf = frame(c.out.buf)
	if c.out.unlock() {
		w.touch(c)
	}
}

// flush writes what has collected, with one system call in the common case. What the kernel does not take is left to a
// writer goroutine, which exists only as long as the client is slow.
func (c *conn) flush() {
	o := &c.out
	o.mu.Lock()
	o.marked = false
	if o.writing || o.closed || len(o.buf) == 0 {
		o.mu.Unlock()
		return
	}
	o.writing = true
	for range 4 {
		data := o.buf
		o.buf, o.behind = nil, len(data)
		o.mu.Unlock()
		n, err := c.wire.TryWrite(data)
		c.b.stats.bytesSent.Add(int64(n))
		if err != nil {
			putOut(data)
			c.abort(err)
			return
		}
		if n < len(data) {
			go c.drain(data, n)
			return
		}
		putOut(data)
		o.mu.Lock()
		o.behind = 0
		if len(o.buf) == 0 {
			o.writing = false
			o.wake()
			o.mu.Unlock()
			c.drained()
			return
		}
	}
	// Others append faster than one goroutine should write for them.
	data := o.buf
	o.buf, o.behind = nil, len(data)
	o.mu.Unlock()
	go c.drain(data, 0)
}

// drain writes the rest to a slow client. Without progress for WriteTimeout the client is given up.
func (c *conn) drain(data []byte, from int) {
	defer c.recoverPanic()
	o := &c.out
	timeout := c.b.settings().WriteTimeout
	for {
		for from < len(data) {
			_ = c.wire.SetWriteDeadline(time.Now().Add(timeout))
			n, err := c.wire.Write(data[from:min(len(data), from+smallBuffer)])
			from += n
			c.b.stats.bytesSent.Add(int64(n))
			if err != nil {
				putOut(data)
				c.abort(err)
				return
			}
			o.mu.Lock()
			o.behind = len(data) - from
			o.mu.Unlock()
		}
		putOut(data)
		_ = c.wire.SetWriteDeadline(time.Time{}) // or TryWrite would fail once it has passed
		o.mu.Lock()
		if len(o.buf) == 0 || o.closed {
			o.writing, o.behind = false, 0
			o.wake()
			o.mu.Unlock()
			c.drained()
			return
		}
		data, from = o.buf, 0
		o.buf, o.behind = nil, len(data)
		o.mu.Unlock()
		c.drained()
	}
}

// wake tells those who wait for room, with the lock held.
func (o *outBuffer) wake() {
	if o.waiters != nil {
		close(o.waiters)
		o.waiters = nil
	}
}

// room returns nil when at most limit bytes wait, or else a channel that is closed when the buffer has drained.
func (o *outBuffer) room(limit int) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.size() <= limit {
		return nil
	}
	if o.waiters == nil {
		o.waiters = make(chan struct{})
	}
	return o.waiters
}

// close drops what waits and wakes everybody.
func (o *outBuffer) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		if !o.writing {
			putOut(o.buf)
		}
		o.buf = nil
		o.wake()
	}
}
