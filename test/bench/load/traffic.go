package load

import (
	"runtime"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// traffic is fan-out, fan-in and pairs: publishers and subscribers that are online.
func (r *run) traffic() error {
	receivers := r.o.Subscribers
	copies := receivers
	filters := func(int) []string { return []string{r.o.everyTopic()} }
	switch {
	case r.o.Scenario == "pairs":
		receivers, copies = r.o.Publishers, 1
		filters = func(i int) []string { return []string{r.o.topic(i)} }
	case r.o.Publishers == 1:
		filters = func(int) []string { return []string{r.o.topic(0)} }
	}
	r.makeFlows(r.o.Publishers, copies)
	if err := r.openSubscribers(receivers, filters); err != nil {
		return err
	}
	if err := r.openPublishers(r.o.Publishers, r.o.QoS, func(i int) (mqtt.Publish, func(uint32) int) {
		return mqtt.Publish{Topic: r.o.topic(i)}, nil
	}); err != nil {
		return err
	}
	return r.measured(int64(copies))
}

// measured publishes, measures deliveries in the window, and counts.
func (r *run) measured(copies int64) error {
	if r.o.Rate > 0 {
		r.startPaced()
	} else {
		r.startPublishers()
	}
	if err := r.pause(r.o.Warmup); err != nil {
		return err
	}
	from, err := r.now()
	if err != nil {
		return err
	}
	r.measure.Store(true)
	before := r.received()
	if err := r.pause(r.o.Duration); err != nil {
		return err
	}
	after := r.received()
	to, err := r.now()
	r.measure.Store(false)
	r.window(from, to, after-before)
	r.finish(func() int64 {
		return copies * r.sum(func(f *flow) int64 { return f.sent.Load() - f.refused.Load() })
	})
	return err
}

// startPaced sends at the rate, the publishers taking turns, from one thread that sleeps in the kernel. A message whose
// publisher has no identifier free is left out, and counted.
func (r *run) startPaced() {
	for _, p := range r.pubs {
		if p.qos > 0 {
			r.taking.Go(func() {
				if err := p.read(); !r.stop.Load() {
					r.fail("publisher", err)
				}
			})
		}
	}
	r.sending.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		gap, skipped := time.Duration(float64(time.Second)/r.o.Rate), 0
		due := time.Now()
		for i := 0; !r.stop.Load(); i++ {
			sleepUntil(due)
			due = due.Add(gap)
			n, err := r.pubs[i%len(r.pubs)].write(1)
			if err != nil {
				r.fail("publisher", err)
				return
			}
			skipped += 1 - n
		}
		r.report.Figures["skipped"] = float64(skipped)
	})
}
