package main

import (
	"fmt"
	"math"
	"strings"
)

// target is what a row must reach. Most are less is better.
type target struct {
	file       string  // of the row
	must, goal float64 // on the machine of the targets; 0: none
	beside     string  // what ran beside there
	factor     float64 // of must to it there; 0: none
	goalFactor float64
	more       bool // more is better
}

// targets in the order of the cases. On their machine the floor took 0.063 µs in the fan-out, 0.086 with one write for
// each, 0.30 in the fan-in, 0.61 in QoS 1 pairs, 0.13 and 0.77 with TLS; mosquitto 2.0.11 took 15.3 µs in QoS 2 pairs, 32 in
// the storm and 7.5 in the match.
var targets = []target{
	{file: "fanout", must: 0.5, goal: 0.2, beside: floorName, factor: 8, goalFactor: 3.2},
	{file: "fanout", must: 0.5, goal: 0.2, beside: mosquittoName, factor: 0.20},
	{file: "fanout-1", must: 0.6, goal: 0.25, beside: floorName, factor: 7, goalFactor: 2.9},
	{file: "fanin", must: 0.7, goal: 0.5, beside: floorName, factor: 2.4, goalFactor: 1.7},
	{file: "pairs-1", must: 1.3, goal: 1.0, beside: floorName, factor: 2.1, goalFactor: 1.6},
	{file: "pairs-1", must: 1.3, goal: 1.0, beside: mosquittoName, factor: 0.17},
	{file: "pairs-2", must: 2.5, goal: 1.8, beside: mosquittoName, factor: 0.16, goalFactor: 0.12},
	{file: "tls-fanout", must: 0.8, goal: 0.4, beside: floorName, factor: 6.2, goalFactor: 3.1},
	{file: "tls-pairs-1", must: 1.9, goal: 1.3, beside: floorName, factor: 2.5, goalFactor: 1.7},
	{file: "sparse", beside: floorName, factor: 1.3},
	{file: "sparse", beside: mosquittoName, goalFactor: 1},
	{file: "storm", must: 40, goal: 30, beside: mosquittoName, factor: 1.25, goalFactor: 0.94},
	{file: "tls-storm", beside: floorName, factor: 1.1, goalFactor: 1.02},
	{file: "tls-resume", goal: 200, beside: floorName, factor: 1.1},
	{file: "psk13-storm", goal: 220, beside: mosquittoName},
	{file: "psk12-storm", goal: 130, beside: mosquittoName},
	{file: "psk12-plain-storm", goal: 130, beside: mosquittoName},
	{file: "idle", must: 6, goal: 4},
	{file: "tls-idle", must: 20, goal: 12},
	{file: "tls-idle-record", goal: 12},
	{file: "subscriptions-1", must: 500, goal: 300},
	{file: "subscriptions-2", must: 5, goal: 3, beside: mosquittoName, factor: 0.67, goalFactor: 0.4},
	{file: "retained", must: 900, goal: 600},
	{file: "offline-1", must: 60_000, goal: 100_000, more: true},
	{file: "offline-2", goal: 9},
	{file: "online-1", must: 100_000, goal: 200_000, more: true},
}

// targets compares the rows that were measured with what they must reach.
func (t *table) targets() string {
	var b strings.Builder
	b.WriteString("| case | must | goal | here | ratio: must | goal | here | reached |\n| --- | ---: | ---: | ---: | --- | ---: | ---: | --- |\n")
	for i := range targets {
		x := &targets[i]
		for j := range t.rows {
			if r := &t.rows[j]; r.file() == x.file && !math.IsNaN(r.median(sealmqName)) {
				b.WriteString(x.line(r))
			}
		}
	}
	return b.String()
}

func (x *target) line(r *row) string {
	here := r.median(sealmqName)
	ratio, against := math.NaN(), ""
	if x.beside != "" {
		ratio = here / r.median(x.beside)
		against = " of " + x.beside
	}
	wanted := func(v float64) string {
		if v == 0 {
			return ""
		}
		return number(v)
	}
	ratioMust := wanted(x.factor) + against
	if x.factor == 0 {
		ratioMust = strings.TrimPrefix(against, " ")
	}
	return fmt.Sprintf("| %s: %s, %s | %s | %s | %s | %s | %s | %s | %s |\n", r.c.title, r.measure.name, r.measure.unit,
		wanted(x.must), wanted(x.goal), number(here), ratioMust, wanted(x.goalFactor), number(ratio), x.verdict(here, ratio)+r.sample(sealmqName).faults())
}

// verdict says what is reached, and whether only beside others.
func (x *target) verdict(here, ratio float64) string {
	must, goal := x.reached(here, ratio, x.must, x.factor), x.reached(here, ratio, x.goal, x.goalFactor)
	switch {
	case goal.asked && goal.yes:
		return "goal" + goal.how
	case must.asked && must.yes:
		return "must" + must.how
	case must.asked:
		return "**not reached**"
	case goal.asked:
		return "goal **not reached**"
	}
	return "–"
}

// outcome of one aim.
type outcome struct {
	asked, yes bool
	how        string
}

// reached holds an aim as it is, and then as a ratio.
func (x *target) reached(here, ratio, absolute, factor float64) (o outcome) {
	if absolute != 0 {
		o.asked = true
		if here == absolute || here > absolute == x.more {
			o.yes = true
			return o
		}
	}
	if factor != 0 && !math.IsNaN(ratio) {
		o.asked = true
		if o.yes = ratio <= factor; o.yes && absolute != 0 {
			o.how = ", as a ratio"
		}
	}
	return o
}
