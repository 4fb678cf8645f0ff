package conformance_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestWill: it comes when the connection ends without DISCONNECT, once, with the QoS and RETAIN it was given.
func TestWill(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-7", "MQTT-3.1.2-8", "MQTT-3.1.2-10", "MQTT-3.1.2-14", "MQTT-3.1.2-15")
	conformance.Covers(t, "MQTT311-3.1.2-8", "MQTT311-3.1.2-10", "MQTT311-3.1.2-12", "MQTT311-3.1.2-16", "MQTT311-3.1.2-17")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		watch := s.connect(t, v, "watch")
		watch.subscribe(2, "w/#")
		for qos := mqtt.AtMostOnce; qos <= mqtt.ExactlyOnce; qos++ {
			for _, retain := range []bool{false, true} {
				for _, id := range []string{"clean", "durable"} {
					options := []func(p *mqtt.Connect){will("w/x", "gone", qos, retain)}
					if id == "durable" {
						options = append(options, durable)
					}
					c := s.connect(t, v, id, options...)
					watch.quiet()
					c.drop()
					got := watch.message("w/x", "gone")
					if got.QoS != qos || got.Retain {
						t.Errorf("QoS %d retain %t: %+v", qos, retain, got)
					}
					watch.acknowledge(got)
					synctest.Wait()
					late := s.connect(t, v, "late")
					late.subscribe(0, "w/x")
					if retain {
						if m := late.message("w/x", "gone"); !m.Retain {
							t.Error("a retained Will is delivered without RETAIN")
						}
						s.connect(t, v, "sweeper").publish("w/x", "", 1, retained)
						watch.acknowledge(watch.message("w/x", ""))
						late.message("w/x", "")
					}
					late.quiet()
				}
			}
		}
		s.connect(t, v, "plain").drop() // without a Will there is nothing to say
		again := s.connect(t, v, "durable", durable)
		gone(again) // the Will of an earlier connection is not this one's
		watch.quiet()
	})
}

// TestWillWithdrawn: DISCONNECT takes the Will back, unless the client says that it shall be sent.
func TestWillWithdrawn(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-10", "MQTT-3.14.4-3", "MQTT311-3.1.2-10", "MQTT311-3.14.4-3")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		watch := s.connect(t, v, "watch")
		watch.subscribe(0, "w")
		c := s.connect(t, v, "c", will("w", "gone", 0, false))
		c.leave()
		c = s.connect(t, v, "c", will("w", "gone", 0, false), durable)
		c.leave()
		time.Sleep(11 * time.Minute) // longer than the session lasts
		watch.quiet()
		if v != mqtt.V5 {
			return
		}
		c = s.connect(t, v, "c", will("w", "wanted", 0, false))
		c.send(&mqtt.Disconnect{ReasonCode: mqtt.DisconnectWithWill})
		watch.message("w", "wanted")
	})
}

// TestWillOfViolator: a connection that the broker ends leaves its Will.
func TestWillOfViolator(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-8", "MQTT311-3.1.2-8", "MQTT311-4.8.0-1")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		watch := s.connect(t, v, "watch")
		watch.subscribe(0, "w")
		c := s.connect(t, v, "c", will("w", "violator", 0, false))
		c.write(frame(0x36, lp("a"), "\x00\x01", noProps(v)))
		watch.message("w", "violator")
		s.connect(t, v, "d", will("w", "taken over", 0, false))
		s.connect(t, v, "d")
		watch.message("w", "taken over")
		watch.quiet()
	})
}

func willDelay(seconds uint32) func(p *mqtt.Properties) {
	return func(p *mqtt.Properties) { p.SetWillDelay(seconds) }
}

