package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// onlyUnder lets a client by its name do everything below its own branch, others everything, and nobody lose a subscription.
func onlyUnder(name, branch string) func(*identity.Principal, string, identity.Action, string) bool {
	return func(p *identity.Principal, _ string, a identity.Action, topic string) bool {
		return p.Name == name && a != identity.Subscribe && a != identity.Connect && !strings.HasPrefix(topic, branch)
	}
}

// TestAttack18_BroadSubscription: a filter that is wider than the rights of a client gives it nothing but what they cover,
// live and retained, in every QoS.
func TestAttack18_BroadSubscription(t *testing.T) {
	bubble(t, func(r *rig) {
		r.authz.set(onlyUnder("low", "own/"))
		pub := r.connect("pub")
		for _, name := range []string{"own/kept", "secret/kept"} {
			m := msg(name, "k", 1)
			m.Retain = true
			pub.publish(m)
		}
		for _, f := range []string{"#", "+/#", "+/+", "+/kept"} {
			c := r.connect("c-"+strings.NewReplacer("#", "h", "+", "p", "/", "").Replace(f), user("low"))
			c.subscribe(2, f)
			c.receive("own/kept", "k")
			c.quiet()
			for qos := range mqtt.QoS(3) {
				pub.publish(msg("secret/kept", "live", qos))
				pub.publish(msg("own/kept", "live", qos))
				c.receive("own/kept", "live")
				c.quiet()
			}
			c.leave()
		}
		if n := r.b.Snapshot().DeniedDeliveries; n == 0 {
			t.Error("nothing was counted")
		}
	})
}

// TestAttack19_RetainedIsChecked: the read check of a live message also holds for the retained one and the one in flight.
func TestAttack19_RetainedIsChecked(t *testing.T) {
	bubble(t, func(r *rig) {
		pub := r.connect("pub")
		m := msg("secret", "kept", 1)
		m.Retain = true
		pub.publish(m)
		c := r.connect("c", expiry(100))
		c.subscribe(1, "#")
		c.next("secret", "kept") // in flight, not acknowledged
		c.drop()
		r.authz.set(denying(identity.Receive, "secret"))
		c = r.connect("c", dirty, expiry(100))
		c.quiet() // not sent again
		c.subscribe(1, "#", "+")
		c.quiet() // not as a retained message
	})
}

// TestAttack20_SharedFilter: a Shared Subscription is judged by its inner filter, and each of its deliveries by the member
// that would get it.
func TestAttack20_SharedFilter(t *testing.T) {
	attack(t, func(r *rig) {
		asked := map[string]bool{}
		r.authz.set(func(_ *identity.Principal, _ string, a identity.Action, topic string) bool {
			if a == identity.Subscribe {
				asked[topic] = true
			}
			return a == identity.Subscribe && topic == "secret" || a == identity.Receive && topic == "secret"
		})
		c := r.connect("c", user("low"))
		p := &mqtt.Subscribe{Subscriptions: []mqtt.Subscription{
			{Filter: "$share/g/secret", QoS: 1}, {Filter: "secret", QoS: 1}, {Filter: "$share/g/#", QoS: 1},
		}}
		if codes := c.subscribed(p); codes[0] != mqtt.NotAuthorized || codes[1] != mqtt.NotAuthorized || codes[2] != 1 {
			t.Errorf("%v", codes)
		}
		if !asked["secret"] || !asked["#"] || len(asked) != 2 {
			t.Errorf("asked about %v", asked)
		}
		pub := r.connect("pub")
		pub.publish(msg("secret", "x", 1))
		c.quiet()
		c.leave()
		pub.leave()
		r.authz.set(nil)
	})
}

