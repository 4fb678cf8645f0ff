package faults

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// ratePairs is how many publishers, each with a subscriber of its own, load the broker in twiceTheRate.
const ratePairs = 4

// twiceTheRate finds out what rate of QoS 1 messages is sustained here and now, and then offers twice as much. The
// Receive Maximum holds the publishers back; what was acknowledged must arrive, once and in order.
func twiceTheRate(o *overload, stop <-chan struct{}) func() string {
	counts := make([]counter, ratePairs)
	senders := make([]*client, ratePairs)
	for i := range senders {
		sub := o.client(fmt.Sprintf("rate-sub-%d", i), counts[i].receive)
		sub.subscribe(fmt.Sprintf("rate/%d", i), 1)
		sub.publish("ready", nil, 1, false, 50, func() {})
		sub.settle(patience)
		senders[i] = o.client(fmt.Sprintf("rate-pub-%d", i), func(*mqtt.Publish) {})
	}
	sent := make([]int, ratePairs)
	send := func(i int) bool {
		ok := senders[i].publish(fmt.Sprintf("rate/%d", i), append(payload(0, uint32(sent[i])), make([]byte, 200)...), 1, false, 50, func() {})
		if ok {
			sent[i]++
		}
		return ok
	}

	const probe = 400 * time.Millisecond
	var probed atomic.Int64
	each(func(i int) {
		for begin := time.Now(); time.Since(begin) < probe && send(i); {
			probed.Add(1)
		}
	})
	gap := time.Duration(int64(probe) * ratePairs / max(probed.Load()*2, 1)) // between the messages of one publisher

	var late atomic.Int64 // messages that were due and had to wait for an acknowledgement
	each(func(i int) {
		for due := time.Now(); ; due = due.Add(gap) {
			select {
			case <-stop:
				senders[i].settle(patience)
				return
			default:
			}
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait) // paces the load
			} else if wait < -gap {
				late.Add(1)
			}
			if !send(i) {
				return
			}
		}
	})
	return func() string {
		if late.Load() == 0 {
			return "twice the sustainable rate was sustained: it was no overload"
		}
		for i := range counts {
			if problem := counts[i].await(fmt.Sprint("subscriber ", i), sent[i]); problem != "" {
				return problem
			}
		}
		return ""
	}
}

// each runs f for every pair at once.
func each(f func(i int)) {
	var all sync.WaitGroup
	for i := range ratePairs {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
