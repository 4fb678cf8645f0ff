package broker

import (
	"strconv"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// binding is the result of bind.
type binding struct {
	present bool   // the session existed [MQTT-3.2.2-2]
	expiry  uint32 // Session Expiry Interval in force, seconds
}

// ownSession is the rule that no policy can overrule.
var ownSession = identity.Rule{Name: "a session belongs to the principal that began it"}

// bind gives the connection its session: it takes over from an older connection of the same client [MQTT-3.1.4-3],
// resumes, or begins anew. What the store must know is on disk when bind returns.
func (b *Broker) bind(w *work, c *conn, p *mqtt.Connect, wl *will) (binding, error) {
	lock := b.sessions.locks.of(c.clientID)
	lock.Lock()
	defer lock.Unlock()

	expiry := b.grantedExpiry(c, p)
	old := b.sessions.get(c.clientID)
	if old != nil && !old.ownedBy(c) {
		return binding{}, b.denied(c, identity.Connect, "", identity.Deny(ownSession, "the session "+strconv.Quote(c.clientID)+" belongs to "+old.owner().String()))
	}
	batch := getBatch()
	if old != nil {
		b.takeOver(w, old)
		if p.CleanStart || old.over() { // [MQTT-3.1.2-4]
			b.endSession(w, old, batch)
			old = nil
		}
	}
	s := old
	if s == nil {
		if expiry > 0 && !b.owners.take(c.principal, b.settings().SessionsPerOwner) {
			b.submit(batch) // the session before has ended all the same
			return binding{}, overLimit(errQuota, "limits.sessions_per_principal", b.settings().SessionsPerOwner, "as many durable sessions of "+c.principal.String())
		}
		s = b.newSession(c, expiry, w.now)
	}
	s.mu.Lock()
	s.attach(c, expiry, wl, batch)
	s.mu.Unlock()
	c.session = s
	b.sessions.put(s)
	if err := b.commitAndWait(batch); err != nil {
		return binding{}, err
	}
	if old != nil {
		if err := b.loadInflight(s); err != nil {
			return binding{}, err
		}
	}
	return binding{present: old != nil, expiry: expiry}, nil
}

// grantedExpiry is the Session Expiry Interval in force: what the client asks for, capped [MQTT-3.2.2-21]. A principal
// that proved nothing leaves no session behind, or anybody could fill the disk.
func (b *Broker) grantedExpiry(c *conn, p *mqtt.Connect) uint32 {
	set := b.settings()
	if c.principal.IsAnonymous() && !set.AnonymousDurable {
		return 0
	}
	if c.version >= mqtt.V5 {
		return min(p.Properties.SessionExpiry, set.SessionExpiryMax)
	}
	if p.CleanStart {
		return 0
	}
	return set.SessionExpiryV3
}

func (b *Broker) newSession(c *conn, expiry uint32, now int64) *clientSession {
	s := b.newClientSession(c.clientID, now, c.principal)
	s.rights = b.authz.Generation()
	s.state = session.New(b.nextSession(), expiry > 0, &b.settings().Queue)
	if expiry > 0 {
		s.durable.Store(true) // it was counted for its owner before
	}
	return s
}

// attach makes c the session's connection. s.mu is held.
func (s *clientSession) attach(c *conn, expiry uint32, wl *will, batch *store.Batch) {
	s.conn, s.version, s.principal = c, c.version, c.principal
	s.epoch++
	s.setExpiry(expiry, batch)
	s.expiresAt = 0
	s.unschedule(timerExpiry, timerWill)
	if s.will != nil { // a delayed Will of the connection before is not sent [MQTT-3.1.3-9]
		s.dropWill(batch)
	}
	if wl != nil {
		s.own().will = wl
		batch.Add(store.Op{Kind: store.PutWill, Session: s.id(), Will: wl.row(s)})
		batch.Sync = true
	}
	if s.state.Durable() {
		batch.Add(store.Op{Kind: store.PutSession, Session: s.id(), Meta: s.row()})
		batch.Sync = true
	}
}

// setExpiry changes the Session Expiry Interval. A session that gets one becomes durable with all it has. s.mu is
// held.
func (s *clientSession) setExpiry(expiry uint32, batch *store.Batch) {
	s.expiry = expiry
	if expiry == 0 || s.state.Durable() {
		return
	}
	s.state.MakeDurable(batch, s.b.nextBody)
	s.durable.Store(true)
	s.b.owners.add(s.principal, 1)
	for _, sub := range s.subs.rows {
		batch.Add(store.Op{Kind: store.PutSubscription, Session: s.id(), Subscription: &sub})
	}
}

// ownedBy reports whether the session belongs to the principal of c: method, issuer and name.
func (s *clientSession) ownedBy(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.principal == *c.principal
}

// over reports whether the session ended, or ends with its connection.
func (s *clientSession) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended || s.expiry == 0
}

// takeOver parts the session from its connection, if it has one, and tells that client. The lock of its Client Identifier
// is held.
func (b *Broker) takeOver(w *work, s *clientSession) {
	s.mu.Lock()
	c, wl := s.conn, s.will
	if c != nil {
		s.detach(w)
	}
	s.mu.Unlock()
	// The Will of the old connection is due now, also when that is over and waits for the lock to publish it, unless its
	// delay lets the new connection cancel it [MQTT-3.1.3-9].
	if wl != nil && (wl.delay == 0 || s.over()) {
		b.publishWill(w, s, wl)
	}
	if c != nil {
		c.disconnect(errSessionTaken)
	}
}

