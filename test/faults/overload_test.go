package faults

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// queueLimit is the cap on one session's queue in these tests, in messages.
const queueLimit = 500

// overloadConfig has small limits, so that they are reached in seconds.
const overloadConfig = `version: 1
auth: {anonymous: true}
limits:
  queue: {messages: 500, bytes: 4MiB}
  queue_total: 32MiB
  publish_rate: {per_client: unlimited}
  publish_bytes: {per_client: unlimited}
  ack_wait: 1s
`

// memoryBudget is what the process may take with these limits, in bytes: queues, buffers of slow connections, the
// store's caches, and the program itself.
const memoryBudget = 400 << 20

// greedy is a way to be a bad neighbour. It runs until stop is closed and returns a check of what must hold for those
// who took part.
type greedy func(o *overload, stop <-chan struct{}) (check func() string)

var neighbours = map[string]greedy{
	"subscriber that stops reading":        stopsReading,
	"offline session at its cap":           offlineAtCap,
	"two clients publishing to each other": eachOther,
	"publisher without restraint":          withoutRestraint,
	"twice the sustainable rate":           twiceTheRate,
}

// TestOverload lets each bad neighbour do its worst and checks that what was accepted is delivered, that keep-alives
// hold, and that memory stays within the budget. How long an idle neighbour's pings take is BenchmarkNeighbour's
// business.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("loads the machine for some seconds; run without -short")
	}
	for name, g := range neighbours {
		t.Run(name, func(t *testing.T) {
			o := newOverload(t)
			pings := o.run(g, 1500*time.Millisecond)
			if len(pings) == 0 {
				t.Error("the idle neighbour was never answered")
			}
			if rss := residentMemory(o.server.cmd.Process.Pid); rss > memoryBudget {
				t.Errorf("the broker takes %d MiB, the budget is %d MiB", rss>>20, memoryBudget>>20)
			}
		})
	}
}

// pingBudget is the p99 of an idle client's PINGREQ that no neighbour may exceed on a machine that has nothing else to do.
const pingBudget = 50 * time.Millisecond

// BenchmarkNeighbour measures the PINGREQ round trips of an idle client beside each bad neighbour, and holds their p99 to
// the budget.
func BenchmarkNeighbour(b *testing.B) {
	for name, g := range neighbours {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			var pings []time.Duration
			var memory int64
			for b.Loop() {
				o := newOverload(b)
				pings = append(pings, o.run(g, 3*time.Second)...)
				memory = max(memory, residentMemory(o.server.cmd.Process.Pid))
			}
			b.ReportMetric(float64(memory>>20), "MiB")
			if len(pings) == 0 {
				b.Fatal("the idle neighbour was never answered")
			}
			slices.Sort(pings)
			b.ReportMetric(float64(pings[len(pings)/2].Microseconds()), "p50-µs")
			p99 := pings[len(pings)*99/100]
			b.ReportMetric(float64(p99.Microseconds()), "p99-µs")
			if p99 > pingBudget {
				b.Errorf("p99 is %v, the budget is %v", p99, pingBudget)
			}
			b.ReportMetric(float64(pings[len(pings)-1].Microseconds()), "max-µs")
		})
	}
}

// overload is a broker with small limits.
type overload struct {
	t      testing.TB
	server *server
}

func newOverload(t testing.TB) *overload {
	s := newServer(t)
	config := filepath.Join(t.TempDir(), "sealmq.yaml")
	if err := os.WriteFile(config, []byte(overloadConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	s.config = config
	s.start()
	t.Cleanup(s.kill)
	return &overload{t, s}
}

// run lets g work for a while beside a client that only pings, and returns how long each ping took.
func (o *overload) run(g greedy, d time.Duration) []time.Duration {
	stop := make(chan struct{})
	n := startNeighbour(o.t, o.server.addr)
	time.AfterFunc(d, func() { close(stop) })
	check := g(o, stop)
	<-stop
	pings := n.stop()
	if problem := check(); problem != "" {
		o.t.Error(problem)
	}
	return pings
}

// raw opens a connection that nobody reads.
func (o *overload) raw(id string, v mqtt.Version) net.Conn {
	conn, err := greet(o.server.addr, id, v)
	if err != nil {
		o.t.Fatal(err)
	}
	return conn
}

func (o *overload) client(id string, receive func(p *mqtt.Publish)) *client {
	c := newClient(id, mqtt.V5)
	c.receive = receive
	if _, err := c.connect(o.server.addr); err != nil {
		o.t.Fatal(err)
	}
	return c
}

// counter receives numbered messages and notes how many came, and whether they were in order.
type counter struct {
	mu       sync.Mutex
	n        int
	next     uint32
	disorder bool
}

func (c *counter) receive(p *mqtt.Publish) {
	if len(p.Payload) < 8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, seq := parsePayload(p.Payload)
	c.n++
	c.disorder = c.disorder || seq != c.next
	c.next = seq + 1
}

// await returns what is wrong after the counter had time to reach n.
func (c *counter) await(who string, n int) string {
	deadline := time.Now().Add(patience)
	for {
		c.mu.Lock()
		got, disorder := c.n, c.disorder
		c.mu.Unlock()
		switch {
		case disorder:
			return who + " received messages out of order"
		case got == n:
			return ""
		case got > n || time.Now().After(deadline):
			return fmt.Sprintf("%s received %d messages of %d", who, got, n)
		}
		time.Sleep(5 * time.Millisecond) // polls a condition with a deadline
	}
}

// publishUntil sends numbered QoS 1 messages until stop, but at least so many, waits for their acknowledgements, and
// returns how many there were.
func publishUntil(c *client, name string, size, atLeast int, stop <-chan struct{}) int {
	n := 0
	body := make([]byte, size)
	for {
		select {
		case <-stop:
			if n < atLeast {
				break
			}
			c.settle(patience)
			return n
		default:
		}
		copy(body, payload(0, uint32(n)))
		if !c.publish(name, append([]byte(nil), body...), 1, false, 50, func() {}) {
			return n
		}
		n++
	}
}

// stopsReading subscribes to everything and never reads, while others go on.
func stopsReading(o *overload, stop <-chan struct{}) func() string {
	deaf := o.raw("deaf", mqtt.V311)
	o.t.Cleanup(func() { _ = deaf.Close() })
	frame, err := (&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "#", QoS: 1}}}).Append(nil, mqtt.V311)
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := deaf.Write(frame); err != nil {
		o.t.Fatal(err)
	}
	var count counter
	sub := o.client("reader", count.receive)
	sub.subscribe("load", 1)
	pub := o.client("writer", func(*mqtt.Publish) {})
	pub.publish("load/ready", nil, 1, false, 50, func() {})
	sub.publish("load/ready", nil, 1, false, 50, func() {})
	sub.settle(patience)
	n := publishUntil(pub, "load", 1000, 1, stop)
	return func() string { return count.await("the healthy subscriber", n) }
}

