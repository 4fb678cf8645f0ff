package conformance_test

import (
	"testing"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestRetained: the last retained message of a topic meets every new subscriber, until an empty one removes it.
func TestRetained(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-7", "MQTT-3.3.1-8", "MQTT-3.3.1-9", "MQTT-3.3.1-12")
	conformance.Covers(t, "MQTT311-3.3.1-5", "MQTT311-3.3.1-6", "MQTT311-3.3.1-7", "MQTT311-3.3.1-8", "MQTT311-3.3.1-9", "MQTT311-3.3.1-10",
		"MQTT311-3.3.1-11", "MQTT311-3.3.1-12", "MQTT311-3.1.2-7")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		old := s.connect(t, v, "old")
		old.subscribe(2, "r/#")
		c := s.connect(t, v, "c")
		live := func(name, payload string) {
			t.Helper()
			p := old.message(name, payload)
			if p.Retain {
				t.Errorf("%q reaches an established subscription with RETAIN", payload)
			}
			old.acknowledge(p)
		}
		late := func(id string, want ...string) {
			t.Helper()
			sub := s.connect(t, v, id)
			sub.subscribe(1, "r/+")
			for i := 0; i < len(want); i += 2 {
				p := sub.message(want[i], want[i+1])
				if !p.Retain {
					t.Errorf("%q is delivered to a new subscription without RETAIN", want[i+1])
				}
				sub.acknowledge(p)
			}
			sub.quiet()
			sub.leave()
		}
		c.publish("r/a", "one", 2, retained)
		live("r/a", "one")
		late("1", "r/a", "one")
		c.publish("r/a", "two", 1, retained)
		live("r/a", "two")
		c.publish("r/a", "not retained", 1)
		live("r/a", "not retained")
		late("2", "r/a", "two")
		c.publish("r/a", "QoS 0", 0, retained)
		live("r/a", "QoS 0")
		c.publish("r/b", "another", 1, retained)
		live("r/b", "another")
		late("3", "r/a", "QoS 0", "r/b", "another")
		c.leave()
		late("4", "r/a", "QoS 0", "r/b", "another")
		c = s.connect(t, v, "c")
		c.publish("r/a", "", 1, retained)
		live("r/a", "")
		c.publish("r/none", "", 1, retained)
		live("r/none", "")
		late("5", "r/b", "another")
	})
}

// TestRetainHandling: version 5 lets the subscriber choose.
func TestRetainHandling(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT-3.8.4-4")
	s := start(t)
	c := s.connect(t, mqtt.V5, "c")
	c.publish("r/a", "kept", 1, retained)
	sub := s.connect(t, mqtt.V5, "sub")
	for _, step := range []struct {
		filter   string
		handling byte
		comes    bool
	}{
		{"r/#", 2, false}, {"r/#", 1, false}, {"r/#", 0, true}, {"r/#", 0, true}, {"r/+", 1, true}, {"r/+", 1, false}, {"r/+", 2, false},
	} {
		sub.subscribeWith(nil, mqtt.Subscription{Filter: step.filter, RetainHandling: step.handling})
		if step.comes {
			if p := sub.message("r/a", "kept"); !p.Retain {
				t.Error("without RETAIN")
			}
		}
		sub.quiet()
	}
}

// TestRetainAsPublished: the flag as received, or cleared, as the subscription says.
func TestRetainAsPublished(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.1-12", "MQTT-3.3.1-13")
	s := start(t)
	as, cleared := s.connect(t, mqtt.V5, "as"), s.connect(t, mqtt.V5, "cleared")
	as.subscribeWith(nil, mqtt.Subscription{Filter: "r/#", QoS: 1, RetainAsPublished: true})
	cleared.subscribeWith(nil, mqtt.Subscription{Filter: "r/#", QoS: 1})
	c := s.connect(t, mqtt.V5, "c")
	for _, qos := range []mqtt.QoS{0, 1} {
		for _, retain := range []bool{true, false} {
			c.publish("r/a", "x", qos, func(p *mqtt.Publish) { p.Retain = retain })
			for sub, want := range map[*client]bool{as: retain, cleared: false} {
				p := sub.message("r/a", "x")
				if p.Retain != want {
					t.Errorf("QoS %d RETAIN %t is forwarded as %t", qos, retain, p.Retain)
				}
				sub.acknowledge(p)
			}
		}
	}
}
