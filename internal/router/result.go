package router

import (
	"sync/atomic"

	"github.com/sealmq/sealmq/mqtt"
)

// Result is who matches a topic. It is immutable and may be shared by any number of goroutines; nobody may change what
// its slices hold.
type Result[S comparable] struct {
	// Targets has each subscriber with a matching plain filter exactly once, in no particular order.
	Targets []Target[S]
	// Shared has each matching shared subscription; one member of each gets the message, MQTT 5 §4.8.2.
	Shared []*Group[S]

	verdict atomic.Pointer[verdict]
	passing bool // it lies in a Room
}

// verdict is what the router's user decided about the Targets.
type verdict struct {
	generation uint64
	allowed    []bool
}

// Kept reports whether the Result is in the cache, or was to be.
func (r *Result[S]) Kept() bool { return !r.passing }

// Verdict returns what SetVerdict has kept under the same generation. The slice must not be changed.
func (r *Result[S]) Verdict(generation uint64) (allowed []bool, ok bool) {
	v := r.verdict.Load()
	if v == nil || v.generation != generation {
		return nil, false
	}
	return v.allowed, true
}

// SetVerdict keeps which of the Targets may receive the topic (nil: all) with the Result, for as long as the user's
// generation lasts; with a Result that nobody will meet again it does nothing. It is safe for concurrent use; the last
// caller wins.
func (r *Result[S]) SetVerdict(generation uint64, allowed []bool) {
	if !r.passing {
		r.verdict.Store(&verdict{generation, allowed})
	}
}

// Target is one subscriber with the options of all its matching plain filters merged, so that it gets one copy of the
// message.
type Target[S comparable] struct {
	Subscriber        S
	QoS               mqtt.QoS // the highest of the filters [MQTT-3.3.4-2]
	RetainAsPublished bool     // whether any of the filters asks for it
	// SubscriptionIDs has the identifiers of all the filters, ascending, each value once [MQTT-3.3.4-3]
	// [MQTT-3.3.4-4].
	SubscriptionIDs []uint32
	// Local holds instead of the four above when the subscriber is the publisher: filters with No Local have dropped
	// out [MQTT-3.8.3-3]. Nil when no filter has No Local: then nothing differs.
	Local *Local
}

// Local is what is left of a Target when its subscriber is the publisher itself.
type Local struct {
	None              bool // every filter has No Local: the subscriber gets nothing
	QoS               mqtt.QoS
	RetainAsPublished bool
	SubscriptionIDs   []uint32
}
