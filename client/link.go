package client

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

const (
	outLimit       = 256 << 10 // bytes waiting to be written; beyond it messages stay in the queue
	keptBuffer     = 512 << 10 // a larger write buffer is not kept for reuse
	readChunk      = 32 << 10  // first size of the read buffer
	lingerTime     = time.Second
	maxPingTimeout = 10 * time.Second
)

// limits are what the server's CONNACK allows.
type limits struct {
	inflight   int // Receive Maximum, or MaxInflight if that is less
	packetSize int // bytes
	qos        mqtt.QoS
	retain     bool
	aliases    uint16
	wildcard   bool
	shared     bool
	subIDs     bool
}

// link is one Network Connection. One goroutine reads, one writes, and the one that runs the client watches.
type link struct {
	conn      net.Conn
	v         mqtt.Version
	limits    limits
	keepAlive time.Duration // 0: off

	// Guarded by Client.mu:
	wake         sync.Cond
	out, spare   []byte     // what is to be written, and the memory of the batch before
	writing      bool       // a batch is being written
	written      []*pending // QoS 0 messages in out that somebody waits for
	writtenSpare []*pending
	draining     bool // DISCONNECT is in out; nothing may follow it [MQTT-3.14.4-2]
	muted        bool // the reader has taken over to say why it ends the connection
	trace        func(sent bool, t mqtt.PacketType, size int)
	aliasOut     map[string]uint16
	open         int // inbound QoS 1 and 2 messages of this connection, against the Receive Maximum

	// Of the reader:
	buf       []byte
	from      int // start of what is unread in buf
	aliasIn   map[uint16]string
	lastTopic string
	publish   mqtt.Publish

	lastRead, lastWrite atomic.Int64 // nanoseconds since Client.epoch
	blocked             atomic.Bool  // the reader waits for room in the inbox

	fails  sync.Once
	failed chan struct{} // closed when the connection is of no more use
	err    error         // why; valid after failed is closed
}

func newLink(conn net.Conn, v mqtt.Version, mu sync.Locker) *link {
	l := &link{conn: conn, v: v, failed: make(chan struct{})}
	l.wake.L = mu
	return l
}

// fail ends the connection; the first reason counts. It may be called with or without mu.
func (l *link) fail(err error) {
	l.fails.Do(func() {
		l.err = err
		close(l.failed)
		_ = l.conn.Close()
	})
}

// closed reports whether nothing more may be sent. mu is held.
func (l *link) closed() bool {
	if l.draining || l.muted {
		return true
	}
	select {
	case <-l.failed:
		return true
	default:
		return false
	}
}

// busy reports whether something accepted is not written yet. mu is held.
func (l *link) busy() bool { return len(l.out) > 0 || l.writing }

// append encodes a packet into the buffer. mu is held.
func (l *link) append(p mqtt.Packet) error {
	if l.closed() {
		return nil
	}
	out, err := p.Append(l.out, l.v)
	if err != nil {
		return err
	}
	if len(out)-len(l.out) > l.limits.packetSize {
		return &mqtt.Error{Code: mqtt.PacketTooLarge, Clause: "MQTT-3.2.2-15"}
	}
	if l.trace != nil {
		l.trace(true, p.Type(), len(out)-len(l.out))
	}
	l.out = out
	l.wake.Signal()
	return nil
}

// appendPublish encodes a PUBLISH into the buffer, within the server's limits and with a Topic Alias where there is
// one. An error is a *PublishError, or that of a message that cannot be encoded. mu is held.
func (l *link) appendPublish(p *mqtt.Publish) error {
	if p.QoS > l.limits.qos { // [MQTT-3.2.2-11]
		return &PublishError{Topic: p.Topic, Code: mqtt.QoSNotSupported, Local: true}
	}
	if p.Retain && !l.limits.retain { // [MQTT-3.2.2-14]
		return &PublishError{Topic: p.Topic, Code: mqtt.RetainNotSupported, Local: true}
	}
	topic := p.Topic
	if l.v == mqtt.V5 {
		if p.Properties.TopicAlias > l.limits.aliases { // [MQTT-3.2.2-17]
			p.Properties.Remove(mqtt.PropTopicAlias)
		}
		if l.aliasOut != nil {
			l.alias(p)
		}
	}
	out, err := p.Append(l.out, l.v)
	if l.aliasOut != nil {
		p.Topic = topic
		p.Properties.Remove(mqtt.PropTopicAlias)
	}
	if err != nil {
		return err
	}
	if len(out)-len(l.out) > l.limits.packetSize { // [MQTT-3.2.2-15]
		if l.aliasOut != nil {
			delete(l.aliasOut, topic) // the server did not see it
		}
		return &PublishError{Topic: topic, Code: mqtt.PacketTooLarge, Local: true}
	}
	if l.trace != nil {
		l.trace(true, mqtt.TypePublish, len(out)-len(l.out))
	}
	l.out = out
	return nil
}

// alias puts a Topic Alias into p: in place of the topic if the server knows it, beside it if a number is free.
func (l *link) alias(p *mqtt.Publish) {
	if n, known := l.aliasOut[p.Topic]; known {
		p.Properties.SetTopicAlias(n)
		p.Topic = ""
		return
	}
	if len(l.aliasOut) < int(l.limits.aliases) {
		n := uint16(len(l.aliasOut) + 1)
		l.aliasOut[p.Topic] = n
		p.Properties.SetTopicAlias(n)
	}
}

