package load

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/mqtt"
)

const brokerConfig = `version: 1
node: {data_dir: data}
storage: {engine: memory}
listeners:
  - {name: test, bind: "127.0.0.1:0"}
auth: {anonymous: true}
acl: [{who: anyone, allow: all, topic: "#"}]
limits:
  publish_rate: {per_client: unlimited}
`

// startBroker runs a broker in this process and returns its address.
func startBroker(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sealmq.yaml")
	if err := os.WriteFile(file, []byte(brokerConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := config.FromFlags(config.Flags{Config: file, Dev: true}) // anonymous clients get durable sessions
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), plan, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return n.Addrs()[0].String()
}

// fault is what a saboteur does to deliveries: it drops and doubles some of them, and counts.
type fault struct {
	version          mqtt.Version
	dropEvery        int64 // 0: never
	doubleEvery      int64
	seen             atomic.Int64
	dropped, doubled atomic.Int64
}

// forgedIDs are Packet Identifiers that the broker of these tests does not reach.
const forgedIDs = 60_000

// sabotage stands between clients and a broker and returns the address where clients connect.
func (f *fault) sabotage(t *testing.T, broker string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", broker)
			if err != nil {
				_ = near.Close()
				return
			}
			go f.carry(near, far, func(p mqtt.Packet) error { return f.up(far, p) })
			go f.carry(far, near, func(p mqtt.Packet) error { return f.down(far, near, p) })
		}
	}()
	return l.Addr().String()
}

func (f *fault) carry(from, to net.Conn, pass func(p mqtt.Packet) error) {
	defer to.Close()
	r := mqtt.NewReader(from, f.version, 0)
	for {
		p, err := r.ReadPacket()
		if err == nil {
			err = pass(p)
		}
		if err != nil {
			return
		}
	}
}

func (f *fault) send(c net.Conn, p mqtt.Packet) error {
	b, err := p.Append(nil, f.version)
	if err == nil {
		_, err = c.Write(b)
	}
	return err
}

// up passes everything but what acknowledges a forged message.
func (f *fault) up(broker net.Conn, p mqtt.Packet) error {
	if a, ok := p.(*mqtt.Puback); ok && a.PacketID >= forgedIDs {
		return nil
	}
	return f.send(broker, p)
}

// down drops a delivery, and acknowledges it in the client's name, or doubles it.
func (f *fault) down(broker, client net.Conn, p mqtt.Packet) error {
	m, ok := p.(*mqtt.Publish)
	if !ok {
		return f.send(client, p)
	}
	n := f.seen.Add(1)
	if f.dropEvery > 0 && n%f.dropEvery == 0 {
		f.dropped.Add(1)
		if m.QoS == mqtt.AtLeastOnce {
			return f.send(broker, &mqtt.Puback{PacketID: m.PacketID})
		}
		return nil
	}
	if f.doubleEvery > 0 && n%f.doubleEvery == 0 {
		f.doubled.Add(1)
		again := m.Clone()
		if m.QoS == mqtt.AtLeastOnce {
			again.PacketID = mqtt.PacketID(forgedIDs + n%1000)
		}
		if err := f.send(client, again); err != nil {
			return err
		}
	}
	return f.send(client, m)
}

