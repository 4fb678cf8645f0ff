package broker

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/mqtt"
)

// scheduled is how many entries the schedule has.
func (r *rig) scheduled() int {
	r.settle()
	r.b.timers.mu.Lock()
	defer r.b.timers.mu.Unlock()
	return len(r.b.timers.queue)
}

// TestTimersSchedule compares the schedule with a sorted list.
func TestTimersSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ts := timers{wake: make(chan struct{}, 1)}
		entries := make([]timer, 8)
		due := map[*timer]int64{}
		dead := map[*timer]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				e, at := &entries[rapid.IntRange(0, 7).Draw(t, "entry")], rapid.Int64Range(1, 50).Draw(t, "due")
				ts.set(e, at, uint64(at))
				if !dead[e] {
					due[e] = at
				}
			},
			"advance": func(t *rapid.T) {
				e, at := &entries[rapid.IntRange(0, 7).Draw(t, "entry")], rapid.Int64Range(1, 50).Draw(t, "due")
				ts.advance(e, at)
				if old, ok := due[e]; !dead[e] && (!ok || at < old) {
					due[e] = at
				}
			},
			"stop": func(t *rapid.T) {
				e, ends := &entries[rapid.IntRange(0, 7).Draw(t, "entry")], rapid.IntRange(0, 9).Draw(t, "ends") == 0
				ts.stop(e, ends)
				dead[e] = dead[e] || ends
				delete(due, e)
			},
			"next": func(t *rapid.T) {
				now := rapid.Int64Range(1, 50).Draw(t, "now")
				e, _, wait := ts.next(now)
				var times []int64
				for _, at := range due {
					times = append(times, at)
				}
				slices.Sort(times)
				switch {
				case len(times) == 0 || times[0] > now:
					if e != nil || len(times) > 0 && int64(wait) != times[0]-now {
						t.Fatalf("next(%d) = %v, %v with %v", now, e, wait, times)
					}
				case e == nil || due[e] != times[0]:
					t.Fatalf("next(%d) = %+v with %v", now, e, times)
				default:
					delete(due, e)
				}
			},
			"": func(t *rapid.T) {
				if len(ts.queue) != len(due) {
					t.Fatalf("%d entries, want %d", len(ts.queue), len(due))
				}
			},
		})
	})
}

// TestTimersStayFew: neither connections nor sessions that come and go leave anything in the schedule, however long
// their Keep Alive, Will Delay and Session Expiry Interval, and neither do packets that arrive in pieces.
func TestTimersStayFew(t *testing.T) {
	bubble(t, func(r *rig) {
		for range 100 {
			r.connect("v3", v3, keepAlive(65535)).drop()
			r.open().drop()
			r.connect("same", dirty, keepAlive(65535), expiry(neverExpires-1), withWill("w", 1<<30)).drop()
			r.connect("ended", keepAlive(65535), expiry(neverExpires-1), withWill("w", 1<<30)).drop()
		}
		c := r.connect("ended")
		for range 1000 {
			c.raw(byte(mqtt.TypePingreq) << 4)
			r.wait(20 * time.Second)
			c.raw(0)
			expect[*mqtt.Pingresp](c)
			r.wait(20 * time.Second)
		}
		c.leave()
		if n := r.scheduled(); n != 2 { // expiry and Will of "same"
			t.Errorf("%d entries in the schedule, want 2", n)
		}
	})
}
