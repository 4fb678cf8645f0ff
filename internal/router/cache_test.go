package router

import (
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealmq/sealmq/topic"
)

// TestCacheBounds publishes far more names, with far larger results, than the cache may keep.
func TestCacheBounds(t *testing.T) {
	const entries, bytes = 64, 32 << 10
	r := New[int](Config{CacheEntries: entries, CacheBytes: bytes})
	for i := range 20 {
		r.Subscribe("", "a/#", i, Options{})
		r.Subscribe("", "+/+", i, Options{SubscriptionID: 1, NoLocal: true})
	}
	for i := range 5000 {
		if n := len(r.Match("a/" + strconv.Itoa(i)).Targets); n != 20 {
			t.Fatalf("%d targets", n)
		}
		if s := r.Stats(); s.CacheEntries > entries || s.CacheBytes > bytes {
			t.Fatalf("cache has %d entries with %d bytes", s.CacheEntries, s.CacheBytes)
		}
	}
	if s := r.Stats(); s.CacheEntries == 0 {
		t.Error("nothing is cached")
	}
}

// TestLargeResultIsNotCached: one result never takes the place of most others.
func TestLargeResultIsNotCached(t *testing.T) {
	r := New[int](Config{CacheBytes: 8 << 10})
	for i := range 100 {
		r.Subscribe("", "a", i, Options{})
	}
	r.Match("a")
	if s := r.Stats(); s.CacheEntries != 0 || s.CacheBytes != 0 {
		t.Errorf("cache has %d entries with %d bytes", s.CacheEntries, s.CacheBytes)
	}
}

// TestChurnKeepsCache: changes below one prefix leave the results below others cached, and those of the same prefix are
// made anew.
func TestChurnKeepsCache(t *testing.T) {
	for _, c := range []struct {
		filter      topic.Filter
		stale, kept string
	}{
		{"device/1/command", "device/1/command", "device/2/command"},
		{"device/1/#", "device/1/x", "device/2/x"},
		{"device/1/+", "device/1/x", "device/2/x"},
		{"device/1/#", "device/1", "device/2"},
		{"a/b/c/d/e/f/g/+", "a/b/c/d/e/f/g/h", "a/b/c/d/e/x/g/h"},
	} {
		r := New[int](Config{})
		r.Subscribe("", "#", 0, Options{})
		stale, kept := r.Match(c.stale), r.Match(c.kept)
		r.Subscribe("", c.filter, 1, Options{})
		if r.Match(c.stale) == stale {
			t.Errorf("%s: result of %s survived", c.filter, c.stale)
		}
		if r.Match(c.kept) != kept {
			// By accident the slots of both may be the same, once in some thousands of random seeds.
			t.Logf("%s: result of %s was dropped", c.filter, c.kept)
			if !sharesSlot(r, c.filter, c.kept) {
				t.Errorf("%s: result of %s was dropped without need", c.filter, c.kept)
			}
		}
		again := r.Match(c.stale)
		r.Subscribe("", c.filter, 1, Options{})
		if r.Match(c.stale) != again {
			t.Errorf("%s: the same subscription once more made the result stale", c.filter)
		}
	}
}

// sharesSlot reports whether a change of f counts in one of name's slots.
func sharesSlot(r *Router[int], f topic.Filter, name string) bool {
	before := r.state.stamp(r.seed, name, maphash.String(r.seed, name))
	r.Subscribe("", f, 99, Options{})
	return r.state.sum(&before) != before.sum
}

// TestSweep: after enough Unsubscribes nothing stale is left that keeps a subscriber in memory.
func TestSweep(t *testing.T) {
	r := New[int](Config{CacheEntries: 256})
	for i := range 200 {
		r.Subscribe("", topic.Filter(fmt.Sprint("a/", i)), i, Options{})
		r.Match(fmt.Sprint("a/", i))
	}
	for i := range 200 {
		r.Unsubscribe("", topic.Filter(fmt.Sprint("a/", i)), i)
	}
	for range len(r.cache.sets) {
		r.cache.sweep(&r.state)
	}
	if s := r.Stats(); s.CacheEntries != 0 || s.CacheBytes != 0 {
		t.Errorf("cache has %d entries with %d bytes", s.CacheEntries, s.CacheBytes)
	}
}

