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
	done   int    // rounds
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

// compare measures every case with every broker, round by round, so that a machine that becomes slower or faster meanwhile
// shows in the ranges and not in the order.
func (b *bench) compare(ctx context.Context, brokers []broker) error {
	brokers = slices.DeleteFunc(brokers, func(x broker) bool { return !chosen(b.brokers, x.name) })
	t := &table{}
	for i := range brokers {
		t.columns = append(t.columns, brokers[i].name)
	}
	all := make([][]*sample, len(cases)) // by case and broker
	for i := range cases {
		for j := range brokers {
			all[i] = append(all[i], &sample{broker: brokers[j].name})
		}
	}
	for b.done < b.runs && b.fits(time.Now()) {
		since := time.Now()
		for i := range cases {
			if c := &cases[i]; chosen(b.only, c.name) {
				b.turns(ctx, c, brokers, all[i])
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		b.done++
		fmt.Fprintf(os.Stderr, "round %d of %d: %.0f s\n", b.done, b.runs, time.Since(since).Seconds())
	}
	for i := range cases {
		for _, m := range cases[i].measures {
			if chosen(b.only, cases[i].name) {
				t.rows = append(t.rows, row{&cases[i], m, all[i]})
			}
		}
	}
	fmt.Print(t.heading() + t.lines(t.rows))
	if b.out == "" {
		return nil
	}
	return b.writeComparison(t)
}

// fits reports whether one more round, as long as those before, ends in time.
func (b *bench) fits(now time.Time) bool {
	taken := now.Sub(b.begun)
	return b.within == 0 || b.done == 0 || taken+taken/time.Duration(b.done) <= b.within
}

// turns runs one case once with each broker.
func (b *bench) turns(ctx context.Context, c *benchCase, brokers []broker, samples []*sample) {
	since := time.Now()
	for i := range brokers {
		if x := &brokers[i]; x.does(c) && b.done < x.runs(c, b.runs) && ctx.Err() == nil {
			b.once(ctx, x, c, samples[i])
		}
	}
	fmt.Fprintf(os.Stderr, "%s: %.0f s\n", c.name, time.Since(since).Seconds())
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
