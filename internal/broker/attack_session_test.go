package broker

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// TestAttack13_QoS2IdsBounded: one Packet Identifier is one message however often it comes, and identifiers above the
// Receive Maximum end the connection, in either version.
func TestAttack13_QoS2IdsBounded(t *testing.T) {
	for _, version := range []setup{func(*mqtt.Connect) {}, v3} {
		bubble(t, func(r *rig) {
			sub := r.connect("sub")
			sub.subscribe(2, "a")
			c := r.connect("c", version, dirty, expiry(100))
			for i := range 1000 {
				p := msg("a", "once", 2)
				p.PacketID, p.Dup = 1, i > 0
				c.send(p)
				expect[*mqtt.Pubrec](c)
			}
			sub.receive("a", "once")
			sub.quiet()
			for pid := mqtt.PacketID(2); pid <= 100; pid++ {
				p := msg("nobody", "", 2)
				p.PacketID = pid
				c.send(p)
				expect[*mqtt.Pubrec](c)
			}
			p := msg("nobody", "", 2)
			p.PacketID = 101
			c.send(p)
			c.ejected(mqtt.ReceiveMaximumExceeded)
			r.settle()
			s := r.b.sessions.get("c")
			if n := s.state.Inbound(); n != 100 {
				t.Errorf("%d identifiers are kept, want 100", n)
			}
		}, with(func(s *Settings) { s.UnackedMessagesV3 = 100 }))
	}
}

// TestAttack14_QoS2Duplicate: a duplicate before PUBREL is not delivered again, in the same connection, the next one and
// after a restart; after PUBREL the identifier is free.
func TestAttack14_QoS2Duplicate(t *testing.T) {
	bubble(t, func(r *rig) {
		sub := r.connect("sub", expiry(1000))
		sub.subscribe(2, "a")
		c := r.connect("c", expiry(1000))
		p := msg("a", "once", 2)
		p.PacketID = 9
		c.send(p)
		expect[*mqtt.Pubrec](c)
		sub.receive("a", "once")
		again := func() {
			c = r.connect("c", dirty, expiry(1000))
			if !c.ack.SessionPresent {
				t.Error("the session is gone")
			}
			p.Dup = true
			c.send(p)
			if rec := expect[*mqtt.Pubrec](c); rec.PacketID != 9 || rec.ReasonCode.IsError() {
				t.Errorf("PUBREC %+v", rec)
			}
		}
		c.drop()
		again()
		r.restart()
		sub = r.connect("sub", dirty, expiry(1000))
		again()
		sub.quiet()
		c.send(&mqtt.Pubrel{PacketID: 9})
		if comp := expect[*mqtt.Pubcomp](c); comp.ReasonCode != mqtt.Success {
			t.Errorf("PUBCOMP %+v", comp)
		}
		p.Dup = false
		c.send(p)
		expect[*mqtt.Pubrec](c)
		sub.receive("a", "once")
	})
}

// TestAttack46_Will: see TestWillDelay and TestWillTakeOver for the times. Here a client comes back at the very moment
// its Will is due: it is sent once or not at all, and never twice.
func TestAttack46_WillRace(t *testing.T) {
	for range 50 {
		bubble(t, func(r *rig) {
			w := r.watch()
			r.connect("c", withWill("will", 10), expiry(20)).drop()
			time.Sleep(10 * time.Second)
			r.connect("c", dirty, expiry(20)) // without waiting for the schedule
			r.wait(time.Minute)
			if n := r.b.stats.wills.Load(); n > 1 {
				t.Fatalf("%d wills", n)
			} else if n == 1 {
				w.receive("will", "will")
			}
			w.quiet()
		})
	}
}

