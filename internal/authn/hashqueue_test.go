package authn

import (
	"context"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// TestHashQueueIsFair: an address with one login is served before the flood of another, and a full queue sends the
// flood away, not the newcomer.
func TestHashQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newHashQueue(1, 4)
		flood, victim := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		if err := q.acquire(t.Context(), flood); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		full := 0
		wait := func(from netip.Prefix, name string) {
			go func() {
				err := q.acquire(t.Context(), from)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					full++
					return
				}
				order = append(order, name)
			}()
			synctest.Wait()
		}
		for _, name := range []string{"f1", "f2", "f3", "f4", "f5"} {
			wait(flood, name)
		}
		wait(victim, "v1")
		for range 5 {
			q.release()
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"f1", "v1", "f2", "f3"}, order); diff != "" || full != 2 {
			t.Errorf("%d refused, order: %s", full, diff)
		}
		if q.free != 1 || q.waiting != 0 || len(q.lines) != 0 || len(q.turn) != 0 {
			t.Errorf("left over: %+v", q)
		}
	})
}

// TestHashQueueGivesUp: who stops waiting leaves nothing behind, also when the slot comes at the same time.
func TestHashQueueGivesUp(t *testing.T) {
	a := netip.MustParsePrefix("192.0.2.1/32")
	for range 200 {
		q := newHashQueue(1, 4)
		if err := q.acquire(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if q.acquire(ctx, a) == nil {
				q.release()
			}
		})
		all.Go(cancel)
		all.Go(q.release)
		all.Wait()
		if q.free != 1 || q.waiting != 0 || len(q.turn) != 0 {
			t.Fatalf("left over: %+v", q)
		}
	}
}

// TestHashGarbage: once the hashes have left behind what their slots need, there is a collection before the next one.
func TestHashGarbage(t *testing.T) {
	var g hashGarbage
	const hash = 1 << 40 // more than half of any live heap
	for range 20 {
		before, _ := collector()
		g.leave(hash, 1)
		if after, _ := collector(); after == before {
			t.Fatal("nothing was collected")
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	g.cycles, _ = collector()
	for range 2 {
		g.leave(1, 1<<30)
	}
	if g.bytes != 2 {
		t.Errorf("%d bytes are counted, want what both left", g.bytes)
	}
	runtime.GC()
	g.leave(1, 1<<30)
	if g.bytes != 1 {
		t.Errorf("%d bytes are counted after a collection by somebody else", g.bytes)
	}
	g.bytes = 0
	g.leave(0, 1) // PBKDF2 and SHA-512 leave nothing
	if g.bytes != 0 {
		t.Errorf("%d bytes are counted", g.bytes)
	}
}

// TestHashQueueTie: a newcomer displaces only who has more in line than it would have itself.
func TestHashQueueTie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newHashQueue(1, 3)
		a, b, c := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32"), netip.MustParsePrefix("192.0.2.3/32")
		if err := q.acquire(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		results := map[netip.Prefix][]error{}
		wait := func(from netip.Prefix) {
			go func() {
				err := q.acquire(t.Context(), from)
				results[from] = append(results[from], err) // one at a time: the slot is passed on below
			}()
			synctest.Wait()
		}
		wait(a)
		wait(a)
		wait(b)
		wait(b) // both lines would have two: no gain in fairness
		if len(results[a]) != 0 || len(results[b]) != 1 || results[b][0] == nil {
			t.Fatalf("a tie: %v", results)
		}
		wait(c)
		if len(results[a]) != 1 || results[a][0] == nil || len(results[b]) != 1 || len(results[c]) != 0 {
			t.Fatalf("the longest line: %v", results)
		}
		for range 4 {
			q.release()
			synctest.Wait()
		}
		if len(results[a]) != 2 || len(results[b]) != 2 || len(results[c]) != 1 || q.free != 1 {
			t.Errorf("%v, %d free", results, q.free)
		}
	})
}

// givingUp is a context that ends at the moment when somebody begins to wait, after it has done what is given.
type givingUp struct {
	context.Context
	first func()
}

func (g givingUp) Done() <-chan struct{} {
	g.first()
	done := make(chan struct{})
	close(done)
	return done
}

func (g givingUp) Err() error { return context.Canceled }

// TestHashQueueEndsTogether: whoever gives up at the moment of its turn passes the slot on, and at the moment of being sent
// away has none to pass.
func TestHashQueueEndsTogether(t *testing.T) {
	a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	for range 64 { // which of the two is seen first is a coin
		q := newHashQueue(1, 4)
		if err := q.acquire(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		err := q.acquire(givingUp{t.Context(), func() {}}, a)
		if err == nil || q.waiting != 0 || q.free != 0 || len(q.turn) != 0 {
			t.Fatalf("gave up: %v, left over: %+v", err, q)
		}
		if err = q.acquire(givingUp{t.Context(), q.release}, a); err == nil {
			q.release()
		}
		if q.waiting != 0 || q.free != 1 {
			t.Fatalf("its turn came: %v, left over: %+v", err, q)
		}
		if err := q.acquire(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		q.lines[a], q.turn, q.waiting = []*hashWaiter{{ready: make(chan error, 1)}}, []netip.Prefix{a}, 1
		if err = q.acquire(givingUp{t.Context(), func() { q.displace(b) }}, a); err == nil || q.free != 0 || q.waiting != 1 {
			t.Fatalf("sent away: %v, left over: %+v", err, q)
		}
	}
}
