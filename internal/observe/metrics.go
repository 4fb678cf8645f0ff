package observe

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MetricKind is the type of a metric family in the text format of Prometheus.
type MetricKind string

// The kinds.
const (
	Counter   MetricKind = "counter" // only grows, until the process ends
	Gauge     MetricKind = "gauge"
	histogram MetricKind = "histogram"
)

// Metrics is one answer in the text format of Prometheus, version 0.0.4. The zero value is empty. Names and labels are
// those of the program, never something a client said.
type Metrics struct{ b strings.Builder }

// String is the answer.
func (m *Metrics) String() string { return m.b.String() }

// Family begins a family: all its values follow before the next one begins.
func (m *Metrics) Family(name string, kind MetricKind, help string) *Family {
	m.b.WriteString("# HELP " + name + " " + escapeHelp.Replace(help) + "\n# TYPE " + name + " " + string(kind) + "\n")
	return &Family{m, name}
}

// Single is a family of one value without labels.
func (m *Metrics) Single(name string, kind MetricKind, help string, value float64) {
	m.Family(name, kind, help).Value(value)
}

// Family is one family under way.
type Family struct {
	m    *Metrics
	name string
}

// Value adds one value. labels are names and values in turn.
func (f *Family) Value(value float64, labels ...string) { f.sample("", value, labels) }

func (f *Family) sample(suffix string, value float64, labels []string) {
	b := &f.m.b
	b.WriteString(f.name + suffix)
	for i := 0; i+1 < len(labels); i += 2 {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + labels[i] + `="` + escapeLabel.Replace(labels[i+1]) + `"`)
	}
	if len(labels) > 1 {
		b.WriteByte('}')
	}
	b.WriteString(" " + formatValue(value) + "\n")
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// formatValue writes whole numbers without an exponent, so that people can read them.
func formatValue(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// Counters counts by the values of a few labels. It keeps a bounded number of combinations; further ones are counted
// under the value "other" of every label. It is safe for concurrent use.
type Counters struct {
	labels []string
	most   int

	mu sync.Mutex
	n  map[string]int64 // guarded by mu; by the values of the labels, joined with NUL
}

// NewCounters makes counters with these labels and at most so many combinations.
func NewCounters(most int, labels ...string) *Counters {
	return &Counters{labels: labels, most: most, n: map[string]int64{}}
}

// Add counts one; values are those of the labels, in their order.
func (c *Counters) Add(values ...string) {
	key := strings.Join(values, "\x00")
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.n[key]; !known && len(c.n) >= c.most {
		key = strings.Repeat("other\x00", len(c.labels)-1) + "other"
	}
	c.n[key]++
}

// Values calls f with every count, sorted by the values of the labels.
func (c *Counters) Values(f func(n int64, values []string)) {
	c.mu.Lock()
	keys := make([]string, 0, len(c.n))
	counts := make(map[string]int64, len(c.n))
	for k, n := range c.n {
		keys = append(keys, k)
		counts[k] = n
	}
	c.mu.Unlock()
	slices.Sort(keys)
	for _, k := range keys {
		f(counts[k], strings.Split(k, "\x00"))
	}
}

// Write adds the family of the counters.
func (c *Counters) Write(m *Metrics, name, help string) {
	f := m.Family(name, Counter, help)
	c.Values(func(n int64, values []string) {
		labels := make([]string, 0, 2*len(c.labels))
		for i, l := range c.labels {
			labels = append(labels, l, values[i])
		}
		f.Value(float64(n), labels...)
	})
}

// Histogram counts durations in fixed buckets. It is safe for concurrent use; a reader may see an observation in the
// count before it is in the sum.
type Histogram struct {
	bounds []time.Duration
	counts []atomic.Int64 // one more than bounds
	sum    atomic.Int64   // nanoseconds
}

// NewHistogram makes a histogram; bounds are the upper ends of its buckets, ascending.
func NewHistogram(bounds ...time.Duration) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Int64, len(bounds)+1)}
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i, _ := slices.BinarySearch(h.bounds, d)
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Write adds the family of the histogram, in seconds.
func (h *Histogram) Write(m *Metrics, name, help string) {
	f := m.Family(name, histogram, help)
	total := int64(0)
	for i, b := range h.bounds {
		total += h.counts[i].Load()
		f.sample("_bucket", float64(total), []string{"le", formatValue(b.Seconds())})
	}
	total += h.counts[len(h.bounds)].Load()
	f.sample("_bucket", float64(total), []string{"le", "+Inf"})
	f.sample("_sum", time.Duration(h.sum.Load()).Seconds(), nil)
	f.sample("_count", float64(total), nil)
}
