// Package memstore keeps the broker's state in memory: the same rules as pebblestore, nothing left after the process.
// It is for brokers that are meant to forget, and for tests.
package memstore

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// Options adjust a Store. The zero value is usable.
type Options struct {
	// OnGroup is called after each group of done callbacks, from the same goroutine. It must not block.
	OnGroup func()
	// MaxBytes bounds the bodies and retained messages held, as counted by message.Size; batches that add some beyond
	// it are refused with store.ErrFull. 0 means no bound.
	MaxBytes int64
}

// Store is a store in memory. All methods may be called by many goroutines at once. One goroutine of the store applies
// the batches and calls done in Commit order.
type Store struct {
	opts Options

	queueMu sync.Mutex // guards queued, closed
	queued  []commit
	closed  bool
	wake    chan struct{} // one token: queued or closed has changed
	stopped chan struct{} // closed when the goroutine has ended

	stateMu sync.RWMutex // guards state
	state   state
}

type commit struct {
	batch *store.Batch
	done  func(error)
	err   error
}

// New starts an empty store.
func New(opts Options) *Store {
	s := &Store{opts: opts, wake: make(chan struct{}, 1), stopped: make(chan struct{}), state: newState()}
	go s.run()
	return s
}

// Commit takes the batch over. It never blocks, and done, which may be nil, never runs inside of it. Batches take
// effect in the order of the Commit calls, and done is called exactly once for each in that order, from one goroutine;
// it must not block, but may call Commit. After Close done receives store.ErrClosed.
func (s *Store) Commit(b *store.Batch, done func(error)) {
	s.queueMu.Lock()
	if s.closed {
		s.queueMu.Unlock()
		if done != nil {
			go done(fmt.Errorf("commit: %w", store.ErrClosed))
		}
		return
	}
	s.queued = append(s.queued, commit{batch: b, done: done})
	s.queueMu.Unlock()
	s.signal()
}

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close waits until all batches have taken effect and their done has returned. It must not be called from done.
func (s *Store) Close() error {
	s.queueMu.Lock()
	s.closed = true
	s.queueMu.Unlock()
	s.signal()
	<-s.stopped
	return nil
}

func (s *Store) run() {
	defer close(s.stopped)
	var group []commit
	for {
		s.queueMu.Lock()
		group, s.queued = s.queued, group[:0]
		closed := s.closed
		s.queueMu.Unlock()
		if len(group) == 0 {
			if closed {
				return
			}
			<-s.wake
			continue
		}
		s.apply(group)
		for i := range group {
			if group[i].done != nil {
				group[i].done(group[i].err)
			}
		}
		clear(group)
		if cap(group) > maxIdle {
			group = nil
		}
		if s.opts.OnGroup != nil {
			s.opts.OnGroup()
		}
	}
}

// maxIdle is how many entries of a drained queue are kept for reuse: a burst must not hold memory for ever.
const maxIdle = 4096

// apply takes the state's lock once for the group, but lets readers in between every few batches.
func (s *Store) apply(group []commit) {
	const run = 64
	for len(group) > 0 {
		n := min(run, len(group))
		s.stateMu.Lock()
		for i := range group[:n] {
			c := &group[i]
			if c.err = c.batch.Check(); c.err == nil && s.full() && c.batch.Adds() {
				c.err = fmt.Errorf("%d bytes of messages held: %w", s.state.bytes, store.ErrFull)
			}
			if c.err == nil {
				s.state.apply(c.batch)
			}
		}
		s.stateMu.Unlock()
		group = group[n:]
	}
}

func (s *Store) full() bool { return s.opts.MaxBytes > 0 && s.state.bytes >= s.opts.MaxBytes }

// Accepting returns nil while batches with new messages are taken, and store.ErrFull otherwise.
func (s *Store) Accepting() error {
	s.stateMu.RLock()
	defer s.stateMu.RUnlock()
	if s.full() {
		return store.ErrFull
	}
	return nil
}