// TestAttack26_RevokedAuthor: what a client left behind, delayed Will, Retained Message or queued message, is silent once it
// has lost the right, and comes back to nobody.
func TestAttack26_RevokedAuthor(t *testing.T) {
	bubble(t, func(r *rig) {
		sub := r.connect("sub", expiry(1000))
		sub.subscribe(1, "will", "queued")
		sub.leave()
		a := r.connect("a", user("mallory"), expiry(1000), withWill("will", 10))
		m := msg("kept", "x", 1)
		m.Retain = true
		a.publish(m)
		a.publish(msg("queued", "x", 1))
		a.drop()
		r.authz.set(func(p *identity.Principal, _ string, _ identity.Action, _ string) bool { return p.Name == "mallory" })
		r.wait(time.Minute) // the delay of the Will is over
		b := r.connect("b")
		b.subscribe(1, "kept")
		b.quiet()
		sub = r.connect("sub", dirty, expiry(1000))
		sub.receive("queued", "x") // sent while it was allowed, to a subscriber who may still read it
		sub.quiet()                // and no Will
		if n := r.b.stats.wills.Load(); n != 0 {
			t.Errorf("%d Wills", n)
		}
		if last, ok := r.b.LastRefusal("a"); !ok || last.Action != identity.Will || !last.Withdrawn {
			t.Errorf("%+v", last)
		}
	})
}

// TestAttack27_PubrelPublishesNothing: a QoS 2 message is authorized and routed once, before PUBREC. Rights that are lost
// before PUBREL, or across a reconnect, neither let it out twice nor let a new one out.
func TestAttack27_PubrelPublishesNothing(t *testing.T) {
	bubble(t, func(r *rig) {
		w := r.connect("watch")
		w.subscribe(1, "#")
		c := r.connect("c", user("mallory"), expiry(1000))
		p := msg("t", "once", 2)
		p.PacketID = 1
		c.send(p)
		expect[*mqtt.Pubrec](c)
		w.receive("t", "once")
		r.authz.set(func(p *identity.Principal, _ string, a identity.Action, _ string) bool {
			return p.Name == "mallory" && a == identity.Publish
		})
		c.drop()
		c = r.connect("c", user("mallory"), dirty, expiry(1000))
		p.Dup = true
		c.send(p)
		expect[*mqtt.Pubrec](c)
		c.send(&mqtt.Pubrel{PacketID: 1})
		expect[*mqtt.Pubcomp](c)
		w.quiet()
		p.Dup = false
		c.send(p)
		if rec := expect[*mqtt.Pubrec](c); rec.ReasonCode != mqtt.NotAuthorized {
			t.Errorf("a new message: %v", rec.ReasonCode)
		}
		c.send(&mqtt.Pubrel{PacketID: 1})
		expect[*mqtt.Pubcomp](c)
		w.quiet()
	})
}

// TestAttack29_SessionOfAnother: whoever connects with the identifier of somebody else's session gets nothing of it, online or
// offline, and the owner keeps all of it.
func TestAttack29_SessionOfAnother(t *testing.T) {
	for _, online := range []bool{false, true} {
		for _, name := range []string{"mallory", "ALICE", ""} {
			bubble(t, func(r *rig) {
				alice := r.connect("c", user("alice"), expiry(1000))
				alice.subscribe(1, "secret")
				if !online {
					alice.leave()
					r.connect("pub").publish(msg("secret", "x", 1))
				}
				who := user(name)
				if name == "" {
					who = func(*mqtt.Connect) {} // another principal of the same broker
				}
				m := r.open()
				m.send(connectPacket("c", who, dirty, expiry(1000)))
				m.refused(mqtt.NotAuthorized)
				if online {
					alice.ping()
					r.connect("pub").publish(msg("secret", "x", 1))
				} else {
					alice = r.connect("c", user("alice"), dirty, expiry(1000))
					if !alice.ack.SessionPresent {
						t.Error("the session is gone")
					}
				}
				alice.receive("secret", "x")
				if last, ok := r.b.LastRefusal("c"); !ok || last.Decision.Rule != ownSession {
					t.Errorf("%+v", last)
				}
			})
		}
	}
}

