package acl

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

func entries(filters ...topic.Filter) []Entry {
	list := make([]Entry, len(filters))
	for i, f := range filters {
		list[i] = Entry{f, identity.Rule{Name: string(f), File: "sealmq.yaml", Line: i + 1}}
	}
	return list
}

func TestStatic(t *testing.T) {
	s := &Static{
		Publish:   Lists{Allow: entries("a/+"), Deny: entries("a/secret")},
		Subscribe: Lists{Allow: entries("a/#", "$SYS/#"), Deny: entries("a/secret/#")},
	}
	for _, c := range []struct {
		action identity.Action
		on     string
		want   bool
		rule   string
	}{
		{identity.Connect, "any", true, "no rule about client identifiers"},
		{identity.Publish, "a/b", true, "sealmq.yaml:1 a/+"},
		{identity.Retain, "a/b", true, "sealmq.yaml:1 a/+"},
		{identity.Will, "a/b", true, "sealmq.yaml:1 a/+"},
		{identity.Publish, "a/secret", false, "sealmq.yaml:1 a/secret"},
		{identity.Will, "a/secret", false, "sealmq.yaml:1 a/secret"},
		{identity.Publish, "a", false, "default deny"},
		{identity.Publish, "$SYS/x", false, "default deny"},
		{identity.Subscribe, "a/b/+", true, "sealmq.yaml:1 a/#"},
		{identity.Subscribe, "a/#", true, "sealmq.yaml:1 a/#"},
		{identity.Subscribe, "a/secret/x", false, "sealmq.yaml:1 a/secret/#"},
		{identity.Subscribe, "#", false, "default deny"},
		{identity.Subscribe, "$SYS/#", true, "sealmq.yaml:2 $SYS/#"},
		{identity.Receive, "a/b/c", true, "sealmq.yaml:1 a/#"},
		{identity.Receive, "a/secret/x", false, "sealmq.yaml:1 a/secret/#"},
		{identity.Receive, "b", false, "default deny"},
		{0, "a/b", false, "default deny"},
		{200, "a/b", false, "default deny"},
	} {
		d := s.Authorize(&identity.Anonymous, "", c.action, c.on)
		if d.Allowed != c.want || d.Rule.String() != c.rule || d.Allowed != (d.Why == "") {
			t.Errorf("%v %s: got %+v, want %v by %s", c.action, c.on, d, c.want, c.rule)
		}
	}
}

// TestZeroStaticDenies: without lists nothing may be published or received.
func TestZeroStaticDenies(t *testing.T) {
	for a := identity.Publish; a <= identity.Will; a++ {
		if d := new(Static).Authorize(&identity.Anonymous, "", a, "a"); d.Allowed {
			t.Errorf("%v is allowed", a)
		}
	}
}

// TestNothingBeyondAllow: whatever is subscribed, what is received is matched by an allowed and by no denied filter.
func TestNothingBeyondAllow(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "+"})
	filter := rapid.Custom(func(t *rapid.T) topic.Filter {
		f := strings.Join(rapid.SliceOfN(level, 1, 3).Draw(t, "levels"), "/")
		if rapid.Bool().Draw(t, "rest") {
			f += "/#"
		}
		return topic.Filter(f)
	})
	rapid.Check(t, func(t *rapid.T) {
		allow := rapid.SliceOfN(filter, 0, 3).Draw(t, "allow")
		deny := rapid.SliceOfN(filter, 0, 2).Draw(t, "deny")
		s := &Static{Subscribe: Lists{Allow: entries(allow...), Deny: entries(deny...)}}
		sub := filter.Draw(t, "subscription")
		n := topic.Name(strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 4).Draw(t, "topic"), "/"))
		allowed, denied := false, false
		for _, f := range allow {
			allowed = allowed || f.Matches(n)
		}
		for _, f := range deny {
			denied = denied || f.Matches(n)
		}
		received := s.Authorize(nil, "", identity.Receive, string(n)).Allowed
		if received != (allowed && !denied) {
			t.Fatalf("receive %q: %v", n, received)
		}
		// Within a granted subscription only denied topics are held back.
		if s.Authorize(nil, "", identity.Subscribe, string(sub)).Allowed && sub.Matches(n) && !received && !denied {
			t.Fatalf("the subscription %q was granted, but %q is not received and not denied", sub, n)
		}
	})
}

func TestAllowDoesNotAllocate(t *testing.T) {
	s := &Static{Publish: Lists{Allow: entries("a/+"), Deny: entries("secret/#")}}
	if n := testing.AllocsPerRun(100, func() { s.Authorize(&identity.Anonymous, "", identity.Publish, "a/b") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
