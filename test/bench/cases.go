package main

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/test/bench/load"
)

// measure picks what a case is about.
type measure struct {
	name string
	unit string
	of   func(r *load.Report) float64
}

func cpuPer(what string) measure {
	return measure{"CPU per " + what, "µs", func(r *load.Report) float64 { return r.CPU }}
}

func rateOf(name string) measure {
	return measure{name, "1/s", func(r *load.Report) float64 { return r.PerSecond }}
}

// figure is one of the scenario's own, multiplied to be of the unit.
func figure(name, unit, key string, factor float64) measure {
	return measure{name, unit, func(r *load.Report) float64 { return r.Figures[key] * factor }}
}

// transport is how clients reach the broker.
type transport int

const (
	plain transport = iota
	certificate
	psk13
	psk12
	psk12Plain // without forward secrecy
)

func (t transport) psk() bool { return t >= psk13 }

// benchCase is one row of the comparison, or several with the same runs.
type benchCase struct {
	name      string // in commands and files
	title     string
	args      []string
	measures  []measure
	transport transport
	rules     []rule // with rights: one for each login
	durable   bool   // SealMQ writes to a disk
	signed    bool   // also measured with signatures
	alone     bool   // no other broker promises this
	noFloor   bool   // the relay cannot do it
	most      int    // runs, where they take long; 0: as many as asked for
}

func args(s ...string) []string { return s }

// rule lets one login do one thing.
type rule struct {
	login, allow, topic string
}

// prefix begins all topics.
const prefix = "bench"

// each makes a rule for each of n logins of a role. A topic with a verb gets the login's number.
func each(role string, n int, allow, topic string) (list []rule) {
	for i := range n {
		t := topic
		if strings.Contains(topic, "%") {
			t = fmt.Sprintf(topic, i)
		}
		list = append(list, rule{fmt.Sprint(role, i), allow, prefix + "/" + t})
	}
	return list
}

func both(a, b []rule) []rule { return append(append([]rule(nil), a...), b...) }

var (
	fanOut = both(each("p", 1, "publish", "t/%05d"), each("s", 50, "subscribe", "t/00000"))
	fanIn  = both(each("p", 50, "publish", "t/%05d"), each("s", 1, "subscribe", "t/+"))
	pairs  = both(each("p", 50, "publish", "t/%05d"), each("s", 50, "subscribe", "t/%05d"))
	storm  = each("c", 32, "all", "c/%d/#")
	rested = each("i", 10_000, "all", "i%d/#")
)

var (
	fanOutArgs = args("-scenario", "fanout", "-pubs", "1", "-subs", "50", "-qos", "0", "-window", "100")
	pairsArgs  = args("-scenario", "pairs", "-pubs", "50", "-qos", "1", "-window", "20")
	stormArgs  = args("-scenario", "storm", "-conc", "32", "-sources", "20")
	idleArgs   = args("-scenario", "idle", "-count", "10000", "-conc", "64", "-sources", "20", "-dur", "3s")
)

func with(list []string, more ...string) []string {
	return append(append([]string(nil), list...), more...)
}

var (
	perDelivery   = []measure{cpuPer("delivery")}
	perConnection = []measure{cpuPer("connection")}
	perIdle       = []measure{figure("memory per connection", "KiB", "bytes_per_connection", 1.0/1024)}
)