// TestAttack29_SameNameOtherMethod: a principal is method, issuer and name. The same name proved in another way is somebody
// else.
func TestAttack29_SameNameOtherMethod(t *testing.T) {
	bubble(t, func(r *rig) {
		method := "password"
		r.authn.login = func(*identity.Credentials) identity.Verdict {
			return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Principal{Method: method, Name: "alice"}}
		}
		alice := r.connect("c", expiry(1000))
		alice.subscribe(1, "a")
		alice.leave()
		for _, other := range []string{"jwt", "psk", "certificate"} {
			method = other
			m := r.open()
			m.send(connectPacket("c", dirty, expiry(1000)))
			m.refused(mqtt.NotAuthorized)
		}
		method = "password"
		if c := r.connect("c", dirty, expiry(1000)); !c.ack.SessionPresent {
			t.Error("the session is gone")
		}
	})
}

// TestAttack30_DestroyedSession: Clean Start with somebody else's identifier neither ends the session nor the connection, however
// often it is tried.
func TestAttack30_DestroyedSession(t *testing.T) {
	bubble(t, func(r *rig) {
		alice := r.connect("c", user("alice"), expiry(1000))
		alice.subscribe(1, "a")
		for range 50 {
			m := r.open()
			m.send(connectPacket("c", user("mallory")))
			m.refused(mqtt.NotAuthorized)
		}
		alice.ping()
		alice.leave()
		m := r.open()
		m.send(connectPacket("c", user("mallory")))
		m.refused(mqtt.NotAuthorized)
		r.connect("pub").publish(msg("a", "x", 1))
		alice = r.connect("c", user("alice"), dirty, expiry(1000))
		alice.receive("a", "x")
	})
}

// TestAttack31_WrongPassword: a login that fails does nothing to the session, whatever it asks for.
func TestAttack31_WrongPassword(t *testing.T) {
	bubble(t, func(r *rig) {
		r.authn.login = func(cr *identity.Credentials) identity.Verdict {
			if string(cr.Password) != "right" {
				return identity.Verdict{}
			}
			return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Principal{Method: "password", Name: cr.Username}}
		}
		password := func(s string) setup {
			return func(p *mqtt.Connect) { p.HasPassword, p.Password = true, []byte(s) }
		}
		alice := r.connect("c", user("alice"), password("right"), expiry(1000))
		alice.subscribe(1, "a")
		for _, opts := range [][]setup{{}, {dirty}, {expiry(0)}, {withWill("w", 0)}, {v3}} {
			m := r.open()
			p := connectPacket("c", append(opts, user("alice"), password("wrong"))...)
			m.v = p.ProtocolVersion
			m.send(p)
			m.refused(mqtt.BadUserNameOrPassword)
			alice.ping()
		}
		r.connect("pub", user("pub"), password("right")).publish(msg("a", "x", 1))
		alice.receive("a", "x")
		if n := r.b.stats.wills.Load(); n != 0 {
			t.Errorf("%d Wills", n)
		}
	})
}

// TestAttack33_ReauthenticationKeepsIdentity: AUTH cannot make a connection somebody else's, and after it rights are those of
// the principal it has always had.
func TestAttack33_ReauthenticationKeepsIdentity(t *testing.T) {
	bubble(t, func(r *rig) {
		name := "alice"
		r.authn.login = func(cr *identity.Credentials) identity.Verdict {
			return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Principal{Method: "scram", Name: name}}
		}
		method := func(p *mqtt.Connect) { p.Properties.SetAuthMethod("M") }
		auth := func(code mqtt.ReasonCode, method string) *mqtt.Auth {
			p := &mqtt.Auth{ReasonCode: code}
			p.Properties.SetAuthMethod(method)
			return p
		}
		root := r.connect("root", method, expiry(1000))
		root.subscribe(1, "a")
		name = "root"
		root.send(auth(mqtt.ReAuthenticate, "M"))
		root.ejected(mqtt.NotAuthorized)
		name = "alice"
		root = r.connect("root", method, dirty, expiry(1000))
		if !root.ack.SessionPresent {
			t.Error("the session changed its owner")
		}
		for _, p := range []*mqtt.Auth{auth(mqtt.ReAuthenticate, "N"), auth(mqtt.ContinueAuthentication, "M")} {
			c := r.connect("other", method)
			c.send(p)
			c.ejected(mqtt.ProtocolError)
		}
		bare := r.connect("other", method)
		bare.raw(0xf0, 2, byte(mqtt.ReAuthenticate), 0)
		bare.ejected(mqtt.ProtocolError)
		c := r.open()
		c.send(auth(mqtt.ReAuthenticate, "M")) // before CONNECT
		c.closed()
		r.authz.set(denying(identity.Publish, "a"))
		root.send(auth(mqtt.ReAuthenticate, "M"))
		if p := expect[*mqtt.Auth](root); p.ReasonCode != mqtt.Success {
			t.Errorf("%+v", p)
		}
		if code := root.publish(msg("a", "x", 1)); code != mqtt.NotAuthorized {
			t.Errorf("rights after re-authentication: %v", code)
		}
	})
}

