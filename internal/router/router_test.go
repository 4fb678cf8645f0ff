package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// key names one subscription of the model.
type key struct {
	share  topic.ShareName
	filter topic.Filter
	who    int
}

// model is the list of subscriptions, searched one by one.
type model map[key]Options

// want is what Match must return, in the form of got.
func (m model) want(name string) map[string]any {
	targets := map[int]Target[int]{}
	shared := map[string]map[int]Options{}
	for k, o := range m {
		if !k.filter.Matches(topic.Name(name)) {
			continue
		}
		if k.share != "" {
			g := fmt.Sprintf("%s|%s", k.share, k.filter)
			if shared[g] == nil {
				shared[g] = map[int]Options{}
			}
			o.NoLocal = false
			shared[g][k.who] = o
			continue
		}
		t, ok := targets[k.who]
		if !ok {
			t = Target[int]{Subscriber: k.who, Local: &Local{None: true}}
		}
		t.QoS, t.RetainAsPublished, t.SubscriptionIDs = widen(o, t.QoS, t.RetainAsPublished, t.SubscriptionIDs)
		if !o.NoLocal {
			t.Local.None = false
			t.Local.QoS, t.Local.RetainAsPublished, t.Local.SubscriptionIDs = widen(o, t.Local.QoS, t.Local.RetainAsPublished, t.Local.SubscriptionIDs)
		}
		targets[k.who] = t
	}
	for who, t := range targets { // Local is nil when no matching filter of this subscriber has No Local
		any := false
		for k, o := range m {
			any = any || k.who == who && k.share == "" && o.NoLocal && k.filter.Matches(topic.Name(name))
		}
		if !any {
			t.Local = nil
			targets[who] = t
		}
	}
	return map[string]any{"targets": targets, "shared": shared}
}

func widen(o Options, q mqtt.QoS, rap bool, ids []uint32) (mqtt.QoS, bool, []uint32) {
	if o.SubscriptionID != 0 && !slices.Contains(ids, o.SubscriptionID) {
		ids = append(ids, o.SubscriptionID)
		slices.Sort(ids)
	}
	return max(q, o.QoS), rap || o.RetainAsPublished, ids
}

// got brings a Result into the form of the model, and fails on a subscriber or group that is there twice.
func got(t interface{ Fatalf(string, ...any) }, r *Result[int]) map[string]any {
	targets := map[int]Target[int]{}
	for _, x := range r.Targets {
		if _, twice := targets[x.Subscriber]; twice {
			t.Fatalf("subscriber %d twice", x.Subscriber)
		}
		targets[x.Subscriber] = x
	}
	shared := map[string]map[int]Options{}
	for _, g := range r.Shared {
		name := fmt.Sprintf("%s|%s", g.ShareName(), g.Filter())
		if shared[name] != nil {
			t.Fatalf("group %s twice", name)
		}
		shared[name] = map[int]Options{}
		for _, m := range g.Members() {
			shared[name][m.Subscriber] = m.Options
		}
		if len(shared[name]) != len(g.Members()) {
			t.Fatalf("group %s has a member twice", name)
		}
	}
	return map[string]any{"targets": targets, "shared": shared}
}

func genLevel(wild bool) *rapid.Generator[string] {
	levels := []string{"a", "b", "", "$x", "long-level-name"}
	if wild {
		levels = append(levels, "+", "+", "+")
	}
	return rapid.SampledFrom(levels)
}

func genName() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		name := strings.Join(rapid.SliceOfN(genLevel(false), 1, 9).Draw(t, "levels"), "/")
		if name == "" {
			return "a"
		}
		return name
	})
}

func genFilter() *rapid.Generator[topic.Filter] {
	return rapid.Custom(func(t *rapid.T) topic.Filter {
		levels := rapid.SliceOfN(genLevel(true), 1, 9).Draw(t, "levels")
		if rapid.IntRange(0, 2).Draw(t, "multi") == 0 {
			levels[len(levels)-1] = "#"
		}
		f := strings.Join(levels, "/")
		if f == "" {
			f = "+"
		}
		return topic.Filter(f)
	})
}

