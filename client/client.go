package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// Client is an MQTT client. Create it with New or Dial, end it with Close.
type Client struct {
	cfg     *settings
	epoch   time.Time // zero point of the times kept in links
	inbox   chan *Message
	life    context.Context // ends when the owner closes the client
	end     context.CancelFunc
	stopped chan struct{} // closed when the client does nothing any more
	stats   counters

	// Of the reader, of which there is one at a time:
	ackIn  mqtt.Puback
	recIn  mqtt.Pubrec
	relIn  mqtt.Pubrel
	compIn mqtt.Pubcomp

	mu         sync.Mutex // guards everything below
	started    bool
	over       bool   // stopped, or about to be: nothing is accepted any more
	err        error  // why it is over
	link       *link  // the present connection, nil between two
	connected  signal // closed while there is a connection
	goodbye    *mqtt.Disconnect
	clientID   string // as configured, or as the server assigned it
	hadSession bool   // there has been a connection
	connack    mqtt.Connack
	out        outbound
	in         inbound
	granted    map[string]subscription
	grants     uint64
	renewals   int // subscriptions asked for again and not answered
	reauth     AuthExchange
	reauthDone chan struct{}
	finished   []*pending // for unlock
	scratch    mqtt.Publish
	puback     mqtt.Puback
	pubrec     mqtt.Pubrec
}

// signal is a channel that is closed while something holds.
type signal chan struct{}

type counters struct {
	received, dropped, rejected, connects atomic.Uint64
}

// Stats are counters since the start.
type Stats struct {
	Received uint64 // messages that came, without QoS 2 repetitions
	Dropped  uint64 // QoS 0 messages dropped under OverflowDrop
	Rejected uint64 // messages that Protector.Open refused
	Connects uint64 // successful connections
}

// New validates the configuration, makes it complete, and loads the Session from the Store. It connects to nothing:
// call Connect or Start.
func New(cfg Config) (*Client, error) {
	s, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: s, epoch: time.Now(), clientID: s.ClientID,
		inbox:     make(chan *Message, s.InboundBuffer),
		stopped:   make(chan struct{}),
		connected: make(signal),
		granted:   make(map[string]subscription),
		out:       outbound{inflight: make(map[mqtt.PacketID]*pending), maxQueued: s.QueueMessages, maxBytes: s.QueueBytes},
		in:        inbound{received: make(map[mqtt.PacketID]*received)},
	}
	c.life, c.end = context.WithCancel(context.Background())
	if err := c.restore(); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// Dial is New and Connect.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.Connect(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

var errStarted = errors.New("client was started before")

// Connect makes one attempt to connect. If it succeeds, the client keeps the connection alive until Close; if not, the
// client is of no more use, and the error is a *ConnectError, a *ConnackError or ErrPlaintextPassword.
func (c *Client) Connect(ctx context.Context) error {
	if err := c.start(); err != nil {
		return err
	}
	conn, err := c.establish(ctx)
	if err != nil {
		c.shutdown(err)
		return err
	}
	c.mu.Lock()
	attached := c.connected
	c.mu.Unlock()
	go c.run(conn)
	select {
	case <-attached:
	case <-c.stopped:
	}
	return nil
}

// Start connects in the background and keeps trying. It returns at once.
func (c *Client) Start() error {
	if err := c.start(); err != nil {
		return err
	}
	go c.run(nil)
	return nil
}

func (c *Client) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return c.closedError()
	}
	if c.started {
		return errStarted
	}
	c.started = true
	if c.cfg.Handler != nil {
		go c.deliver()
	}
	return nil
}

