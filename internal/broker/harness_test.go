package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/memstore"
	"github.com/sealmq/sealmq/internal/transport"
	"github.com/sealmq/sealmq/mqtt"
)

// defaults are settings that no test meets by accident.
func defaults() Settings {
	return Settings{
		MaxClients: 1000, ConnectTimeout: 10 * time.Second, MaxConnectPacket: 64 << 10, PacketTimeout: 30 * time.Second,
		MaxPacket: 1 << 20, WriteTimeout: time.Minute, OutBuffer: 4 << 20,
		TopicLevels: 128, SubscriptionsPerSession: 1000, FiltersPerSubscribe: 100,
		ReceiveMaximum: 100, UnackedMessagesV3: 1000, UnackedBytes: 16 << 20, SendQuota: 100, TopicAliasMaximum: 10,
		Queue: session.Limits{Messages: 1000, Bytes: 64 << 20, Memory: 64}, QueueTotalBytes: 1 << 30,
		AckWait: 5 * time.Second, RetainedMessages: 1000, RetainedBytes: 64 << 20, RetainedMessagesPerOwner: 1000, RetainedBytesPerOwner: 64 << 20, SessionsPerOwner: 100,
		SessionExpiryMax: math.MaxUint32, SessionExpiryV3: 3600, WillDelayMax: math.MaxUint32,
		MessageExpiryMax: math.MaxUint32,
	}
}

// rig is a broker under test with the fakes around it.
type rig struct {
	t     *testing.T
	b     *Broker
	set   Settings // changed by options before the start
	store *gate
	authn *fakeAuthn
	authz *fakeAuthz
	log   *logBook
	rec   Recorder

	running atomic.Pointer[Broker] // b, for the store

	fake  bool // in a synctest bubble
	plain bool // connections in memory can only block
	mem   *memListener
	tcp   *transport.Listener
}

// option adjusts a rig before its broker starts.
type option func(*rig)

// with changes the settings.
func with(change func(*Settings)) option { return func(r *rig) { change(&r.set) } }

// bubble runs f against a broker whose clients are in memory, under the fake clock of testing/synctest. It fails when a
// goroutine outlives the broker or all of them wait for each other.
func bubble(t *testing.T, f func(r *rig), opts ...option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, opts)
		r.fake, r.mem = true, newMemListener()
		r.start(r.mem)
		defer r.stop()
		f(r)
	})
}

// loopback runs f against a broker on a real socket.
func loopback(t *testing.T, f func(r *rig), opts ...option) {
	t.Helper()
	defer goleak.VerifyNone(t)
	r := newRig(t, opts)
	l, err := transport.ListenLoopback(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	r.tcp = l
	r.start(l)
	defer r.stop()
	f(r)
}

func newRig(t *testing.T, opts []option) *rig {
	r := &rig{t: t, set: defaults(), store: &gate{}, authn: &fakeAuthn{}, authz: &fakeAuthz{}, log: &logBook{}}
	for _, o := range opts {
		o(r)
	}
	r.store.Store = memstore.New(memstore.Options{OnGroup: func() { r.running.Load().GroupDone() }})
	r.build()
	return r
}

// build makes a broker on the store.
func (r *rig) build() {
	r.b = New(Options{
		Settings: r.set, Store: r.store, Reader: r.store, Authenticator: r.authn, Authorizer: r.authz,
		Log:   slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Clock: wallClock{}, Version: "test", Recorder: r.rec,
	})
	r.running.Store(r.b)
}

// restart shuts the broker down and starts another one on the same store.
func (r *rig) restart() {
	r.t.Helper()
	r.halt()
	r.build()
	r.mem = newMemListener()
	r.start(r.mem)
}

func (r *rig) start(l Listener) {
	r.t.Helper()
	if err := r.b.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		if err := r.b.Serve(l, "test"); err != nil && !errors.Is(err, errShuttingDown) {
			r.t.Error(err)
		}
	}()
}

