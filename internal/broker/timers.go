package broker

import (
	"container/heap"
	"sync"
	"time"

	"github.com/sealmq/sealmq/internal/store"
)

// timerKind says what is due.
type timerKind uint8

const (
	timerExpiry timerKind = iota // a session may end
	timerWill                    // a Will may be published
	timerHeld                    // acknowledgements have waited long enough for a slow subscriber
	timerConn                    // look at a connection's deadlines
)

// timer is an entry of the schedule, of which an owner has one for each kind: what it waits for may change often and be
// far away, and must not stay in the schedule, or keep its owner in memory, when it is void.
type timer struct {
	conn    *conn
	session *clientSession

	// Under the lock of timers, but for kind.
	epoch uint64 // of the session; a client that came back since makes the entry void
	place int32  // in the queue, from 1 on; 0: not in it
	dead  bool   // the owner has ended: nothing is due any more
	kind  timerKind
}

// timers is the broker's one schedule.
type timers struct {
	mu    sync.Mutex
	queue timerQueue
	wake  chan struct{} // a new first entry
}

// set makes e due at the given time, instead of when it was before.
func (t *timers) set(e *timer, due int64, epoch uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(e, due, epoch)
}

// advance makes e due no later than at the given time.
func (t *timers) advance(e *timer, due int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.place == 0 || due < t.queue[e.place-1].due {
		t.put(e, due, 0)
	}
}

// put is set with the lock held.
func (t *timers) put(e *timer, due int64, epoch uint64) {
	if e.dead {
		return
	}
	e.epoch = epoch
	if e.place == 0 {
		heap.Push(&t.queue, scheduled{due, e})
	} else {
		t.queue[e.place-1].due = due
		heap.Fix(&t.queue, int(e.place)-1)
	}
	if e.place == 1 {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// stop takes e out of the schedule, for ever when its owner has ended.
func (t *timers) stop(e *timer, dead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.dead = e.dead || dead
	if e.place > 0 {
		heap.Remove(&t.queue, int(e.place)-1)
	}
}

// next takes the first entry if it is due, and otherwise says when the first one will be.
func (t *timers) next(now int64) (e *timer, epoch uint64, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return nil, 0, time.Hour
	}
	if due := t.queue[0].due; due > now {
		return nil, 0, time.Duration(due - now)
	}
	e = t.queue[0].timer
	heap.Remove(&t.queue, 0)
	return e, e.epoch, 0
}

// schedule makes something of the session due. mu is held.
func (s *clientSession) schedule(kind timerKind, due int64) {
	e := &s.expiring
	if kind != timerExpiry {
		at := &s.own().timers[kind-timerWill]
		if *at == nil {
			*at = &timer{kind: kind, session: s, dead: s.ended}
		}
		e = *at
	}
	s.b.timers.set(e, due, s.epoch)
}

// unschedule takes the session's entries of some kinds out of the schedule. mu is held.
func (s *clientSession) unschedule(kinds ...timerKind) {
	for _, k := range kinds {
		e := &s.expiring
		if k != timerExpiry {
			e = s.timers[k-timerWill]
		}
		if e != nil {
			s.b.timers.stop(e, s.ended)
		}
	}
}

// runTimers serves the schedule until the broker ends.
func (b *Broker) runTimers() {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		e, epoch, wait := b.timers.next(b.now())
		if e != nil {
			b.due(e, epoch)
			continue
		}
		alarm.Reset(wait)
		select {
		case <-alarm.C:
		case <-b.timers.wake:
		case <-b.ctx.Done():
			return
		}
	}
}

// due handles one entry. Each borrows its own work, because it may lead to deliveries. A panic ends this entry only.
func (b *Broker) due(e *timer, epoch uint64) {
	defer b.recoverPanic("a timer")
	switch e.kind {
	case timerConn:
		e.conn.checkDeadlines()
	case timerExpiry:
		w := b.getWork()
		b.endIfOffline(w, e.session, epoch)
		w.release()
	case timerWill:
		b.willDue(e.session, epoch)
	case timerHeld:
		b.heldDue(e.session)
	}
}

