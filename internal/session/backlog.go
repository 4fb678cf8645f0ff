package session

import (
	"slices"

	"github.com/sealmq/sealmq/internal/store"
)

// toDisk leaves an entry to the store only.
func (s *Session) toDisk(e *Entry) {
	if s.disk == 0 {
		s.diskFrom = e.Ord
	}
	s.disk++
	if !e.Ready {
		s.unready = append(s.unready, e.Ord)
	}
}

// ready marks the entry at ord, searching from the new end, where it is.
func (s *Session) ready(ord store.Ord, sole bool) {
	if i, ok := slices.BinarySearch(s.unready, ord); ok {
		s.unready = slices.Delete(s.unready, i, i+1)
		if len(s.unready) == 0 && cap(s.unready) > keep {
			s.unready = nil
		}
		return
	}
	for pos := s.ring.tail; pos > s.sent; pos-- {
		e := s.ring.at(pos - 1)
		if e.Ord == ord {
			if !e.Ready {
				e.Ready, e.Sole = true, sole
			}
			return
		}
		if e.Ord < ord {
			return
		}
	}
}

// Stored says from which place on rows are to be read that are only in the store, for a Fetched event, and whether
// there are any now. What Effects.Fetch says about the read holds here, too.
func (s *Session) Stored() (from store.Ord, more bool) {
	s.wake()
	s.fetchUntil = s.lastOrd + 1
	if len(s.unready) > 0 {
		s.fetchUntil = s.unready[0]
	}
	return s.diskFrom, s.disk > 0 && s.diskFrom < s.fetchUntil
}

// fetchMore asks for stored rows when half of the memory is free. Rows whose batch is not in the store's hands cannot be
// read yet, and because a read cannot tell them from rows that do not exist, it must not reach beyond them.
func (s *Session) fetchMore(fx *Effects) {
	unsent := int(s.ring.tail - s.sent)
	if s.disk == 0 || s.fetching || unsent > s.limits.Memory/2 {
		return
	}
	if from, more := s.Stored(); more {
		s.fetching = true
		fx.Fetch, fx.FetchFrom, fx.FetchLimit = true, from, max(s.limits.Memory-unsent, 1)
	}
}

// fetched takes rows over that were read.
func (s *Session) fetched(rows []Entry, last bool) {
	s.fetching = false
	for i := range rows {
		e := rows[i]
		if e.Ord >= s.fetchUntil {
			last = true
			break
		}
		if e.Ord < s.diskFrom {
			continue
		}
		e.Ready, e.state, e.counted, e.tried, e.dup = true, queued, false, false, false
		s.ring.push(e)
		s.diskFrom = e.Ord + 1
		s.disk--
	}
	if last {
		s.diskFrom = max(s.diskFrom, s.fetchUntil)
	}
	if s.disk > 0 && s.diskFrom > s.lastOrd {
		s.forget()
	}
}

// forget corrects the counts after the store's last row was read and some that were counted did not appear: it had
// refused their batches.
func (s *Session) forget() {
	s.disk, s.queued = 0, 0
	for pos := s.sent; pos < s.ring.tail; pos++ {
		if e := s.ring.at(pos); e.state == queued {
			s.queued += int64(e.Msg.Size())
		}
	}
}

// sweep drops expired messages that wait in memory. Their places stay, empty, until their turn comes.
func (s *Session) sweep(now int64, fx *Effects) {
	for pos := s.sent; pos < s.ring.tail; pos++ {
		e := s.ring.at(pos)
		if e.state == queued && e.Ready && e.Msg.Expired(now) {
			s.expire(e, fx)
			s.holes++
		}
	}
}

// Take removes up to n messages that wait in memory and returns them, for a queue whose messages move to another
// session. Rows are deleted in fx.Batch, bodies with them: the caller stores the messages again in the same batch. The
// session must have nothing in flight and no connection: a shared group's queue.
func (s *Session) Take(now int64, n int, fx *Effects) []Entry {
	var taken []Entry
	for len(taken) < n && s.sent < s.ring.tail {
		e := s.ring.at(s.sent)
		switch {
		case !e.Ready:
			return taken
		case e.state == done:
			s.holes--
		case e.Msg.Expired(now):
			s.expire(e, fx)
		default:
			s.queued -= int64(e.Msg.Size())
			taken = append(taken, *e)
			s.drop(e, fx)
		}
		s.passed()
	}
	return taken
}
