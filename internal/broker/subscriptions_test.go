package broker

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/store"
)

// TestSubscriptions holds the rows against a map, with and without the index.
func TestSubscriptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s subscriptions
		want := map[string]store.Subscription{}
		filter := rapid.Custom(func(t *rapid.T) string { return strconv.Itoa(rapid.IntRange(0, 3*fewRows).Draw(t, "filter")) })
		put := func(t *rapid.T) {
			row := store.Subscription{Filter: filter.Draw(t, "filter"), SubscriptionID: rapid.Uint32().Draw(t, "id")}
			s.put(row)
			want[row.Filter] = row
		}
		remove := func(t *rapid.T) {
			f := filter.Draw(t, "filter")
			_, there := want[f]
			if s.has(f) != there || s.remove(f) != there {
				t.Fatalf("%q was there: want %v", f, there)
			}
			delete(want, f)
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": put, "put more": put, "remove": remove,
			"": func(t *rapid.T) {
				got := map[string]store.Subscription{}
				for _, r := range s.rows {
					got[r.Filter] = r
				}
				if !maps.Equal(got, want) || s.len() != len(want) {
					t.Fatalf("rows %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
				}
			},
		})
	})
}
