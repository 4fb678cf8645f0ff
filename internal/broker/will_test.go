package broker

import (
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// watch connects a client that receives Wills on "will".
func (r *rig) watch() *client {
	r.t.Helper()
	c := r.connect("watch")
	c.subscribe(1, "will")
	return c
}

// TestWillOnEnd says for each way a connection ends whether its Will is published, without delay [MQTT-3.1.2-8]
// [MQTT-3.1.2-10] [MQTT-3.14.4-3].
func TestWillOnEnd(t *testing.T) {
	disconnect := func(code mqtt.ReasonCode) func(*rig, *client) {
		return func(_ *rig, c *client) { c.send(&mqtt.Disconnect{ReasonCode: code}) }
	}
	cases := map[string]struct {
		end  func(r *rig, c *client)
		want bool
	}{
		"socket closed":        {func(_ *rig, c *client) { c.drop() }, true},
		"normal disconnect":    {disconnect(mqtt.NormalDisconnection), false},
		"disconnect 0x04":      {disconnect(mqtt.DisconnectWithWill), true},
		"disconnect 0x80":      {disconnect(mqtt.UnspecifiedError), true},
		"disconnect 0x81":      {disconnect(mqtt.MalformedPacket), true},
		"protocol error":       {func(_ *rig, c *client) { c.send(connectPacket("c")) }, true},
		"malformed packet":     {func(_ *rig, c *client) { c.raw(0xFF, 0) }, true},
		"keep alive":           {func(r *rig, _ *client) { r.wait(20 * time.Second) }, true},
		"take-over":            {func(r *rig, _ *client) { r.connect("c") }, true},
		"malformed disconnect": {func(_ *rig, c *client) { c.raw(0xE0, 2, 0, 5) }, true},
	}
	for name, tc := range cases {
		for _, session := range []uint32{0, 3600} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(r *rig) {
					w := r.watch()
					c := r.connect("c", withWill("will", 0), keepAlive(10), expiry(session))
					tc.end(r, c)
					if tc.want {
						w.receive("will", "will")
					}
					w.quiet()
					r.wait(2 * time.Hour)
					w.quiet()
					if n := r.rows(); n.Wills != 0 {
						t.Errorf("%d wills stored", n.Wills)
					}
				})
			})
		}
	}
}

// TestWillV3: an MQTT 3 client's Will is kept by DISCONNECT only.
func TestWillV3(t *testing.T) {
	bubble(t, func(r *rig) {
		w := r.watch()
		r.connect("c", v3, withWill("will", 0)).leave()
		w.quiet()
		r.connect("c", v3, withWill("will", 0)).drop()
		w.receive("will", "will")
	})
}

// TestWillDelay checks when a delayed Will leaves: after the delay or with the session, whichever comes first, and not
// at all when the client comes back to its session in time [MQTT-3.1.3-9].
func TestWillDelay(t *testing.T) {
	cases := map[string]struct {
		expiry, delay uint32
		again         time.Duration // when the client comes back; 0 never
		setup         []setup       // how
		due           time.Duration // when the Will leaves; 0 never
	}{
		"delay":                        {expiry: 100, delay: 10, due: 10 * time.Second},
		"session ends first":           {expiry: 10, delay: 100, due: 10 * time.Second},
		"both at once":                 {expiry: 10, delay: 10, due: 10 * time.Second},
		"no session":                   {expiry: 0, delay: 10, due: 1},
		"resumed":                      {expiry: 100, delay: 10, again: 9 * time.Second, setup: []setup{dirty, expiry(100)}},
		"clean start ends the session": {expiry: 100, delay: 50, again: 5 * time.Second, due: 5 * time.Second},
		"resumed too late":             {expiry: 100, delay: 10, again: 11 * time.Second, setup: []setup{dirty, expiry(100)}, due: 10 * time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				w := r.watch()
				c := r.connect("c", withWill("will", tc.delay), expiry(tc.expiry))
				c.drop()
				if tc.again > 0 {
					time.AfterFunc(tc.again, func() { r.connect("c", tc.setup...) })
				}
				start := time.Now()
				if tc.due > 0 {
					w.receive("will", "will")
					if d := time.Since(start); d > tc.due || d < tc.due-time.Second {
						t.Errorf("published after %v, want %v", d, tc.due)
					}
				}
				r.wait(200 * time.Second)
				w.quiet()
				if n := r.rows(); n.Wills != 0 {
					t.Errorf("%d wills stored", n.Wills)
				}
			})
		})
	}
}