// stop shuts the broker down, then the store, and looks for panics in the log.
func (r *rig) stop() {
	r.t.Helper()
	r.halt()
	if err := r.store.Store.Close(); err != nil {
		r.t.Errorf("close the store: %v", err)
	}
	if n := strings.Count(r.log.String(), "panic in a connection"); n > r.log.panics {
		r.t.Errorf("%d panics, want %d:\n%s", n, r.log.panics, r.log)
	}
}

// halt shuts the broker down and leaves the store open.
func (r *rig) halt() {
	r.t.Helper()
	r.store.open()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := r.b.Shutdown(ctx); err != nil {
		r.t.Errorf("shutdown: %v", err)
	}
	if r.mem != nil {
		_ = r.mem.Close()
	}
	r.settle()
}

// settle waits until nothing moves any more, as far as that can be told.
func (r *rig) settle() {
	if r.fake {
		synctest.Wait()
	}
}

// wait lets time pass in a bubble.
func (r *rig) wait(d time.Duration) {
	if !r.fake {
		panic("time only passes by itself in a bubble")
	}
	time.Sleep(d)
	synctest.Wait()
}

// logged reports whether a line of the log contains all the words.
func (r *rig) logged(words ...string) bool {
	r.settle()
	for line := range strings.Lines(r.log.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

// rows counts what the store holds.
type rows struct{ Sessions, Retained, Wills int }

func (r *rig) rows() (n rows) {
	r.settle()
	_ = r.store.Sessions(func(store.SessionRow) error { n.Sessions++; return nil })
	_ = r.store.Retained(func(*message.Message) error { n.Retained++; return nil })
	_ = r.store.Wills(func(store.SessionID, store.Will) error { n.Wills++; return nil })
	return n
}

// wallClock is the clock of the bubble, or of the machine.
type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

// fakeAuthn lets everybody in as the principal of its user name, or of "user", unless login says otherwise.
type fakeAuthn struct {
	login func(*identity.Credentials) identity.Verdict
	waits bool // for a slot that never comes
}

func (a *fakeAuthn) Authenticate(ctx context.Context, _ *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	if a.waits {
		<-ctx.Done()
		return identity.Verdict{Failure: identity.Busy}
	}
	if a.login != nil {
		return a.login(cr)
	}
	p := identity.Principal{Method: "password", Name: "user"}
	if cr.HasUsername {
		p.Name = cr.Username
	}
	return identity.Verdict{Outcome: identity.Accepted, Principal: p}
}

// fakeAuthz allows everything that deny does not deny.
type fakeAuthz struct {
	mu         sync.Mutex
	deny       func(p *identity.Principal, clientID string, a identity.Action, topic string) bool
	generation atomic.Uint64
}

// set changes the rules.
func (z *fakeAuthz) set(deny func(p *identity.Principal, clientID string, a identity.Action, topic string) bool) {
	z.mu.Lock()
	z.deny = deny
	z.mu.Unlock()
	z.generation.Add(1)
}

func (z *fakeAuthz) Authorize(p *identity.Principal, clientID string, a identity.Action, topic string) identity.Decision {
	z.mu.Lock()
	deny := z.deny
	z.mu.Unlock()
	if deny != nil && deny(p, clientID, a, topic) {
		return identity.Deny(identity.Rule{Name: "test"}, "the test says so")
	}
	return identity.Allow(identity.Rule{Name: "test"})
}

func (z *fakeAuthz) Generation() uint64 { return z.generation.Load() }

// gate is a store whose disk can be stopped: while it is shut, batches wait in order.
type gate struct {
	*memstore.Store
	mu     sync.Mutex
	shut   bool
	queue  []func()
	refuse error                              // what Accepting says
	broken error                              // what every batch ends with, without being stored
	before atomic.Pointer[func(*store.Batch)] // called with each batch before the store has it; nil for none
}

func (g *gate) Commit(b *store.Batch, done func(error)) {
	if before := g.before.Load(); before != nil {
		(*before)(b)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.broken; err != nil {
		go done(err) // never from within Commit
		return
	}
	if g.shut {
		g.queue = append(g.queue, func() { g.Store.Commit(b, done) })
		return
	}
	g.Store.Commit(b, done)
}

func (g *gate) Accepting() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.refuse, g.Store.Accepting())
}

// fail makes every further batch end with an error; nil repairs the disk.
func (g *gate) fail(err error) { g.mu.Lock(); g.broken = err; g.mu.Unlock() }

// close stops the disk, open lets it go on.
func (g *gate) close() { g.mu.Lock(); g.shut = true; g.mu.Unlock() }

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.queue {
		f()
	}
	g.shut, g.queue = false, nil
}

