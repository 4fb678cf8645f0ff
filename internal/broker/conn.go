package broker

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// conn is one Network Connection: a socket, the protocol version spoken on it, topic aliases and the bytes under way.
// Everything that survives it is in its clientSession. Fields without a lock belong to the reader goroutine, or are
// set before the connection is bound to its session and never change afterwards.
type conn struct {
	b        *Broker
	wire     Wire
	evidence identity.Evidence
	listener string
	address  addressKey
	accepted int64 // Unix nanoseconds
	maxInput int   // bytes of one packet from the client: what CONNACK says, so a reload does not change it

	// From CONNECT.
	clientID    string
	principal   *identity.Principal
	who         atomic.Pointer[identity.Principal] // the same, for Recheck
	rechecked   uint64                             // generation of Recheck when the login began
	session     *clientSession
	enhanced    *enhanced // nil without Authentication Method
	keepAlive   time.Duration
	quota       int    // the client's Receive Maximum
	maxPacket   uint32 // the client's Maximum Packet Size [MQTT-3.1.2-24]
	version     mqtt.Version
	problemInfo bool  // Reason Strings and User Properties are welcome [MQTT-3.1.2-29]
	assigned    bool  // the server chose clientID
	grown       bool  // one of Broker.grown
	badPayloads int32 // payloads refused one after the other
	discard     int32 // bytes read after the end
	fresh       bool  // the last batch had topics that the router knew no result for

	out  outBuffer
	acks ackFIFO

	replays replays
	granted granted

	aliasIn  map[uint16]string
	aliasOut aliasTable // under out's lock

	partial []byte      // start of a packet whose end has not arrived
	rate    rateLimiter // of PUBLISH

	outLimit int // bytes in out above which QoS 0 messages are dropped

	lastRead     atomic.Int64 // Unix nanoseconds
	partialSince atomic.Int64 // Unix nanoseconds; 0: no packet is incomplete
	checkAt      atomic.Int64 // when the next deadline check is scheduled
	loginEnds    atomic.Int64 // Unix nanoseconds; 0: the login does not expire
	timer        timer        // for that check
	phase        atomic.Int32
	proved       atomic.Bool // evidence is complete and does not change any more
	wantsRoom    atomic.Bool // the session waits until out has drained

	abortOnce  sync.Once
	abortCause error

	endOnce sync.Once
	ended   chan struct{} // closed when the connection is over
	cause   error         // why, set before ended is closed
}

// The phases of a connection.
const (
	awaitConnect int32 = iota
	awaitAuth
	connected
)

// accept admits a connection under the limits and starts its reader.
func (b *Broker) accept(nc net.Conn, listener string) {
	c := &conn{b: b, wire: newWire(nc), listener: listener, ended: make(chan struct{})}
	c.timer = timer{kind: timerConn, conn: c}
	c.address = keyOf(nc.RemoteAddr())
	set := b.settings()
	c.maxInput = set.MaxPacket
	own, limited := set.Listeners[listener]
	if limited {
		c.maxInput = min(c.maxInput, own.MaxPacket)
	}
	b.mu.Lock()
	reached, most, stopping := "", 0, false
	switch {
	case b.closing:
		stopping = true
	case len(b.conns) >= set.MaxClients:
		reached, most = "limits.clients", set.MaxClients
	case own.MaxClients > 0 && b.perListen[listener] >= own.MaxClients:
		reached, most = "listeners[].max_clients", own.MaxClients
	case set.MaxPerAddress > 0 && !c.address.loopback && b.byAddress[c.address] >= set.MaxPerAddress:
		reached, most = "limits.connections_per_address", set.MaxPerAddress
	default:
		b.conns[c] = struct{}{}
		b.byAddress[c.address]++
		b.perListen[listener]++
		b.wg.Add(1)
	}
	b.mu.Unlock()
	if reached != "" || stopping {
		b.stats.refusedConnections.Add(1)
		if !stopping {
			c.refuseErr(overLimit(errQuota, reached, most, "as many connections"), 0, "")
		}
		_ = nc.Close()
		return
	}
	b.stats.connections.Add(1)
	now := b.now()
	c.accepted = now
	c.lastRead.Store(now)
	c.scheduleCheck(now + int64(set.ConnectTimeout))
	b.start(c)
}

// idleStarters is how many goroutines wait for a new connection.
const idleStarters = 64

// start runs a new connection: in a goroutine that has begun others before, whose stack has the size that handshakes and
// CONNECT need, or else in a new one.
func (b *Broker) start(c *conn) {
	select {
	case b.starts <- c:
	default:
		go b.starter(c)
	}
}

// starter runs c until it ends or goes on in a goroutine of its own, and then waits for the next connection.
func (b *Broker) starter(c *conn) {
	for {
		c.run()
		if b.starters.Add(1) > idleStarters {
			b.starters.Add(-1)
			return
		}
		select {
		case c = <-b.starts:
			b.starters.Add(-1)
		case <-b.ctx.Done():
			return
		}
	}
}

