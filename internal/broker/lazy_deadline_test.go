package broker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestLazyDeadline: the context ends when it must, whether somebody asked before or not, and takes those derived from it along.
func TestLazyDeadline(t *testing.T) {
	type key struct{}
	for name, c := range map[string]struct {
		end  func(d *lazyDeadline, parent context.CancelFunc)
		want error
	}{
		"time":   {func(*lazyDeadline, context.CancelFunc) { time.Sleep(time.Second) }, context.DeadlineExceeded},
		"stop":   {func(d *lazyDeadline, _ context.CancelFunc) { d.stop() }, context.Canceled},
		"parent": {func(_ *lazyDeadline, cancel context.CancelFunc) { cancel() }, context.Canceled},
	} {
		for _, asked := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 7))
				defer cancel()
				d := &lazyDeadline{Context: parent, at: time.Now().Add(time.Second)}
				defer d.stop()
				if at, ok := d.Deadline(); !ok || time.Until(at) != time.Second {
					t.Errorf("%s: deadline %v, %v", name, at, ok)
				}
				var derived context.Context
				if asked {
					var release context.CancelFunc
					derived, release = context.WithCancel(d)
					defer release()
					if d.Err() != nil || derived.Err() != nil || d.Value(key{}) != 7 {
						t.Errorf("%s: before the end: %v, %v, %v", name, d.Err(), derived.Err(), d.Value(key{}))
					}
				}
				c.end(d, cancel)
				synctest.Wait()
				<-d.Done()
				if !errors.Is(d.Err(), c.want) {
					t.Errorf("%s, asked before: %v: ended with %v", name, asked, d.Err())
				}
				if asked && !errors.Is(derived.Err(), c.want) {
					t.Errorf("%s: the derived context ended with %v", name, derived.Err())
				}
			})
		}
	}
}
