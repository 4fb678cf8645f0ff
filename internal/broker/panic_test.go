package broker

import (
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// TestPanic: a panic ends the connection in which it happens and nothing else, wherever it happens, and no session that
// took part in its work is held up.
func TestPanic(t *testing.T) {
	fault := func(action identity.Action, topic string) func(*identity.Principal, string, identity.Action, string) bool {
		return func(_ *identity.Principal, _ string, a identity.Action, on string) bool {
			if a == action && on == topic {
				panic("the test says so")
			}
			return false
		}
	}
	cases := map[string]struct {
		action identity.Action
		topic  string
		do     func(c *client)
	}{
		"publish 0": {identity.Publish, "boom", func(c *client) { c.send(msg("boom", "x", 0)) }},
		"publish 1": {identity.Publish, "boom", func(c *client) { p := msg("boom", "x", 1); p.PacketID = 1; c.send(p) }},
		"publish 2": {identity.Publish, "boom", func(c *client) { p := msg("boom", "x", 2); p.PacketID = 1; c.send(p) }},
		"receive":   {identity.Receive, "boom", func(c *client) { p := msg("boom", "x", 1); p.PacketID = 1; c.send(p) }},
		"subscribe": {identity.Subscribe, "boom", func(c *client) {
			c.send(&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "boom"}}})
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.log.panics = 1
				by := r.connect("by", expiry(100))
				by.subscribe(1, "boom", "ok")
				shared := r.connect("shared")
				shared.subscribe(1, "$share/g/boom")
				c := r.connect("c")
				r.authz.set(fault(tc.action, tc.topic))
				tc.do(c)
				c.ejected(mqtt.ImplementationSpecificError)
				r.authz.set(nil)
				by.ping()
				pub := r.connect("pub")
				pub.publish(msg("ok", "x", 1))
				by.receive("ok", "x")
				pub.publish(msg("boom", "again", 1))
				by.receive("boom", "again")
				shared.receive("boom", "again")
				if n := r.b.Snapshot().Panics; n != 1 {
					t.Errorf("%d panics counted", n)
				}
			})
		})
	}
}

// TestPanicWhileOffered: the panic comes after the message was offered to a durable session.
func TestPanicWhileOffered(t *testing.T) {
	bubble(t, func(r *rig) {
		r.log.panics = 1
		by := r.connect("by", expiry(100))
		by.subscribe(1, "boom")
		shared := r.connect("shared")
		shared.subscribe(1, "$share/g/boom")
		r.authz.set(func(_ *identity.Principal, id string, a identity.Action, _ string) bool {
			if a == identity.Receive && id == "shared" {
				panic("the test says so")
			}
			return false
		})
		c := r.connect("c")
		p := msg("boom", "1", 1)
		p.PacketID = 1
		c.send(p)
		r.settle()
		r.authz.set(nil)
		by.receive("boom", "1")
		r.connect("pub").publish(msg("boom", "2", 1))
		by.receive("boom", "2")
		shared.receive("boom", "2")
	})
}

// TestPanicInWill: no connection is left to take the blame when a Will is published.
func TestPanicInWill(t *testing.T) {
	for _, delay := range []uint32{0, 10} {
		bubble(t, func(r *rig) {
			c := r.connect("c", expiry(100), withWill("w", delay))
			r.authz.set(func(_ *identity.Principal, _ string, a identity.Action, _ string) bool {
				if a == identity.Will {
					panic("the test says so")
				}
				return false
			})
			c.drop()
			r.wait(time.Minute)
			if n := r.b.Snapshot(); n.Panics != 1 || n.Clients != 0 {
				t.Errorf("%d panics, %d clients", n.Panics, n.Clients)
			}
			r.authz.set(nil)
			r.connect("c", dirty).ping()
		})
	}
}