// detach unbinds the connection and returns the Will it leaves behind. s.mu is held.
func (s *clientSession) detach(w *work) *will {
	s.conn = nil
	s.online.Store(nil)
	s.step(w, session.Event{Kind: session.Detach})
	return s.will
}

// endSession removes everything of the session: its rows, its subscriptions, its place in the registry. The lock of its
// Client Identifier is held, so nobody binds it meanwhile.
func (b *Broker) endSession(w *work, s *clientSession, batch *store.Batch) {
	b.sessions.remove(s)
	s.subscribing.Lock()
	s.mu.Lock()
	s.ended = true
	s.unschedule(timerExpiry, timerWill, timerHeld)
	subs, wl, durable := s.subs, s.will, s.state.Durable()
	s.subs = subscriptions{}
	s.releaseHeldAll(w)
	b.queuedBytes.Add(-s.counted)
	s.counted = 0
	s.mu.Unlock()
	for i := range subs.rows {
		b.unsubscribe(s, subs.rows[i].Filter)
	}
	s.subscribing.Unlock()
	if wl != nil { // the session ends before the delay [MQTT-3.1.3-9], or by a Clean Start that took it over
		b.publishWill(w, s, wl)
	}
	if durable || wl != nil {
		batch.Add(store.Op{Kind: store.DeleteSession, Session: s.id()})
	}
	if durable {
		batch.Sync = true
		b.owners.add(s.principal, -1)
	}
}

// leave is called once when a connection is over. The session ends with it, or waits for the client to come back.
func (c *conn) leave() {
	s := c.session
	if s == nil {
		return
	}
	b := c.b
	w := b.getWork()
	defer w.release()
	s.mu.Lock()
	if s.conn != c {
		s.mu.Unlock()
		return // taken over
	}
	wl := s.detach(w)
	expiry, epoch := s.expiry, s.epoch
	closing := b.closed()
	if closing {
		wl = nil // it stays in the store and is published after the next start, as after a crash
	}
	delayed := wl != nil && expiry > 0 && wl.delay > 0
	batch := getBatch()
	if delayed {
		wl.due = w.now + int64(min(wl.delay, expiry))*1e9
		wl.pending = true
		batch.Add(store.Op{Kind: store.PutWill, Session: s.id(), Will: wl.row(s)})
	}
	if expiry > 0 {
		s.expiresAt = expiryAt(w.now, expiry)
		batch.Add(store.Op{Kind: store.PutSession, Session: s.id(), Meta: s.row()})
	}
	if delayed {
		s.schedule(timerWill, wl.due)
	}
	if expiry > 0 && expiry != neverExpires && !closing {
		s.schedule(timerExpiry, s.expiresAt)
	}
	b.submit(batch) // with mu, or the removal of the session might come first, and the row bring it back
	s.mu.Unlock()

	if wl != nil && !delayed {
		b.publishWillOffline(w, s, wl)
	}
	if expiry == 0 && !closing {
		b.endIfOffline(w, s, epoch)
	}
}

// endIfOffline ends the session unless a client has been bound to it since epoch.
func (b *Broker) endIfOffline(w *work, s *clientSession, epoch uint64) {
	lock := b.sessions.locks.of(s.clientID)
	lock.Lock()
	defer lock.Unlock()
	s.mu.Lock()
	gone := s.ended || s.conn != nil || s.epoch != epoch
	s.mu.Unlock()
	if gone {
		return
	}
	batch := getBatch()
	b.endSession(w, s, batch)
	b.submit(batch)
}

// nothingToStore is the result of a batch without rows.
var nothingToStore = func() <-chan error {
	done := make(chan error)
	close(done)
	return done
}()

// commitAndWait returns when the batch is on disk. It is used where a client waits for one answer, never in the flow of
// messages.
func (b *Broker) commitAndWait(batch *store.Batch) error { return <-b.submit(batch) }

// submit hands the batch to the store, which takes batches in the order of the calls, and does not wait: result says when
// it is on disk. A row that says what a session is goes this way under the lock under which it was made.
func (b *Broker) submit(batch *store.Batch) (result <-chan error) {
	if len(batch.Ops) == 0 {
		putBatch(batch)
		return nothingToStore
	}
	done := make(chan error, 1)
	b.store.Commit(batch, func(err error) {
		putBatch(batch)
		done <- err
	})
	return done
}

// loadInflight reads the bodies of messages that were in flight before a restart.
func (b *Broker) loadInflight(s *clientSession) error {
	s.mu.Lock()
	missing := s.state.Missing()
	s.mu.Unlock()
	for _, ord := range missing {
		entries, _, err := b.readQueue(s.id(), ord, 1)
		if err != nil {
			return err
		}
		s.mu.Lock()
		if len(entries) == 1 && entries[0].Ord == ord {
			e := entries[0]
			s.state.Fill(ord, e.Row(), e.Msg)
		} else {
			s.state.Fill(ord, store.Pointer{}, nil)
		}
		s.mu.Unlock()
	}
	return nil
}