// logBook keeps the log.
type logBook struct {
	mu     sync.Mutex
	text   bytes.Buffer
	panics int // expected
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}
func (l *logBook) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }

// reset forgets what was logged.
func (l *logBook) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = bytes.Buffer{}
}

// client is a scripted MQTT client: it does what the test says and nothing else.
type client struct {
	t    *testing.T
	r    *rig
	conn net.Conn
	v    mqtt.Version
	buf  []byte
	pid  mqtt.PacketID
	ack  *mqtt.Connack
}

// link says how a client reaches the broker in memory.
type link struct {
	from string // address
	size int    // bytes on the way to the client
}

// open opens a connection and sends nothing.
func (r *rig) open() *client { return r.openFrom(link{}) }

func (r *rig) openFrom(l link) *client {
	r.t.Helper()
	if l.from == "" {
		l.from = "192.0.2.2:40000"
	}
	if l.size == 0 {
		l.size = pipeSize
	}
	var nc net.Conn
	var err error
	if r.fake {
		nc, err = r.mem.dial(l.from, l.size, r.plain)
	} else {
		nc, err = (&net.Dialer{}).DialContext(r.t.Context(), "tcp", r.tcp.Addr().String())
	}
	if err != nil {
		r.t.Fatal(err)
	}
	c := &client{t: r.t, r: r, conn: nc, v: mqtt.V5}
	if !r.fake { // in a bubble the broker's end closes it
		r.t.Cleanup(func() { _ = nc.Close() })
	}
	return c
}

// setup changes a CONNECT.
type setup func(*mqtt.Connect)

func v3(p *mqtt.Connect)    { p.ProtocolVersion = mqtt.V311 }
func dirty(p *mqtt.Connect) { p.CleanStart = false }

func user(name string) setup {
	return func(p *mqtt.Connect) { p.HasUsername, p.Username = true, name }
}

func expiry(seconds uint32) setup {
	return func(p *mqtt.Connect) { p.Properties.SetSessionExpiry(seconds) }
}

func keepAlive(seconds uint16) setup { return func(p *mqtt.Connect) { p.KeepAlive = seconds } }

// withWill adds a Will with QoS 1 and payload "will".
func withWill(topic string, delay uint32) setup {
	return func(p *mqtt.Connect) {
		p.HasWill, p.Will.Topic, p.Will.Payload, p.Will.QoS = true, topic, []byte("will"), 1
		if delay > 0 {
			p.Will.Properties.SetWillDelay(delay)
		}
	}
}

// connectPacket is a CONNECT of version 5 with Clean Start.
func connectPacket(id string, opts ...setup) *mqtt.Connect {
	p := &mqtt.Connect{ProtocolVersion: mqtt.V5, CleanStart: true, ClientID: id}
	for _, o := range opts {
		o(p)
	}
	return p
}

// connect opens a connection, logs in and expects success.
func (r *rig) connect(id string, opts ...setup) *client {
	r.t.Helper()
	return r.open().login(id, opts...)
}

// login sends CONNECT and expects success.
func (c *client) login(id string, opts ...setup) *client {
	c.t.Helper()
	p := connectPacket(id, opts...)
	c.v = p.ProtocolVersion
	c.send(p)
	c.ack = expect[*mqtt.Connack](c)
	if c.ack.ReasonCode != mqtt.Success {
		c.t.Fatalf("CONNACK with %v", c.ack.ReasonCode)
	}
	return c
}

