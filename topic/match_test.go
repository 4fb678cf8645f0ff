package topic

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMatches holds the examples of MQTT 5 §4.7 and the cases that are easy to get wrong.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter  Filter
		matches string // names, separated by spaces
		not     string
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1 sport/tennis/player1/ranking sport/tennis/player1/score/wimbledon", "sport/tennis sport/tennis/player10 sport/tennis/player2"},
		{"sport/#", "sport sport/ sport/tennis", "Sport sports"},
		{"#", "a / a/b //", "$SYS $SYS/a $"},
		{"sport/tennis/+", "sport/tennis/player1 sport/tennis/player2 sport/tennis/", "sport/tennis/player1/ranking sport/tennis"},
		{"sport/+", "sport/ sport/a", "sport sport/a/b"},
		{"+/+", "/finance a/b /", "finance a/b/c"},
		{"/+", "/finance /", "finance a/b"},
		{"+", "finance", "/finance $SYS a/b"},
		{"+/monitor/Clients", "a/monitor/Clients", "$SYS/monitor/Clients"},
		{"$SYS/#", "$SYS $SYS/a $SYS/a/b", "$SYSTEM a"},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", "$SYS/monitor"},
		{"a/$x/#", "a/$x a/$x/b", "a/x"},
		{"a/+/c", "a/$b/c a//c", "a/c a/b/c/d"},
		{"+/#", "a a/b / //", "$a $a/b"},
		{"a", "a", "A b a/ /a aa"},
		{"/", "/", "// a"},
		{"+/+/#", "a/b a/b/c /", "a"},
		{"ACCOUNTS", "ACCOUNTS", "Accounts"},
	} {
		for _, n := range strings.Fields(c.matches) {
			if !c.filter.Matches(Name(n)) {
				t.Errorf("%q does not match %q", c.filter, n)
			}
		}
		for _, n := range strings.Fields(c.not) {
			if c.filter.Matches(Name(n)) {
				t.Errorf("%q matches %q", c.filter, n)
			}
		}
	}
	if Filter("#").Matches("") || Filter("").Matches("a") || Filter("").Matches("") {
		t.Error("empty strings match")
	}
}

func TestHasWildcard(t *testing.T) {
	for f, want := range map[Filter]bool{"a": false, "a/b": false, "#": true, "a/+/b": true, "$x": false} {
		if f.HasWildcard() != want {
			t.Errorf("%q", f)
		}
	}
}

// naive is a recursive matcher, close to the words of the standard.
func naive(f, n []string) bool {
	if len(f) == 0 {
		return len(n) == 0
	}
	if f[0] == "#" {
		return true // also for no levels: the parent
	}
	if len(n) == 0 {
		return false
	}
	return (f[0] == "+" || f[0] == n[0]) && naive(f[1:], n[1:])
}

func naiveMatches(f Filter, n Name) bool {
	if strings.HasPrefix(string(n), "$") && (strings.HasPrefix(string(f), "+") || strings.HasPrefix(string(f), "#")) {
		return false
	}
	return naive(strings.Split(string(f), "/"), strings.Split(string(n), "/"))
}

// Few different levels, so that filters and names meet often.
var (
	genName = rapid.Custom(func(t *rapid.T) Name {
		levels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "$x"}), 1, 5).Draw(t, "levels")
		return Name(strings.Join(levels, "/"))
	}).Filter(func(n Name) bool { return n != "" })
	genFilter = rapid.Custom(func(t *rapid.T) Filter {
		levels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "$x", "+", "+"}), 0, 5).Draw(t, "levels")
		if len(levels) == 0 || rapid.Bool().Draw(t, "all below") {
			levels = append(levels, "#")
		}
		return Filter(strings.Join(levels, "/"))
	}).Filter(func(f Filter) bool { return f != "" })
)

func TestMatchesAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, n := genFilter.Draw(t, "filter"), genName.Draw(t, "name")
		if _, err := ParseFilter(string(f)); err != nil {
			t.Fatalf("generated %q: %v", f, err)
		}
		if _, err := ParseName(string(n)); err != nil {
			t.Fatalf("generated %q: %v", n, err)
		}
		if got, want := f.Matches(n), naiveMatches(f, n); got != want {
			t.Fatalf("%q matches %q: %t, want %t", f, n, got, want)
		}
	})
}

