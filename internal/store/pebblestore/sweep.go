package pebblestore

import (
	"context"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sealmq/sealmq/internal/store"
)

// sweepOps is how many rows one batch of the sweeper removes.
const sweepOps = 512

// sweeper is the goroutine that cleans up behind the others. At open it counts the shared pointers and removes what a
// crash left over; later it removes the rows of deleted sessions. It changes nothing but through Commit.
type sweeper struct {
	s       *Store
	ctx     context.Context
	cancel  context.CancelFunc
	stopped chan struct{}

	mu       sync.Mutex // guards the fields below
	ended    []store.SessionID
	waiting  []chan struct{} // of Settle
	wake     chan struct{}
	finished bool // the work of open is done, without an error
}

func newSweeper(s *Store) *sweeper {
	ctx, cancel := context.WithCancel(context.Background())
	return &sweeper{s: s, ctx: ctx, cancel: cancel, stopped: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// stop ends it after the batch at hand; what is left is found again at the next open.
func (w *sweeper) stop() {
	w.cancel()
	<-w.stopped
}

// add has the rows of deleted sessions removed.
func (w *sweeper) add(ended []store.SessionID) {
	if len(ended) == 0 {
		return
	}
	w.mu.Lock()
	w.ended = append(w.ended, ended...)
	w.mu.Unlock()
	w.nudge()
}

func (w *sweeper) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// idle returns a channel that is closed when nothing is left to do.
func (w *sweeper) idle() <-chan struct{} {
	done := make(chan struct{})
	w.mu.Lock()
	w.waiting = append(w.waiting, done)
	w.mu.Unlock()
	w.nudge()
	return done
}

// complete reports whether everything that an open has to look for is known to be gone.
func (w *sweeper) complete() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.finished && !w.s.unsure.Load()
}

// run works until stop. snapshot is the state before any Commit; run closes it.
func (w *sweeper) run(snapshot *pebble.Snapshot) {
	defer close(w.stopped)
	err := w.atOpen(snapshot)
	if closeErr := snapshot.Close(); err == nil {
		err = closeErr
	}
	if err != nil && w.ctx.Err() == nil {
		// Without the full picture nothing may be called garbage: all bodies stay.
		w.s.opts.Logger.Error("store: clean-up given up, unused messages stay", "dir", w.s.dir, "error", err)
	}
	w.mu.Lock()
	w.finished = err == nil
	w.mu.Unlock()
	for w.ctx.Err() == nil {
		ended := w.next()
		if len(ended) == 0 {
			select {
			case <-w.wake:
			case <-w.ctx.Done():
			case <-w.s.failed:
				return
			}
			continue
		}
		if err := w.removeSessions(ended); err != nil && w.ctx.Err() == nil {
			w.s.opts.Logger.Error("store: rows of deleted sessions stay until the next start", "dir", w.s.dir, "error", err)
		}
	}
}

// next takes the sessions to sweep; when there are none it tells those who wait.
func (w *sweeper) next() []store.SessionID {
	w.mu.Lock()
	defer w.mu.Unlock()
	ended := w.ended
	w.ended = nil
	if len(ended) == 0 {
		for _, done := range w.waiting {
			close(done)
		}
		w.waiting = nil
	}
	return ended
}

// commit writes a batch and waits for it. The batch is empty afterwards.
func (w *sweeper) commit(b *store.Batch) error {
	if len(b.Ops) == 0 {
		return nil
	}
	result := make(chan error, 1)
	w.s.Commit(b, func(err error) { result <- err })
	select {
	case err := <-result:
		b.Reset()
		return err
	case <-w.s.failed:
		return w.s.failure
	}
}

// sweepTables are the tables with rows of sessions, but without the session row itself.
var sweepTables = [...]byte{tableQueue, tableInflight, tableInbound, tableSubscription}

// removeSessions removes all rows of sessions that no longer exist.
func (w *sweeper) removeSessions(ended []store.SessionID) error {
	it, err := w.s.db.NewIter(nil)
	if err != nil {
		return w.s.engineError("sweep", err)
	}
	defer it.Close()
	var b store.Batch
	for _, id := range ended {
		for _, table := range sweepTables {
			// Bounds, so that the iterator does not walk over the remains of other sessions.
			it.SetBounds(ofSession(table, id))
			for ok := it.First(); ok; ok = it.Next() {
				value, err := it.ValueAndErr()
				if err != nil {
					return w.s.engineError("sweep", err)
				}
				b.Add(removal(it.Key(), value))
				if len(b.Ops) < sweepOps {
					continue
				}
				if err := w.commit(&b); err != nil {
					return err
				}
				if w.ctx.Err() != nil {
					return w.ctx.Err()
				}
			}
			if err := it.Error(); err != nil {
				return w.s.engineError("sweep", err)
			}
		}
	}
	return w.commit(&b)
}

// removal is the change that deletes a session's row. The value tells which body a queue row refers to; one that cannot
// be read leaves the body where it is.
func removal(key, value []byte) store.Op {
	n, _ := number(key)
	id := store.SessionID(n)
	switch key[0] {
	case tableSession:
		return store.Op{Kind: store.DeleteSession, Session: id}
	case tableQueue:
		op := store.Op{Kind: store.DeleteQueue, Session: id, Body: 1}
		op.Ord, _ = queueOrd(key)
		if record, err := unseal(key, value); err == nil {
			if p, err := parsePointerHead(record); err == nil {
				op.Body, op.Pointer.Sole = p.Body, p.Sole
			}
		}
		return op
	case tableInflight:
		pid, _ := packetID(key)
		return store.Op{Kind: store.DeleteInflight, Session: id, PacketID: pid}
	case tableInbound:
		pid, _ := packetID(key)
		return store.Op{Kind: store.DeleteInbound, Session: id, PacketID: pid}
	default:
		return store.Op{Kind: store.DeleteSubscription, Session: id, Key: string(key[9:])}
	}
}

// atOpen looks over the state that was found: it counts shared pointers, hands the counts to the committer, and
// removes rows of sessions that do not exist and, after a crash, bodies without a pointer.
func (w *sweeper) atOpen(snapshot *pebble.Snapshot) error {
	found := survey{w: w, shared: map[store.BodyID]int{}}
	if err := found.sessions(snapshot); err != nil {
		return err
	}
	for _, table := range sweepTables {
		if err := found.rowsOf(snapshot, table); err != nil {
			return err
		}
	}
	merged := make(chan struct{})
	select {
	case w.s.arrived <- arrival{found.shared, merged}:
	case <-w.s.stopped:
		return w.s.failure
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	select {
	case <-merged:
	case <-w.s.failed:
		return w.s.failure
	}
	if err := w.dropDamaged(found.damaged); err != nil {
		return err
	}
	if err := w.removeSessions(found.orphans); err != nil {
		return err
	}
	if w.s.clean {
		return nil
	}
	return found.bodies(snapshot)
}

// survey is what a scan of the state at open finds.
type survey struct {
	w        *sweeper
	known    []store.SessionID    // sessions that exist, ascending
	orphans  []store.SessionID    // sessions that have rows but do not exist
	pointed  []store.BodyID       // bodies with a pointer, one entry for each pointer; only after a crash
	shared   map[store.BodyID]int // shared pointers by body
	damaged  []store.Op           // changes that remove rows which LoseDamagedRecords drops
	examined int
}

// stopped is asked for each row; it looks every now and then.
func (v *survey) stopped() bool {
	v.examined++
	return v.examined%4096 == 0 && v.w.ctx.Err() != nil
}

// table reads one table and collects what LoseDamagedRecords drops from it.
func (v *survey) table(snapshot *pebble.Snapshot, table byte) (*rows, error) {
	r, err := v.w.s.table(snapshot, table)
	if err == nil {
		r.damaged = func(key []byte) {
			if n, ok := number(key); ok && n != 0 {
				v.damaged = append(v.damaged, removal(key, nil))
			}
		}
	}
	return r, err
}

func (v *survey) sessions(snapshot *pebble.Snapshot) error {
	r, err := v.table(snapshot, tableSession)
	if err != nil {
		return err
	}
	for r.next() {
		n, _ := number(r.key)
		v.known = append(v.known, store.SessionID(n))
		if v.stopped() {
			break
		}
	}
	return v.end(r)
}

func (v *survey) end(r *rows) error {
	if err := r.close(); err != nil {
		return err
	}
	return v.w.ctx.Err()
}

// rowsOf walks one table beside the sessions that exist.
func (v *survey) rowsOf(snapshot *pebble.Snapshot, table byte) error {
	r, err := v.table(snapshot, table)
	if err != nil {
		return err
	}
	known := v.known
	for r.next() && !v.stopped() {
		n, ok := number(r.key)
		if !ok || n == 0 {
			continue
		}
		id := store.SessionID(n)
		for len(known) > 0 && known[0] < id {
			known = known[1:]
		}
		if (len(known) == 0 || known[0] != id) && (len(v.orphans) == 0 || v.orphans[len(v.orphans)-1] != id) {
			v.orphans = append(v.orphans, id)
		}
		if table != tableQueue {
			continue
		}
		p, err := parsePointerHead(r.record)
		if err != nil {
			r.drop(r.key, err)
			continue
		}
		if !p.Sole {
			v.shared[p.Body]++
		}
		if !v.w.s.clean {
			v.pointed = append(v.pointed, p.Body)
		}
	}
	return v.end(r)
}

// bodies removes the bodies that no pointer refers to.
func (v *survey) bodies(snapshot *pebble.Snapshot) error {
	slices.Sort(v.pointed)
	pointed := slices.Compact(v.pointed)
	r, err := v.w.s.table(snapshot, tableBody)
	if err != nil {
		return err
	}
	var b store.Batch
	removed := 0
	for r.next() && !v.stopped() {
		n, ok := number(r.key)
		if !ok || n == 0 {
			continue
		}
		id := store.BodyID(n)
		for len(pointed) > 0 && pointed[0] < id {
			pointed = pointed[1:]
		}
		if len(pointed) > 0 && pointed[0] == id {
			continue
		}
		removed++
		b.Add(store.Op{Kind: store.DeleteBody, Body: id})
		if len(b.Ops) >= sweepOps {
			if r.err = v.w.commit(&b); r.err != nil {
				break
			}
		}
	}
	if err := v.end(r); err != nil {
		return err
	}
	if removed > 0 {
		v.w.s.opts.Logger.Info("store: messages that nobody waits for removed", "dir", v.w.s.dir, "count", removed)
	}
	return v.w.commit(&b)
}

func (w *sweeper) dropDamaged(ops []store.Op) error {
	for len(ops) > 0 {
		n := min(len(ops), sweepOps)
		if err := w.commit(&store.Batch{Ops: slices.Clone(ops[:n])}); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}