// writeLoop writes what is in the buffer, all of it at once, until the connection ends.
func (c *Client) writeLoop(l *link) {
	c.mu.Lock()
	for {
		for len(l.out) == 0 && !l.closed() {
			l.wake.Wait()
		}
		if len(l.out) == 0 || l.closed() && !l.draining {
			break
		}
		batch, written := l.out, l.written
		l.out, l.written, l.writing = l.spare[:0], l.writtenSpare[:0], true
		l.spare, l.writtenSpare = nil, nil
		c.mu.Unlock()

		_, err := l.conn.Write(batch)
		if err != nil {
			l.fail(err)
		}
		l.lastWrite.Store(c.sinceEpoch())
		for i, p := range written {
			if err != nil {
				p.err = ErrConnectionLost
			}
			p.complete()
			written[i] = nil
		}

		c.mu.Lock()
		l.writing = false
		if cap(batch) <= keptBuffer {
			l.spare = batch
		}
		l.writtenSpare = written
		if err != nil {
			break
		}
		c.pump()
		if len(c.finished) > 0 {
			c.unlock()
			c.mu.Lock()
		}
		if len(l.out) == 0 {
			c.out.wake() // for Flush
		}
	}
	drained := l.draining
	c.mu.Unlock()
	if drained {
		linger(l)
	}
}

// linger lets the server close first, so that unread data does not make this side reset the connection and lose the
// DISCONNECT on its way.
func linger(l *link) {
	_ = l.conn.SetReadDeadline(time.Now().Add(lingerTime))
	if half, ok := l.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	l.fail(ErrClosed)
}

// readLoop handles every packet of the connection and returns why it ended.
func (c *Client) readLoop(l *link) error {
	for {
		body, h, err := l.next(int(c.cfg.MaximumPacketSize))
		if err != nil {
			return err
		}
		if body == nil {
			if err := l.fill(h.Remaining); err != nil {
				return err
			}
			l.lastRead.Store(c.sinceEpoch())
			continue
		}
		if trace := c.cfg.Hooks.Trace; trace != nil {
			trace(false, h.Type, len(body)+2)
		}
		if err := c.handle(l, h, body); err != nil {
			return err
		}
	}
}

// next takes one whole packet from the buffer. body is nil, and h.Remaining a size wanted, when more must be read.
func (l *link) next(maximum int) (body []byte, h mqtt.Header, err error) {
	unread := l.buf[l.from:]
	h, n, err := mqtt.ParseHeader(unread, l.v)
	if err != nil {
		return nil, h, err
	}
	if n == 0 {
		return nil, mqtt.Header{Remaining: 5}, nil
	}
	size := n + h.Remaining
	if size > maximum {
		return nil, h, &mqtt.Error{Code: mqtt.PacketTooLarge, Clause: "MQTT-3.1.2-24"}
	}
	if len(unread) < size {
		h.Remaining = size
		return nil, h, nil
	}
	l.from += size
	return unread[n:size:size], h, nil
}

// fill reads more, into a buffer that grows with what has come and not with what was announced.
func (l *link) fill(want int) error {
	if l.from > 0 {
		n := copy(l.buf, l.buf[l.from:])
		l.buf, l.from = l.buf[:n], 0
	}
	switch {
	case l.buf == nil:
		l.buf = make([]byte, 0, readChunk)
	case len(l.buf) == cap(l.buf):
		l.buf = append(make([]byte, 0, min(2*cap(l.buf), max(want, cap(l.buf)+readChunk))), l.buf...)
	case len(l.buf) == 0 && cap(l.buf) > keptBuffer:
		l.buf = make([]byte, 0, readChunk) // a large packet is over
	}
	n, err := l.conn.Read(l.buf[len(l.buf):cap(l.buf)])
	l.buf = l.buf[:len(l.buf)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	if err == io.EOF && len(l.buf) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// watch keeps the connection alive until it has failed [MQTT-3.1.2-20]. Anything received counts as an answer to
// PINGREQ, so that a long answer in progress is not taken for silence.
func (c *Client) watch(l *link) {
	if l.keepAlive == 0 {
		<-l.failed
		return
	}
	interval := l.keepAlive - l.keepAlive/4
	timeout := min(max(l.keepAlive/2, time.Second), maxPingTimeout)
	timer := time.NewTimer(interval)
	defer timer.Stop()
	var pinged int64 // when the unanswered PINGREQ was sent, 0: none
	for {
		select {
		case <-l.failed:
			return
		case <-timer.C:
		}
		now := c.sinceEpoch()
		if l.blocked.Load() || l.lastRead.Load() >= pinged {
			pinged = 0
		}
		due := min(l.lastRead.Load(), l.lastWrite.Load()) + int64(interval)
		switch {
		case pinged != 0 && now >= pinged+int64(timeout):
			l.fail(ErrKeepAlive)
			return
		case pinged == 0 && now >= due:
			pinged = now
			c.mu.Lock()
			_ = l.append(&mqtt.Pingreq{}) // has no fields: cannot be refused
			c.mu.Unlock()
			timer.Reset(timeout)
		case pinged != 0:
			timer.Reset(time.Duration(pinged + int64(timeout) - now))
		default:
			timer.Reset(time.Duration(due - now))
		}
	}
}
