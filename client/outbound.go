package client

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// outbound is the sending half of the Session. It is guarded by Client.mu.
type outbound struct {
	inflight map[mqtt.PacketID]*pending // everything that has a Packet Identifier
	lastID   mqtt.PacketID
	lastSeq  uint64
	atMost   fifo[*pending] // QoS 0 messages that wait
	assured  fifo[*pending] // QoS 1 and 2 messages that wait, in sending order
	sending  int            // QoS 1 and 2 messages sent on this connection and not completely acknowledged

	queued      int   // messages against QueueMessages
	queuedBytes int64 // against QueueBytes
	maxQueued   int
	maxBytes    int64
	room        chan struct{} // closed when a quarter of the queue is free, or all of it; nil if nobody waits
}

var errNoPacketID = errors.New("all packet identifiers are in use")

// allocate gives p an unused Packet Identifier [MQTT-2.2.1-3] and its place in the order.
func (o *outbound) allocate(p *pending) error {
	for range 65535 {
		o.lastID++
		if o.lastID == 0 {
			o.lastID = 1
		}
		if _, used := o.inflight[o.lastID]; !used {
			o.lastSeq++
			p.id, p.seq = o.lastID, o.lastSeq
			o.inflight[p.id] = p
			return nil
		}
	}
	return errNoPacketID
}

// admit counts p against the queue's bounds; false means that there is no room now.
func (o *outbound) admit(p *pending) bool {
	if o.queued >= o.maxQueued || o.queuedBytes+p.size > o.maxBytes && o.queued > 0 {
		return false
	}
	o.queued++
	o.queuedBytes += p.size
	p.counted = true
	return true
}

// leave takes p out of the queue's accounts. Those who wait for room are woken when there is enough for many, so that
// a full queue does not cost a wake-up for each message.
func (o *outbound) leave(p *pending) {
	if !p.counted {
		return
	}
	p.counted = false
	o.queued--
	o.queuedBytes -= p.size
	if o.room != nil && 4*o.queued <= 3*o.maxQueued && 4*o.queuedBytes <= 3*o.maxBytes {
		o.wake()
	}
}

// wake wakes everybody who waits for room, or for everything to be sent.
func (o *outbound) wake() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// waiter returns a channel that the next wake closes.
func (o *outbound) waiter() <-chan struct{} {
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room
}

// remove forgets p and its Packet Identifier.
func (o *outbound) remove(p *pending) {
	o.leave(p)
	if p.id != 0 && o.inflight[p.id] == p {
		delete(o.inflight, p.id)
	}
}

// pump moves waiting messages into the connection's buffer, as far as the server's Receive Maximum [MQTT-3.3.4-9] and
// the buffer's bound allow. mu is held.
func (c *Client) pump() {
	l := c.link
	if l == nil || l.closed() {
		return
	}
	for c.out.atMost.len() > 0 && len(l.out) < outLimit {
		c.transmit(l, c.out.atMost.pop())
	}
	for c.out.assured.len() > 0 && len(l.out) < outLimit && c.out.sending < l.limits.inflight {
		c.transmit(l, c.out.assured.pop())
	}
	if len(l.out) > 0 {
		l.wake.Signal()
	}
}

// transmit appends one waiting message to the connection's buffer. mu is held.
func (c *Client) transmit(l *link, p *pending) {
	if p.expires != 0 {
		left := p.expires - time.Now().UnixNano()
		if left <= 0 && !p.sent {
			c.finish(p, ErrExpired)
			return
		}
		p.publish.Properties.SetMessageExpiry(uint32(max(1, (left+int64(time.Second)-1)/int64(time.Second))))
	}
	p.publish.Dup = p.sent
	p.publish.PacketID = p.id
	if err := l.appendPublish(&p.publish); err != nil {
		c.finish(p, err)
		return
	}
	if p.publish.QoS == mqtt.AtMostOnce {
		c.out.leave(p)
		p.stage = stageSent
		l.written = append(l.written, p)
		return
	}
	p.stage, p.sent = stageSent, true
	c.out.sending++
}

// finish notes an outcome that was found while mu is held; unlock does the rest.
func (c *Client) finish(p *pending, err error) {
	p.stage, p.err = stageFinished, err
	c.finished = append(c.finished, p)
}

// unlock releases mu and completes what was finished under it.
func (c *Client) unlock() {
	done := c.finished
	c.finished = nil
	c.mu.Unlock()
	for _, p := range done {
		c.settle(p)
	}
}

// settle removes a finished operation from the store, then from the client (its Packet Identifier must not be used
// again before), and tells the owner. It is called without mu.
func (c *Client) settle(p *pending) {
	if c.cfg.Store != nil && p.id != 0 && p.request == nil {
		if err := c.cfg.Store.Delete(Key{Sent, p.id}); err != nil && p.err == nil {
			p.err = fmt.Errorf("session store: delete packet %d: %w", p.id, err)
		}
	}
	c.mu.Lock()
	c.out.remove(p)
	c.unlock()
	p.complete()
}

// answered takes the operation that a packet of the server answers, or nil when there is none (which is what remains
// of an operation given up together with an older Session).
func (c *Client) answered(id mqtt.PacketID, want func(*pending) bool) *pending {
	p := c.out.inflight[id]
	if p == nil || !want(p) {
		return nil
	}
	return p
}

func awaitsPuback(p *pending) bool {
	return p.request == nil && p.publish.QoS == mqtt.AtLeastOnce && p.stage == stageSent
}

func awaitsPubrec(p *pending) bool {
	return p.request == nil && p.publish.QoS == mqtt.ExactlyOnce && (p.stage == stageSent || p.stage == stageReleased)
}

