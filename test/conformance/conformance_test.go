// Package conformance_test shows, from the outside, that the broker honours the normative statements of MQTT 5.0 and
// 3.1.1. Every test speaks raw packets to a broker in the same process and declares the statements it proves;
// docs/conformance lists them. One file per section of the standard.
//
// Most tests use loopback TCP. Those that need time to pass use pipes inside a testing/synctest bubble, where hours
// pass at once.
package conformance_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store/memstore"
	"github.com/sealmq/sealmq/internal/transport"
	"github.com/sealmq/sealmq/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Limits of the broker under test, small enough to be reached.
const (
	receiveMaximum    = 4
	topicAliasMaximum = 5
	maximumPacketSize = 128 << 10
	serverKeepAlive   = 600 // seconds
	sessionExpiryMax  = 3600
)

// server is a running broker and the way to reach it.
type server struct {
	dial func() (net.Conn, error)
}

func settings() broker.Settings {
	return broker.Settings{
		MaxClients: 100, ConnectTimeout: 10 * time.Second, MaxConnectPacket: maximumPacketSize, PacketTimeout: 30 * time.Second,
		MaxPacket: maximumPacketSize, WriteTimeout: 10 * time.Second, OutBuffer: 1 << 20,
		TopicLevels: 64, SubscriptionsPerSession: 100, FiltersPerSubscribe: 100,
		ReceiveMaximum: receiveMaximum, UnackedMessagesV3: 100, UnackedBytes: 1 << 20, SendQuota: 20,
		TopicAliasMaximum: topicAliasMaximum,
		Queue:             session.Limits{Messages: 1000, Bytes: 1 << 20, Memory: 100},
		QueueTotalBytes:   1 << 24, AckWait: time.Second,
		RetainedMessages: 100, RetainedBytes: 1 << 20, RetainedMessagesPerOwner: 100, RetainedBytesPerOwner: 1 << 20, SessionsPerOwner: 100,
		SessionExpiryMax: sessionExpiryMax, SessionExpiryV3: 7200, WillDelayMax: 3600, MessageExpiryMax: 0xFFFFFFFF,
		KeepAliveMax: serverKeepAlive,
	}
}

type clock struct{}

func (clock) Now() time.Time { return time.Now() }

// newBroker starts a broker that stops with the test.
func newBroker(t *testing.T) *broker.Broker {
	t.Helper()
	var b *broker.Broker
	store := memstore.New(memstore.Options{OnGroup: func() { b.GroupDone() }})
	b = broker.New(broker.Options{
		Settings: settings(), Store: store, Reader: store, Authenticator: login{}, Authorizer: rules{},
		Log: slog.New(slog.DiscardHandler), Clock: clock{}, Version: "test",
	})
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(b.Shutdown(ctx), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func serve(t *testing.T, b *broker.Broker, l broker.Listener) {
	var done sync.WaitGroup
	done.Go(func() {
		if err := b.Serve(l, "test"); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		done.Wait()
	})
}

// start runs a broker on a loopback port.
func start(t *testing.T) *server {
	t.Helper()
	l, err := transport.ListenLoopback(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, newBroker(t), l)
	return &server{dial: func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }}
}

// timed runs f with a broker inside a bubble of its own time.
func timed(t *testing.T, f func(t *testing.T, s *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
		serve(t, newBroker(t), l)
		f(t, &server{dial: l.dial})
	})
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	accept chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.accept <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// login accepts everybody but the user "intruder". The Authentication Method "STEPS" asks one question, whose answer is
// "yes".
type login struct{}

var errLogin = errors.New("login refused")

func (login) Authenticate(_ context.Context, _ *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	accepted := identity.Verdict{
		Outcome: identity.Accepted, Principal: identity.Principal{Method: "password", Name: "guest"}, Data: []byte("welcome"),
	}
	switch {
	case cr.Method == "STEPS":
		return identity.Verdict{Outcome: identity.Continued, Data: []byte("really?"), Next: func(answer []byte) identity.Verdict {
			if string(answer) != "yes" {
				return identity.Verdict{Cause: errLogin}
			}
			return accepted
		}}
	case cr.Method != "":
		return identity.Verdict{Failure: identity.BadMethod, Cause: errLogin}
	case cr.Username == "intruder":
		return identity.Verdict{Cause: errLogin}
	}
	accepted.Data = nil
	return accepted
}

// rules allow everything but topics below "secret" and the Client Identifier "banned".
type rules struct{}

func (rules) Authorize(_ *identity.Principal, clientID string, a identity.Action, name string) identity.Decision {
	rule := identity.Rule{Name: "test"}
	if a == identity.Connect && clientID == "banned" || strings.HasPrefix(name, "secret/") {
		return identity.Deny(rule, "test")
	}
	return identity.Allow(rule)
}

func (rules) Generation() uint64 { return 1 }

// both runs f for MQTT 3.1.1 and 5.0, each with a broker of its own.
func both(t *testing.T, f func(t *testing.T, s *server, v mqtt.Version)) {
	t.Helper()
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) { f(t, start(t), v) })
	}
}

// bothTimed is both in a bubble.
func bothTimed(t *testing.T, f func(t *testing.T, s *server, v mqtt.Version)) {
	t.Helper()
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			timed(t, func(t *testing.T, s *server) { f(t, s, v) })
		})
	}
}
