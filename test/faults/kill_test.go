package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

const (
	publishers = 16
	window     = 20
	patience   = 30 * time.Second
)

// run is one series of rounds over one data folder.
type run struct {
	t      *testing.T
	rng    *rand.Rand
	server *server

	pubs []*publisher
	subs []*subscriber

	restarts time.Duration
}

// publisher sends numbered messages and remembers which the broker has taken.
type publisher struct {
	*client
	index int
	qos   mqtt.QoS

	mu       sync.Mutex
	next     uint32
	acked    map[uint32]bool
	retained uint32 // last number sent as a retained message; all are acknowledged at the end of a round
}

// subscriber records every receipt.
type subscriber struct {
	*client
	qos    mqtt.QoS
	always bool // online during the load; otherwise only afterwards

	mu    sync.Mutex
	got   [publishers]map[uint32]int // how often each message arrived
	first [publishers][]uint32       // first receipts in their order
	wills map[string]int
	news  chan struct{}
}

func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes; run without -short")
	}
	rounds := envInt(t, "SEALMQ_FAULT_ROUNDS", 4)
	seed := uint64(envInt(t, "SEALMQ_FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("seed %d (repeat with SEALMQ_FAULT_SEED)", seed)
	r := &run{t: t, rng: rand.New(rand.NewPCG(seed, 1)), server: newServer(t)}
	r.setUp()
	for i := range rounds {
		r.round(i)
	}
	r.report(rounds)
}

func envInt(t *testing.T, name string, def int) int {
	v := os.Getenv(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// setUp starts the broker once, so that every session and subscription exists before the first kill.
func (r *run) setUp() {
	r.server.start()
	for i := range publishers {
		v := mqtt.V311
		if i%2 == 1 {
			v = mqtt.V5
		}
		p := &publisher{client: newClient(fmt.Sprintf("pub-%d", i), v), index: i, acked: make(map[uint32]bool)}
		p.qos = mqtt.QoS(1 + i/2%2)
		p.receive = func(*mqtt.Publish) {}
		r.pubs = append(r.pubs, p)
	}
	for i, s := range []*subscriber{
		{client: newClient("offline-q2", mqtt.V311), qos: 2},
		{client: newClient("offline-q1", mqtt.V5), qos: 1},
		{client: newClient("online-q2", mqtt.V5), qos: 2, always: true},
		{client: newClient("online-q1", mqtt.V311), qos: 1, always: true},
	} {
		s.news = make(chan struct{}, 1)
		s.wills = make(map[string]int)
		for j := range s.got {
			s.got[j] = make(map[uint32]int)
		}
		s.receive = s.record
		r.subs = append(r.subs, s)
		r.must(s.connect(r.server.addr))
		s.subscribe("f/#", s.qos)
		s.subscribe("w/#", s.qos)
		s.client.publish("f/setup", nil, 1, false, window, func() {})
		if !s.settle(patience) { // SUBSCRIBE was sent before, so it is done
			r.t.Fatalf("subscriber %d does not settle", i)
		}
		s.disconnect()
	}
	r.server.kill()
}

func (r *run) must(_ bool, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (s *subscriber) record(p *mqtt.Publish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(p.Payload) == 8 && p.Topic[0] == 'f':
		who, seq := parsePayload(p.Payload)
		if s.got[who][seq]++; s.got[who][seq] == 1 {
			s.first[who] = append(s.first[who], seq)
		}
	case p.Topic[0] == 'w':
		s.wills[string(append([]byte(nil), p.Payload...))]++
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// round is: load, kill at a random moment, restart, let everybody finish, check.
func (r *run) round(n int) {
	r.server.start()
	for _, s := range r.subs {
		if s.always {
			r.must(s.connect(r.server.addr))
		}
	}
	wills := r.connectWills(n)
	var load sync.WaitGroup
	for _, p := range r.pubs {
		r.must(p.connect(r.server.addr))
		load.Go(p.send)
	}
	time.Sleep(time.Duration(30+r.rng.IntN(400)) * time.Millisecond) // the moment of the kill is the experiment
	r.server.kill()
	load.Wait()
	for _, c := range append(wills, r.connected()...) {
		c.wait()
	}
	r.restarts += r.server.start()
	r.finish(n)
	r.check(n)
	r.server.kill()
	for _, c := range r.connected() {
		c.wait()
	}
}

func (r *run) connected() []*client {
	var list []*client
	for _, p := range r.pubs {
		list = append(list, p.client)
	}
	for _, s := range r.subs {
		if s.closed != nil {
			list = append(list, s.client)
		}
	}
	return list
}

// connectWills opens connections whose Will the kill must bring out: of sessions that end with their connection, and of
// durable ones.
func (r *run) connectWills(n int) []*client {
	var list []*client
	for i := range 4 {
		v := mqtt.V311
		if i%2 == 1 {
			v = mqtt.V5
		}
		c := newClient(fmt.Sprintf("will-%d-%d", n, i), v)
		c.clean = i < 2
		c.receive = func(*mqtt.Publish) {}
		c.will = &mqtt.Will{Topic: "w/" + c.id, Payload: []byte(c.id), QoS: mqtt.ExactlyOnce}
		r.must(c.connect(r.server.addr))
		list = append(list, c)
	}
	return list
}

// send publishes until the connection ends.
func (p *publisher) send() {
	for p.sendOne() {
	}
}

func (p *publisher) sendOne() bool {
	p.mu.Lock()
	seq := p.next
	p.next++
	p.mu.Unlock()
	acked := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.acked[seq] = true
	}
	if !p.publish(fmt.Sprintf("f/%d", p.index), payload(p.index, seq), p.qos, false, window, acked) {
		p.mu.Lock()
		p.next-- // it was never sent
		p.mu.Unlock()
		return false
	}
	if seq%50 != 49 {
		return true
	}
	if !p.publish(fmt.Sprintf("r/%d", p.index), payload(p.index, seq), p.qos, true, window, func() {}) {
		return false
	}
	p.retained = seq
	return true
}

// finish lets the publishers send again what was not acknowledged, and the subscribers fetch what they have missed.
func (r *run) finish(n int) {
	for _, p := range r.pubs {
		r.must(p.connect(r.server.addr))
	}
	for _, p := range r.pubs {
		if !p.settle(patience) {
			r.t.Fatalf("round %d: publisher %d does not settle", n, p.index)
		}
	}
	for _, s := range r.subs {
		present, err := s.connect(r.server.addr)
		r.must(present, err)
		if !present {
			r.t.Fatalf("round %d: the session of %s is gone", n, s.id)
		}
	}
	for _, s := range r.subs {
		if missing := s.await(r, n); missing != "" {
			r.t.Errorf("round %d: %s lost %s", n, s.id, missing)
		}
		if !s.always {
			s.disconnect()
		}
	}
}

// await returns when the subscriber has everything, or says what is missing.
func (s *subscriber) await(r *run, n int) string {
	deadline := time.After(patience)
	for {
		missing := s.missing(r, n)
		if missing == "" {
			return ""
		}
		select {
		case <-s.news:
		case <-deadline:
			return missing
		}
	}
}

func (s *subscriber) missing(r *run, n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range r.pubs {
		p.mu.Lock()
		for seq := range p.acked {
			if s.got[p.index][seq] == 0 {
				p.mu.Unlock()
				return fmt.Sprintf("message %d of publisher %d, which was acknowledged", seq, p.index)
			}
		}
		p.mu.Unlock()
	}
	for i := range 4 {
		if id := fmt.Sprintf("will-%d-%d", n, i); s.wills[id] == 0 {
			return "the Will of " + id
		}
	}
	return ""
}

// check looks at what was received and how often.
func (r *run) check(n int) {
	for _, s := range r.subs {
		s.mu.Lock()
		for _, p := range r.pubs {
			for i := 1; i < len(s.first[p.index]); i++ {
				if a, b := s.first[p.index][i-1], s.first[p.index][i]; a > b {
					r.t.Errorf("round %d: %s first received message %d of publisher %d after %d", n, s.id, b, p.index, a)
				}
			}
			if s.qos == 2 && p.qos == 2 {
				for seq, times := range s.got[p.index] {
					if times != 1 {
						r.t.Errorf("round %d: %s received QoS 2 message %d of publisher %d %d times", n, s.id, seq, p.index, times)
					}
				}
			}
		}
		for id, times := range s.wills { // with QoS 1 a message may come again
			if s.qos == 2 && times != 1 {
				r.t.Errorf("round %d: %s received the Will of %s %d times", n, s.id, id, times)
			}
		}
		s.mu.Unlock()
	}
	r.checkRetained(n)
}

// checkRetained asks for the retained messages: each is the last that its publisher got acknowledged.
func (r *run) checkRetained(n int) {
	c := newClient(fmt.Sprintf("retained-%d", n), mqtt.V5)
	c.clean = true
	got := make(map[int]uint32)
	done := make(chan struct{})
	var once sync.Once
	c.receive = func(p *mqtt.Publish) {
		if p.Topic == "done" {
			once.Do(func() { close(done) })
			return
		}
		who, seq := parsePayload(p.Payload)
		got[who] = seq
	}
	r.must(c.connect(r.server.addr))
	c.subscribe("r/#", 0)
	c.subscribe("done", 0)
	c.publish("done", []byte("x"), 0, false, window+1, func() {})
	select {
	case <-done:
	case <-time.After(patience):
		r.t.Fatalf("round %d: no answer about retained messages", n)
	}
	c.disconnect()
	for _, p := range r.pubs {
		if p.retained != 0 && got[p.index] != p.retained {
			r.t.Errorf("round %d: retained message of publisher %d is %d, the last acknowledged is %d", n, p.index, got[p.index], p.retained)
		}
	}
}

func (r *run) report(rounds int) {
	acked, received, again := 0, 0, 0
	for _, p := range r.pubs {
		acked += len(p.acked)
	}
	for _, s := range r.subs {
		for i := range s.got {
			for _, times := range s.got[i] {
				received++
				again += times - 1
			}
		}
	}
	r.t.Logf("%d rounds: %d messages acknowledged, %d first receipts at %d subscribers, %d repeated with QoS 1, restart %v on average",
		rounds, acked, received, len(r.subs), again, (r.restarts / time.Duration(rounds)).Round(time.Millisecond))
}
