package router

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// FuzzMatch subscribes the lines of a text, those that are filters, and compares each match with topic.Filter.Matches.
// Afterwards it ends every subscription and nothing may be left.
func FuzzMatch(f *testing.F) {
	f.Add("a/b\na/+\n#\n$share/g/a/#\n+/+", "a/b")
	f.Add("$SYS/#\n+/x\n#", "$SYS/x")
	f.Add("a//#\na/+\n/+\n/\n//", "a/")
	f.Fuzz(func(t *testing.T, text, name string) {
		if _, err := topic.ParseName(name); err != nil || strings.Count(text, "\n") > 100 {
			return
		}
		r, m := New[int](Config{CacheEntries: 8}), model{}
		for i, line := range strings.Split(text, "\n") {
			share, filter, err := topic.ParseSubscription(line)
			if err != nil {
				continue
			}
			k := key{share, filter, i % 3}
			o := Options{QoS: mqtt.QoS(i % 3), NoLocal: i%5 == 0, RetainAsPublished: i%7 == 0, SubscriptionID: uint32(i % 4)}
			_, had := m[k]
			if r.Subscribe(k.share, k.filter, k.who, o) != had {
				t.Fatalf("Subscribe(%q) is wrong about what was there", line)
			}
			m[k] = o
			if diff := cmp.Diff(m.want(name), got(t, r.Match(name))); diff != "" {
				t.Fatalf("Match(%q): -want +got\n%s", name, diff)
			}
		}
		for k := range m {
			if !r.Unsubscribe(k.share, k.filter, k.who) {
				t.Fatalf("%v was not there", k)
			}
			delete(m, k)
			if diff := cmp.Diff(m.want(name), got(t, r.Match(name))); diff != "" {
				t.Fatalf("Match(%q): -want +got\n%s", name, diff)
			}
		}
		checkEmpty(t, r)
	})
}

// TestMemory bounds the memory of one subscription, with a filter of its own each and the filter's text included.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		format string
		most   float64 // bytes
	}{
		{"site/device/%d/command", 300},
		{"device/%d/#", 300},
		{"device/%d/status/+", 500},
	} {
		filters := make([]topic.Filter, 200_000)
		for i := range filters {
			filters[i] = topic.Filter(fmt.Sprintf(c.format, i))
		}
		r := New[*client](Config{})
		who := &client{}
		before := heap()
		for _, f := range filters {
			r.Subscribe("", f, who, Options{})
		}
		each := float64(heap()-before) / float64(len(filters))
		t.Logf("%s: %.0f bytes", c.format, each)
		if each > c.most {
			t.Errorf("%s: %.0f bytes, at most %.0f allowed", c.format, each, c.most)
		}
		runtime.KeepAlive(filters)
		runtime.KeepAlive(r)
	}
}
