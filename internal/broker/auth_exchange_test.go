package broker

import (
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// TestAuthOutOfTurn: an exchange goes on with AUTH and the reason code Continue only, whatever the bytes of another packet
// look like, and there is one at a time.
func TestAuthOutOfTurn(t *testing.T) {
	bubble(t, func(r *rig) {
		method := func(p *mqtt.Connect) { p.Properties.SetAuthMethod("m") }
		answer := auth(mqtt.ContinueAuthentication, "m", "alice")
		answer.Properties.SetAuthData([]byte("alice"))
		begin := func() *client {
			c := r.open()
			c.v = mqtt.V5
			c.send(connectPacket("c", method))
			expect[*mqtt.Auth](c)
			return c
		}
		login := func() *client {
			c := begin()
			c.send(answer)
			if p := expect[*mqtt.Connack](c); p.ReasonCode != mqtt.Success {
				t.Fatalf("%+v", p)
			}
			return c
		}
		c := begin()
		disguised := c.encode(nil, answer)
		for _, kind := range []mqtt.PacketType{mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubcomp} {
			disguised[0] = byte(kind) << 4 // no flags, as AUTH
			c.raw(disguised...)
			c.refused(mqtt.ProtocolError)
			c = begin()
		}
		c.send(auth(mqtt.Success, "m", "alice"))
		c.refused(mqtt.ProtocolError)
		c = begin()
		c.raw(0xf0, 1, byte(mqtt.ContinueAuthentication), 0) // a byte short
		c.refused(mqtt.MalformedPacket)
		if r.b.sessions.get("c") != nil {
			t.Error("there is a session, and nobody has logged in")
		}

		for name, p := range map[string]*mqtt.Auth{
			"a second exchange": auth(mqtt.ReAuthenticate, "m", ""), "a success that the client gives itself": auth(mqtt.Success, "m", "alice"),
		} {
			t.Log(name)
			c = login()
			c.send(auth(mqtt.ReAuthenticate, "m", ""))
			expect[*mqtt.Auth](c)
			c.send(p)
			c.ejected(mqtt.ProtocolError)
		}
		c = login()
		c.send(auth(mqtt.Success, "m", "alice"))
		c.ejected(mqtt.ProtocolError)
		r.authn.login = nil
		c = r.connect("d") // without a method there is nothing to repeat
		c.send(auth(mqtt.ReAuthenticate, "", ""))
		c.ejected(mqtt.ProtocolError)
	}, steps)
}

// TestReauthenticationRenewsTheTime: a login that ends is prolonged by another proof, by as long as that one lasts, and what
// the client proved first counts no more.
func TestReauthenticationRenewsTheTime(t *testing.T) {
	bubble(t, func(r *rig) {
		lasts := time.Minute
		r.authn.login = func(*identity.Credentials) identity.Verdict {
			v := identity.Verdict{Outcome: identity.Accepted, Principal: identity.Principal{Method: "jwt", Name: "a"}}
			if lasts > 0 {
				v.ExpiresAt = time.Now().Add(lasts)
			}
			return v
		}
		method := func(p *mqtt.Connect) { p.Properties.SetAuthMethod("m") }
		again := func(c *client) {
			c.send(auth(mqtt.ReAuthenticate, "m", ""))
			if p := expect[*mqtt.Auth](c); p.ReasonCode != mqtt.Success {
				t.Errorf("%+v", p)
			}
		}
		c, other := r.connect("c", method), r.connect("other", method)
		r.wait(50 * time.Second)
		again(c)
		r.wait(11 * time.Second)
		c.ping()
		other.ejected(mqtt.NotAuthorized)
		lasts = time.Second // shorter than what is left
		again(c)
		r.wait(2 * time.Second)
		c.ejected(mqtt.NotAuthorized)
		lasts = time.Minute
		c = r.connect("c", method)
		lasts = 0
		again(c)
		r.wait(2 * time.Hour)
		c.ping()
	})
}

// TestAnonymousLeaveNothing: who proved nothing keeps no session, whatever it asks for, unless that is allowed for
// development.
func TestAnonymousLeaveNothing(t *testing.T) {
	for _, durable := range []bool{false, true} {
		bubble(t, func(r *rig) {
			r.authn.login = func(cr *identity.Credentials) identity.Verdict {
				p := identity.Anonymous
				if cr.HasUsername {
					p = identity.Principal{Method: "password", Name: cr.Username}
				}
				return identity.Verdict{Outcome: identity.Accepted, Principal: p}
			}
			for _, opts := range [][]setup{{expiry(1000), dirty}, {v3, dirty}} {
				c := r.connect("c", opts...)
				c.subscribe(1, "a")
				if told := c.ack.Properties.Has(mqtt.PropSessionExpiry) && c.ack.Properties.SessionExpiry == 0; c.v == mqtt.V5 && told == durable {
					t.Errorf("durable %v: CONNACK says %+v", durable, c.ack.Properties)
				}
				c.leave()
				r.settle()
				if kept := r.b.sessions.get("c") != nil || r.rows().Sessions > 0; kept != durable {
					t.Errorf("durable %v, version %v: kept %v", durable, c.v, kept)
				}
			}
			named := r.connect("d", user("alice"), expiry(1000))
			named.leave()
			r.settle()
			if r.b.sessions.get("d") == nil {
				t.Error("a session of somebody is gone")
			}
		}, with(func(s *Settings) { s.AnonymousDurable = durable }))
	}
}
