package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options say what is measured.
type options struct {
	runs    int
	length  time.Duration
	only    string
	brokers string
	out     string
	growth  bool
}

func run(ctx context.Context, words []string) error {
	var o options
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.IntVar(&o.runs, "runs", 5, "runs of each case; the median counts")
	set.DurationVar(&o.length, "dur", 3*time.Second, "measured window of a run")
	set.StringVar(&o.only, "cases", "", "only these, such as fanout,pairs-1")
	set.StringVar(&o.brokers, "brokers", "", "only these, such as SealMQ,mosquitto")
	set.StringVar(&o.out, "out", "", "folder for table.md and the charts")
	set.BoolVar(&o.growth, "growth", false, "measure how SealMQ's costs grow, instead of comparing")
	if err := set.Parse(words); err != nil {
		return err
	}
	path, err := generator()
	if err != nil {
		return err
	}
	there := installed()
	if len(there) == 0 || there[0].name != "SealMQ" {
		return fmt.Errorf("SEALMQ_BIN does not name the broker (make build, then make compare)")
	}
	certs, err := os.MkdirTemp("", "sealmq-bench-certs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(certs)
	if out, err := exec.CommandContext(ctx, path, "-scenario", "certs", "-dir", certs).CombinedOutput(); err != nil {
		return fmt.Errorf("certificates: %w: %s", err, out)
	}
	if err := os.Chmod(filepath.Join(certs, "server.key"), 0o600); err != nil {
		return err
	}
	b := &bench{options: o, load: path, certs: certs}
	if o.growth {
		return b.growthOf(ctx, &there[0])
	}
	return b.compare(ctx, b.chosen(there))
}

// bench is one session of measuring.
type bench struct {
	options
	load, certs string
}

func (b *bench) chosen(there []broker) []broker {
	if b.brokers == "" {
		return there
	}
	names := strings.Split(b.brokers, ",")
	return slices.DeleteFunc(there, func(x broker) bool { return !slices.Contains(names, x.name) })
}

// compare measures every case with every broker in turn.
func (b *bench) compare(ctx context.Context, brokers []broker) error {
	var names []string
	for i := range brokers {
		names = append(names, brokers[i].name)
	}
	begin := environment() + heading(names)
	fmt.Print(begin)
	var rows []row
	for i := range cases {
		c := &cases[i]
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), c.name) {
			continue
		}
		samples := b.measure(ctx, c, brokers)
		for _, m := range c.measures {
			rows = append(rows, row{c.title, m, samples})
		}
		fmt.Print(lines(names, rows[len(rows)-len(c.measures):]))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if b.out == "" {
		return nil
	}
	return b.write(begin+lines(names, rows), rows)
}

// measure runs one case, the brokers taking turns.
func (b *bench) measure(ctx context.Context, c *benchCase, brokers []broker) []*sample {
	var samples []*sample
	for i := range brokers {
		samples = append(samples, &sample{broker: brokers[i].name})
	}
	for range b.runs {
		for i := range brokers {
			x := &brokers[i]
			switch {
			case c.only != "" && c.only != x.name, c.tls && !x.tls, c.noFloor && strings.HasPrefix(x.name, "floor"):
				continue
			}
			r, err := b.once(ctx, x, c)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s, %s: %v\n", c.title, x.name, err)
				continue
			}
			samples[i].results = append(samples[i].results, r)
		}
	}
	return samples
}

// once runs a case against a broker that was just started.
func (b *bench) once(ctx context.Context, x *broker, c *benchCase, env ...string) (*result, error) {
	certs := ""
	words := append(slices.Clone(c.args), "-dur", b.length.String(), "-warmup", "700ms")
	if c.tls {
		certs = b.certs
		words = append(words, "-tls", "-ca", filepath.Join(b.certs, "ca.pem"))
	}
	r, err := x.start(ctx, certs, c.durable, env...)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	return load(ctx, b.load, r, words...)
}

// write leaves the table and a chart for each row.
func (b *bench) write(text string, rows []row) error {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, "table.md"), []byte(text), 0o644); err != nil {
		return err
	}
	for i, r := range rows {
		var list []bar
		for _, s := range r.samples {
			if v, _, _ := s.of(r.measure); len(s.results) > 0 {
				list = append(list, bar{s.broker, v})
			}
		}
		file := filepath.Join(b.out, fmt.Sprintf("compare-%02d.svg", i+1))
		if err := os.WriteFile(file, []byte(bars(r.title+": "+r.measure.name, r.measure.unit, list)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
