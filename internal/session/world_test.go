package session

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// failer is what the world needs of *testing.T and *rapid.T.
type failer interface {
	Fatalf(format string, args ...any)
}

var author = &identity.Principal{Method: "test", Name: "author"}

func newMessage(topic string, payload int, expiresAt int64) *message.Message {
	m := message.New(&mqtt.Publish{Topic: topic, Payload: make([]byte, payload)}, "publisher", author, 0)
	m.ExpiresAt = expiresAt
	return m
}

// rows is the model of what a store holds for one session.
type rows struct {
	queue    map[store.Ord]store.Pointer
	inflight map[mqtt.PacketID]store.Inflight
	inbound  map[mqtt.PacketID]bool
	bodies   map[store.BodyID]*message.Message
}

func newRows() rows {
	return rows{
		map[store.Ord]store.Pointer{},
		map[mqtt.PacketID]store.Inflight{},
		map[mqtt.PacketID]bool{},
		map[store.BodyID]*message.Message{},
	}
}

func (r rows) clone() rows {
	return rows{maps.Clone(r.queue), maps.Clone(r.inflight), maps.Clone(r.inbound), maps.Clone(r.bodies)}
}

func (r rows) apply(ops []store.Op) {
	for i := range ops {
		switch op := &ops[i]; op.Kind {
		case store.PutBody:
			r.bodies[op.Body] = op.Message
		case store.PutQueue:
			r.queue[op.Ord] = op.Pointer
		case store.DeleteQueue:
			delete(r.queue, op.Ord)
			delete(r.bodies, op.Body)
		case store.PutInflight:
			r.inflight[op.PacketID] = op.Inflight
		case store.DeleteInflight:
			delete(r.inflight, op.PacketID)
		case store.PutInbound:
			r.inbound[op.PacketID] = true
		case store.DeleteInbound:
			delete(r.inbound, op.PacketID)
		}
	}
}

// row is the session as a store shows it at start.
func (r rows) row(id store.SessionID) *store.SessionRow {
	row := &store.SessionRow{ID: id, Inbound: slices.Sorted(maps.Keys(r.inbound)), QueueCount: len(r.queue)}
	for pid, f := range r.inflight {
		row.Inflight = append(row.Inflight, store.InflightRow{PacketID: pid, Inflight: f})
	}
	slices.SortFunc(row.Inflight, func(a, b store.InflightRow) int { return cmp.Compare(a.Ord, b.Ord) })
	for i, ord := range slices.Sorted(maps.Keys(r.queue)) {
		if i == 0 {
			row.QueueFirst = ord
		}
		row.QueueLast = ord
		row.QueueBytes += int64(r.queue[ord].Size)
	}
	return row
}

// read is a page of the queue with its bodies.
func (r rows) read(from store.Ord, limit int) (entries []Entry, last bool) {
	for _, ord := range slices.Sorted(maps.Keys(r.queue)) {
		if ord < from {
			continue
		}
		if len(entries) == limit {
			return entries, false
		}
		p := r.queue[ord]
		entries = append(entries, Entry{
			Msg: r.bodies[p.Body], Body: p.Body, Ord: ord, SubscriptionIDs: p.SubscriptionIDs, QoS: p.QoS, Retain: p.Retain, Sole: p.Sole,
		})
	}
	return entries, true
}

// commit is a batch in the store's hands.
type commit struct {
	ops     []store.Op
	stored  []Write
	refused bool // the store was full
}

// accepted is one message that a publisher offered and the session accepted.
type accepted struct {
	name      string
	ord       store.Ord
	qos       mqtt.QoS
	size      int64
	expires   bool
	large     bool // does not fit into the packets that some connections take
	onDisk    int  // number of the commit with its row; 0 before it is handed over
	waits     bool // has not been sent, and counts in Len and Bytes
	sentEver  bool
	sentLife  bool // since the last start of the broker
	delivered int
	excused   bool // need not arrive: lost before the acknowledgement, refused, too large, expired
}

// packet is on its way between broker and client.
type packet struct {
	kind SendKind
	ack  EventKind // to the broker
	pid  mqtt.PacketID
	code mqtt.ReasonCode
	m    *accepted
}

// flight is a message that counts against the Receive Maximum of the connection.
type flight struct {
	m        *accepted
	received bool // PUBREC came
	released bool // PUBREL went
}

// reading is a Fetch that was not answered yet.
type reading struct {
	from    store.Ord
	limit   int
	barrier int
}

