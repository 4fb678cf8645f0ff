package retained

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

func newMessage(name, payload string) *message.Message { return messageOf(nil, name, payload) }

func messageOf(author *identity.Principal, name, payload string) *message.Message {
	return message.New(&mqtt.Publish{Topic: name, Payload: []byte(payload), Retain: true}, "c", author, 1)
}

// authors are two principals and the broker itself; the last is the same principal as the first, at another place.
var authors = []*identity.Principal{{Method: "password", Name: "a"}, {Method: "token", Name: "a"}, nil, {Method: "password", Name: "a"}}

func genName() *rapid.Generator[string] {
	level := rapid.SampledFrom([]string{"a", "b", "ab", "a-b", "", "$s", "\x01", "~", "é"})
	return rapid.Custom(func(t *rapid.T) string {
		if s := strings.Join(rapid.SliceOfN(level, 1, 5).Draw(t, "levels"), "/"); s != "" {
			return s
		}
		return "a"
	})
}

func genFilter() *rapid.Generator[topic.Filter] {
	level := rapid.SampledFrom([]string{"a", "b", "ab", "a-b", "", "$s", "~", "+", "+", "+"})
	return rapid.Custom(func(t *rapid.T) topic.Filter {
		levels := rapid.SliceOfN(level, 1, 5).Draw(t, "levels")
		if rapid.Bool().Draw(t, "multi") {
			levels[len(levels)-1] = "#"
		}
		if s := strings.Join(levels, "/"); s != "" {
			return topic.Filter(s)
		}
		return "#"
	})
}

// TestModel compares the tree with a map that is searched by topic.Filter.Matches.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, m := New(), map[string]*message.Message{}
		for i, name := range rapid.SliceOfN(genName(), 0, 60).Draw(t, "put at first") {
			m[name] = newMessage(name, strconv.Itoa(i))
			tree.Put(m[name])
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				name := genName().Draw(t, "name")
				msg := messageOf(rapid.SampledFrom(authors).Draw(t, "author"), name, rapid.SampledFrom([]string{"", "x", "longer"}).Draw(t, "payload"))
				if previous := tree.Put(msg); previous != m[name] {
					t.Fatalf("Put(%q) returned another message", name)
				}
				if delete(m, name); len(msg.Payload()) > 0 {
					m[name] = msg
				}
			},
			"delete": func(t *rapid.T) {
				name := genName().Draw(t, "name")
				if previous := tree.Delete(name); previous != m[name] {
					t.Fatalf("Delete(%q) returned another message", name)
				}
				delete(m, name)
			},
			"match": func(t *rapid.T) {
				f := genFilter().Draw(t, "filter")
				want := matching(m, f)
				var got []string
				tree.Match(f, func(x *message.Message) bool { got = append(got, x.Topic()); return x == m[x.Topic()] })
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("Match(%q): -want +got\n%s", f, diff)
				}
				if diff := cmp.Diff(want, pages(tree, f, rapid.IntRange(-1, 4).Draw(t, "limit"))); diff != "" {
					t.Fatalf("MatchPage(%q): -want +got\n%s", f, diff)
				}
			},
			"": func(t *rapid.T) { checkSizes(t, tree, m) },
		})
	})
}

func matching(m map[string]*message.Message, f topic.Filter) (names []string) {
	for name := range m {
		if f.Matches(topic.Name(name)) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compare[string])
	return names
}

func pages(tree *Tree, f topic.Filter, limit int) (names []string) {
	for after := ""; ; {
		page, next := tree.MatchPage(f, after, limit)
		for _, x := range page {
			names = append(names, x.Topic())
		}
		if next == "" {
			return names
		}
		after = next
	}
}

