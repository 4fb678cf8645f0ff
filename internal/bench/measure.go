package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
)

// Options say how much is measured.
type Options struct {
	Rounds   int // each figure is the median of so many rounds; its spread is their range
	Connects int // connections of one round
	Messages int // messages of one round
	Idle     int // connections that are open at once for their memory; 0 leaves it out
	Size     int // bytes of a payload
	// Progress is told what is measured now.
	Progress func(what string, done, all int)
}

// byteSamples is how many connections and messages the bytes are taken from.
const byteSamples = 5

// warmUp is how many operations go before a measurement.
const warmUp = 3

const topic = "r/bench/reading"

// Run measures every mechanism. dir is an empty folder for what is needed. Rounds go through all mechanisms, so that a
// machine that becomes slower or faster meanwhile shows in the spread and not in the order.
func Run(ctx context.Context, dir string, launch Launcher, o Options) (*Result, error) {
	l, err := openLab(ctx, dir, launch)
	if err != nil {
		return nil, err
	}
	r, err := l.costs(ctx, &o)
	if stop := l.broker.Stop(); err == nil {
		err = stop
	}
	if err == nil && o.Idle > 0 {
		err = l.memories(ctx, dir, launch, &o, r)
	}
	if err != nil {
		return nil, err
	}
	o.progress("", 1, 1)
	r.conclude()
	return r, nil
}

// costs measures everything but memory.
func (l *lab) costs(ctx context.Context, o *Options) (*Result, error) {
	r := newResult(o)
	others := l.others()
	connecting, messaging := make([]*connectSeries, len(Connecting)), make([]*messageSeries, len(Messaging))
	for i, m := range Connecting {
		connecting[i] = &connectSeries{l: l, m: m}
	}
	for i, m := range Messaging {
		messaging[i] = &messageSeries{l: l, m: m}
		defer messaging[i].close()
	}
	for round := range o.Rounds + 1 { // the first one warms up, and counts bytes
		for i, c := range connecting {
			o.progress("connecting: "+c.m.Title, round, o.Rounds+1)
			if err := c.round(ctx, round, o); err != nil {
				return nil, fmt.Errorf("%s: %w", Connecting[i].Title, err)
			}
		}
		for i, m := range messaging {
			o.progress("a message: "+m.m.Title, round, o.Rounds+1)
			if err := m.round(ctx, round, o); err != nil {
				return nil, fmt.Errorf("%s: %w", Messaging[i].Title, err)
			}
		}
	}
	for _, c := range connecting {
		r.Connecting = append(r.Connecting, c.row())
	}
	for _, m := range messaging {
		r.Messaging = append(r.Messaging, m.row())
	}
	r.Others = others()
	return r, nil
}

// others begins to look at what the processors of the machine do. The function it returns says which share of their time other
// programs than the two under measurement had since then; -1 if it is not known.
func (l *lab) others() func() float64 {
	busy, all, known := machineCPU()
	broker, ok := processCPU(l.broker.PID)
	own := ownCPU()
	return func() float64 {
		busyNow, allNow, _ := machineCPU()
		brokerNow, _ := processCPU(l.broker.PID)
		if !known || !ok || allNow <= all {
			return -1
		}
		mine := ownCPU() - own + brokerNow - broker
		return max(0, float64(busyNow-busy-mine)/float64(allNow-all))
	}
}

func (o *Options) progress(what string, done, all int) {
	if o.Progress != nil {
		o.Progress(what, done, all)
	}
}

// series are the rounds of one mechanism.
type series struct {
	traffic                Traffic
	client, broker, middle []float64
	took                   []time.Duration
}

func (s *series) add(u usage, took []time.Duration) {
	s.client, s.broker = append(s.client, u.client), append(s.broker, u.broker)
	s.middle = append(s.middle, median(took))
	s.took = append(s.took, took...)
}

// connectSeries measures one way to log in.
type connectSeries struct {
	series
	l *lab
	m *Mechanism
}

func (c *connectSeries) round(ctx context.Context, round int, o *Options) (err error) {
	if round == 0 {
		if c.traffic, err = c.l.connectBytes(ctx, c.m); err != nil {
			return err
		}
		return c.l.connects(ctx, c.m, warmUp, nil)
	}
	var took []time.Duration
	u, err := c.l.usage(o.Connects, func() error { return c.l.connects(ctx, c.m, o.Connects, &took) })
	c.add(u, took)
	return err
}

func (c *connectSeries) row() ConnectRow {
	return ConnectRow{
		Mechanism: *c.m, Traffic: c.traffic, ClientCPU: figure(c.client), BrokerCPU: figure(c.broker), Latency: figure(c.middle),
		LatencyP99: percentile(c.took, 99), Memory: -1,
	}
}

