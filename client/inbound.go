package client

import (
	"context"
	"fmt"
	"iter"

	"github.com/sealmq/sealmq/mqtt"
)

// inbound is the receiving half of the Session. It is guarded by Client.mu.
type inbound struct {
	received map[mqtt.PacketID]*received // QoS 2 messages that are not released [MQTT-4.3.3-10]
	acks     fifo[ackSlot]               // acknowledgements due on this connection, in the order of the messages
	number   uint64                      // of the latest delivery
}

// received is a QoS 2 message from its PUBLISH until its PUBREL.
type received struct {
	delivery uint64 // number of the message handed to the program
	slot     uint64 // number of its place in acks; another one after it was sent again on a new connection
	saving   bool   // acknowledged by the program, being stored
	accepted bool   // stored: PUBREC may be sent
	link     *link  // the connection on which it counts against the Receive Maximum
}

// ackSlot is one acknowledgement that is due.
type ackSlot struct {
	number uint64
	id     mqtt.PacketID
	qos    mqtt.QoS
	ready  bool
}

// expect adds a slot and returns its number.
func (in *inbound) expect(id mqtt.PacketID, qos mqtt.QoS, ready bool) uint64 {
	in.number++
	in.acks.push(ackSlot{in.number, id, qos, ready})
	return in.number
}

// mark makes a slot ready; one of an earlier connection is gone.
func (in *inbound) mark(number uint64) {
	if in.acks.len() == 0 {
		return
	}
	first := in.acks.at(0).number
	if number >= first && number-first < uint64(in.acks.len()) {
		in.acks.at(int(number - first)).ready = true
	}
}