// TestOnceIsNotKept: where the cache is full, names that are asked for once leave no trace, and a name that is asked for
// again gets in.
func TestOnceIsNotKept(t *testing.T) {
	r := New[int](Config{CacheEntries: 64})
	r.Subscribe("", "a/#", 1, Options{})
	for i := range 1000 {
		r.Match("a/" + strconv.Itoa(i))
	}
	full := r.Stats()
	room := new(Room[int])
	if n := testing.AllocsPerRun(1000, func() {
		if r.MatchIn(room, "a/rare").Targets[0].Subscriber != 1 {
			t.Error("wrong target")
		}
		r.cache.set(maphash.String(r.seed, "a/rare")).asked = [cacheWays]atomic.Uint32{}
	}); n != 0 {
		t.Errorf("%v allocations for a name that is not kept", n)
	}
	if s := r.Stats(); s != full {
		t.Errorf("the cache was %+v and is %+v", full, s)
	}
	room.Clear()
	r.Match("a/again")
	if kept := r.Match("a/again"); r.Match("a/again") != kept {
		t.Error("a name that is asked for again is not kept")
	}
}

// TestConcurrent lets readers and writers run against each other. Some subscriptions never change: every Match must have
// them. Each writer checks, after each of its own changes, that Match shows it.
func TestConcurrent(t *testing.T) {
	const writers, readers, rounds, names = 4, 3, 400, 8
	r := New[int](Config{CacheEntries: 16, CacheBytes: 64 << 10})
	for i := range 40 { // more than a chunk, so that writers split and merge
		r.Subscribe("", "t/#", 1000+i, Options{})
	}
	r.Subscribe("g", "t/+", 2000, Options{})
	var stop atomic.Bool
	var reading, writing sync.WaitGroup
	for i := range readers {
		reading.Go(func() {
			for n := i; !stop.Load(); n++ {
				res := r.Match("t/" + strconv.Itoa(n%names))
				fixed := 0
				for _, x := range res.Targets {
					if x.Subscriber >= 1000 {
						fixed++
					}
				}
				if fixed != 40 || len(res.Shared) != 1 || len(res.Shared[0].Members()) == 0 {
					t.Errorf("%d fixed targets, %d groups", fixed, len(res.Shared))
					return
				}
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for n := range rounds {
				name := "t/" + strconv.Itoa(n%names)
				filters := []topic.Filter{topic.Filter(name), "t/#", "+/" + topic.Filter(strconv.Itoa(n%names)), "t/+"}
				f := filters[(n+w)%len(filters)]
				r.Subscribe("", f, w, Options{SubscriptionID: uint32(n + 1)})
				r.Subscribe("g", "t/+", w, Options{})
				if id := identifier(r.Match(name), w); id != uint32(n+1) {
					t.Errorf("writer %d does not see its subscription %d to %s, but %d", w, n+1, f, id)
					return
				}
				r.Unsubscribe("", f, w)
				r.Unsubscribe("g", "t/+", w)
				if id := identifier(r.Match(name), w); id != 0 {
					t.Errorf("writer %d still sees its subscription %d to %s", w, id, f)
					return
				}
			}
		})
	}
	writing.Wait()
	stop.Store(true)
	reading.Wait()
	for i := range 40 {
		r.Unsubscribe("", "t/#", 1000+i)
	}
	r.Unsubscribe("g", "t/+", 2000)
	checkEmpty(t, r)
}

// identifier returns the Subscription Identifier with which a subscriber is in a result; 0 when it is not.
func identifier(r *Result[int], who int) uint32 {
	for _, x := range r.Targets {
		if x.Subscriber == who {
			return x.SubscriptionIDs[0]
		}
	}
	return 0
}
