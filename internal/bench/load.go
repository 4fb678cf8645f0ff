package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

// Load says how a broker of any make is loaded.
type Load struct {
	Kind     LoadKind
	Config   client.Config // how to reach the broker and log in; identifiers are added
	Clients  int
	Rate     float64 // operations of all clients together in a second; 0: as fast as it goes
	Size     int     // bytes of a payload
	QoS      mqtt.QoS
	Topic    string        // Pub and Pipe: the prefix of each client's topic; Sub: the filter
	Warmup   time.Duration // not counted
	Duration time.Duration
	// Progress is told once a second what the counters say.
	Progress func(s Summary)
}

// LoadKind is what is done.
type LoadKind string

// The kinds.
const (
	Conn LoadKind = "conn" // connect, and disconnect again
	Pub  LoadKind = "pub"  // publish
	Sub  LoadKind = "sub"  // subscribe and count
	Pipe LoadKind = "pipe" // each client publishes to itself: time of a whole way, what is lost and what comes twice
)

// leastPipe is the payload of a pipe: number and time.
const leastPipe = 16

// drain is how long messages under way are waited for at the end.
const drain = 5 * time.Second

// Summary is what came of it.
type Summary struct {
	Kind       LoadKind `json:"kind"`
	Clients    int      `json:"clients"`
	Seconds    float64  `json:"seconds"` // counted
	Operations int64    `json:"operations"`
	Rate       float64  `json:"per_second"`
	Bytes      int64    `json:"payload_bytes"`
	Failed     int64    `json:"failed"`
	FirstError string   `json:"first_error,omitempty"`
	P50        float64  `json:"p50_ms"` // -1 where there is no time to measure
	P99        float64  `json:"p99_ms"`
	Longest    float64  `json:"max_ms"`
	Sent       int64    `json:"sent,omitempty"`     // pipe, since the beginning
	Received   int64    `json:"received,omitempty"` // pipe, each once
	Lost       int64    `json:"lost"`
	Duplicated int64    `json:"duplicated"`
}

// Errors of a Load.
var (
	ErrPipeSize = fmt.Errorf("a pipe needs payloads of at least %d bytes", leastPipe)
	ErrNobody   = errors.New("no client could connect")
)

// RunLoad loads a broker until its time is over or ctx ends, and says what came of it. The error is one of the set-up:
// what fails later is counted.
func RunLoad(ctx context.Context, o *Load) (*Summary, error) {
	if o.Kind == Pipe && o.Size < leastPipe {
		return nil, ErrPipeSize
	}
	r := &load{o: o}
	if o.Kind != Conn {
		if err := r.connect(ctx); err != nil {
			return nil, err
		}
		defer r.leave()
	}
	work, stop := context.WithTimeout(ctx, o.Warmup+o.Duration)
	defer stop()
	var workers sync.WaitGroup
	if o.Kind != Sub {
		for i := range o.Clients {
			workers.Go(func() { r.work(ctx, work, i) })
		}
	}
	r.watch(work)
	seconds := time.Since(r.begun()).Seconds()
	workers.Wait()
	if o.Kind == Pipe {
		r.settle(ctx)
	}
	s := r.summary(seconds)
	if o.Kind == Conn && s.Operations == 0 && s.Failed > 0 {
		return nil, fmt.Errorf("%w: %s", ErrNobody, s.FirstError)
	}
	return s, nil
}

// load is a run under way.
type load struct {
	o       *Load
	pairs   []*pair
	counts  atomic.Pointer[tally] // replaced when the warm-up is over
	started atomic.Pointer[time.Time]
	first   atomic.Pointer[string] // error
}

// tally is what is counted in one phase.
type tally struct {
	operations, bytes, failed atomic.Int64
	times                     timing
}

// pair is one client with its messages.
type pair struct {
	c          *client.Client
	topic      string
	sent       atomic.Int64
	mu         sync.Mutex
	last       int64 // guarded by mu: the highest number received
	received   int64 // guarded by mu: each once
	duplicated int64 // guarded by mu
}

func (r *load) begun() time.Time { return *r.started.Load() }

func (r *load) fail(err error) {
	text := err.Error()
	r.first.CompareAndSwap(nil, &text)
	r.counts.Load().failed.Add(1)
}

// connect opens all clients; those that receive subscribe.
func (r *load) connect(ctx context.Context) error {
	r.begin()
	for i := range r.o.Clients {
		p := &pair{topic: fmt.Sprintf("%s/%d", r.o.Topic, i)}
		cfg := r.config(i)
		cfg.Handler = func(m *client.Message) { r.arrived(p, m) }
		var err error
		if p.c, err = client.Dial(ctx, cfg); err != nil {
			r.leave()
			return err
		}
		r.pairs = append(r.pairs, p)
		filter := ""
		switch r.o.Kind {
		case Sub:
			filter = r.o.Topic
		case Pipe:
			filter = p.topic
		}
		if filter != "" {
			if _, err := p.c.Subscribe(ctx, mqtt.Subscription{Filter: filter, QoS: r.o.QoS}); err != nil {
				r.leave()
				return err
			}
		}
	}
	return nil
}