// raw sends bytes as they are. Writing to a connection that the broker has closed is not an error.
func (c *client) raw(b ...byte) {
	c.t.Helper()
	_, err := c.conn.Write(b)
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatal(err)
	}
}

// send sends packets in one write.
func (c *client) send(packets ...mqtt.Packet) {
	c.t.Helper()
	var b []byte
	for _, p := range packets {
		b = c.encode(b, p)
	}
	c.raw(b...)
}

func (c *client) encode(b []byte, p mqtt.Packet) []byte {
	c.t.Helper()
	b, err := p.Append(b, c.v)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// patience is how long a client waits for a packet: under the fake clock longer than any timer of a test, so that what
// never comes fails the test at once.
func (c *client) patience() time.Time {
	if c.r.fake {
		return time.Now().Add(240 * time.Hour)
	}
	return time.Now().Add(10 * time.Second)
}

// read returns the next packet.
func (c *client) read() (mqtt.Packet, error) {
	_ = c.conn.SetReadDeadline(c.patience())
	defer func() { _ = c.conn.SetReadDeadline(time.Time{}) }()
	var chunk [4096]byte
	for {
		h, n, err := mqtt.ParseHeader(c.buf, c.v)
		if err != nil {
			return nil, err
		}
		if end := n + h.Remaining; n > 0 && len(c.buf) >= end {
			frame := bytes.Clone(c.buf[n:end])
			c.buf = c.buf[end:]
			return mqtt.Parse(c.v, h, frame)
		}
		m, err := c.conn.Read(chunk[:])
		c.buf = append(c.buf, chunk[:m]...)
		if err != nil {
			return nil, err
		}
	}
}

// expect returns the next packet, which must be of type P.
func expect[P mqtt.Packet](c *client) P {
	c.t.Helper()
	p, err := c.read()
	if err != nil {
		c.t.Fatalf("want %v, got %v\n%s", reflect.TypeFor[P](), err, c.r.log)
	}
	want, ok := p.(P)
	if !ok {
		c.t.Fatalf("want %v, got %v %.300s", reflect.TypeFor[P](), p.Type(), fmt.Sprintf("%+v", p))
	}
	return want
}

// closed expects the end of the connection and nothing before it.
func (c *client) closed() {
	c.t.Helper()
	p, err := c.read()
	switch {
	case err == nil:
		c.t.Fatalf("want the connection closed, got %v %+v", p.Type(), p)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.t.Fatal("want the connection closed, but it stays open")
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET):
		c.t.Fatal(err)
	}
}

// ejected expects DISCONNECT with a code, for version 5, and the end of the connection.
func (c *client) ejected(code mqtt.ReasonCode) {
	c.t.Helper()
	if c.v >= mqtt.V5 {
		if p := expect[*mqtt.Disconnect](c); p.ReasonCode != code {
			c.t.Fatalf("DISCONNECT with %#x %v, want %#x", uint8(p.ReasonCode), p.ReasonCode, uint8(code))
		}
	}
	c.closed()
}

// refused expects CONNACK with a code and the end of the connection.
func (c *client) refused(code mqtt.ReasonCode) {
	c.t.Helper()
	if p := expect[*mqtt.Connack](c); p.ReasonCode != code || p.SessionPresent {
		c.t.Fatalf("CONNACK with %#x, want %#x", uint8(p.ReasonCode), uint8(code))
	}
	c.closed()
}

// quiet expects that the broker sends nothing: in a bubble until nothing moves any more, otherwise before PINGRESP.
func (c *client) quiet() {
	c.t.Helper()
	if !c.r.fake {
		c.ping()
		return
	}
	c.r.settle()
	if m, ok := c.conn.(*memConn); len(c.buf) > 0 || ok && m.in.held() > 0 {
		p, err := c.read()
		c.t.Fatalf("want nothing, got %+v %v", p, err)
	}
}

// ping expects PINGRESP as the next packet.
func (c *client) ping() {
	c.t.Helper()
	c.send(&mqtt.Pingreq{})
	expect[*mqtt.Pingresp](c)
}

// drop closes the connection without DISCONNECT.
func (c *client) drop() {
	_ = c.conn.Close()
	c.r.settle()
}