// willDue publishes a delayed Will unless the client came back.
func (b *Broker) willDue(s *clientSession, epoch uint64) {
	s.mu.Lock()
	wl := s.will
	due := wl != nil && wl.pending && s.epoch == epoch && s.conn == nil
	s.mu.Unlock()
	if due {
		w := b.getWork()
		b.publishWillOffline(w, s, wl)
		w.release()
	}
}

// heldDue lets acknowledgements go whose time is up, and comes back for the next.
func (b *Broker) heldDue(s *clientSession) {
	w := b.getWork()
	defer w.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseHeld(w)
	if len(s.held) > 0 {
		s.schedule(timerHeld, s.held[0].deadline)
	}
}

// releaseHeldAll lets all waiting acknowledgements go, because the session ends. mu is held.
func (s *clientSession) releaseHeldAll(w *work) {
	if len(s.held) == 0 {
		return
	}
	for _, h := range s.held {
		h.c.complete(w, h.number, answer{})
	}
	s.held = nil
}

// scheduleCheck has the connection's deadlines looked at no later than at the given time.
func (c *conn) scheduleCheck(at int64) {
	for {
		old := c.checkAt.Load()
		if old != 0 && old <= at {
			return
		}
		if c.checkAt.CompareAndSwap(old, at) {
			c.b.timers.advance(&c.timer, at)
			return
		}
	}
}

// checkDeadlines ends the connection if a deadline has passed, and schedules the next look otherwise: CONNECT must
// arrive in time, each packet must be complete in time, the client must keep its Keep Alive [MQTT-3.1.2-22], and what
// proved who it is must not have expired.
func (c *conn) checkDeadlines() {
	if c.over() {
		return
	}
	now, set := c.b.now(), c.b.settings()
	c.checkAt.Store(0)
	if c.phase.Load() != connected {
		c.abort(errConnectTimeout)
		return
	}
	next := int64(0)
	if since := c.partialSince.Load(); since != 0 {
		next = since + int64(set.PacketTimeout)
		if now >= next {
			c.disconnect(errPacketTimeout)
			return
		}
	}
	if c.keepAlive > 0 {
		due := c.lastRead.Load() + int64(c.keepAlive)
		if now >= due {
			c.disconnect(errKeepAlive)
			return
		}
		if next == 0 || due < next {
			next = due
		}
	}
	if end := c.loginEnds.Load(); end != 0 {
		if now >= end {
			c.disconnect(errLoginExpired)
			return
		}
		if next == 0 || end < next {
			next = end
		}
	}
	if next != 0 {
		c.scheduleCheck(next)
	}
}

// limitLogin ends the connection when what proved the client's identity expires. A zero time never does.
func (c *conn) limitLogin(at time.Time) {
	if at.IsZero() {
		c.loginEnds.Store(0)
		return
	}
	end := max(at.UnixNano(), 1)
	c.loginEnds.Store(end)
	c.scheduleCheck(end)
}

// scheduled is a timer in the queue.
type scheduled struct {
	due   int64 // Unix nanoseconds
	timer *timer
}

// timerQueue is a heap ordered by due time, whose timers know their places.
type timerQueue []scheduled

func (q timerQueue) Len() int           { return len(q) }
func (q timerQueue) Less(i, j int) bool { return q[i].due < q[j].due }

func (q timerQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].timer.place, q[j].timer.place = int32(i+1), int32(j+1)
}

// Push implements heap.Interface.
func (q *timerQueue) Push(x any) {
	e := x.(scheduled)
	*q = append(*q, e)
	e.timer.place = int32(len(*q))
}

// Pop implements heap.Interface.
func (q *timerQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = scheduled{}
	*q = old[:len(old)-1]
	e.timer.place = 0
	return nil // who removes an entry knows which
}

// restoreTimers schedules what the store knew to be due.
func (b *Broker) restoreTimers(s *clientSession, row *store.Session, now int64) {
	if row.Expiry == neverExpires {
		return
	}
	s.expiresAt = row.ExpiresAt
	if s.expiresAt == 0 { // it was online when the broker stopped: its time begins now
		s.expiresAt = expiryAt(now, row.Expiry)
	}
	s.schedule(timerExpiry, s.expiresAt)
}
