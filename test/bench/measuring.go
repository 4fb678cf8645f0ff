package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealmq/sealmq/test/bench/load"
)

// runTimeout bounds one run of the load generator.
const runTimeout = 5 * time.Minute

// bench is one session of measuring.
type bench struct {
	options
	self   string // this program
	lab    *lab
	begun  time.Time
	before string // load average
}

// sample is what one broker did in one case, over all runs.
type sample struct {
	broker  string
	reports []*load.Report
	failed  int // runs that came to nothing
}

// chosen says whether a name is in a list of names; an empty one has all.
func chosen(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// compare measures every case with every broker in turn.
func (b *bench) compare(ctx context.Context, brokers []broker) error {
	brokers = slices.DeleteFunc(brokers, func(x broker) bool { return !chosen(b.brokers, x.name) })
	t := &table{}
	for i := range brokers {
		t.columns = append(t.columns, brokers[i].name)
	}
	for i := range cases {
		c := &cases[i]
		if !chosen(b.only, c.name) {
			continue
		}
		since := time.Now()
		samples := b.measure(ctx, c, brokers)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, m := range c.measures {
			t.rows = append(t.rows, row{c, m, samples})
		}
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", c.name, time.Since(since).Seconds())
		fmt.Print(t.lines(t.rows[len(t.rows)-len(c.measures):]))
	}
	if b.out == "" {
		return nil
	}
	return b.writeComparison(t)
}

// measure runs one case, the brokers taking turns.
func (b *bench) measure(ctx context.Context, c *benchCase, brokers []broker) []*sample {
	var samples []*sample
	for i := range brokers {
		samples = append(samples, &sample{broker: brokers[i].name})
	}
	for n := range b.runs {
		for i := range brokers {
			if x := &brokers[i]; x.does(c) && n < x.runs(c, b.runs) && ctx.Err() == nil {
				b.once(ctx, x, c, samples[i])
			}
		}
	}
	return samples
}

// once runs a case against a broker that was just started.
func (b *bench) once(ctx context.Context, x *broker, c *benchCase, s *sample, env ...string) {
	r, err := b.run(ctx, x, c, env)
	if err != nil {
		s.failed++
		fmt.Fprintf(os.Stderr, "%s, %s: %v\n", c.name, x.name, err)
		return
	}
	if len(r.Errors) > 0 {
		fmt.Fprintf(os.Stderr, "%s, %s: %d errors, such as: %s\n", c.name, x.name, r.ErrorsAll, r.Errors[0])
	}
	s.reports = append(s.reports, r)
}

func (b *bench) run(ctx context.Context, x *broker, c *benchCase, env []string) (*load.Report, error) {
	r, err := x.start(ctx, b.lab, c, env...)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	words := slices.Concat(
		args("load", "-addr", r.addr, "-pid", strconv.Itoa(r.cmd.Process.Pid), "-prefix", prefix, "-dur", b.length.String(), "-warmup", b.warmup.String()),
		c.args, b.lab.loadArgs(c, x))
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.self, words...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(stderr.String()))
	}
	report := new(load.Report)
	if err := json.Unmarshal(out, report); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return report, nil
}
