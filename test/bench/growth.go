package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// growth is a case whose size grows.
type growth struct {
	file  string
	title string
	of    string // what grows
	m     measure
	sizes []int
	make  func(n int) benchCase
}

var growths = []growth{
	{
		"connections", "memory of an idle connection", "connections", extra("", "KiB", "rss_kib_per_conn"),
		[]int{1000, 10_000, 19_000},
		func(n int) benchCase {
			return benchCase{args: args("-scenario", "idle", "-count", strconv.Itoa(n), "-conc", "64", "-sources", "20", "-subs", "1")}
		},
	},
	{
		"subscriptions", "CPU to match and deliver one message", "subscriptions",
		measure{"", "µs", perDelivery.of},
		[]int{1000, 10_000, 100_000, 1_000_000},
		func(n int) benchCase {
			return benchCase{args: args("-scenario", "subscriptions", "-count", strconv.Itoa(n), "-subs", "100", "-pubs", "10", "-window", "16")}
		},
	},
	{
		"depth", "CPU per delivery, QoS 0 pairs", "levels of the topic",
		measure{"", "µs", perDelivery.of},
		[]int{3, 10, 30, 100},
		func(n int) benchCase {
			prefix := strings.Repeat("l/", n-3) + "l"
			return benchCase{args: args("-scenario", "pairs", "-pubs", "50", "-qos", "0", "-window", "20", "-prefix", prefix)}
		},
	},
	{
		"queue", "CPU to store one QoS 1 message for an offline durable session", "messages in the session's queue",
		measure{"", "µs", perMessage.of},
		[]int{1000, 10_000, 100_000, 1_000_000},
		func(n int) benchCase {
			return benchCase{durable: true, args: args("-scenario", "persist", "-pubs", "1", "-count", strconv.Itoa(n), "-qos", "1", "-window", "500")}
		},
	},
	{
		"drain", "CPU to deliver one stored message", "messages in the session's queue", extra("", "µs", "drain_cpu_us_per_msg"),
		[]int{1000, 10_000, 100_000, 1_000_000},
		func(n int) benchCase {
			return benchCase{durable: true, args: args("-scenario", "persist", "-pubs", "1", "-count", strconv.Itoa(n), "-qos", "1", "-window", "500")}
		},
	},
}

// growthOf measures how the costs of a broker grow, and what a second processor gives.
func (b *bench) growthOf(ctx context.Context, x *broker) error {
	for i := range growths {
		g := &growths[i]
		var points []point
		fmt.Printf("\n%s, %s, by %s\n\n| %s | %s | range |\n| ---: | ---: | ---: |\n", g.title, g.m.unit, g.of, g.of, g.m.unit)
		for _, n := range g.sizes {
			c := g.make(n)
			s := b.repeat(ctx, x, &c)
			median, low, high := s.of(g.m)
			fmt.Printf("| %s | **%s** | %s..%s |\n", number(float64(n)), number(median), number(low), number(high))
			if len(s.results) > 0 {
				points = append(points, point{float64(n), median})
			}
		}
		if b.out == "" {
			continue
		}
		if err := os.MkdirAll(b.out, 0o755); err != nil {
			return err
		}
		file := filepath.Join(b.out, "growth-"+g.file+".svg")
		if err := os.WriteFile(file, []byte(curve(g.title, g.m.unit, g.of, points)), 0o644); err != nil {
			return err
		}
	}
	return b.processors(ctx, x)
}

// processors measures the first cases with GOMAXPROCS 1 and 2.
func (b *bench) processors(ctx context.Context, x *broker) error {
	fmt.Printf("\n| case | GOMAXPROCS | µs | messages/s |\n| --- | ---: | ---: | ---: |\n")
	for i := range cases[:5] {
		for _, n := range []string{"1", "2"} {
			s := b.repeat(ctx, x, &cases[i], "GOMAXPROCS="+n)
			cpu, _, _ := s.of(perDelivery)
			rate, _, _ := s.of(measure{of: func(r *result) float64 { return r.Rate }})
			fmt.Printf("| %s | %s | **%s** | %s |\n", cases[i].title, n, number(cpu), number(rate))
		}
	}
	return ctx.Err()
}

func (b *bench) repeat(ctx context.Context, x *broker, c *benchCase, env ...string) *sample {
	s := &sample{broker: x.name}
	for range b.runs {
		r, err := b.once(ctx, x, c, env...)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", strings.Join(c.args, " "), err)
			continue
		}
		s.results = append(s.results, r)
	}
	return s
}