// connectBytes takes what the client counts and refuses it when the tap in between counts something else. The smallest of
// a few connections is taken: signatures of ECDSA differ in length by a few bytes.
func (l *lab) connectBytes(ctx context.Context, m *Mechanism) (Traffic, error) {
	var best Traffic
	for i := range byteSamples {
		t, err := l.connectOnce(ctx, m)
		if err != nil {
			return Traffic{}, err
		}
		if i == 0 || t.Up+t.Down < best.Up+best.Down {
			best = t
		}
	}
	return best, nil
}

func (l *lab) connectOnce(ctx context.Context, m *Mechanism) (Traffic, error) {
	tap, err := NewTap(l.broker.Addresses[m.listener])
	if err != nil {
		return Traffic{}, err
	}
	defer tap.Close() //nolint:errcheck // only counts
	d, err := l.dial(ctx, m, tap, nil)
	if err != nil {
		return Traffic{}, err
	}
	defer d.leave()
	own, seen := d.traffic.read(), tap.Traffic()
	if own.Up != seen.Up || own.Down != seen.Down {
		return Traffic{}, fmt.Errorf("the client counts %d and %d bytes, the wire %d and %d", own.Up, own.Down, seen.Up, seen.Down)
	}
	return own, nil
}

func (l *lab) connects(ctx context.Context, m *Mechanism, n int, took *[]time.Duration) error {
	for range n {
		start := time.Now()
		d, err := l.dial(ctx, m, nil, nil)
		if err != nil {
			return err
		}
		if took != nil {
			*took = append(*took, time.Since(start))
		}
		d.leave()
	}
	return nil
}

// usage is the processor time of one operation on both sides, in microseconds; -1 where it is not known.
type usage struct{ client, broker float64 }

func (l *lab) usage(n int, do func() error) (usage, error) {
	runtime.GC() // what went before is not this round's
	before, known := processCPU(l.broker.PID)
	own := ownCPU()
	if err := do(); err != nil {
		return usage{}, err
	}
	u := usage{perOperation(ownCPU()-own, n), -1}
	if own == 0 {
		u.client = -1
	}
	if after, ok := processCPU(l.broker.PID); ok && known {
		u.broker = perOperation(after-before, n)
	}
	return u, nil
}

func perOperation(d time.Duration, n int) float64 {
	return float64(d.Nanoseconds()) / 1000 / float64(n)
}

// memories finds out what an idle connection keeps resident in a broker: the growth of a fresh one with many of them open.
// That broker collects its garbage eagerly, so that what grows is what is kept.
func (l *lab) memories(ctx context.Context, dir string, launch Launcher, o *Options, r *Result) error {
	for i, m := range Connecting {
		if m.login == password || m.use == keyring.UseP1 {
			continue // checking the password takes so much memory that a connection is lost in it; it keeps what one without keeps
		}
		o.progress("memory: "+m.Title, i, len(Connecting))
		file, err := writeConfig(dir, fmt.Sprintf("idle-%d", i))
		if err != nil {
			return err
		}
		if l.broker, err = launch(ctx, file, true); err != nil {
			return err
		}
		r.Connecting[i].Memory, err = l.memory(ctx, m, o.Idle)
		if stop := l.broker.Stop(); err == nil {
			err = stop
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.Title, err)
		}
	}
	return nil
}

// memory opens some connections first, so that what the broker makes once is not counted.
func (l *lab) memory(ctx context.Context, m *Mechanism, n int) (float64, error) {
	var open []*dialled
	defer func() {
		for _, d := range open {
			d.leave()
		}
	}()
	more := func(n int) error {
		for range n {
			d, err := l.dial(ctx, m, nil, nil)
			if err != nil {
				return err
			}
			open = append(open, d)
		}
		return nil
	}
	if err := more(max(1, n/4)); err != nil {
		return 0, err
	}
	before, ok := processMemory(l.broker.PID)
	if err := more(n); err != nil || !ok {
		return -1, err
	}
	after, _ := processMemory(l.broker.PID)
	return max(0, float64(after-before)/float64(n)), nil
}

// messageSeries measures one way to protect a message.
type messageSeries struct {
	series
	l          *lab
	m          *Mechanism
	d          *dialled
	payload    []byte
	seal, open []float64
	sealing    *protecting.Sealing
	opening    *protecting.Opening
}

func (m *messageSeries) close() {
	if m.d != nil {
		m.d.leave()
	}
}

// prepare counts the bytes and connects the client of all rounds.
func (m *messageSeries) prepare(ctx context.Context, o *Options) error {
	m.payload = make([]byte, o.Size)
	for i := range m.payload {
		m.payload[i] = 'a' + byte(i%26)
	}
	p, err := m.l.protector(m.m)
	if err != nil {
		return err
	}
	if m.traffic, err = m.l.messageBytes(ctx, m.m, p, m.payload); err != nil {
		return err
	}
	if m.d, err = m.l.dial(ctx, m.m, nil, p); err != nil {
		return err
	}
	if m.m.level != protecting.LevelNone {
		if m.sealing, err = m.l.sealer(m.m); err != nil {
			return err
		}
		require := protecting.OpenOptions{Require: m.m.level.Requirement(), Clock: time.Now, Checksum: checksumOf(m.m.level)}
		if m.opening, err = protecting.NewOpening(m.l.reader, require); err != nil {
			return err
		}
		if _, _, err = m.seals(o.Messages); err != nil {
			return err
		}
	}
	return publish(ctx, m.d, m.payload, o.Messages/4+1, nil)
}

