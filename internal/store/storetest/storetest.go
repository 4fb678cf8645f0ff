// Package storetest is the contract suite of the broker's stores: what is true of one engine is true of all. It also
// holds the plain model that random batches are compared with, and the checker for states found after a crash.
package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
)

// Store is what the broker needs of an engine: the same one in each field.
type Store struct {
	Writer
	Rows
	Tables
}

// Writer is how a store is changed and ended.
type Writer interface {
	Commit(b *store.Batch, done func(error))
	Close() error
}

// Rows is the part of a store that shows single rows and numbers.
type Rows interface {
	Queue(id store.SessionID, from store.Ord, limit int) ([]store.QueueRow, error)
	Body(id store.BodyID) (*message.Message, error)
	Meta(key string) ([]byte, error)
	Counters() (lastSession store.SessionID, lastBody store.BodyID)
}

// Tables is the part of a store that shows whole tables.
type Tables interface {
	Sessions(yield func(store.SessionRow) error) error
	Retained(yield func(*message.Message) error) error
	Wills(yield func(store.SessionID, store.Will) error) error
	MetaRows(prefix string, yield func(key string, value []byte) error) error
}

// Settler is a Writer that does some work in the background; Settle waits for what was committed before.
type Settler interface {
	Settle(ctx context.Context) error
}

// Subject is one engine under test with one medium.
type Subject struct {
	// Open opens the store; after Close it is called again and must find what was committed.
	Open func(onGroup func()) (Store, error)
	// Volatile is true for an engine that forgets at Close: the suite then reads back without reopening.
	Volatile bool
}

// Run tests an engine. fresh makes a Subject with nothing in it.
func Run(t *testing.T, fresh func(t testing.TB) Subject) {
	Cases(t, fresh)
	t.Run("random batches", func(t *testing.T) { randomBatches(t, fresh) })
}

// Cases is Run without the random batches, which open a store some hundred times.
func Cases(t *testing.T, fresh func(t testing.TB) Subject) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, fresh(t))
			c.test(h)
			h.close()
		})
	}
}

// harness drives one store in one test.
type harness struct {
	testing.TB
	subject Subject
	store   Store
	onGroup func()
}

func start(t testing.TB, subject Subject) *harness {
	h := &harness{TB: t, subject: subject}
	h.open()
	t.Cleanup(h.close)
	return h
}

func (h *harness) open() {
	h.Helper()
	s, err := h.subject.Open(func() {
		if h.onGroup != nil {
			h.onGroup()
		}
	})
	if err != nil {
		h.Fatal(err)
	}
	h.store = s
}

func (h *harness) close() {
	h.Helper()
	if h.store.Writer == nil {
		return
	}
	if err := h.store.Close(); err != nil {
		h.Fatal(err)
	}
	h.store = Store{}
}

// reopen closes and opens the store, if it remembers.
func (h *harness) reopen() {
	h.Helper()
	if h.subject.Volatile {
		return
	}
	h.close()
	h.open()
}

// both runs a check on the store as it is and again after reopening it.
func (h *harness) both(check func()) {
	h.Helper()
	h.settle()
	check()
	h.reopen()
	h.settle()
	check()
}

func (h *harness) settle() {
	h.Helper()
	if err := settle(h.store); err != nil {
		h.Fatal(err)
	}
}

func settle(s Store) error {
	if s, ok := s.Writer.(Settler); ok {
		return s.Settle(context.Background())
	}
	return nil
}

// commit commits a Sync batch and waits for it.
func (h *harness) commit(ops ...store.Op) {
	h.Helper()
	if err := h.try(ops...); err != nil {
		h.Fatal(err)
	}
}

func (h *harness) try(ops ...store.Op) error { return CommitWait(h.store, ops...) }

// CommitWait commits changes as a Sync batch and waits for done.
func CommitWait(s Writer, ops ...store.Op) error {
	result := make(chan error, 1)
	s.Commit(&store.Batch{Ops: ops, Sync: true}, func(err error) { result <- err })
	return <-result
}

// body asserts that a body is there or not.
func (h *harness) body(id store.BodyID, want bool) {
	h.Helper()
	_, err := h.store.Body(id)
	if want && err != nil || !want && !errors.Is(err, store.ErrNotFound) {
		h.Errorf("body %d: %v, want there: %v", id, err, want)
	}
}
