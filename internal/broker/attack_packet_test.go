package broker

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// samples are packets that a client may send, whole.
func samples(t *testing.T, v mqtt.Version) map[string][]byte {
	t.Helper()
	full := msg("a/b", "payload", 1)
	full.PacketID = 7
	full.Properties.SetContentType("c")
	full.Properties.AddUser("k", "v")
	packets := map[string]mqtt.Packet{
		"PUBLISH": full, "PUBACK": &mqtt.Puback{PacketID: 1}, "PUBREC": &mqtt.Pubrec{PacketID: 1},
		"PUBREL": &mqtt.Pubrel{PacketID: 1}, "PUBCOMP": &mqtt.Pubcomp{PacketID: 1},
		"SUBSCRIBE":   &mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "nowhere", QoS: 1}}},
		"UNSUBSCRIBE": &mqtt.Unsubscribe{PacketID: 1, Filters: []string{"nowhere"}},
	}
	out := map[string][]byte{}
	for name, p := range packets {
		b, err := p.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = b
	}
	return out
}

// TestAttack01_Truncations cuts every packet at every place and says that this was all of it. What is refused is refused
// with a code that says so; nothing panics.
func TestAttack01_Truncations(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		bubble(t, func(r *rig) {
			for name, whole := range samples(t, v) {
				body := whole[2:]
				for n := range len(body) {
					c := r.connect("attacker", func(p *mqtt.Connect) { p.ProtocolVersion = v })
					c.raw(packet(whole[0], body[:n]...)...)
					c.send(&mqtt.Pingreq{})
					r.settle()
					for {
						p, err := c.read()
						if err != nil {
							break
						}
						if d, ok := p.(*mqtt.Disconnect); ok && d.ReasonCode != mqtt.MalformedPacket && d.ReasonCode != mqtt.ProtocolError {
							t.Errorf("version %v, %s cut to %d: %v", v, name, n, d.ReasonCode)
						}
						if p.Type() == mqtt.TypePingresp {
							break
						}
					}
					c.drop()
				}
			}
		})
	}
	attack(t, func(r *rig) { // the one that took brokers down
		r.each([]shot{{"no options", packet(0x82, join(bin(0, 1, 0), text("a/b"))...), mqtt.MalformedPacket}})
	})
	attack(t, func(r *rig) {
		r.each([]shot{{"no options", packet(0x82, join(bin(0, 1), text("a/b"))...), mqtt.MalformedPacket}}, v3)
	})
}

// TestAttack02_EmptyTopic publishes to no topic.
func TestAttack02_EmptyTopic(t *testing.T) {
	attack(t, func(r *rig) {
		r.each([]shot{{"", packet(0x30, 0, 0, 'x'), mqtt.MalformedPacket}}, v3)
		r.each([]shot{
			{"QoS 0", packet(0x30, 0, 0, 0, 'x'), mqtt.ProtocolError},
			{"QoS 1", packet(0x32, 0, 0, 0, 1, 0, 'x'), mqtt.ProtocolError},
		})
	})
}

// TestAttack03_ServerPackets sends what only a server sends.
func TestAttack03_ServerPackets(t *testing.T) {
	attack(t, func(r *rig) {
		shots := []shot{
			{"CONNACK", packet(0x20, 0, 0, 0), mqtt.ProtocolError},
			{"SUBACK", packet(0x90, 0, 1, 0, 0), mqtt.ProtocolError},
			{"UNSUBACK", packet(0xB0, 0, 1, 0, 0), mqtt.ProtocolError},
			{"PINGRESP", packet(0xD0), mqtt.ProtocolError},
			{"type 0", packet(0x00), mqtt.MalformedPacket},
		}
		r.each(shots)
		r.each(shots, v3)
		r.each([]shot{{"AUTH", packet(0xF0), mqtt.MalformedPacket}}, v3)
	})
}

