package conformance_test

import (
	"testing"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestMatching: which filters meet which names.
func TestMatching(t *testing.T) {
	conformance.Covers(t, "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.2-1", "MQTT-4.7.3-4", "MQTT-3.3.2-3", "MQTT-4.5.0-1")
	conformance.Covers(t, "MQTT311-4.7.1-2", "MQTT311-4.7.1-3", "MQTT311-4.7.2-1", "MQTT311-4.7.3-4", "MQTT311-3.3.2-3", "MQTT311-4.5.0-1")
	names := []string{"a", "a/b", "a/b/c", "/a", "a/", "/", "A", "a b", "b//c", "b/c", "é", "e\u0301"}
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		for filter, want := range map[string][]string{
			"#": names, "+": {"a", "A", "a b", "é", "e\u0301"}, "a/#": {"a", "a/b", "a/b/c", "a/"}, "a/+": {"a/b", "a/"}, "/+": {"/a", "/"},
			"+/+": {"a/b", "/a", "a/", "/", "b/c"}, "b/+/c": {"b//c"}, "+/b/#": {"a/b", "a/b/c"}, "a": {"a"}, "é": {"é"}, "/#": {"/a", "/"},
		} {
			t.Run(filter, func(t *testing.T) {
				c := s.connect(t, v, "c")
				c.subscribe(0, filter)
				sender := s.connect(t, v, "sender")
				for _, name := range names {
					sender.publish(name, "x", 0)
				}
				for _, name := range want {
					c.message(name, "x")
				}
				c.quiet()
			})
		}
	})
}

// TestBadFilters: misplaced wildcards, empty filters and share names end the connection, or in version 5 fail alone.
func TestBadFilters(t *testing.T) {
	conformance.Covers(t, "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-1", "MQTT-4.8.2-1", "MQTT-4.8.2-2", "MQTT-3.8.4-7")
	conformance.Covers(t, "MQTT311-4.7.1-2", "MQTT311-4.7.1-3", "MQTT311-4.7.3-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		for _, filter := range []string{
			"", "a/#/b", "a#", "#a", "##", "a/b#", "+a", "a+", "a/+b/c", "$share/g", "$share//a", "$share/", "$share/+/a", "$share/a#/a", "$share/g/",
		} {
			t.Run(filter, func(t *testing.T) {
				c := s.connect(t, v, "c")
				c.write(frame(0x82, "\x00\x01", noProps(v), lp(filter), "\x00"))
				if v == mqtt.V311 {
					c.closed()
					return
				}
				if ack := expect[*mqtt.Suback](c); ack.ReasonCodes[0] != mqtt.TopicFilterInvalid {
					t.Errorf("%q: %s", filter, ack.ReasonCodes[0])
				}
			})
		}
	})
}

// TestServerTopics: what begins with "$" is not reached by wildcards in the first place, and not written by clients.
func TestServerTopics(t *testing.T) {
	conformance.Covers(t, "MQTT-4.7.2-1", "MQTT311-4.7.2-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.connect(t, v, "c")
		c.subscribe(0, "#", "+/x", "+/#", "$other/#")
		c.send(&mqtt.Publish{Topic: "$other/x", QoS: 1, PacketID: 1})
		if a := expect[*mqtt.Puback](c); v == mqtt.V5 && a.ReasonCode != mqtt.NotAuthorized {
			t.Errorf("%s", a.ReasonCode)
		}
		c.quiet()
	})
}
