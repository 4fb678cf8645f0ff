package conformance_test

import (
	"testing"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestSharedSubscription: each message goes to one member, with no more than the QoS that member was granted; others and
// other groups are not concerned.
func TestSharedSubscription(t *testing.T) {
	conformance.Covers(t, "MQTT-4.8.2-1", "MQTT-4.8.2-2", "MQTT-4.8.2-3")
	s := start(t)
	members := []*client{s.connect(t, mqtt.V5, "m0"), s.connect(t, mqtt.V5, "m1"), s.connect(t, mqtt.V5, "m2")}
	for i, m := range members {
		m.subscribe(mqtt.QoS(i), "$share/group/a/+")
	}
	other := s.connect(t, mqtt.V5, "other")
	other.subscribe(0, "$share/other/a/+")
	plain := s.connect(t, mqtt.V5, "plain")
	plain.subscribe(0, "a/+")
	c := s.connect(t, mqtt.V5, "c")
	const rounds = 30
	for n := range rounds {
		c.publish("a/x", numbered("m", n), 2)
		other.message("a/x", numbered("m", n))
		plain.message("a/x", numbered("m", n))
	}
	seen := map[string]bool{}
	for granted, m := range members {
		m.send(&mqtt.Pingreq{})
		for {
			p, err := m.tryRead()
			if err != nil {
				t.Fatal(err)
			}
			got, ok := p.(*mqtt.Publish)
			if !ok {
				break
			}
			if int(got.QoS) != granted || seen[string(got.Payload)] {
				t.Errorf("member %d: QoS %d, %s", granted, got.QoS, got.Payload)
			}
			seen[string(got.Payload)] = true
		}
	}
	if len(seen) != rounds {
		t.Errorf("%d of %d messages arrived", len(seen), rounds)
	}
	other.quiet()
	plain.quiet()
}

// TestSharedInFlight: a delivery begun with one member is finished with that member, or by nobody.
func TestSharedInFlight(t *testing.T) {
	conformance.Covers(t, "MQTT-4.8.2-4", "MQTT-4.8.2-5")
	for _, returns := range []bool{true, false} {
		timed(t, func(t *testing.T, s *server) {
			first := s.connect(t, mqtt.V5, "first", durable)
			first.subscribe(2, "$share/g/a")
			c := s.connect(t, mqtt.V5, "c")
			c.publish("a", "begun", 2)
			begun := first.message("a", "begun")
			second := s.connect(t, mqtt.V5, "second", durable)
			second.subscribe(2, "$share/g/a")
			gone(first)
			second.quiet()
			if returns {
				first = s.connect(t, mqtt.V5, "first", durable)
				again := first.message("a", "begun")
				if again.PacketID != begun.PacketID || !again.Dup {
					t.Errorf("%+v", again)
				}
				first.acknowledge(again)
				second.quiet()
				return
			}
			first = s.connect(t, mqtt.V5, "first") // the session ends
			first.quiet()
			second.quiet()
		})
	}
}

// TestSharedRefusal: what the chosen member refuses is not offered to another.
func TestSharedRefusal(t *testing.T) {
	conformance.Covers(t, "MQTT-4.8.2-6")
	s := start(t)
	first := s.connect(t, mqtt.V5, "first")
	first.subscribe(2, "$share/g/a")
	c := s.connect(t, mqtt.V5, "c")
	for _, qos := range []mqtt.QoS{1, 2} {
		c.publish("a", "refused", qos)
		id := first.message("a", "refused").PacketID
		second := s.connect(t, mqtt.V5, "second")
		second.subscribe(2, "$share/g/a")
		if qos == 1 {
			first.send(&mqtt.Puback{PacketID: id, ReasonCode: mqtt.NotAuthorized})
		} else {
			first.send(&mqtt.Pubrec{PacketID: id, ReasonCode: mqtt.NotAuthorized})
		}
		first.quiet()
		second.quiet()
		second.leave()
	}
}
