package router

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	shards    = 256
	shardBits = 8
	// minSlots is the size of the first table of a shard.
	minSlots = 4
	// shrinkMin is the number of slots from which a table is made smaller when few of them are in use.
	shrinkMin = 1024
)

// exact holds the filters without wildcards by the hash of their text, in shards of a table each.
type exact[S comparable] struct {
	shards [shards]shard[S]
}

// shard is a part of the filters. Readers take no lock: slots are filled and emptied by atomic stores, and a table that
// has become too full, or too empty, is replaced as a whole.
type shard[S comparable] struct {
	table   atomic.Pointer[table[S]]
	writing sync.Mutex // held by writers, for all below
	live    int        // filters
	used    int        // slots that hold a filter or have held one
}

// table is an open-addressed hash table. A filter lies in the first free slot from the one that its hash names. The hash
// lies beside the reference, so that a search touches the text of no other filter.
type table[S comparable] struct {
	slots []slot[S]
}

// slot: a hash of 0 was never used and ends a search; a hash without a filter had one and does not.
type slot[S comparable] struct {
	hash   atomic.Uint64
	filter atomic.Pointer[exactFilter[S]]
}

// exactFilter is a filter's text and what is subscribed with it. It never changes.
type exactFilter[S comparable] struct {
	text  string
	entry entry[S]
}

// slotHash is what a slot says of a text with hash h: never 0.
func slotHash(h uint64) uint64 { return h | 1 }

func (x *exact[S]) shard(h uint64) *shard[S] { return &x.shards[h>>(64-shardBits)] }

// find returns the entry of the filter that is the same text as name, which has the hash h, or nil.
func (x *exact[S]) find(h uint64, name string) *entry[S] {
	t := x.shard(h).table.Load()
	if t == nil {
		return nil
	}
	h = slotHash(h)
	for i := t.home(h); ; i = t.after(i) {
		switch t.slots[i].hash.Load() {
		case 0:
			return nil
		case h:
			if f := t.slots[i].filter.Load(); f != nil && f.text == name {
				return &f.entry
			}
		}
	}
}

// home is the slot that a hash names: its bits behind those of the shard, as a fraction of the table.
func (t *table[S]) home(h uint64) int {
	high, _ := bits.Mul64(h<<shardBits, uint64(len(t.slots)))
	return int(high)
}

func (t *table[S]) after(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

// change replaces the entry of f, which has the hash h, by what do makes of it. Without create, do is not called when
// there is no entry.
func (x *exact[S]) change(h uint64, f string, create bool, do edit[S]) (changed bool) {
	s := x.shard(h)
	h = slotHash(h)
	s.writing.Lock()
	defer s.writing.Unlock()
	at := s.locate(h, f)
	if at == nil && !create {
		return false
	}
	var old *exactFilter[S]
	var present *entry[S]
	if at != nil {
		old = at.filter.Load()
		present = &old.entry
	}
	next, left, changed := do(present)
	switch {
	case !left && old != nil:
		at.filter.Store(nil)
		s.live--
		s.shrink()
	case left && old == nil:
		s.insert(h, &exactFilter[S]{f, next})
	case left && old.entry != next:
		at.filter.Store(&exactFilter[S]{old.text, next})
	}
	return changed
}

// locate returns the slot that holds f, or nil.
func (s *shard[S]) locate(h uint64, f string) *slot[S] {
	t := s.table.Load()
	if t == nil {
		return nil
	}
	for i := t.home(h); ; i = t.after(i) {
		at := &t.slots[i]
		switch at.hash.Load() {
		case 0:
			return nil
		case h:
			if have := at.filter.Load(); have != nil && have.text == f {
				return at
			}
		}
	}
}

// insert puts f, which is not there, into the first slot that has no filter. The filter is stored before the hash: a
// reader that meets another hash with it compares the text.
func (s *shard[S]) insert(h uint64, f *exactFilter[S]) {
	t := s.table.Load()
	if t == nil || (s.used+1)*4 > len(t.slots)*3 {
		t = s.rebuild()
	}
	s.live++
	i := t.home(h)
	for t.slots[i].filter.Load() != nil {
		i = t.after(i)
	}
	if t.slots[i].hash.Load() == 0 {
		s.used++
	}
	t.slots[i].filter.Store(f)
	t.slots[i].hash.Store(h)
}

// shrink gives memory back when few filters are left, and all of it after the last. Amortized O(1) a removal.
func (s *shard[S]) shrink() {
	size := len(s.table.Load().slots)
	switch {
	case s.live == 0:
		s.table.Store(nil)
		s.used = 0
	case size >= shrinkMin && s.live < size/8:
		s.rebuild()
	}
}

// rebuild moves the filters to a table that is half full with one more.
func (s *shard[S]) rebuild() *table[S] {
	t := &table[S]{make([]slot[S], max(minSlots, 2*(s.live+1)))}
	if old := s.table.Load(); old != nil {
		for i := range old.slots {
			f := old.slots[i].filter.Load()
			if f == nil {
				continue
			}
			h := old.slots[i].hash.Load()
			at := t.home(h)
			for t.slots[at].hash.Load() != 0 {
				at = t.after(at)
			}
			t.slots[at].filter.Store(f)
			t.slots[at].hash.Store(h)
		}
	}
	s.used = s.live
	s.table.Store(t)
	return t
}
