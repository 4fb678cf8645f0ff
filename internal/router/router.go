package router

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/sealmq/sealmq/topic"
)

// Defaults of Config.
const (
	DefaultCacheEntries = 65_536
	DefaultCacheBytes   = 64 << 20
)

const (
	shards = 256
	// shrinkMin is the peak size from which a shard gives the memory of removed filters back.
	shrinkMin = 1024
)

// Config bounds the match cache. The zero value means the defaults.
type Config struct {
	CacheEntries int   // topic names; rounded up to a power of two; 0 means DefaultCacheEntries, negative no cache
	CacheBytes   int64 // memory of the cached results; 0 means DefaultCacheBytes
}

// Router holds subscriptions of subscribers of type S, which should be a pointer or another small comparable value. A
// *Router is safe for concurrent use.
type Router[S comparable] struct {
	seed   maphash.Seed
	count  atomic.Int64
	exact  [shards]shard[S]
	wild   trie[S]
	state  generations
	cache  cache[S]
	memory sync.Pool // *scratch[S]
}

// shard is a part of the filters without wildcards.
type shard[S comparable] struct {
	mu      sync.RWMutex // guards the map; what is in an entry is read without it
	filters map[string]*entry[S]
	peak    int // most filters since the map was made
}

// Stats are sizes of a Router.
type Stats struct {
	Subscriptions int
	WildcardNodes int // levels of filters with wildcards
	CacheEntries  int
	CacheBytes    int64
}

// New returns an empty Router.
func New[S comparable](c Config) *Router[S] {
	if c.CacheEntries == 0 {
		c.CacheEntries = DefaultCacheEntries
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = DefaultCacheBytes
	}
	r := &Router[S]{seed: maphash.MakeSeed()}
	r.cache.init(c.CacheEntries, c.CacheBytes)
	r.wild.seed = r.seed
	r.memory.New = func() any { return new(scratch[S]) }
	return r
}

// Subscribe adds the subscription of s to f, or replaces it, options and all [MQTT-3.8.4-3]. With a share it is a
// membership of that Shared Subscription, which is apart from a plain subscription to the same filter. f and share must
// come from package topic and o must be within its bounds. f is kept and must not lie in a buffer that is used again.
func (r *Router[S]) Subscribe(share topic.ShareName, f topic.Filter, s S, o Options) (replaced bool) {
	x := sub[S]{subscriber: s, tag: r.tagOf(s), options: pack(o)}
	changed := false
	r.edit(f, true, func(e *entry[S]) bool {
		if share != "" {
			replaced, changed = e.subscribeShared(r.groupTag(share), share, f, x)
		} else {
			replaced, changed = e.subscribe(x)
		}
		return changed
	})
	if !replaced {
		r.count.Add(1)
	}
	return replaced
}

// Unsubscribe ends the subscription that Subscribe made with the same share, filter and subscriber.
func (r *Router[S]) Unsubscribe(share topic.ShareName, f topic.Filter, s S) (existed bool) {
	x := sub[S]{subscriber: s, tag: r.tagOf(s)}
	r.edit(f, false, func(e *entry[S]) (changed bool) {
		if share != "" {
			existed, changed = e.unsubscribeShared(r.groupTag(share), share, x)
		} else {
			existed = e.unsubscribe(x)
			changed = existed
		}
		return changed
	})
	if existed {
		r.count.Add(-1)
		r.cache.sweep(&r.state)
	}
	return existed
}

// Match returns who gets a message that is published to name. The result is never nil. name may lie in a buffer that is
// used again after Match has returned.
func (r *Router[S]) Match(name string) *Result[S] {
	h := maphash.String(r.seed, name)
	if result := r.cache.get(h, name, &r.state); result != nil {
		return result
	}
	return r.match(h, name)
}

// Len returns the number of subscriptions, memberships of shared ones included.
func (r *Router[S]) Len() int { return int(r.count.Load()) }

// Stats returns the present sizes. O(size of the cache table).
func (r *Router[S]) Stats() Stats {
	return Stats{
		Subscriptions: r.Len(),
		WildcardNodes: int(r.wild.nodes.Load()),
		CacheEntries:  r.cache.entries(),
		CacheBytes:    r.cache.bytes.Load(),
	}
}

// match finds the result for a name with hash h in the subscriptions, and caches it.
func (r *Router[S]) match(h uint64, name string) *Result[S] {
	c := &cached[S]{hash: h, stamp: r.state.stamp(r.seed, name, h)} // the stamp before the reading
	w := r.memory.Get().(*scratch[S])
	if e := r.exact[shardOf(h)].find(name); e != nil {
		w.found = append(w.found, e)
	}
	r.wild.match(name, &w.walk)
	c.bytes = w.merge(&c.result)
	w.reset()
	if cap(w.subs) <= scratchMax {
		r.memory.Put(w)
	}
	r.cache.put(c, name, &r.state)
	return &c.result
}

// edit calls change with the entry of f under the lock it lies under, and makes the results stale that f concerns when
// change tells that the entry's part of them changed. Without create, change is not called when there is no entry.
func (r *Router[S]) edit(f topic.Filter, create bool, change func(*entry[S]) bool) {
	if f.HasWildcard() {
		changed := false
		r.wild.change(string(f), create, func(e *entry[S]) { changed = change(e) })
		if changed {
			r.state.changedWild(r.seed, f)
		}
		return
	}
	h := maphash.String(r.seed, string(f))
	if r.exact[shardOf(h)].change(string(f), create, change) {
		r.state.changedExact(h)
	}
}

func shardOf(h uint64) int { return int(h >> 56 % shards) }

func (r *Router[S]) tagOf(s S) uint32 { return uint32(maphash.Comparable(r.seed, s)) }

func (r *Router[S]) groupTag(name topic.ShareName) uint32 {
	return uint32(maphash.String(r.seed, string(name)))
}

func (s *shard[S]) find(name string) *entry[S] {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.filters[name]
}

// change calls edit with the entry of f under the lock, and removes the entry when it holds nothing any more.
func (s *shard[S]) change(f string, create bool, edit func(*entry[S]) bool) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.filters[f]
	if e == nil {
		if !create {
			return false
		}
		e = new(entry[S])
		changed = edit(e)
		if s.filters == nil {
			s.filters = make(map[string]*entry[S])
		}
		s.filters[f] = e
		s.peak = max(s.peak, len(s.filters))
		return changed
	}
	changed = edit(e)
	if e.empty() {
		delete(s.filters, f)
		s.shrink()
	}
	return changed
}

// shrink moves the filters to a smaller map when few are left: a Go map keeps its memory. Amortized O(1) a removal.
func (s *shard[S]) shrink() {
	if s.peak < shrinkMin || len(s.filters) > s.peak/4 {
		return
	}
	smaller := make(map[string]*entry[S], len(s.filters))
	for f, e := range s.filters {
		smaller[f] = e
	}
	s.filters, s.peak = smaller, len(smaller)
}