// TestAttack48_BeforeConnack: nothing that comes with a CONNECT that is refused has an effect, and a second CONNECT ends
// the connection.
func TestAttack48_BeforeConnack(t *testing.T) {
	retained := msg("a", "x", 0)
	retained.Retain = true
	sub := &mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a"}}}
	refuse := func(r *rig) {
		r.authn.login = func(cr *identity.Credentials) identity.Verdict {
			if cr.Username == "bad" {
				return identity.Verdict{Failure: identity.NotAuthenticated}
			}
			return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Principal{Method: "password", Name: "good"}}
		}
	}
	attack(t, func(r *rig) {
		victim := r.connect("victim", expiry(100))
		victim.subscribe(1, "private")
		c := r.open()
		c.send(connectPacket("victim", user("bad"), withWill("a", 0)), sub, retained, msg("a", "x", 0))
		c.refused(mqtt.BadUserNameOrPassword)
		c = r.open()
		c.send(retained, connectPacket("early"))
		c.closed()
		victim.ping() // neither kicked nor cleaned
		victim.send(&mqtt.Disconnect{Properties: expiryProperty(0)})
		victim.closed()
		c = r.connect("twice")
		c.send(connectPacket("twice"), retained)
		c.ejected(mqtt.ProtocolError)
		c = r.connect("other name")
		c.send(connectPacket("another"), retained)
		c.ejected(mqtt.ProtocolError)
	}, refuse)
}

func expiryProperty(seconds uint32) (p mqtt.Properties) {
	p.SetSessionExpiry(seconds)
	return p
}

// TestAttack49_Acknowledgements: acknowledgements of nothing do nothing; those of the wrong flow and of identifier 0 are
// errors. See TestSendQuotaNeverGrows for the quota.
func TestAttack49_Acknowledgements(t *testing.T) {
	attack(t, func(r *rig) {
		c := r.connect("c")
		c.send(&mqtt.Puback{PacketID: 5}, &mqtt.Pubcomp{PacketID: 5})
		c.ping()
		c.send(&mqtt.Pubrec{PacketID: 5})
		if p := expect[*mqtt.Pubrel](c); p.ReasonCode != mqtt.PacketIdentifierNotFound || p.PacketID != 5 {
			t.Errorf("%+v", p)
		}
		c.send(&mqtt.Pubrel{PacketID: 6})
		if p := expect[*mqtt.Pubcomp](c); p.ReasonCode != mqtt.PacketIdentifierNotFound || p.PacketID != 6 {
			t.Errorf("%+v", p)
		}
		c.send(&mqtt.Pubrec{PacketID: 5, ReasonCode: mqtt.UnspecifiedError})
		c.quiet()
		c.leave()
		var shots []shot
		for _, first := range []byte{0x40, 0x50, 0x62, 0x70} {
			shots = append(shots, shot{"identifier 0", packet(first, 0, 0), mqtt.MalformedPacket})
		}
		shots = append(shots,
			shot{"PUBLISH", packet(0x32, 0, 1, 'a', 0, 0, 0), mqtt.MalformedPacket},
			shot{"SUBSCRIBE", packet(0x82, 0, 0, 0, 0, 1, 'a', 0), mqtt.MalformedPacket},
			shot{"UNSUBSCRIBE", packet(0xA2, 0, 0, 0, 0, 1, 'a'), mqtt.MalformedPacket},
			shot{"PUBACK with an unknown code", packet(0x40, 0, 1, 0x55), mqtt.ProtocolError},
		)
		r.each(shots)
		for qos, wrong := range map[mqtt.QoS][]mqtt.Packet{
			1: {&mqtt.Pubrec{PacketID: 1}, &mqtt.Pubcomp{PacketID: 1}},
			2: {&mqtt.Puback{PacketID: 1}},
		} {
			for _, p := range wrong {
				c := r.connect("c")
				c.subscribe(qos, "c")
				c.send(&mqtt.Subscribe{PacketID: 2, Subscriptions: []mqtt.Subscription{{Filter: "c", QoS: qos}}})
				expect[*mqtt.Suback](c)
				r.b.authz = onlyFor{r.authz, "c"}
				pub := r.connect("pub")
				pub.publish(msg("c", "x", qos))
				m := c.next("c", "x")
				if m.PacketID != 1 {
					t.Fatalf("Packet Identifier %d", m.PacketID)
				}
				c.send(p)
				c.ejected(mqtt.ProtocolError)
				pub.leave()
			}
		}
	})
}