func (m *messageSeries) round(ctx context.Context, round int, o *Options) error {
	if round == 0 {
		return m.prepare(ctx, o)
	}
	var took []time.Duration
	u, err := m.l.usage(o.Messages, func() error { return publish(ctx, m.d, m.payload, o.Messages, &took) })
	m.add(u, took)
	if err != nil || m.sealing == nil {
		return err
	}
	seal, open, err := m.seals(o.Messages)
	m.seal, m.open = append(m.seal, seal), append(m.open, open)
	return err
}

// seals measures sealing and opening alone, without a network, in microseconds.
func (m *messageSeries) seals(n int) (seal, open float64, err error) {
	sealed := make([][]byte, n)
	runtime.GC()
	start := cpuOrTime()
	for i := range sealed {
		if sealed[i], err = m.sealing.Seal(topic, m.payload, false); err != nil {
			return 0, 0, err
		}
	}
	seal = perOperation(cpuOrTime()-start, n)
	receiver := protecting.Protector{Receive: m.opening}
	runtime.GC()
	start = cpuOrTime()
	for i := range sealed {
		if err := receiver.Open(&client.Message{Topic: topic, Payload: sealed[i]}); err != nil {
			return 0, 0, fmt.Errorf("open what was sealed: %w", err)
		}
	}
	return seal, perOperation(cpuOrTime()-start, n), nil
}

func (m *messageSeries) row() MessageRow {
	return MessageRow{
		Mechanism: *m.m, Traffic: m.traffic, Seal: figure(m.seal), Open: figure(m.open), ClientCPU: figure(m.client), BrokerCPU: figure(m.broker),
		Latency: figure(m.middle), LatencyP99: percentile(m.took, 99),
	}
}

func publish(ctx context.Context, d *dialled, payload []byte, n int, took *[]time.Duration) error {
	for range n {
		start := time.Now()
		if err := d.Publish(ctx, &client.Message{Topic: topic, Payload: payload, QoS: mqtt.AtLeastOnce}); err != nil {
			return err
		}
		if took != nil {
			*took = append(*took, time.Since(start))
		}
	}
	return nil
}

// messageBytes takes the bytes of single messages, each with its acknowledgement, as the client and the wire count them.
func (l *lab) messageBytes(ctx context.Context, m *Mechanism, p client.Protector, payload []byte) (out Traffic, err error) {
	tap, err := NewTap(l.broker.Addresses[m.listener])
	if err != nil {
		return out, err
	}
	defer tap.Close() //nolint:errcheck // only counts
	d, err := l.dial(ctx, m, tap, p)
	if err != nil {
		return out, err
	}
	defer d.leave()
	// What TLS sends after the handshake arrives with the first answer.
	if err := publish(ctx, d, payload, 1, nil); err != nil {
		return out, err
	}
	for range byteSamples {
		own, seen := d.traffic.read(), tap.Traffic()
		if err := publish(ctx, d, payload, 1, nil); err != nil {
			return out, err
		}
		own, seen = d.traffic.read().minus(own), tap.Traffic().minus(seen)
		if own.Up != seen.Up || own.Down != seen.Down {
			return out, fmt.Errorf("the client counts %d and %d bytes, the wire %d and %d", own.Up, own.Down, seen.Up, seen.Down)
		}
		out = own
	}
	return out, nil
}

// protector seals as the device does.
func (l *lab) protector(m *Mechanism) (client.Protector, error) {
	if m.level == protecting.LevelNone {
		return nil, nil
	}
	s, err := l.sealer(m)
	return &protecting.Protector{Publish: s, Will: s}, err
}

func (l *lab) sealer(m *Mechanism) (*protecting.Sealing, error) {
	o := protecting.SealOptions{Level: m.level, Keys: m.keys, To: m.to}
	if len(m.keys)+len(m.to) > 0 {
		o.Clock = time.Now
	}
	return protecting.NewSealing(l.device, o)
}

var started = time.Now()

// cpuOrTime is the processor time of this process, or, where that is not known, the time that has passed.
func cpuOrTime() time.Duration {
	if c := ownCPU(); c != 0 {
		return c
	}
	return time.Since(started)
}

// median of some times, in milliseconds.
func median(d []time.Duration) float64 { return percentile(d, 50) }

// percentile of some times by the nearest rank, in milliseconds; -1 without any.
func percentile(d []time.Duration, p int) float64 {
	if len(d) == 0 {
		return -1
	}
	sorted := slices.Clone(d)
	slices.Sort(sorted)
	rank := max(0, (p*len(sorted)+99)/100-1)
	return float64(sorted[rank].Microseconds()) / 1000
}
