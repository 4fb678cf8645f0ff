package broker

import (
	"strconv"
	"sync"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// retain makes the message the Retained Message of its topic, or clears that [MQTT-3.3.1-5] to [MQTT-3.3.1-8]. The lock
// of the topic is held.
func (d *delivery) retain() error {
	b := d.b
	if len(d.p.Payload) == 0 {
		b.retained.Delete(d.p.Topic)
		d.rows().Add(store.Op{Kind: store.DeleteRetained, Key: cloneString(d.p.Topic)})
	} else {
		m := d.message()
		if err := b.putRetained(m); err != nil {
			return err
		}
		d.rows().Add(store.Op{Kind: store.PutRetained, Message: m})
	}
	d.batch.Sync = d.batch.Sync || d.p.QoS > 0
	return nil
}

// putRetained makes m the Retained Message of its topic, or refuses it above the limits. An existing one may always be
// replaced by something no larger, properties included.
func (b *Broker) putRetained(m *message.Message) error {
	if err := b.store.Accepting(); err != nil {
		return err
	}
	set := b.settings()
	b.retainLimit.Lock()
	defer b.retainLimit.Unlock()
	old := b.retained.Get(m.Topic())
	if old == nil && b.retained.Count() >= set.RetainedMessages {
		return overLimit(errQuota, "limits.retained.messages", set.RetainedMessages, "as many")
	}
	grows := int64(m.Size())
	if old != nil {
		grows -= int64(old.Size())
	}
	if grows > 0 && b.retained.Bytes()+grows > set.RetainedBytes {
		return limited(errQuota, "limits.retained.bytes", "no room for "+strconv.FormatInt(grows, 10)+" bytes more")
	}
	if err := b.mayHold(m, old, set); err != nil {
		return err
	}
	b.retained.Put(m)
	return nil
}

// mayHold refuses m when its author holds as much as one principal may. What it replaces of its own makes room.
func (b *Broker) mayHold(m, old *message.Message, set *Settings) error {
	if m.Author == nil {
		return nil // the broker itself
	}
	held := b.retained.Held(m)
	count, grows := 1, int64(m.Size())
	if old != nil && old.Author != nil && *old.Author == *m.Author {
		count, grows = 0, grows-int64(old.Size())
	}
	if held.Count+count > set.RetainedMessagesPerOwner && count > 0 {
		return overLimit(errQuota, "limits.retained.messages_per_principal", set.RetainedMessagesPerOwner, "as many retained messages of "+m.Author.String())
	}
	if grows > 0 && held.Bytes+grows > set.RetainedBytesPerOwner {
		return limited(errQuota, "limits.retained.bytes_per_principal", "no room for "+strconv.FormatInt(grows, 10)+" bytes more of "+m.Author.String())
	}
	return nil
}

// replay is a new subscription whose retained messages are to be sent.
type replay struct {
	filter topic.Filter
	sub    store.Subscription
}

// replayPage is how many retained messages are looked up at once.
const replayPage = 256

// replays are the new subscriptions of a connection whose retained messages wait for the client to read.
type replays struct {
	mu      sync.Mutex
	list    []replay
	running bool // a goroutine sends them
}

// replayRetained sends the Retained Messages of new subscriptions [MQTT-3.3.1-9]: at once when they are few and the
// client keeps up, and otherwise at the pace it reads, from a goroutine of the connection, so that nobody else waits.
func (b *Broker) replayRetained(w *work, c *conn, list []replay) error {
	for i := range list {
		page, next := b.retained.MatchPage(list[i].filter, "", replayPage)
		if next == "" && c.takes(page) {
			for _, m := range page {
				b.sendRetained(w, c, &list[i].sub, m)
			}
			continue
		}
		if err := b.replayLater(c, list[i]); err != nil {
			return err
		}
	}
	return nil
}

// takes reports whether the messages are few enough, for what the client has to read already, to be sent at once.
func (c *conn) takes(page []*message.Message) bool {
	size := c.out.pending()
	for _, m := range page {
		size += m.Size()
	}
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	set := c.b.settings()
	return size <= set.OutBuffer/4 && s.state.Len()+len(page) <= set.Queue.Messages/2
}

// replayLater queues a subscription. A client that subscribes again and again without reading is disconnected.
func (b *Broker) replayLater(c *conn, r replay) error {
	q := &c.replays
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) >= b.settings().SubscriptionsPerSession {
		return limited(errTooManyFilters, "limits.subscriptions_per_client", "as many subscriptions wait for their retained messages to be read")
	}
	q.list = append(q.list, r)
	if !q.running {
		q.running = true
		b.wg.Go(func() { b.runReplays(c) })
	}
	return nil
}

