package broker

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// TestAckOrder: acknowledgements leave in the order of what they answer [MQTT-4.6.0-2] [MQTT-4.6.0-3], after the disk has
// what they promise, though some need no disk.
func TestAckOrder(t *testing.T) {
	bubble(t, func(r *rig) {
		keeper := r.connect("keeper", expiry(100))
		keeper.subscribe(2, "kept")
		r.connect("other").subscribe(2, "fast")
		pub := r.connect("pub")
		r.store.close()
		for i, name := range []string{"kept", "fast", "kept", "fast"} {
			p := msg(name, "x", mqtt.QoS(1+i/2))
			p.PacketID = mqtt.PacketID(i + 1)
			pub.send(p)
		}
		pub.quiet()
		pub.ping() // what is not an acknowledgement does not wait
		r.store.open()
		pub.same(1, expect[*mqtt.Puback](pub).PacketID)
		pub.same(2, expect[*mqtt.Puback](pub).PacketID)
		pub.same(3, expect[*mqtt.Pubrec](pub).PacketID)
		pub.same(4, expect[*mqtt.Pubrec](pub).PacketID)
	})
}

// TestOverlapping: overlapping filters are one delivery with the highest QoS and all identifiers [MQTT-3.3.4-2]
// [MQTT-3.3.4-4]; No Local takes its filter out.
func TestOverlapping(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c")
		for i, s := range []mqtt.Subscription{{Filter: "a/b", QoS: 0}, {Filter: "a/+", QoS: 2, NoLocal: true}, {Filter: "#", QoS: 1}} {
			p := &mqtt.Subscribe{Subscriptions: []mqtt.Subscription{s}}
			p.Properties.AddSubscriptionID(uint32(i + 1))
			c.subscribed(p)
		}
		r.connect("pub").publish(msg("a/b", "x", 2))
		p := c.receive("a/b", "x")
		ids := slices.Sorted(slices.Values(p.Properties.SubscriptionIDs))
		if p.QoS != 2 || !slices.Equal(ids, []uint32{1, 2, 3}) {
			t.Errorf("QoS %d, identifiers %v", p.QoS, ids)
		}
		c.send(msg("a/b", "own", 0))
		p = c.receive("a/b", "own")
		if ids = slices.Sorted(slices.Values(p.Properties.SubscriptionIDs)); !slices.Equal(ids, []uint32{1, 3}) {
			t.Errorf("own message: identifiers %v", ids)
		}
		c.quiet()
	})
}

// TestProperties: a request arrives with all its properties, User Properties in order [MQTT-3.3.2-18].
func TestProperties(t *testing.T) {
	bubble(t, func(r *rig) {
		for qos := range mqtt.QoS(3) {
			sub := r.connect("sub", expiry(100))
			sub.subscribe(qos, "request")
			old := r.connect("old", v3)
			old.subscribe(qos, "request")
			p := msg("request", "x", qos)
			q := &p.Properties
			q.SetResponseTopic("response/1")
			q.SetCorrelationData([]byte{0, 255})
			q.SetContentType("text/plain")
			q.SetPayloadFormat(1)
			for _, k := range []string{"b", "a", "b"} {
				q.AddUser(k, fmt.Sprint(len(q.User)))
			}
			r.connect("pub").publish(p)
			got := sub.receive("request", "x").Properties
			if got.ResponseTopic != q.ResponseTopic || string(got.CorrelationData) != string(q.CorrelationData) ||
				got.ContentType != q.ContentType || got.PayloadFormat != 1 || !slices.Equal(got.User, q.User) || got.Present != q.Present {
				t.Errorf("QoS %d: %+v", qos, got)
			}
			old.receive("request", "x")
		}
	})
}

// TestMessageExpiry: an expired message is not delivered, and what is left of the interval is told [MQTT-3.3.2-5]
// [MQTT-3.3.2-6].
func TestMessageExpiry(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c", expiry(1000))
		c.subscribe(1, "a")
		c.drop()
		pub := r.connect("pub")
		for _, seconds := range []uint32{10, 100} {
			p := msg("a", fmt.Sprint(seconds), 1)
			p.Properties.SetMessageExpiry(seconds)
			pub.publish(p)
		}
		r.wait(40 * time.Second)
		c = r.connect("c", dirty, expiry(1000))
		if p := c.receive("a", "100"); p.Properties.MessageExpiry != 60 {
			t.Errorf("%d seconds left, want 60", p.Properties.MessageExpiry)
		}
		c.quiet()
		r.wait(time.Second)
		if n := r.b.Snapshot(); n.QueuedBytes != 0 || n.Expired != 1 {
			t.Errorf("%d bytes queued, %d expired", n.QueuedBytes, n.Expired)
		}
	})
}

// TestAliasesOut: a client that takes aliases gets the topic once and the alias afterwards, never more than it takes.
func TestAliasesOut(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c", func(p *mqtt.Connect) { p.Properties.SetTopicAliasMaximum(2) })
		c.subscribe(1, "#")
		pub := r.connect("pub")
		names := map[uint16]string{}
		for i := range 12 {
			name := fmt.Sprint("topic/", i%3)
			pub.publish(msg(name, "x", mqtt.QoS(i%2)))
			p := expect[*mqtt.Publish](c)
			alias := p.Properties.TopicAlias
			switch {
			case alias > 2:
				t.Fatalf("alias %d", alias)
			case alias != 0 && p.Topic != "":
				names[alias] = p.Topic
			case alias != 0:
				p.Topic = names[alias]
			}
			if p.Topic != name {
				t.Fatalf("topic %q, want %q", p.Topic, name)
			}
			c.acknowledge(p)
		}
		if len(names) != 2 {
			t.Errorf("%d aliases in use", len(names))
		}
	})
}

