package session

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// TestRing compares the ring with a slice, over every way of growing and shrinking.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring
		var want []store.Ord
		next := store.Ord(1)
		for range rapid.IntRange(1, 20).Draw(t, "phases") {
			for range rapid.IntRange(0, 600).Draw(t, "push") {
				r.push(Entry{Ord: next})
				want = append(want, next)
				next++
			}
			for range rapid.IntRange(0, len(want)).Draw(t, "pop") {
				r.pop()
				want = want[1:]
			}
			if r.len() != len(want) {
				t.Fatalf("len %d, want %d", r.len(), len(want))
			}
			for i, ord := range want {
				if got := r.at(r.head + uint64(i)).Ord; got != ord {
					t.Fatalf("entry %d is %d, want %d", i, got, ord)
				}
			}
			if len(r.buf) > max(keep, 8*len(want)+8) && len(r.buf) > 2*keep {
				t.Fatalf("%d entries in a buffer of %d", len(want), len(r.buf))
			}
		}
	})
}

// bench drives a session the way a broker does, with as little around it as possible.
type bench struct {
	s    *Session
	fx   Effects
	body store.BodyID
}

func newBench(durable bool, limits *Limits) *bench {
	s := New(1, durable, limits)
	b := &bench{s: &s}
	b.fx.Batch = new(store.Batch)
	return b
}

func (b *bench) step(ev Event) Outcome {
	b.fx.Batch.Reset()
	b.fx.Reset()
	b.s.Step(ev, 1, &b.fx)
	return b.fx.Outcome
}

var roomy = Limits{Messages: 1 << 20, Bytes: 1 << 40, Memory: 1 << 20}

// TestIdentifiersRunOut leaves the oldest message unacknowledged while 65534 others go and are acknowledged: no
// identifier is free then, and none is given twice.
func TestIdentifiersRunOut(t *testing.T) {
	b := newBench(false, &roomy)
	b.step(Event{Kind: Attach, Quota: 65535})
	msg := newMessage("m", 0, 0)
	for i := range pids {
		b.step(Event{Kind: Enqueue, Entry: &Entry{Msg: msg, QoS: mqtt.AtLeastOnce, Ready: true}})
		if len(b.fx.Send) != 1 || b.fx.Send[0].PacketID != mqtt.PacketID(i+1) {
			t.Fatalf("message %d: %+v", i, b.fx.Send)
		}
		if i > 0 {
			b.step(Event{Kind: Puback, PacketID: mqtt.PacketID(i + 1)})
		}
	}
	b.step(Event{Kind: Enqueue, Entry: &Entry{Msg: msg, QoS: mqtt.AtLeastOnce, Ready: true}})
	if len(b.fx.Send) != 0 || b.s.Len() != 1 || b.s.Inflight() != 1 {
		t.Fatalf("sent %d, waiting %d, in flight %d", len(b.fx.Send), b.s.Len(), b.s.Inflight())
	}
	b.step(Event{Kind: Puback, PacketID: 1})
	if len(b.fx.Send) != 1 || b.fx.Send[0].PacketID != 1 {
		t.Fatalf("after PUBACK 1: %+v", b.fx.Send)
	}
	if got := len(b.s.ring.buf); got > keep {
		t.Fatalf("the ring holds on to %d entries", got)
	}
}

