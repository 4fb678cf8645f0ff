package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// waiting is how many bytes wait for the client in the broker.
func (r *rig) waiting(id string) int {
	r.settle()
	s := r.b.sessions.get(id)
	if s == nil {
		return 0
	}
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	if c == nil {
		return 0
	}
	return c.out.pending()
}

// narrow is a client that has little room for what it does not read.
func (r *rig) narrow(id string, opts ...setup) *client {
	r.t.Helper()
	return r.openFrom(link{size: 1 << 10}).login(id, opts...)
}

func smallBuffers(s *Settings) {
	s.OutBuffer = 64 << 10
	s.Queue.Messages, s.Queue.Memory = 100, 10
}

// TestAttack39_SlowConsumer: a client that subscribes and does not read holds a bounded amount of memory, costs nobody
// else anything and is disconnected in the end. QoS 1 and 2 publishers wait for it no longer than AckWait.
func TestAttack39_SlowConsumer(t *testing.T) {
	for qos := range mqtt.QoS(3) {
		for _, session := range []uint32{0, 100} {
			bubble(t, func(r *rig) {
				slow := r.narrow("slow", expiry(session))
				slow.subscribe(qos, "#")
				good, pub := r.connect("good"), r.connect("pub")
				good.subscribe(qos, "#")
				payload := strings.Repeat("x", 1000)
				waits := 0
				for i := 0; i < 500 && waits < 3; i++ {
					start := time.Now()
					pub.publish(msg("a", payload, qos))
					good.receive("a", payload)
					d := time.Since(start)
					if d > r.set.AckWait {
						t.Fatalf("message %d was acknowledged after %v", i, d)
					}
					if d > 0 {
						waits++
					}
				}
				if waits != 3 && qos > 0 {
					t.Errorf("QoS %d: publishing was never held back", qos)
				}
				if n := r.waiting("slow"); n > r.set.OutBuffer+2000 {
					t.Errorf("%d bytes wait for the slow client", n)
				}
				if n := r.b.Snapshot().QueuedBytes; n > 2*100*1200 {
					t.Errorf("%d bytes are queued", n)
				}
				r.wait(2 * r.set.WriteTimeout)
				if n := r.b.Snapshot().Clients; n != 2 {
					t.Errorf("%d clients are connected, want 2", n)
				}
				good.ping()
			}, with(smallBuffers))
		}
	}
}

// TestAnswersToNobody: a client that asks and never reads the answers is disconnected before they pile up.
func TestAnswersToNobody(t *testing.T) {
	questions := map[string]mqtt.Packet{
		"PINGREQ": &mqtt.Pingreq{}, "PUBREL": &mqtt.Pubrel{PacketID: 1},
		"SUBSCRIBE": &mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a"}}},
		"PUBLISH":   &mqtt.Publish{PacketID: 1, QoS: 1, Topic: "nobody"},
	}
	for name, p := range questions {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				c := r.narrow("c")
				b := c.encode(nil, p)
				many := []byte(strings.Repeat(string(b), 8<<10/len(b)))
				most := 0
				for range 500 {
					c.raw(many...)
					most = max(most, r.waiting("c"))
				}
				r.wait(5 * time.Second)
				if n := r.b.Snapshot().Clients; n != 0 {
					t.Errorf("the client is still connected, %d bytes wait for it", most)
				}
				if most > 4*r.set.OutBuffer {
					t.Errorf("%d bytes waited", most)
				}
				if !r.logged("connection closed", "client=c", "client does not read") {
					t.Error("not logged")
				}
			}, with(smallBuffers))
		})
	}
}

// TestAttack42_RetainedStorm: subscribing to everything again and again is paced by what the client reads, whatever the
// QoS, and ends at a bound.
func TestAttack42_RetainedStorm(t *testing.T) {
	for qos := range mqtt.QoS(2) {
		bubble(t, func(r *rig) {
			pub := r.connect("pub")
			payload := strings.Repeat("x", 1000)
			for i := range 200 {
				p := msg(fmt.Sprint("r/", i), payload, qos)
				p.Retain = true
				pub.publish(p)
			}
			c := r.narrow("c")
			p := &mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "#", QoS: qos}}}
			for range 3 {
				for range r.set.SubscriptionsPerSession / 4 {
					c.send(p)
				}
				if n := r.waiting("c"); n > 2*r.set.OutBuffer {
					t.Fatalf("%d bytes wait", n)
				}
			}
			pub.ping()
			for range r.set.SubscriptionsPerSession {
				c.send(p)
			}
			r.wait(5 * time.Second)
			if n := r.b.Snapshot().Clients; n != 1 {
				t.Errorf("%d clients, want only the publisher", n)
			}
		}, with(smallBuffers), with(func(s *Settings) { s.SubscriptionsPerSession = 40 }))
	}
}

// TestRetainedPaced: a client that does read gets every message, each once.
func TestRetainedPaced(t *testing.T) {
	for qos := range mqtt.QoS(2) {
		bubble(t, func(r *rig) {
			pub := r.connect("pub")
			payload := strings.Repeat("x", 1000)
			const n = 700
			for i := range n {
				p := msg(fmt.Sprint("r/", i), payload, qos)
				p.Retain = true
				pub.publish(p)
			}
			pub.ping() // all are retained
			c := r.narrow("c", expiry(100))
			c.subscribe(qos, "#")
			seen := map[string]bool{}
			for range n {
				p := expect[*mqtt.Publish](c)
				c.acknowledge(p)
				if seen[p.Topic] || !p.Retain || p.QoS != qos {
					t.Fatalf("received %+v", p)
				}
				seen[p.Topic] = true
			}
			c.quiet()
		}, with(smallBuffers))
	}
}
