package load

import (
	"math/rand/v2"

	"github.com/sealmq/sealmq/mqtt"
)

// retained stores messages, each under a topic of its own, and fetches them with one subscription.
func (r *run) retained() error {
	o := r.o
	r.makeFlows(1, 1)
	begin, err := r.now() // before the login, which takes memory for a while
	if err != nil {
		return err
	}
	if err := r.openPublishers(1, mqtt.AtLeastOnce, func(int) (mqtt.Publish, func(uint32) int) {
		return mqtt.Publish{Topic: numbered(o.Prefix, "r", 0), Retain: true}, func(n uint32) int { return int(n) }
	}); err != nil {
		return err
	}
	from, err := r.now()
	if err != nil {
		return err
	}
	r.pubs[0].limit = int64(o.Count)
	r.startPublishers()
	r.sending.Wait()
	stored, err := r.now()
	if err != nil {
		return err
	}
	if err := r.pause(o.Duration); err != nil { // the memory of a broker settles
		return err
	}
	rested, err := r.now()
	if err != nil {
		return err
	}
	accepted := r.flows[0].accepted.Load()
	r.report.Figures["store_per_second"] = float64(accepted) / stored.at.Sub(from.at).Seconds()
	r.report.Figures["store_cpu_us"] = perOperation(from, stored, accepted)
	r.report.Figures["bytes_per_message"] = perThing(begin, rested, o.Count)
	if err := r.openSubscribers(1, func(int) []string { return []string{o.Prefix + "/r/#"} }); err != nil {
		return err
	}
	r.settle(accepted)
	fetched, err := r.now()
	r.window(rested, fetched, r.received())
	r.finish(func() int64 { return accepted })
	return err
}

// subscriptions opens many subscriptions and publishes to random ones of their topics, each of which has one receiver.
func (r *run) subscriptions() error {
	o := r.o
	r.makeFlows(o.Publishers, 1)
	from, err := r.now()
	if err != nil {
		return err
	}
	if err := r.openSubscribers(o.Subscribers, func(i int) (filters []string) {
		for n := i; n < o.Count; n += o.Subscribers {
			filters = append(filters, numbered(o.Prefix, "m", n))
		}
		return filters
	}); err != nil {
		return err
	}
	subscribed, err := r.now()
	if err != nil {
		return err
	}
	if err := r.pause(o.Warmup); err != nil {
		return err
	}
	rested, err := r.now()
	if err != nil {
		return err
	}
	r.report.Figures["subscribe_per_second"] = float64(o.Count) / subscribed.at.Sub(from.at).Seconds()
	r.report.Figures["subscribe_cpu_us"] = perOperation(from, subscribed, int64(o.Count))
	r.report.Figures["bytes_per_subscription"] = perThing(from, rested, o.Count)
	if err := r.openPublishers(o.Publishers, o.QoS, func(int) (mqtt.Publish, func(uint32) int) {
		return mqtt.Publish{Topic: numbered(o.Prefix, "m", 0)}, func(uint32) int { return rand.IntN(o.Count) }
	}); err != nil {
		return err
	}
	return r.measured(1)
}
