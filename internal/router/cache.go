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
// for "used since last asked" (the clock algorithm), so that names that are published once do not displace the others.
type cache[S comparable] struct {
	sets     []cacheSet[S] // a power of two of them; none when the cache is off
	maxBytes int64
	bytes    atomic.Int64
	hand     atomic.Uint64 // next set to free memory in
	sweeper  atomic.Uint64 // next set to clear of stale entries
}

type cacheSet[S comparable] [cacheWays]atomic.Pointer[cached[S]]

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

// get returns the present result for a name with hash h, or nil.
func (c *cache[S]) get(h uint64, name string, g *generations) *Result[S] {
	if len(c.sets) == 0 {
		return nil
	}
	set := &c.sets[h&uint64(len(c.sets)-1)]
	for i := range set {
		e := set[i].Load()
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

// put keeps e for name, which it copies, if there is room or room can be made. Afterwards e must not change.
func (c *cache[S]) put(e *cached[S], name string, g *generations) {
	e.bytes += int64(unsafe.Sizeof(*e)) + int64(len(name))
	if len(c.sets) == 0 || !c.reserve(e.bytes) {
		return
	}
	e.name = strings.Clone(name)
	set := &c.sets[e.hash&uint64(len(c.sets)-1)]
	c.replace(&set[set.victim(e, g)], e)
}

// victim chooses the way to overwrite: an older result for the same name, an empty or stale way, or one that has not
// been used since it was last asked.
func (s *cacheSet[S]) victim(e *cached[S], g *generations) int {
	way := -1
	for i := range s {
		old := s[i].Load()
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
		if old := s[way].Load(); old == nil || !old.used.Swap(false) {
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
		for i := range set {
			if e := set[i].Load(); e != nil && !e.used.Swap(false) {
				c.replace(&set[i], nil)
			}
		}
		if c.bytes.Load() <= c.maxBytes {
			return true
		}
	}
	c.bytes.Add(-n)
	return false
}

// replace stores e in a way. Whoever takes an entry out gives its bytes back, so that each is given back once.
func (c *cache[S]) replace(way *atomic.Pointer[cached[S]], e *cached[S]) {
	if old := way.Swap(e); old != nil {
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
	for i := range set {
		if e := set[i].Load(); e != nil && g.sum(&e.stamp) != e.stamp.sum && set[i].CompareAndSwap(e, nil) {
			c.bytes.Add(-e.bytes)
		}
	}
}

// entries counts the entries, stale ones included. O(size of the table).
func (c *cache[S]) entries() (n int) {
	for i := range c.sets {
		for j := range c.sets[i] {
			if c.sets[i][j].Load() != nil {
				n++
			}
		}
	}
	return n
}