// run reads until the connection ends, then cleans up. Its recover confines a panic to this connection.
//
// A client that has subscribed or pinged waits next, most often for long. It then gets a goroutine with a fresh, small
// stack: handshakes and packets need deep calls, waiting does not, and a stack that has grown stays so. One that has just
// logged in is about to say what it came for, and may wait for that as it is.
func (c *conn) run() {
	handed := false
	defer func() {
		if !handed {
			c.giveUpStack()
			c.cleanup()
			c.b.wg.Done()
		}
	}()
	defer c.recoverPanic()
	if !c.proved.Load() {
		if err := c.prove(); err != nil {
			c.abort(err)
			return
		}
	}
	err := c.wire.ReadEach(c.receive)
	switch {
	case err != nil:
		c.abort(err)
	case c.over():
		c.abort(io.EOF)
	default:
		c.giveUpStack()
		handed = true
		go c.run()
	}
}

// grownStacks is how many clients may wait on a grown stack at once. Each leaves it with its next packet that is not part
// of the flow of messages, at the latest with the next PINGREQ.
const grownStacks = 64

// keepStack lets the client wait on the stack that its CONNECT has grown, if few others do.
func (c *conn) keepStack() bool {
	if c.b.grown.Add(1) > grownStacks {
		c.b.grown.Add(-1)
		return false
	}
	c.grown = true
	return true
}

func (c *conn) giveUpStack() {
	if c.grown {
		c.grown = false
		c.b.grown.Add(-1)
	}
}

// prove finishes the transport's handshake and takes its evidence.
func (c *conn) prove() error {
	before := c.b.recheck.generation()
	if p, ok := c.wire.(Prover); ok {
		ctx := &lazyDeadline{Context: c.b.ctx, at: c.b.clock.Now().Add(c.b.settings().ConnectTimeout)}
		defer ctx.stop()
		ev, err := p.Prove(ctx)
		if err != nil {
			return err
		}
		c.evidence = *ev
	} else {
		c.evidence = identity.Evidence{Transport: "tcp"}
		c.evidence.Remote = addrPort(c.wire.RemoteAddr())
		c.evidence.Local = addrPort(c.wire.LocalAddr())
		c.evidence.Loopback = c.evidence.Remote.Addr().IsLoopback() && c.evidence.Local.Addr().IsLoopback()
	}
	c.evidence.Listener = c.listener
	c.proved.Store(true)
	return c.b.recheck.since(before, &c.evidence, nil)
}

// recoverPanic ends the connection whose goroutine panicked, and nothing else.
func (c *conn) recoverPanic() {
	if r := recover(); r != nil {
		defer c.b.recoverPanic("the end of a connection") // its Will is published there
		c.b.stats.panics.Add(1)
		c.b.log.Error("panic in a connection; it is closed, the broker goes on",
			"client", c.clientID, "remote", c.remote(), "panic", r, "stack", string(debug.Stack()))
		c.disconnect(errPanicked)
	}
}

// recoverPanic is deferred where a panic would end the broker; where says what it ends instead.
func (b *Broker) recoverPanic(where string) {
	if r := recover(); r != nil {
		b.stats.panics.Add(1)
		b.log.Error("panic in "+where+"; the broker goes on", "panic", r, "stack", string(debug.Stack()))
	}
}

// lingerBytes is how much input is read and thrown away after the end, so that closing does not reset the connection
// before the client has read why.
const lingerBytes = 256 << 10

// receive handles a batch of bytes: all complete packets in it, then one flush of every connection they touched. It wants
// no more in this goroutine after packets that are not part of the flow of messages, and after the end.
func (c *conn) receive(data []byte) (more bool) {
	if c.over() {
		c.discard += int32(len(data))
		return c.discard < lingerBytes
	}
	if data[0]>>4 == byte(mqtt.TypePublish) {
		// Sockets that become readable together wake their readers in no particular order. Letting the others go first
		// keeps a SUBSCRIBE ahead of a PUBLISH that another client has sent after it.
		runtime.Gosched()
	}
	w := c.b.getWork()
	defer w.release()
	c.lastRead.Store(w.now)
	w.tally.bytesReceived += int64(len(data))
	if len(c.partial) > 0 {
		c.partial = append(c.partial, data...)
		data = c.partial
	}
	n, err := c.packets(w, data)
	c.fresh = w.fresh
	if err == nil && c.phase.Load() == connected && c.out.pending() > 2*c.outLimit {
		// Deliveries stop long before: these are answers to somebody who does not read them.
		err = refuse(errSlowConsumer, "", "too many bytes wait for a client that sends and does not read")
	}
	if err != nil {
		c.fail(w, err)
		return true
	}
	c.keepRest(w, data[n:], n > 0)
	if len(w.touched) > 1 {
		// Other readers that are ready may have more for the same clients, and then one write takes all of it.
		runtime.Gosched()
	}
	if w.bye {
		return c.out.pending() > 0 // the client wants to read no more than that
	}
	return n == 0 || w.flow || c.over() || w.connect && c.keepStack()
}