// flushAcks sends the acknowledgements that are ready, up to the first that is not. mu is held.
func (c *Client) flushAcks(l *link) error {
	for c.in.acks.len() > 0 && c.in.acks.at(0).ready {
		slot := c.in.acks.pop()
		var err error
		if slot.qos == mqtt.AtLeastOnce {
			l.open--
			c.puback.PacketID = slot.id
			err = l.append(&c.puback)
		} else {
			c.pubrec.PacketID = slot.id
			err = l.append(&c.pubrec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// onPublish handles an inbound message.
func (c *Client) onPublish(l *link, flags byte, body []byte) error {
	p := &l.publish
	if err := p.Parse(l.v, flags, body); err != nil {
		return err
	}
	name, err := l.resolve(p, c.cfg.TopicAliasMaximum)
	if err != nil {
		return err
	}
	m := newInbound(p, name)
	if p.QoS > mqtt.AtMostOnce {
		fresh, err := c.register(l, m)
		if err != nil || !fresh {
			return err
		}
	}
	c.stats.received.Add(1)
	return c.enqueue(l, m)
}

// resolve returns the Topic Name in memory of its own [MQTT-3.3.2-7].
func (l *link) resolve(p *mqtt.Publish, maximum int) (string, error) {
	if !p.Properties.Has(mqtt.PropTopicAlias) {
		if p.Topic != l.lastTopic { // messages in a row often share a topic, and then its memory
			l.lastTopic = string([]byte(p.Topic))
		}
		return l.lastTopic, nil
	}
	alias := p.Properties.TopicAlias
	if int(alias) > maximum {
		return "", &mqtt.Error{Code: mqtt.TopicAliasInvalid, Clause: "MQTT-3.1.2-26"}
	}
	if p.Topic != "" {
		name := string([]byte(p.Topic))
		l.aliasIn[alias] = name
		return name, nil
	}
	name, known := l.aliasIn[alias]
	if !known {
		return "", &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT-3.3.2-7"}
	}
	return name, nil
}

// register gives a QoS 1 or 2 message its place among the acknowledgements; fresh is false for a QoS 2 message that
// the program has already [MQTT-4.3.3-10].
func (c *Client) register(l *link, m *Message) (fresh bool, err error) {
	c.mu.Lock()
	defer c.unlock()
	if m.QoS == mqtt.ExactlyOnce {
		if r := c.in.received[m.PacketID]; r != nil {
			if r.link == l && !r.accepted {
				return false, nil // its PUBREC is still to come
			}
			r.slot = c.in.expect(m.PacketID, m.QoS, r.accepted)
			return false, c.flushAcks(l)
		}
	}
	if l.open >= int(c.cfg.ReceiveMaximum) && l.v == mqtt.V5 || c.in.acks.len() >= 65535 {
		return false, &mqtt.Error{Code: mqtt.ReceiveMaximumExceeded, Clause: "MQTT-3.3.4-9"}
	}
	l.open++
	number := c.in.expect(m.PacketID, m.QoS, false)
	m.delivery = delivery{c, number}
	if m.QoS == mqtt.ExactlyOnce {
		c.in.received[m.PacketID] = &received{delivery: number, slot: number, link: l}
	}
	return true, nil
}

// enqueue hands a message to the program.
func (c *Client) enqueue(l *link, m *Message) error {
	select {
	case c.inbox <- m:
		return nil
	default:
	}
	if m.QoS == mqtt.AtMostOnce && c.cfg.Overflow == OverflowDrop {
		c.stats.dropped.Add(1)
		return nil
	}
	l.blocked.Store(true)
	defer l.blocked.Store(false)
	defer func() { l.lastRead.Store(c.sinceEpoch()) }()
	select {
	case c.inbox <- m:
		return nil
	case <-l.failed:
		return l.err
	case <-c.life.Done():
		return ErrClosed // not acknowledged: the server keeps it for the Session's next connection
	}
}

// acknowledge marks a message as handled and sends what is due.
func (c *Client) acknowledge(m *Message) {
	d := m.delivery
	c.mu.Lock()
	slot := d.number
	if m.QoS == mqtt.ExactlyOnce {
		r := c.in.received[m.PacketID]
		if r == nil || r.delivery != d.number || r.accepted || r.saving {
			c.mu.Unlock()
			return
		}
		r.saving = true
		if c.cfg.Store != nil && !c.accept(m.PacketID, d.number) {
			return
		}
		r.accepted = true
		slot = r.slot
	}
	c.in.mark(slot)
	l := c.link
	var err error
	if l != nil {
		err = c.flushAcks(l)
	}
	c.unlock()
	if err != nil {
		l.fail(err)
	}
}

// accept stores the Packet Identifier of a QoS 2 message before its PUBREC leaves. mu is held, released meanwhile, and
// held again if the result is true.
func (c *Client) accept(id mqtt.PacketID, number uint64) bool {
	l := c.link
	c.mu.Unlock()
	err := c.cfg.Store.Save(Record{Key: Key{Received, id}, Sequence: number})
	if err != nil {
		if l != nil {
			l.fail(fmt.Errorf("session store: save received packet %d: %w", id, err))
		}
		return false
	}
	c.mu.Lock()
	r := c.in.received[id]
	if r != nil && r.delivery == number {
		return true
	}
	c.mu.Unlock() // the Session was lost meanwhile, and the record with it
	if r == nil {
		err = c.cfg.Store.Delete(Key{Received, id})
	}
	if err != nil && l != nil {
		l.fail(fmt.Errorf("session store: delete received packet %d: %w", id, err))
	}
	return false
}

// onPubrel releases a QoS 2 message [MQTT-4.3.3-11].
func (c *Client) onPubrel(l *link, id mqtt.PacketID) error {
	c.mu.Lock()
	r := c.in.received[id]
	c.mu.Unlock()
	comp := mqtt.Pubcomp{PacketID: id}
	if r == nil {
		comp.ReasonCode = mqtt.PacketIdentifierNotFound
	} else if c.cfg.Store != nil {
		if err := c.cfg.Store.Delete(Key{Received, id}); err != nil {
			return fmt.Errorf("session store: delete received packet %d: %w", id, err)
		}
	}
	c.mu.Lock()
	defer c.unlock()
	if r != nil {
		delete(c.in.received, id)
		if r.link == l {
			l.open--
		}
	}
	return l.append(&comp)
}

// take opens a message that came out of the inbox; false means that it was rejected.
func (c *Client) take(m *Message) bool {
	if c.cfg.Protector == nil {
		return true
	}
	opened := *m
	if m.Properties != nil {
		props := m.Properties.Clone()
		opened.Properties = &props
	}
	err := c.cfg.Protector.Open(&opened)
	if err == nil {
		m.Payload, m.Properties = opened.Payload, opened.Properties
		return true
	}
	c.stats.rejected.Add(1)
	if c.cfg.Hooks.Rejected != nil {
		shown := *m
		shown.delivery = delivery{}
		c.cfg.Hooks.Rejected(&shown, err)
	}
	m.Ack()
	return false
}

// deliver feeds Config.Handler until the client has stopped. After Close no call begins any more.
func (c *Client) deliver() {
	for {
		m, err := c.next(context.Background())
		if err != nil || c.life.Err() != nil {
			return
		}
		c.cfg.Handler(m)
		if !c.cfg.ManualAcks {
			m.Ack()
		}
	}
}

// next returns the next message that may be handed to the program.
func (c *Client) next(ctx context.Context) (*Message, error) {
	for {
		m, err := c.dequeue(ctx)
		if err != nil || c.take(m) {
			return m, err
		}
	}
}

// dequeue returns the next message of the inbox; those that came before the client stopped come before its error.
func (c *Client) dequeue(ctx context.Context) (*Message, error) {
	select {
	case m := <-c.inbox:
		return m, nil
	default:
	}
	select {
	case m := <-c.inbox:
		return m, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.stopped:
	}
	select {
	case m := <-c.inbox:
		return m, nil
	default:
		return nil, c.Err()
	}
}

// Receive returns the next inbound message, when there is no Handler. Without ManualAcks it is acknowledged as soon as
// it is returned. After the client has stopped it returns what came before, and then ErrClosed or the reason.
func (c *Client) Receive(ctx context.Context) (*Message, error) {
	m, err := c.next(ctx)
	if err == nil && !c.cfg.ManualAcks {
		m.Ack()
	}
	return m, err
}

// Messages iterates over inbound messages, when there is no Handler, until ctx ends or the client has stopped; the
// last pair holds the reason. Without ManualAcks a message is acknowledged when the loop's body is done with it.
func (c *Client) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			m, err := c.next(ctx)
			more := yield(m, err)
			if err != nil {
				return
			}
			if !c.cfg.ManualAcks {
				m.Ack()
			}
			if !more {
				return
			}
		}
	}
}