// TestAttack04_Disconnect sends malformed DISCONNECT packets.
func TestAttack04_Disconnect(t *testing.T) {
	attack(t, func(r *rig) {
		r.each([]shot{
			{"property length beyond the packet", packet(0xE0, 0, 200), mqtt.MalformedPacket},
			{"property length cut", packet(0xE0, 0, 0x80), mqtt.MalformedPacket},
			{"bytes left over", packet(0xE0, 0, 0, 0), mqtt.MalformedPacket},
			{"property of another packet", packet(0xE0, 0, 3, byte(mqtt.PropTopicAlias), 0, 1), mqtt.MalformedPacket},
			{"reserved flags", packet(0xE1), mqtt.MalformedPacket},
			{"unknown reason", packet(0xE0, 5), mqtt.ProtocolError},
			{"session expiry from 0", packet(0xE0, 0, 5, byte(mqtt.PropSessionExpiry), 0, 0, 0, 1), mqtt.ProtocolError},
		})
		r.each([]shot{{"a body", packet(0xE0, 0), mqtt.MalformedPacket}}, v3)
	})
}

// TestAttack05_RemainingLength: more than four bytes are refused without reading a fifth; a form that is longer than
// necessary is an error in version 5 only.
func TestAttack05_RemainingLength(t *testing.T) {
	attack(t, func(r *rig) {
		long := bin(0x30, 0x80, 0x80, 0x80, 0x80)
		r.each([]shot{{"five bytes", long, mqtt.MalformedPacket}, {"not minimal", bin(0xC0, 0x80, 0), mqtt.MalformedPacket}})
		r.each([]shot{{"five bytes", long, mqtt.MalformedPacket}}, v3)
		r.eachFirst([]shot{{"five bytes", bin(0x10, 0xFF, 0xFF, 0xFF, 0xFF), 0}})
		c := r.connect("old", v3)
		c.raw(0xC0, 0x80, 0)
		expect[*mqtt.Pingresp](c)
		c.leave()
		first := encoded(t, connectPacket("c"))
		r.eachFirst([]shot{{"CONNECT not minimal", join(bin(0x10, first[1]|0x80, 0), first[2:]), mqtt.MalformedPacket}})
		c = r.open()
		c.v = mqtt.V311
		first = encoded(t, connectPacket("c", v3))
		c.raw(join(bin(0x10, first[1]|0x80, 0), first[2:])...)
		expect[*mqtt.Connack](c)
		c.leave()
	})
}