func genOptions() *rapid.Generator[Options] {
	return rapid.Custom(func(t *rapid.T) Options {
		return Options{
			QoS:               mqtt.QoS(rapid.IntRange(0, 2).Draw(t, "qos")),
			NoLocal:           rapid.Bool().Draw(t, "no local"),
			RetainAsPublished: rapid.Bool().Draw(t, "retain as published"),
			SubscriptionID:    rapid.SampledFrom([]uint32{0, 1, 2, 3, MaxSubscriptionID}).Draw(t, "id"),
		}
	})
}

// TestModel compares the router with a list that is searched by topic.Filter.Matches, through any sequence of changes,
// with caches that are normal, tiny and off.
func TestModel(t *testing.T) {
	for _, c := range []Config{{}, {CacheEntries: 4, CacheBytes: 8192}, {CacheEntries: -1}} {
		t.Run(fmt.Sprintf("cache %d", c.CacheEntries), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { checkModel(t, c) })
		})
	}
}

func checkModel(t *rapid.T, c Config) {
	r, m := New[int](c), model{}
	names := rapid.SliceOfN(genName(), 1, 4).Draw(t, "names") // few, so that the cache is asked for them again
	genKey := rapid.Custom(func(t *rapid.T) key {
		return key{
			rapid.SampledFrom([]topic.ShareName{"", "", "g", "h"}).Draw(t, "share"),
			genFilter().Draw(t, "filter"), rapid.IntRange(1, 3).Draw(t, "who"),
		}
	})
	check := func(name string) {
		if diff := cmp.Diff(m.want(name), got(t, r.Match(name))); diff != "" {
			t.Fatalf("Match(%q): -want +got\n%s", name, diff)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"subscribe": func(t *rapid.T) {
			k, o := genKey.Draw(t, "key"), genOptions().Draw(t, "options")
			_, had := m[k]
			if replaced := r.Subscribe(k.share, k.filter, k.who, o); replaced != had {
				t.Fatalf("Subscribe(%v) = %v", k, replaced)
			}
			m[k] = o
		},
		"subscribe to a name": func(t *rapid.T) {
			k := key{filter: topic.Filter(rapid.SampledFrom(names).Draw(t, "name")), who: 1}
			r.Subscribe("", k.filter, 1, Options{})
			m[k] = Options{}
		},
		"unsubscribe": func(t *rapid.T) {
			k := genKey.Draw(t, "key")
			if len(m) > 0 && rapid.Bool().Draw(t, "present") {
				keys := make([]key, 0, len(m))
				for k := range m {
					keys = append(keys, k)
				}
				slices.SortFunc(keys, func(a, b key) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
				k = rapid.SampledFrom(keys).Draw(t, "one")
			}
			_, had := m[k]
			if existed := r.Unsubscribe(k.share, k.filter, k.who); existed != had {
				t.Fatalf("Unsubscribe(%v) = %v", k, existed)
			}
			delete(m, k)
		},
		"match": func(t *rapid.T) { check(genName().Draw(t, "name")) },
		"": func(t *rapid.T) {
			for _, name := range names {
				check(name)
			}
			if r.Len() != len(m) {
				t.Fatalf("Len() = %d, want %d", r.Len(), len(m))
			}
		},
	})
	for k := range m {
		r.Unsubscribe(k.share, k.filter, k.who)
	}
	checkEmpty(t, r)
}

// checkEmpty fails when anything is left of filters that nobody has any more.
func checkEmpty[S comparable](t interface{ Fatalf(string, ...any) }, r *Router[S]) {
	if n := r.wild.nodes.Load(); n != 0 || !r.wild.root.empty() {
		t.Fatalf("%d trie nodes left", n)
	}
	for i := range r.exact.shards {
		if s := &r.exact.shards[i]; s.live != 0 || s.table.Load() != nil {
			t.Fatalf("%d filters left in shard %d", s.live, i)
		}
	}
	if r.Len() != 0 {
		t.Fatalf("Len() = %d", r.Len())
	}
}

// TestStandardExamples are the examples of MQTT 5 §4.7.1 and §4.7.2.
func TestStandardExamples(t *testing.T) {
	for _, c := range []struct {
		filter topic.Filter
		name   string
		want   bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"#", "$SYS/x", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS/x", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
		{"a//#", "a/", true},
		{"a/+", "a/$b", true},
		{"A", "a", false},
	} {
		r := New[int](Config{})
		r.Match(c.name) // the empty result is cached and must not survive
		r.Subscribe("", c.filter, 1, Options{})
		if n := len(r.Match(c.name).Targets); (n == 1) != c.want {
			t.Errorf("%s on %s: %d targets", c.name, c.filter, n)
		}
	}
}

func TestMergeOverlapping(t *testing.T) {
	r := New[string](Config{})
	r.Subscribe("", "a/b", "s", Options{QoS: 1, NoLocal: true, SubscriptionID: 9})
	r.Subscribe("", "a/+", "s", Options{QoS: 0, RetainAsPublished: true, SubscriptionID: 3})
	r.Subscribe("", "#", "s", Options{QoS: 2, NoLocal: true, SubscriptionID: 3})
	r.Subscribe("", "a/#", "quiet", Options{NoLocal: true})
	want := map[string]Target[string]{
		"s": {
			Subscriber: "s", QoS: 2, RetainAsPublished: true, SubscriptionIDs: []uint32{3, 9},
			Local: &Local{QoS: 0, RetainAsPublished: true, SubscriptionIDs: []uint32{3}},
		},
		"quiet": {Subscriber: "quiet", Local: &Local{None: true}},
	}
	have := map[string]Target[string]{}
	for _, x := range r.Match("a/b").Targets {
		have[x.Subscriber] = x
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	for _, o := range []Options{{QoS: 3}, {SubscriptionID: MaxSubscriptionID + 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was accepted", o)
				}
			}()
			New[int](Config{}).Subscribe("", "a", 1, o)
		}()
	}
}

