package load

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// connectionRoom is the read buffer of clients that hardly receive anything.
const connectionRoom = 512

// storm connects and disconnects from many workers for as long as the window lasts. Each has connected once before, so
// that passwords have been checked, and tickets been given out, whatever the length of the warm-up.
func (r *run) storm() error {
	if err := r.abroad(r.o.Concurrency, func(i int) error {
		l, err := r.dialer.open(r.ctx, connecting, i, session{clean: true, room: connectionRoom})
		if err == nil {
			l.leave()
		}
		return err
	}); err != nil {
		return err
	}
	var connected, failed, again atomic.Int64
	perWorker := make([]times, r.o.Concurrency)
	var workers sync.WaitGroup
	for w := range r.o.Concurrency {
		workers.Go(func() {
			for n := 0; !r.stop.Load() && r.ctx.Err() == nil; n++ {
				begin := time.Now()
				l, err := r.dialer.open(r.ctx, connecting, w, session{clean: true, suffix: fmt.Sprintf("-%d", n), room: connectionRoom})
				if err != nil {
					failed.Add(1)
					r.fail("connection", err)
					continue
				}
				if r.measure.Load() {
					perWorker[w].add(time.Since(begin))
				}
				if resumed(l.Conn) {
					again.Add(1)
				}
				l.leave()
				connected.Add(1)
			}
		})
	}
	err := r.stormWindow(&connected)
	r.stop.Store(true)
	workers.Wait()
	all := times{}
	for i := range perWorker {
		all.merge(&perWorker[i])
	}
	r.report.took(&all)
	r.report.Figures["failed"] = float64(failed.Load())
	r.report.Figures["resumed"] = float64(again.Load()) / float64(max(connected.Load(), 1))
	return err
}

func (r *run) stormWindow(connected *atomic.Int64) error {
	if err := r.pause(r.o.Warmup); err != nil {
		return err
	}
	from, err := r.now()
	if err != nil {
		return err
	}
	before := connected.Load()
	r.measure.Store(true)
	if err := r.pause(r.o.Duration); err != nil {
		return err
	}
	after := connected.Load()
	to, err := r.now()
	r.window(from, to, after-before)
	return err
}

// idle opens connections and lets them rest.
func (r *run) idle() error {
	links := make([]*link, r.o.Count)
	defer func() {
		for _, l := range links {
			if l != nil {
				_ = l.Close()
			}
		}
	}()
	from, err := r.now()
	if err != nil {
		return err
	}
	if err := r.abroad(r.o.Count, func(i int) error {
		var err error
		if links[i], err = r.dialer.open(r.ctx, resting, i, session{clean: true, room: connectionRoom}); err != nil {
			return err
		}
		name := login(resting, i)
		if r.o.Subscribers > 0 {
			if err := links[i].subscribe(r.o.QoS, r.o.Prefix+"/"+name+"/commands"); err != nil {
				return err
			}
		}
		if r.o.Record > 0 {
			return links[i].sendRecord(r.o.Prefix+"/"+name+"/record", r.o.Record)
		}
		return nil
	}); err != nil {
		return err
	}
	opened, err := r.now()
	if err != nil {
		return err
	}
	r.window(from, opened, int64(r.o.Count))
	if err := r.pause(r.o.Duration); err != nil {
		return err
	}
	to, err := r.now()
	r.report.Memory = to.broker.resident
	r.report.Figures["bytes_per_connection"] = perThing(from, to, r.o.Count)
	r.report.Figures["bytes_per_connection_at_once"] = perThing(from, opened, r.o.Count)
	r.report.Figures["idle_cpu_ms_per_second"] = float64(to.broker.cpu-opened.broker.cpu) / 1e6 / to.at.Sub(opened.at).Seconds()
	return err
}

// sendRecord publishes size bytes, which over TLS are one record if they fit, and waits for the acknowledgement.
func (l *link) sendRecord(topic string, size int) error {
	_ = l.SetDeadline(time.Now().Add(patience))
	defer func() { _ = l.SetDeadline(time.Time{}) }()
	if err := l.send(&mqtt.Publish{Topic: topic, QoS: mqtt.AtLeastOnce, PacketID: 1, Payload: make([]byte, size)}); err != nil {
		return err
	}
	var answer mqtt.Puback
	if err := l.await(&answer); err != nil {
		return err
	}
	if answer.ReasonCode >= 0x80 {
		return fmt.Errorf("record refused: %v", answer.ReasonCode)
	}
	return nil
}