// TestAttack53_FinalValueIsJudged: what is authorized is what is used, after the Topic Alias is resolved and the share name is
// taken off; nothing changes it afterwards.
func TestAttack53_FinalValueIsJudged(t *testing.T) {
	bubble(t, func(r *rig) {
		w := r.connect("watch")
		w.subscribe(1, "#")
		asked := map[string]int{}
		r.authz.set(func(p *identity.Principal, id string, a identity.Action, topic string) bool {
			if id != "c" {
				return false
			}
			asked[a.String()+" "+topic]++
			return topic == "secret"
		})
		c := r.connect("c", withWill("secret/will", 0))
		first := msg("open", "x", 1)
		first.Properties.SetTopicAlias(1)
		c.publish(first)
		w.receive("open", "x")
		second := msg("", "y", 1)
		second.Properties.SetTopicAlias(1)
		c.publish(second)
		w.receive("open", "y")
		third := msg("secret", "z", 1)
		third.Properties.SetTopicAlias(1)
		if code := c.publish(third); code != mqtt.NotAuthorized {
			t.Errorf("a refused topic for an alias: %v", code)
		}
		fourth := msg("", "z", 1) // the alias now stands for the refused topic
		fourth.Properties.SetTopicAlias(1)
		if code := c.publish(fourth); code != mqtt.NotAuthorized {
			t.Errorf("the alias of a refused topic: %v", code)
		}
		w.quiet()
		codes := c.subscribed(&mqtt.Subscribe{Subscriptions: []mqtt.Subscription{{Filter: "$share/g/secret"}, {Filter: "$share/g/open"}}})
		if codes[0] != mqtt.NotAuthorized || codes[1].IsError() {
			t.Errorf("%v", codes)
		}
		for _, q := range []string{"publish open", "publish secret", "subscribe secret", "subscribe open", "will secret/will"} {
			if asked[q] == 0 {
				t.Errorf("nobody asked about %q: %v", q, asked)
			}
		}
		for q := range asked {
			if strings.HasSuffix(q, " ") && !strings.HasPrefix(q, "connect") || strings.Contains(q, "$share") {
				t.Errorf("asked about %q, which is not what is used", q)
			}
		}
	})
}

// TestAttack28_CachedMatch: what the router remembers of a topic does not outlive the rules: the next message after a change is
// judged by the new ones, in both directions, for plain and for shared subscriptions.
func TestAttack28_CachedMatch(t *testing.T) {
	bubble(t, func(r *rig) {
		c, s := r.connect("c"), r.connect("s")
		c.subscribe(1, "a")
		s.subscribe(1, "$share/g/a")
		pub := r.connect("pub")
		for range 2 {
			for range 2 {
				pub.publish(msg("a", "open", 1))
				c.receive("a", "open")
				s.receive("a", "open")
			}
			r.authz.set(denying(identity.Receive, "a"))
			for qos := range mqtt.QoS(3) {
				pub.publish(msg("a", "secret", qos))
				c.quiet()
				s.quiet()
			}
			r.authz.set(nil)
			for s.drain("secret") {
			}
		}
	})
}

