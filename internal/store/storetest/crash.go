package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/sealmq/sealmq/internal/store"
)

// ErrLost is the verdict of History.Check on a store that lost or reordered batches.
var ErrLost = errors.New("acknowledged batches lost")

// History records what was committed to a store that is going to crash, and judges what is found afterwards.
type History struct {
	batches  []*store.Batch
	acked    atomic.Int64 // batches up to the last Sync one whose done was called
	lastBody store.BodyID
	keys     []string
}

// Commit commits the generator's next batch and records it. Commit is for one goroutine.
func (h *History) Commit(s Writer, g *Generator) {
	b := g.Batch()
	h.batches = append(h.batches, b)
	h.lastBody, h.keys = g.LastBody(), g.MetaKeys()
	n, sync := int64(len(h.batches)), b.Sync
	s.Commit(b, func(err error) {
		if err == nil && sync {
			h.acked.Store(n) // done comes in order
		}
	})
}

// Acked returns how many batches must have survived a crash that happens after the call.
func (h *History) Acked() int { return int(h.acked.Load()) }

// Check compares what a store shows after a crash with the history: it must be the result of the first n batches for
// some n that is not below acked, the value of Acked before the crash, and the counters must be past the numbers used by
// then. It returns n.
func (h *History) Check(s Store, acked int) (int, error) {
	got, err := Read(s, h.lastBody, h.keys)
	if err != nil {
		return 0, err
	}
	model, found := NewModel(), got.key()
	lost := ""
	for n := 0; ; n++ {
		if model.State().key() == found {
			if n >= acked {
				return n, h.checkCounters(s, n)
			}
			lost = fmt.Sprintf("the state is that after batch %d", n)
		}
		if n == len(h.batches) {
			break
		}
		model.Apply(h.batches[n])
	}
	if lost == "" {
		lost = "the state is not that after any batch; compared with the last:\n" + Diff(model.State(), got)
	}
	return 0, fmt.Errorf("%w: %d batches were acknowledged as synced: %s", ErrLost, acked, lost)
}

// checkCounters reports numbers used by the first n batches that a store would give again.
func (h *History) checkCounters(s Store, n int) error {
	session, body := s.Counters()
	for _, b := range h.batches[:n] {
		for i := range b.Ops {
			if op := &b.Ops[i]; op.Session > session || op.Kind == store.PutBody && op.Body > body {
				return fmt.Errorf("%w: counters %d, %d, but %s used %d, %d", ErrLost, session, body, op.Kind, op.Session, op.Body)
			}
		}
	}
	return nil
}
