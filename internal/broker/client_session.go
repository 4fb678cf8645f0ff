package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// clientSession owns one session: the state machine, its subscriptions, its Will and the connection bound to it now.
// mu guards every field below it. Only one session's mu is held at a time; under it nothing blocks: the store takes
// batches without waiting, and buffers are flushed after it is released.
type clientSession struct {
	b        *Broker
	clientID string
	group    *group // the queue of a shared group; nil for a client's session
	created  int64

	// online is conn, for deliveries with QoS 0, which need no state and so take no lock.
	online atomic.Pointer[conn]
	// durable mirrors state.Durable, and shared counts its Shared Subscriptions, for looks without the lock.
	durable atomic.Bool
	shared  atomic.Int32

	// subscribing is held, before mu, while subs and the router are changed alike.
	subscribing sync.Mutex

	mu         sync.Mutex
	principal  *identity.Principal
	state      session.Session
	conn       *conn
	epoch      uint64 // counts bindings; what was started under an older one is void
	subs       subscriptions
	version    mqtt.Version
	ended      bool
	fullLogged bool   // the full queue was logged once
	expiry     uint32 // Session Expiry Interval, seconds
	expiresAt  int64  // Unix nanoseconds; 0 while online or when it never ends
	// rights is the Authorizer's generation under which everything in the queue was allowed, or uncheckedRights.
	rights   uint64
	counted  int64 // bytes of state.Bytes that are in Broker.queuedBytes
	expiring timer // of timerExpiry
	*seldom        // never nil
}

// seldom is what few sessions have at a time. A million that wait for their clients share one that is empty.
type seldom struct {
	will   *will
	held   []heldAck
	shrunk chan struct{} // closed when the queue has become short; nil when nobody waits
	timers [2]*timer     // of timerWill and timerHeld; nil until there was something to wait for
}

// nothing stands for the seldom state of all sessions that have none. It is read only.
var nothing seldom

// own gives the session a seldom state of its own, before anything in it changes. mu is held.
func (s *clientSession) own() *seldom {
	if s.seldom == &nothing {
		s.seldom = new(seldom)
	}
	return s.seldom
}

// newClientSession returns a session without a client, whose state the caller sets.
func (b *Broker) newClientSession(clientID string, created int64, owner *identity.Principal) *clientSession {
	s := &clientSession{b: b, clientID: clientID, created: created, principal: owner, seldom: &nothing}
	s.expiring = timer{kind: timerExpiry, session: s}
	return s
}

// id is the number that the session's rows have in the store.
func (s *clientSession) id() store.SessionID { return s.state.ID() }

// heldAck is a publisher's acknowledgement that waits until this session, which is online and above its limit, has
// come closer to the message.
type heldAck struct {
	c        *conn
	number   uint64
	deadline int64
}

// neverExpires is the Session Expiry Interval of sessions that do not end [MQTT-3.1.2-23].
const neverExpires = 0xFFFFFFFF

// step feeds one event to the state machine and carries out its effects. mu is held.
func (s *clientSession) step(w *work, ev session.Event) session.Outcome {
	fx := &w.fx
	fx.Reset()
	if fx.Batch == nil {
		fx.Batch = getBatch()
	}
	s.state.Step(ev, w.now, fx)
	outcome := fx.Outcome
	for s.carryOut(w, fx) {
		fx.Reset()
		s.state.Step(session.Event{Kind: session.Resume}, w.now, fx)
	}
	return outcome
}

// carryOut puts packets into the connection's buffer, commits the batch and starts reads, in this order. It reports
// whether the state machine has more to send and the connection takes it. mu is held.
func (s *clientSession) carryOut(w *work, fx *session.Effects) (again bool) {
	room := s.send(w, fx)
	if len(fx.Batch.Ops) > 0 {
		s.commit(fx)
	}
	if fx.Expired > 0 {
		s.b.stats.expired.Add(int64(fx.Expired))
	}
	if fx.Fetch {
		s.fetch(fx.FetchFrom, fx.FetchLimit)
	}
	s.account()
	s.releaseHeld(w)
	if s.shrunk != nil && (s.conn == nil || s.state.Len() < s.b.settings().Queue.Messages/4) {
		close(s.shrunk)
		s.own().shrunk = nil
	}
	return fx.More && room
}

// send appends the packets of fx to the connection's buffer and reports whether there is room for more.
func (s *clientSession) send(w *work, fx *session.Effects) (room bool) {
	c := s.conn
	if len(fx.Send) == 0 {
		return true
	}
	if c == nil || !c.out.lock() {
		return false
	}
	generation := s.b.authz.Generation()
	for i := 0; i < len(fx.Send); i++ { // a discarded message may add a PUBREL
		p := &fx.Send[i]
		if p.Kind == session.SendPubrel {
			c.out.buf = appendAck(c.out.buf, c.version, mqtt.TypePubrel, p.PacketID, p.Code, "")
			continue
		}
		held := s.rights != generation && !s.mayStillReceive(p)
		if m := p.Entry.Msg; !held && m.Sealed {
			var ok bool
			w.plain, ok = c.plain(m)
			held = !ok
		}
		if held || !c.appendEntry(w, p) {
			if !held {
				s.b.stats.dropped.Add(1)
			}
			s.state.Step(session.Event{Kind: session.Discard, PacketID: p.PacketID}, w.now, fx)
		}
	}
	if s.rights != generation && s.state.Len() == 0 && s.state.Inflight() == 0 {
		s.rights = generation
	}
	full := c.out.size() > s.b.settings().OutBuffer/2
	if full {
		// Said while the buffer cannot drain: whoever drains it finds it, and then waits for mu.
		c.wantsRoom.Store(true)
	}
	if c.out.unlock() {
		w.touch(c)
	}
	if full {
		s.state.Step(session.Event{Kind: session.Pause}, w.now, &session.Effects{})
	}
	return !full
}

