package broker

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/store"
)

// TestSubscriptions compares the list, the map and the change between them with a map.
func TestSubscriptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s subscriptions
		model := map[string]store.Subscription{}
		filter := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("f", rapid.IntRange(0, 2*fewSubscriptions).Draw(t, "n")) })
		if first := rapid.SliceOfDistinct(filter, rapid.ID).Draw(t, "stored"); len(first) > 0 {
			var list []store.Subscription
			for i, f := range first {
				list = append(list, store.Subscription{Filter: f, SubscriptionID: uint32(i)})
				model[f] = list[i]
			}
			s.adopt(list)
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				sub := store.Subscription{Filter: filter.Draw(t, "filter"), SubscriptionID: rapid.Uint32().Draw(t, "id")}
				s.put(&sub)
				model[sub.Filter] = sub
			},
			"remove": func(t *rapid.T) {
				f := filter.Draw(t, "filter")
				s.remove(f)
				delete(model, f)
			},
			"has": func(t *rapid.T) {
				f := filter.Draw(t, "filter")
				if _, ok := model[f]; s.has(f) != ok {
					t.Fatalf("has %q: %v", f, !ok)
				}
			},
			"": func(t *rapid.T) {
				all := s.all()
				if s.len() != len(model) || len(all) != len(model) {
					t.Fatalf("%d, %d in all, want %d", s.len(), len(all), len(model))
				}
				for _, sub := range all {
					if model[sub.Filter] != sub {
						t.Fatalf("%+v, want %+v", sub, model[sub.Filter])
					}
				}
			},
		})
	})
}
