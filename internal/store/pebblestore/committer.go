package pebblestore

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sealmq/sealmq/internal/store"
)

// committer is the goroutine that writes groups, and what belongs to it alone.
type committer struct {
	stopped chan struct{} // closed when it has ended

	// counts is the number of shared pointers to each body. Until the count of the pointers found at open arrives it
	// holds only the changes since then, which may be negative, and no body is deleted.
	counts  map[store.BodyID]int
	counted bool
	arrived chan arrival
	// ofGroup is what the group being written has done to shared pointers: the body, or 0 once deleted.
	ofGroup map[place]store.BodyID
	unsure  atomic.Bool // a claim could not be read: bodies may be left over

	heldKey, heldValue []byte // scratch

	unsynced      bool // something was written after the last sync
	unsyncedSince time.Time

	spaceUnknown bool // the file system does not tell how much room it has
}

// place is the key of a queue row.
type place struct {
	session store.SessionID
	ord     store.Ord
}

// arrival brings the pointers counted at open to the committer, which closes merged once they count.
type arrival struct {
	counts map[store.BodyID]int
	merged chan struct{}
}

func (c *committer) start(s *Store) {
	s.wake = make(chan struct{}, 1)
	c.stopped = make(chan struct{})
	c.arrived = make(chan arrival)
	c.counts = map[store.BodyID]int{}
	c.ofGroup = map[place]store.BodyID{}
	go s.run()
}

// run writes groups until the store is closed or has failed.
func (s *Store) run() {
	defer close(s.stopped)
	timer := time.NewTimer(s.opts.SyncInterval)
	timer.Stop()
	defer timer.Stop()
	for {
		g, closed := s.take()
		var err error
		switch {
		case g != nil:
			err = s.write(g)
		case closed:
			return
		default:
			if s.unsynced {
				timer.Reset(time.Until(s.unsyncedSince.Add(s.opts.SyncInterval)))
			}
			select {
			case <-s.wake:
			case a := <-s.arrived:
				err = s.merge(a)
			case <-timer.C:
				err = s.syncLog()
			}
		}
		if err != nil {
			s.fatal(err)
			return
		}
	}
}

// write makes one group durable as it asks, calls its done, and has the deleted sessions swept.
func (s *Store) write(g *group) error {
	s.checkSpace()
	select {
	case a := <-s.arrived:
		if err := s.merge(a); err != nil {
			return err
		}
	default:
	}
	s.writeHeld(g)
	s.resolve(g)
	if err := s.apply(g.batch, s.wantsSync(g)); err != nil {
		return err
	}
	s.total.groups.Add(1)
	s.total.batches.Add(uint64(g.batches))
	s.sweeper.add(g.ended)
	for i := range g.done {
		g.done[i].done(g.done[i].err)
	}
	s.recycle(g)
	s.opts.OnGroup()
	return nil
}

// wantsSync decides whether the group waits for the disk: because a batch in it does, or because earlier ones have
// waited long enough.
func (s *Store) wantsSync(g *group) bool {
	if g.sync && !s.opts.AckBeforeSync {
		return true
	}
	return s.unsynced && time.Since(s.unsyncedSince) >= s.opts.SyncInterval
}

// apply writes a Pebble batch. Any error is the end: the engine's log may have a hole.
func (s *Store) apply(b *pebble.Batch, sync bool) error {
	if b.Empty() {
		if sync {
			return s.syncLog()
		}
		return nil
	}
	if !sync {
		if err := s.db.Apply(b, pebble.NoSync); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if !s.unsynced {
			s.unsynced, s.unsyncedSince = true, time.Now()
		}
		return nil
	}
	err := s.db.ApplyNoSyncWait(b, pebble.Sync)
	if err == nil {
		err = b.SyncWait()
	}
	if err != nil {
		return fmt.Errorf("write and sync: %w", err)
	}
	s.unsynced = false
	s.total.syncs.Add(1)
	return nil
}

// syncLog syncs everything written so far.
func (s *Store) syncLog() error {
	if !s.unsynced {
		return nil
	}
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	s.unsynced = false
	s.total.syncs.Add(1)
	return nil
}

// resolve follows the shared pointers of a group and deletes, in the same group, each body whose last one goes. A
// delete counts only when its row exists, so that repeated deletes and late acknowledgements do no harm.
func (s *Store) resolve(g *group) {
	if len(g.claims) == 0 {
		return
	}
	clear(s.ofGroup)
	releases := false
	for i := range g.claims {
		releases = releases || g.claims[i].released
	}
	for i := range g.claims {
		c := &g.claims[i]
		at := place{c.session, c.ord}
		if !c.released {
			s.counts[c.body]++
			if releases {
				s.ofGroup[at] = c.body
			}
			continue
		}
		body, known := s.ofGroup[at]
		if !known {
			body = s.claimed(at)
		}
		s.ofGroup[at] = 0
		if body != 0 {
			s.release(g.batch, body)
		}
	}
}

// claimed returns the body that a stored shared pointer refers to; 0 when there is no such row or it is a sole one,
// which is then being moved.
func (s *Store) claimed(at place) store.BodyID {
	key := keyQueue(make([]byte, 0, 17), at.session, at.ord)
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0
	}
	if err == nil {
		defer closer.Close()
		var record []byte
		if record, err = unseal(key, value); err == nil {
			var p store.Pointer
			if p, err = parsePointerHead(record); err == nil && !p.Sole {
				return p.Body
			}
		}
	}
	if err != nil {
		// The body stays: a later run finds it when its pointers can be read again.
		s.unsure.Store(true)
		s.log.Errorf("%v", s.damaged(key, err))
	}
	return 0
}

func (s *Store) release(b *pebble.Batch, body store.BodyID) {
	s.counts[body]--
	if s.counted && s.counts[body] <= 0 {
		delete(s.counts, body)
		deleteKey(b, keyNumber(nil, tableBody, uint64(body)))
	}
}

// merge adds the pointers found at open to the changes since, and deletes the bodies nobody waits for any more.
func (s *Store) merge(a arrival) error {
	defer close(a.merged)
	b := s.db.NewBatch()
	defer b.Close()
	for body, change := range s.counts {
		n := a.counts[body] + change
		if n > 0 {
			a.counts[body] = n
			continue
		}
		delete(a.counts, body)
		deleteKey(b, keyNumber(nil, tableBody, uint64(body)))
	}
	s.counts, s.counted = a.counts, true
	return s.apply(b, false)
}

// checkSpace looks at the disk before each group, and says so when it becomes, or is no longer, nearly full.
func (s *Store) checkSpace() {
	if s.opts.MinFree < 0 || s.spaceUnknown {
		return
	}
	usage, err := s.opts.FS.GetDiskUsage(s.dir)
	if err != nil {
		s.spaceUnknown = true
		s.opts.Logger.Warn("store: free disk space cannot be read, a full disk will stop the process",
			"dir", s.dir, "error", err)
		return
	}
	minimum := max(uint64(s.opts.MinFree), uint64(s.opts.MinFreePercent/100*float64(usage.TotalBytes)))
	switch full := s.full.Load(); {
	case !full && usage.AvailBytes < minimum:
		s.full.Store(true)
		s.opts.Logger.Error("store: disk nearly full, new messages are refused",
			"dir", s.dir, "available", usage.AvailBytes, "minimum", minimum)
	case full && usage.AvailBytes >= minimum+minimum/16:
		s.full.Store(false)
		s.opts.Logger.Info("store: disk has room again", "dir", s.dir, "available", usage.AvailBytes)
	}
}
