package broker

import (
	"context"
	"sync"
	"time"
)

// lazyDeadline is a context that ends at a time, as one of context.WithDeadline does, but has a timer only from when it is
// asked for the first time: most logins are decided without waiting for anything.
type lazyDeadline struct {
	context.Context // of the broker
	at              time.Time

	once   sync.Once
	timed  context.Context
	cancel context.CancelFunc // nil: nobody has asked before stop
}

func (d *lazyDeadline) begun() context.Context {
	d.once.Do(func() { d.timed, d.cancel = context.WithDeadline(d.Context, d.at) })
	return d.timed
}

// Deadline implements context.Context.
func (d *lazyDeadline) Deadline() (time.Time, bool) { return d.at, true }

// Done implements context.Context.
func (d *lazyDeadline) Done() <-chan struct{} { return d.begun().Done() }

// Err implements context.Context.
func (d *lazyDeadline) Err() error { return d.begun().Err() }

// Value implements context.Context. The context with the timer answers, so that those derived from it find their parent
// without a goroutine in between.
func (d *lazyDeadline) Value(key any) any { return d.begun().Value(key) }

// stop ends the context and gives its timer back.
func (d *lazyDeadline) stop() {
	d.once.Do(func() { d.timed = stopped })
	if d.cancel != nil {
		d.cancel()
	}
}

// stopped is what a lazyDeadline is for those who ask after its end.
var stopped = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()