// runReplays sends what waits, one subscription after the other.
func (b *Broker) runReplays(c *conn) {
	defer c.recoverPanic()
	q := &c.replays
	for {
		q.mu.Lock()
		if len(q.list) == 0 || c.over() {
			q.list, q.running = nil, false
			q.mu.Unlock()
			return
		}
		r := q.list[0]
		q.list = q.list[1:]
		q.mu.Unlock()
		b.replayPaced(c, r)
	}
}

// replayPaced sends page by page while the client's buffer and queue have room.
func (b *Broker) replayPaced(c *conn, r replay) {
	after := ""
	for {
		page, next := b.retained.MatchPage(r.filter, after, replayPage)
		w := b.getWork()
		for _, m := range page {
			if !b.awaitRoom(w, c) {
				w.release()
				return
			}
			b.sendRetained(w, c, &r.sub, m)
		}
		w.release()
		if next == "" {
			return
		}
		after = next
	}
}

// awaitRoom flushes and waits until the client has taken most of what it was sent. It reports false when the connection
// is over.
func (b *Broker) awaitRoom(w *work, c *conn) bool {
	limit := b.settings().OutBuffer / 4
	for {
		ch := c.out.room(limit)
		if ch == nil {
			s := c.session
			s.mu.Lock()
			ch = s.roomForReplay()
			s.mu.Unlock()
		}
		if ch == nil {
			return !c.over()
		}
		w.flush()
		select {
		case <-ch:
		case <-c.ended:
			return false
		}
	}
}

// roomForReplay returns nil while the queue is less than half full, or a channel that is closed when it has shrunk. mu
// is held.
func (s *clientSession) roomForReplay() <-chan struct{} {
	if s.state.Len() < s.b.settings().Queue.Messages/2 && !s.b.crowded(s, 0) {
		return nil
	}
	if s.shrunk == nil {
		s.own().shrunk = make(chan struct{})
	}
	return s.shrunk
}

// sendRetained sends one Retained Message with RETAIN 1 [MQTT-3.3.1-8] to one new subscription. Rights are those of now:
// the reader's, and the author's for what was stored long ago.
func (b *Broker) sendRetained(w *work, c *conn, sub *store.Subscription, m *message.Message) {
	s := c.session
	if m.Expired(w.now) {
		b.expireRetained(m)
		return
	}
	if d := b.authz.Authorize(c.principal, c.clientID, identity.Receive, m.Topic()); !d.Allowed {
		b.withheld(c.principal, c.clientID, m.Topic(), d)
		return
	}
	if !b.authorMayRetain(m) {
		return
	}
	var ids []uint32
	if sub.SubscriptionID != 0 {
		ids = []uint32{sub.SubscriptionID}
	}
	qos := min(sub.QoS, m.QoS)
	if qos == mqtt.AtMostOnce {
		s.mu.Lock()
		defer s.mu.Unlock()
		// A newer message of this topic goes out by itself; the older one must not follow it.
		if s.conn == c && b.retained.Get(m.Topic()) == m {
			if c.openEntry(w, m) {
				c.sendOwn(w, true, ids)
			}
		}
		return
	}
	b.queueRetained(w, s, m, qos, ids)
}

// queueRetained puts a Retained Message into the session's queue, with a body of its own in the store: the retained row
// may be overwritten any time.
func (b *Broker) queueRetained(w *work, s *clientSession, m *message.Message, qos mqtt.QoS, ids []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.retained.Get(m.Topic()) != m || s.ended {
		return
	}
	e := session.Entry{Msg: m, QoS: qos, Retain: true, SubscriptionIDs: ids, Ready: true, Sole: true}
	if !s.state.Durable() {
		if s.step(w, session.Event{Kind: session.Enqueue, Entry: &e}) == session.Full {
			b.sessionFull(s)
		}
		return
	}
	batch := getBatch()
	e.Body, e.Ready = b.nextBody(), false
	batch.Add(store.Op{Kind: store.PutBody, Body: e.Body, Message: m})
	fx := session.Effects{Batch: batch}
	s.state.Step(session.Event{Kind: session.Enqueue, Entry: &e}, w.now, &fx)
	if fx.Outcome == session.Full {
		batch.Reset()
		putBatch(batch)
		b.sessionFull(s)
		return
	}
	b.store.Commit(batch, func(error) { putBatch(batch) })
	s.step(w, session.Event{Kind: session.Ready, Ord: fx.Ord, Sole: true})
}

// expireRetained removes a Retained Message whose Message Expiry Interval has passed.
func (b *Broker) expireRetained(m *message.Message) {
	lock := b.retainLocks.of(m.Topic())
	lock.Lock()
	defer lock.Unlock()
	if b.retained.Get(m.Topic()) != m {
		return
	}
	b.retained.Delete(m.Topic())
	batch := getBatch()
	batch.Add(store.Op{Kind: store.DeleteRetained, Key: m.Topic()})
	b.store.Commit(batch, func(error) { putBatch(batch) })
	b.stats.expired.Add(1)
}
