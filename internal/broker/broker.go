// Package broker is the MQTT server: connections, sessions, routing, retained messages, wills, limits and expiry. It
// owns no socket option, file or key: it declares the few things it needs in seams.go and is handed them.
//
// The way of a PUBLISH through the package, file by file: conn.go reads and frames, handle_publish.go checks and
// authorizes, deliver.go routes, client_session.go turns session effects into packets, out.go writes. See DESIGN.md.
package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/internal/retained"
	"github.com/sealmq/sealmq/internal/router"
	"github.com/sealmq/sealmq/internal/store"
)

// Broker is an MQTT server. Create it with New, start it with Start, give it listeners with Serve, end it with
// Shutdown. All methods are safe for concurrent use.
type Broker struct {
	set     atomic.Pointer[Settings]
	store   Store
	reader  StoreReader
	authn   Authenticator
	authz   Authorizer
	payload PayloadPolicy
	log     *slog.Logger
	clock   Clock
	version string
	started time.Time

	router   *router.Router[*clientSession]
	retained *retained.Tree
	sessions registry
	groups   groups
	timers   timers
	stats    stats
	flusher  flusher
	owners   owners

	refusals   [layerCount]refusals // of what clients asked for
	recorder   Recorder
	deliveries refusals // of messages that were not delivered
	recheck    recheck

	retainLimit sync.Mutex // held from the look at the limits of Retained Messages to the change; taken after retainLocks
	retainLocks stripes    // one topic's Retained Message is changed by one goroutine at a time

	lastSession atomic.Uint64
	lastBody    atomic.Uint64
	queuedBytes atomic.Int64 // of all sessions

	ctx    context.Context
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	conns     map[*conn]struct{}
	byAddress map[addressKey]int
	perListen map[string]int // connections by the listener's name
	listeners map[Listener]struct{}
	closing   bool

	starts   chan *conn // to a goroutine that waits for a new connection
	starters atomic.Int32
	grown    atomic.Int32 // clients that wait on the stack of their CONNECT

	wg sync.WaitGroup // background goroutines and connections
}

// New builds a broker from its parts. It panics when a part is missing: that is a mistake in wiring, not in input.
func New(o Options) *Broker {
	if o.Store == nil || o.Reader == nil || o.Authenticator == nil || o.Authorizer == nil || o.Log == nil || o.Clock == nil {
		panic("broker: a part is missing")
	}
	b := &Broker{
		store: o.Store, reader: o.Reader, authn: o.Authenticator, authz: o.Authorizer, payload: o.Payload,
		log: o.Log, clock: o.Clock, version: o.Version, recorder: o.Recorder,
		router:    router.New[*clientSession](router.Config{}),
		retained:  retained.New(),
		conns:     make(map[*conn]struct{}),
		byAddress: make(map[addressKey]int),
		perListen: make(map[string]int),
		listeners: make(map[Listener]struct{}),
	}
	b.set.Store(&o.Settings)
	b.sessions.init()
	b.groups.init()
	b.flusher.init()
	b.timers.wake = make(chan struct{}, 1)
	b.starts = make(chan *conn)
	b.owners.init()
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	return b
}

// Start loads what the store kept and starts the background work. It must return before the first Serve.
func (b *Broker) Start() error {
	b.started = b.clock.Now()
	session, body := b.reader.Counters()
	b.lastSession.Store(uint64(session))
	b.lastBody.Store(uint64(body))
	if err := b.restore(); err != nil {
		return err
	}
	b.wg.Go(b.runTimers)
	b.wg.Go(b.runFlusher)
	b.wg.Go(b.runSys)
	return nil
}

// Reload replaces the settings. Limits apply from now on; nothing that exists is cut down.
func (b *Broker) Reload(s Settings) { b.set.Store(&s) }

func (b *Broker) settings() *Settings { return b.set.Load() }

func (b *Broker) now() int64 { return b.clock.Now().UnixNano() }

func (b *Broker) nextSession() store.SessionID { return store.SessionID(b.lastSession.Add(1)) }

func (b *Broker) nextBody() store.BodyID { return store.BodyID(b.lastBody.Add(1)) }

// Serve accepts connections from l until l is closed or the broker shuts down, and then returns nil. name is the
// listener's name in the configuration.
func (b *Broker) Serve(l Listener, name string) error {
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		return errors.Join(errShuttingDown, l.Close())
	}
	b.listeners[l] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.listeners, l)
		b.mu.Unlock()
	}()
	var delay time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			b.accept(nc, name)
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			// Most often no file descriptor is left. Existing connections go on; new ones wait.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			b.stats.acceptErrors.Add(1)
			b.log.Warn("accept failed", "listener", name, "err", err, "retry_in", delay)
			select {
			case <-time.After(delay):
			case <-b.ctx.Done():
				return nil
			}
		}
	}
}

// Shutdown closes the listeners, tells every client that the server goes (0x8B) and waits until all is stored or ctx
// ends. Sessions stay in the store; wills of connected clients are kept there for the next start, as after a crash
// [MQTT-3.1.2-8].
func (b *Broker) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.closing = true
	listeners := b.listeners
	b.listeners = nil
	conns := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		conns = append(conns, c)
	}
	b.mu.Unlock()
	for l := range listeners {
		_ = l.Close()
	}
	for _, c := range conns {
		c.disconnect(errShuttingDown)
	}
	b.cancel(errShuttingDown)
	finished := make(chan struct{})
	go func() {
		b.wg.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		for _, c := range conns {
			c.abort(errShuttingDown)
		}
		return ctx.Err()
	}
}