// onlyFor lets nobody but one client receive messages, so that bystanders do not.
type onlyFor struct {
	Authorizer
	id string
}

func (o onlyFor) Authorize(p *identity.Principal, id string, a identity.Action, topic string) identity.Decision {
	if a == identity.Receive && topic == o.id && id != o.id {
		return identity.Decision{}
	}
	return o.Authorizer.Authorize(p, id, a, topic)
}

// TestAttack50_ManyFilters: filters in one packet and in one session are limited; the same filter again replaces the
// subscription.
func TestAttack50_ManyFilters(t *testing.T) {
	many := func(n int, name func(int) string) *mqtt.Subscribe {
		p := &mqtt.Subscribe{PacketID: 1}
		for i := range n {
			p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: name(i)})
		}
		return p
	}
	same := func(int) string { return "same" }
	each := func(i int) string { return fmt.Sprint("f/", i) }
	attack(t, func(r *rig) {
		before := r.b.Snapshot().Subscriptions
		c := r.connect("c")
		c.send(many(101, same))
		c.ejected(mqtt.QuotaExceeded)
		c = r.connect("c", v3)
		c.send(many(mqtt.MaxSubscriptions, same))
		c.ejected(mqtt.QuotaExceeded)
		c = r.connect("c")
		for range 1000 {
			c.subscribed(many(100, same))
		}
		if n := r.b.Snapshot().Subscriptions - before; n != 1 {
			t.Errorf("%d subscriptions for one filter", n)
		}
		codes := c.subscribed(many(100, each))
		for i, code := range codes {
			if want := i >= 49; (code == mqtt.QuotaExceeded) != want {
				t.Errorf("filter %d: %v", i, code)
			}
		}
		c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: make101()})
		c.ejected(mqtt.QuotaExceeded)
	}, with(func(s *Settings) { s.SubscriptionsPerSession = 50 }))
}

func make101() []string { return strings.Split(strings.Repeat("x ", 100)+"x", " ") }

// TestAttack36_Flood: connections are limited in number, by address, and in the time they have for their CONNECT.
func TestAttack36_Flood(t *testing.T) {
	attack(t, func(r *rig) {
		var flood []*client
		for range 10 {
			flood = append(flood, r.openFrom(link{from: "203.0.113.7:1"}))
		}
		r.settle()
		for _, c := range flood[5:] {
			c.closed() // above the limit for the address, at once
		}
		r.openFrom(link{from: "203.0.113.8:1"}).login("somebody else").leave()
		start := time.Now()
		for _, c := range flood[:5] {
			c.closed()
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("closed after %v", d)
		}
		flood = nil
		r.settle()
		for i := range 30 {
			flood = append(flood, r.openFrom(link{from: fmt.Sprintf("[2001:db8:%d::1]:9", i)}))
		}
		r.settle()
		if n := r.b.Snapshot(); n.Clients != 20 || n.RefusedConnections != 5+11 {
			t.Errorf("%d clients, %d refused", n.Clients, n.RefusedConnections)
		}
		for _, c := range flood {
			c.closed()
		}
		r.settle()
		for i := range 10 { // one /64 is one address
			flood = append(flood, r.openFrom(link{from: fmt.Sprintf("[2001:db8::%d]:9", i+1)}))
		}
		r.settle()
		if n := r.b.Snapshot().Clients; n != 1+5 {
			t.Errorf("%d clients", n)
		}
	}, with(func(s *Settings) { s.MaxClients, s.MaxPerAddress = 20, 5 }))
}

// TestAttack37_SlowLoris: a packet has a deadline as a whole, however steadily its bytes come.
func TestAttack37_SlowLoris(t *testing.T) {
	drip := func(t *testing.T, c *client, b []byte, within time.Duration) {
		start := time.Now()
		for _, x := range b {
			c.raw(x)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if m := c.conn.(*memConn); m.in.held() > 0 || m.in.over() {
				break
			}
		}
		if d := time.Since(start); d > within+3*time.Second {
			t.Errorf("ended after %v, want %v", d, within)
		}
	}
	attack(t, func(r *rig) {
		c := r.open()
		drip(t, c, encoded(t, connectPacket("a long client identifier")), 10*time.Second)
		c.closed()
		c = r.connect("c", keepAlive(600))
		p := msg("a", strings.Repeat("x", 100), 0)
		drip(t, c, encoded(t, p), 30*time.Second)
		c.ejected(mqtt.MaximumConnectTime)
	})
}