// TestWillTakeOver: a client that takes over its own connection cancels a delayed Will when it resumes the session, and
// causes it when it ends the session.
func TestWillTakeOver(t *testing.T) {
	for _, clean := range []bool{false, true} {
		bubble(t, func(r *rig) {
			w := r.watch()
			old := r.connect("c", withWill("will", 50), expiry(100))
			r.connect("c", expiry(100), func(p *mqtt.Connect) { p.CleanStart = clean })
			old.ejected(mqtt.SessionTakenOver)
			if clean {
				w.receive("will", "will")
			}
			r.wait(200 * time.Second)
			w.quiet()
		})
	}
}

// TestWillIsNewEachTime: the Will of a connection replaces that of the one before, also with none.
func TestWillIsNewEachTime(t *testing.T) {
	bubble(t, func(r *rig) {
		w := r.watch()
		r.connect("c", withWill("will", 10), expiry(100)).drop()
		c := r.connect("c", dirty, expiry(100))
		if !c.ack.SessionPresent {
			t.Error("no session")
		}
		c.drop()
		r.wait(time.Minute)
		w.quiet()
	})
}

// TestWillProperties: a Will is an ordinary message, retained if it says so, whose Message Expiry Interval begins when it
// is published.
func TestWillProperties(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c", withWill("will", 10), expiry(100), func(p *mqtt.Connect) {
			p.Will.Retain = true
			q := &p.Will.Properties
			q.SetMessageExpiry(30)
			q.SetContentType("text")
			q.SetResponseTopic("answer")
			q.SetCorrelationData([]byte{1})
			q.SetPayloadFormat(1)
			q.AddUser("k", "v")
		})
		r.wait(time.Hour) // connected: no interval runs
		c.drop()
		r.wait(11 * time.Second)
		w := r.connect("w")
		w.subscribe(1, "will")
		p := w.receive("will", "will")
		q := &p.Properties
		if !p.Retain || q.MessageExpiry != 29 || q.ContentType != "text" || q.ResponseTopic != "answer" ||
			string(q.CorrelationData) != "\x01" || q.PayloadFormat != 1 || len(q.User) != 1 || q.Has(mqtt.PropWillDelay) {
			t.Errorf("received %+v", p)
		}
	})
}

// TestWillShutdown: the Wills of clients that are connected when the broker stops are published by the next one.
func TestWillShutdown(t *testing.T) {
	for _, session := range []uint32{0, 3600} {
		bubble(t, func(r *rig) {
			w := r.watch()
			c := r.connect("c", withWill("will", 5), expiry(session))
			r.halt()
			w.ejected(mqtt.ServerShuttingDown)
			c.ejected(mqtt.ServerShuttingDown)
			if n := r.rows(); n.Wills != 1 {
				t.Fatalf("%d wills stored, want 1", n.Wills)
			}
			r.build()
			r.mem = newMemListener()
			r.start(r.mem)
			r.wait(6 * time.Second)
			if n := r.b.stats.wills.Load(); n != 1 {
				t.Errorf("%d wills published, want 1", n)
			}
			if n := r.rows(); n.Wills != 0 {
				t.Errorf("%d wills stored", n.Wills)
			}
		})
	}
}

// TestAttack25_WillRights: rights count at CONNECT and again when the Will is published.
func TestAttack25_WillRights(t *testing.T) {
	denyWill := func(_ *identity.Principal, _ string, a identity.Action, _ string) bool { return a == identity.Will }
	bubble(t, func(r *rig) {
		w := r.watch()
		c := r.connect("c", withWill("will", 0))
		r.authz.set(denyWill)
		c.drop()
		w.quiet()
		c = r.open()
		c.send(connectPacket("c", withWill("will", 0)))
		c.refused(mqtt.NotAuthorized)
		if !r.logged("right withdrawn", "action=will", "client=c") {
			t.Error("the refusal is not logged")
		}
	})
}
