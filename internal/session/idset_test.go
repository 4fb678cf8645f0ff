package session

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/mqtt"
)

// TestIDSet holds the set against a map.
func TestIDSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s idSet
		want := map[mqtt.PacketID]bool{}
		id := rapid.OneOf(rapid.Uint16Range(1, 8), rapid.Uint16Range(pageIDs-2, pageIDs+2), rapid.Uint16Range(65_530, 65_535), rapid.Uint16Min(1))
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				id, marked := mqtt.PacketID(id.Draw(t, "id")), rapid.Bool().Draw(t, "marked")
				s.put(id, marked)
				want[id] = marked
			},
			"remove": func(t *rapid.T) {
				id := mqtt.PacketID(id.Draw(t, "id"))
				if _, ok := want[id]; ok {
					s.remove(id)
					delete(want, id)
				}
			},
			"get": func(t *rapid.T) {
				id := mqtt.PacketID(id.Draw(t, "id"))
				marked, ok := s.get(id)
				if m, there := want[id]; ok != there || marked != m {
					t.Fatalf("get %d: %v %v, want %v %v", id, marked, ok, m, there)
				}
			},
			"unmark": func(*rapid.T) {
				s.unmark()
				for id := range want {
					want[id] = false
				}
			},
			"": func(t *rapid.T) {
				var got []mqtt.PacketID
				s.each(func(id mqtt.PacketID) { got = append(got, id) })
				if !slices.Equal(got, slices.Sorted(maps.Keys(want))) || s.len() != len(want) {
					t.Fatalf("members %v (%d), want %v", got, s.len(), want)
				}
			},
		})
	})
}
