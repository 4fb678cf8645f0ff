package storetest

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// Generator makes batches as a broker would: it keeps the rules of package store and never reuses a number. Deletes
// also hit absent rows and ended sessions.
type Generator struct {
	intn     func(n int) int // a number below n
	live     []store.SessionID
	ended    []store.SessionID
	ords     map[store.SessionID]store.Ord
	queued   []store.Op // PutQueue changes so far
	sessions store.SessionID
	bodies   store.BodyID
}

// NewGenerator returns a Generator that draws from intn, which returns a number in [0, n).
func NewGenerator(intn func(n int) int) *Generator {
	return &Generator{intn: intn, ords: map[store.SessionID]store.Ord{}}
}

// LastBody is the highest body number used.
func (g *Generator) LastBody() store.BodyID { return g.bodies }

// MetaKeys are the names that batches put metadata under.
func (g *Generator) MetaKeys() []string { return []string{"m0", "m1"} }

// Batch returns the next batch.
func (g *Generator) Batch() *store.Batch {
	b := &store.Batch{Sync: g.intn(3) == 0}
	for range 1 + g.intn(4) {
		for _, op := range g.change() {
			b.Add(op)
		}
	}
	return b
}

func (g *Generator) change() []store.Op {
	kind := g.intn(12)
	if len(g.live) == 0 {
		kind = 0
	}
	switch kind {
	case 0:
		g.sessions++
		g.live = append(g.live, g.sessions)
		return []store.Op{putSession(g.sessions)}
	case 1:
		if g.intn(3) != 0 {
			return []store.Op{putWill(g.pick(), g.intn(9))}
		}
		i := g.intn(len(g.live))
		id := g.live[i]
		g.live = append(g.live[:i], g.live[i+1:]...)
		g.ended = append(g.ended, id)
		return []store.Op{deleteSession(id)}
	case 2:
		return []store.Op{putSubscription(g.pick(), g.topic(), g.intn(9))}
	case 3:
		return []store.Op{{Kind: store.DeleteSubscription, Session: g.any(), Key: g.topic()}}
	case 4:
		return []store.Op{putInflight(g.any(), g.packetID(), 1+store.Ord(g.intn(9)), store.InflightState(1+g.intn(2)))}
	case 5:
		return []store.Op{
			{Kind: store.DeleteInflight, Session: g.any(), PacketID: g.packetID()},
			{Kind: store.DeleteInbound, Session: g.any(), PacketID: g.packetID()},
		}
	case 6:
		return []store.Op{putInbound(g.any(), g.packetID()), {Kind: store.DeleteWill, Session: g.any()}}
	case 7:
		return []store.Op{putRetained(g.topic(), g.intn(99)), {Kind: store.DeleteRetained, Key: g.topic()}}
	case 8:
		if g.intn(4) == 0 {
			return []store.Op{{Kind: store.DeleteMeta, Key: g.MetaKeys()[g.intn(2)]}}
		}
		return []store.Op{putMeta(g.MetaKeys()[g.intn(2)], fmt.Sprint(g.intn(99)))}
	case 9, 10:
		return g.publish()
	default:
		return g.acknowledge()
	}
}

// publish stores a message for one or several sessions.
func (g *Generator) publish() []store.Op {
	g.bodies++
	targets := 1 + g.intn(min(3, len(g.live)))
	ops := []store.Op{putBody(g.bodies)}
	first := g.intn(len(g.live))
	for i := range targets {
		id := g.live[(first+i)%len(g.live)]
		g.ords[id]++
		op := putQueue(id, g.ords[id], g.bodies, targets == 1)
		g.queued = append(g.queued, op)
		ops = append(ops, op)
	}
	return ops
}

// acknowledge deletes a queue row, perhaps for the second time, or moves it.
func (g *Generator) acknowledge() []store.Op {
	if len(g.queued) == 0 {
		return nil
	}
	i := g.intn(len(g.queued))
	op := g.queued[i]
	deleted := deleteQueue(op.Session, op.Ord, op.Pointer.Body, op.Pointer.Sole)
	if g.intn(8) != 0 {
		g.queued = append(g.queued[:i], g.queued[i+1:]...)
	}
	return []store.Op{deleted}
}

func (g *Generator) pick() store.SessionID { return g.live[g.intn(len(g.live))] }

// any is mostly a live session, now and then an ended one.
func (g *Generator) any() store.SessionID {
	if len(g.ended) > 0 && g.intn(6) == 0 {
		return g.ended[g.intn(len(g.ended))]
	}
	return g.pick()
}

func (g *Generator) topic() string           { return fmt.Sprint("t/", g.intn(5)) }
func (g *Generator) packetID() mqtt.PacketID { return mqtt.PacketID(1 + g.intn(4)) }

// randomBatches compares an engine with the model after random batches and reopenings.
func randomBatches(t *testing.T, fresh func(t testing.TB) Subject) {
	rapid.Check(t, func(rt *rapid.T) {
		g := NewGenerator(func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") })
		h := &harness{TB: t, subject: fresh(t)}
		h.open()
		defer h.close()
		model := NewModel()
		for range rapid.IntRange(1, 30).Draw(rt, "batches") {
			b := g.Batch()
			model.Apply(b)
			if err := CommitWait(h.store, b.Ops...); err != nil {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 9).Draw(rt, "reopen") == 0 {
				h.reopen()
			}
		}
		for _, step := range []string{"before reopening", "after reopening"} {
			if err := settle(h.store); err != nil {
				rt.Fatal(err)
			}
			got, err := Read(h.store, g.LastBody(), g.MetaKeys())
			if err != nil {
				rt.Fatal(err)
			}
			if d := Diff(model.State(), got); d != "" {
				rt.Fatalf("%s (-want +got):\n%s", step, d)
			}
			h.reopen()
		}
	})
}