// WaitConnected returns as soon as there is a connection.
func (c *Client) WaitConnected(ctx context.Context) error {
	c.mu.Lock()
	connected := c.connected
	c.mu.Unlock()
	select {
	case <-connected:
		return nil
	case <-c.stopped:
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run connects and reconnects until the client is closed or an error is final.
func (c *Client) run(conn *connection) {
	var err error
	failures := 0
	for {
		if conn == nil {
			conn, err = c.establish(c.life)
		}
		if conn != nil {
			began := time.Now()
			err = c.serve(conn)
			conn = nil
			if time.Since(began) > c.cfg.Reconnect.Max {
				failures = 0 // a server that closes again at once is not asked again at once
			}
		}
		if c.life.Err() != nil {
			err = ErrClosed
		}
		if c.life.Err() != nil || c.cfg.NoReconnect || c.cfg.Reconnect.Stop(err) {
			break
		}
		failures++
		delay := c.cfg.Reconnect.delay(failures)
		if c.cfg.Hooks.Disconnected != nil {
			c.cfg.Hooks.Disconnected(err, delay)
		}
		select {
		case <-time.After(delay):
		case <-c.life.Done():
		}
	}
	c.shutdown(err)
}

// serve runs one connection to its end and returns why it ended.
func (c *Client) serve(conn *connection) error {
	l := conn.link
	now := c.sinceEpoch()
	l.lastRead.Store(now)
	l.lastWrite.Store(now)
	if c.cfg.Hooks.Connected != nil {
		c.cfg.Hooks.Connected(conn.ack)
	}
	var err error
	if !c.sessionPresent(conn.ack) {
		err = c.forget()
	}
	if err == nil {
		err = c.attach(conn)
	}
	if err != nil {
		l.fail(err)
	}
	var loops sync.WaitGroup
	loops.Go(func() { c.writeLoop(l) })
	loops.Go(func() {
		err := c.readLoop(l)
		c.apologize(l, err)
		l.fail(err)
	})
	c.watch(l)
	c.mu.Lock()
	l.wake.Broadcast()
	c.mu.Unlock()
	loops.Wait()
	c.detach(l)
	return l.err
}

// apologize tells the server which rule it broke, as far as there is a code for it [MQTT-4.13.1-1]. The packet goes out
// on its own: the writer may be in the middle of another, and then it is left out.
func (c *Client) apologize(l *link, err error) {
	var broken *mqtt.Error
	if l.v != mqtt.V5 || !errors.As(err, &broken) || !broken.Code.ValidIn(mqtt.TypeDisconnect) {
		return
	}
	c.mu.Lock()
	idle := !l.busy() && !l.closed()
	if idle {
		l.muted = true
	}
	c.mu.Unlock()
	if idle {
		_ = l.conn.SetWriteDeadline(time.Now().Add(lingerTime))
		_ = c.send(l, &mqtt.Disconnect{ReasonCode: broken.Code})
	}
}

// attach makes a connection the present one and continues the Session on it.
func (c *Client) attach(conn *connection) error {
	c.stats.connects.Add(1)
	c.mu.Lock()
	defer c.unlock()
	l, ack := conn.link, conn.ack
	if ack.Properties.Has(mqtt.PropAssignedClientID) {
		c.clientID = ack.Properties.AssignedClientID
	}
	c.connack = mqtt.Connack{SessionPresent: ack.SessionPresent, ReasonCode: ack.ReasonCode, Properties: ack.Properties.Clone()}
	c.hadSession = true
	c.in.acks.clear()
	c.link = l
	close(c.connected)
	if !ack.SessionPresent || c.renewals > 0 {
		if err := c.subscribeAgain(l); err != nil {
			return err
		}
	}
	if err := c.resume(l, c.sessionPresent(ack)); err != nil {
		return err
	}
	if c.goodbye != nil { // closed while connecting
		return c.leave(l)
	}
	c.pump()
	return nil
}

// sessionPresent reports whether the server has the Session. MQTT 3.1 has no flag for it: a server that was asked for
// the Session is taken to have it, and the subscriptions are asked for again all the same.
//
// A client that finds a Session it did not expect would have to close the connection [MQTT-3.2.2-4]; here it asked for
// that Session by its Client Identifier without Clean Start, so it takes its own half to be empty and goes on.
func (c *Client) sessionPresent(ack *mqtt.Connack) bool {
	return ack.SessionPresent || c.cfg.Version == mqtt.V31 && !c.cfg.CleanStart
}

// forget discards the receiving half of a Session that the server does not have, before the connection is used.
func (c *Client) forget() error {
	c.mu.Lock()
	ids := slices.Collect(maps.Keys(c.in.received))
	clear(c.in.received)
	c.mu.Unlock()
	if c.cfg.Store == nil {
		return nil
	}
	for _, id := range ids {
		if err := c.cfg.Store.Delete(Key{Received, id}); err != nil {
			return fmt.Errorf("session store: delete received packet %d: %w", id, err)
		}
	}
	return nil
}

// detach takes the connection away. QoS 0 messages that were not written are lost with it.
func (c *Client) detach(l *link) {
	c.mu.Lock()
	if c.link != nil {
		c.link = nil
		c.connected = make(signal)
	}
	c.reauth, c.reauthDone = nil, nil
	for _, p := range l.written {
		c.finish(p, ErrConnectionLost)
	}
	l.written, l.out = nil, nil
	for id, p := range c.out.inflight {
		if p.abandoned || p.again {
			delete(c.out.inflight, id)
		}
	}
	c.out.wake() // Flush looks again
	c.unlock()
}

const filtersPerSubscribe = 64

// subscribeAgain asks for all granted subscriptions, in their order. mu is held.
func (c *Client) subscribeAgain(l *link) error {
	c.renewals = 0
	subs := slices.SortedFunc(maps.Values(c.granted), func(a, b subscription) int { return cmp.Compare(a.order, b.order) })
	for len(subs) > 0 {
		n := 1
		for n < min(len(subs), filtersPerSubscribe) && subs[n].properties.Present == 0 && subs[0].properties.Present == 0 {
			n++
		}
		p := newPending()
		p.again = true
		q := &mqtt.Subscribe{Properties: subs[0].properties}
		for _, s := range subs[:n] {
			q.Subscriptions = append(q.Subscriptions, s.Subscription)
		}
		p.request = q
		if err := c.out.allocate(p); err != nil {
			return err
		}
		q.PacketID = p.id
		if err := l.append(q); err != nil {
			return fmt.Errorf("subscribe again: %w", err)
		}
		p.stage = stageSent
		c.renewals++
		subs = subs[n:]
	}
	return nil
}

// Close sends a DISCONNECT after what is in the write buffer and ends the client: the server does not publish the
// Will. Messages that are not acknowledged yet end with ErrClosed; call Flush before to wait for them. When ctx ends
// first, the connection is cut. Close may be called more than once, and by a Handler.
func (c *Client) Close(ctx context.Context) error { return c.Disconnect(ctx, new(mqtt.Disconnect)) }

// Disconnect is Close with a reason code, such as DisconnectWithWill, and properties, such as another Session Expiry
// Interval (MQTT 5). nil is a normal disconnection.
func (c *Client) Disconnect(ctx context.Context, d *mqtt.Disconnect) error {
	if d == nil {
		d = new(mqtt.Disconnect)
	}
	c.mu.Lock()
	if !c.started {
		c.started = true
		c.mu.Unlock()
		c.end()
		c.shutdown(ErrClosed)
		return nil
	}
	l := c.link
	var err error
	if c.goodbye == nil && !c.over {
		c.goodbye = d
		if l != nil {
			err = c.leave(l)
		}
	}
	c.mu.Unlock()
	c.end()
	if err != nil {
		l.fail(err)
	}
	select {
	case <-c.stopped:
		return err
	case <-ctx.Done():
	}
	c.mu.Lock()
	l = c.link
	c.mu.Unlock()
	if l != nil {
		l.fail(context.Cause(ctx))
	}
	<-c.stopped
	return fmt.Errorf("disconnect: %w", context.Cause(ctx))
}

// leave appends the DISCONNECT, after which nothing is sent [MQTT-3.14.4-2]. mu is held.
func (c *Client) leave(l *link) error {
	if err := l.append(c.goodbye); err != nil {
		return err
	}
	l.draining = true
	return nil
}

// shutdown ends everything that waits, with the reason.
func (c *Client) shutdown(err error) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.over, c.err = true, err
	reason := c.closedError()
	for c.out.atMost.len() > 0 {
		c.finish(c.out.atMost.pop(), reason)
	}
	unfinished := slices.SortedFunc(maps.Values(c.out.inflight), func(a, b *pending) int { return cmp.Compare(a.seq, b.seq) })
	var ended []*pending
	for _, p := range unfinished {
		if p.stage != stageFinished && p.stage != stageAdmitted {
			p.stage, p.err = stageFinished, reason
			c.out.remove(p)
			ended = append(ended, p)
		}
	}
	c.out.assured.clear()
	c.out.wake()
	c.unlock()
	for _, p := range ended {
		p.complete() // not settled: what is in the store stays there for the next client
	}
	c.end()
	close(c.stopped)
}

// closedError says why nothing is accepted. mu is held.
func (c *Client) closedError() error {
	if c.err == nil || errors.Is(c.err, ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, c.err)
}

// Done returns a channel that is closed when the client has stopped for good.
func (c *Client) Done() <-chan struct{} { return c.stopped }

// Err returns nil while the client works, ErrClosed after Close, and otherwise why it stopped.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		return nil
	}
	return c.err
}

// ClientID returns the Client Identifier in use; empty until the server has assigned one.
func (c *Client) ClientID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clientID
}

// Connack returns the server's answer to the latest successful connection, with its limits.
func (c *Client) Connack() mqtt.Connack {
	c.mu.Lock()
	defer c.mu.Unlock()
	ack := c.connack
	ack.Properties = c.connack.Properties.Clone()
	return ack
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	return Stats{
		Received: c.stats.received.Load(), Dropped: c.stats.dropped.Load(),
		Rejected: c.stats.rejected.Load(), Connects: c.stats.connects.Load(),
	}
}

// sinceEpoch is the monotonic time in nanoseconds.
func (c *Client) sinceEpoch() int64 { return int64(time.Since(c.epoch)) }
