package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// TestSessionsPerOwner: a principal has a number of sessions; those that ended, and other principals', do not count.
func TestSessionsPerOwner(t *testing.T) {
	bubble(t, func(r *rig) {
		for _, id := range []string{"a", "b"} {
			r.connect(id, expiry(100)).drop()
		}
		c := r.open()
		c.send(connectPacket("c", expiry(100)))
		c.refused(mqtt.QuotaExceeded)
		r.connect("c").leave() // without a session
		r.connect("other", user("other"), expiry(100)).leave()
		r.connect("a", dirty, expiry(100)).leave()
		r.connect("b", expiry(100)).leave() // in place of the one before

		// A Will without a session is stored, and is gone with its connection when its client is refused.
		old := r.connect("c", withWill("w", 0))
		c = r.open()
		c.send(connectPacket("c", expiry(100)))
		c.refused(mqtt.QuotaExceeded)
		old.ejected(mqtt.SessionTakenOver)
		if n := r.rows(); n != (rows{Sessions: 3}) {
			t.Errorf("stored: %+v", n)
		}
		r.wait(101 * time.Second)
		r.connect("c", expiry(100)).leave()
	}, with(func(s *Settings) { s.SessionsPerOwner = 2 }))
}

// TestWillExpiryLimit: a Will is held to the longest Message Expiry Interval like every message, and one of 0 is sent to
// those who are there.
func TestWillExpiryLimit(t *testing.T) {
	for _, tc := range []struct {
		asked int64 // -1: none
		want  uint32
	}{{-1, 50}, {100, 50}, {20, 20}, {0, 0}} {
		bubble(t, func(r *rig) {
			w := r.connect("w")
			w.subscribe(0, "will")
			r.connect("c", withWill("will", 0), func(p *mqtt.Connect) {
				if tc.asked >= 0 {
					p.Will.Properties.SetMessageExpiry(uint32(tc.asked))
				}
			}).drop()
			p := w.next("will", "will")
			if !p.Properties.Has(mqtt.PropMessageExpiry) || p.Properties.MessageExpiry != tc.want {
				t.Errorf("asked for %d: %d seconds", tc.asked, p.Properties.MessageExpiry)
			}
		}, with(func(s *Settings) { s.MessageExpiryMax = 50 }))
	}
}

// TestRefusedByStore: a store without room refuses what must be stored, in words, and the rest goes on.
func TestRefusedByStore(t *testing.T) {
	bubble(t, func(r *rig) {
		keeper := r.connect("keeper", expiry(100))
		keeper.subscribe(2, "kept")
		live := r.connect("live")
		live.subscribe(1, "live")
		pub := r.connect("pub")
		r.store.mu.Lock()
		r.store.refuse = store.ErrFull
		r.store.mu.Unlock()
		for qos := mqtt.QoS(1); qos <= 2; qos++ {
			if code := pub.publish(msg("kept", "x", qos)); code != mqtt.QuotaExceeded {
				t.Errorf("QoS %d: %v", qos, code)
			}
		}
		if code := pub.publish(kept("retained", "x", 1)); code != mqtt.QuotaExceeded {
			t.Errorf("retained: %v", code)
		}
		pub.publish(msg("live", "x", 1))
		live.receive("live", "x")
		keeper.quiet()
		old := r.connect("old", v3)
		p := msg("kept", "x", 1)
		p.PacketID = 1
		old.send(p)
		old.closed() // so that it tries again
	})
}

// TestStoreFailsAtConnect: a session that could not be stored is not granted, and a subscription that could not is not
// acknowledged; when the disk is well again both work, and nothing of the attempt is left.
func TestStoreFailsAtConnect(t *testing.T) {
	bubble(t, func(r *rig) {
		r.store.fail(errors.New("input/output error"))
		c := r.open()
		c.send(connectPacket("c", expiry(100)))
		if p, err := c.read(); err == nil {
			if ack, is := p.(*mqtt.Connack); !is || ack.ReasonCode == mqtt.Success {
				t.Errorf("without a disk: %+v", p)
			}
		}
		c.closed()
		r.store.fail(nil)
		c = r.connect("c", expiry(100))
		if c.ack.SessionPresent {
			t.Error("a session that was never granted is present")
		}
		r.store.fail(errors.New("input/output error"))
		c.send(&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a", QoS: 1}}})
		if p, err := c.read(); err == nil {
			if ack, is := p.(*mqtt.Suback); is && !ack.ReasonCodes[0].IsError() {
				t.Errorf("subscription without a disk: %+v", p)
			}
		}
	})
}