// TestReleaseOnceAfterReconnect sends each PUBREL once on a new connection, although there are more than one burst and
// the last one was still on its way to the disk when the client came back.
func TestReleaseOnceAfterReconnect(t *testing.T) {
	const n = 2*burst + 10
	b := newBench(true, &roomy)
	b.step(Event{Kind: Attach, Quota: n})
	for i := range mqtt.PacketID(n) {
		b.step(Event{Kind: Enqueue, Entry: &Entry{Msg: newMessage("m", 0, 0), Body: store.BodyID(i + 1), QoS: mqtt.ExactlyOnce, Ready: true}})
		b.step(Event{Kind: Stored, PacketID: i + 1})
		b.step(Event{Kind: Pubrec, PacketID: i + 1})
		if i < n-1 {
			b.step(Event{Kind: Stored, PacketID: i + 1, Released: true})
		}
	}
	b.step(Event{Kind: Detach})
	var got []mqtt.PacketID
	for ev := (Event{Kind: Attach, Quota: 1}); ; ev = (Event{Kind: Resume}) {
		b.step(ev)
		more := b.fx.More
		for _, p := range b.fx.Send {
			got = append(got, p.PacketID)
		}
		if ev.Kind == Attach {
			b.step(Event{Kind: Stored, PacketID: n, Released: true})
			if len(b.fx.Send) != 0 {
				t.Fatal("PUBREL overtook the ones before it")
			}
		}
		if !more {
			break
		}
	}
	for i := range got {
		if got[i] != mqtt.PacketID(i+1) {
			t.Fatalf("PUBREL %d at place %d", got[i], i)
		}
	}
	if len(got) != n {
		t.Fatalf("%d PUBREL, want %d", len(got), n)
	}
}

// TestRestoreDamaged takes rows that no session writes: what cannot be placed is delivered as new, nothing panics.
func TestRestoreDamaged(t *testing.T) {
	in := func(pid mqtt.PacketID, ord store.Ord) store.InflightRow {
		return store.InflightRow{PacketID: pid, Inflight: store.Inflight{Ord: ord, State: store.Published, QoS: 1}}
	}
	for name, rows := range map[string][]store.InflightRow{
		"identifier 0":  {in(0, 1)},
		"same twice":    {in(5, 1), in(5, 2)},
		"out of order":  {in(5, 1), in(9, 2), in(7, 3)},
		"0 in between":  {in(5, 1), in(0, 2)},
		"whole circle":  {in(5, 1), in(4, 2)},
		"highest first": {in(65535, 1), in(1, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			s := Restore(&store.SessionRow{
				ID: 1, Inflight: rows, QueueFirst: 1, QueueLast: 3, QueueCount: 3, QueueBytes: 3 * 129,
			}, &roomy)
			missing := s.Missing()
			if s.Len() != 3 {
				t.Fatalf("waiting: %d, want 3", s.Len())
			}
			for _, ord := range missing {
				s.Fill(ord, store.Pointer{Body: store.BodyID(ord), Size: 129}, newMessage("m", 0, 0))
			}
			if s.Len()+s.Inflight() != 3 || s.Bytes() != int64(129*s.Len()) {
				t.Fatalf("waiting %d (%d bytes), in flight %d", s.Len(), s.Bytes(), s.Inflight())
			}
			if from, more := s.Stored(); more && from != store.Ord(len(missing)+1) {
				t.Fatalf("rows are read from %d", from)
			}
		})
	}
}

// TestTake moves a shared group's queue out, page by page, in order and whole.
func TestTake(t *testing.T) {
	limits := Limits{Messages: 100, Bytes: 1 << 20, Memory: 3}
	b, r := newBench(true, &limits), newRows()
	for i := range store.BodyID(10) {
		e := Entry{Msg: newMessage("m", int(i), 0), Body: i + 1, QoS: mqtt.AtLeastOnce}
		b.step(Event{Kind: Enqueue, Entry: &e})
		r.bodies[i+1] = e.Msg
		r.apply(b.fx.Batch.Ops)
		if i != 9 { // the last publisher has not handed its batch over
			b.step(Event{Kind: Ready, Ord: b.fx.Ord})
		}
	}
	var got []store.Ord
	for {
		b.fx.Batch.Reset()
		taken := b.s.Take(1, 4, &b.fx)
		r.apply(b.fx.Batch.Ops)
		for _, e := range taken {
			got = append(got, e.Ord)
		}
		if len(taken) > 0 {
			continue
		}
		from, more := b.s.Stored()
		if !more {
			break
		}
		rows, last := r.read(from, 4)
		b.step(Event{Kind: Fetched, Rows: rows, Last: last})
		b.step(Event{Kind: Fetched, Rows: rows, Last: last}) // the same answer again changes nothing
	}
	if len(got) != 9 || b.s.Len() != 1 || len(r.queue) != 1 || len(r.bodies) != 1 {
		t.Fatalf("took %v, %d wait, %d rows, %d bodies", got, b.s.Len(), len(r.queue), len(r.bodies))
	}
	for i := range got {
		if got[i] != store.Ord(i+1) {
			t.Fatalf("order: %v", got)
		}
	}
	b.step(Event{Kind: Ready, Ord: 10})
	if from, more := b.s.Stored(); !more || from != 10 {
		t.Fatalf("the last row is not offered: %d, %v", from, more)
	}
}