// TestOrder: many publishers at once, each of whose messages arrives in order [MQTT-4.6.0-6].
func TestOrder(t *testing.T) {
	for qos := range mqtt.QoS(3) {
		bubble(t, func(r *rig) {
			sub := r.connect("sub", expiry(100))
			sub.subscribe(qos, "order/#")
			const publishers, each = 5, 100
			var wg sync.WaitGroup
			for i := range publishers {
				pub := r.connect(fmt.Sprint("pub", i))
				wg.Go(func() {
					for j := range each {
						pub.publish(msg(fmt.Sprint("order/", i), fmt.Sprint(j), qos))
					}
				})
			}
			next := map[string]int{}
			for range publishers * each {
				p := expect[*mqtt.Publish](sub)
				if want := fmt.Sprint(next[p.Topic]); string(p.Payload) != want {
					t.Fatalf("%s: message %s, want %s", p.Topic, p.Payload, want)
				}
				next[p.Topic]++
				if qos == 1 {
					sub.send(&mqtt.Puback{PacketID: p.PacketID})
				} else if qos == 2 { // the rest of the handshake may come between later messages
					sub.send(&mqtt.Pubrec{PacketID: p.PacketID, ReasonCode: mqtt.UnspecifiedError})
				}
			}
			wg.Wait()
		})
	}
}

// TestOnFull: what becomes of messages for an offline session at its limit, by policy. What it took, it keeps.
func TestOnFull(t *testing.T) {
	for policy, name := range map[OnFull]string{StopAccepting: "stop_accepting", RefusePublish: "refuse_publish", EndSession: "end_session"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				c := r.connect("c", expiry(100))
				c.subscribe(1, "a")
				c.drop()
				by := r.connect("by")
				by.subscribe(1, "a")
				pub := r.connect("pub")
				for i := range 5 {
					code := pub.publish(msg("a", fmt.Sprint(i), 1))
					if refused := i >= 3 && policy == RefusePublish; refused != (code == mqtt.QuotaExceeded) {
						t.Errorf("message %d: %v", i, code)
					} else if !refused {
						by.receive("a", fmt.Sprint(i))
					}
				}
				by.quiet()
				c = r.connect("c", dirty, expiry(100))
				if c.ack.SessionPresent != (policy != EndSession) {
					t.Fatalf("session present: %t", c.ack.SessionPresent)
				}
				for i := range 3 {
					if policy != EndSession {
						c.receive("a", fmt.Sprint(i))
					}
				}
				c.quiet()
			}, with(func(s *Settings) { s.OnFull, s.Queue.Messages, s.Queue.Memory = policy, 3, 2 }))
		})
	}
}

// TestShared: each message goes to one member, in turn; without anybody online it waits for the first who comes, if a
// member's session outlives its connection.
func TestShared(t *testing.T) {
	bubble(t, func(r *rig) {
		var members []*client
		for i := range 3 {
			c := r.connect(fmt.Sprint("m", i), expiry(100))
			c.subscribe(mqtt.QoS(i%2+1), "$share/g/a")
			members = append(members, c)
		}
		pub := r.connect("pub")
		count := map[*client]int{}
		for range 9 {
			pub.publish(msg("a", "x", 1))
			r.settle()
			got := 0
			for _, c := range members {
				if c.conn.(*memConn).in.held() > 0 {
					c.receive("a", "x")
					count[c]++
					got++
				}
			}
			if got != 1 {
				t.Fatalf("%d members got the message", got)
			}
			r.settle()
		}
		for i, c := range members {
			if count[c] != 3 {
				t.Errorf("member %d got %d of 9", i, count[c])
			}
			c.drop()
		}
		for i := range 5 {
			pub.publish(msg("a", fmt.Sprint(i), 1))
		}
		c := r.connect("m1", dirty, expiry(100))
		for i := range 5 {
			c.receive("a", fmt.Sprint(i))
		}
		c.quiet()
		r.connect("m2", dirty, expiry(100)).quiet()
	})
}

// TestSys: the state is published under $SYS, to those who ask for it, and retained.
func TestSys(t *testing.T) {
	bubble(t, func(r *rig) {
		r.settle() // the state of the start is published
		all := r.connect("all")
		all.subscribe(0, "#")
		c := r.connect("c")
		c.subscribe(0, "$SYS/broker/version", "$SYS/broker/clients/connected")
		for _, want := range [][2]string{{"$SYS/broker/version", "sealmq test"}, {"$SYS/broker/clients/connected", "0"}} {
			if p := c.next(want[0], want[1]); !p.Retain {
				t.Errorf("%s is not retained", p.Topic)
			}
		}
		r.wait(10 * time.Second)
		if p := c.next("$SYS/broker/clients/connected", "2"); p.Retain {
			t.Error("a change has RETAIN 1")
		}
		all.quiet()
	}, with(func(s *Settings) { s.SysInterval = 10 * time.Second }))
}
