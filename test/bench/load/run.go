package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// run is one scenario under way.
type run struct {
	ctx     context.Context
	o       *Options
	dialer  *dialer
	report  Report
	flows   []*flow
	pubs    []*publisher
	subs    []*subscriber
	stop    atomic.Bool // publishers end
	measure atomic.Bool // times are kept
	sending sync.WaitGroup
	taking  sync.WaitGroup
	mu      sync.Mutex // guards the errors of the report
}

// Run carries the scenario out. The error is one of setting up; what goes wrong in single clients stands in the report.
func Run(ctx context.Context, o *Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	d, err := newDialer(o)
	if err != nil {
		return nil, err
	}
	r := &run{ctx: ctx, o: o, dialer: d, report: Report{Scenario: o.Scenario, Figures: map[string]float64{}}}
	err = scenarios[o.Scenario](r)
	r.close()
	return &r.report, err
}

func (r *run) fail(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.fail(fmt.Errorf("%s: %w", what, err))
}

// loginsAtOnce is how many clients log in with a password at a time. A broker checks one or two, and tells who waits too
// long that it is busy.
const loginsAtOnce = 4

// abroad does n things, so many of them at a time as connections may be opened, and returns the first error.
func (r *run) abroad(n int, do func(i int) error) error {
	var next atomic.Int64
	var first error
	var once sync.Once
	var failed atomic.Bool
	var all sync.WaitGroup
	workers := min(n, r.o.Concurrency)
	if r.o.Login {
		workers = min(workers, loginsAtOnce)
	}
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !failed.Load() && r.ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failed.Store(true)
					once.Do(func() { first = err })
				}
			}
		})
	}
	all.Wait()
	if first == nil {
		first = r.ctx.Err()
	}
	return first
}

// pause waits, unless the run is broken off.
func (r *run) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// makeFlows makes a flow for each publisher.
func (r *run) makeFlows(publishers, copies int) {
	for range publishers {
		r.flows = append(r.flows, newFlow(r.o.Window, copies))
	}
}

// openSubscribers connects and subscribes n clients, and starts them.
func (r *run) openSubscribers(n int, filters func(i int) []string) error {
	r.subs = make([]*subscriber, n)
	err := r.abroad(n, func(i int) error {
		s := session{clean: !r.o.Durable, room: bufferRoom}
		if r.o.Durable {
			s.expiry = sessionExpiry
		}
		l, err := r.dialer.open(r.ctx, subscribing, i, s)
		if err != nil {
			return err
		}
		for rest := filters(i); len(rest) > 0; rest = rest[min(len(rest), filtersAtOnce):] {
			if err := l.subscribe(r.o.QoS, rest[:min(len(rest), filtersAtOnce)]...); err != nil {
				_ = l.Close()
				return err
			}
		}
		r.subs[i] = newSubscriber(r.o, l, r.flows, &r.measure)
		return nil
	})
	for _, s := range r.subs {
		if s != nil {
			r.startSubscriber(s)
		}
	}
	return err
}

// filtersAtOnce is how many filters one SUBSCRIBE has at most.
const filtersAtOnce = 200

// sessionExpiry is how long sessions outlive their connections, in seconds.
const sessionExpiry = 3600

func (r *run) startSubscriber(s *subscriber) {
	r.taking.Go(func() {
		if err := s.receive(); !r.stop.Load() {
			r.fail("subscriber", err)
		}
	})
}

// openPublishers connects n clients that publish what message says.
func (r *run) openPublishers(n int, qos mqtt.QoS, message func(i int) (mqtt.Publish, func(uint32) int)) error {
	r.pubs = make([]*publisher, n)
	return r.abroad(n, func(i int) error {
		l, err := r.dialer.open(r.ctx, publishing, i, session{clean: true, room: bufferRoom / 4})
		if err != nil {
			return err
		}
		packet, choose := message(i)
		packet.QoS = qos
		m, err := newMould(r.o, i, packet, choose)
		if err != nil {
			return err
		}
		r.pubs[i] = newPublisher(r.o, l, r.flows[i], m, qos, &r.stop)
		return nil
	})
}

func (r *run) startPublishers() {
	for _, p := range r.pubs {
		r.sending.Go(func() {
			if err := p.untilStopped(); err != nil {
				r.fail("publisher", err)
			}
		})
	}
}

// received is how many deliveries there were so far.
func (r *run) received() (n int64) {
	for _, s := range r.subs {
		n += s.received.Load()
	}
	return n
}

// sum adds a count of all flows up.
func (r *run) sum(of func(f *flow) int64) (n int64) {
	for _, f := range r.flows {
		n += of(f)
	}
	return n
}

// quiet is how long nothing may come before what is missing is lost.
const quiet = 3 * time.Second

// settle waits until want deliveries have come, or none has for long.
func (r *run) settle(want int64) {
	seen, since := r.received(), time.Now()
	for seen < want && time.Since(since) < quiet && r.ctx.Err() == nil {
		time.Sleep(2 * time.Millisecond)
		if n := r.received(); n != seen {
			seen, since = n, time.Now()
		}
	}
}

// afterwards is how long duplicates are waited for when everything has arrived.
const afterwards = 200 * time.Millisecond

// finish ends traffic and counts. expected is how many deliveries should have come.
func (r *run) finish(expected func() int64) {
	r.stop.Store(true)
	r.sending.Wait()
	r.settle(expected())
	time.Sleep(afterwards)
	for _, s := range r.subs {
		_ = s.SetReadDeadline(time.Now())
	}
	for _, p := range r.pubs { // those with a rate have somebody who reads
		_ = p.SetReadDeadline(time.Now())
	}
	r.taking.Wait()
	p, all := &r.report, times{}
	for _, s := range r.subs {
		p.Received += s.unique
		p.Duplicated += s.duplicated
		p.Foreign += s.foreign
		all.merge(&s.times)
	}
	p.Sent, p.Refused = r.sum(func(f *flow) int64 { return f.sent.Load() }), r.sum(func(f *flow) int64 { return f.refused.Load() })
	p.Lost = expected() - p.Received
	p.took(&all)
}

// close leaves nothing behind, whatever happened.
func (r *run) close() {
	r.stop.Store(true)
	for _, p := range r.pubs {
		if p != nil {
			_ = p.Close()
		}
	}
	for _, s := range r.subs {
		if s != nil {
			_ = s.Close()
		}
	}
	r.sending.Wait()
	r.taking.Wait()
}
