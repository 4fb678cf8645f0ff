package broker

import (
	"testing"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// denying refuses one action on one topic.
func denying(a identity.Action, on string) func(*identity.Principal, string, identity.Action, string) bool {
	return func(_ *identity.Principal, _ string, asked identity.Action, topic string) bool {
		return asked == a && topic == on
	}
}

// TestAttack19_QueuedIsCheckedAgain: what was queued while it was allowed does not arrive once it is not, also after a
// restart.
func TestAttack19_QueuedIsCheckedAgain(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(r *rig) {
			c := r.connect("c", expiry(100))
			c.subscribe(1, "#")
			c.leave()
			pub := r.connect("pub")
			pub.publish(msg("secret", "x", 1))
			pub.publish(msg("open", "y", 1))
			r.authz.set(denying(identity.Receive, "secret"))
			if restart {
				r.restart()
			}
			c = r.connect("c", dirty, expiry(100))
			c.receive("open", "y")
			c.quiet()
		})
	}
}

// TestAttack28_RevokedSubscription: a subscription that the rules no longer allow is removed, the shared one by its inner
// filter, and the others stay.
func TestAttack28_RevokedSubscription(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c", expiry(100))
		c.subscribe(1, "a", "b", "$share/g/a")
		r.authz.set(denying(identity.Subscribe, "a"))
		if n := r.b.RecheckSubscriptions(); n != 2 {
			t.Errorf("%d removed, want 2", n)
		}
		if !r.logged("right withdrawn", "action=subscribe", "client=c", "topic=a") {
			t.Error("not logged")
		}
		pub := r.connect("pub")
		pub.publish(msg("a", "x", 1))
		pub.publish(msg("b", "y", 1))
		c.receive("b", "y")
		c.quiet()
		if i, err := r.b.Session("c"); err != nil || i.Subscriptions != 1 {
			t.Errorf("%+v %v", i, err)
		}
	})
}

// TestRefusalsAreKept: a refusal has an id under which it is found, a repeated one is counted, and the ring is bounded.
func TestRefusalsAreKept(t *testing.T) {
	bubble(t, func(r *rig) {
		r.authz.set(denying(identity.Publish, "a"))
		c := r.connect("c")
		for range 3 {
			p := msg("a", "x", 1)
			p.PacketID = 7
			c.send(p)
			if ack := expect[*mqtt.Puback](c); ack.ReasonCode != mqtt.NotAuthorized {
				t.Errorf("%v", ack.ReasonCode)
			}
		}
		last, ok := r.b.LastRefusal("c")
		if !ok || last.Times != 3 || last.Topic != "a" || len(last.ID) != refusalIDSize {
			t.Fatalf("%+v", last)
		}
		if same, ok := r.b.Refusal(last.ID); !ok || same != last || !r.logged("denied", "id="+last.ID) {
			t.Errorf("%+v", same)
		}
		for i := range 2 * refusalsKept {
			r.b.refuse(Refusal{Layer: LayerAccess, Check: "publish", ClientID: string(rune('a' + i)), Topic: "t"})
		}
		l := &r.b.refusals[LayerAccess]
		if n := len(l.byID); n != refusalsKept || len(l.byWho) > refusalsKept {
			t.Errorf("%d are kept", n)
		}
		if _, ok := r.b.Refusal(last.ID); ok {
			t.Error("the oldest is still there")
		}
	})
}

// TestRevokedSubscriptionStaysGone: what was removed does not come back with a restart, whatever the rules say by then.
func TestRevokedSubscriptionStaysGone(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c", expiry(1000))
		c.subscribe(1, "a", "b")
		c.leave()
		r.authz.set(denying(identity.Subscribe, "a"))
		if n := r.b.RecheckSubscriptions(); n != 1 {
			t.Errorf("%d removed", n)
		}
		r.settle()
		r.authz.set(nil)
		r.restart()
		c = r.connect("c", dirty, expiry(1000))
		if !c.ack.SessionPresent {
			t.Fatal("the session is gone")
		}
		pub := r.connect("pub")
		pub.publish(msg("a", "x", 1))
		pub.publish(msg("b", "y", 1))
		c.receive("b", "y")
		c.quiet()
	})
}
