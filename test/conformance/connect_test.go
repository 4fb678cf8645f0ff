package conformance_test

import (
	"testing"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestFirstPacket: nothing but CONNECT opens a connection, and nobody hears why.
func TestFirstPacket(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.0-1", "MQTT-3.14.0-1", "MQTT311-3.1.0-1", "MQTT311-3.2.0-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		for name, b := range map[string][]byte{
			"PINGREQ": frame(0xC0), "PUBLISH": frame(0x30, lp("a"), noProps(v)), "SUBSCRIBE": frame(0x82, "\x00\x01", noProps(v), lp("a"), "\x00"),
			"DISCONNECT": frame(0xE0), "AUTH": frame(0xF0, "\x18\x08\x15"+lp("STEPS")), "CONNACK": frame(0x20, "\x00\x00"),
		} {
			t.Run(name, func(t *testing.T) {
				c := s.dialRaw(t, v)
				c.write(b)
				c.closed()
			})
		}
	})
}

func TestSecondConnect(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.0-2", "MQTT-3.2.0-2", "MQTT311-3.1.0-2")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.connect(t, v, "c")
		c.send(&mqtt.Connect{ProtocolVersion: v, CleanStart: true, ClientID: "c"})
		c.ended(mqtt.ProtocolError)
		s.connect(t, v, "c")
	})
}

// TestProtocol: other protocol names are closed without a word, other versions with the answer of the version.
func TestProtocol(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-1", "MQTT-3.1.2-2", "MQTT311-3.1.2-1", "MQTT311-3.1.2-2")
	s := start(t)
	for _, name := range []string{"MQTX", "mqtt", "", "MQTT5", "HTTP"} {
		c := s.dialRaw(t, mqtt.V5)
		c.write(frame(0x10, lp(name), "\x05\x02\x00\x00\x00", lp("c")))
		c.closed()
	}
	for _, level := range []byte{6, 99, 127} {
		c := s.dialRaw(t, mqtt.V5)
		c.write(frame(0x10, lp("MQTT"), string(rune(level)), "\x02\x00\x00\x00", lp("c")))
		c.refused(mqtt.UnsupportedProtocolVersion)
	}
	for _, level := range []byte{0, 1, 2} {
		c := s.dialRaw(t, mqtt.V311)
		c.write(frame(0x10, lp("MQTT"), string(rune(level)), "\x02\x00\x00", lp("c")))
		c.refused(mqtt.UnsupportedProtocolVersion)
	}
}

// TestConnectFormat: a CONNECT that is wrong in one way is refused, closed, and leaves an existing session alone.
func TestConnectFormat(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-3", "MQTT-3.1.2-9", "MQTT-3.1.2-11", "MQTT-3.1.2-12", "MQTT-3.1.2-13", "MQTT-3.1.2-16",
		"MQTT-3.1.2-17", "MQTT-3.1.2-18", "MQTT-3.1.2-19", "MQTT-3.1.3-1", "MQTT-3.1.3-3", "MQTT-3.1.4-1", "MQTT-3.2.2-7",
		"MQTT-4.13.1-1", "MQTT-4.13.2-1")
	conformance.Covers(t, "MQTT311-3.1.2-3", "MQTT311-3.1.2-9", "MQTT311-3.1.2-11", "MQTT311-3.1.2-13", "MQTT311-3.1.2-14",
		"MQTT311-3.1.2-15", "MQTT311-3.1.2-18", "MQTT311-3.1.2-19", "MQTT311-3.1.2-20", "MQTT311-3.1.2-21", "MQTT311-3.1.2-22",
		"MQTT311-3.1.3-1", "MQTT311-3.1.3-3", "MQTT311-3.1.4-1", "MQTT311-3.2.2-6")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		bystander := s.connect(t, v, "c")
		bad := map[string][]byte{
			"reserved flag":              connectFrame(v, 0x03, lp("c")),
			"will QoS 3":                 connectFrame(v, 0x1E, lp("c"), noProps(v), lp("w"), lp("")),
			"will QoS without will":      connectFrame(v, 0x0A, lp("c")),
			"will retain without will":   connectFrame(v, 0x22, lp("c")),
			"will fields missing":        connectFrame(v, 0x06, lp("c")),
			"will payload missing":       connectFrame(v, 0x06, lp("c"), noProps(v), lp("w")),
			"will fields without flag":   connectFrame(v, 0x02, lp("c"), noProps(v), lp("w"), lp("")),
			"no client identifier":       connectFrame(v, 0x02),
			"user name without flag":     connectFrame(v, 0x02, lp("c"), lp("u")),
			"user name missing":          connectFrame(v, 0x82, lp("c")),
			"password without flag":      connectFrame(v, 0x82, lp("c"), lp("u"), lp("p")),
			"password missing":           connectFrame(v, 0xC2, lp("c"), lp("u")),
			"fields in another order":    connectFrame(v, 0x86, lp("u"), lp("c"), lp("p")),
			"password alone, none there": connectFrame(v, 0x42, lp("c")),
		}
		if v == mqtt.V311 {
			bad["password without user name"] = connectFrame(v, 0x42, lp("c"), lp("p"))
		}
		for name, b := range bad {
			s.rejects(t, v, name, b, mqtt.MalformedPacket)
		}
		bystander.quiet()
	})
}