// TestAttack38_KeepAlive: one and a half times the Keep Alive without a packet ends the connection; version 5 clients
// have a limit that they are told, older ones keep their own value, 0 included.
func TestAttack38_KeepAlive(t *testing.T) {
	cases := []struct {
		version setup
		asked   uint16
		told    int // Server Keep Alive, -1: none
		ends    time.Duration
	}{
		{func(*mqtt.Connect) {}, 10, -1, 15 * time.Second},
		{func(*mqtt.Connect) {}, 60, -1, 90 * time.Second},
		{func(*mqtt.Connect) {}, 0, 60, 90 * time.Second},
		{func(*mqtt.Connect) {}, 65535, 60, 90 * time.Second},
		{v3, 10, -1, 15 * time.Second},
		{v3, 600, -1, 900 * time.Second},
		{v3, 0, -1, 0},
	}
	for _, tc := range cases {
		bubble(t, func(r *rig) {
			c := r.connect("c", tc.version, keepAlive(tc.asked))
			if q := &c.ack.Properties; q.Has(mqtt.PropServerKeepAlive) != (tc.told >= 0) || tc.told >= 0 && int(q.ServerKeepAlive) != tc.told {
				t.Errorf("asked for %d: told %d", tc.asked, q.ServerKeepAlive)
			}
			if tc.ends == 0 {
				r.wait(48 * time.Hour)
				c.ping()
				return
			}
			r.wait(tc.ends - time.Second)
			c.ping()
			start := time.Now()
			c.ejected(mqtt.KeepAliveTimeout)
			if d := time.Since(start); d != tc.ends {
				t.Errorf("asked for %d: ended after %v, want %v", tc.asked, d, tc.ends)
			}
		}, with(func(s *Settings) { s.KeepAliveMax = 60 }))
	}
}

// quarrel has several clients with the Client Identifier "c" each come, subscribe, publish, unsubscribe and go some times.
func (r *rig) quarrel(wg *sync.WaitGroup, clients, times int) {
	for i := range clients {
		wg.Go(func() {
			for j := range times {
				c := r.open()
				b := c.encode(nil, connectPacket("c", expiry(uint32(j%2)*100), func(p *mqtt.Connect) { p.CleanStart = (i+j)%3 == 0 }))
				for k := range 5 {
					f := fmt.Sprint("f/", k%2)
					b = c.encode(b, &mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: f, QoS: 1}, {Filter: "$share/g/" + f, QoS: 1}}})
					p := msg(f, "x", mqtt.QoS(1+i%2))
					p.PacketID = mqtt.PacketID(k + 1)
					b = c.encode(b, p)
					b = c.encode(b, &mqtt.Unsubscribe{PacketID: 2, Filters: []string{f}})
				}
				c.raw(b...)
				_, _ = c.read()
				_ = c.conn.Close()
			}
		})
	}
}

// TestAttack51_OneIdentifier: clients with one Client Identifier subscribe, unsubscribe, publish and take over from each
// other at the same time; in the end there is one session, and nothing is left of it after it ended.
func TestAttack51_OneIdentifier(t *testing.T) {
	bubble(t, func(r *rig) {
		var wg sync.WaitGroup
		r.quarrel(&wg, 8, 40)
		wg.Wait()
		r.wait(time.Second)
		c := r.connect("c")
		if n := r.b.Snapshot(); n.Subscriptions != 0 || n.Sessions != 1 || n.Clients != 1 {
			t.Errorf("%+v", n)
		}
		c.leave()
		if n := r.census(); n != (census{}) {
			t.Errorf("left behind: %+v", n)
		}
	})
}