// cases are in the order of the table.
var cases = []benchCase{
	{name: "fanout", title: "fan-out 1→50, QoS 0", args: fanOutArgs, measures: perDelivery, rules: fanOut, signed: true},
	{name: "fanout-1", title: "the same, one write per publish", args: with(fanOutArgs, "-batch", "1"), measures: perDelivery, rules: fanOut, signed: true},
	{
		name: "fanin", title: "fan-in 50→1, QoS 0", args: args("-scenario", "fanin", "-pubs", "50", "-subs", "1", "-qos", "0", "-window", "16"),
		measures: perDelivery, rules: fanIn, signed: true,
	},
	{name: "pairs-1", title: "50 pairs, QoS 1, window 20", args: pairsArgs, measures: perDelivery, rules: pairs, signed: true},
	{name: "pairs-2", title: "50 pairs, QoS 2, window 20", args: with(pairsArgs, "-qos", "2"), measures: perDelivery, rules: pairs, noFloor: true},
	{name: "tls-fanout", title: "TLS 1.3, fan-out QoS 0", args: fanOutArgs, measures: perDelivery, rules: fanOut, transport: certificate},
	{name: "tls-pairs-1", title: "TLS 1.3, 50 pairs QoS 1", args: pairsArgs, measures: perDelivery, rules: pairs, transport: certificate},
	{name: "sparse", title: "50 pairs, QoS 0, 5,000 messages/s", args: with(pairsArgs, "-qos", "0", "-rate", "5000"), measures: perDelivery, rules: pairs},
	{name: "storm", title: "connect storm", args: stormArgs, measures: perConnection, rules: storm},
	{name: "tls-storm", title: "connect storm, TLS 1.3", args: stormArgs, measures: perConnection, rules: storm, transport: certificate},
	{name: "tls-resume", title: "connect storm, TLS 1.3 resumption", args: with(stormArgs, "-resume"), measures: perConnection, rules: storm, transport: certificate},
	{name: "psk13-storm", title: "connect storm, TLS 1.3, pre-shared key", args: stormArgs, measures: perConnection, rules: storm, transport: psk13, noFloor: true},
	{name: "psk12-storm", title: "connect storm, TLS 1.2, pre-shared key", args: stormArgs, measures: perConnection, rules: storm, transport: psk12, noFloor: true},
	{
		name: "psk12-plain-storm", title: "connect storm, TLS 1.2, pre-shared key without forward secrecy", args: stormArgs, measures: perConnection, rules: storm,
		transport: psk12Plain, noFloor: true,
	},
	{name: "idle", title: "10,000 idle, one subscription each", args: with(idleArgs, "-subs", "1"), measures: perIdle, rules: rested, noFloor: true, most: 2},
	{name: "tls-idle", title: "10,000 idle, TLS 1.3", args: with(idleArgs, "-subs", "0"), measures: perIdle, rules: rested, transport: certificate, noFloor: true, most: 2},
	{
		name: "tls-idle-record", title: "10,000 idle, TLS 1.3, after a record of 16 KiB", args: with(idleArgs, "-subs", "0", "-record", "16000"), measures: perIdle, rules: rested,
		transport: certificate, noFloor: true, most: 1,
	},
	{
		name: "subscriptions", title: "1 M subscriptions", args: args("-scenario", "subscriptions", "-count", "1000000", "-subs", "100", "-pubs", "10", "-window", "16", "-warmup", "3s", "-dur", "2s"),
		measures: append([]measure{figure("memory per subscription", "B", "bytes_per_subscription", 1)}, perDelivery...),
		rules:    both(each("p", 10, "publish", "m/#"), each("s", 100, "subscribe", "m/#")), noFloor: true, most: 3,
	},
	{
		name: "retained", title: "100,000 retained messages", args: args("-scenario", "retained", "-count", "100000", "-qos", "0", "-dur", "3s"),
		measures: []measure{figure("memory per message", "B", "bytes_per_message", 1)},
		rules:    both(each("p", 1, "publish", "r/#"), each("s", 1, "subscribe", "r/#")), noFloor: true, most: 3,
	},
	{
		name: "offline", title: "QoS 1 to 20 offline durable sessions, fsync before PUBACK", durable: true, alone: true,
		args:     args("-scenario", "offline", "-pubs", "20", "-subs", "20", "-count", "200000", "-qos", "1", "-window", "100"),
		measures: []measure{rateOf("acknowledged"), cpuPer("accepted message"), figure("CPU to deliver one", "µs", "drain_cpu_us", 1)},
		rules:    both(each("p", 20, "publish", "q/#"), each("s", 20, "subscribe", "q/%08d/v")),
	},
	{
		name: "online", title: "50 pairs, QoS 1, online durable sessions, fsync contract", durable: true, alone: true,
		args: with(pairsArgs, "-window", "100", "-v5", "-durable"), measures: append([]measure{rateOf("delivered")}, perDelivery...), rules: pairs,
	},
}