// world is a broker around one session, with a store that can lose its unsynced end, a client that keeps to the
// standard, and the rules that must hold whatever happens. It chooses by pick.
type world struct {
	t    failer
	pick func(n int) int
	log  []string

	s       *Session
	fx      Effects
	now     int64
	limits  Limits
	hostile bool // the client acknowledged something at will: what it loses is its own
	inexact bool // the store refused rows: counts may be high until they are missed
	nextOrd int
	body    store.BodyID

	synced  rows // survives a crash
	log0    int  // number of commits in synced
	tail    []commit
	visible int // of tail: what readers see
	offered []*offer
	fetch   *reading

	byName  map[string]*accepted
	byOrd   map[store.Ord]*accepted
	order   []*accepted
	lastNew [3]store.Ord // Ord of the last first send, per QoS

	quota       int
	small       bool // the connection takes no large packets
	outstanding map[mqtt.PacketID]*flight
	toClient    []packet
	toBroker    []packet
	unreleased  map[mqtt.PacketID]bool // of the client, QoS 2
	inbound     map[mqtt.PacketID]bool
}

// offer is a publisher between Enqueue and the commit of its batch.
type offer struct {
	m     *accepted
	batch store.Batch
}

func newWorld(t failer, durable bool, limits Limits, start uint64, pick func(int) int) *world {
	w := &world{
		t: t, pick: pick, now: 1, limits: limits, synced: newRows(),
		byName: map[string]*accepted{}, byOrd: map[store.Ord]*accepted{},
		outstanding: map[mqtt.PacketID]*flight{}, unreleased: map[mqtt.PacketID]bool{}, inbound: map[mqtt.PacketID]bool{},
	}
	s := New(7, durable, &w.limits)
	w.s = &s
	w.s.ring.head, w.s.ring.tail = start, start
	w.s.settle()
	w.fx.Batch = new(store.Batch)
	return w
}

func (w *world) fatalf(format string, args ...any) {
	tail := w.log[max(0, len(w.log)-60):]
	text := ""
	for _, line := range tail {
		text += "  " + line + "\n"
	}
	w.t.Fatalf("%s\nlast events:\n%s", fmt.Sprintf(format, args...), text)
}

func (w *world) note(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *world) chance(percent int) bool { return w.pick(100) < percent }

// step does what the broker does: send, commit, read, and go on while there is more.
func (w *world) step(ev Event) Outcome {
	w.fx.Reset()
	w.s.Step(ev, w.now, &w.fx)
	outcome := w.fx.Outcome
	for {
		w.carryOut()
		if !w.fx.More {
			break
		}
		if w.chance(10) {
			w.s.Step(Event{Kind: Pause}, w.now, &Effects{})
			break
		}
		w.fx.Reset()
		w.s.Step(Event{Kind: Resume}, w.now, &w.fx)
	}
	w.check()
	return outcome
}

func (w *world) carryOut() {
	fx := &w.fx
	for i := 0; i < len(fx.Send); i++ {
		w.send(&fx.Send[i])
	}
	if len(fx.Batch.Ops) > 0 {
		w.commit(fx.Batch, fx.Stored, false)
		fx.Batch = new(store.Batch)
	} else if len(fx.Stored) > 0 {
		w.fatalf("Stored without a batch")
	}
	if fx.Fetch {
		if w.fetch != nil {
			w.fatalf("second read while one is under way")
		}
		w.fetch = &reading{fx.FetchFrom, fx.FetchLimit, w.handed()}
	}
}

func (w *world) handed() int { return w.log0 + len(w.tail) }

func (w *world) send(p *Send) {
	if !w.s.Attached() {
		w.fatalf("send without a connection")
	}
	if p.Kind == SendPubrel {
		w.note("<- PUBREL %d", p.PacketID)
		if w.s.Durable() && p.Code == mqtt.Success && w.synced.inflight[p.PacketID].State != store.Released {
			w.fatalf("PUBREL %d before its row is on disk", p.PacketID)
		}
		if f := w.outstanding[p.PacketID]; f != nil && p.Code == mqtt.Success {
			f.released = true
		}
		w.toClient = append(w.toClient, packet{kind: SendPubrel, pid: p.PacketID})
		return
	}
	m := w.byName[p.Entry.Msg.Topic()]
	if p.Entry.QoS != m.qos {
		w.fatalf("%s sent with QoS %d, not %d", m.name, p.Entry.QoS, m.qos)
	}
	if m.large && w.small {
		w.note("discard %d %s", p.PacketID, m.name)
		m.excused, m.sentEver = true, true
		if m.waits && !(w.s.Durable() && m.qos > 0) {
			m.waits = false
		}
		w.s.Step(Event{Kind: Discard, PacketID: p.PacketID}, w.now, &w.fx)
		return
	}
	w.note("<- PUBLISH %d %s QoS %d dup=%v", p.PacketID, m.name, m.qos, p.Dup)
	if !w.s.Durable() || m.qos == 0 {
		m.waits = false
	}
	switch {
	case m.sentLife && !p.Dup:
		w.fatalf("%s sent again without DUP", m.name)
	case !m.sentEver && p.Dup && !m.excused && m.onDisk == 0:
		w.fatalf("%s sent with DUP for the first time", m.name)
	case !m.sentEver:
		if m.ord <= w.lastNew[m.qos] {
			w.fatalf("%s (place %d) sent first after place %d", m.name, m.ord, w.lastNew[m.qos])
		}
		w.lastNew[m.qos] = m.ord
	}
	m.sentEver, m.sentLife = true, true
	w.toClient = append(w.toClient, packet{kind: SendPublish, pid: p.PacketID, m: m})
	if m.qos == 0 {
		return
	}
	if other := w.outstanding[p.PacketID]; other != nil {
		w.fatalf("identifier %d given to %s while %s has it", p.PacketID, m.name, other.m.name)
	}
	if f := w.synced.inflight[p.PacketID]; m.qos == 2 && w.s.Durable() && (f.Ord != m.ord || f.State != store.Published) {
		w.fatalf("QoS 2 PUBLISH %d before its row is on disk", p.PacketID)
	}
	w.outstanding[p.PacketID] = &flight{m: m}
	if len(w.outstanding) > w.quota {
		w.fatalf("%d messages outstanding, Receive Maximum is %d", len(w.outstanding), w.quota)
	}
}

