package main

// measure picks what a case is about.
type measure struct {
	name string
	unit string
	of   func(r *result) float64
}

var (
	perDelivery   = measure{"CPU per delivery", "µs", func(r *result) float64 { return r.CPU }}
	perConnection = measure{"CPU per connection", "µs", func(r *result) float64 { return r.CPU }}
	perMessage    = measure{"CPU per accepted message", "µs", func(r *result) float64 { return r.CPU }}
)

func extra(name, unit, key string) measure {
	return measure{name, unit, func(r *result) float64 { return r.Extra[key] }}
}

// benchCase is one row of the comparison.
type benchCase struct {
	name     string // in commands
	title    string
	args     []string
	measures []measure
	tls      bool
	durable  bool // SealMQ writes to a disk
	only     string
	noFloor  bool // the relay cannot do it
}

func args(s ...string) []string { return s }

// cases are in the order of the table.
var cases = []benchCase{
	{name: "fanout", title: "fan-out 1→50, QoS 0", args: args("-scenario", "fanout", "-pubs", "1", "-subs", "50", "-qos", "0", "-window", "100"), measures: []measure{perDelivery}},
	{name: "fanout-1", title: "the same, one write per publish", args: args("-scenario", "fanout", "-pubs", "1", "-subs", "50", "-qos", "0", "-window", "100", "-batch", "1"), measures: []measure{perDelivery}},
	{name: "fanin", title: "fan-in 50→1, QoS 0", args: args("-scenario", "fanin", "-pubs", "50", "-subs", "1", "-qos", "0", "-window", "16"), measures: []measure{perDelivery}},
	{name: "pairs-1", title: "50 pairs, QoS 1, window 20", args: args("-scenario", "pairs", "-pubs", "50", "-qos", "1", "-window", "20"), measures: []measure{perDelivery}},
	{name: "pairs-2", title: "50 pairs, QoS 2, window 20", args: args("-scenario", "pairs", "-pubs", "50", "-qos", "2", "-window", "20"), measures: []measure{perDelivery}, noFloor: true},
	{name: "tls-fanout", title: "TLS 1.3, fan-out QoS 0", tls: true, args: args("-scenario", "fanout", "-pubs", "1", "-subs", "50", "-qos", "0", "-window", "100"), measures: []measure{perDelivery}},
	{name: "tls-pairs-1", title: "TLS 1.3, 50 pairs QoS 1", tls: true, args: args("-scenario", "pairs", "-pubs", "50", "-qos", "1", "-window", "20"), measures: []measure{perDelivery}},
	{name: "sparse", title: "50 pairs, QoS 0, 5,000 messages/s", args: args("-scenario", "pairs", "-pubs", "50", "-qos", "0", "-rate", "5000"), measures: []measure{perDelivery}},
	{name: "storm", title: "connect storm", args: args("-scenario", "storm", "-conc", "32", "-sources", "20"), measures: []measure{perConnection}},
	{name: "tls-storm", title: "connect storm, TLS 1.3", tls: true, args: args("-scenario", "storm", "-conc", "32", "-sources", "20"), measures: []measure{perConnection}},
	{name: "tls-resume", title: "connect storm, TLS 1.3 resumption", tls: true, args: args("-scenario", "storm", "-conc", "32", "-sources", "20", "-resume"), measures: []measure{perConnection}},
	{name: "idle", title: "10,000 idle, one subscription each", args: args("-scenario", "idle", "-count", "10000", "-conc", "64", "-sources", "20", "-subs", "1"), measures: []measure{extra("memory per connection", "KiB", "rss_kib_per_conn")}, noFloor: true},
	{name: "tls-idle", title: "10,000 idle, TLS 1.3", tls: true, args: args("-scenario", "idle", "-count", "10000", "-conc", "64", "-sources", "20", "-subs", "0"), measures: []measure{extra("memory per connection", "KiB", "rss_kib_per_conn")}, noFloor: true},
	{name: "subscriptions", title: "1 M subscriptions", args: args("-scenario", "subscriptions", "-count", "1000000", "-subs", "100", "-pubs", "10", "-window", "16"), measures: []measure{
		extra("memory per subscription", "B", "rss_bytes_per_subscription"), perDelivery,
	}, noFloor: true},
	{name: "retained", title: "100,000 retained messages", args: args("-scenario", "retained", "-count", "100000", "-qos", "0"), measures: []measure{extra("memory per message", "B", "rss_bytes_per_message")}, noFloor: true},
	{name: "offline", title: "QoS 1 to 20 offline durable sessions, fsync before PUBACK", durable: true, only: "SealMQ", args: args("-scenario", "persist", "-pubs", "20", "-count", "200000", "-qos", "1", "-window", "100"), measures: []measure{
		{"acknowledged", "1/s", func(r *result) float64 { return r.Rate }}, perMessage,
	}},
	{name: "online", title: "50 pairs, QoS 1, online durable sessions, fsync contract", durable: true, only: "SealMQ", args: args("-scenario", "pairs", "-pubs", "50", "-qos", "1", "-window", "100", "-v5", "-durable"), measures: []measure{
		{"delivered", "1/s", func(r *result) float64 { return r.Rate }}, perDelivery,
	}},
}