func (r *load) config(i int) client.Config {
	cfg := r.o.Config
	if cfg.ClientID != "" {
		cfg.ClientID = fmt.Sprintf("%s-%d", cfg.ClientID, i)
	}
	cfg.CleanStart = true
	return cfg
}

func (r *load) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range r.pairs {
		all.Go(func() { _ = p.c.Close(ctx) })
	}
	all.Wait()
}

// begin starts counting anew.
func (r *load) begin() {
	now := time.Now()
	r.counts.Store(new(tally))
	r.started.Store(&now)
}

// watch ends the warm-up and reports progress, until the time is over.
func (r *load) watch(ctx context.Context) {
	if r.counts.Load() == nil {
		r.begin()
	}
	warm := time.NewTimer(r.o.Warmup)
	defer warm.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-warm.C:
			r.begin()
		case <-tick.C:
			if r.o.Progress != nil {
				r.o.Progress(*r.summary(time.Since(r.begun()).Seconds()))
			}
		case <-ctx.Done():
			return
		}
	}
}

// work repeats one client's operation at its share of the rate until ctx ends. An operation that has begun is brought to its
// end, unless all ends.
func (r *load) work(all, ctx context.Context, i int) {
	var pace <-chan time.Time
	if r.o.Rate > 0 {
		t := time.NewTicker(time.Duration(float64(time.Second) * float64(r.o.Clients) / r.o.Rate))
		defer t.Stop()
		pace = t.C
	}
	for r.counts.Load() == nil && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	for n := int64(1); ctx.Err() == nil; n++ {
		if pace != nil {
			select {
			case <-pace:
			case <-ctx.Done():
				return
			}
		}
		start := time.Now()
		var err error
		one, cancel := context.WithTimeout(all, patience)
		if r.o.Kind == Conn {
			err = r.connectOnce(one, i)
		} else {
			err = r.publish(one, r.pairs[i], n)
		}
		cancel()
		c := r.counts.Load()
		switch {
		case all.Err() != nil:
			return
		case err != nil:
			r.fail(err)
			if r.o.Kind != Conn && r.pairs[i].c.Err() != nil {
				return // it is closed for good
			}
		case r.o.Kind != Pipe: // a pipe counts what arrives
			c.operations.Add(1)
			c.bytes.Add(int64(r.o.Size))
			if r.o.Kind == Conn || r.o.QoS > 0 {
				c.times.add(time.Since(start))
			}
		}
	}
}

func (r *load) connectOnce(ctx context.Context, i int) error {
	cfg := r.config(i)
	cfg.NoReconnect = true
	c, err := client.Dial(ctx, cfg)
	if err == nil {
		_ = c.Close(ctx) // what it was for is done
	}
	return err
}

func (r *load) publish(ctx context.Context, p *pair, n int64) error {
	payload := make([]byte, r.o.Size)
	if r.o.Size >= leastPipe {
		binary.BigEndian.PutUint64(payload, uint64(n))
		binary.BigEndian.PutUint64(payload[8:], uint64(time.Now().UnixNano()))
	}
	p.sent.Store(n)
	return p.c.Publish(ctx, &client.Message{Topic: p.topic, Payload: payload, QoS: r.o.QoS})
}

// arrived counts an inbound message.
func (r *load) arrived(p *pair, m *client.Message) {
	c := r.counts.Load()
	if r.o.Kind == Pipe {
		if len(m.Payload) != r.o.Size || m.Topic != p.topic {
			return
		}
		n, at := int64(binary.BigEndian.Uint64(m.Payload)), int64(binary.BigEndian.Uint64(m.Payload[8:]))
		p.mu.Lock()
		twice := n <= p.last
		if twice {
			p.duplicated++
		} else {
			p.last = n
			p.received++
		}
		p.mu.Unlock()
		if twice {
			return
		}
		c.times.add(time.Duration(time.Now().UnixNano() - at))
	}
	c.operations.Add(1)
	c.bytes.Add(int64(len(m.Payload)))
}

// settle waits for messages under way.
func (r *load) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	for ctx.Err() == nil && r.missing() > 0 {
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *load) missing() (n int64) {
	for _, p := range r.pairs {
		p.mu.Lock()
		n += p.sent.Load() - p.received
		p.mu.Unlock()
	}
	return n
}

func (r *load) summary(seconds float64) *Summary {
	c := r.counts.Load()
	s := &Summary{
		Kind: r.o.Kind, Clients: r.o.Clients, Seconds: seconds, Operations: c.operations.Load(), Bytes: c.bytes.Load(), Failed: c.failed.Load(),
		P50: c.times.percentile(50), P99: c.times.percentile(99), Longest: c.times.percentile(100),
	}
	if seconds > 0 {
		s.Rate = float64(s.Operations) / seconds
	}
	if first := r.first.Load(); first != nil {
		s.FirstError = *first
	}
	if r.o.Kind == Pipe {
		for _, p := range r.pairs {
			p.mu.Lock()
			s.Sent, s.Received, s.Duplicated = s.Sent+p.sent.Load(), s.Received+p.received, s.Duplicated+p.duplicated
			p.mu.Unlock()
		}
		s.Lost = s.Sent - s.Received
	}
	return s
}
