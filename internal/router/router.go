package router

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/sealmq/sealmq/topic"
)

// Defaults of Config.
const (
	DefaultCacheEntries = 65_536
	DefaultCacheBytes   = 64 << 20
)

// Config bounds the match cache. The zero value means the defaults.
type Config struct {
	CacheEntries int   // topic names; rounded up to a power of two; 0 means DefaultCacheEntries, negative no cache
	CacheBytes   int64 // memory of the cached results; 0 means DefaultCacheBytes
}

// Router holds subscriptions of subscribers of type S, which should be a pointer or another small comparable value. A
// *Router is safe for concurrent use.
type Router[S comparable] struct {
	seed  maphash.Seed
	count atomic.Int64
	exact exact[S]
	wild  trie[S]
	state generations
	cache cache[S]
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
	return r
}

// Subscribe adds the subscription of s to f, or replaces it, options and all [MQTT-3.8.4-3]. With a share it is a
// membership of that Shared Subscription, which is apart from a plain subscription to the same filter. f and share must
// come from package topic and o must be within its bounds. f is kept and must not lie in a buffer that is used again.
func (r *Router[S]) Subscribe(share topic.ShareName, f topic.Filter, s S, o Options) (replaced bool) {
	x := sub[S]{subscriber: s, tag: r.tagOf(s), options: pack(o)}
	r.edit(f, true, func(e *entry[S]) (next entry[S], left, changed bool) {
		if share != "" {
			next, replaced, changed = e.subscribeShared(r.groupTag(share), share, f, x)
		} else {
			next, replaced, changed = e.subscribe(x)
		}
		return next, true, changed
	})
	if !replaced {
		r.count.Add(1)
	}
	return replaced
}

// Unsubscribe ends the subscription that Subscribe made with the same share, filter and subscriber.
func (r *Router[S]) Unsubscribe(share topic.ShareName, f topic.Filter, s S) (existed bool) {
	x := sub[S]{subscriber: s, tag: r.tagOf(s)}
	r.edit(f, false, func(e *entry[S]) (next entry[S], left, changed bool) {
		if share != "" {
			next, left, existed, changed = e.unsubscribeShared(r.groupTag(share), share, x)
		} else {
			next, left, existed = e.unsubscribe(x)
			changed = existed
		}
		return next, left, changed
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
	return r.find(new(Room[S]), h, name)
}

// MatchIn is Match with memory to work in. The result may lie in it, and then is valid until room is used again.
func (r *Router[S]) MatchIn(room *Room[S], name string) *Result[S] {
	h := maphash.String(r.seed, name)
	if result := r.cache.get(h, name, &r.state); result != nil {
		return result
	}
	return r.find(room, h, name)
}

// find makes the result for a name with hash h, in the cache or else in room.
func (r *Router[S]) find(room *Room[S], h uint64, name string) *Result[S] {
	if !r.cache.admits(h) {
		room.result = Result[S]{passing: true}
		r.match(room, h, name, &room.result)
		return &room.result
	}
	c := &cached[S]{hash: h, stamp: r.state.stamp(r.seed, name, h)} // the stamp before the reading
	c.bytes = r.match(room, h, name, &c.result)
	r.cache.put(c, name, &r.state)
	return &c.result
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

// match fills in the result for a name with hash h from the subscriptions, and returns the memory it takes.
func (r *Router[S]) match(room *Room[S], h uint64, name string, result *Result[S]) (bytes int64) {
	if e := r.exact.find(h, name); e != nil {
		room.found = append(room.found, e)
	}
	r.wild.match(name, &room.walk)
	bytes = room.merge(result)
	room.tidy()
	return bytes
}

// edit replaces the entry of f by what do makes of it, and makes the results stale that f concerns when do tells that the
// entry's part of them changed. Without create, do is not called when there is no entry.
func (r *Router[S]) edit(f topic.Filter, create bool, do edit[S]) {
	if f.HasWildcard() {
		if r.wild.change(string(f), create, do) {
			r.state.changedWild(r.seed, f)
		}
		return
	}
	h := maphash.String(r.seed, string(f))
	if r.exact.change(h, string(f), create, do) {
		r.state.changedExact(h)
	}
}

func (r *Router[S]) tagOf(s S) uint32 { return uint32(maphash.Comparable(r.seed, s)) }

func (r *Router[S]) groupTag(name topic.ShareName) uint32 {
	return uint32(maphash.String(r.seed, string(name)))
}