// commit hands a batch to the store.
func (w *world) commit(b *store.Batch, stored []Write, refused bool) {
	if err := b.Check(); err != nil {
		w.fatalf("%v", err)
	}
	if len(stored) > 0 && !b.Sync {
		w.fatalf("something waits for a batch that is not synced")
	}
	for i := range b.Ops {
		op := &b.Ops[i]
		switch m := w.byOrd[op.Ord]; {
		case op.Kind == store.PutInflight && op.Inflight.State == store.Published:
			w.byOrd[op.Inflight.Ord].waits = false
		case op.Kind == store.DeleteQueue && m.waits:
			m.waits, m.excused = false, true // expired
			if !m.expires {
				w.fatalf("%s dropped unsent", m.name)
			}
		}
	}
	w.tail = append(w.tail, commit{ops: slices.Clone(b.Ops), stored: slices.Clone(stored), refused: refused})
}

// view is what a reader of the store sees.
func (w *world) view(n int) rows {
	r := w.synced.clone()
	for _, c := range w.tail[:n] {
		if !c.refused {
			r.apply(c.ops)
		}
	}
	return r
}

// sync makes the oldest commit durable and calls its done.
func (w *world) sync() {
	if len(w.tail) == 0 {
		return
	}
	c := w.tail[0]
	w.tail = w.tail[1:]
	w.visible = max(w.visible-1, 0)
	w.log0++
	if !c.refused {
		w.synced.apply(c.ops)
	}
	for _, p := range c.stored {
		w.note("stored %d released=%v", p.PacketID, p.Released)
		w.step(Event{Kind: Stored, PacketID: p.PacketID, Released: p.Released})
	}
}

// check compares the session with what the world knows of it.
func (w *world) check() {
	s := w.s
	r := &s.ring
	counted, holes := 0, 0
	for pos := r.head; pos < r.tail; pos++ {
		e := r.at(pos)
		if pos < s.sent && e.counted {
			counted++
		}
		if pos >= s.sent && e.state == done {
			holes++
		}
	}
	switch {
	case r.head > s.sent || s.sent > r.tail || s.sent-r.head > pids:
		w.fatalf("positions: head %d, sent %d, tail %d", r.head, s.sent, r.tail)
	case s.resend < r.head || s.resend > s.sent || s.rerel < r.head || s.rerel > s.sent:
		w.fatalf("cursors: head %d, rerel %d, resend %d, sent %d", r.head, s.rerel, s.resend, s.sent)
	case holes != s.holes:
		w.fatalf("holes: %d, counted %d", holes, s.holes)
	case s.quota < 0 || s.attached && s.quota+counted != w.quota:
		w.fatalf("quota %d and %d counted, Receive Maximum %d", s.quota, counted, w.quota)
	case r.head < s.sent && r.at(r.head).state == done:
		w.fatalf("the oldest entry is finished and still there")
	case s.attached && !s.paused && s.quota > 0 && s.sent < r.tail && r.at(s.sent).Ready:
		w.fatalf("a message could be sent and waits")
	case s.Inbound() != len(w.inbound):
		w.fatalf("%d identifiers inbound, want %d", s.Inbound(), len(w.inbound))
	}
	if w.inexact || len(s.Missing()) > 0 {
		return
	}
	n, bytes := 0, int64(0)
	for _, m := range w.order {
		if m.waits {
			n++
			bytes += m.size
		}
	}
	if n != s.Len() || bytes != s.Bytes() {
		w.fatalf("waiting: %d messages, %d bytes; want %d, %d", s.Len(), s.Bytes(), n, bytes)
	}
}
