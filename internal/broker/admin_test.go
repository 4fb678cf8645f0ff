package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

func TestAdminSessions(t *testing.T) {
	bubble(t, func(r *rig) {
		sub := r.connect("dev-1", user("alice"), expiry(60))
		sub.subscribe(1, "a", "b/#")
		sub.leave()
		r.openFrom(link{from: "198.51.100.7:1234"}).login("dev-2", user("bob"), v3)
		r.connect("other")
		if code := r.connect("pub").publish(msg("a", "hello", 1)); code != mqtt.Success {
			t.Fatal(code)
		}

		page, next := r.b.Sessions("dev-", "", 10)
		if len(page) != 2 || next != "" {
			t.Fatalf("%d sessions, next %q", len(page), next)
		}
		off, on := page[0], page[1]
		if off.ClientID != "dev-1" || off.Principal.Name != "alice" || off.Online || off.Remote != "" || !off.Durable ||
			off.Expiry != 60 || time.Until(off.ExpiresAt) > time.Minute || off.ExpiresAt.IsZero() ||
			off.Subscriptions != 2 || off.QueuedMessages != 1 || off.QueuedBytes == 0 || off.Inflight != 0 {
			t.Errorf("offline session %+v", off)
		}
		if on.ClientID != "dev-2" || on.Principal.Name != "bob" || !on.Online || on.Remote != "198.51.100.7:1234" ||
			on.Listener != "test" || on.Version != mqtt.V311 || on.Durable || !on.ExpiresAt.IsZero() {
			t.Errorf("online session %+v", on)
		}
		if one, err := r.b.Session("dev-1"); err != nil || one != off {
			t.Errorf("%+v %v", one, err)
		}
		if _, err := r.b.Session("dev-3"); !errors.Is(err, ErrNoSession) {
			t.Error(err)
		}
	})
}

func TestAdminSessionsPages(t *testing.T) {
	bubble(t, func(r *rig) {
		var want []string
		for i := range 57 {
			id := fmt.Sprintf("c%02d", i)
			want = append(want, id)
			r.connect(id)
		}
		for _, limit := range []int{-1, 1, 5, 19, 56, 57, 1 << 30} {
			var got []string
			for after, more := "", true; more; more = after != "" {
				var page []SessionInfo
				page, after = r.b.Sessions("", after, limit)
				if len(page) > max(limit, 1) {
					t.Fatalf("limit %d: a page of %d", limit, len(page))
				}
				for i := range page {
					got = append(got, page[i].ClientID)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("limit %d: %v", limit, got)
			}
		}
	})
}

func TestAdminKick(t *testing.T) {
	for _, seconds := range []uint32{0, 60} {
		t.Run(fmt.Sprint("expiry ", seconds), func(t *testing.T) {
			bubble(t, func(r *rig) {
				watch := r.connect("watch")
				watch.subscribe(1, "will")
				c := r.connect("dev", expiry(seconds), withWill("will", 0))
				c.subscribe(1, "a")
				was, err := r.b.Kick("dev")
				if err != nil || !was.Online || was.Subscriptions != 1 {
					t.Fatalf("%+v %v", was, err)
				}
				c.ejected(mqtt.AdministrativeAction)
				watch.receive("will", "will")
				_, err = r.b.Kick("dev")
				if seconds == 0 {
					if !errors.Is(err, ErrNoSession) {
						t.Error(err)
					}
					return
				}
				if !errors.Is(err, ErrNotConnected) {
					t.Error(err)
				}
				again := r.connect("dev", dirty, expiry(seconds))
				if !again.ack.SessionPresent {
					t.Error("the session is gone")
				}
				if code := watch.publish(msg("a", "x", 1)); code != mqtt.Success {
					t.Error(code)
				}
				again.receive("a", "x")
			})
		})
	}
}

func TestAdminKickV3(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("dev", v3)
		if _, err := r.b.Kick("dev"); err != nil {
			t.Fatal(err)
		}
		c.ejected(mqtt.AdministrativeAction)
		c.drop()
		if !r.logged("connection closed", "client=dev", "administrative action") {
			t.Error("not in the log")
		}
	})
}

func TestAdminClear(t *testing.T) {
	for _, online := range []bool{true, false} {
		t.Run(fmt.Sprint("online ", online), func(t *testing.T) {
			bubble(t, func(r *rig) {
				watch := r.connect("watch")
				watch.subscribe(1, "will")
				c := r.connect("dev", expiry(600), withWill("will", 300))
				c.subscribe(1, "a", "$share/g/b")
				if !online {
					c.drop()
				}
				if code := watch.publish(msg("a", "kept", 1)); code != mqtt.Success {
					t.Fatal(code)
				}
				if online {
					c.next("a", "kept")
				}
				was, err := r.b.Clear("dev")
				if err != nil || was.ClientID != "dev" || was.Online != online || was.Subscriptions != 2 {
					t.Fatalf("%+v %v", was, err)
				}
				if online {
					c.ejected(mqtt.AdministrativeAction)
				}
				watch.receive("will", "will") // at once: the session does not outlive the delay
				if n := r.rows(); n.Sessions != 0 || n.Wills != 0 {
					t.Errorf("stored: %+v", n)
				}
				if s := r.b.Snapshot(); s.Subscriptions != 1 || s.QueuedBytes != 0 {
					t.Errorf("left behind: %+v", s)
				}
				if code := watch.publish(msg("a", "late", 1)); code != mqtt.NoMatchingSubscribers {
					t.Errorf("PUBACK with %v", code)
				}
				if r.connect("dev", dirty, expiry(600)).ack.SessionPresent {
					t.Error("the session is there again")
				}
				watch.quiet()
				if _, err := r.b.Clear("nobody"); !errors.Is(err, ErrNoSession) {
					t.Error(err)
				}
			})
		})
	}
}

