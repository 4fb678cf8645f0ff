package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

func kept(topic, payload string, qos mqtt.QoS) *mqtt.Publish {
	p := msg(topic, payload, qos)
	p.Retain = true
	return p
}

// TestRetainHandling: which subscriptions get the Retained Message [MQTT-3.3.1-9] to [MQTT-3.3.1-11], with which RETAIN
// flag, and how Retain As Published changes live ones [MQTT-3.3.1-12] [MQTT-3.3.1-13].
func TestRetainHandling(t *testing.T) {
	for handling := range byte(3) {
		for _, published := range []bool{false, true} {
			bubble(t, func(r *rig) {
				pub := r.connect("pub")
				pub.publish(kept("a", "kept", 1))
				c := r.connect("c")
				for again := range 2 {
					c.subscribed(&mqtt.Subscribe{Subscriptions: []mqtt.Subscription{
						{Filter: "a", QoS: 1, RetainHandling: handling, RetainAsPublished: published},
					}})
					if handling == 0 || handling == 1 && again == 0 {
						if p := c.receive("a", "kept"); !p.Retain {
							t.Error("RETAIN 0")
						}
					}
					c.quiet()
				}
				pub.publish(kept("a", "live", 1))
				if p := c.receive("a", "live"); p.Retain != published {
					t.Errorf("Retain As Published %t: RETAIN %t", published, p.Retain)
				}
				pub.publish(msg("a", "plain", 1))
				if c.receive("a", "plain").Retain {
					t.Error("RETAIN 1 on a message published without")
				}
			})
		}
	}
}

// TestRetained: replaced, cleared, expired and limited, also after a restart.
func TestRetained(t *testing.T) {
	bubble(t, func(r *rig) {
		pub := r.connect("pub")
		pub.publish(kept("a", "1", 1))
		pub.publish(kept("a", "2", 2))
		pub.publish(kept("gone", "x", 1))
		pub.publish(kept("gone", "", 1))
		p := kept("short", "x", 1)
		p.Properties.SetMessageExpiry(10)
		pub.publish(p)
		if code := pub.publish(kept("third", "x", 1)); code != mqtt.QuotaExceeded {
			t.Errorf("above the limit: %v", code)
		}
		if code := pub.publish(kept("a", "3", 2)); code.IsError() {
			t.Errorf("a topic that is there: %v", code)
		}
		pub.publish(kept("third", "lost", 0))
		r.wait(11 * time.Second)
		r.restart()
		c := r.connect("c")
		c.subscribe(1, "#")
		if p := c.receive("a", "3"); p.QoS != 1 {
			t.Errorf("QoS %d", p.QoS)
		}
		c.quiet()
		c.leave()
		r.wait(time.Second)
		if n := r.rows().Retained; n > 2 {
			t.Errorf("%d retained messages stored", n)
		}
	}, with(func(s *Settings) { s.RetainedMessages = 2 }))
}

// TestRetainedPerFilter: retained messages are sent for each filter, with its identifier; shared ones get none.
func TestRetainedPerFilter(t *testing.T) {
	bubble(t, func(r *rig) {
		r.connect("pub").publish(kept("a", "x", 0))
		r.settle()
		c := r.connect("c")
		for i, f := range []string{"a", "#", "$share/g/a"} {
			p := &mqtt.Subscribe{Subscriptions: []mqtt.Subscription{{Filter: f}}}
			p.Properties.AddSubscriptionID(uint32(i + 1))
			c.subscribed(p)
			if i == 2 {
				break
			}
			if ids := c.receive("a", "x").Properties.SubscriptionIDs; fmt.Sprint(ids) != fmt.Sprint([]int{i + 1}) {
				t.Errorf("identifiers %v", ids)
			}
		}
		c.quiet()
	})
}
