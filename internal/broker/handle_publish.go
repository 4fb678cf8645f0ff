package broker

import (
	"errors"
	"strconv"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// handlePublish takes an application message: limits, alias, rights, then routing; the acknowledgement follows when
// everything it promises is true.
func (c *conn) handlePublish(w *work, h mqtt.Header, body []byte, size int) error {
	p := &w.publish
	if err := p.Parse(c.version, h.Flags, body); err != nil {
		return err
	}
	if len(p.Properties.SubscriptionIDs) > 0 {
		return refuse(errProtocol, "MQTT-3.3.4-6", "subscription identifier from a client")
	}
	w.tally.received(p.QoS, len(p.Payload))
	if err := c.rate.allow(c, w, size); err != nil {
		return err
	}
	if err := c.resolveAlias(p); err != nil {
		return err
	}
	set := c.b.settings()
	if topic.Levels(p.Topic) > set.TopicLevels {
		return overLimit(errTooDeep, "limits.topic_levels", set.TopicLevels, strconv.Itoa(topic.Levels(p.Topic)))
	}
	if limit := set.MessageExpiryMax; limit != neverExpires && (!p.Properties.Has(mqtt.PropMessageExpiry) || p.Properties.MessageExpiry > limit) {
		p.Properties.SetMessageExpiry(limit)
	}
	switch p.QoS {
	case mqtt.AtMostOnce:
		return c.publishQoS0(w, p)
	case mqtt.AtLeastOnce:
		return c.publishQoS1(w, p, size)
	default:
		return c.publishQoS2(w, p, size)
	}
}

// publishQoS0 has nobody to tell when it is refused: the refusal is counted and logged [MQTT311-3.3.5-2].
func (c *conn) publishQoS0(w *work, p *mqtt.Publish) error {
	_, err := c.publish(w, p, 0, nil)
	return endsConnection(err)
}

func (c *conn) publishQoS1(w *work, p *mqtt.Publish, size int) error {
	number, err := c.begin(mqtt.TypePuback, p.PacketID, size, 1)
	if err != nil {
		return err
	}
	r, err := c.publish(w, p, number, nil)
	return c.acknowledge(w, number, r, err)
}

// endsConnection returns the error if it is one of those that do more than refuse a message.
func endsConnection(err error) error {
	var end *tooManyPayloads
	if errors.As(err, &end) {
		return end
	}
	return nil
}

// publishQoS2 routes the message once, before PUBREC; a resend of the same Packet Identifier only repeats PUBREC
// [MQTT-4.3.3-10]. The identifier is stored in the same batch as the message.
func (c *conn) publishQoS2(w *work, p *mqtt.Publish, size int) error {
	s, fx := c.session, &w.inbound
	s.mu.Lock()
	if s.conn != c { // taken over meanwhile
		s.mu.Unlock()
		return nil
	}
	s.inbound(w, session.Event{Kind: session.Publish, PacketID: p.PacketID})
	s.mu.Unlock()
	batch := fx.Batch
	duplicate := fx.Outcome == session.Duplicate
	accepted := duplicate
	defer func() {
		if !accepted {
			c.forget(w, p.PacketID)
		}
	}()
	opened := 0
	if fx.Opened {
		opened = 1
	}
	number, err := c.begin(mqtt.TypePubrec, p.PacketID, size, opened)
	if err != nil {
		return err
	}
	if duplicate {
		c.repeatPubrec(w, number, batch)
		return nil
	}
	r, err := c.publish(w, p, number, batch)
	if accepted = err == nil; !accepted && batch != nil {
		putBatch(batch) // of what was refused nothing is stored
	}
	return c.acknowledge(w, number, r, err)
}

// forget gives back the Packet Identifier of a QoS 2 message that was not routed, whatever the reason: the client's next
// attempt is a new message and not a copy that has been delivered.
func (c *conn) forget(w *work, pid mqtt.PacketID) {
	s := c.session
	s.mu.Lock()
	s.inbound(w, session.Event{Kind: session.Refuse, PacketID: pid})
	s.mu.Unlock()
	if batch := w.inbound.Batch; batch != nil {
		putBatch(batch) // the identifier was never stored
	}
}

// inbound feeds an event of the messages on their way in to the state machine; w.inbound has the effects. A session that
// is not durable changes no rows and gets no batch. mu is held.
func (s *clientSession) inbound(w *work, ev session.Event) {
	fx := &w.inbound
	fx.Reset()
	fx.Batch = nil
	if s.state.Durable() {
		fx.Batch = getBatch()
	}
	s.state.Step(ev, w.now, fx)
}

// repeatPubrec answers a resent QoS 2 PUBLISH, after whatever its first copy waits for is on disk.
func (c *conn) repeatPubrec(w *work, number uint64, batch *store.Batch) {
	if batch == nil {
		c.complete(w, number, answer{})
		return
	}
	batch.Sync = true
	c.b.store.Commit(batch, func(err error) {
		putBatch(batch)
		c.complete(c.b.callbackWork(), number, answerOf(err))
	})
}

// acknowledge completes the slot unless the store does.
func (c *conn) acknowledge(w *work, number uint64, r routed, err error) error {
	var a answer
	switch {
	case endsConnection(err) != nil:
		return err
	case err != nil:
		if c.version < mqtt.V5 && !c.silentRefusal(err) {
			return err // MQTT 3 has no negative acknowledgement [MQTT311-3.3.5-2]
		}
		a = answerOf(err)
	case r.waits:
		return nil
	case !r.matched && c.version >= mqtt.V5:
		a.code = mqtt.NoMatchingSubscribers
	}
	c.complete(w, number, a)
	return nil
}

// silentRefusal reports whether an MQTT 3 publisher gets a positive acknowledgement for a refused message. It does when
// it lacks the right, or its payload is not what the topic demands, as the standard allows [MQTT311-3.3.5-2]; a full disk or
// queue closes the connection instead, so that the message is sent again later.
func (c *conn) silentRefusal(err error) bool {
	var bad *payloadError
	if errors.As(err, &bad) {
		return !bad.retry
	}
	return reasonOf(err) == mqtt.NotAuthorized
}

// mayPublish asks the authorizer. Topics that begin with $ belong to the server, whatever the rules say.
func (c *conn) mayPublish(p *mqtt.Publish) error {
	if p.Topic[0] == '$' {
		d := identity.Deny(identity.Rule{Name: "topics that begin with $ belong to the server"}, "publish to "+p.Topic)
		return c.b.denied(c, identity.Publish, p.Topic, d)
	}
	return c.mayPublishTo(p.Topic, p.Retain)
}

// begin opens the slot of a PUBLISH's acknowledgement. opened, 0 or 1, counts the message against the Receive Maximum the
// client was told [MQTT-3.3.4-7]; PUBACK ends that. MQTT 3 clients were told none and have a larger bound, after which they
// are disconnected rather than left to fill the memory.
func (c *conn) begin(kind mqtt.PacketType, pid mqtt.PacketID, size, opened int) (number uint64, err error) {
	number, open, bytes := c.acks.begin(slot{kind: kind, pid: pid, closes: kind == mqtt.TypePuback, size: int32(size)}, opened)
	set := c.b.settings()
	limit, key := int(set.ReceiveMaximum), "limits.receive_maximum"
	if c.version < mqtt.V5 {
		limit, key = set.UnackedMessagesV3, "limits.unacked_v3.messages"
	}
	switch {
	case opened > 0 && open > limit:
		return number, overLimit(errTooManyOpen, key, limit, "more PUBLISH packets without acknowledgement")
	case bytes > set.UnackedBytes:
		return number, limited(errTooManyOpen, "limits.unacked_v3.bytes", "more bytes without acknowledgement")
	}
	return number, nil
}

func (c *conn) source(number uint64) source {
	return source{session: c.session, clientID: c.clientID, principal: c.principal, conn: c, number: number}
}

// answerOf turns the refusal of a message into its negative acknowledgement.
func answerOf(err error) answer {
	if err == nil {
		return answer{}
	}
	a := answer{code: reasonOf(err)}
	var bad *payloadError
	if errors.As(err, &bad) {
		a.word = bad.word
	}
	return a
}
