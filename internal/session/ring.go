package session

// ring is a FIFO with absolute positions: the first entry ever pushed has position 0 (or the start position), and a
// position stays valid until its entry is popped. Packet Identifiers are derived from positions, which is why an
// acknowledgement finds its entry without a map.
type ring struct {
	buf  []Entry // length is a power of two, or 0
	head uint64  // position of the oldest entry
	tail uint64  // position of the next entry
}

// keep is the largest buffer, in entries, that an empty ring holds on to.
const keep = 64

func (r *ring) len() int { return int(r.tail - r.head) }

// at returns the entry at pos, which must be in [head, tail). The pointer is valid until the next push.
func (r *ring) at(pos uint64) *Entry { return &r.buf[pos&uint64(len(r.buf)-1)] }

func (r *ring) push(e Entry) *Entry {
	if r.len() == len(r.buf) {
		r.grow()
	}
	p := &r.buf[r.tail&uint64(len(r.buf)-1)]
	*p = e
	r.tail++
	return p
}

// pop drops the oldest entry and lets go of what it refers to.
func (r *ring) pop() {
	*r.at(r.head) = Entry{}
	r.head++
	if r.head == r.tail && len(r.buf) > keep {
		r.buf = nil
	}
}

func (r *ring) grow() {
	buf := make([]Entry, max(8, 2*len(r.buf)))
	for pos := r.head; pos < r.tail; pos++ {
		buf[pos&uint64(len(buf)-1)] = *r.at(pos)
	}
	r.buf = buf
}