// leave disconnects in order.
func (c *client) leave() {
	c.t.Helper()
	c.send(&mqtt.Disconnect{})
	c.closed()
	c.drop()
}

// id gives the next Packet Identifier.
func (c *client) id() mqtt.PacketID { c.pid++; return c.pid }

// subscribe subscribes to filters with one QoS and expects them granted.
func (c *client) subscribe(qos mqtt.QoS, filters ...string) {
	c.t.Helper()
	p := &mqtt.Subscribe{}
	for _, f := range filters {
		p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: f, QoS: qos})
	}
	for i, code := range c.subscribed(p) {
		if code != mqtt.ReasonCode(qos) {
			c.t.Fatalf("SUBACK for %q with %#x, want QoS %d", filters[i], uint8(code), qos)
		}
	}
}

// subscribed sends SUBSCRIBE and returns the codes of its SUBACK.
func (c *client) subscribed(p *mqtt.Subscribe) []mqtt.ReasonCode {
	c.t.Helper()
	p.PacketID = c.id()
	c.send(p)
	ack := expect[*mqtt.Suback](c)
	if ack.PacketID != p.PacketID || len(ack.ReasonCodes) != len(p.Subscriptions) {
		c.t.Fatalf("SUBACK %+v for %+v", ack, p)
	}
	return ack.ReasonCodes
}

// msg is a PUBLISH in the making.
func msg(topic, payload string, qos mqtt.QoS) *mqtt.Publish {
	return &mqtt.Publish{Topic: topic, Payload: []byte(payload), QoS: qos}
}

// publish sends a message, goes through its handshake and returns the code of PUBACK or PUBREC.
func (c *client) publish(p *mqtt.Publish) mqtt.ReasonCode {
	c.t.Helper()
	if p.QoS > 0 {
		p.PacketID = c.id()
	}
	c.send(p)
	return c.confirmed(p)
}

// confirmed goes through the handshake of a message that was sent.
func (c *client) confirmed(p *mqtt.Publish) mqtt.ReasonCode {
	c.t.Helper()
	switch p.QoS {
	case mqtt.AtLeastOnce:
		ack := expect[*mqtt.Puback](c)
		c.same(p.PacketID, ack.PacketID)
		return ack.ReasonCode
	case mqtt.ExactlyOnce:
		rec := expect[*mqtt.Pubrec](c)
		c.same(p.PacketID, rec.PacketID)
		if !rec.ReasonCode.IsError() {
			c.send(&mqtt.Pubrel{PacketID: p.PacketID})
			c.same(p.PacketID, expect[*mqtt.Pubcomp](c).PacketID)
		}
		return rec.ReasonCode
	}
	return mqtt.Success
}

func (c *client) same(want, got mqtt.PacketID) {
	c.t.Helper()
	if want != got {
		c.t.Fatalf("Packet Identifier %d, want %d", got, want)
	}
}

// receive expects a message and acknowledges it to the end.
func (c *client) receive(topic, payload string) *mqtt.Publish {
	c.t.Helper()
	p := c.next(topic, payload)
	c.acknowledge(p)
	return p
}

// next expects a message and does not acknowledge it.
func (c *client) next(topic, payload string) *mqtt.Publish {
	c.t.Helper()
	p := expect[*mqtt.Publish](c)
	if p.Topic != topic || string(p.Payload) != payload {
		c.t.Fatalf("message %q on %q, want %q on %q", p.Payload, p.Topic, payload, topic)
	}
	return p
}

func (c *client) acknowledge(p *mqtt.Publish) {
	c.t.Helper()
	switch p.QoS {
	case mqtt.AtLeastOnce:
		c.send(&mqtt.Puback{PacketID: p.PacketID})
	case mqtt.ExactlyOnce:
		c.send(&mqtt.Pubrec{PacketID: p.PacketID})
		c.same(p.PacketID, expect[*mqtt.Pubrel](c).PacketID)
		c.send(&mqtt.Pubcomp{PacketID: p.PacketID})
	}
}
