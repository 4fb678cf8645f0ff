package session

// ring is a FIFO with absolute positions: the first entry ever pushed has position 0 (or the start position), and a
// position stays valid until its entry is popped. Packet Identifiers are derived from positions, which is why an
// acknowledgement finds its entry without a map.
type ring struct {
	buf  []Entry // length is a power of two, or 0
	head uint64  // position of the oldest entry
	tail uint64  // position of the next entry
}

// keep is the largest buffer, in entries, that a ring holds on to when it is nearly empty.
const keep = 64

func (r *ring) len() int { return int(r.tail - r.head) }

// at returns the entry at pos, which must be in [head, tail). The pointer is valid until the next push or pop.
func (r *ring) at(pos uint64) *Entry { return &r.buf[pos&uint64(len(r.buf)-1)] }

func (r *ring) push(e Entry) *Entry {
	if r.len() == len(r.buf) {
		r.resize(max(8, 2*len(r.buf)))
	}
	p := &r.buf[r.tail&uint64(len(r.buf)-1)]
	*p = e
	r.tail++
	return p
}

// pop drops the oldest entry and lets go of what it refers to. A buffer that is used by an eighth only is halved or
// more, so that the memory of a long queue comes back, at a cost that is constant on average.
func (r *ring) pop() {
	*r.at(r.head) = Entry{}
	r.head++
	switch n := r.len(); {
	case len(r.buf) <= keep:
	case n == 0:
		r.buf = nil
	case n <= len(r.buf)/8:
		r.resize(len(r.buf) / 4)
	}
}

// resize moves the entries to a buffer of size entries, a power of two that holds them.
func (r *ring) resize(size int) {
	buf := make([]Entry, size)
	for pos := r.head; pos < r.tail; pos++ {
		buf[pos&uint64(size-1)] = *r.at(pos)
	}
	r.buf = buf
}
