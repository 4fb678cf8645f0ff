package broker

import (
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// TestSessionExpiry: a session is there until its interval has passed, also when DISCONNECT changed it, and with all its
// messages [MQTT-3.1.2-23].
func TestSessionExpiry(t *testing.T) {
	cases := map[string]struct {
		setup   []setup
		leave   *mqtt.Disconnect // nil: the socket closes
		away    time.Duration
		present bool
	}{
		"in time":             {[]setup{expiry(100)}, nil, 99 * time.Second, true},
		"too late":            {[]setup{expiry(100)}, nil, 101 * time.Second, false},
		"none":                {nil, nil, 0, false},
		"never":               {[]setup{expiry(neverExpires)}, nil, 10000 * time.Hour, true},
		"ended in DISCONNECT": {[]setup{expiry(100)}, &mqtt.Disconnect{Properties: expiryProperty(0)}, 0, false},
		"longer":              {[]setup{expiry(10)}, &mqtt.Disconnect{Properties: expiryProperty(100)}, 99 * time.Second, true},
		"shorter":             {[]setup{expiry(100)}, &mqtt.Disconnect{Properties: expiryProperty(10)}, 11 * time.Second, false},
		"v3 clean":            {[]setup{v3}, nil, 0, false},
		"v3":                  {[]setup{v3, dirty}, nil, 3599 * time.Second, true},
		"v3 too late":         {[]setup{v3, dirty}, nil, 3601 * time.Second, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				c := r.connect("c", tc.setup...)
				c.subscribe(1, "a")
				if tc.leave != nil {
					c.send(tc.leave)
					c.closed()
				}
				c.drop()
				r.connect("pub").publish(msg("a", "kept", 1))
				r.wait(tc.away)
				c = r.connect("c", append(tc.setup, dirty)...)
				if c.ack.SessionPresent != tc.present {
					t.Fatalf("session present: %t", c.ack.SessionPresent)
				}
				if tc.present {
					c.receive("a", "kept")
				}
				c.quiet()
				c.leave()
				c = r.connect("c", tc.setup[:min(1, len(tc.setup))]...) // Clean Start
				if c.ack.SessionPresent {
					t.Error("Clean Start resumed")
				}
			})
		})
	}
}

// TestTakeOver: the newer connection of a client gets the session, the older one is told [MQTT-3.1.4-3]; another
// principal gets nothing and disturbs nobody.
func TestTakeOver(t *testing.T) {
	bubble(t, func(r *rig) {
		old := r.connect("c", expiry(100), user("alice"))
		old.subscribe(1, "a")
		for _, clean := range []bool{false, true} {
			thief := r.open()
			thief.send(connectPacket("c", user("mallory"), func(p *mqtt.Connect) { p.CleanStart = clean }))
			thief.refused(mqtt.NotAuthorized)
		}
		old.ping()
		c := r.connect("c", dirty, expiry(100), user("alice"))
		old.ejected(mqtt.SessionTakenOver)
		if !c.ack.SessionPresent {
			t.Error("the session is gone")
		}
		r.connect("pub").publish(msg("a", "x", 1))
		c.receive("a", "x")
	})
}

// TestResume: what was under way is sent again in order, with DUP 1, under the same identifiers [MQTT-4.4.0-1], also
// after a restart of the broker.
func TestResume(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(r *rig) {
			c := r.connect("c", expiry(100))
			c.subscribe(2, "a")
			pub := r.connect("pub")
			for i, m := range []string{"1", "2", "3"} {
				pub.publish(msg("a", m, mqtt.QoS(1+i%2)))
			}
			var ids []mqtt.PacketID
			for _, m := range []string{"1", "2", "3"} {
				ids = append(ids, c.next("a", m).PacketID)
			}
			c.send(&mqtt.Pubrec{PacketID: ids[1]})
			expect[*mqtt.Pubrel](c)
			c.drop()
			if restart {
				r.restart()
			}
			c = r.connect("c", dirty, expiry(100))
			c.same(ids[1], expect[*mqtt.Pubrel](c).PacketID) // needs no quota and goes first
			c.send(&mqtt.Pubcomp{PacketID: ids[1]})
			for _, i := range []int{0, 2} {
				p := c.next("a", []string{"1", "2", "3"}[i])
				if !p.Dup || p.PacketID != ids[i] {
					t.Errorf("restart %t: again %+v", restart, p)
				}
				c.acknowledge(p)
			}
			c.leave()
			r.connect("c", dirty, expiry(100)).quiet()
		})
	}
}

