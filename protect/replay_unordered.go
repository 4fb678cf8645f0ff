package protect

import "container/heap"

// seenCTI is one remembered cti of an unordered message.
type seenCTI struct {
	owner   *senderState
	cti     [unorderedCTI]byte
	iat     uint64
	expires uint64 // iat + max-age: afterwards the time check refuses it anyway
}

// ctiHeap orders the ctis of all senders by iat, smallest first.
type ctiHeap []seenCTI

func (h ctiHeap) Len() int           { return len(h) }
func (h ctiHeap) Less(i, j int) bool { return h[i].iat < h[j].iat }
func (h ctiHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *ctiHeap) Push(x any) { *h = append(*h, x.(seenCTI)) }

// Pop implements heap.Interface.
func (h *ctiHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = seenCTI{}
	*h = old[:len(old)-1]
	return last
}

func (s *senderState) judgeUnordered(e *event) (Outcome, *Refusal) {
	if e.kind == KindWill {
		return 0, refuse(ReasonRecord, "unordered will")
	}
	if _, known := s.seen[e.seq.cti]; known {
		return seen(e), nil
	}
	if s.hasIATFloor && e.iat <= s.iatFloor {
		return 0, refuse(ReasonStale, "unordered message at or below the floor")
	}
	return Deliver, nil
}

// makeRoomForCTI: when the cache is full, ctis that have run out go; if there
// are none, the one with the smallest iat goes and that iat becomes the floor
// of its sender, so that forgetting never reopens a replay.
func (r *Replay) makeRoomForCTI(s *senderState, e *event) *Refusal {
	for len(r.ctis) > 0 && r.ctis[0].expires < e.now {
		if err := r.forgetCTI(); err != nil {
			return refuse(ReasonState, "%v", err)
		}
	}
	if len(r.ctis) < r.limits.Unordered {
		return nil
	}
	oldest := r.ctis[0].owner
	next := oldest.persistent
	next.iatFloor, next.hasIATFloor = max(next.iatFloor, r.ctis[0].iat), true
	if err := r.save(&next); err != nil {
		return refuse(ReasonState, "%v", err)
	}
	oldest.persistent = next
	if err := r.forgetCTI(); err != nil {
		return refuse(ReasonState, "%v", err)
	}
	if oldest == s && e.iat <= next.iatFloor {
		return refuse(ReasonStale, "unordered message at or below the floor")
	}
	return nil
}

func (r *Replay) rememberCTI(s *senderState, e *event) {
	if s.seen == nil {
		s.seen = map[[unorderedCTI]byte]struct{}{}
	}
	s.seen[e.seq.cti] = struct{}{}
	heap.Push(&r.ctis, seenCTI{owner: s, cti: e.seq.cti, iat: e.iat, expires: e.iat + e.maxAge})
}

func (r *Replay) forgetCTI() error {
	c := heap.Pop(&r.ctis).(seenCTI)
	delete(c.owner.seen, c.cti)
	return r.deleteRow(c.rowKey())
}
