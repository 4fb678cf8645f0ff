package router

import (
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// put and drop are what Subscribe and Unsubscribe do to a filter with one subscriber.
func (x *exact[S]) put(h uint64, f string, s S) {
	x.change(h, f, true, func(e *entry[S]) (entry[S], bool, bool) {
		next, _, changed := e.subscribe(sub[S]{subscriber: s})
		return next, true, changed
	})
}

func (x *exact[S]) drop(h uint64, f string, s S) {
	x.change(h, f, false, func(e *entry[S]) (next entry[S], left, changed bool) {
		return e.unsubscribe(sub[S]{subscriber: s})
	})
}

// slots counts the slots of all tables.
func (x *exact[S]) slots() (n int) {
	for i := range x.shards {
		if t := x.shards[i].table.Load(); t != nil {
			n += len(t.slots)
		}
	}
	return n
}

// TestExactShrinks: the memory of many filters does not stay after they are gone, and those that are left are found.
func TestExactShrinks(t *testing.T) {
	const all, left = 20_000, 200
	x, seed := new(exact[int]), maphash.MakeSeed()
	hash := func(f string) uint64 { return maphash.String(seed, f) >> shardBits } // all in one shard
	for i := range all {
		f := strconv.Itoa(i)
		x.put(hash(f), f, i)
	}
	if n := x.slots(); n < all || n > 2*(all+1) {
		t.Errorf("%d slots for %d filters", n, all)
	}
	for i := range all - left {
		f := strconv.Itoa(i)
		x.drop(hash(f), f, i)
	}
	if n := x.slots(); n > 8*left {
		t.Errorf("%d slots for %d filters", n, left)
	}
	for i := range all {
		f := strconv.Itoa(i)
		if e := x.find(hash(f), f); (e != nil) != (i >= all-left) || e != nil && e.one.subscriber != i {
			t.Fatalf("filter %d: %v", i, e)
		}
	}
}

// TestExactCollisions has many filters with the same hash, and with hashes whose slots are the same, come and go.
func TestExactCollisions(t *testing.T) {
	for _, hash := range []func(i int) uint64{
		func(int) uint64 { return 0 },
		func(int) uint64 { return ^uint64(0) }, // home is the last slot: the search goes on at the first
		func(i int) uint64 { return uint64(i % 3) },
		func(i int) uint64 { return uint64(i%2) << 63 },
	} {
		x := new(exact[int])
		present := map[int]bool{}
		for round := range 500 {
			i := (round * 7919) % 97
			f := fmt.Sprint("filter ", i)
			if present[i] {
				x.drop(hash(i), f, i)
			} else {
				x.put(hash(i), f, i)
			}
			present[i] = !present[i]
			for j := range 97 {
				if e := x.find(hash(j), fmt.Sprint("filter ", j)); (e != nil) != present[j] {
					t.Fatalf("round %d: filter %d found: %v", round, j, e != nil)
				}
			}
		}
	}
}

// TestExactWhileChanging: filters that stay are found at every moment, while others come and go in the same slots and
// the tables grow and shrink.
func TestExactWhileChanging(t *testing.T) {
	const stay, others = 50, 5000
	x := new(exact[int])
	hash := func(i int) uint64 { return uint64(i) * 0x9E3779B97F4A7C15 >> shardBits } // all in one shard
	text := make([]string, stay+others)
	for i := range text {
		text[i] = strconv.Itoa(i)
	}
	for i := range stay {
		x.put(hash(i), text[i], i)
	}
	var stop atomic.Bool
	var reading, writing sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			for n := 0; !stop.Load(); n++ {
				i := n % stay
				if e := x.find(hash(i), text[i]); e == nil || e.one.subscriber != i {
					t.Errorf("filter %d is missing or another", i)
					return
				}
			}
		})
	}
	for w := range 2 {
		writing.Go(func() {
			for range 5 {
				for i := stay + w; i < len(text); i += 2 {
					x.put(hash(i), text[i], i)
				}
				for i := stay + w; i < len(text); i += 2 {
					x.drop(hash(i), text[i], i)
				}
			}
		})
	}
	writing.Wait()
	stop.Store(true)
	reading.Wait()
}
