package pebblestore

import "sync/atomic"

// Stats are figures for metrics and logs. Counts are since Open.
type Stats struct {
	Batches   uint64 // batches whose done was called, refused ones included
	Groups    uint64 // groups written
	Elided    uint64 // messages that every target had acknowledged before their group was written
	Syncs     uint64 // fsyncs of the log that were waited for
	Refused   uint64 // batches refused with store.ErrFull
	Backlog   int64  // bytes that wait for the disk now
	Full      bool   // the disk is nearly full: batches that add messages are refused
	DiskBytes uint64 // what the store takes on disk now
}

// counts are the parts of Stats that are counted where they happen.
type counts struct{ batches, groups, elided, syncs, refused atomic.Uint64 }

// Stats returns the figures of now; zero after Close.
func (s *Store) Stats() (st Stats) {
	_ = s.view(func() error {
		s.batchMu.Lock()
		backlog := s.backlog
		s.batchMu.Unlock()
		st = Stats{
			Batches: s.total.batches.Load(), Groups: s.total.groups.Load(), Elided: s.total.elided.Load(), Syncs: s.total.syncs.Load(),
			Refused: s.total.refused.Load(), Backlog: backlog, Full: s.full.Load(),
			DiskBytes: s.db.Metrics().DiskSpaceUsage(),
		}
		return nil
	})
	return st
}