// TestPayloadOrder reads the fields back from where they have an effect: who it is, and what the Will says.
func TestPayloadOrder(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.3-1", "MQTT-3.1.2-17", "MQTT-3.1.2-19", "MQTT311-3.1.3-1", "MQTT311-3.1.2-19", "MQTT311-3.1.2-21")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		watch := s.connect(t, v, "watch")
		watch.subscribe(0, "#")
		c := s.dialRaw(t, v)
		c.write(connectFrame(v, 0xC6, lp("c"), noProps(v), lp("will/topic"), lp("will payload"), lp("user"), lp("password")))
		expect[*mqtt.Connack](c)
		c.drop()
		watch.message("will/topic", "will payload")
		intruder := s.dialRaw(t, v)
		intruder.write(connectFrame(v, 0xC6, lp("c"), noProps(v), lp("user"), lp("x"), lp("intruder"), lp("user")))
		intruder.refused(mqtt.BadUserNameOrPassword)
		watch.quiet()
	})
}

// TestClientIdentifiers: all that must be accepted are, and whoever brings none gets one.
func TestClientIdentifiers(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.3-5", "MQTT-3.1.3-6", "MQTT-3.1.3-7", "MQTT-3.2.2-16", "MQTT-3.1.4-5", "MQTT-3.2.2-1")
	conformance.Covers(t, "MQTT311-3.1.3-5", "MQTT311-3.1.3-6", "MQTT311-3.1.4-4")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		for _, id := range []string{"0", "A", "z", "0123456789abcdefghijklm", "NOPQRSTUVWXYZnopqrstuvw", "with (space) [brackets]"} {
			c := s.connect(t, v, id)
			if c.ack.Properties.Has(mqtt.PropAssignedClientID) {
				t.Errorf("%s was given another identifier", id)
			}
		}
		first, second := s.connect(t, v, ""), s.connect(t, v, "")
		first.quiet() // nobody took its session over
		if v != mqtt.V5 {
			return
		}
		a, b := first.ack.Properties.AssignedClientID, second.ack.Properties.AssignedClientID
		if a == "" || b == "" || a == b {
			t.Fatalf("assigned %q and %q", a, b)
		}
		s.connect(t, v, a)
		first.ended(mqtt.SessionTakenOver)
	})
}

// TestRefusedClientIdentifier: identifiers the broker does not take.
func TestRefusedClientIdentifier(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.3-8", "MQTT-3.1.4-2", "MQTT311-3.1.3-8", "MQTT311-3.1.3-9", "MQTT311-3.2.2-5", "MQTT311-3.2.2-4", "MQTT-3.2.2-6")
	s := start(t)
	c := s.dialRaw(t, mqtt.V311)
	c.write(connectFrame(mqtt.V311, 0x00, lp("")))
	c.refused(mqtt.ClientIdentifierNotValid)
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		c := s.dialRaw(t, v)
		c.sayConnect("banned")
		c.refused(mqtt.NotAuthorized)
	}
}

// TestTakeOver: one client, one connection.
func TestTakeOver(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.4-3", "MQTT-3.1.3-2", "MQTT-3.14.4-1", "MQTT-3.14.4-2", "MQTT311-3.1.4-2", "MQTT311-3.1.3-2")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		old := s.connect(t, v, "c", durable)
		old.subscribe(1, "a")
		other := s.connect(t, v, "d", durable)
		now := s.connect(t, v, "c", durable)
		old.ended(mqtt.SessionTakenOver)
		if !now.ack.SessionPresent {
			t.Error("the session did not follow its client identifier")
		}
		now.publish("a", "x", 0)
		now.message("a", "x")
		other.quiet()
	})
}

// TestRefusedLogin: a refusal has its code, closes, and nothing that was pipelined behind the CONNECT happens.
func TestRefusedLogin(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.4-2", "MQTT-3.1.4-4", "MQTT-3.1.4-6", "MQTT-3.2.2-6", "MQTT-3.2.2-7", "MQTT-3.2.2-8", "MQTT-3.2.0-1")
	conformance.Covers(t, "MQTT311-3.1.4-3", "MQTT311-3.1.4-5", "MQTT311-3.2.2-4", "MQTT311-3.2.2-5")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		watch := s.connect(t, v, "watch")
		watch.subscribe(0, "#")
		victim := s.connect(t, v, "victim", durable)
		victim.subscribe(1, "v")
		intruder := s.dialRaw(t, v)
		intruder.send(
			&mqtt.Connect{ProtocolVersion: v, CleanStart: true, ClientID: "victim", HasUsername: true, Username: "intruder"},
			&mqtt.Publish{Topic: "a", Payload: []byte("x"), Retain: true},
			&mqtt.Publish{Topic: "a", Payload: []byte("x"), QoS: 1, PacketID: 1},
			&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"v"}},
		)
		intruder.refused(mqtt.BadUserNameOrPassword)
		watch.quiet()
		watch.publish("v", "still there", 0)
		watch.message("v", "still there")
		victim.message("v", "still there")
		watch.subscribe(0, "a")
		watch.quiet()
	})
}