// packets handles the complete packets at the front of data and returns their length.
func (c *conn) packets(w *work, data []byte) (n int, err error) {
	ahead := 0
	for !c.over() {
		if c.fresh && n >= ahead {
			ahead = w.lookAhead(data, n, c.version)
		}
		h, size, err := mqtt.ParseHeader(data[n:], c.version)
		if err != nil {
			return n, c.describeFirst(data, err)
		}
		if size == 0 {
			if c.phase.Load() == awaitConnect && len(data) > 0 && data[0]>>4 != byte(mqtt.TypeConnect) {
				return n, c.describeFirst(data, errNotConnect)
			}
			return n, nil
		}
		if err := c.checkHeader(h, size); err != nil {
			return n, c.describeFirst(data, err)
		}
		end := n + size + h.Remaining
		if end > len(data) {
			return n, nil
		}
		w.tally.packetsReceived++
		if err := c.handle(w, h, data[n+size:end:end], data[n:end:end]); err != nil {
			return n, err
		}
		n = end
	}
	return n, nil
}

// checkHeader refuses, before anything is kept, a packet that is too large or out of place [MQTT-3.1.0-1].
func (c *conn) checkHeader(h mqtt.Header, size int) error {
	set := c.b.settings()
	limit := c.maxInput
	if c.phase.Load() == awaitConnect {
		if h.Type != mqtt.TypeConnect {
			return errNotConnect
		}
	}
	if c.phase.Load() != connected {
		limit = min(limit, set.MaxConnectPacket)
	}
	if size+h.Remaining > limit {
		key := "limits.packet"
		switch {
		case limit < c.maxInput:
			key = "limits.connect_packet"
		case limit < set.MaxPacket:
			key = "listeners[].max_packet"
		}
		return overLimit(errTooLarge, key, limit, strconv.Itoa(size+h.Remaining)+" bytes")
	}
	return nil
}

// keepRest keeps an incomplete packet. The memory grows with what has arrived, never with what was announced.
func (c *conn) keepRest(w *work, rest []byte, fresh bool) {
	if len(rest) == 0 {
		c.partial = nil
		c.partialSince.Store(0)
		return
	}
	if fresh || len(c.partial) == 0 { // otherwise rest is all that was kept before, already in place
		c.partial = append(c.partial[:0], rest...)
	}
	if fresh || c.partialSince.Load() == 0 {
		c.partialSince.Store(w.now)
		if c.phase.Load() == connected {
			c.scheduleCheck(w.now + int64(c.b.settings().PacketTimeout))
		}
	}
}

// handle dispatches one packet. An error ends the connection with the reason code of reasonOf.
func (c *conn) handle(w *work, h mqtt.Header, body, whole []byte) error {
	switch c.phase.Load() {
	case awaitConnect:
		return c.handleConnect(w, h, body)
	case awaitAuth:
		return c.handleAuthBeforeConnack(w, h, body)
	}
	switch h.Type {
	case mqtt.TypePublish:
		w.flow = true
		return c.handlePublish(w, h, body, len(whole))
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		w.flow = true
		return c.handleAck(w, h, body)
	case mqtt.TypeSubscribe:
		return c.handleSubscribe(w, h, body)
	case mqtt.TypeUnsubscribe:
		return c.handleUnsubscribe(w, h, body)
	case mqtt.TypePingreq:
		return c.handlePingreq(w, h, body)
	case mqtt.TypeDisconnect:
		return c.handleDisconnect(w, h, body)
	case mqtt.TypeAuth:
		return c.handleAuth(w, h, body)
	case mqtt.TypeConnect:
		return refuse(errProtocol, "MQTT-3.1.0-2", "second connect")
	default:
		return refuse(errProtocol, "", h.Type.String()+" from a client")
	}
}

func (c *conn) handlePingreq(w *work, h mqtt.Header, body []byte) error {
	var p mqtt.Pingreq
	if err := p.Parse(c.version, h.Flags, body); err != nil {
		return err
	}
	c.append(w, func(dst []byte) []byte { return append(dst, byte(mqtt.TypePingresp)<<4, 0) }) // [MQTT-3.12.4-1]
	return nil
}

// over reports whether the connection has ended.
func (c *conn) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// remote is the peer's address for logs.
func (c *conn) remote() string {
	if c.proved.Load() && c.evidence.Remote.IsValid() {
		return c.evidence.Remote.String()
	}
	if a := c.wire.RemoteAddr(); a != nil {
		return a.String()
	}
	return "unknown"
}

// addressKey is what connections are counted by: an IPv4 address, or an IPv6 /64.
type addressKey struct {
	network  uint64
	version  uint8 // 4 or 6; 0 for Unix sockets: all count as one
	loopback bool  // this machine's own, where everything may come from one address
}

func keyOf(a net.Addr) addressKey {
	ip := addrPort(a).Addr().Unmap()
	switch {
	case ip.Is4():
		b := ip.As4()
		return addressKey{uint64(binary.BigEndian.Uint32(b[:])), 4, ip.IsLoopback()}
	case ip.Is6():
		b := ip.As16()
		return addressKey{binary.BigEndian.Uint64(b[:8]), 6, ip.IsLoopback()}
	default:
		return addressKey{}
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	if a == nil {
		return netip.AddrPort{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return ap
}
