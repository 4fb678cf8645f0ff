package broker

import (
	"sync"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/router"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// groups are the Shared Subscriptions. A message for one goes to a member that is online and has room. When no member
// is online and one of them has a durable session, the message waits in the group's own queue for whoever comes first.
type groups struct {
	mu    sync.Mutex
	byKey map[string]*group
}

// group is one Shared Subscription with its queue.
type group struct {
	key     string // "$share/NAME/FILTER", as subscribed
	members map[*clientSession]mqtt.QoS
	queue   *clientSession // nil until a message has had to wait
	drain   sync.Mutex     // one goroutine at a time moves messages to members
}

func (g *groups) init() { g.byKey = make(map[string]*group) }

func groupKey(share topic.ShareName, f topic.Filter) string {
	return "$share/" + string(share) + "/" + string(f)
}

func (g *groups) get(key string) *group {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.byKey[key]
}

// subscribe makes s a member.
func (g *groups) subscribe(b *Broker, s *clientSession, share topic.ShareName, f topic.Filter, row *store.Subscription) {
	key := groupKey(share, f)
	g.mu.Lock()
	gr := g.byKey[key]
	if gr == nil {
		gr = &group{key: key, members: make(map[*clientSession]mqtt.QoS)}
		g.byKey[key] = gr
	}
	gr.members[s] = row.QoS
	g.mu.Unlock()
	s.shared.Add(1)
	b.router.Subscribe(share, f, s, router.Options{
		QoS: row.QoS, RetainAsPublished: row.RetainAsPublished, SubscriptionID: row.SubscriptionID,
	})
}

// unsubscribe takes s out. With its last member the group ends, and with it what waits in its queue.
func (g *groups) unsubscribe(b *Broker, s *clientSession, share topic.ShareName, f topic.Filter) {
	b.router.Unsubscribe(share, f, s)
	g.mu.Lock()
	gr := g.byKey[groupKey(share, f)]
	var queue *clientSession
	if gr != nil {
		if _, ok := gr.members[s]; ok {
			delete(gr.members, s)
			s.shared.Add(-1)
		}
		if len(gr.members) == 0 {
			delete(g.byKey, gr.key)
			queue = gr.queue
			gr.queue = nil
		}
	}
	g.mu.Unlock()
	if queue == nil {
		return
	}
	queue.mu.Lock()
	queue.ended = true
	b.queuedBytes.Add(-queue.counted)
	queue.counted = 0
	queue.mu.Unlock()
	batch := getBatch()
	batch.Add(store.Op{Kind: store.DeleteSession, Session: queue.id()})
	b.store.Commit(batch, func(error) { putBatch(batch) })
}

// shared delivers to one member of the group, in turn [MQTT-4.8.2-4] [MQTT-4.8.2-5]: to one that is online and has
// nothing waiting, else to one that is online and still accepts, else to the group's own queue.
func (d *delivery) shared(g *router.Group[*clientSession]) {
	members := g.Members()
	start := g.Next()
	for _, patient := range [2]bool{false, true} {
		for i := range members {
			m := &members[(start+uint64(i))%uint64(len(members))]
			s := m.Subscriber
			c := s.online.Load()
			if c == nil || d.p.QoS > 0 && s.behind() != patient || d.p.QoS == 0 && patient || !d.mayReceive(s, c) ||
				d.src.sealed && !c.evidence.Encrypted() {
				continue
			}
			if d.to(s, min(m.QoS, d.p.QoS), m.RetainAsPublished && d.p.Retain, idsOf(m.SubscriptionID)) {
				return
			}
		}
	}
	if d.p.QoS > 0 {
		d.enqueueForGroup(groupKey(g.ShareName(), g.Filter()))
	}
}

// behind reports whether the session has a queue: another member is the better choice.
func (s *clientSession) behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Len() > 0
}

// enqueueForGroup keeps the message for the first member that comes online, if any member's session is durable and its
// subscription is not QoS 0.
func (d *delivery) enqueueForGroup(key string) {
	b := d.b
	g := &b.groups
	g.mu.Lock()
	gr := g.byKey[key]
	if gr == nil {
		g.mu.Unlock()
		return
	}
	qos := mqtt.AtMostOnce
	for s, q := range gr.members {
		if s.durable.Load() {
			qos = max(qos, q)
		}
	}
	queue := gr.queue
	if qos > 0 && queue == nil {
		queue = b.newGroupQueue(gr, d.w.now, session.New(b.nextSession(), true, &b.settings().Queue))
		// With mu: what others put into the queue, and its removal, must come after the row that makes it exist.
		batch := getBatch()
		batch.Add(store.Op{Kind: store.PutSession, Session: queue.id(), Meta: &store.Session{Group: key, Expiry: neverExpires, Created: d.w.now}})
		b.submit(batch)
	}
	g.mu.Unlock()
	if qos == mqtt.AtMostOnce {
		return
	}
	queue.mu.Lock()
	defer queue.mu.Unlock()
	if d.offer(queue, min(qos, d.p.QoS), false, nil) != session.Full {
		d.queued = append(d.queued, gr)
	}
}

