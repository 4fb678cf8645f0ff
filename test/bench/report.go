package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// sample is what one broker did in one case, over all runs.
type sample struct {
	broker  string
	results []*result
}

// median and the range of a measure.
func (s *sample) of(m measure) (median, low, high float64) {
	var v []float64
	for _, r := range s.results {
		v = append(v, m.of(r))
	}
	if len(v) == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	slices.Sort(v)
	return v[len(v)/2], v[0], v[len(v)-1]
}

// lost is the worst run's count of messages that did not arrive.
func (s *sample) lost() (n int64) {
	for _, r := range s.results {
		n = max(n, r.Lost)
	}
	return n
}

// number is short: three digits that mean something.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 10_000:
		text := fmt.Sprintf("%.0f", v)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "," + text[i:]
		}
		return text
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// environment says on what and when it was measured.
func environment() string {
	cpu, load := "", ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				cpu = strings.Trim(name, " \t:\n")
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	return fmt.Sprintf("%s, %s, %d processors, %s, load average before %s.\n\n",
		time.Now().Format("2 January 2006 15:04"), cpu, runtime.NumCPU(), runtime.Version(), load)
}

// heading begins the table: a column for each broker.
func heading(names []string) string {
	return fmt.Sprintf("| case | unit | %s |\n| --- | --- |%s\n", strings.Join(names, " | "), strings.Repeat(" ---: |", len(names)))
}

// lines writes a line for each row: the median in bold, and the range.
func lines(names []string, rows []row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s: %s | %s |", r.title, r.measure.name, r.measure.unit)
		for _, name := range names {
			i := slices.IndexFunc(r.samples, func(s *sample) bool { return s.broker == name })
			if i < 0 || len(r.samples[i].results) == 0 {
				b.WriteString(" – |")
				continue
			}
			median, low, high := r.samples[i].of(r.measure)
			fmt.Fprintf(&b, " **%s** %s..%s", number(median), number(low), number(high))
			if n := r.samples[i].lost(); n > 0 {
				fmt.Fprintf(&b, ", lost %s", number(float64(n)))
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// row is one measure of one case.
type row struct {
	title   string
	measure measure
	samples []*sample
}
