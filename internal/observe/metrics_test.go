package observe

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMetricsText(t *testing.T) {
	var m Metrics
	m.Single("a_total", Counter, "Back\\slash\nand line.", 3)
	f := m.Family("b", Gauge, "B.")
	f.Value(0.25, "x", `q"\`+"\n", "y", "z")
	f.Value(1<<40, "x", "", "y", "")
	want := `# HELP a_total Back\\slash\nand line.
# TYPE a_total counter
a_total 3
# HELP b B.
# TYPE b gauge
b{x="q\"\\\n",y="z"} 0.25
b{x="",y=""} 1099511627776
`
	if m.String() != want {
		t.Errorf("got %s", m.String())
	}
}

func TestHistogram(t *testing.T) {
	h := NewHistogram(time.Millisecond, time.Second)
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Minute} {
		h.Observe(d)
	}
	var m Metrics
	h.Write(&m, "s", "S.")
	for _, line := range []string{`s_bucket{le="0.001"} 2`, `s_bucket{le="1"} 3`, `s_bucket{le="+Inf"} 4`, "s_count 4", "s_sum 60.002000001"} {
		if !strings.Contains(m.String(), line+"\n") {
			t.Errorf("%s is missing in\n%s", line, m.String())
		}
	}
}

// TestCountersAreBounded: combinations beyond the bound are one, and nothing is lost.
func TestCountersAreBounded(t *testing.T) {
	c := NewCounters(3, "a", "b")
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { c.Add(string(rune('A'+i%50)), "x") })
	}
	wg.Wait()
	total, rows, other := int64(0), 0, int64(0)
	c.Values(func(n int64, values []string) {
		total += n
		rows++
		if values[0] == "other" && values[1] == "other" {
			other = n
		}
	})
	if total != 100 || rows != 4 || other == 0 {
		t.Errorf("%d in %d rows, %d other", total, rows, other)
	}
}
