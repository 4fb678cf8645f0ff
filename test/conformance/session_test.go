package conformance_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// gone waits until the broker knows that a client has left. Only in a bubble.
func gone(c *client) {
	c.drop()
	synctest.Wait()
}

// expiring asks for a durable session of the given length in version 5.
func expiring(seconds uint32) func(p *mqtt.Connect) {
	return func(p *mqtt.Connect) {
		p.CleanStart = false
		p.Properties.SetSessionExpiry(seconds)
	}
}

// TestSessionContinues: subscriptions, queued messages and open exchanges are there when the client comes back.
func TestSessionContinues(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-5", "MQTT-3.1.2-6", "MQTT-3.1.2-23", "MQTT-3.1.3-2", "MQTT-3.2.2-3", "MQTT-4.1.0-1", "MQTT-4.5.0-1")
	conformance.Covers(t, "MQTT311-3.1.2-4", "MQTT311-3.1.2-5", "MQTT311-3.1.3-2", "MQTT311-3.2.2-2", "MQTT311-3.2.2-3", "MQTT311-4.1.0-1",
		"MQTT311-4.1.0-2", "MQTT311-4.5.0-1")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.connect(t, v, "c", durable)
		if c.ack.SessionPresent {
			t.Error("a session is present before there was one")
		}
		c.subscribe(2, "a/#")
		gone(c)
		sender := s.connect(t, v, "sender")
		sender.publish("a/1", "one", 1)
		sender.publish("a/2", "two", 2)
		time.Sleep(5 * time.Minute)
		c = s.connect(t, v, "c", durable)
		if !c.ack.SessionPresent {
			t.Error("the session is gone")
		}
		first, second := c.message("a/1", "one"), c.message("a/2", "two")
		if first.QoS != 1 || second.QoS != 2 || first.Dup || second.Dup {
			t.Errorf("%+v, %+v", first, second)
		}
		c.acknowledge(first)
		c.acknowledge(second)
		c.quiet()
	})
}

// TestCleanStart: a client that wants to begin anew finds nothing of what was, and a session without expiry serves no
// later connection.
func TestCleanStart(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-4", "MQTT-3.1.2-6", "MQTT-3.2.2-2", "MQTT-3.2.2-3", "MQTT311-3.1.2-6", "MQTT311-3.2.2-1", "MQTT311-3.2.2-3",
		"MQTT311-3.1.2-7")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		sender := s.connect(t, v, "sender")
		c := s.connect(t, v, "c", durable)
		c.subscribe(1, "a")
		sender.publish("kept", "by the server", 1, retained)
		gone(c)
		sender.publish("a", "waits", 1)
		c = s.connect(t, v, "c")
		if c.ack.SessionPresent {
			t.Error("Clean Start finds a session")
		}
		sender.publish("a", "nobody", 1)
		c.quiet()
		c.subscribe(1, "b", "kept")
		c.acknowledge(c.message("kept", "by the server"))
		gone(c)
		c = s.connect(t, v, "c", durable)
		if c.ack.SessionPresent {
			t.Error("a session that ended with its connection is resumed")
		}
		sender.publish("b", "nobody", 1)
		c.quiet()
	})
}

// TestSessionExpiry: the session waits as long as it was promised and no longer; DISCONNECT may change that.
func TestSessionExpiry(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-23", "MQTT-4.1.0-1", "MQTT-4.1.0-2", "MQTT-3.2.2-3")
	present := func(t *testing.T, s *server, want bool) {
		t.Helper()
		if c := s.connect(t, mqtt.V5, "c", expiring(10)); c.ack.SessionPresent != want {
			t.Errorf("session present: %t, want %t", c.ack.SessionPresent, want)
		}
	}
	for _, test := range []struct {
		name  string
		leave func(c *client)
		wait  time.Duration
		want  bool
	}{
		{"within", gone, 9 * time.Second, true},
		{"over", gone, 11 * time.Second, false},
		{"shortened", func(c *client) {
			d := &mqtt.Disconnect{}
			d.Properties.SetSessionExpiry(0)
			c.send(d)
			c.closed()
		}, time.Second, false},
		{"extended", func(c *client) {
			d := &mqtt.Disconnect{}
			d.Properties.SetSessionExpiry(60)
			c.send(d)
			c.closed()
		}, 50 * time.Second, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			timed(t, func(t *testing.T, s *server) {
				c := s.connect(t, mqtt.V5, "c", expiring(10))
				time.Sleep(time.Minute) // the connection is open: nothing expires
				c.quiet()
				test.leave(c)
				time.Sleep(test.wait)
				present(t, s, test.want)
			})
		})
	}
	timed(t, func(t *testing.T, s *server) {
		c := s.connect(t, mqtt.V5, "c")
		d := &mqtt.Disconnect{}
		d.Properties.SetSessionExpiry(60)
		c.send(d)
		c.ended(mqtt.ProtocolError)
	})
}

// TestKeepAlive: one and a half periods of silence end the connection; anything the client says extends it.
func TestKeepAlive(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-22", "MQTT-3.2.2-22", "MQTT311-3.1.2-24")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		watch := s.connect(t, v, "watch")
		watch.subscribe(0, "w")
		begin := time.Now()
		c := s.connect(t, v, "c", func(p *mqtt.Connect) { p.KeepAlive = 20 }, will("w", "silent", 0, false))
		if c.ack.Properties.Has(mqtt.PropServerKeepAlive) {
			t.Error("the broker changed the Keep Alive without need")
		}
		for range 5 {
			time.Sleep(29 * time.Second)
			c.quiet()
		}
		silence := time.Now()
		_ = c.nc.SetReadDeadline(time.Now().Add(time.Hour))
		patient := c.reader
		p, err := patient.ReadPacket()
		if d, ok := p.(*mqtt.Disconnect); v == mqtt.V5 && (!ok || d.ReasonCode != mqtt.KeepAliveTimeout) || v == mqtt.V311 && err == nil {
			t.Errorf("got %v, %v", p, err)
		}
		if waited := time.Since(silence); waited < 30*time.Second || waited > 31*time.Second {
			t.Errorf("closed after %s of silence, %s after the beginning", waited, time.Since(begin))
		}
		watch.message("w", "silent")
	})
}

// TestServerKeepAlive: the broker holds a client to the Keep Alive it named.
func TestServerKeepAlive(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-22")
	timed(t, func(t *testing.T, s *server) {
		c := s.connect(t, mqtt.V5, "c") // Keep Alive 0: the broker says otherwise
		if c.ack.Properties.ServerKeepAlive != serverKeepAlive {
			t.Fatalf("%+v", c.ack.Properties)
		}
		_ = c.nc.SetReadDeadline(time.Now().Add(2 * serverKeepAlive * time.Second))
		p, err := c.reader.ReadPacket()
		if d, ok := p.(*mqtt.Disconnect); !ok || d.ReasonCode != mqtt.KeepAliveTimeout {
			t.Errorf("got %v, %v", p, err)
		}
	})
	timed(t, func(t *testing.T, s *server) { // 3.1.1 cannot be told: 0 stays 0
		c := s.connect(t, mqtt.V311, "c")
		time.Sleep(24 * time.Hour)
		c.quiet()
	})
}
