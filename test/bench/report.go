package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// median and the range of a measure; not a number when there is none.
func (s *sample) of(m measure) (median, low, high float64) {
	var v []float64
	for _, r := range s.reports {
		v = append(v, m.of(r))
	}
	if len(v) == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	slices.Sort(v)
	return v[len(v)/2], v[0], v[len(v)-1]
}

// faults says what went wrong in the worst of the runs.
func (s *sample) faults() (text string) {
	var lost, twice, refused int64
	broken := s.failed
	for _, r := range s.reports {
		lost, twice, refused = max(lost, r.Lost), max(twice, r.Duplicated), max(refused, r.Refused)
		if r.ErrorsAll > 0 {
			broken++
		}
	}
	for _, f := range []struct {
		what string
		n    int64
	}{{"lost", lost}, {"twice", twice}, {"refused", refused}, {"runs with errors", int64(broken)}} {
		if f.n > 0 {
			text += fmt.Sprintf(", %s %s", number(float64(f.n)), f.what)
		}
	}
	return text
}

// number is short: three digits that mean something.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 1000:
		text := fmt.Sprintf("%.0f", v)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "," + text[i:]
		}
		return text
	case a >= 100, v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.2:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:1], " ")
}

// environment says on what, when and how it was measured.
func (b *bench) environment() string {
	cpu := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				cpu = strings.Trim(name, " \t:\n")
				break
			}
		}
	}
	kernel := runtime.GOOS
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = "Linux " + strings.Join(strings.SplitN(string(text), ".", 3)[:2], ".")
	}
	return fmt.Sprintf("%s to %s, %s, %d processors, %s, %s; load average of a minute %s before and %s after, which counts this program.\nRuns of each case: %d, with windows of %v, except where a case takes long or sets its own.\n",
		b.begun.Format("2 January 2006, 15:04"), time.Now().Format("15:04"), cpu, runtime.NumCPU(), kernel, runtime.Version(),
		b.before, loadAverage(), max(b.done, 1), b.length)
}

// versions asks the programs who they are.
func versions(bin string) string {
	var list []string
	for _, p := range []struct{ path, flag string }{{"mosquitto", "-h"}, {filepath.Join(bin, "nats-server"), "-v"}} {
		out, _ := exec.Command(p.path, p.flag).Output() // mosquitto -h exits with an error
		if line, _, _ := strings.Cut(string(out), "\n"); line != "" {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return strings.Join(list, "; ")
}

// table is the comparison.
type table struct {
	columns []string
	rows    []row
}

// row is one measure of one case.
type row struct {
	c       *benchCase
	measure measure
	samples []*sample
}

func (r *row) sample(broker string) *sample {
	if i := slices.IndexFunc(r.samples, func(s *sample) bool { return s.broker == broker }); i >= 0 {
		return r.samples[i]
	}
	return &sample{broker: broker}
}

// median of a broker; not a number where there is none.
func (r *row) median(broker string) float64 {
	m, _, _ := r.sample(broker).of(r.measure)
	return m
}

// file is the row's part of a file's name.
func (r *row) file() string {
	if len(r.c.measures) == 1 {
		return r.c.name
	}
	i := slices.IndexFunc(r.c.measures, func(m measure) bool { return m.name == r.measure.name })
	return fmt.Sprintf("%s-%d", r.c.name, i+1)
}

// heading begins the table: a column for each broker.
func (t *table) heading() string {
	return fmt.Sprintf("| case | unit | %s |\n| --- | --- |%s\n", strings.Join(t.columns, " | "), strings.Repeat(" ---: |", len(t.columns)))
}

// lines writes a line for each row: the median in bold, and the range.
func (t *table) lines(rows []row) string {
	var b strings.Builder
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(&b, "| %s: %s | %s |", r.c.title, r.measure.name, r.measure.unit)
		for _, name := range t.columns {
			s := r.sample(name)
			median, low, high := s.of(r.measure)
			switch {
			case len(s.reports) == 0 && s.failed > 0:
				b.WriteString(" failed |")
			case len(s.reports) == 0:
				b.WriteString(" – |")
			case len(s.reports) == 1:
				fmt.Fprintf(&b, " **%s**%s |", number(median), s.faults())
			default:
				fmt.Fprintf(&b, " **%s** %s..%s%s |", number(median), number(low), number(high), s.faults())
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// values is the table for programs: a line for each run.
func (t *table) values() string {
	var b strings.Builder
	b.WriteString("case\tmeasure\tunit\tbroker\trun\tvalue\tlost\tduplicated\trefused\n")
	for i := range t.rows {
		r := &t.rows[i]
		for _, s := range r.samples {
			for n, p := range s.reports {
				fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t%d\t%.4g\t%d\t%d\t%d\n", r.c.name, r.measure.name, r.measure.unit, s.broker, n+1, r.measure.of(p), p.Lost, p.Duplicated, p.Refused)
			}
		}
	}
	return b.String()
}

const comparePage = `# Comparison

Written by %s. [How to read it](../performance.md). The same values run by run: [compare.tsv](compare.tsv).

%s
The median in bold, then the lowest and the highest run. *%s* is SealMQ with a password (argon2id) or pre-shared key for every
client and one rule for each login; *%s* also verifies the Ed25519 signature, sender, topic and sequence of every payload.

%s
## Against the targets

Targets were set on a quieter machine, so they are held twice: as they are, and as ratios to what ran beside there and here.

%s
%s`

// writeComparison leaves the page, its values and a chart for each row.
func (b *bench) writeComparison(t *table) error {
	var charts strings.Builder
	files := map[string]string{"compare.tsv": t.values()}
	for i := range t.rows {
		r := &t.rows[i]
		var list []bar
		for _, s := range r.samples {
			if median, low, high := s.of(r.measure); len(s.reports) > 0 {
				list = append(list, bar{s.broker, median, low, high})
			}
		}
		title := r.c.title + ": " + r.measure.name
		name := "compare-" + r.file() + ".svg"
		files[name] = bars(title, r.measure.unit, list)
		fmt.Fprintf(&charts, "![%s](%s)\n", title, name)
	}
	how := "`make compare`"
	if v := versions(b.bin); v != "" {
		how += " (" + v + ")"
	}
	files["compare.md"] = fmt.Sprintf(comparePage, how, b.environment(), rightsName, signedName, t.heading()+t.lines(t.rows), t.targets(), charts.String())
	return writeAll(b.out, files)
}

func writeAll(folder string, files map[string]string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
