package broker

import (
	"sync"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/router"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// work is the scratch memory of one goroutine while it handles one batch of input or events: parsed packets, effects,
// encoded frames and the list of connections to flush. It is borrowed for the batch, so a connection at rest holds none.
type work struct {
	b       *Broker
	now     int64        // Unix nanoseconds, read once for the batch
	tally   tally        // of the batch so far
	flow    bool         // the batch has packets of messages: more will come soon
	connect bool         // the batch has let the client in
	bye     bool         // the batch ends with the client's DISCONNECT
	hello   mqtt.Connect // until CONNECT is answered
	connack mqtt.Connack
	publish mqtt.Publish
	puback  mqtt.Puback
	pubrec  mqtt.Pubrec
	pubrel  mqtt.Pubrel
	pubcomp mqtt.Pubcomp
	arrival message.Arrival // the PUBLISH that the payload policy is asked about
	fx      session.Effects // of a session's messages on their way out
	inbound session.Effects // and in
	touched []*conn
	out     outgoing // the message being routed
	entry   outgoing // the queue entry being sent
	plain   []byte   // payload of that entry, if it rests sealed
	props   []byte
	frames  [4]frame // QoS 0 copies: MQTT 3 or 5, RETAIN 0 or 1
	pending []pending
	room    router.Room[*clientSession] // of the message being routed
	fresh   bool                        // the batch had a topic that the router knew no result for
	ahead   [router.Ahead][]byte        // topics of the packets that come next
	read    uint64
}

// frame is an encoded PUBLISH that several receivers share.
type frame struct {
	bytes []byte
	valid bool
}

// pending is a queue entry that may be sent once its batch is in the store's hands.
type pending struct {
	s   *clientSession
	ord store.Ord
}

var works = sync.Pool{New: func() any { return new(work) }}

func (b *Broker) getWork() *work {
	w := works.Get().(*work)
	w.b, w.now, w.flow, w.connect, w.bye, w.fresh = b, b.now(), false, false, false, false
	return w
}

// touch puts c on the list of connections to flush; only the goroutine that marked its buffer does so.
func (w *work) touch(c *conn) { w.touched = append(w.touched, c) }

// flush writes to every connection the batch has touched, once each. What it leads to has been counted before.
func (w *work) flush() {
	w.count()
	for i := 0; i < len(w.touched); i++ { // flushing may touch more
		w.touched[i].flush()
	}
	clear(w.touched)
	w.touched = w.touched[:0]
}

// count adds what the batch has counted to the broker's counters.
func (w *work) count() {
	if w.tally != (tally{}) {
		w.b.stats.add(&w.tally)
		w.tally = tally{}
	}
}

// release ends the batch: flush, then give the memory back.
func (w *work) release() {
	w.flush()
	w.count()        // flushing may have sent more
	clear(w.pending) // empty, unless a panic came in between
	w.pending = w.pending[:0]
	w.room.Clear()
	w.out, w.entry, w.arrival, w.b = outgoing{}, outgoing{}, message.Arrival{}, nil
	works.Put(w)
}

// prepare sets the message to be encoded from a parsed PUBLISH.
func (w *work) prepare(p *mqtt.Publish) {
	w.props = message.AppendForwarded(w.props[:0], &p.Properties)
	w.out = outgoing{topic: p.Topic, payload: p.Payload, props: w.props}
	if p.Properties.Has(mqtt.PropMessageExpiry) {
		w.out.expiry, w.out.hasExpiry = p.Properties.MessageExpiry, true
	}
	for i := range w.frames {
		w.frames[i].valid = false
	}
}

// frame returns the QoS 0 copy that all plain receivers of a version and RETAIN flag share.
func (w *work) frame(v mqtt.Version, retain bool) []byte {
	i := 0
	f := copyFor{version: mqtt.V311, retain: retain}
	if v >= mqtt.V5 {
		i, f.version = 2, mqtt.V5
	}
	if retain {
		i++
	}
	fr := &w.frames[i]
	if !fr.valid {
		fr.bytes = w.out.appendTo(fr.bytes[:0], &f)
		fr.valid = true
	}
	return fr.bytes
}

var batches = sync.Pool{New: func() any { return new(store.Batch) }}

func getBatch() *store.Batch { return batches.Get().(*store.Batch) }

func putBatch(b *store.Batch) {
	b.Reset()
	if cap(b.Ops) <= 256 {
		batches.Put(b)
	}
}

// entryOf sets the message that sendOwn encodes.
func (w *work) entryOf(m *message.Message) { w.entry.of(m, w.now) }
