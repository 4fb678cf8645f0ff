package broker

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// overtake calls act once, at the worst moment: in the middle of what holds mu if it does, and otherwise to its end before
// that goes on. What holds mu must not be overtaken by what takes it, so act then comes second.
func (r *rig) overtake(mu *sync.Mutex, act func()) {
	if !mu.TryLock() {
		go act()
		return
	}
	mu.Unlock()
	act()
}

// onSessionRow calls meet once, when the first batch with a row of a session for which want says so is about to reach the
// store.
func (r *rig) onSessionRow(want func(*store.Session) bool, meet func()) (met *bool) {
	met = new(bool)
	var once sync.Once
	before := func(b *store.Batch) {
		if slices.ContainsFunc(b.Ops, func(op store.Op) bool { return op.Kind == store.PutSession && want(op.Meta) }) {
			once.Do(func() {
				*met = true
				meet()
			})
		}
	}
	r.store.before.Store(&before)
	return met
}

// TestRemovalComesLast: the row of a session that is on its way to the store when the session is removed does not bring it
// back, whichever of its rows it is.
func TestRemovalComesLast(t *testing.T) {
	offline := func(row *store.Session) bool { return row.ExpiresAt != 0 }
	cases := map[string]struct {
		want func(*store.Session) bool
		lock func(r *rig) *sync.Mutex
		do   func(r *rig, c *client)
	}{
		"the connection ends": {
			want: offline,
			do:   func(_ *rig, c *client) { c.drop() },
		},
		"disconnect with another expiry": {
			want: func(row *store.Session) bool { return row.Expiry == 50 },
			do:   func(_ *rig, c *client) { c.send(&mqtt.Disconnect{Properties: expiryProperty(50)}) },
		},
		"the queue of its group begins": {
			want: func(row *store.Session) bool { return row.Group != "" },
			lock: func(r *rig) *sync.Mutex { return &r.b.groups.mu },
			do: func(r *rig, c *client) {
				c.subscribe(1, "$share/g/t")
				c.drop()
				r.settle()
				r.connect("pub").send(&mqtt.Publish{Topic: "t", Payload: []byte("x"), QoS: 1, PacketID: 1})
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				c := r.connect("c", expiry(100))
				lock := &r.b.sessions.get("c").mu
				if tc.lock != nil {
					lock = tc.lock(r)
				}
				met := r.onSessionRow(tc.want, func() {
					r.overtake(lock, func() {
						if _, err := r.b.Clear("c"); err != nil {
							t.Error(err)
						}
					})
				})
				tc.do(r, c)
				r.wait(2 * time.Second) // a connection that lingers
				if !*met {
					t.Fatal("no such row was written")
				}
				if n := r.rows(); n != rows0 {
					t.Errorf("left on disk: %+v", n)
				}
				if _, err := r.b.Session("c"); err != ErrNoSession { //nolint:errorlint // the exact value is documented
					t.Error(err)
				}
			})
		})
	}
}

// TestWillOfTwoEnds: when the connection and the session end at once, the Will is published by one of them.
func TestWillOfTwoEnds(t *testing.T) {
	bubble(t, func(r *rig) {
		watch := r.watch()
		r.connect("c", expiry(100), withWill("will", 0))
		s := r.b.sessions.get("c")
		s.mu.Lock()
		wl := s.will
		s.mu.Unlock()
		if _, err := r.b.Clear("c"); err != nil {
			t.Fatal(err)
		}
		watch.receive("will", "will")
		w := r.b.getWork()
		r.b.publishWillOffline(w, s, wl) // as the end of the connection that was on its way
		w.release()
		watch.quiet()
	})
}

// TestWillOfQuickReturn: a Will without delay is published although the client is back before the end of its connection has
// come to it [MQTT-3.1.2-8].
func TestWillOfQuickReturn(t *testing.T) {
	bubble(t, func(r *rig) {
		watch := r.watch()
		r.connect("c", expiry(100), withWill("will", 0))
		s := r.b.sessions.get("c")
		w := r.b.getWork()
		s.mu.Lock()
		wl := s.detach(w) // as far as the end of the connection has come
		s.mu.Unlock()
		if !r.connect("c", dirty, expiry(100)).ack.SessionPresent {
			t.Error("another session")
		}
		watch.receive("will", "will")
		r.b.publishWillOffline(w, s, wl) // it goes on
		w.release()
		watch.quiet()
		if n := r.rows(); n.Wills != 0 {
			t.Errorf("%d wills stored", n.Wills)
		}
	})
}

// TestWillRowOfReturn: a client that comes back with another Will while the one before is being published keeps the row
// of its own, or a crash would lose it.
func TestWillRowOfReturn(t *testing.T) {
	for name, delay := range map[string]uint32{"at once": 0, "delayed": 10} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				watch := r.watch()
				c := r.connect("c", expiry(100), withWill("will", delay))
				var once sync.Once
				met := false
				r.authz.set(func(_ *identity.Principal, _ string, a identity.Action, on string) bool {
					if a == identity.Will && on == "will" {
						once.Do(func() {
							met = true
							r.overtake(r.b.sessions.locks.of("c"), func() { r.connect("c", dirty, expiry(100), withWill("other", 0)) })
						})
					}
					return false
				})
				c.drop()
				r.wait(time.Duration(delay) * time.Second)
				watch.receive("will", "will")
				if n := r.rows(); !met || n.Wills != 1 {
					t.Errorf("%d wills stored, met %t", n.Wills, met)
				}
			})
		})
	}
}
