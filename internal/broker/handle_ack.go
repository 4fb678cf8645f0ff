package broker

import (
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/mqtt"
)

// handleAck takes PUBACK, PUBREC and PUBCOMP for messages the client receives, and PUBREL for those it sends.
func (c *conn) handleAck(w *work, h mqtt.Header, body []byte) error {
	switch h.Type {
	case mqtt.TypePuback:
		p := &w.puback
		if err := p.Parse(c.version, h.Flags, body); err != nil {
			return err
		}
		return c.acknowledged(w, session.Event{Kind: session.Puback, PacketID: p.PacketID, Code: p.ReasonCode})
	case mqtt.TypePubrec:
		p := &w.pubrec
		if err := p.Parse(c.version, h.Flags, body); err != nil {
			return err
		}
		return c.acknowledged(w, session.Event{Kind: session.Pubrec, PacketID: p.PacketID, Code: p.ReasonCode})
	case mqtt.TypePubcomp:
		p := &w.pubcomp
		if err := p.Parse(c.version, h.Flags, body); err != nil {
			return err
		}
		return c.acknowledged(w, session.Event{Kind: session.Pubcomp, PacketID: p.PacketID, Code: p.ReasonCode})
	default:
		p := &w.pubrel
		if err := p.Parse(c.version, h.Flags, body); err != nil {
			return err
		}
		return c.released(w, p.PacketID)
	}
}

// acknowledged moves an outbound message on. An identifier that is not in use is not an error: the message may have
// expired or been discarded meanwhile. The acknowledgement of the other QoS is one.
func (c *conn) acknowledged(w *work, ev session.Event) error {
	s := c.session
	s.mu.Lock()
	if s.conn != c {
		s.mu.Unlock()
		return nil
	}
	outcome := s.step(w, ev)
	shared := s.state.Len() == 0
	s.mu.Unlock()
	if outcome == session.WrongFlow {
		return refuse(errProtocol, "MQTT-4.3.2-3", "acknowledgement of the wrong QoS")
	}
	if shared {
		c.b.groups.drained(w, s)
	}
	return nil
}

// released ends an inbound QoS 2 message. Its identifier is gone from the disk before PUBCOMP says so, and an unknown
// one is answered with 0x92 so that the client can end its half, too [MQTT-4.3.3-11].
func (c *conn) released(w *work, pid mqtt.PacketID) error {
	s, fx := c.session, &w.inbound
	s.mu.Lock()
	s.inbound(w, session.Event{Kind: session.Release, PacketID: pid})
	s.mu.Unlock()
	number, _, _ := c.acks.begin(slot{kind: mqtt.TypePubcomp, pid: pid, closes: fx.Closed}, 0)
	var a answer
	if fx.Outcome == session.Unknown {
		a.code = mqtt.PacketIdentifierNotFound
	}
	batch := fx.Batch
	if batch == nil || len(batch.Ops) == 0 {
		if batch != nil {
			putBatch(batch)
		}
		c.complete(w, number, a)
		return nil
	}
	c.b.store.Commit(batch, func(err error) {
		putBatch(batch)
		if err != nil {
			c.b.storeFailed(err)
		}
		c.complete(c.b.callbackWork(), number, a)
	})
	return nil
}
