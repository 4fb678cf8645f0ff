package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// TestAttack15_DeepTopics: more levels than the limit are refused wherever a topic or filter may stand.
func TestAttack15_DeepTopics(t *testing.T) {
	deep := strings.Repeat("/", 65000)
	attack(t, func(r *rig) {
		r.each([]shot{{"PUBLISH", packet(0x30, join(text(deep), bin(0))...), mqtt.TopicNameInvalid}})
		r.each([]shot{{"PUBLISH", packet(0x30, text(deep)...), mqtt.TopicNameInvalid}}, v3)
		c := r.open()
		c.send(connectPacket("c", withWill(strings.Repeat("/", 1000), 0)))
		c.refused(mqtt.QuotaExceeded)
		c = r.connect("c")
		for _, f := range []string{deep, "$share/g/" + deep[:1000], deep[:1000] + "#"} {
			codes := c.subscribed(&mqtt.Subscribe{Subscriptions: []mqtt.Subscription{{Filter: f}}})
			if codes[0] != mqtt.QuotaExceeded && codes[0] != mqtt.TopicFilterInvalid {
				t.Errorf("a filter of %d bytes: %v", len(f), codes[0])
			}
		}
		c.send(&mqtt.Unsubscribe{PacketID: 9, Filters: []string{deep}})
		if codes := expect[*mqtt.Unsuback](c).ReasonCodes; codes[0] == mqtt.Success {
			t.Errorf("unsubscribed: %v", codes)
		}
		c.leave()
	})
}

// TestAttack16_WildcardAmplification: subscriptions are limited for each client, and the filters that are admitted cost
// a deep topic little.
func TestAttack16_WildcardAmplification(t *testing.T) {
	attack(t, func(r *rig) {
		c := r.connect("c")
		granted := 0
		for i := range 20 {
			p := &mqtt.Subscribe{}
			for j := range 100 {
				var f []string
				for bit := range 11 {
					f = append(f, []string{"+", "a"}[(i*100+j)>>bit&1])
				}
				p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: strings.Join(f, "/") + "/none"})
			}
			for _, code := range c.subscribed(p) {
				if code == mqtt.GrantedQoS0 {
					granted++
				} else if code != mqtt.QuotaExceeded {
					t.Fatal(code)
				}
			}
		}
		if granted != 1000 {
			t.Errorf("%d filters granted, want 1000", granted)
		}
		c.send(msg(strings.Repeat("a/", 100)+"a", "x", 0))
		c.quiet()
		c.leave()
	}, func(r *rig) { r.authz.set(denyReceive(strings.Repeat("a/", 100) + "a")) })
}

// TestAttack17_Wildcards: misplaced wildcards are refused; in names any wildcard is.
func TestAttack17_Wildcards(t *testing.T) {
	attack(t, func(r *rig) {
		for _, bad := range []string{"a/b#", "a+", "#/x", "a/+b/c", "+#", "a/#/b", "##"} {
			c := r.connect("c")
			codes := c.subscribed(&mqtt.Subscribe{Subscriptions: []mqtt.Subscription{{Filter: bad, QoS: 1}}})
			if codes[0] != mqtt.TopicFilterInvalid {
				t.Errorf("%q: %v", bad, codes[0])
			}
			c.leave()
			c = r.connect("c", v3)
			c.send(&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: bad, QoS: 1}}})
			c.closed()
		}
		for _, bad := range []string{"a/#", "+", "a/+/b", "#"} {
			r.each([]shot{{bad, packet(0x30, join(text(bad), bin(0))...), mqtt.TopicNameInvalid}})
			r.each([]shot{{bad, packet(0x30, text(bad)...), mqtt.TopicNameInvalid}}, v3)
			c := r.open()
			c.send(connectPacket("c", withWill(bad, 0)))
			c.refused(mqtt.TopicNameInvalid)
		}
		r.each([]shot{{"empty filter", packet(0x82, 0, 1, 0, 0, 0, 0), mqtt.TopicFilterInvalid}}, v3)
	})
}

// TestAttack21_SharedFilters: incomplete or contradictory Shared Subscriptions are refused, and with No Local nothing of
// the packet takes effect.
func TestAttack21_SharedFilters(t *testing.T) {
	attack(t, func(r *rig) {
		c := r.connect("c")
		for _, bad := range []string{"$share/g", "$share/", "$share//x", "$share/+/x", "$share/#/x", "$share/g/", "$share/g/a#"} {
			codes := c.subscribed(&mqtt.Subscribe{Subscriptions: []mqtt.Subscription{{Filter: bad, QoS: 1}}})
			if codes[0] != mqtt.TopicFilterInvalid {
				t.Errorf("%q: %v", bad, codes[0])
			}
		}
		c.raw(packet(0x82, join(bin(0, 1, 0), text("good"), bin(1), text("$share/g/x"), bin(1|4))...)...)
		c.ejected(mqtt.ProtocolError)
		if n := r.b.Snapshot().Subscriptions; n != 1 {
			t.Errorf("%d subscriptions, want the bystander's", n)
		}
	})
}