func encoded(t *testing.T, p mqtt.Packet) []byte {
	t.Helper()
	b, err := p.Append(nil, mqtt.V5)
	if c, ok := p.(*mqtt.Connect); ok {
		b, err = p.Append(nil, c.ProtocolVersion)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAttack06_Announced: what is announced costs nothing; above the limit it is refused at once, below it the packet
// must be complete in time.
func TestAttack06_Announced(t *testing.T) {
	huge := bin(0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0)
	attack(t, func(r *rig) {
		r.each([]shot{{"268435455 bytes", huge, mqtt.PacketTooLarge}})
		r.each([]shot{{"268435455 bytes", huge, mqtt.PacketTooLarge}}, v3)
		r.eachFirst([]shot{{"CONNECT of 268435455 bytes", join(bin(0x10, 0xFF, 0xFF, 0xFF, 0x7F), text("MQTT")), 0}})
	})
	attack(t, func(r *rig) {
		const n = 20
		growth := heapGrowth(func() {
			var list []*client
			for range n {
				c := r.connect("")
				c.raw(huge[:5]...)
				list = append(list, c)
			}
			r.settle()
			for _, c := range list {
				c.t.Helper()
				start := time.Now()
				c.ejected(mqtt.MaximumConnectTime)
				if d := time.Since(start); d > r.set.PacketTimeout {
					t.Errorf("after %v", d)
				}
				c.drop()
			}
		})
		if growth > 4<<20 {
			t.Errorf("%d bytes more for %d announcements", growth, n)
		}
	}, with(func(s *Settings) { s.MaxPacket = mqtt.MaxPacketSize }))
}

// TestAttack07_FirstPacket: only a CONNECT of moderate size gets as far as the login.
func TestAttack07_FirstPacket(t *testing.T) {
	attack(t, func(r *rig) {
		big := connectPacket("c")
		big.HasPassword, big.Password = true, make([]byte, 65000)
		big.Properties.AddUser("k", strings.Repeat("x", 1000))
		r.eachFirst([]shot{
			{"PUBLISH of 100 MB", bin(0x30, 0x80, 0xC2, 0xD7, 0x2F), 0},
			{"one byte of PUBLISH", bin(0x30), 0},
			{"PINGREQ", packet(0xC0), 0},
			{"AUTH", packet(0xF0), 0},
			{"reserved flags", packet(0x11, 0), 0},
			{"zeros", make([]byte, 1000), 0},
			{"CONNECT above the limit", encoded(t, big), 0},
			{"unknown protocol", packet(0x10, join(text("MQTX"), bin(5, 2, 0, 0, 0, 0, 0))...), 0},
		})
		r.each([]shot{{"AUTH without method", packet(0xF0), mqtt.ProtocolError}})
	}, with(func(s *Settings) { s.MaxConnectPacket = 60 << 10 }))
}

// TestAttack08_Lengths: inner lengths never reach beyond what holds them.
func TestAttack08_Lengths(t *testing.T) {
	attack(t, func(r *rig) {
		r.each([]shot{
			{"topic", packet(0x30, 0xFF, 0xFF, 'a', 0), mqtt.MalformedPacket},
			{"properties", packet(0x30, 0, 1, 'a', 9), mqtt.MalformedPacket},
			{"properties of 5 bytes", packet(0x30, 0, 1, 'a', 0xFF, 0xFF, 0xFF, 0xFF, 0x01), mqtt.MalformedPacket},
			{"string in properties", packet(0x30, 0, 1, 'a', 3, byte(mqtt.PropContentType), 0, 9, 'x', 'x', 'x'), mqtt.MalformedPacket},
			{"user property", packet(0x30, 0, 1, 'a', 6, byte(mqtt.PropUser), 0, 1, 'k', 0, 5, 'x', 'x', 'x', 'x', 'x'), mqtt.MalformedPacket},
			{"filter", packet(0x82, 0, 1, 0, 0xFF, 0xFF, 'a', 0), mqtt.MalformedPacket},
			{"filter to unsubscribe", packet(0xA2, 0, 1, 0, 0, 9, 'a'), mqtt.MalformedPacket},
		})
		head := join(text("MQTT"), bin(5, 0xC6, 0, 0, 0))
		r.eachFirst([]shot{
			{"client identifier", packet(0x10, join(head, bin(0xFF, 0xFF, 'a'))...), mqtt.MalformedPacket},
			{"will properties", packet(0x10, join(head, text("c"), bin(0x7F))...), mqtt.MalformedPacket},
			{"will payload", packet(0x10, join(head, text("c"), bin(0), text("w"), bin(0xFF, 0, 1))...), mqtt.MalformedPacket},
			{"password", packet(0x10, join(head, text("c"), bin(0), text("w"), text("p"), text("u"), bin(0, 9, 1))...), mqtt.MalformedPacket},
		})
	})
}

// TestAttack10_Text: every string of every packet is held to UTF-8 without control characters.
func TestAttack10_Text(t *testing.T) {
	bad := map[string]string{
		"zero": "a\x00b", "surrogate": "\xED\xA0\x80", "overlong": "\xC0\xAF", "cut": "\xE2\x82", "high": "\xF5\x80\x80\x80",
		"control": "a\x01b", "delete": "a\x7F", "C1": "a\u0085", "non-character": "\uFFFF",
	}
	for name, s := range bad {
		attack(t, func(r *rig) {
			user := append(bin(byte(mqtt.PropUser)), join(text("k"), text(s))...)
			reason := append(bin(byte(mqtt.PropReasonString)), text(s)...)
			r.each([]shot{
				{name + " in topic", packet(0x30, join(text(s), bin(0))...), mqtt.MalformedPacket},
				{name + " in user property", packet(0x30, join(text("a"), bin(byte(len(user))), user)...), mqtt.MalformedPacket},
				{name + " in filter", packet(0x82, join(bin(0, 1, 0), text(s), bin(0))...), mqtt.MalformedPacket},
				{name + " in reason string", packet(0xE0, join(bin(0, byte(len(reason))), reason)...), mqtt.MalformedPacket},
			})
			r.each([]shot{{name + " in topic", packet(0x30, text(s)...), mqtt.MalformedPacket}}, v3)
			head := join(text("MQTT"), bin(5, 0x86, 0, 0, 0))
			r.eachFirst([]shot{
				{name + " in client identifier", packet(0x10, join(head, text(s), bin(0), text("w"), text("p"), text("u"))...), mqtt.MalformedPacket},
				{name + " in will topic", packet(0x10, join(head, text("c"), bin(0), text(s), text("p"), text("u"))...), mqtt.MalformedPacket},
				{name + " in user name", packet(0x10, join(head, text("c"), bin(0), text("w"), text("p"), text(s))...), mqtt.MalformedPacket},
			})
		})
	}
}

// TestAttack11_UserProperties: many are refused, in CONNECT, Will and PUBLISH.
func TestAttack11_UserProperties(t *testing.T) {
	one := append(bin(byte(mqtt.PropUser)), join(text("k"), text("v"))...)
	many := bytes.Repeat(one, mqtt.MaxUserProperties+1)
	props := join(bin(byte(len(many))|0x80, byte(len(many)>>7)), many)
	attack(t, func(r *rig) {
		r.each([]shot{{"PUBLISH", packet(0x30, join(text("a"), props)...), mqtt.MalformedPacket}})
		r.eachFirst([]shot{
			{"CONNECT", packet(0x10, join(text("MQTT"), bin(5, 2, 0, 0), props, text("c"))...), mqtt.MalformedPacket},
			{"Will", packet(0x10, join(text("MQTT"), bin(5, 6, 0, 0, 0), text("c"), props, text("w"), text("p"))...), mqtt.MalformedPacket},
		})
	})
}

// TestAttack12_Properties: repeated, misplaced and impossible properties, 100,000 times without growth.
func TestAttack12_Properties(t *testing.T) {
	head := join(text("MQTT"), bin(5, 6, 0, 0, 0), text("c"))
	willDelay := bin(byte(mqtt.PropWillDelay), 0, 0, 0, 1)
	badWill := packet(0x10, join(head, bin(10), willDelay, willDelay, text("w"), text("p"))...)
	attack(t, func(r *rig) {
		r.eachFirst([]shot{
			{"will delay twice", badWill, mqtt.ProtocolError},
			{"topic alias in will", packet(0x10, join(head, bin(3, byte(mqtt.PropTopicAlias), 0, 1), text("w"), text("p"))...), mqtt.MalformedPacket},
			{"payload format 2", packet(0x10, join(head, bin(2, byte(mqtt.PropPayloadFormat), 2), text("w"), text("p"))...), mqtt.ProtocolError},
			{"unknown property", packet(0x10, join(head, bin(2, 0x7E, 2), text("w"), text("p"))...), mqtt.MalformedPacket},
		})
		r.each([]shot{
			{"content type twice", packet(0x30, join(text("a"), bin(6, byte(mqtt.PropContentType), 0, 0, byte(mqtt.PropContentType), 0, 0))...), mqtt.ProtocolError},
			{"will delay in PUBLISH", packet(0x30, join(text("a"), bin(5), willDelay)...), mqtt.MalformedPacket},
		})
	})
	if testing.Short() {
		t.Skip("100,000 connections")
	}
	bubble(t, func(r *rig) {
		growth := heapGrowth(func() {
			for i := range 50_000 {
				c := r.open()
				c.raw(badWill...)
				c.refused(mqtt.ProtocolError)
				_ = c.conn.Close()
				if i%100 == 0 {
					r.settle() // or connections that are being closed reach the limit
				}
			}
			r.settle()
			r.log.reset()
		})
		if growth > 1<<20 {
			t.Errorf("%d bytes more after 50,000 repeats", growth)
		}
	})
}
