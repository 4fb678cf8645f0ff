package router

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// client stands for a session: what the broker uses is a pointer.
type client struct{ n int }

func clients(n int) []*client {
	list := make([]*client, n)
	for i := range list {
		list[i] = &client{i}
	}
	return list
}

// heap is the live heap in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// loaded is a router with many subscriptions, and what it took.
type loaded struct {
	*Router[*client]
	bytes, seconds float64
}

// load subscribes n filters from two goroutines.
func load(n int, c Config, filter func(i int) string) loaded {
	filters := make([]topic.Filter, n)
	for i := range filters {
		filters[i] = topic.Filter(filter(i))
	}
	who := clients(1000)
	before := heap()
	r, start := New[*client](c), time.Now()
	var wg sync.WaitGroup
	for half := range 2 {
		wg.Go(func() {
			for i := half; i < n; i += 2 {
				r.Subscribe("", filters[i], who[i%len(who)], Options{QoS: mqtt.AtLeastOnce})
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	used := heap() - before
	runtime.KeepAlive(filters)
	return loaded{r, float64(used) / float64(n), took.Seconds()}
}

// each measures uncached or cached matches of names in turn, each of which must have want targets.
func (l loaded) each(b *testing.B, names []string, want int) {
	b.Helper()
	room := new(Room[*client])
	for _, name := range names {
		l.MatchIn(room, name)
	}
	b.ReportAllocs()
	b.ResetTimer()
	i := 0
	for b.Loop() {
		if len(l.MatchIn(room, names[i]).Targets) != want {
			b.Fatal("wrong number of targets")
		}
		if i++; i == len(names) {
			i = 0
		}
	}
	if l.seconds > 0 {
		b.ReportMetric(l.bytes, "B/sub")
		b.ReportMetric(l.seconds, "s-to-load")
	}
}

// eachAhead measures uncached matches of names in turn, with a look ahead at a batch of them.
func (l loaded) eachAhead(b *testing.B, names []string) {
	b.Helper()
	room, batches := new(Room[*client]), make([][][]byte, len(names)/Ahead)
	for i := range batches {
		for j := range Ahead {
			batches[i] = append(batches[i], []byte(names[i*Ahead+j]))
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	i := 0
	for b.Loop() {
		if i%Ahead == 0 {
			l.LookAhead(batches[i/Ahead])
		}
		if len(l.MatchIn(room, names[i]).Targets) != 1 {
			b.Fatal("wrong number of targets")
		}
		if i++; i == len(batches)*Ahead {
			i = 0
		}
	}
}

const million = 1_000_000

func sample(format string, n, total int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(format, i*(total/n))
	}
	return names
}

// BenchmarkMillion matches topics of a million subscriptions with a filter each.
func BenchmarkMillion(b *testing.B) { matchOneOf(b, million, 1<<16) }

// BenchmarkTenThousand does so with ten thousand, which takes no time to set up.
func BenchmarkTenThousand(b *testing.B) { matchOneOf(b, 10_000, 1000) }

func matchOneOf(b *testing.B, total, uncached int) {
	for _, c := range []struct{ name, filter, topic string }{
		{"exact", "site/device/%d/command", "site/device/%d/command"},
		{"multi", "device/%d/#", "device/%d/status"},
		{"plus", "device/%d/status/+", "device/%d/status/power"},
	} {
		filter := func(i int) string { return fmt.Sprintf(c.filter, i) }
		r := load(total, Config{CacheEntries: -1}, filter)
		b.Run(c.name+"/uncached", func(b *testing.B) { r.each(b, sample(c.topic, uncached, total), 1) })
		if c.name == "exact" {
			b.Run(c.name+"/uncached-ahead", func(b *testing.B) { r.eachAhead(b, sample(c.topic, uncached, total)) })
		}
		cached := loaded{r.Router, r.bytes, r.seconds}
		cached.cache.init(DefaultCacheEntries, DefaultCacheBytes)
		b.Run(c.name+"/hit", func(b *testing.B) { cached.each(b, sample(c.topic, 1, total), 1) })
		b.Run(c.name+"/hit-of-10k", func(b *testing.B) { cached.each(b, sample(c.topic, 10_000, total), 1) })
	}
}

// BenchmarkFanOut matches topics with many subscribers on one filter.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{50, 10_000} {
		r := New[*client](Config{})
		who := clients(n)
		for _, c := range who {
			r.Subscribe("", "news/#", c, Options{})
		}
		one := loaded{Router: r}
		b.Run(strconv.Itoa(n)+"/hit", func(b *testing.B) { one.each(b, []string{"news/a"}, n) })
		b.Run(strconv.Itoa(n)+"/new-topic", func(b *testing.B) {
			uncached := New[*client](Config{CacheEntries: -1})
			for _, c := range who {
				uncached.Subscribe("", "news/#", c, Options{})
			}
			loaded{Router: uncached}.each(b, []string{"news/a", "news/b"}, n)
		})
		b.Run(strconv.Itoa(n)+"/after-change", func(b *testing.B) {
			for b.Loop() {
				r.Unsubscribe("", "news/#", who[0])
				r.Subscribe("", "news/#", who[0], Options{})
				r.Match("news/a")
			}
		})
		b.Run(strconv.Itoa(n)+"/overlapping", func(b *testing.B) {
			uncached := New[*client](Config{CacheEntries: -1})
			for _, c := range who {
				uncached.Subscribe("", "news/#", c, Options{})
				uncached.Subscribe("", "+/a", c, Options{QoS: 1})
			}
			loaded{Router: uncached}.each(b, []string{"news/a"}, n)
		})
	}
}

// BenchmarkSubscribeSameFilter adds a client to a filter that has many already, and takes it off again.
func BenchmarkSubscribeSameFilter(b *testing.B) {
	for _, n := range []int{10, 10_000, million} {
		for _, f := range []topic.Filter{"news", "news/#"} {
			r := New[*client](Config{})
			for _, c := range clients(n) {
				r.Subscribe("", f, c, Options{})
			}
			b.Run(fmt.Sprintf("%d/%s", n, f), func(b *testing.B) {
				b.ReportAllocs()
				c := &client{}
				for b.Loop() {
					r.Subscribe("", f, c, Options{})
					r.Unsubscribe("", f, c)
				}
			})
		}
	}
}

// BenchmarkChurn matches 1,000 topics in turn while a client comes and goes before each match, and reports how many
// matches the cache answered though 2,000 changes came since the topic was matched before.
func BenchmarkChurn(b *testing.B) {
	for _, f := range []string{"device/%d/command", "device/%d/#", "+/%d"} {
		b.Run(f, func(b *testing.B) {
			r := load(100_000, Config{}, func(i int) string { return fmt.Sprintf("device/%d/#", i) })
			names := sample("device/%d/state", 1000, million)
			c := &client{}
			before := make([]*Result[*client], len(names))
			for i, name := range names {
				before[i] = r.Match(name)
			}
			hits, all := 0, 0
			for b.Loop() {
				filter := topic.Filter(fmt.Sprintf(f, million+all))
				r.Subscribe("", filter, c, Options{})
				r.Unsubscribe("", filter, c)
				i := all % len(names)
				result := r.Match(names[i])
				if all++; result == before[i] {
					hits++
				}
				before[i] = result
			}
			b.ReportMetric(float64(hits)/float64(all), "hits/op")
		})
	}
}

// BenchmarkDeep matches a name of 128 levels.
func BenchmarkDeep(b *testing.B) {
	name := strings.Repeat("a/", topic.MaxLevels-1) + "a"
	r := New[*client](Config{CacheEntries: -1})
	r.Subscribe("", topic.Filter(strings.Repeat("+/", topic.MaxLevels-1)+"+"), &client{}, Options{})
	r.Subscribe("", topic.Filter(strings.Repeat("a/", topic.MaxLevels-1)+"#"), &client{}, Options{})
	loaded{Router: r}.each(b, []string{name}, 2)
}

// BenchmarkHostile matches a name that meets every combination of "a" and "+" in 14 levels, none of which matches.
func BenchmarkHostile(b *testing.B) {
	const depth = 14
	r := New[*client](Config{CacheEntries: -1})
	c := &client{}
	for i := range 1 << depth {
		r.Subscribe("", combination(i, depth)+"/end", c, Options{})
	}
	loaded{Router: r}.each(b, []string{strings.Repeat("a/", depth) + "a"}, 0)
}

// combination is a filter of depth levels, "+" where i has a bit and "a" elsewhere.
func combination(i, depth int) topic.Filter {
	levels := make([]string, depth)
	for j := range levels {
		levels[j] = "a"
		if i>>j&1 == 1 {
			levels[j] = "+"
		}
	}
	return topic.Filter(strings.Join(levels, "/"))
}