// TestAssignedClientID: who brings no identifier gets one that nobody can guess.
func TestAssignedClientID(t *testing.T) {
	bubble(t, func(r *rig) {
		a, b := r.connect("").ack.Properties.AssignedClientID, r.connect("").ack.Properties.AssignedClientID
		if len(a) < 20 || len(b) < 20 || a == b {
			t.Errorf("identifiers %q and %q", a, b)
		}
		c := r.open()
		c.raw(packet(0x10, join(text("MQTT"), bin(4, 0, 0, 0, 0, 0))...)...)
		c.v = mqtt.V311
		c.refused(mqtt.ClientIdentifierNotValid)
	})
}

// steps is an authenticator that asks once more: the answer names the principal.
func steps(r *rig) {
	r.authn.login = func(cr *identity.Credentials) identity.Verdict {
		return identity.Verdict{Outcome: identity.Continued, Data: []byte("who?"), Next: func(data []byte) identity.Verdict {
			if string(data) == "wrong" {
				return identity.Verdict{Failure: identity.NotAuthenticated}
			}
			return identity.Verdict{
				Outcome: identity.Accepted, Data: []byte("ok"),
				Principal: identity.Principal{Method: cr.Method, Name: string(data)},
			}
		}}
	}
}

func auth(code mqtt.ReasonCode, method, data string) *mqtt.Auth {
	p := &mqtt.Auth{ReasonCode: code}
	p.Properties.SetAuthMethod(method)
	p.Properties.SetAuthData([]byte(data))
	return p
}

// TestAuth goes through the exchange of AUTH packets, at CONNECT and again later, right and wrong.
func TestAuth(t *testing.T) {
	bubble(t, func(r *rig) {
		method := func(p *mqtt.Connect) { p.Properties.SetAuthMethod("m") }
		begin := func() *client {
			c := r.open()
			c.send(connectPacket("c", method))
			if p := expect[*mqtt.Auth](c); p.ReasonCode != mqtt.ContinueAuthentication || string(p.Properties.AuthData) != "who?" {
				t.Fatalf("AUTH %+v", p)
			}
			return c
		}
		login := func() *client {
			c := begin()
			c.send(auth(mqtt.ContinueAuthentication, "m", "alice"))
			if p := expect[*mqtt.Connack](c); p.ReasonCode != 0 || p.Properties.AuthMethod != "m" || string(p.Properties.AuthData) != "ok" {
				t.Fatalf("CONNACK %+v", p)
			}
			return c
		}
		refusals := map[string]struct {
			p    mqtt.Packet
			code mqtt.ReasonCode
		}{
			"wrong answer":   {auth(mqtt.ContinueAuthentication, "m", "wrong"), mqtt.BadUserNameOrPassword},
			"other method":   {auth(mqtt.ContinueAuthentication, "n", "alice"), mqtt.ProtocolError},
			"other code":     {auth(mqtt.ReAuthenticate, "m", "alice"), mqtt.ProtocolError},
			"another packet": {&mqtt.Pingreq{}, mqtt.ProtocolError},
		}
		for name, tc := range refusals {
			t.Log(name)
			c := begin()
			c.send(tc.p)
			c.refused(tc.code)
		}
		c := begin()
		c.send(&mqtt.Disconnect{})
		c.closed()
		c = begin()
		c.raw(0xF0, 0xFF, 0xFF, 0x3F) // 1 MiB before the login
		c.refused(mqtt.PacketTooLarge)
		c = begin()
		c.closed() // in silence, after the time for CONNECT

		c = login()
		c.send(auth(mqtt.ReAuthenticate, "m", ""))
		if p := expect[*mqtt.Auth](c); p.ReasonCode != mqtt.ContinueAuthentication {
			t.Fatalf("AUTH %+v", p)
		}
		c.ping() // the connection goes on meanwhile
		c.send(auth(mqtt.ContinueAuthentication, "m", "alice"))
		if p := expect[*mqtt.Auth](c); p.ReasonCode != mqtt.Success {
			t.Fatalf("AUTH %+v", p)
		}
		for _, who := range []string{"mallory", "wrong"} {
			c.send(auth(mqtt.ReAuthenticate, "m", ""))
			expect[*mqtt.Auth](c)
			c.send(auth(mqtt.ContinueAuthentication, "m", who))
			c.ejected(mqtt.NotAuthorized)
			c = login()
		}
		c.send(auth(mqtt.ContinueAuthentication, "m", "alice"))
		c.ejected(mqtt.ProtocolError)
		c = login()
		c.send(auth(mqtt.ReAuthenticate, "n", ""))
		c.ejected(mqtt.ProtocolError)
	}, steps)
}