func awaitsPubcomp(p *pending) bool { return p.request == nil && p.stage == stageReleased }

// onAcknowledged handles PUBACK, PUBCOMP and a refusing PUBREC: the end of a message.
func (c *Client) onAcknowledged(id mqtt.PacketID, code mqtt.ReasonCode, props *mqtt.Properties,
	want func(*pending) bool,
) {
	c.mu.Lock()
	p := c.answered(id, want)
	if p == nil {
		c.mu.Unlock()
		return
	}
	p.stage = stageFinished
	if code != mqtt.Success {
		p.ack.Code = code
	}
	if props.Has(mqtt.PropReasonString) {
		p.ack.ReasonString = string([]byte(props.ReasonString))
	}
	if code >= 0x80 {
		p.err = &PublishError{Topic: p.publish.Topic, Code: code, ReasonString: p.ack.ReasonString}
	}
	c.out.sending--
	if c.cfg.Store == nil { // the common case, with one critical section
		c.out.remove(p)
		c.pump()
		c.unlock()
		p.complete()
		return
	}
	c.pump()
	c.unlock()
	c.settle(p)
}

// onPubrec handles a PUBREC that accepts [MQTT-4.3.3-4]: from here on the message is the server's, and only its
// Packet Identifier is kept.
func (c *Client) onPubrec(l *link, id mqtt.PacketID, code mqtt.ReasonCode) error {
	c.mu.Lock()
	p := c.answered(id, awaitsPubrec)
	known := p != nil
	save := known && p.stage == stageSent
	var record Record
	if save {
		p.stage = stageReleased
		p.ack.Code = code // perhaps NoMatchingSubscribers
		c.out.lastSeq++
		p.seq = c.out.lastSeq
		p.buf, p.publish.Payload = p.buf[:0], nil
		record = Record{Key: Key{Sent, id}, Sequence: p.seq, Released: true}
	}
	c.mu.Unlock()
	if save && c.cfg.Store != nil {
		if err := c.cfg.Store.Save(record); err != nil {
			return fmt.Errorf("session store: save packet %d: %w", id, err)
		}
	}
	rel := mqtt.Pubrel{PacketID: id}
	if !known {
		rel.ReasonCode = mqtt.PacketIdentifierNotFound
	}
	c.mu.Lock()
	defer c.unlock()
	return l.append(&rel)
}

// resume prepares the sending half for a new connection: what was sent before is sent again, in its order, before
// everything that still waits [MQTT-4.4.0-1] [MQTT-4.6.0-1]. mu is held.
func (c *Client) resume(l *link, sessionPresent bool) error {
	o := &c.out
	o.sending = 0
	o.assured.clear()
	all := make([]*pending, 0, len(o.inflight))
	for _, p := range o.inflight {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pending) int { return cmp.Compare(a.seq, b.seq) })
	for _, p := range all {
		switch {
		case p.stage == stageAdmitted || p.stage == stageFinished:
		case p.again: // just sent by subscribeAgain
		case p.request != nil:
			p.stage = stageQueued
			if err := c.transmitRequest(l, p); err != nil {
				c.finish(p, err)
			}
		case !p.sent:
			o.assured.push(p)
		case !sessionPresent && p.publish.QoS == mqtt.ExactlyOnce:
			c.finish(p, ErrSessionLost)
		case p.stage == stageReleased:
			o.sending++
			if err := l.append(&mqtt.Pubrel{PacketID: p.id}); err != nil {
				return err
			}
		default:
			p.stage, p.sent = stageQueued, sessionPresent
			o.assured.push(p)
		}
	}
	return nil
}

// restore loads the sending and the receiving half from the store. It runs before the first connection.
func (c *Client) restore() error {
	if c.cfg.Store == nil {
		return nil
	}
	err := c.cfg.Store.Load(func(r Record) error {
		if r.PacketID == 0 {
			return errors.New("record with packet identifier 0")
		}
		if r.Direction == Received {
			c.in.received[r.PacketID] = &received{accepted: true}
			return nil
		}
		p := newPending()
		p.id, p.seq, p.sent, p.stage = r.PacketID, r.Sequence, true, stageQueued
		if r.Released {
			p.stage, p.publish.QoS = stageReleased, mqtt.ExactlyOnce
		} else if err := p.parse(r.Packet); err != nil {
			return fmt.Errorf("packet %d: %w", r.PacketID, err)
		}
		p.size = pendingOverhead + int64(len(r.Packet))
		c.out.queued++
		c.out.queuedBytes += p.size
		p.counted = true
		c.out.inflight[p.id] = p
		c.out.lastSeq = max(c.out.lastSeq, p.seq)
		c.out.lastID = max(c.out.lastID, p.id)
		return nil
	})
	if err != nil {
		return fmt.Errorf("session store: load: %w", err)
	}
	return nil
}

// parse reads a stored PUBLISH.
func (p *pending) parse(packet []byte) error {
	h, n, err := mqtt.ParseHeader(packet, mqtt.V5)
	if err != nil {
		return err
	}
	if n == 0 || h.Type != mqtt.TypePublish || h.Remaining != len(packet)-n {
		return errors.New("not one whole publish packet")
	}
	var pub mqtt.Publish
	if err := pub.Parse(mqtt.V5, h.Flags, packet[n:]); err != nil {
		return err
	}
	if pub.QoS == mqtt.AtMostOnce {
		return errors.New("publish with qos 0")
	}
	m := newInbound(&pub, string([]byte(pub.Topic)))
	p.keep(m, time.Now())
	return nil
}
