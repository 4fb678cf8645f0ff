package router

import (
	"strings"
	"sync/atomic"
	"unsafe"
)

const (
	cacheWays = 4
	// evictSets is how many sets one insertion searches for memory to free before it gives up.
	evictSets = 64
)

// cache keeps results by topic name, within a number of entries and of bytes. It is a fixed table of sets with
// cacheWays entries each; entries never change, so readers take no lock. Which entry makes room is decided by one bit
// for "used since last asked" (the clock algorithm). Where there is no empty way, a name gets in only when it is asked
// for a second time within a while, so that names that are published once neither displace the others nor cost their
// insertion.
type cache[S comparable] struct {
	sets     []cacheSet[S] // a power of two of them; none when the cache is off
	maxBytes int64
	bytes    atomic.Int64
	hand     atomic.Uint64 // next set to free memory in
	sweeper  atomic.Uint64 // next set to clear of stale entries
}

// cacheSet fills one cache line, and a search touches the entries of no other tags. Tags are part of the hash and only
// advice: an entry is what it says itself.
type cacheSet[S comparable] struct {
	tags  [cacheWays]atomic.Uint32 // of the entries; 0: the way is empty
	asked [cacheWays]atomic.Uint32 // of names that were not kept
	ways  [cacheWays]atomic.Pointer[cached[S]]
}

// cacheTag is never 0.
func cacheTag(h uint64) uint32 { return uint32(h>>32) | 1 }

// cached is the result for one topic name, with the generations it was made from.
type cached[S comparable] struct {
	hash   uint64
	name   string
	stamp  stamp
	bytes  int64 // all that the entry keeps in memory
	used   atomic.Bool
	result Result[S]
}

// init makes an empty cache of at least so many entries; none when entries is not positive.
func (c *cache[S]) init(entries int, maxBytes int64) {
	c.sets, c.maxBytes = nil, maxBytes
	if entries > 0 {
		n := 1
		for n*cacheWays < entries {
			n *= 2
		}
		c.sets = make([]cacheSet[S], n)
	}
}

// set returns the set for names with hash h. There must be sets.
func (c *cache[S]) set(h uint64) *cacheSet[S] { return &c.sets[h&uint64(len(c.sets)-1)] }

// get returns the present result for a name with hash h, or nil.
func (c *cache[S]) get(h uint64, name string, g *generations) *Result[S] {
	if len(c.sets) == 0 {
		return nil
	}
	set, tag := c.set(h), cacheTag(h)
	for i := range set.tags {
		if set.tags[i].Load() != tag {
			continue
		}
		e := set.ways[i].Load()
		if e == nil || e.hash != h || e.name != name || g.sum(&e.stamp) != e.stamp.sum {
			continue
		}
		if !e.used.Load() { // a store on every hit would pass the cache line from core to core
			e.used.Store(true)
		}
		return &e.result
	}
	return nil
}

// admits reports whether the result for a name with hash h is to be made for keeping: there is an empty way, an older
// result, or the name was asked for before. Otherwise it remembers that it was asked for now.
func (c *cache[S]) admits(h uint64) bool {
	if len(c.sets) == 0 {
		return false
	}
	set, tag := c.set(h), cacheTag(h)
	for i := range set.tags {
		if t := set.tags[i].Load(); t == 0 || t == tag {
			return true
		}
	}
	for i := range set.asked {
		if set.asked[i].Load() == tag {
			return true
		}
	}
	set.asked[h>>62].Store(tag) // in place of any: the top bits choose neither the set nor much of the tag
	return false
}

// put keeps e for name, which it copies, if there is room or room can be made. Afterwards e must not change.
func (c *cache[S]) put(e *cached[S], name string, g *generations) {
	e.bytes += int64(unsafe.Sizeof(*e)) + int64(len(name))
	if len(c.sets) == 0 || !c.reserve(e.bytes) {
		return
	}
	e.name = strings.Clone(name)
	set := c.set(e.hash)
	c.replace(set, set.victim(e, g), e)
}

// victim chooses the way to overwrite: an older result for the same name, an empty or stale way, or one that has not
// been used since it was last asked.
func (s *cacheSet[S]) victim(e *cached[S], g *generations) int {
	way := -1
	for i := range s.ways {
		old := s.ways[i].Load()
		switch {
		case old == nil:
			way = i
		case old.hash == e.hash && old.name == e.name:
			return i
		case g.sum(&old.stamp) != old.stamp.sum:
			way = i
		}
	}
	if way >= 0 {
		return way
	}
	first := int(e.hash >> 62) // spreads what no bit decides over the ways
	for i := range cacheWays {
		way = (first + i) % cacheWays
		if old := s.ways[way].Load(); old == nil || !old.used.Swap(false) {
			return way
		}
	}
	return first
}

// reserve counts n bytes, freeing others' memory as needed. It reports false, and counts nothing, when it would take
// too much searching, or when one result would take more than an eighth of the memory: it is rebuilt by then in a
// fraction of the time its delivery takes.
func (c *cache[S]) reserve(n int64) bool {
	if n > c.maxBytes/8 {
		return false
	}
	if c.bytes.Add(n) <= c.maxBytes {
		return true
	}
	for range evictSets {
		set := &c.sets[c.hand.Add(1)&uint64(len(c.sets)-1)]
		for i := range set.ways {
			if e := set.ways[i].Load(); e != nil && !e.used.Swap(false) {
				c.replace(set, i, nil)
			}
		}
		if c.bytes.Load() <= c.maxBytes {
			return true
		}
	}
	c.bytes.Add(-n)
	return false
}

// replace stores e, which may be nil, in a way of the set. Whoever takes an entry out gives its bytes back, so that each
// is given back once.
func (c *cache[S]) replace(set *cacheSet[S], way int, e *cached[S]) {
	tag := uint32(0)
	if e != nil {
		tag = cacheTag(e.hash)
	}
	old := set.ways[way].Swap(e)
	set.tags[way].Store(tag)
	if old != nil {
		c.bytes.Add(-old.bytes)
	}
}

// sweep drops the stale entries of the next set. Each Unsubscribe sweeps one, so that results do not keep ended
// subscribers in memory for longer than it takes to end as many subscriptions as there are sets.
func (c *cache[S]) sweep(g *generations) {
	if len(c.sets) == 0 {
		return
	}
	set := &c.sets[c.sweeper.Add(1)&uint64(len(c.sets)-1)]
	for i := range set.ways {
		if e := set.ways[i].Load(); e != nil && g.sum(&e.stamp) != e.stamp.sum && set.ways[i].CompareAndSwap(e, nil) {
			set.tags[i].CompareAndSwap(cacheTag(e.hash), 0)
			c.bytes.Add(-e.bytes)
		}
	}
}

// entries counts the entries, stale ones included. O(size of the table).
func (c *cache[S]) entries() (n int) {
	for i := range c.sets {
		for j := range c.sets[i].ways {
			if c.sets[i].ways[j].Load() != nil {
				n++
			}
		}
	}
	return n
}