// witnesses are enough names to tell any two of the generated filters apart: a level that no filter names stands for
// all others.
func witnesses(depth int) []Name {
	levels := []string{"a", "b", "", "$x", "other", "$other"}
	var all []Name
	prefixes := []string{""}
	for d := range depth {
		var next []string
		for _, p := range prefixes {
			for _, l := range levels {
				s := l
				if d > 0 {
					s = p + "/" + l
				}
				next = append(next, s)
				if s != "" {
					all = append(all, Name(s))
				}
			}
		}
		prefixes = next
	}
	return all
}

// TestCoversIsExact compares Covers with its definition on enough names.
func TestCoversIsExact(t *testing.T) {
	names := witnesses(4)
	small := rapid.Custom(func(t *rapid.T) Filter {
		levels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "", "$x", "+"}), 0, 3).Draw(t, "levels")
		if len(levels) == 0 || rapid.Bool().Draw(t, "all below") {
			levels = append(levels, "#")
		}
		return Filter(strings.Join(levels, "/"))
	}).Filter(func(f Filter) bool { return f != "" })
	rapid.Check(t, func(t *rapid.T) {
		f, g := small.Draw(t, "f"), small.Draw(t, "g")
		want := true
		for _, n := range names {
			if g.Matches(n) && !f.Matches(n) {
				want = false
				break
			}
		}
		if got := f.Covers(g); got != want {
			t.Fatalf("%q covers %q: %t, want %t", f, g, got, want)
		}
	})
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		f, g Filter
		want bool
	}{
		{"#", "a", true},
		{"#", "+/#", true},
		{"+/#", "#", true},
		{"a/#", "a", true},
		{"a/#", "a/+", true},
		{"a/+", "a/#", false},
		{"+", "#", false},
		{"+/+", "a/b", true},
		{"+/b", "a/+", false},
		{"#", "$SYS/#", false},
		{"$SYS/#", "$SYS/#", true},
		{"$SYS/#", "#", false},
		{"a", "a", true},
		{"a", "b", false},
		{"", "a", false},
		{"#", "", false},
	} {
		if got := c.f.Covers(c.g); got != c.want {
			t.Errorf("%q covers %q: %t", c.f, c.g, got)
		}
	}
}

// FuzzMatch: what the Parse functions accept matches as the naive matcher says, and allocates nothing.
func FuzzMatch(f *testing.F) {
	f.Add("a/+/#", "a/b")
	f.Add("$share/g/+", "$SYS")
	f.Add("#", "/")
	f.Fuzz(func(t *testing.T, filter, name string) {
		_, fl, err := ParseSubscription(filter)
		if err != nil {
			if fl != "" {
				t.Fatalf("refused %q and returned %q", filter, fl)
			}
			return
		}
		n, err := ParseName(name)
		if err != nil {
			return
		}
		if got, want := fl.Matches(n), naiveMatches(fl, n); got != want {
			t.Fatalf("%q matches %q: %t, want %t", fl, n, got, want)
		}
		if !fl.Covers(fl) {
			t.Fatalf("%q does not cover itself", fl)
		}
		if exact, err := ParseFilter(name); err == nil && fl.Matches(n) != fl.Covers(exact) {
			t.Fatalf("%q matches %q and does not cover it, or the reverse", fl, n)
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	f, n := Filter(strings.Repeat("+/", 100)+"#"), Name(strings.Repeat("/", 120))
	if got := testing.AllocsPerRun(100, func() {
		if !f.Matches(n) {
			t.Fatal("no match")
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkMatches(b *testing.B) {
	f, n := Filter("sensors/+/temperature/#"), Name("sensors/kitchen/temperature/now")
	b.ReportAllocs()
	for b.Loop() {
		if !f.Matches(n) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkParseSubscription(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseSubscription("sensors/+/temperature/#"); err != nil {
			b.Fatal(err)
		}
	}
}
