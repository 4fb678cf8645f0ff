package broker

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRegistryCollisions compares the registry with a map while most Client Identifiers have the same hash.
func TestRegistryCollisions(t *testing.T) {
	names := []string{"a", "b", "c", "dd", "ee", "fff"}
	rapid.Check(t, func(t *rapid.T) {
		var r registry
		r.init()
		r.hash = func(clientID string) uint64 { return uint64(len(clientID)) }
		want := map[string]*clientSession{}
		var ended []*clientSession
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				s := &clientSession{clientID: rapid.SampledFrom(names).Draw(t, "id")}
				if old := want[s.clientID]; old != nil {
					ended = append(ended, old)
				}
				r.put(s)
				want[s.clientID] = s
			},
			"remove": func(t *rapid.T) {
				name := rapid.SampledFrom(names).Draw(t, "id")
				if s := want[name]; s != nil {
					r.remove(s)
					delete(want, name)
				}
			},
			"remove what was replaced": func(*rapid.T) {
				for _, s := range ended {
					r.remove(s)
				}
				ended = nil
			},
			"": func(t *rapid.T) {
				for _, name := range append(names, "unknown") {
					if r.get(name) != want[name] {
						t.Fatalf("another session than that of %q", name)
					}
				}
				list := r.all()
				if len(list) != len(want) || r.len() != len(want) {
					t.Fatalf("%d sessions, len() %d, want %d", len(list), r.len(), len(want))
				}
				for _, s := range list {
					if want[s.clientID] != s {
						t.Fatalf("an ended session of %q is listed", s.clientID)
					}
				}
			},
		})
	})
}
