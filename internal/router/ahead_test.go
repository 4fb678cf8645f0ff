package router

import (
	"fmt"
	"testing"

	"github.com/sealmq/sealmq/topic"
)

// TestLookAhead: looking ahead changes no result and takes no memory, with and without a cache, for names that match and
// names that do not, and for any number of them.
func TestLookAhead(t *testing.T) {
	for _, c := range []Config{{}, {CacheEntries: -1}} {
		r := New[int](c)
		r.LookAhead([][]byte{[]byte("nobody")})
		for i := range 1000 {
			r.Subscribe("", topic.Filter(fmt.Sprint("a/", i)), i, Options{SubscriptionID: uint32(i + 1)})
		}
		var names [][]byte
		for i := range 3 * Ahead {
			names = append(names, []byte(fmt.Sprint("a/", i*50)))
		}
		for n := range len(names) {
			if got := testing.AllocsPerRun(1, func() { r.LookAhead(names[:n]) }); got != 0 {
				t.Errorf("%v allocations for %d names", got, n)
			}
		}
		room := new(Room[int])
		for i, name := range names {
			res, want := r.MatchIn(room, string(name)), i*50 < 1000
			if (len(res.Targets) == 1) != want || want && res.Targets[0].Subscriber != i*50 {
				t.Errorf("%s has %d targets", name, len(res.Targets))
			}
		}
	}
}
