package broker

import (
	"errors"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// badPayloadsInARow is how many payloads of one connection may be refused one after the other, for reasons that are the
// client's, before it is disconnected.
const badPayloadsInARow = 10

// payloadError is the refusal of a payload: what the client may know of it.
type payloadError struct {
	err   error  // one of the broker's errors, which has the reason code
	word  string // value of the User Property cose-err
	retry bool   // the fault is the broker's
}

// Error implements error.
func (e *payloadError) Error() string { return e.err.Error() }

// Unwrap gives the broker's error.
func (e *payloadError) Unwrap() error { return e.err }

// payloadErrors give each reason code of a payload policy the broker's error.
var payloadErrors = map[mqtt.ReasonCode]error{
	mqtt.PayloadFormatInvalid:        errPayload,
	mqtt.NotAuthorized:               errPayloadNotAllowed,
	mqtt.ImplementationSpecificError: errPayloadKey,
}

func payloadErrorOf(r *message.PayloadRefusal) error {
	err, ok := payloadErrors[r.Code]
	if !ok {
		err = errPayload
	}
	return &payloadError{err: err, word: r.Word, retry: r.Retry}
}

// publish asks for the rights to publish, asks the payload policy, and routes what both let pass. extra, which may be nil,
// are changes that belong into the same batch; after an error they are the caller's.
func (c *conn) publish(w *work, p *mqtt.Publish, number uint64, extra *store.Batch) (routed, error) {
	if err := c.mayPublish(p); err != nil {
		return routed{}, err
	}
	src := c.source(number)
	var r routed
	var err error
	if j := c.judge(w, p); j == nil {
		r, err = c.b.route(w, src, p, extra)
	} else {
		r, err = c.b.routeJudged(w, src, p, extra, j)
		var bad *payloadError
		if errors.As(err, &bad) {
			return r, c.tooManyBad(bad, err)
		}
	}
	if err != nil {
		c.b.refusedPublish(c, p.Topic, err)
		return r, err
	}
	c.badPayloads = 0
	return r, nil
}

// judge asks the payload policy; nil when there is none, or when no rule concerns the topic.
func (c *conn) judge(w *work, p *mqtt.Publish) *message.Judgement {
	if c.b.payload == nil {
		return nil
	}
	w.arrival = message.Arrival{
		Topic: p.Topic, Payload: p.Payload, Retain: p.Retain, ClientID: c.sentClientID(), Author: c.principal,
		Encrypted: c.evidence.Encrypted(),
	}
	return c.b.payload.Judge(&w.arrival)
}

// sentClientID is the Client Identifier as the client sent it: one that the server assigned is not known to who sealed.
func (c *conn) sentClientID() string {
	if c.assigned {
		return ""
	}
	return c.clientID
}

// tooManyBad counts refused payloads. A client that sends nothing else is disconnected.
func (c *conn) tooManyBad(bad *payloadError, err error) error {
	if bad.err == errPayloadKey {
		return err
	}
	if c.badPayloads++; c.badPayloads < badPayloadsInARow {
		return err
	}
	return &tooManyPayloads{err}
}

// tooManyPayloads ends the connection with the reason of the last refusal.
type tooManyPayloads struct{ error }

// Unwrap gives the last refusal.
func (t *tooManyPayloads) Unwrap() error { return t.error }

// routeJudged is route for a message that a payload policy has judged. The mark that the message was seen goes into the
// batch that stores it.
func (b *Broker) routeJudged(w *work, src source, p *mqtt.Publish, extra *store.Batch, j *message.Judgement) (r routed, err error) {
	batch, accepted := extra, false
	if j.Mark != nil {
		if batch == nil {
			batch = getBatch()
		}
		before := len(batch.Ops)
		defer func() {
			j.Mark.Done(accepted)
			if !accepted && extra != nil { // the caller's again, as it was
				batch.Ops = batch.Ops[:min(before, len(batch.Ops))]
			} else if !accepted {
				putBatch(batch)
			}
		}()
		next := j.Mark.Take(func(key string, value []byte) {
			batch.Add(store.Op{Kind: store.PutMeta, Key: key, Value: value})
		})
		if next != nil {
			j = &message.Judgement{Fate: next.Fate, Refusal: next.Refusal, Mark: j.Mark}
		}
		batch.Sync = batch.Sync || p.QoS > 0
	}
	switch j.Fate {
	case message.Forwarded:
	case message.Swallowed:
		accepted = true
		return b.swallow(src, p, batch), nil
	default:
		return routed{}, b.refusedPayload(w, src, p, &j.Refusal)
	}
	if j.Replaced {
		p.Payload = j.Payload
		p.Properties.Remove(mqtt.PropPayloadFormat) // it spoke about the payload that came
		src.sealed, src.plain = j.Sealed, j.Plain
	}
	r, err = b.route(w, src, p, batch)
	accepted = err == nil
	return r, err
}

// swallow acknowledges a message that goes nowhere, after whatever its first copy waits for is on disk.
func (b *Broker) swallow(src source, p *mqtt.Publish, batch *store.Batch) routed {
	r := routed{matched: true}
	switch {
	case batch == nil:
		return r
	case len(batch.Ops) == 0:
		putBatch(batch)
		return r
	}
	r.waits = src.conn != nil && p.QoS > 0
	batch.Sync = p.QoS > 0
	b.store.Commit(batch, func(err error) {
		putBatch(batch)
		if err != nil {
			b.storeFailed(err)
		}
		if r.waits {
			src.conn.complete(b.callbackWork(), src.number, answerOf(err))
		}
	})
	return r
}

// refusedPayload puts the refusal on record, sends a copy to the quarantine if the policy says so, and returns the error.
func (b *Broker) refusedPayload(w *work, src source, p *mqtt.Publish, why *message.PayloadRefusal) error {
	b.stats.refusedPublishes.Add(1)
	r := Refusal{Layer: LayerPayload, Check: why.Check, ClientID: src.clientID, Principal: *src.principal}
	if src.conn != nil {
		r = src.conn.base(LayerPayload, why.Check)
	}
	r.Action, r.Topic, r.Code, r.Expected, r.Found = identity.Publish, p.Topic, why.Code, why.Expected, why.Found
	if src.conn == nil {
		r.Action = identity.Will
	}
	r.Decision.Rule = why.Rule
	id := b.refuse(r)
	if why.Quarantine != "" {
		b.quarantine(w, src, p, why, id)
	}
	return &recorded{id, payloadErrorOf(why)}
}

// quarantine sends a copy of a refused message to who may see it. It is never retained and never stored: it goes out with
// QoS 0 to those who are connected.
func (b *Broker) quarantine(w *work, src source, p *mqtt.Publish, why *message.PayloadRefusal, id string) {
	q := mqtt.Publish{Topic: why.Quarantine, Payload: p.Payload}
	for _, u := range []mqtt.UserProperty{
		{Key: "topic", Value: p.Topic},
		{Key: "reason", Value: why.Check},
		{Key: "rule", Value: why.Rule.String()},
		{Key: "client", Value: src.clientID},
		{Key: "decision", Value: id},
	} {
		q.Properties.AddUser(u.Key, u.Value)
	}
	if _, err := b.route(w, source{}, &q, nil); err != nil {
		b.log.Warn("quarantine", "topic", why.Quarantine, "err", err)
	}
}

// judgeWill asks the payload policy about the Will of a CONNECT. What the message is worth in the order of its sender is
// decided when it is published.
func (c *conn) judgeWill(p *mqtt.Connect) error {
	if c.b.payload == nil {
		return nil
	}
	j := c.b.payload.Judge(&message.Arrival{
		Topic: p.Will.Topic, Payload: p.Will.Payload, Retain: p.Will.Retain, Will: true, ClientID: c.sentClientID(), Author: c.principal,
		Encrypted: c.evidence.Encrypted(),
	})
	if j == nil || j.Fate != message.Refused {
		return nil
	}
	r := c.base(LayerPayload, j.Refusal.Check)
	r.Action, r.Topic, r.Code = identity.Will, p.Will.Topic, j.Refusal.Code
	r.Expected, r.Found, r.Decision.Rule = j.Refusal.Expected, j.Refusal.Found, j.Refusal.Rule
	err := payloadErrorOf(&j.Refusal)
	if c.version < mqtt.V5 { // whose CONNACK has no word for it
		r.Code, err = mqtt.NotAuthorized, &payloadError{err: errPayloadNotAllowed}
	}
	return &recorded{c.b.refuse(r), err}
}

// routeWill routes a Will that is published now.
func (b *Broker) routeWill(w *work, src source, p *mqtt.Publish, batch *store.Batch) error {
	if b.payload == nil {
		_, err := b.route(w, src, p, batch)
		return err
	}
	j := b.payload.Judge(&message.Arrival{
		Topic: p.Topic, Payload: p.Payload, Retain: p.Retain, Will: true, ClientID: src.clientID, Author: src.principal, Encrypted: true,
	})
	var err error
	if j == nil {
		_, err = b.route(w, src, p, batch)
	} else {
		_, err = b.routeJudged(w, src, p, batch, j)
	}
	return err
}

// plain returns what a message holds that the payload policy sealed for itself. It is for encrypted connections; others get
// nothing, and the message is counted as withheld.
func (c *conn) plain(m *message.Message) (payload []byte, ok bool) {
	if !c.mayHavePlain(m.Topic()) {
		return nil, false
	}
	if c.b.payload == nil {
		c.withheldPlain(m.Topic(), "the key under which the message rests is not configured")
		return nil, false
	}
	payload, err := c.b.payload.Reveal(m)
	if err != nil {
		c.withheldPlain(m.Topic(), err.Error())
		return nil, false
	}
	return payload, true
}

// mayHavePlain reports whether the connection may carry what the policy hands on in plaintext.
func (c *conn) mayHavePlain(name string) bool {
	if c.evidence.Encrypted() {
		return true
	}
	c.withheldPlain(name, "a connection without TLS")
	return false
}

// withheldPlain records that a message was not delivered because it would have left in plaintext.
func (c *conn) withheldPlain(name, found string) {
	c.b.stats.deniedDeliveries.Add(1)
	r := c.base(LayerPayload, "encryption of the subscriber")
	r.Action, r.Topic, r.Expected, r.Found = identity.Receive, name, "a connection with TLS", found
	r.Decision = identity.Deny(identity.Rule{Name: "plaintext of a protected topic leaves over TLS only"}, "found "+found)
	c.b.deliveries.add(c.b.clock.Now(), &r)
}

// openEntry sets the message that sendOwn encodes; false when this connection may not have it.
func (c *conn) openEntry(w *work, m *message.Message) bool {
	w.entryOf(m)
	if !m.Sealed {
		return true
	}
	var ok bool
	w.entry.payload, ok = c.plain(m)
	return ok
}

// Renew seals Retained Messages again whose key is no longer the one that seals, and returns how many. It is called after
// the keys of the payload policy have changed.
func (b *Broker) Renew() int {
	if b.payload == nil {
		return 0
	}
	renewed, after := 0, ""
	for {
		page, next := b.retained.MatchPage("#", after, replayPage)
		for _, m := range page {
			if b.renew(m) {
				renewed++
			}
		}
		if next == "" {
			return renewed
		}
		after = next
	}
}

func (b *Broker) renew(m *message.Message) bool {
	out, ok := b.payload.Renew(m)
	if !ok {
		return false
	}
	lock := b.retainLocks.of(m.Topic())
	lock.Lock()
	defer lock.Unlock()
	if b.retained.Get(m.Topic()) != m {
		return false // a newer one, sealed under the new key
	}
	next := m.WithPayload(out)
	if err := b.putRetained(next); err != nil {
		b.log.Warn("retained message not sealed again", "topic", m.Topic(), "err", err)
		return false
	}
	batch := getBatch()
	batch.Add(store.Op{Kind: store.PutRetained, Message: next})
	b.store.Commit(batch, func(error) { putBatch(batch) })
	return true
}