// checkSizes compares counts, bytes and the order of all chunks with a model.
func checkSizes(t interface{ Fatalf(string, ...any) }, tree *Tree, m map[string]*message.Message) {
	var bytes int64
	held := map[identity.Principal]Holding{}
	of := func(author *identity.Principal) identity.Principal {
		if author == nil {
			return identity.Principal{}
		}
		return *author
	}
	for name, x := range m {
		bytes += int64(x.Size())
		h := held[of(x.Author)]
		held[of(x.Author)] = Holding{h.Count + 1, h.Bytes + int64(x.Size())}
		if tree.Get(name) != x {
			t.Fatalf("Get(%q) returned another message", name)
		}
	}
	if tree.Count() != len(m) || tree.Bytes() != bytes {
		t.Fatalf("Count() = %d, Bytes() = %d, want %d and %d", tree.Count(), tree.Bytes(), len(m), bytes)
	}
	for _, author := range authors {
		if got := tree.Held(messageOf(author, "a", "x")); got != held[of(author)] {
			t.Fatalf("held of %v: %+v, want %+v", author, got, held[of(author)])
		}
	}
	if len(tree.held) != len(held) {
		t.Fatalf("%d authors are counted, want %d", len(tree.held), len(held))
	}
	all := slices.Concat(tree.chunks...)
	if len(all) != len(m) {
		t.Fatalf("%d topics in order, want %d", len(all), len(m))
	}
	for i := 1; i < len(all); i++ {
		if compare(all[i-1].topic, all[i].topic) >= 0 {
			t.Fatalf("%q is not before %q", all[i-1].topic, all[i].topic)
		}
	}
	for i, chunk := range tree.chunks {
		if len(chunk) == 0 || len(chunk) >= maxChunk {
			t.Fatalf("chunk %d has %d topics", i, len(chunk))
		}
	}
}

// TestOrder: compare is a total order in which the topics below a level follow it without a gap.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(genName(), 3, 3).Draw(t, "names")
		slices.SortFunc(names, compare[string])
		a, b, c := names[0], names[1], names[2]
		if compare(a, b) > 0 || compare(b, c) > 0 || compare(a, c) > 0 || compare(c, a) < 0 || (compare(a, b) == 0) != (a == b) {
			t.Fatalf("no order: %q", names)
		}
		below := func(x string) bool { return strings.HasPrefix(x, a+"/") }
		if below(c) && b != a && !below(b) {
			t.Fatalf("%q lies between %q and a topic below it", b, a)
		}
	})
}

// TestManyTopics cuts and joins chunks at both ends and in the middle.
func TestManyTopics(t *testing.T) {
	const n = 5000
	tree, m := New(), map[string]*message.Message{}
	name := func(i int) string { return fmt.Sprintf("site/%d/device/%d", i%7, i*7919%n) }
	for i := range n {
		m[name(i)] = newMessage(name(i), "x")
		tree.Put(m[name(i)])
	}
	checkSizes(t, tree, m)
	for _, f := range []topic.Filter{"#", "site/#", "+/3/#", "site/+/device/17", "site/+/+/+", "+", "site/4/device/+", "+/+/none"} {
		if diff := cmp.Diff(matching(m, f), pages(tree, f, 100)); diff != "" {
			t.Errorf("%s: -want +got\n%s", f, diff)
		}
	}
	for i := range n {
		tree.Delete(name(i))
		delete(m, name(i))
		if i%500 == 0 || i > n-20 {
			checkSizes(t, tree, m)
		}
	}
	if len(tree.chunks) != 0 || tree.Bytes() != 0 || tree.peak >= shrinkMin {
		t.Errorf("%d chunks and %d bytes left, peak %d", len(tree.chunks), tree.Bytes(), tree.peak)
	}
}

// TestCursorSurvives deletes and adds topics between pages, the cursor's own among them.
func TestCursorSurvives(t *testing.T) {
	tree := New()
	for i := range 100 {
		tree.Put(newMessage(fmt.Sprintf("a/%02d", i), "x"))
	}
	page, next := tree.MatchPage("a/+", "", 40)
	if len(page) != 40 || next != "a/39" {
		t.Fatalf("%d messages, next %q", len(page), next)
	}
	tree.Delete("a/39")
	tree.Delete("a/40")
	tree.Put(newMessage("a/39x", "x"))
	tree.Put(newMessage("a/00x", "x")) // before the cursor: not part of this match any more
	page, next = tree.MatchPage("a/+", next, 100)
	if len(page) != 60 || page[0].Topic() != "a/39x" || page[1].Topic() != "a/41" || next != "" {
		t.Errorf("%d messages from %q, next %q", len(page), page[0].Topic(), next)
	}
}