// offlineAtCap leaves a durable session with # behind and publishes past its limit.
func offlineAtCap(o *overload, stop <-chan struct{}) func() string {
	var stored counter
	away := newClient("away", mqtt.V311)
	ready := make(chan struct{}, 1)
	away.receive = func(p *mqtt.Publish) {
		if stored.receive(p); p.Topic == "ready" {
			select {
			case ready <- struct{}{}:
			default:
			}
		}
	}
	if _, err := away.connect(o.server.addr); err != nil {
		o.t.Fatal(err)
	}
	away.subscribe("#", 1)
	away.publish("ready", nil, 1, false, 50, func() {})
	away.settle(patience)
	select {
	case <-ready: // and acknowledged, or it would keep its place
	case <-time.After(patience):
		o.t.Fatal("the session that will be away does not receive")
	}
	away.disconnect()
	var count counter
	sub := o.client("reader", count.receive)
	sub.subscribe("load", 1)
	sub.publish("ready", nil, 1, false, 50, func() {})
	sub.settle(patience)
	pub := o.client("writer", func(*mqtt.Publish) {})
	n := publishUntil(pub, "load", 100, queueLimit+100, stop)
	return func() string {
		if problem := count.await("the healthy subscriber", n); problem != "" {
			return problem
		}
		if _, err := away.connect(o.server.addr); err != nil {
			return err.Error()
		}
		return stored.await("the session that was away", queueLimit-1) // one place has the message "ready"
	}
}

// eachOther has two clients publish to each other as fast as their windows allow.
func eachOther(o *overload, stop <-chan struct{}) func() string {
	var counts [2]counter
	var clients [2]*client
	for i := range clients {
		clients[i] = o.client(fmt.Sprintf("peer-%d", i), counts[i].receive)
		clients[i].subscribe(fmt.Sprintf("to/%d", i), 1)
		clients[i].publish("ready", nil, 1, false, 50, func() {})
		clients[i].settle(patience)
	}
	var sent [2]int
	var both sync.WaitGroup
	for i := range clients {
		both.Go(func() { sent[i] = publishUntil(clients[i], fmt.Sprintf("to/%d", 1-i), 500, 1, stop) })
	}
	both.Wait()
	return func() string {
		if problem := counts[0].await("peer 0", sent[1]); problem != "" {
			return problem
		}
		return counts[1].await("peer 1", sent[0])
	}
}

// withoutRestraint publishes QoS 0 as fast as the socket takes it, beside an ordinary QoS 1 pair.
func withoutRestraint(o *overload, stop <-chan struct{}) func() string {
	flood := o.raw("flood", mqtt.V311)
	frame, err := (&mqtt.Publish{Topic: "flood/x", Payload: make([]byte, 200)}).Append(nil, mqtt.V311)
	if err != nil {
		o.t.Fatal(err)
	}
	burst := slices.Repeat(frame, 100)
	var flooded atomic.Int64
	o.client("flooded", func(*mqtt.Publish) { flooded.Add(1) }).subscribe("flood/#", 0)
	var flooding sync.WaitGroup
	flooding.Go(func() {
		defer flood.Close()
		for {
			select {
			case <-stop:
				return
			default:
				_ = flood.SetWriteDeadline(time.Now().Add(patience))
				if _, err := flood.Write(burst); err != nil {
					o.t.Errorf("the flooding client was cut off: %v", err)
					return
				}
			}
		}
	})
	var count counter
	sub := o.client("reader", count.receive)
	sub.subscribe("load", 1)
	sub.publish("ready", nil, 1, false, 50, func() {})
	sub.settle(patience)
	n := publishUntil(o.client("writer", func(*mqtt.Publish) {}), "load", 200, 1, stop)
	flooding.Wait()
	return func() string { return count.await("the ordinary subscriber", n) }
}

// residentMemory reads the resident set of a process, in bytes; 0 where the system does not show it.
func residentMemory(pid int) int64 {
	if runtime.GOOS != "linux" {
		return 0
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