// TestWillDelay: the Will waits for its delay or the end of the session, whichever is first, and a client that comes back
// in time stops it.
func TestWillDelay(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-8", "MQTT-3.1.3-9")
	begin := func(t *testing.T, s *server, delay, expiry uint32) (watch, c *client) {
		watch = s.connect(t, mqtt.V5, "watch", func(p *mqtt.Connect) { p.KeepAlive = 0 })
		watch.subscribe(0, "w")
		return watch, s.connect(t, mqtt.V5, "c", will("w", "gone", 0, false, willDelay(delay)), expiring(expiry))
	}
	// arrives measures when the Will comes.
	arrives := func(t *testing.T, watch *client, want time.Duration) {
		t.Helper()
		since := time.Now()
		for range int(want/time.Second) + 5 {
			time.Sleep(time.Second)
			synctest.Wait()
			watch.send(&mqtt.Pingreq{})
			p, err := watch.tryRead()
			if err != nil {
				t.Fatal(err)
			}
			if p.Type() == mqtt.TypePingresp {
				continue
			}
			expect[*mqtt.Pingresp](watch)
			if got := time.Since(since); got < want || got > want+2*time.Second {
				t.Errorf("the Will came after %s, want %s", got, want)
			}
			return
		}
		t.Error("the Will did not come")
	}
	for name, test := range map[string]struct {
		delay, expiry uint32
		want          time.Duration
	}{
		"delay":            {10, 100, 10 * time.Second},
		"session is first": {100, 10, 10 * time.Second},
		"no session":       {100, 0, 0},
		"no delay":         {0, 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, s *server) {
				watch, c := begin(t, s, test.delay, test.expiry)
				gone(c)
				arrives(t, watch, test.want)
			})
		})
	}
	t.Run("client comes back", func(t *testing.T) {
		timed(t, func(t *testing.T, s *server) {
			watch, c := begin(t, s, 10, 100)
			gone(c)
			time.Sleep(9 * time.Second)
			s.connect(t, mqtt.V5, "c", expiring(100))
			time.Sleep(time.Minute)
			watch.quiet()
		})
	})
	t.Run("client takes over", func(t *testing.T) {
		timed(t, func(t *testing.T, s *server) {
			watch, _ := begin(t, s, 10, 100)
			s.connect(t, mqtt.V5, "c", expiring(100))
			time.Sleep(time.Minute)
			watch.quiet()
		})
	})
	for name, end := range map[string]func(c *client){"discarded while away": gone, "discarded while connected": func(*client) {}} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, s *server) {
				watch, c := begin(t, s, 10, 100)
				end(c)
				s.connect(t, mqtt.V5, "c") // Clean Start ends the session, and with it the delay
				watch.message("w", "gone")
				time.Sleep(time.Minute)
				watch.quiet()
			})
		})
	}
}

// TestWillProperties: they travel with the Will, User Properties in their order.
func TestWillProperties(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.3-10", "MQTT-3.1.2-9")
	timed(t, func(t *testing.T, s *server) {
		users := []mqtt.UserProperty{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "0"}, {Key: "", Value: ""}}
		watch := s.connect(t, mqtt.V5, "watch")
		watch.subscribe(0, "w")
		c := s.connect(t, mqtt.V5, "c", will("w", "gone", 0, false, func(p *mqtt.Properties) {
			p.SetContentType("text/plain")
			p.SetPayloadFormat(1)
			p.SetResponseTopic("r")
			p.SetCorrelationData([]byte{1, 0, 255})
			p.SetMessageExpiry(50)
			for _, u := range users {
				p.AddUser(u.Key, u.Value)
			}
		}))
		time.Sleep(time.Minute) // the interval begins when the Will is published
		c.drop()
		p := watch.message("w", "gone").Properties
		if !slices.Equal(p.User, users) || p.ContentType != "text/plain" || p.PayloadFormat != 1 || p.ResponseTopic != "r" ||
			string(p.CorrelationData) != "\x01\x00\xff" || p.MessageExpiry != 50 || p.Has(mqtt.PropWillDelay) {
			t.Errorf("%+v", p)
		}
	})
}
