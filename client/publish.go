package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// Publish sends a message and waits: with QoS 0 until it is written to the connection, with QoS 1 until PUBACK, with
// QoS 2 until PUBCOMP. Without a connection it waits for one. A refusal is a *PublishError.
//
// When ctx ends first, Publish returns its cause; the message stays with the client and may still be delivered.
func (c *Client) Publish(ctx context.Context, m *Message) error {
	p, err := c.submit(ctx, m, nil, true)
	if err != nil {
		return err
	}
	select {
	case <-p.ready:
		err := p.err
		p.release()
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish to %q: %w", m.Topic, context.Cause(ctx))
	}
}

// PublishAsync hands a message to the client and returns when it has a place in the outbound queue. It waits for room
// until ctx ends, and then returns ErrQueueFull joined with the cause. done, if not nil, is called exactly once with
// the outcome that Publish would return, unless PublishAsync returned an error; it is called by a goroutine of the
// client and must return soon, without calling methods that wait.
func (c *Client) PublishAsync(ctx context.Context, m *Message, done func(Ack, error)) error {
	_, err := c.submit(ctx, m, done, false)
	return err
}

var (
	errSubscriptionID = errors.New("a client must not send a subscription identifier with a message [MQTT-3.3.4-6]")
	errQoS            = errors.New("qos is neither 0, 1 nor 2")
)

// submit validates, seals, stores and queues or sends a message. The pending is returned when wait is set.
func (c *Client) submit(ctx context.Context, m *Message, done func(Ack, error), wait bool) (*pending, error) {
	if err := checkMessage(m); err != nil {
		return nil, err
	}
	if c.cfg.Protector != nil {
		sealed, err := c.seal(KindPublish, m)
		if err != nil {
			return nil, err
		}
		m = sealed
	}
	c.mu.Lock()
	if m.QoS == mqtt.AtMostOnce {
		if p, sent, err := c.sendNow(m, done, wait); sent || err != nil {
			c.unlock()
			return p, err
		}
	}
	p := newPending()
	p.keep(m, time.Now())
	p.done, p.waiting = done, wait
	if err := c.reserve(ctx, p); err != nil {
		c.mu.Unlock()
		p.release()
		return nil, err
	}
	if m.QoS == mqtt.AtMostOnce {
		p.stage = stageQueued
		c.out.atMost.push(p)
		c.pump()
		c.unlock()
		return p, nil
	}
	if c.cfg.Store != nil {
		c.mu.Unlock()
		err := c.store(p)
		c.mu.Lock()
		if err != nil {
			c.out.remove(p)
			c.mu.Unlock()
			return nil, err
		}
		if c.over { // the record waits in the store for the next client
			c.out.remove(p)
			defer c.mu.Unlock()
			return nil, fmt.Errorf("publish to %q: stored for later: %w", m.Topic, c.closedError())
		}
	}
	p.stage = stageQueued
	c.out.assured.push(p)
	c.pump()
	c.unlock()
	return p, nil
}

// checkMessage refuses what no server may accept.
func checkMessage(m *Message) error {
	if _, err := topic.ParseName(m.Topic); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if m.QoS > mqtt.ExactlyOnce {
		return fmt.Errorf("publish to %q: %w", m.Topic, errQoS)
	}
	if m.Properties != nil && m.Properties.Has(mqtt.PropSubscriptionID) {
		return fmt.Errorf("publish to %q: %w", m.Topic, errSubscriptionID)
	}
	return nil
}

// seal returns a protected copy of m.
func (c *Client) seal(kind Kind, m *Message) (*Message, error) {
	sealed := *m
	if m.Properties != nil {
		props := m.Properties.Clone()
		sealed.Properties = &props
	}
	if err := c.cfg.Protector.Seal(kind, &sealed); err != nil {
		return nil, fmt.Errorf("seal message for %q: %w", m.Topic, err)
	}
	sealed.Topic, sealed.QoS, sealed.Retain = m.Topic, m.QoS, m.Retain
	return &sealed, nil
}

// sendNow puts a QoS 0 message straight into the connection's buffer, if nothing waits before it. mu is held.
func (c *Client) sendNow(m *Message, done func(Ack, error), wait bool) (p *pending, sent bool, err error) {
	l := c.link
	if l == nil || l.closed() || c.out.atMost.len() > 0 || len(l.out) >= outLimit {
		return nil, false, nil
	}
	fill(&c.scratch, m)
	if err := l.appendPublish(&c.scratch); err != nil {
		return nil, false, err
	}
	c.scratch.Topic, c.scratch.Payload = "", nil
	if wait || done != nil {
		p = newPending()
		p.stage, p.done, p.waiting = stageSent, done, wait
		l.written = append(l.written, p)
	}
	l.wake.Signal()
	return p, true, nil
}

// reserve waits for a place in the queue and, for QoS 1 and 2, takes a Packet Identifier. mu is held, and released
// while waiting.
func (c *Client) reserve(ctx context.Context, p *pending) error {
	if p.size > c.cfg.QueueBytes {
		return fmt.Errorf("publish to %q: %w", p.publish.Topic, ErrQueueFull)
	}
	for {
		if c.over {
			return c.closedError()
		}
		if c.out.admit(p) {
			break
		}
		room := c.out.waiter()
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			c.mu.Lock()
			return fmt.Errorf("publish to %q: %w", p.publish.Topic, errors.Join(ErrQueueFull, context.Cause(ctx)))
		}
		c.mu.Lock()
	}
	if p.publish.QoS == mqtt.AtMostOnce {
		return nil
	}
	if err := c.out.allocate(p); err != nil {
		c.out.leave(p)
		return fmt.Errorf("publish to %q: %w", p.publish.Topic, err)
	}
	return nil
}

// store makes an admitted message outlive the process, before it is sent. It is called without mu: until the message
// is queued, nobody else touches it.
func (c *Client) store(p *pending) error {
	p.publish.PacketID = p.id
	packet, err := p.publish.Append(nil, mqtt.V5)
	if err == nil {
		err = c.cfg.Store.Save(Record{Key: Key{Sent, p.id}, Sequence: p.seq, Packet: packet})
	}
	if err != nil {
		return fmt.Errorf("session store: save message for %q: %w", p.publish.Topic, err)
	}
	return nil
}

// Flush waits until every message accepted so far, and those accepted meanwhile, are sent and acknowledged according
// to their QoS, or ctx ends.
func (c *Client) Flush(ctx context.Context) error {
	for {
		c.mu.Lock()
		if c.over {
			defer c.mu.Unlock()
			return c.closedError()
		}
		if c.out.queued == 0 && (c.link == nil || !c.link.busy()) {
			c.mu.Unlock()
			return nil
		}
		room := c.out.waiter()
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("flush: %w", context.Cause(ctx))
		}
	}
}