func TestGroupRoundRobin(t *testing.T) {
	r := New[int](Config{})
	for i := range 3 {
		r.Subscribe("g", "a/#", i, Options{QoS: 1, NoLocal: true})
	}
	g := r.Match("a/x").Shared[0]
	first := g.Members()
	counts := map[int]int{}
	for range 300 {
		members := g.Members()
		counts[members[g.Next()%uint64(len(members))].Subscriber]++
	}
	if diff := cmp.Diff(map[int]int{0: 100, 1: 100, 2: 100}, counts); diff != "" {
		t.Error(diff)
	}
	cachedResult := r.Match("a/x")
	r.Subscribe("g", "a/#", 3, Options{})
	if r.Match("a/x") != cachedResult {
		t.Error("joining a group made the cached result stale")
	}
	if len(first) != 3 || len(g.Members()) != 4 {
		t.Errorf("snapshot of %d members, now %d; want 3 and 4", len(first), len(g.Members()))
	}
	for i := range 4 {
		r.Unsubscribe("g", "a/#", i)
	}
	if len(g.Members()) != 0 || len(r.Match("a/x").Shared) != 0 {
		t.Error("the group outlived its members")
	}
	checkEmpty(t, r)
}

// TestManySubscribers passes through all sizes of the hash tree, up and down, and keeps results exact.
func TestManySubscribers(t *testing.T) {
	const n = 3000
	for _, f := range []topic.Filter{"a/b", "a/+"} {
		r := New[int](Config{})
		for i := range n {
			r.Subscribe("", f, i, Options{SubscriptionID: uint32(i + 1)})
			r.Subscribe("g", f, i, Options{})
		}
		for left := n; left > 0; left-- {
			if left < 40 || left%500 == 0 {
				seen := map[int]bool{}
				res := r.Match("a/b")
				for _, x := range res.Targets {
					if len(x.SubscriptionIDs) != 1 || x.SubscriptionIDs[0] != uint32(x.Subscriber+1) {
						t.Fatalf("subscriber %d has identifiers %v", x.Subscriber, x.SubscriptionIDs)
					}
					seen[x.Subscriber] = true
				}
				if len(seen) != left || len(res.Targets) != left || len(res.Shared[0].Members()) != left {
					t.Fatalf("%d targets, %d different, want %d", len(res.Targets), len(seen), left)
				}
			}
			if !r.Unsubscribe("", f, left-1) || !r.Unsubscribe("g", f, left-1) {
				t.Fatalf("subscriber %d is missing", left-1)
			}
		}
		checkEmpty(t, r)
	}
}