// TestInboundMemory gives the memory of inbound identifiers back: all but one page at once, and that with the connection.
func TestInboundMemory(t *testing.T) {
	b := newBench(false, &roomy)
	for _, kind := range []EventKind{Publish, Release} {
		for pid := mqtt.PacketID(1); pid <= 10*pageIDs; pid++ {
			if b.step(Event{Kind: kind, PacketID: pid}) != Accepted {
				t.Fatalf("event %d of %d was not accepted", kind, pid)
			}
		}
	}
	for i, p := range b.s.inbound.pages {
		if p != nil {
			t.Fatalf("page %d is still there", i)
		}
	}
	b.step(Event{Kind: Detach})
	if b.s.inbound != nil {
		t.Fatal("an offline session keeps memory for no identifiers")
	}
}

// deliver is the life of one message.
func (b *bench) deliver(msg *Entry) {
	e := *msg
	if b.s.durable {
		b.body++
		e.Body, e.Sole = b.body, true
	}
	b.step(Event{Kind: Enqueue, Entry: &e})
	var pid mqtt.PacketID
	if len(b.fx.Stored) > 0 {
		pid = b.fx.Stored[0].PacketID
		b.step(Event{Kind: Stored, PacketID: pid})
	} else {
		pid = b.fx.Send[0].PacketID
	}
	switch e.QoS {
	case mqtt.AtLeastOnce:
		b.step(Event{Kind: Puback, PacketID: pid})
	case mqtt.ExactlyOnce:
		b.step(Event{Kind: Pubrec, PacketID: pid})
		if b.s.durable {
			b.step(Event{Kind: Stored, PacketID: pid, Released: true})
		}
		b.step(Event{Kind: Pubcomp, PacketID: pid})
	}
}

func eachKind(f func(name string, durable bool, qos mqtt.QoS)) {
	f("memory QoS 1", false, 1)
	f("memory QoS 2", false, 2)
	f("durable QoS 1", true, 1)
	f("durable QoS 2", true, 2)
}

// TestAllocations: in steady state a message costs no allocation in the session.
func TestAllocations(t *testing.T) {
	eachKind(func(name string, durable bool, qos mqtt.QoS) {
		b := newBench(durable, &roomy)
		b.step(Event{Kind: Attach, Quota: 100})
		e := &Entry{Msg: newMessage("m", 16, 0), QoS: qos, Ready: true}
		b.deliver(e)
		if n := testing.AllocsPerRun(1000, func() { b.deliver(e) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	})
	b := newBench(false, &roomy)
	b.step(Event{Kind: Attach, Quota: 100})
	e := &Entry{Msg: newMessage("m", 16, 0), Ready: true}
	if n := testing.AllocsPerRun(1000, func() { b.step(Event{Kind: Enqueue, Entry: e}) }); n != 0 {
		t.Errorf("memory QoS 0: %v allocations", n)
	}
}

// BenchmarkDeliver measures enqueue, send and all acknowledgements of one message.
func BenchmarkDeliver(b *testing.B) {
	eachKind(func(name string, durable bool, qos mqtt.QoS) {
		b.Run(name, func(b *testing.B) {
			d := newBench(durable, &roomy)
			d.step(Event{Kind: Attach, Quota: 100})
			e := &Entry{Msg: newMessage("m", 16, 0), QoS: qos, Ready: true}
			b.ReportAllocs()
			for b.Loop() {
				d.deliver(e)
			}
		})
	})
}
