package broker

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/identity"
)

// TestOwnersCount compares the counts with a map.
func TestOwnersCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o owners
		o.init()
		want := map[string]int{}
		who := rapid.SampledFrom([]string{"a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				name, limit := who.Draw(t, "who"), rapid.IntRange(0, 3).Draw(t, "limit")
				fits := limit == 0 || want[name] < limit
				if o.take(&identity.Principal{Name: name}, limit) != fits {
					t.Fatalf("limit %d with %d sessions: taken %v", limit, want[name], !fits)
				}
				if fits {
					want[name]++
				}
			},
			"end": func(t *rapid.T) {
				if name := who.Draw(t, "who"); want[name] > 0 {
					o.add(&identity.Principal{Name: name}, -1)
					want[name]--
				}
			},
			"": func(t *rapid.T) {
				n := 0
				for _, sessions := range want {
					if sessions > 0 {
						n++
					}
				}
				if o.len() != n {
					t.Fatalf("%d owners, want %d", o.len(), n)
				}
			},
		})
	})
}
