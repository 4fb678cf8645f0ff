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
	timerConn   timerKind = iota // look at a connection's deadlines
	timerExpiry                  // a session may end
	timerWill                    // a Will may be published
	timerHeld                    // acknowledgements have waited long enough for a slow subscriber
)

// timer is one entry of the schedule. Entries are never removed: when one is due, its owner is asked whether it still
// holds.
type timer struct {
	due     int64 // Unix nanoseconds
	kind    timerKind
	conn    *conn
	session *clientSession
	epoch   uint64 // of the session; a client that came back since makes the entry void
}

// timers is the broker's one schedule.
type timers struct {
	mu    sync.Mutex
	queue timerQueue
	wake  chan struct{} // a new first entry
}

func (t *timers) add(due int64, e timer) {
	e.due = due
	t.mu.Lock()
	heap.Push(&t.queue, e)
	first := t.queue[0].due == due
	t.mu.Unlock()
	if first {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// next takes the first entry if it is due, and otherwise says when the first one will be.
func (t *timers) next(now int64) (e timer, ok bool, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return timer{}, false, time.Hour
	}
	if due := t.queue[0].due; due > now {
		return timer{}, false, time.Duration(due - now)
	}
	return heap.Pop(&t.queue).(timer), true, 0
}

// runTimers serves the schedule until the broker ends.
func (b *Broker) runTimers() {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		e, ok, wait := b.timers.next(b.now())
		if ok {
			b.due(e)
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

// due handles one entry. Each borrows its own work, because it may lead to deliveries.
func (b *Broker) due(e timer) {
	switch e.kind {
	case timerConn:
		e.conn.checkDeadlines()
	case timerExpiry:
		w := b.getWork()
		b.endIfOffline(w, e.session, e.epoch)
		w.release()
	case timerWill:
		b.willDue(e)
	case timerHeld:
		b.heldDue(e.session)
	}
}

// willDue publishes a delayed Will unless the client came back.
func (b *Broker) willDue(e timer) {
	s := e.session
	s.mu.Lock()
	wl := s.will
	due := wl != nil && wl.pending && s.epoch == e.epoch && s.conn == nil
	s.mu.Unlock()
	if due {
		w := b.getWork()
		b.publishWill(w, s, wl)
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
		b.timers.add(s.held[0].deadline, timer{kind: timerHeld, session: s})
	}
}

// releaseHeldAll lets all waiting acknowledgements go, because the session ends. mu is held.
func (s *clientSession) releaseHeldAll(w *work) {
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
			c.b.timers.add(at, timer{kind: timerConn, conn: c})
			return
		}
	}
}

// checkDeadlines ends the connection if a deadline has passed, and schedules the next look otherwise: CONNECT must
// arrive in time, each packet must be complete in time, and the client must keep its Keep Alive [MQTT-3.1.2-22].
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
	if next != 0 {
		c.scheduleCheck(next)
	}
}

// timerQueue is a heap ordered by due time.
type timerQueue []timer

func (q timerQueue) Len() int           { return len(q) }
func (q timerQueue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q timerQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *timerQueue) Push(x any) { *q = append(*q, x.(timer)) }

// Pop implements heap.Interface.
func (q *timerQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = timer{}
	*q = old[:len(old)-1]
	return e
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
	b.timers.add(s.expiresAt, timer{kind: timerExpiry, session: s, epoch: s.epoch})
}