// TestAttack22_SharedAndPlain: a shared subscription and a plain one of the same filter are two.
func TestAttack22_SharedAndPlain(t *testing.T) {
	attack(t, func(r *rig) {
		c := r.connect("c")
		unsubscribe := func(f string) mqtt.ReasonCode {
			c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{f}})
			return expect[*mqtt.Unsuback](c).ReasonCodes[0]
		}
		for range 100 {
			c.subscribe(1, "$share/g/x")
			if unsubscribe("x") != mqtt.NoSubscriptionExisted || unsubscribe("$share/h/x") != mqtt.NoSubscriptionExisted {
				t.Fatal("the shared subscription was found under another name")
			}
			if unsubscribe("$share/g/x") != mqtt.Success || unsubscribe("$share/g/x") != mqtt.NoSubscriptionExisted {
				t.Fatal("the shared subscription did not end")
			}
			c.subscribe(1, "x")
			if unsubscribe("$share/g/x") != mqtt.NoSubscriptionExisted || unsubscribe("x") != mqtt.Success {
				t.Fatal("the plain subscription was found under another name")
			}
		}
		if n := r.b.groups.len(); n != 0 {
			t.Errorf("%d groups are left", n)
		}
		c.leave()
	})
}

// TestAttack23_ServerTopics: clients publish nothing below $, whatever the rules say, also not as Will or retained.
// Subscribing to # does not meet it.
func TestAttack23_ServerTopics(t *testing.T) {
	attack(t, func(r *rig) {
		spy := r.connect("spy")
		spy.subscribe(1, "$SYS/#", "$CONTROL/#", "$share/g/$SYS/#")
		c := r.connect("c")
		for _, name := range []string{"$SYS/broker/version", "$CONTROL/x", "$share/g/x", "$MQTT/x", "$", "$x"} {
			for _, retain := range []bool{false, true} {
				p := msg(name, "forged", 1)
				p.Retain = retain
				if code := c.publish(p); code != mqtt.NotAuthorized {
					t.Errorf("%q: %v", name, code)
				}
				if p.QoS = 2; c.publish(p) != mqtt.NotAuthorized {
					t.Errorf("%q with QoS 2 was accepted", name)
				}
				p.QoS = 0
				c.publish(p)
			}
			w := r.open()
			w.send(connectPacket("w", withWill(name, 0)))
			w.refused(mqtt.NotAuthorized)
		}
		c.ping()
		spy.quiet()
		c.leave()
		spy.leave()
	})
}

// TestAttack24_Dollar: topics and filters that begin with $ and are not $SYS take a broker down no more than others. They
// may be subscribed to, wildcards in the first level do not reach them, and nobody publishes there.
func TestAttack24_Dollar(t *testing.T) {
	filters := []string{"$", "$/", "$/#", "$/+", "$x/#", "$SY", "$SYSx/+", "$$/a", "$share", "$shared/g/x", "$queue/a", "$/$/$"}
	attack(t, func(r *rig) {
		wild := r.connect("wild")
		wild.subscribe(1, "#", "+", "+/#", "+/+/+")
		c := r.connect("c", expiry(100))
		c.subscribe(1, filters...)
		for _, name := range []string{"$", "$/", "$x/y", "$SY", "$SYSx/y", "$$/a", "$share", "$shared/g/x", "$queue/a", "$/$/$"} {
			if code := c.publish(msg(name, "x", 1)); code != mqtt.NotAuthorized {
				t.Errorf("%q: %v", name, code)
			}
		}
		c.drop()
		c = r.connect("c", dirty, expiry(100))
		c.send(&mqtt.Unsubscribe{PacketID: c.id(), Filters: filters})
		for i, code := range expect[*mqtt.Unsuback](c).ReasonCodes {
			if code != mqtt.Success {
				t.Errorf("unsubscribe from %q: %v", filters[i], code)
			}
		}
		c.quiet()
		c.leave()
		wild.quiet()
		wild.leave()
	})
}

