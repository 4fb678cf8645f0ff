package load

import (
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// offline queues messages for durable sessions that are offline, then lets the sessions come back for them. Rounds of this
// are repeated until they have taken the duration, so that few messages can be measured, too; the figures are of all
// rounds together. What it costs that the sessions come back is measured at the end, when nothing is queued.
func (r *run) offline() error {
	o := r.o
	each := max(1, o.Count/o.Publishers) // messages of a publisher in a round
	r.makeFlows(o.Publishers, 1)
	r.subs = make([]*subscriber, o.Subscribers)
	if err := r.abroad(o.Subscribers, func(i int) error {
		l, err := r.comeBack(i)
		if err != nil {
			return err
		}
		if err := l.subscribe(o.QoS, numbered(o.Prefix, "q", i)); err != nil {
			return err
		}
		l.leave()
		r.subs[i] = newSubscriber(o, l, r.flows, &r.measure)
		return nil
	}); err != nil {
		return err
	}
	if err := r.openPublishers(o.Publishers, o.QoS, func(p int) (mqtt.Publish, func(uint32) int) {
		return mqtt.Publish{Topic: numbered(o.Prefix, "q", 0)}, func(n uint32) int { return (p + int(n)*o.Publishers) % o.Subscribers }
	}); err != nil {
		return err
	}
	for _, p := range r.pubs {
		p.keep = true
	}
	if err := r.pause(o.Warmup); err != nil {
		return err
	}
	var c offlineCosts
	begin := time.Now()
	for c.rounds == 0 || time.Since(begin) < o.Duration {
		if err := r.offlineRound(&c, int64(each)); err != nil {
			return err
		}
	}
	for range c.rounds {
		from, err := r.now()
		if err != nil {
			return err
		}
		if err := r.drain(false); err != nil {
			return err
		}
		to, err := r.now()
		if err != nil {
			return err
		}
		c.empty.add(from, to)
	}
	r.offlineReport(&c)
	return nil
}

// span is time and processor time of the same part of all rounds.
type span struct {
	from, to moment // as if they had followed each other
}

func (s *span) add(from, to moment) {
	if s.from.at.IsZero() {
		s.from, s.to = from, to
		return
	}
	s.to.at = s.to.at.Add(to.at.Sub(from.at))
	s.to.broker.cpu += to.broker.cpu - from.broker.cpu
	s.to.own += to.own - from.own
	s.to.broker.resident = to.broker.resident
}

type offlineCosts struct {
	rounds              int
	store, drain, empty span
}

// offlineRound queues messages, each publisher its part, and fetches them.
func (r *run) offlineRound(c *offlineCosts, each int64) error {
	c.rounds++
	from, err := r.now()
	if err != nil {
		return err
	}
	for _, p := range r.pubs {
		p.limit += each
	}
	r.startPublishers()
	r.sending.Wait()
	stored, err := r.now()
	if err != nil {
		return err
	}
	c.store.add(from, stored)
	if err := r.drain(true); err != nil {
		return err
	}
	drained, err := r.now()
	c.drain.add(stored, drained)
	return err
}

func (r *run) comeBack(i int) (*link, error) {
	return r.dialer.open(r.ctx, subscribing, i, session{expiry: sessionExpiry, room: bufferRoom})
}

// drain lets every session come back, take what waits for it if something does, and leave.
func (r *run) drain(waiting bool) error {
	due := make([]int64, len(r.subs)) // by session: messages that were accepted for it
	for _, p := range r.pubs {
		for n := range p.mould.next {
			if p.done.has(n) {
				due[p.mould.choose(n)]++
			}
		}
	}
	return r.abroad(len(r.subs), func(i int) error {
		l, err := r.comeBack(i)
		if err != nil {
			return err
		}
		s := r.subs[i]
		s.link = l
		for err = s.handle(); err == nil && waiting && s.unique < due[i]; err = s.handle() {
			_ = l.SetReadDeadline(time.Now().Add(quiet))
			if s.fill() != nil {
				break // what is missing is counted
			}
		}
		if err != nil {
			return err
		}
		s.leaveCounting()
		return nil
	})
}

func (r *run) offlineReport(c *offlineCosts) {
	accepted := r.sum(func(f *flow) int64 { return f.accepted.Load() })
	r.window(c.store.from, c.store.to, accepted)
	r.finish(func() int64 { return accepted })
	r.report.Figures["rounds"] = float64(c.rounds)
	r.report.Figures["come_back_cpu_us"] = perOperation(c.empty.from, c.empty.to, int64(c.rounds*len(r.subs)))
	drained := max(r.report.Received, 1)
	gross := c.drain.to.broker.cpu - c.drain.from.broker.cpu
	empty := c.empty.to.broker.cpu - c.empty.from.broker.cpu
	r.report.Figures["drain_cpu_us"] = float64(gross) / 1e3 / float64(drained)
	r.report.Figures["deliver_cpu_us"] = float64(gross-empty) / 1e3 / float64(drained)
	r.report.Figures["drain_per_second"] = float64(drained) / c.drain.to.at.Sub(c.drain.from.at).Seconds()
}