// TestAdminClearFreesQuota: a cleared session no longer counts against its principal.
func TestAdminClearFreesQuota(t *testing.T) {
	bubble(t, func(r *rig) {
		r.connect("one", expiry(60)).leave()
		refused := r.open()
		refused.send(connectPacket("two", expiry(60)))
		refused.refused(mqtt.QuotaExceeded)
		if _, err := r.b.Clear("one"); err != nil {
			t.Fatal(err)
		}
		r.connect("two", expiry(60))
	}, with(func(s *Settings) { s.SessionsPerOwner = 1 }))
}

func retain(topic, payload string) *mqtt.Publish {
	p := msg(topic, payload, 1)
	p.Retain = true
	return p
}

// retainedTopics lists what a filter matches, page by page.
func retainedTopics(r *rig, filter topic.Filter, limit int) (names []string) {
	for after, more := "", true; more; more = after != "" {
		var page []RetainedInfo
		page, after = r.b.RetainedMessages(filter, after, limit, 0)
		for i := range page {
			names = append(names, page[i].Topic)
			if page[i].Preview != nil {
				r.t.Errorf("preview %q without being asked", page[i].Preview)
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestAdminRetained(t *testing.T) {
	bubble(t, func(r *rig) {
		pub := r.connect("pub", user("alice"))
		for i := range 20 {
			pub.publish(retain(fmt.Sprintf("a/%02d", i), "payload"))
		}
		pub.publish(retain("b", "0123456789"))
		short := retain("c", "short")
		short.Properties.SetMessageExpiry(5)
		pub.publish(short)
		r.wait(6 * time.Second)

		page, next := r.b.RetainedMessages("b", "", 10, 4)
		if len(page) != 1 || next != "" {
			t.Fatalf("%+v, next %q", page, next)
		}
		if m := page[0]; m.Topic != "b" || m.PayloadBytes != 10 || m.Bytes < 10 || string(m.Preview) != "0123" ||
			m.ClientID != "pub" || m.Author.Name != "alice" || m.QoS != 1 || m.ReceivedAt.IsZero() || !m.ExpiresAt.IsZero() {
			t.Errorf("%+v", m)
		}
		for _, limit := range []int{-1, 1, 7, 100} {
			if got := retainedTopics(r, "#", limit); len(got) != 21 || got[20] != "b" {
				t.Errorf("limit %d: %v", limit, got)
			}
		}

		ctx := r.t.Context()
		if n, bytes, err := r.b.RemoveRetained(ctx, "a/#", true); n != 20 || bytes == 0 || err != nil {
			t.Errorf("dry run: %d, %d bytes, %v", n, bytes, err)
		}
		if n := r.rows(); n.Retained != 22 {
			t.Errorf("the dry run left %d rows", n.Retained)
		}
		if n, _, err := r.b.RemoveRetained(ctx, "a/05", false); n != 1 || err != nil {
			t.Errorf("one topic: %d %v", n, err)
		}
		before := r.b.retained.Bytes()
		n, bytes, err := r.b.RemoveRetained(ctx, "a/+", false)
		if n != 19 || err != nil || r.b.retained.Bytes() != before-bytes {
			t.Errorf("a filter: %d, %d bytes of %d, %v", n, bytes, before, err)
		}
		if n := r.rows(); n.Retained != 2 {
			t.Errorf("%d rows left", n.Retained)
		}
		sub := r.connect("sub")
		sub.subscribe(1, "#")
		sub.receive("b", "0123456789")
		sub.quiet()
	})
}

func TestAdminRetainedRefuses(t *testing.T) {
	bubble(t, func(r *rig) {
		pub := r.connect("pub")
		for i := range 2 * replayPage {
			pub.publish(retain(fmt.Sprint(i), "x"))
		}
		if n, _, err := r.b.RemoveRetained(r.t.Context(), "$SYS/#", false); n != 0 || !errors.Is(err, ErrReserved) {
			t.Errorf("%d %v", n, err)
		}
		ctx, cancel := context.WithCancel(r.t.Context())
		cancel()
		if n, _, err := r.b.RemoveRetained(ctx, "#", false); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%d %v", n, err)
		}
		if n := r.b.retained.Count(); n != 2*replayPage {
			t.Errorf("%d left", n)
		}
	})
}

// TestAdminRemoveRetainedIsDurable: it returns when the disk has it, not before.
func TestAdminRemoveRetainedIsDurable(t *testing.T) {
	bubble(t, func(r *rig) {
		r.connect("pub").publish(retain("a", "x"))
		r.store.close()
		done := make(chan error, 1)
		go func() {
			_, _, err := r.b.RemoveRetained(context.Background(), "a", false)
			done <- err
		}()
		r.settle()
		select {
		case err := <-done:
			t.Fatalf("returned with a closed disk: %v", err)
		default:
		}
		r.store.open()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAdminReady(t *testing.T) {
	r := newRig(t, nil)
	if err := r.b.Ready(); err != nil {
		t.Error(err)
	}
	r.store.refuse = errors.New("disk nearly full")
	if err := r.b.Ready(); err == nil || err.Error() != "disk nearly full" {
		t.Error(err)
	}
	r.store.refuse = nil
	if err := r.b.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.b.Ready(); !errors.Is(err, errShuttingDown) {
		t.Error(err)
	}
	_ = r.store.Store.Close()
}