// drain takes what a Shared Subscription kept for whoever may have it.
func (c *client) drain(payload string) bool {
	c.r.settle()
	if m, ok := c.conn.(*memConn); !ok || m.in.held() == 0 && len(c.buf) == 0 {
		return false
	}
	c.receive("a", payload)
	return true
}

// TestAttack20_GroupQueue: a message that waits in the queue of a group goes to a member that may have it, and to no other.
func TestAttack20_GroupQueue(t *testing.T) {
	bubble(t, func(r *rig) {
		low := r.connect("low", user("low"), expiry(1000))
		low.subscribe(1, "$share/g/secret")
		low.leave()
		r.connect("pub").publish(msg("secret", "x", 1))
		r.authz.set(func(p *identity.Principal, _ string, a identity.Action, _ string) bool {
			return p.Name == "low" && a == identity.Receive
		})
		low = r.connect("low", user("low"), dirty, expiry(1000))
		low.quiet()
		high := r.connect("high", user("high"), expiry(1000))
		high.subscribe(1, "$share/g/secret")
		high.receive("secret", "x")
		low.quiet()
	})
}

// TestAttack25_RetainedWill: a Will that is to be retained needs the right to retain, besides the right to leave one.
func TestAttack25_RetainedWill(t *testing.T) {
	bubble(t, func(r *rig) {
		r.authz.set(denying(identity.Retain, "will"))
		keep := func(p *mqtt.Connect) { p.Will.Retain = true }
		c := r.open()
		c.send(connectPacket("c", withWill("will", 0), keep))
		c.refused(mqtt.NotAuthorized)
		r.connect("c", withWill("will", 0)).leave()
		r.authz.set(denying(identity.Will, "will")) // and the right to retain is none to leave one
		for _, opts := range [][]setup{{withWill("will", 0), keep}, {withWill("will", 0)}} {
			c = r.open()
			c.send(connectPacket("c", opts...))
			c.refused(mqtt.NotAuthorized)
		}
		r.authz.set(nil)
		c = r.connect("c", withWill("will", 0), keep)
		r.authz.set(denying(identity.Retain, "will"))
		c.drop()
		r.settle()
		if n := r.b.retained.Count(); n != 0 {
			t.Errorf("%d retained messages", n)
		}
	})
}

// TestRefusedClientID: a principal that may not use a Client Identifier is refused before anything happens to its session.
func TestRefusedClientID(t *testing.T) {
	bubble(t, func(r *rig) {
		old := r.connect("c", expiry(100))
		old.subscribe(1, "a")
		r.authz.set(func(_ *identity.Principal, id string, a identity.Action, _ string) bool {
			return a == identity.Connect && id == "c"
		})
		c := r.open()
		c.send(connectPacket("c", withWill("w", 0)))
		c.refused(mqtt.NotAuthorized)
		old.ping()
		if last, ok := r.b.LastRefusal("c"); !ok || last.Layer != LayerAccess || last.Action != identity.Connect {
			t.Errorf("%+v", last)
		}
		r.connect("d")
	})
}

// TestAttack26_RememberedRight: what a connection was allowed a moment ago is asked again when the rules change, and a right to
// publish is none to retain.
func TestAttack26_RememberedRight(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c")
		retained := func() *mqtt.Publish {
			m := msg("a", "x", 1)
			m.Retain = true
			return m
		}
		r.authz.set(denying(identity.Retain, "a"))
		for range 2 {
			if code := c.publish(msg("a", "x", 1)); code.IsError() {
				t.Fatal(code)
			}
			if code := c.publish(retained()); code != mqtt.NotAuthorized {
				t.Errorf("retained: %v", code)
			}
		}
		r.authz.set(nil)
		for range 2 {
			if code := c.publish(retained()); code.IsError() {
				t.Fatal(code)
			}
		}
		r.authz.set(denying(identity.Publish, "a"))
		for range 2 {
			if code := c.publish(msg("a", "x", 1)); code != mqtt.NotAuthorized {
				t.Errorf("after the change: %v", code)
			}
		}
	})
}