// TestPageIsBounded: a page that finds nothing ends after a bounded number of topics, and the walk goes on.
func TestPageIsBounded(t *testing.T) {
	const n = 10 * skips
	tree := New()
	for i := range n {
		tree.Put(newMessage(fmt.Sprintf("d/%05d/x", i), "x"))
	}
	tree.Put(newMessage("z/1/none", "x"))
	calls, found := 0, 0
	for after := ""; ; calls++ {
		page, next := tree.MatchPage("+/+/none", after, 1)
		found += len(page)
		if next == "" {
			break
		}
		if compare(next, after) <= 0 {
			t.Fatalf("cursor %q is not behind %q", next, after)
		}
		after = next
	}
	if found != 1 || calls < n/skips || calls > 2*n/skips+2 {
		t.Errorf("%d found in %d calls", found, calls)
	}
	// A literal level is found by jumping, however much lies in front of it.
	if page, _ := tree.MatchPage("z/+/none", "", 1); len(page) != 1 {
		t.Errorf("%d messages", len(page))
	}
	// So is what lies behind the topics that start with "$".
	for i := range n {
		tree.Put(newMessage(fmt.Sprint("$SYS/", i), "x"))
	}
	if page, _ := tree.MatchPage("#", "", 1); len(page) != 1 {
		t.Errorf("%d messages behind $SYS", len(page))
	}
}

func TestMatchMayUseTheTree(t *testing.T) {
	tree := New()
	for i := range 1000 {
		tree.Put(newMessage(strconv.Itoa(i), "x"))
	}
	n := 0
	tree.Match("+", func(x *message.Message) bool {
		tree.Delete(x.Topic())
		n++
		return n < 600
	})
	if n != 600 || tree.Count() != 400 {
		t.Errorf("%d yielded, %d left", n, tree.Count())
	}
}

// TestConcurrent changes topics while others are matched that never change.
func TestConcurrent(t *testing.T) {
	tree := New()
	const fixed = 700
	for i := range fixed {
		tree.Put(newMessage(fmt.Sprintf("t/%d/fixed", i), "x"))
	}
	var stop atomic.Bool
	var reading, writing sync.WaitGroup
	for range 3 {
		reading.Go(func() {
			for !stop.Load() {
				n := 0
				tree.Match("t/+/fixed", func(*message.Message) bool { n++; return true })
				if n != fixed {
					t.Errorf("%d messages", n)
					return
				}
			}
		})
	}
	for w := range 3 {
		writing.Go(func() {
			for i := range 200 {
				name := fmt.Sprintf("t/%d/w%d", i%fixed, w)
				m := newMessage(name, "x")
				if tree.Put(m); tree.Get(name) != m || tree.Delete(name) != m {
					t.Errorf("%s was lost", name)
				}
			}
		})
	}
	writing.Wait()
	stop.Store(true)
	reading.Wait()
	if tree.Count() != fixed {
		t.Errorf("%d messages left", tree.Count())
	}
}

const benchTopics = 100_000

func benchName(i int) string { return fmt.Sprintf("site/%d/device/%d/state", i%100, i) }

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemory: a hundred thousand messages of 64 bytes take at most 600 bytes each, all included.
func TestMemory(t *testing.T) {
	before := heap()
	tree := New()
	for i := range benchTopics {
		tree.Put(newMessage(benchName(i), strings.Repeat("x", 64)))
	}
	each := (heap() - before) / benchTopics
	t.Logf("%d bytes each", each)
	if each > 600 {
		t.Errorf("%d bytes each", each)
	}
	runtime.KeepAlive(tree)
}

func BenchmarkPut(b *testing.B) {
	list := make([]*message.Message, benchTopics)
	for i := range list {
		list[i] = newMessage(benchName(i*7919%benchTopics), "x")
	}
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		tree := New()
		for i := 0; b.Loop(); i++ {
			if i%benchTopics == 0 {
				tree = New()
			}
			tree.Put(list[i%benchTopics])
		}
	})
	b.Run("replace", func(b *testing.B) {
		b.ReportAllocs()
		tree := New()
		for _, m := range list {
			tree.Put(m)
		}
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			tree.Put(list[i%benchTopics])
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	tree := New()
	for i := range benchTopics {
		tree.Put(newMessage(benchName(i), "x"))
	}
	for _, c := range []struct {
		f    topic.Filter
		want int
	}{
		{"#", benchTopics},
		{"site/+/device/+/state", benchTopics},
		{"+/+/+/+/none", 0},
		{"site/42/#", benchTopics / 100},
		{"site/42/device/4242/state", 1},
		{"site/+/device/4242/state", 1},
	} {
		b.Run(strings.ReplaceAll(string(c.f), "/", "."), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				tree.Match(c.f, func(*message.Message) bool { n++; return true })
				if n != c.want {
					b.Fatalf("%d messages", n)
				}
			}
		})
	}
}