// TestHostileCost shows that matching visits a trie node at most once, for the worst filters there are.
func TestHostileCost(t *testing.T) {
	const depth = 10
	r := New[int](Config{CacheEntries: -1})
	for i := range 1 << depth {
		r.Subscribe("", combination(i, depth)+"/end", 1, Options{})
	}
	r.Subscribe("", topic.Filter(strings.Repeat("+/", topic.MaxLevels-1)+"+"), 1, Options{})
	w := new(walk[int])
	r.wild.match(strings.Repeat("a/", topic.MaxLevels-1)+"a", w)
	nodes := int(r.wild.nodes.Load())
	if w.visits > nodes+1 {
		t.Errorf("visited %d nodes of %d", w.visits, nodes)
	}
	if cap(w.pending) > 2*(topic.MaxLevels+1) {
		t.Errorf("%d nodes pending at once", cap(w.pending))
	}
	if len(w.found) != 1 {
		t.Errorf("found %d filters", len(w.found))
	}
	w = new(walk[int])
	r.wild.match(strings.Repeat("b/", 5)+"b", w)
	if w.visits > 7 {
		t.Errorf("a name of 6 levels that only the long filter resembles visited %d nodes", w.visits)
	}
}

func TestMatchAllocations(t *testing.T) {
	r := New[int](Config{})
	for i := range 100 {
		r.Subscribe("", "a/#", i, Options{SubscriptionID: 7})
		r.Subscribe("", "a/b", i, Options{QoS: 1})
		r.Subscribe("g", "+/b", i, Options{})
	}
	r.Match("a/b")
	if n := testing.AllocsPerRun(1000, func() { r.Match("a/b") }); n != 0 {
		t.Errorf("%v allocations on a hit", n)
	}
	if n := testing.AllocsPerRun(1000, func() { r.Match("a/b").Shared[0].Members() }); n != 0 {
		t.Errorf("%v allocations for the members", n)
	}
}

// TestNameMayBeReused changes the bytes of a matched name afterwards.
func TestNameMayBeReused(t *testing.T) {
	for _, c := range []Config{{}, {CacheEntries: -1}} {
		r := New[int](c)
		buffer := []byte("a/+|a/b|g")
		text := unsafe.String(&buffer[0], len(buffer))
		r.Subscribe("", "a/+", 1, Options{})
		r.Subscribe("", "a/b", 2, Options{})
		r.Subscribe(topic.ShareName(text[8:]), "a/+", 3, Options{})
		before := r.Match(text[4:7])
		copy(buffer, "x/y|z/z|h")
		res := r.Match("a/b")
		if len(res.Targets) != 2 || len(res.Shared) != 1 || res.Shared[0].ShareName() != "g" || res.Shared[0].Filter() != "a/+" {
			t.Errorf("got %+v", res)
		}
		if cached := c.CacheEntries >= 0; (res == before) != cached {
			t.Errorf("result from the cache: %v, want %v", res == before, cached)
		}
		if n := len(r.Match("a/other").Targets); n != 1 {
			t.Errorf("%d targets by the wildcard filter", n)
		}
		if n := len(r.Match("z/z").Targets); n != 0 {
			t.Errorf("%d targets for a name nobody subscribed", n)
		}
	}
}

// TestTopicsShareTargets: the list of a large fan-out exists once for all topics, and not after a subscriber has left.
func TestTopicsShareTargets(t *testing.T) {
	r := New[int](Config{})
	for i := range flatMin {
		r.Subscribe("", "#", i, Options{})
	}
	if &r.Match("a").Targets[0] != &r.Match("b").Targets[0] {
		t.Error("two lists for one filter")
	}
	e := r.wild.root.multi.Load()
	if r.Unsubscribe("", "#", 0); e.many.flat.Load() != nil {
		t.Error("the list keeps a subscriber that has left")
	}
}
