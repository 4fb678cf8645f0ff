package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/test/bench/load"
)

// small replaces what would take long: it stands behind the words of a case.
func small(c *benchCase) []string {
	clients := "-pubs 2 -subs 2"
	switch c.args[1] {
	case "fanout":
		clients = "-pubs 1 -subs 2"
	case "fanin":
		clients = "-pubs 2 -subs 1"
	}
	return strings.Fields(clients + " -count 40 -conc 4 -sources 0 -warmup 10ms -dur 50ms")
}

// inProcess runs SealMQ as the comparison configures it, in this process, and returns its address.
func inProcess(t *testing.T, l *lab, c *benchCase, r rights) string {
	t.Helper()
	words, err := sealmqArgs(&site{t.TempDir(), "127.0.0.1:0", c, l}, r)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := config.FromFlags(config.Flags{Config: words[len(words)-1], Dev: slices.Contains(words, "--dev")})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), plan, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return n.Addrs()[0].String()
}

// TestCases carries every row out with little load, open and with all rights: what the comparison configures is enough for
// what it does, and nothing is lost.
func TestCases(t *testing.T) {
	l, err := newLab(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		c := &cases[i]
		for _, r := range []rights{open, loginAndRules, signatures} {
			b := &broker{name: sealmqName, rights: r}
			if !b.does(c) {
				continue
			}
			t.Run(fmt.Sprint(c.name, r), func(t *testing.T) {
				t.Parallel()
				words := slices.Concat(c.args, l.loadArgs(c, b), small(c), args("-addr", inProcess(t, l, c, r)))
				o, err := load.Parse(words, t.Output())
				if err != nil {
					t.Fatal(err)
				}
				for range 50 { // a busy machine may get nothing done in so short a time
					p, err := load.Run(t.Context(), o)
					if err != nil {
						t.Fatal(err)
					}
					if p.Lost+p.Duplicated+p.Refused+p.Foreign != 0 || len(p.Errors) > 0 {
						t.Fatalf("%+v", p)
					}
					if p.Operations > 0 && (!o.Resume || p.Figures["resumed"] > 0.9) {
						return
					}
				}
				t.Error("no run got anything done")
			})
		}
	}
}

// TestRightsRefuse is the negative control of the above: with the rules of another case, nothing goes through.
func TestRightsRefuse(t *testing.T) {
	l, err := newLab(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := cases[0]
	c.rules = each("p", 1, "publish", "elsewhere")
	b := &broker{name: sealmqName, rights: loginAndRules}
	o, err := load.Parse(slices.Concat(c.args, l.loadArgs(&c, b), small(&c), args("-addr", inProcess(t, l, &c, b.rights))), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := load.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%+v %v", p, err)
	}
}

// TestTargets: every target is about a row, and says what is reached.
func TestTargets(t *testing.T) {
	files := map[string]bool{}
	for i := range cases {
		for _, m := range cases[i].measures {
			r := row{c: &cases[i], measure: m}
			if files[r.file()] {
				t.Errorf("two rows are called %s", r.file())
			}
			files[r.file()] = true
		}
	}
	for _, x := range targets {
		if !files[x.file] {
			t.Errorf("no row is called %s", x.file)
		}
	}
	less, more := target{must: 2, goal: 1, factor: 1.5, goalFactor: 1.2}, target{must: 10, goal: 20, more: true}
	for _, tt := range []struct {
		x           target
		here, ratio float64
		want        string
	}{
		{less, 0.9, 3, "goal"},
		{less, 3, 1.1, "goal, as a ratio"},
		{less, 2, 3, "must"},
		{less, 3, 1.5, "must, as a ratio"},
		{less, 2.1, 1.6, "**not reached**"},
		{less, 2.1, math.NaN(), "**not reached**"},
		{more, 20, math.NaN(), "goal"},
		{more, 10, math.NaN(), "must"},
		{target{factor: 1.5}, 3, 1.4, "must"},
		{more, 9, math.NaN(), "**not reached**"},
		{target{goal: 1}, 2, math.NaN(), "goal **not reached**"},
		{target{beside: floorName, factor: 1}, 2, math.NaN(), "–"},
	} {
		if got := tt.x.verdict(tt.here, tt.ratio); got != tt.want {
			t.Errorf("%+v: %v and %v times are %s, want %s", tt.x, tt.here, tt.ratio, got, tt.want)
		}
	}
}

// TestPage: what was measured stands in the page, with everything that went wrong.
func TestPage(t *testing.T) {
	cpu := func(v float64) *load.Report { return &load.Report{CPU: v} }
	bad := cpu(5)
	bad.Lost, bad.Duplicated, bad.ErrorsAll = 12_345, 2, 1
	tab := &table{columns: []string{sealmqName, floorName, mosquittoName, "mochi"}, rows: []row{{&cases[0], perDelivery[0], []*sample{
		{broker: sealmqName, reports: []*load.Report{cpu(0.3), cpu(0.1), cpu(0.2)}},
		{broker: floorName, reports: []*load.Report{cpu(0.05)}},
		{broker: mosquittoName, reports: []*load.Report{bad, cpu(4)}, failed: 1},
		{broker: "mochi", failed: 3},
	}}}}
	want := "| fan-out 1→50, QoS 0: CPU per delivery | µs | **0.20** 0.100..0.30 | **0.050** | **5** 4..5, 12,345 lost, 2 twice, 2 runs with errors | failed |\n"
	if got := tab.lines(tab.rows); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if got := tab.targets(); !strings.Contains(got, "| 8 of floor (Go) | 3.20 | 4 | goal |") || !strings.Contains(got, "of mosquitto") {
		t.Errorf("%s", got)
	}
	if n := strings.Count(tab.values(), "\n"); n != 1+3+1+2 {
		t.Errorf("%d lines:\n%s", n, tab.values())
	}
	for _, svg := range []string{
		bars("a < b", "µs", []bar{{sealmqName, 1, 0.5, 2}, {"other", 0, 0, 0}}), curve("c", "µs", "things", []point{{1, 2}, {1e6, 4}}), curve("none", "", "", nil),
	} {
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") || strings.Contains(svg, "a < b") || !strings.HasSuffix(svg, "</svg>\n") {
			t.Error(svg)
		}
	}
}

func TestFits(t *testing.T) {
	begun := time.Now()
	b := &bench{begun: begun}
	for _, tt := range []struct {
		done          int
		taken, within time.Duration
		want          bool
	}{
		{0, time.Hour, time.Minute, true}, // one round there is always
		{2, 10 * time.Minute, 15 * time.Minute, true},
		{2, 10 * time.Minute, 14 * time.Minute, false},
		{4, 100 * time.Hour, 0, true},
	} {
		b.done, b.within = tt.done, tt.within
		if got := b.fits(begun.Add(tt.taken)); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.1234: "0.123", 0.25: "0.25", 3.14159: "3.14", 20: "20", 31.41: "31.4", 314.2: "314", 1234: "1,234", 1234567: "1,234,567", math.NaN(): "–"} {
		if got := number(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