// TestLogOfRefused: the log names the client that was refused, not what came into the read buffer after it.
func TestLogOfRefused(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.open()
		c.send(connectPacket("the real one"))
		c.refused(mqtt.BadUserNameOrPassword)
		c.raw(make([]byte, 100)...) // over the first packet, in the read buffer
		r.log.reset()
		c.drop()
		if !r.logged("connection closed", "the real one") {
			t.Error(r.log.String())
		}
	}, func(r *rig) {
		r.authn.login = func(*identity.Credentials) identity.Verdict { return identity.Verdict{} }
	})
}

// TestShutdown: every client is told and closed, new ones are not served, sessions stay.
func TestShutdown(t *testing.T) {
	bubble(t, func(r *rig) {
		five, three := r.connect("five", expiry(100)), r.connect("three", v3, dirty)
		silent := r.open()
		five.subscribe(1, "a")
		r.halt()
		five.ejected(mqtt.ServerShuttingDown)
		three.closed()
		silent.closed()
		if n := r.rows().Sessions; n != 2 {
			t.Errorf("%d sessions stored, want 2", n)
		}
		r.build()
		r.mem = newMemListener()
		r.start(r.mem)
		if !r.connect("five", dirty, expiry(100)).ack.SessionPresent {
			t.Error("the session is gone")
		}
	})
}

// TestTakeOverOfWhatEnds: a session that ends with its connection is not resumed by the client that takes the connection over.
func TestTakeOverOfWhatEnds(t *testing.T) {
	bubble(t, func(r *rig) {
		old := r.connect("c") // its Session Expiry Interval is 0
		old.subscribe(1, "a")
		c := r.connect("c", dirty, expiry(100))
		old.ejected(mqtt.SessionTakenOver)
		if c.ack.SessionPresent {
			t.Error("it was resumed")
		}
		r.connect("pub").publish(msg("a", "x", 1))
		c.quiet()
	})
}

// TestEndIsForTheConnectionThatEnded: the end of a connection ends its session only while no other client has come to it.
func TestEndIsForTheConnectionThatEnded(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c", expiry(100))
		s := r.b.sessions.get("c")
		w := r.b.getWork()
		defer w.release()
		end := func(epoch uint64) bool {
			r.b.endIfOffline(w, s, epoch)
			return r.b.sessions.get("c") == nil
		}
		if end(s.epoch) {
			t.Fatal("ended under a client that is connected")
		}
		c.ping()
		c.leave()
		r.settle()
		if end(s.epoch - 1) {
			t.Fatal("ended by a connection from before")
		}
		if !end(s.epoch) {
			t.Error("not ended")
		}
		if !end(s.epoch) || r.rows().Sessions != 0 {
			t.Error("ended twice, or a row stays")
		}
	})
}