// TestRefusedWill: a Will without the right to publish it refuses the connection.
func TestRefusedWill(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.4-2", "MQTT-3.2.2-8")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.dialRaw(t, v)
		c.sayConnect("c", will("secret/x", "", 0, false))
		c.refused(mqtt.NotAuthorized)
		c = s.dialRaw(t, v)
		c.sayConnect("c", will("$SYS/x", "", 0, false))
		c.refused(mqtt.NotAuthorized)
	})
}

// TestPipelined: what follows an accepted CONNECT at once is answered after its CONNACK.
func TestPipelined(t *testing.T) {
	conformance.Covers(t, "MQTT-3.2.0-1", "MQTT-3.1.4-5", "MQTT311-3.2.0-1", "MQTT311-3.1.4-4")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		for range 20 {
			c := s.dialRaw(t, v)
			c.send(
				&mqtt.Connect{ProtocolVersion: v, CleanStart: true, ClientID: "c"},
				&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a"}}},
				&mqtt.Publish{Topic: "a", Payload: []byte("x")}, &mqtt.Pingreq{},
			)
			if ack := expect[*mqtt.Connack](c); ack.ReasonCode != mqtt.Success {
				t.Fatal(ack.ReasonCode)
			}
			expect[*mqtt.Suback](c)
			c.message("a", "x")
			expect[*mqtt.Pingresp](c)
			c.leave()
		}
	})
}

// TestConnackLimits: CONNACK says what differs from what the client asked for, and nothing that it did not ask for.
func TestConnackLimits(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-28", "MQTT-3.2.2-22", "MQTT-3.2.2-19", "MQTT-3.2.2-20", "MQTT-4.12.0-6")
	s := start(t)
	plain := s.connect(t, mqtt.V5, "plain", func(p *mqtt.Connect) { p.KeepAlive = 30 }).ack.Properties
	for _, id := range []mqtt.Property{
		mqtt.PropResponseInfo, mqtt.PropServerKeepAlive, mqtt.PropSessionExpiry, mqtt.PropAssignedClientID, mqtt.PropAuthMethod,
		mqtt.PropMaximumQoS, mqtt.PropReasonString, mqtt.PropUser,
	} {
		if plain.Has(id) {
			t.Errorf("CONNACK has a %s", id)
		}
	}
	if plain.ReceiveMaximum != receiveMaximum || plain.TopicAliasMaximum != topicAliasMaximum || plain.MaximumPacketSize != maximumPacketSize {
		t.Errorf("CONNACK does not tell the limits: %+v", plain)
	}
	off := s.connect(t, mqtt.V5, "off", properties(func(p *mqtt.Properties) { p.SetRequestResponseInfo(false) })).ack.Properties
	if off.Has(mqtt.PropResponseInfo) {
		t.Error("Response Information for a client that does not want it")
	}
	asking := s.connect(t, mqtt.V5, "asking", properties(func(p *mqtt.Properties) {
		p.SetRequestResponseInfo(true)
		p.SetSessionExpiry(sessionExpiryMax + 1)
	})).ack.Properties
	if !asking.Has(mqtt.PropResponseInfo) || asking.SessionExpiry != sessionExpiryMax || asking.ServerKeepAlive != serverKeepAlive {
		t.Errorf("CONNACK keeps quiet about what it changed: %+v", asking)
	}
}

// TestSmallMaximumPacketSize: a client that leaves no room for the limits in CONNACK is refused and hears why.
func TestSmallMaximumPacketSize(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-24", "MQTT-3.2.2-19", "MQTT-3.2.2-20")
	s := start(t)
	for size := uint32(1); size < 40; size++ {
		c := s.dialRaw(t, mqtt.V5)
		c.sayConnect("c", properties(func(p *mqtt.Properties) { p.SetMaximumPacketSize(size) }))
		p, err := c.tryRead()
		ack, _ := p.(*mqtt.Connack)
		switch {
		case err != nil && size >= 5:
			t.Errorf("%d bytes: %v", size, err)
		case ack != nil && ack.ReasonCode == mqtt.Success:
			c.quiet()
			if size < 10 {
				t.Errorf("%d bytes hold no CONNACK with limits", size)
			}
		case ack != nil && ack.ReasonCode != mqtt.PacketTooLarge:
			t.Errorf("%d bytes: %s", size, ack.ReasonCode)
		case ack != nil:
			c.closed()
			if size > 20 {
				t.Errorf("%d bytes were not enough", size)
			}
		}
	}
}
