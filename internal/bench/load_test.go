package bench

import (
	"errors"
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

func TestLoads(t *testing.T) {
	l, err := openLab(t.Context(), t.TempDir(), inProcess)
	if err != nil {
		t.Fatal(err)
	}
	defer l.broker.Stop() //nolint:errcheck // test
	server := "mqtt://" + l.broker.Addresses[plain]
	for _, kind := range []LoadKind{Conn, Pub, Pipe} {
		o := &Load{
			Kind: kind, Config: client.Config{Server: server, ClientID: "load"}, Clients: 2, Size: 32, QoS: mqtt.AtLeastOnce,
			Topic: "r/load", Warmup: 20 * time.Millisecond, Duration: 300 * time.Millisecond,
		}
		for range 100 { // a busy machine may get nothing done in so short a time
			s, err := RunLoad(t.Context(), o)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if s.Failed != 0 || s.Lost != 0 || s.Duplicated != 0 {
				t.Errorf("%s: %+v", kind, s)
			}
			if s.Operations == 0 {
				continue
			}
			if s.Rate <= 0 || s.P50 <= 0 || s.P99 < s.P50 || s.Longest < s.P99 || kind == Pipe && s.Sent != s.Received {
				t.Errorf("%s: %+v", kind, s)
			}
			break
		}
	}
	// What is refused is counted, and the first reason kept.
	for range 100 {
		s, err := RunLoad(t.Context(), &Load{
			Kind: Pub, Config: client.Config{Server: server}, Clients: 1, QoS: mqtt.AtLeastOnce, Topic: "forbidden", Duration: 300 * time.Millisecond,
		})
		if err != nil || s.Operations != 0 || s.Failed > 0 && s.FirstError == "" {
			t.Fatalf("%+v %v", s, err)
		}
		if s.Failed > 0 {
			break
		}
	}
	if _, err := RunLoad(t.Context(), &Load{Kind: Pipe, Size: 8}); !errors.Is(err, ErrPipeSize) {
		t.Error(err)
	}
}

// TestPipeCounts: what does not arrive is lost, what arrives again is duplicated, whatever the order of the phases.
func TestPipeCounts(t *testing.T) {
	r := &load{o: &Load{Kind: Pipe, Size: 16}}
	r.begin()
	p := &pair{topic: "a"}
	r.pairs = []*pair{p}
	message := func(n byte) *client.Message {
		return &client.Message{Topic: "a", Payload: []byte{0, 0, 0, 0, 0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, 1}}
	}
	p.sent.Store(5)
	for _, n := range []byte{1, 2, 2, 4} {
		r.arrived(p, message(n))
	}
	r.arrived(p, &client.Message{Topic: "b", Payload: message(5).Payload})
	r.begin()
	r.arrived(p, message(4))
	if s := r.summary(1); s.Sent != 5 || s.Received != 3 || s.Lost != 2 || s.Duplicated != 2 || s.Operations != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTiming(t *testing.T) {
	var d timing
	if d.percentile(50) != -1 {
		t.Error("nothing has a percentile")
	}
	for range 98 {
		d.add(time.Millisecond)
	}
	d.add(time.Second)
	d.add(time.Hour)
	near := func(got, want float64) bool { return got >= want*0.95 && got <= want*1.06 }
	if !near(d.percentile(50), 1) || !near(d.percentile(99), 1000) || d.percentile(100) < 400_000 {
		t.Errorf("%v %v %v", d.percentile(50), d.percentile(99), d.percentile(100))
	}
	if bucketOf(0) != 0 || bucketOf(-time.Second) != 0 {
		t.Error("times before their beginning")
	}
}
