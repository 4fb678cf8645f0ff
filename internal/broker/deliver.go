package broker

import (
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/router"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// source is who a message comes from. The zero value is the broker itself.
type source struct {
	session   *clientSession // for No Local [MQTT-3.8.3-3]
	clientID  string
	principal *identity.Principal
	conn      *conn  // whose acknowledgement waits; nil for wills
	number    uint64 // of that acknowledgement

	// sealed: the payload policy has sealed the payload for itself, and plain is what encrypted connections get.
	sealed bool
	plain  []byte
}

// routed says what became of a message.
type routed struct {
	matched bool // somebody subscribes to the topic
	waits   bool // the acknowledgement waits for the store; done completes it
}

// route delivers an accepted message: to the store and the queues for QoS 1 and 2, straight into the buffers of online
// clients for QoS 0. extra, which may be nil, are changes that belong into the same batch: the publisher's QoS 2
// identifier, a Will that is now published. Rights of publisher and payload were checked by the caller.
func (b *Broker) route(w *work, src source, p *mqtt.Publish, extra *store.Batch) (routed, error) {
	d := delivery{b: b, w: w, src: src, p: p, batch: extra}
	res := b.router.MatchIn(&w.room, p.Topic)
	w.fresh = w.fresh || !res.Kept()
	allowed := b.receivers(res, p.Topic)
	if b.settings().OnFull == RefusePublish && p.QoS > 0 {
		if err := d.wouldRefuse(res, allowed); err != nil {
			return routed{}, err
		}
	}
	if p.QoS > 0 {
		if err := b.store.Accepting(); err != nil && d.needsStore(res) {
			return routed{}, err
		}
	}
	w.prepare(p)
	if src.sealed {
		w.out.payload = src.plain
	}
	if p.Retain {
		// Memory and disk must agree on which of two publishers came last.
		lock := b.retainLocks.of(p.Topic)
		lock.Lock()
		defer lock.Unlock()
		if err := d.retain(); err != nil {
			return routed{}, err
		}
	}
	finished := false
	defer func() {
		if !finished { // a panic: what was offered must not block the sessions that took it
			d.finish()
		}
	}()
	for i := range res.Targets {
		if allowed == nil || allowed[i] {
			d.target(&res.Targets[i])
		}
	}
	for _, g := range res.Shared {
		d.shared(g)
	}
	finished = true
	d.finish()
	return routed{matched: len(res.Targets) > 0 || len(res.Shared) > 0, waits: d.waits}, nil
}

// needsStore reports whether a message with QoS 1 or 2 would be written to the disk.
func (d *delivery) needsStore(res *router.Result[*clientSession]) bool {
	if d.p.Retain || len(res.Shared) > 0 {
		return true
	}
	for i := range res.Targets {
		if res.Targets[i].QoS > 0 && res.Targets[i].Subscriber.durable.Load() {
			return true
		}
	}
	return false
}

// delivery is one message on its way to its receivers.
type delivery struct {
	b      *Broker
	w      *work
	src    source
	p      *mqtt.Publish
	msg    *message.Message // made when the first receiver or the store needs it
	body   store.BodyID     // given when the first row needs it
	batch  *store.Batch     // made when the first row is added
	waits  bool
	moves  bool     // every row is a body of its own, moved from a group's queue
	queued []*group // groups whose own queue took the message
}

// message returns the shared, immutable form.
func (d *delivery) message() *message.Message {
	if d.msg == nil {
		d.msg = message.New(d.p, d.src.clientID, d.src.principal, d.w.now)
		d.msg.Sealed = d.src.sealed
	}
	return d.msg
}

func (d *delivery) rows() *store.Batch {
	if d.batch == nil {
		d.batch = getBatch()
	}
	return d.batch
}

// target delivers to one subscriber, whose overlapping subscriptions are one delivery [MQTT-3.3.4-2].
func (d *delivery) target(t *router.Target[*clientSession]) {
	s, qos, retain, ids := t.Subscriber, t.QoS, t.RetainAsPublished, t.SubscriptionIDs
	if t.Local != nil && s == d.src.session {
		if t.Local.None {
			return
		}
		qos, retain, ids = t.Local.QoS, t.Local.RetainAsPublished, t.Local.SubscriptionIDs
	}
	d.to(s, min(qos, d.p.QoS), retain && d.p.Retain, ids)
}

// to delivers to one session with the granted QoS, and reports whether it took the message.
func (d *delivery) to(s *clientSession, qos mqtt.QoS, retain bool, ids []uint32) (taken bool) {
	if qos == mqtt.AtMostOnce {
		if c := s.online.Load(); c != nil {
			if d.src.sealed && !c.mayHavePlain(d.p.Topic) {
				return false
			}
			c.sendQoS0(d.w, retain, ids)
			return true
		}
		if !d.b.settings().QueueQoS0 {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return d.offer(s, qos, retain, ids) != session.Full
}

// offer puts the message into a session's queue. s.mu is held.
func (d *delivery) offer(s *clientSession, qos mqtt.QoS, retain bool, ids []uint32) session.Outcome {
	if s.ended {
		return session.Full
	}
	durable := s.state.Durable() && qos > 0
	e := session.Entry{Msg: d.message(), QoS: qos, Retain: retain, SubscriptionIDs: ids, Ready: !durable}
	if d.b.crowded(s, e.Msg.Size()) {
		d.b.sessionFull(s)
		return session.Full
	}
	if !durable {
		outcome := s.step(d.w, session.Event{Kind: session.Enqueue, Entry: &e})
		d.after(s, outcome)
		return outcome
	}
	if d.body == 0 {
		d.body = d.b.nextBody()
		d.rows().Add(store.Op{Kind: store.PutBody, Body: d.body, Message: e.Msg})
	}
	e.Body = d.body
	fx := session.Effects{Batch: d.rows()}
	s.state.Step(session.Event{Kind: session.Enqueue, Entry: &e}, d.w.now, &fx)
	s.account()
	if fx.Outcome != session.Full {
		d.w.pending = append(d.w.pending, pending{s, fx.Ord})
	}
	d.after(s, fx.Outcome)
	return fx.Outcome
}

// crowded reports whether a message of size bytes has no place in the session's queue because the queues of all sessions
// are full together. A client that is online and has nothing waiting gets it all the same: it leaves at once. mu is held.
func (b *Broker) crowded(s *clientSession, size int) bool {
	return b.queuedBytes.Load()+int64(size) > b.settings().QueueTotalBytes && (s.online.Load() == nil || s.state.Len() > 0)
}

// after notes what the queue said. s.mu is held.
func (d *delivery) after(s *clientSession, outcome session.Outcome) {
	switch outcome {
	case session.Held:
		if d.src.conn != nil && d.p.QoS > 0 {
			s.hold(d.w, d.src.conn, d.src.number)
		}
	case session.Full:
		d.b.sessionFull(s)
	}
}

// finish commits the rows and then lets the entries go to their clients: a QoS 1 PUBLISH may leave as soon as its batch
// is in the store's hands, because what it leads to is committed after it.
func (d *delivery) finish() {
	pending := d.w.pending
	sole := d.moves || len(pending) == 1
	if d.batch != nil {
		if sole {
			// The body has one pointer only: the store drops both together, without counting.
			for i := range d.batch.Ops {
				if d.batch.Ops[i].Kind == store.PutQueue {
					d.batch.Ops[i].Pointer.Sole = true
				}
			}
		}
		d.commit()
	}
	for i := range pending {
		s := pending[i].s
		s.mu.Lock()
		s.step(d.w, session.Event{Kind: session.Ready, Ord: pending[i].ord, Sole: sole})
		s.mu.Unlock()
	}
	clear(pending)
	d.w.pending = pending[:0]
	for _, g := range d.queued {
		d.b.groups.offerQueue(d.b, g)
	}
}

// commit hands the rows to the store. The publisher's acknowledgement leaves when they are on disk.
func (d *delivery) commit() {
	batch, src, b := d.batch, d.src, d.b
	if len(batch.Ops) == 0 {
		putBatch(batch)
		return
	}
	d.waits = src.conn != nil && d.p.QoS > 0
	waits := d.waits
	b.store.Commit(batch, func(err error) {
		putBatch(batch)
		if err != nil {
			b.storeFailed(err)
		}
		if waits {
			src.conn.complete(b.callbackWork(), src.number, answerOf(err))
		}
	})
}

// sendQoS0 appends a message to the client's buffer, or drops it when the client is too slow: that is what QoS 0 means,
// and it is counted.
func (c *conn) sendQoS0(w *work, retain bool, ids []uint32) {
	if len(ids) == 0 && c.aliasOut.max == 0 {
		fr := w.frame(c.version, retain)
		if c.maxPacket > 0 && len(fr) > int(c.maxPacket) {
			c.b.stats.dropped.Add(1)
			return
		}
		if !c.out.lock() {
			return
		}
		if c.out.size()+len(fr) > c.outLimit {
			c.b.stats.dropped.Add(1)
		} else {
			c.out.buf = append(c.out.buf, fr...)
			w.tally.sent(0, len(w.out.payload))
		}
		if c.out.unlock() {
			w.touch(c)
		}
		return
	}
	f := copyFor{version: c.version, retain: retain, ids: ids}
	size := w.out.size(&f)
	if c.maxPacket > 0 && size > int(c.maxPacket) {
		c.b.stats.dropped.Add(1)
		return
	}
	if !c.out.lock() {
		return
	}
	if c.out.size()+size > c.outLimit {
		c.b.stats.dropped.Add(1)
	} else {
		c.useAlias(w.out.topic, &f, size)
		c.out.buf = w.out.appendTo(c.out.buf, &f)
		w.tally.sent(0, len(w.out.payload))
	}
	if c.out.unlock() {
		w.touch(c)
	}
}

// sendOwn appends the message of w.entry with QoS 0 to this client only.
func (c *conn) sendOwn(w *work, retain bool, ids []uint32) {
	f := copyFor{version: c.version, retain: retain, ids: ids}
	size := w.entry.size(&f)
	if c.maxPacket > 0 && size > int(c.maxPacket) {
		c.b.stats.dropped.Add(1)
		return
	}
	if !c.out.lock() {
		return
	}
	c.useAlias(w.entry.topic, &f, size)
	c.out.buf = w.entry.appendTo(c.out.buf, &f)
	w.tally.sent(0, len(w.entry.payload))
	if c.out.unlock() {
		w.touch(c)
	}
}