func parse(t testing.TB, words string) *Options {
	t.Helper()
	o, err := Parse(strings.Fields(words), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestAccounting: what was lost and what came twice is reported to the message, in every scenario with messages.
func TestAccounting(t *testing.T) {
	for name, c := range map[string]struct {
		words        string
		copies       int64
		drop, double int64
	}{
		"fan-out":       {"-scenario fanout -subs 5 -qos 0 -window 100", 5, 7, 11},
		"fan-in":        {"-scenario fanin -pubs 5 -qos 0 -window 16 -v5", 1, 7, 11},
		"pairs":         {"-scenario pairs -pubs 5 -qos 1", 1, 7, 11},
		"QoS 2":         {"-scenario pairs -pubs 5 -qos 2 -v5", 1, 0, 0},
		"paced":         {"-scenario pairs -pubs 5 -qos 1 -rate 2000", 1, 5, 7},
		"durable":       {"-scenario pairs -pubs 5 -qos 1 -durable -v5", 1, 0, 0},
		"offline":       {"-scenario offline -pubs 2 -subs 4 -qos 1 -count 800", 1, 0, 11},
		"offline, lost": {"-scenario offline -pubs 2 -subs 4 -qos 1 -count 80 -v5", 1, 20, 0},
		"retained":      {"-scenario retained -count 500 -qos 0", 1, 7, 11},
		"subscriptions": {"-scenario subscriptions -count 500 -subs 5 -pubs 2 -qos 0", 1, 7, 11},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := parse(t, c.words+" -warmup 10ms -dur 100ms")
			for range 50 { // a busy machine may get too little done in so short a time
				f := &fault{version: o.Version, dropEvery: c.drop, doubleEvery: c.double}
				o.Addr = f.sabotage(t, startBroker(t))
				r, err := Run(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if r.Lost != f.dropped.Load() || r.Duplicated != f.doubled.Load() || r.Received != r.Sent*c.copies-r.Lost || r.Refused+r.Foreign != 0 || r.Errors != nil {
					t.Fatalf("dropped %d, doubled %d; reported %+v", f.dropped.Load(), f.doubled.Load(), r)
				}
				if r.Sent > 0 && (c.drop == 0 || r.Lost > 0) && (c.double == 0 || r.Duplicated > 0) {
					return
				}
			}
			t.Error("no run met its faults")
		})
	}
}

// TestForeign: messages of others are counted apart, whatever they look like.
func TestForeign(t *testing.T) {
	o := parse(t, "-scenario pairs")
	s := newSubscriber(o, &link{version: mqtt.V311}, []*flow{newFlow(1, 1)}, new(atomic.Bool))
	s.flows[0].sent.Store(3)
	for _, tt := range []struct {
		payload []byte
		foreign bool
	}{
		{[]byte("short"), true},
		{make([]byte, tagSize), false},
		{append(make([]byte, tagSize-4), 2, 0, 0, 0), false},
		{append(make([]byte, tagSize-4), 3, 0, 0, 0), true},                     // a number that was not sent
		{append(make([]byte, tagSize-8), 1, 0, 0, 0, 0, 0, 0, 0), true},         // a publisher that does not exist
		{append(make([]byte, tagSize-4), 255, 255, 255, 255), true},             // would take half a gigabyte to remember
		{append(make([]byte, tagSize-8), 255, 255, 255, 255, 0, 0, 0, 0), true}, // no index
	} {
		frame, err := (&mqtt.Publish{Topic: "a", Payload: tt.payload}).Append(nil, mqtt.V311)
		if err != nil {
			t.Fatal(err)
		}
		before := s.foreign
		if err := s.publish(frame); err != nil || (s.foreign > before) != tt.foreign {
			t.Errorf("%x: foreign %v, %v", tt.payload, s.foreign > before, err)
		}
	}
	if s.unique != 2 {
		t.Errorf("%d messages", s.unique)
	}
}

func TestRefusedOptions(t *testing.T) {
	for _, words := range []string{
		"-scenario x", "-qos 3", "-payload 8", "-subs 0", "-window 0", "-rate -1", "-rate 1 -sign x", "-tls -psk x", "-psk-mode 1.1", "-dur 0s",
		"-scenario offline -qos 0", "-scenario retained -sign x", "-sources 300", "fanout",
	} {
		if _, err := Parse(strings.Fields(words), t.Output()); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

func TestTimes(t *testing.T) {
	var d times
	if d.quantile(0.5) != 0 {
		t.Error("nothing has a quantile")
	}
	for _, v := range []time.Duration{0, 1, 63, 64, 65, 1000, 123_456, time.Second, 1<<63 - 1} {
		b := timeBucket(uint64(v))
		low, next := bucketTime(b), bucketTime(min(b+1, timeBuckets-1))
		if low > v || b+1 < timeBuckets && next <= v || v > 64 && float64(v-low) > float64(v)/32 {
			t.Errorf("%v is in the bucket from %v to %v", v, low, next)
		}
	}
	var other times
	for range 99 {
		d.add(time.Millisecond)
	}
	other.add(-time.Second)
	other.add(time.Second)
	d.merge(&other)
	near := func(got, want float64) bool { return got <= want && got >= want*31/32 }
	if !near(d.quantile(0.5), 1000) || d.quantile(0) != 0 || !near(d.quantile(0.999), 1e6) || d.longest != time.Second {
		t.Errorf("%v %v %v %v", d.quantile(0.5), d.quantile(0), d.quantile(0.999), d.longest)
	}
}