// TestAttack43_TopicAlias: aliases out of range or unknown are refused; they end with the connection, are bounded, and
// are not forwarded.
func TestAttack43_TopicAlias(t *testing.T) {
	alias := func(topic string, n uint16) *mqtt.Publish {
		p := msg(topic, "x", 0)
		p.Properties.SetTopicAlias(n)
		return p
	}
	attack(t, func(r *rig) {
		r.each([]shot{
			{"0", packet(0x30, 0, 1, 'a', 3, byte(mqtt.PropTopicAlias), 0, 0), mqtt.TopicAliasInvalid},
			{"above the maximum", packet(0x30, 0, 1, 'a', 3, byte(mqtt.PropTopicAlias), 0, 11), mqtt.TopicAliasInvalid},
			{"unknown", packet(0x30, 0, 0, 3, byte(mqtt.PropTopicAlias), 0, 1), mqtt.ProtocolError},
		})
	})
	bubble(t, func(r *rig) {
		sub := r.connect("sub")
		sub.subscribe(0, "a", "b")
		c := r.connect("c", expiry(100))
		for range 100 { // remapped each time
			c.send(alias("a", 1), alias("", 1), alias("b", 1), alias("", 1))
			for _, name := range []string{"a", "a", "b", "b"} {
				if p := sub.receive(name, "x"); p.Properties.Has(mqtt.PropTopicAlias) {
					t.Fatal("the alias was forwarded")
				}
			}
		}
		c.leave()
		c = r.connect("c", dirty, expiry(100))
		c.send(alias("", 1))
		c.ejected(mqtt.ProtocolError)
		sub.quiet()
	})
}

// TestAttack44_SubscriptionIdentifier: 0, two of them, and one from a client are errors.
func TestAttack44_SubscriptionIdentifier(t *testing.T) {
	attack(t, func(r *rig) {
		id := byte(mqtt.PropSubscriptionID)
		r.each([]shot{
			{"0", packet(0x82, 0, 1, 2, id, 0, 0, 1, 'a', 0), mqtt.ProtocolError},
			{"two", packet(0x82, 0, 1, 4, id, 1, id, 2, 0, 1, 'a', 0), mqtt.ProtocolError},
			{"in PUBLISH", packet(0x30, 0, 1, 'a', 2, id, 1), mqtt.ProtocolError},
		})
	})
}

// TestAttack45_Zeros: Receive Maximum and Maximum Packet Size of 0 are errors.
func TestAttack45_Zeros(t *testing.T) {
	attack(t, func(r *rig) {
		head := join(text("MQTT"), bin(5, 2, 0, 0))
		r.eachFirst([]shot{
			{"Receive Maximum", packet(0x10, join(head, bin(3, byte(mqtt.PropReceiveMaximum), 0, 0), text("c"))...), mqtt.ProtocolError},
			{"Maximum Packet Size", packet(0x10, join(head, bin(5, byte(mqtt.PropMaximumPacketSize), 0, 0, 0, 0), text("c"))...), mqtt.ProtocolError},
			{"Authentication Data alone", packet(0x10, join(head, bin(3, byte(mqtt.PropAuthData), 0, 0), text("c"))...), mqtt.ProtocolError},
		})
	})
}

// TestAttack47_ResponseTopic: a wildcard in a Response Topic is an error, in PUBLISH and in a Will.
func TestAttack47_ResponseTopic(t *testing.T) {
	attack(t, func(r *rig) {
		response := append(bin(byte(mqtt.PropResponseTopic)), text("a/#")...)
		r.each([]shot{{"PUBLISH", packet(0x30, join(text("a"), bin(byte(len(response))), response)...), mqtt.ProtocolError}})
		r.eachFirst([]shot{{"Will", packet(0x10, join(text("MQTT"), bin(5, 6, 0, 0, 0), text("c"), bin(byte(len(response))), response,
			text("w"), text("p"))...), mqtt.ProtocolError}})
	})
}

// TestSpeaksSomethingElse: the log says what a client speaks that does not speak MQTT.
func TestSpeaksSomethingElse(t *testing.T) {
	cases := map[string]string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03": "speaks TLS",
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":            "speaks HTTP",
		"POST /x HTTP/1.1\r\n\r\n":                     "speaks HTTP",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":             "speaks HTTP",
		"SSH-2.0-OpenSSH_9.9\r\n":                      "first byte is 0x53",
	}
	for first, want := range cases {
		bubble(t, func(r *rig) {
			c := r.open()
			c.raw([]byte(first)...)
			c.closed()
			c.drop()
			r.wait(time.Second)
			if !r.logged("connection closed", want) {
				t.Errorf("%q: want %q in\n%s", first, want, r.log)
			}
			if n := strings.Count(r.log.String(), "connection closed"); n != 1 {
				t.Errorf("%d lines", n)
			}
		})
	}
}

// denyReceive denies the delivery of one topic.
func denyReceive(name string) func(*identity.Principal, string, identity.Action, string) bool {
	return func(_ *identity.Principal, _ string, a identity.Action, on string) bool {
		return a == identity.Receive && on == name
	}
}
