package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// growth is a case whose size grows.
type growth struct {
	of       string // what grows
	sizes    []int
	measures []growthMeasure
	most     int // runs
	make     func(n int) benchCase
}

// growthMeasure is one curve.
type growthMeasure struct {
	file string
	measure
}

// queued is how many messages a run queues at least. Shorter queues than that are spread over as many sessions as it
// takes, so that all sizes are stored and delivered in batches alike, and for long enough to be measured.
const queued = 20_000

var growths = []growth{
	{
		of: "connections", sizes: []int{1000, 10_000, 19_000}, most: 3,
		measures: []growthMeasure{{"connections", figure("memory of an idle connection", "KiB", "bytes_per_connection", 1.0/1024)}},
		make: func(n int) benchCase {
			return benchCase{args: args("-scenario", "idle", "-count", strconv.Itoa(n), "-conc", "64", "-sources", "20", "-subs", "1", "-dur", "3s")}
		},
	},
	{
		of: "subscriptions", sizes: []int{1000, 10_000, 100_000, 1_000_000}, most: 3,
		measures: []growthMeasure{
			{"subscriptions", cpuPer("message that is matched and delivered")},
			{"subscriptions-memory", figure("memory of a subscription", "B", "bytes_per_subscription", 1)},
		},
		make: func(n int) benchCase {
			return benchCase{args: args("-scenario", "subscriptions", "-count", strconv.Itoa(n), "-subs", "100", "-pubs", "10", "-window", "16", "-warmup", "3s", "-dur", "2s")}
		},
	},
	{
		of: "levels of the topic", sizes: []int{3, 10, 30, 100},
		measures: []growthMeasure{{"depth", cpuPer("delivery, QoS 0 pairs")}},
		make: func(n int) benchCase {
			deep := strings.Repeat("l/", n-3) + "l"
			return benchCase{args: args("-scenario", "pairs", "-pubs", "50", "-qos", "0", "-window", "20", "-prefix", deep)}
		},
	},
	{
		of: "messages in the queue of a session", sizes: []int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000}, most: 3,
		measures: []growthMeasure{
			{"queue", cpuPer("QoS 1 message stored for an offline durable session")},
			{"drain", figure("CPU per stored message delivered", "µs", "deliver_cpu_us", 1)},
		},
		make: func(n int) benchCase {
			all := max(n, queued)
			return benchCase{durable: true, args: args("-scenario", "offline", "-pubs", "10", "-subs", strconv.Itoa(all/n), "-count", strconv.Itoa(all),
				"-qos", "1", "-window", "100")}
		},
	},
}

const growthPage = `# Growth

Written by ` + "`make growth`" + `. [How to read it](../performance.md). The median in bold, then the lowest and the highest run.

%s
%s`

// grow measures how the costs of a broker grow, and what a second processor gives.
func (b *bench) grow(ctx context.Context, x *broker) error {
	var text, values strings.Builder
	values.WriteString("of\tsize\tmeasure\tunit\trun\tvalue\n")
	files := map[string]string{}
	for i := range growths {
		g := &growths[i]
		if !chosen(b.only, g.measures[0].file) {
			continue
		}
		samples := b.sizes(ctx, x, g)
		if err := ctx.Err(); err != nil {
			return err
		}
		table := g.table(samples)
		fmt.Print(table)
		text.WriteString(table)
		for _, m := range g.measures {
			var points []point
			for j, s := range samples {
				if median, _, _ := s.of(m.measure); len(s.reports) > 0 {
					points = append(points, point{float64(g.sizes[j]), median})
				}
				for n, r := range s.reports {
					fmt.Fprintf(&values, "%s\t%d\t%s\t%s\t%d\t%.4g\n", g.of, g.sizes[j], m.name, m.unit, n+1, m.of(r))
				}
			}
			name := "growth-" + m.file + ".svg"
			files[name] = curve(m.name, m.unit, g.of, points)
			fmt.Fprintf(&text, "![%s by %s](%s)\n", m.name, g.of, name)
		}
		text.WriteString("\n")
	}
	if chosen(b.only, "processors") {
		table := b.processors(ctx, x)
		fmt.Print(table)
		text.WriteString(table)
	}
	if b.out == "" || ctx.Err() != nil {
		return ctx.Err()
	}
	b.done = b.runs
	files["growth.md"] = fmt.Sprintf(growthPage, b.environment(), text.String())
	files["growth.tsv"] = values.String()
	return writeAll(b.out, files)
}

// sizes measures all sizes in turn, as often as there are runs.
func (b *bench) sizes(ctx context.Context, x *broker, g *growth) []*sample {
	var samples []*sample
	for range g.sizes {
		samples = append(samples, &sample{broker: x.name})
	}
	runs, since := b.runs, time.Now()
	if g.most > 0 {
		runs = min(runs, g.most)
	}
	for range runs {
		for i, n := range g.sizes {
			c := g.make(n)
			c.name = fmt.Sprintf("%d %s", n, g.of)
			if ctx.Err() == nil {
				b.once(ctx, x, &c, samples[i])
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%s: %.0f s\n", g.of, time.Since(since).Seconds())
	return samples
}

// table has a line for each size.
func (g *growth) table(samples []*sample) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |", g.of)
	for _, m := range g.measures {
		fmt.Fprintf(&b, " %s, %s |", m.name, m.unit)
	}
	fmt.Fprintf(&b, "\n| ---: |%s\n", strings.Repeat(" ---: |", len(g.measures)))
	for i, n := range g.sizes {
		fmt.Fprintf(&b, "| %s |", number(float64(n)))
		for _, m := range g.measures {
			median, low, high := samples[i].of(m.measure)
			fmt.Fprintf(&b, " **%s** %s..%s%s |", number(median), number(low), number(high), samples[i].faults())
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	return b.String()
}

// processors measures the first cases with GOMAXPROCS 1 and 2, in turn.
func (b *bench) processors(ctx context.Context, x *broker) string {
	var text strings.Builder
	text.WriteString("| case | GOMAXPROCS 1: CPU per delivery, µs | deliveries/s | GOMAXPROCS 2: CPU per delivery, µs | deliveries/s |\n| --- | ---: | ---: | ---: | ---: |\n")
	for i := range cases[:5] {
		one, two := &sample{}, &sample{}
		for range b.runs {
			b.once(ctx, x, &cases[i], one, "GOMAXPROCS=1")
			b.once(ctx, x, &cases[i], two, "GOMAXPROCS=2")
		}
		fmt.Fprintf(&text, "| %s |", cases[i].title)
		for _, s := range []*sample{one, two} {
			cpu, low, high := s.of(cases[i].measures[0])
			rate, _, _ := s.of(rateOf("deliveries"))
			fmt.Fprintf(&text, " **%s** %s..%s%s | %s |", number(cpu), number(low), number(high), s.faults(), number(rate))
		}
		text.WriteString("\n")
	}
	return text.String()
}