// Sessions yields every session, ascending by number. yield may read and commit.
func (s *Store) Sessions(yield func(store.SessionRow) error) error {
	return each(s, s.state.sessions, func(id store.SessionID, ses *session) func() error {
		row := ses.row(id)
		return func() error { return yield(row) }
	})
}

// each walks a map of the state in key order. It asks show for each entry under the lock, and runs what show returns
// without it. Entries that come or go meanwhile may be missed or shown.
func each[K cmp.Ordered, V any](s *Store, m map[K]V, show func(K, V) func() error) error {
	s.stateMu.RLock()
	keys := sortedKeys(m)
	s.stateMu.RUnlock()
	for _, key := range keys {
		s.stateMu.RLock()
		v, ok := m[key]
		var run func() error
		if ok {
			run = show(key, v)
		}
		s.stateMu.RUnlock()
		if !ok {
			continue
		}
		if err := run(); err != nil {
			return err
		}
	}
	return nil
}

// Queue returns up to limit queue rows of a session, ascending from the place from on.
func (s *Store) Queue(id store.SessionID, from store.Ord, limit int) ([]store.QueueRow, error) {
	s.stateMu.RLock()
	defer s.stateMu.RUnlock()
	ses := s.state.sessions[id]
	if ses == nil {
		return nil, nil
	}
	return ses.queue.page(from, limit), nil
}

// Body returns a stored message, or store.ErrNotFound.
func (s *Store) Body(id store.BodyID) (*message.Message, error) {
	s.stateMu.RLock()
	defer s.stateMu.RUnlock()
	m := s.state.bodies[id]
	if m == nil {
		return nil, fmt.Errorf("body %d: %w", id, store.ErrNotFound)
	}
	return m, nil
}

// Retained yields every retained message, ascending by topic. yield may read and commit.
func (s *Store) Retained(yield func(*message.Message) error) error {
	return each(s, s.state.retained, func(_ string, m *message.Message) func() error {
		return func() error { return yield(m) }
	})
}

// Wills yields every stored Will, ascending by session. yield may read and commit.
func (s *Store) Wills(yield func(store.SessionID, store.Will) error) error {
	return each(s, s.state.wills, func(id store.SessionID, w *store.Will) func() error {
		return func() error { return yield(id, *w) }
	})
}

// Meta returns a metadata value, nil when it is absent. The caller may keep and change it.
func (s *Store) Meta(key string) ([]byte, error) {
	s.stateMu.RLock()
	defer s.stateMu.RUnlock()
	return slices.Clone(s.state.meta[key]), nil
}

// MetaRows yields the metadata whose names begin with prefix, ascending by name. yield may read and commit, and keep the
// value.
func (s *Store) MetaRows(prefix string, yield func(key string, value []byte) error) error {
	return each(s, s.state.meta, func(key string, value []byte) func() error {
		if !strings.HasPrefix(key, prefix) {
			return func() error { return nil }
		}
		value = slices.Clone(value)
		return func() error { return yield(key, value) }
	})
}

// Counters returns the highest numbers that any batch has used, deleted ones included.
func (s *Store) Counters() (lastSession store.SessionID, lastBody store.BodyID) {
	s.stateMu.RLock()
	defer s.stateMu.RUnlock()
	return s.state.lastSession, s.state.lastBody
}

// Bytes returns the size of the bodies and retained messages held, as counted against MaxBytes.
func (s *Store) Bytes() int64 {
	s.stateMu.RLock()
	defer s.stateMu.RUnlock()
	return s.state.bytes
}

// row copies what a SessionRow shows.
func (ses *session) row(id store.SessionID) store.SessionRow {
	r := store.SessionRow{ID: id, Session: ses.meta, QueueCount: ses.queue.len(), QueueBytes: ses.queue.bytes}
	r.QueueFirst, r.QueueLast = ses.queue.ends()
	for _, filter := range sortedKeys(ses.subscriptions) {
		r.Subscriptions = append(r.Subscriptions, ses.subscriptions[filter])
	}
	r.Inflight = ses.inflightRows()
	for _, pid := range sortedKeys(ses.inbound) {
		r.Inbound = append(r.Inbound, mqtt.PacketID(pid))
	}
	return r
}
