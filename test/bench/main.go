package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/sealmq/sealmq/test/bench/floor"
	"github.com/sealmq/sealmq/test/bench/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command runs what the first word names.
func command(ctx context.Context, words []string) error {
	if len(words) > 0 {
		switch words[0] {
		case "load":
			return load.Command(ctx, words[1:], os.Stdout, os.Stderr)
		case "floor":
			return floor.Command(ctx, words[1:], os.Stderr)
		}
	}
	return measureAll(ctx, words)
}

// options say what is measured.
type options struct {
	runs    int
	within  time.Duration
	length  time.Duration
	warmup  time.Duration
	only    string
	brokers string
	bin     string
	out     string
	growth  bool
}

func measureAll(ctx context.Context, words []string) error {
	var o options
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.IntVar(&o.runs, "runs", 5, "runs of each case; the median counts")
	set.DurationVar(&o.within, "within", 0, "begin no round that would not end in this time; 0: however long it takes")
	set.DurationVar(&o.length, "dur", time.Second, "measured window of a run")
	set.DurationVar(&o.warmup, "warmup", 400*time.Millisecond, "time before it")
	set.StringVar(&o.only, "cases", "", "only these, such as fanout,pairs-1")
	set.StringVar(&o.brokers, "brokers", "", "only these, such as SealMQ,mosquitto")
	set.StringVar(&o.bin, "bin", "bin", "folder with sealmq, and with nats-server and mochi if they are to be measured")
	set.StringVar(&o.out, "out", "", "folder for tables and charts")
	set.BoolVar(&o.growth, "growth", false, "measure how SealMQ's costs grow, instead of comparing")
	if err := set.Parse(words); err != nil {
		return err
	}
	if o.runs < 1 || set.NArg() > 0 {
		return fmt.Errorf("-runs %d %s: there is at least one run, and nothing behind the options", o.runs, strings.Join(set.Args(), " "))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	there, err := installed(o.bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sealmq-bench-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := newLab(dir)
	if err != nil {
		return err
	}
	b := &bench{options: o, self: self, lab: l, begun: time.Now(), before: loadAverage()}
	if o.growth {
		return b.grow(ctx, &there[0])
	}
	return b.compare(ctx, there)
}