// appendEntry encodes a queue entry; false means that it exceeds the client's Maximum Packet Size [MQTT-3.1.2-24].
// out's lock is held.
func (c *conn) appendEntry(w *work, p *session.Send) bool {
	e := p.Entry
	w.entry.of(e.Msg, w.now)
	if e.Msg.Sealed {
		w.entry.payload = w.plain
	}
	f := copyFor{version: c.version, qos: e.QoS, dup: p.Dup, retain: e.Retain, pid: p.PacketID, ids: e.SubscriptionIDs}
	size := w.entry.size(&f)
	if c.maxPacket > 0 && size > int(c.maxPacket) {
		return false
	}
	c.useAlias(w.entry.topic, &f, size)
	c.out.buf = w.entry.appendTo(c.out.buf, &f)
	w.tally.sent(e.QoS, len(w.entry.payload))
	return true
}

// commit hands the batch of fx to the store; packets that wait for it follow from done.
func (s *clientSession) commit(fx *session.Effects) {
	batch := fx.Batch
	fx.Batch = getBatch()
	if len(fx.Stored) == 0 {
		s.b.store.Commit(batch, func(error) { putBatch(batch) })
		return
	}
	stored := slices.Clone(fx.Stored)
	s.b.store.Commit(batch, func(err error) {
		putBatch(batch)
		if err != nil {
			s.b.storeFailed(err)
			return
		}
		w := s.b.callbackWork()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, p := range stored {
			s.step(w, session.Event{Kind: session.Stored, PacketID: p.PacketID, Released: p.Released})
		}
	})
}

// fetch reads queue rows in the background and hands them to the state machine. When the store cannot read them, the
// client is disconnected: its next connection tries again.
func (s *clientSession) fetch(from store.Ord, limit int) {
	s.b.wg.Go(func() {
		var entries []session.Entry
		var last bool
		err := s.b.settle()
		if err == nil {
			entries, last, err = s.b.readQueue(s.id(), from, limit)
		}
		if err != nil {
			entries, last = nil, false
			s.b.storeFailed(err)
			if c := s.online.Load(); c != nil {
				c.disconnect(errUnreadable)
			}
		}
		w := s.b.getWork()
		defer w.release()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ended {
			return // its rows are gone, perhaps in the middle of the read
		}
		s.step(w, session.Event{Kind: session.Fetched, Rows: entries, Last: last})
	})
}

// settle waits until what was committed before can be read. It must not be called from done.
func (b *Broker) settle() error {
	result := make(chan error, 1)
	b.store.Commit(new(store.Batch), func(err error) { result <- err })
	return <-result
}

// readQueue reads a page of a session's queue with the bodies.
func (b *Broker) readQueue(id store.SessionID, from store.Ord, limit int) (entries []session.Entry, last bool, err error) {
	rows, err := b.reader.Queue(id, from, limit)
	if err != nil {
		return nil, false, err
	}
	entries = make([]session.Entry, 0, len(rows))
	for i := range rows {
		m, err := b.reader.Body(rows[i].Body)
		if err != nil {
			return nil, false, err
		}
		p := &rows[i].Pointer
		entries = append(entries, session.Entry{
			Msg: m, Body: p.Body, Ord: rows[i].Ord, SubscriptionIDs: p.SubscriptionIDs,
			QoS: p.QoS, Retain: p.Retain, Sole: p.Sole, Ready: true,
		})
	}
	return entries, len(rows) < limit, nil
}

// account keeps the broker's total of queued bytes, to which a session that has ended adds nothing any more. mu is held.
func (s *clientSession) account() {
	if s.ended {
		return
	}
	if n := s.state.Bytes(); n != s.counted {
		s.b.queuedBytes.Add(n - s.counted)
		s.counted = n
	}
}

// releaseHeld lets acknowledgements go that waited for room in this session. mu is held.
func (s *clientSession) releaseHeld(w *work) {
	if len(s.held) == 0 {
		return
	}
	for len(s.held) > 0 {
		h := s.held[0]
		within := s.state.Len()-len(s.held) < s.b.settings().Queue.Messages && !s.state.Full(0)
		if s.conn != nil && !within && w.now < h.deadline {
			return
		}
		s.held = s.held[1:]
		h.c.complete(w, h.number, answer{})
	}
	s.held = nil
}

// hold makes the acknowledgement with the given number wait for this session. mu is held.
func (s *clientSession) hold(w *work, c *conn, number uint64) {
	c.acks.wait(number, 1)
	wait := s.b.settings().AckWait
	s.own().held = append(s.held, heldAck{c: c, number: number, deadline: w.now + int64(wait)})
	if len(s.held) == 1 {
		s.schedule(timerHeld, w.now+int64(wait))
	}
}

// drained is called when the connection's buffer has been written: a session that was paused goes on.
func (c *conn) drained() {
	if !c.wantsRoom.CompareAndSwap(true, false) {
		return
	}
	s := c.session
	w := c.b.getWork()
	defer w.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.step(w, session.Event{Kind: session.Resume})
	}
}

// row is the metadata as the store keeps it. mu is held.
func (s *clientSession) row() *store.Session {
	return &store.Session{
		ClientID: s.clientID, Principal: *s.principal, Version: s.version,
		Expiry: s.expiry, ExpiresAt: s.expiresAt, Created: s.created,
	}
}

// expiryAt is when a session that goes offline now ends; 0 is never.
func expiryAt(now int64, seconds uint32) int64 {
	if seconds == neverExpires {
		return 0
	}
	return now + int64(seconds)*int64(time.Second)
}