// offerQueue looks for a member that came online while a message went into the group's queue.
func (g *groups) offerQueue(b *Broker, gr *group) {
	g.mu.Lock()
	var online *clientSession
	for s := range gr.members {
		if s.online.Load() != nil {
			online = s
			break
		}
	}
	g.mu.Unlock()
	if online == nil {
		return
	}
	b.wg.Go(func() {
		w := b.getWork()
		defer w.release()
		g.joined(w, online)
	})
}

// newGroupQueue gives the group a queue. g.mu is held.
func (b *Broker) newGroupQueue(gr *group, now int64, state session.Session) *clientSession {
	gr.queue = b.newClientSession("", now, &identity.Principal{})
	gr.queue.group, gr.queue.state = gr, state
	return gr.queue
}

// joined moves what waits in the queues of the session's groups to it, as far as it has room.
func (g *groups) joined(w *work, s *clientSession) {
	if s.shared.Load() == 0 {
		return
	}
	s.mu.Lock()
	var subs []store.Subscription
	for _, sub := range s.subs.rows {
		if share, _, err := topic.ParseSubscription(sub.Filter); err == nil && share != "" {
			subs = append(subs, sub)
		}
	}
	s.mu.Unlock()
	for i := range subs {
		share, f, err := topic.ParseSubscription(subs[i].Filter)
		if err != nil {
			continue
		}
		if gr := g.get(groupKey(share, f)); gr != nil {
			s.b.drainGroup(w, gr, s, &subs[i])
		}
	}
}

// drained is joined for a session that has nothing left to send.
func (g *groups) drained(w *work, s *clientSession) { g.joined(w, s) }

// drainStep is how many messages move from a group's queue to a member at once.
const drainStep = 64

// drainGroup moves messages until the queue is empty or the member has enough. Each move is one batch: the message is
// in exactly one of the two queues whenever the broker stops.
func (b *Broker) drainGroup(w *work, gr *group, s *clientSession, sub *store.Subscription) {
	gr.drain.Lock()
	defer gr.drain.Unlock()
	for {
		b.groups.mu.Lock()
		queue := gr.queue
		b.groups.mu.Unlock()
		if queue == nil || s.online.Load() == nil || s.behind() {
			return
		}
		entries, batch := b.takeFromGroup(w, queue)
		if len(entries) == 0 {
			putBatch(batch)
			return
		}
		d := delivery{b: b, w: w, batch: batch, p: &mqtt.Publish{}, moves: true}
		withheld := false
		for i := range entries {
			mine := b.mayTake(s, &entries[i])
			withheld = withheld || !mine
			if !mine || !d.move(s, sub, &entries[i]) {
				d.putBack(queue, &entries[i])
			}
		}
		d.finish()
		if withheld {
			return // what is left is for other members, or for nobody
		}
	}
}

// takeFromGroup takes entries out of the queue, reading them from the store when they are not in memory.
func (b *Broker) takeFromGroup(w *work, queue *clientSession) ([]session.Entry, *store.Batch) {
	batch := getBatch()
	fx := session.Effects{Batch: batch}
	queue.mu.Lock()
	entries := queue.state.Take(w.now, drainStep, &fx)
	queue.account()
	from, more := queue.state.Stored()
	queue.mu.Unlock()
	if len(entries) > 0 || !more {
		return entries, batch
	}
	err := b.settle()
	var rows []session.Entry
	var last bool
	if err == nil {
		rows, last, err = b.readQueue(queue.id(), from, drainStep)
	}
	if err != nil {
		b.storeFailed(err)
		return nil, batch
	}
	queue.mu.Lock()
	defer queue.mu.Unlock()
	queue.state.Step(session.Event{Kind: session.Fetched, Rows: rows, Last: last}, w.now, &fx)
	entries = queue.state.Take(w.now, drainStep, &fx)
	queue.account()
	return entries, batch
}

// move puts one entry of the group's queue into a member's, as a message of its own in the store. It reports whether the
// member took it.
func (d *delivery) move(s *clientSession, sub *store.Subscription, e *session.Entry) bool {
	qos := min(sub.QoS, e.QoS)
	if qos == mqtt.AtMostOnce {
		c := s.online.Load()
		if c != nil {
			if !c.openEntry(d.w, e.Msg) {
				return false
			}
			c.sendOwn(d.w, false, idsOf(sub.SubscriptionID))
		}
		return c != nil
	}
	d.msg, d.body = e.Msg, 0
	s.mu.Lock()
	defer s.mu.Unlock()
	return d.offer(s, qos, false, idsOf(sub.SubscriptionID)) != session.Full
}

// putBack returns an entry that the member had no room for.
func (d *delivery) putBack(queue *clientSession, e *session.Entry) {
	d.msg, d.body = e.Msg, 0
	queue.mu.Lock()
	defer queue.mu.Unlock()
	d.offer(queue, e.QoS, false, nil)
}

// idsOf is the list for one Subscription Identifier; 0 is none.
func idsOf(id uint32) []uint32 {
	if id == 0 {
		return nil
	}
	return []uint32{id}
}
