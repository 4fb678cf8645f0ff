package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/internal/wiretap"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
	"github.com/sealmq/sealmq/psktls"
)

// person is how somebody connects.
type person struct {
	id        string // Client Identifier
	user      string // of the account; "" for none
	password  string // instead of the account's
	listener  int
	wire      *wiretap.Wire    // on the way; nil for none
	cert      *tls.Certificate // shown to the broker
	psk       []byte
	protector client.Protector
	cred      client.CredentialSealer
	keepAlive time.Duration
	inbox     *inbox // what comes; nil is thrown away
	change    func(*client.Config)
}

// dial connects; the client is closed with the plant.
func (p *plant) dial(ctx context.Context, who person) (*client.Client, error) {
	cfg := client.Config{
		Server: "mqtt://" + p.address(who.listener), ClientID: who.id, CleanStart: true, NoReconnect: true, TopicAliasMaximum: -1,
		ConnectTimeout: patience, KeepAlive: who.keepAlive, Protector: who.protector, Credential: who.cred, Handler: func(*client.Message) {},
	}
	if who.listener != plain {
		cfg.Server = "mqtts://" + p.address(who.listener)
	}
	if who.user != "" {
		cfg.Username = who.user
		if who.cred == nil {
			cfg.Password = []byte(p.passwords[who.user])
		}
	}
	if who.password != "" {
		cfg.Password = []byte(who.password)
	}
	if who.inbox != nil {
		cfg.Handler = func(m *client.Message) { who.inbox.add(m, nil) }
		cfg.Hooks.Rejected = who.inbox.add
	}
	cfg.Dial = p.dialer(who)
	if who.change != nil {
		who.change(&cfg)
	}
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p.open = append(p.open, closer{c})
	return c, nil
}

// closer fits a client into the list of what is closed at the end.
type closer struct{ c *client.Client }

func (c closer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = c.c.Close(ctx) // an attacker's connection may be over for many reasons
	return nil
}

func (p *plant) dialer(who person) client.DialFunc {
	return func(ctx context.Context, server *url.URL) (net.Conn, error) {
		var d net.Dialer
		dial := func() (net.Conn, error) { return d.DialContext(ctx, "tcp", server.Host) }
		if who.wire != nil {
			dial = func() (net.Conn, error) { return who.wire.Dial(nil)(ctx, server) }
		}
		c, err := dial()
		if err != nil || who.listener == plain {
			return c, err
		}
		return p.handshake(ctx, c, who)
	}
}

func (p *plant) handshake(ctx context.Context, c net.Conn, who person) (net.Conn, error) {
	if who.listener == psk {
		key := who.psk
		if key == nil {
			key = p.psk
		}
		s := psktls.Client(c, &psktls.Config{Identity: []byte("press-7"), Key: key})
		if err := s.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return s, nil
	}
	cfg := &tls.Config{RootCAs: p.roots, ServerName: "localhost", MinVersion: tls.VersionTLS13}
	if who.cert != nil {
		// Shown whatever authorities the broker names: an attacker does not keep his certificate back.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return who.cert, nil }
	}
	s := tls.Client(c, cfg)
	if err := s.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

// subscribe connects and subscribes.
func (p *plant) subscribe(ctx context.Context, who person, filter string) (*client.Client, error) {
	c, err := p.dial(ctx, who)
	if err == nil {
		_, err = c.Subscribe(ctx, mqtt.Subscription{Filter: filter, QoS: mqtt.AtLeastOnce})
	}
	return c, err
}

// event is what became of one message at a receiver.
type event struct {
	topic   string
	payload []byte
	err     error // nil: the application has it
}

// inbox collects what comes.
type inbox struct {
	mu     sync.Mutex // guards events
	events []event
}

func (b *inbox) add(m *client.Message, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, event{m.Topic, m.Payload, err})
}

func (b *inbox) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events)
}

// find returns the first event of a topic behind the first skip events.
func (b *inbox) find(topic string, skip int) (event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events[min(skip, len(b.events)):] {
		if e.topic == topic {
			return e, true
		}
	}
	return event{}, false
}

// count is how many messages of a topic came.
func (b *inbox) count(topic string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.topic == topic {
			n++
		}
	}
	return n
}

// await waits until something holds.
func await(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}

// end is how an attack ended, and what says so.
type end struct {
	succeeded bool
	layer     string
	rule      string // file and line, or what the receiver demands
	decision  string // of the broker's records
	check     string // of the receiver, where no broker decided
	why       string
}

// place is a rule as file and line, without the demo's folder.
func place(r identity.Rule) string {
	if r.File == "" {
		return r.Name
	}
	return filepath.Base(r.File) + ":" + strconv.Itoa(r.Line)
}

// keyPlace is where a key of the configuration is written.
func (p *plant) keyPlace(key string) string {
	o := p.plan.Config.Origin(key)
	return filepath.Base(o.File) + ":" + strconv.Itoa(o.Line)
}

// rulePlace is where a rule of protection is written, by its topic.
func (p *plant) rulePlace(topic string) string {
	b, err := os.ReadFile(filepath.Join(p.dir, configFile))
	if err != nil {
		return ""
	}
	for i, line := range strings.Split(string(b), "\n") {
		if strings.Contains(line, "require:") && strings.Contains(line, `"`+topic+`"`) {
			return configFile + ":" + strconv.Itoa(i+1)
		}
	}
	return ""
}

// sealedRule is the topic of the rule about sealed readings.
const sealedRule = "plant/+/sealed/#"

const second = time.Second

// refused is an end by the broker.
func refused(r *broker.Refusal) end {
	why := r.Decision.Why
	if r.Found != "" && r.Layer != broker.LayerAccess {
		why = r.Found
	}
	return end{layer: r.Layer.String(), rule: place(r.Decision.Rule), decision: r.ID, why: why}
}

// atReceiver is an end by whoever received the message.
func atReceiver(err error, demand string) end {
	e := end{layer: layerReceiver, rule: demand, check: "none", why: err.Error()}
	var r *protect.Refusal
	switch {
	case errors.As(err, &r):
		e.check, e.why = r.Reason.String(), r.Detail
	case errors.Is(err, protecting.ErrNotNew):
		e.check, e.why = protect.Duplicate.String(), "it was seen before"
	}
	e.check += " (" + checksSection + ")"
	return e
}

// checksSection is where the profile defines what a receiver checks, and in which order.
const checksSection = "docs/spec/mqtt1.md, 5"

// layerReceiver is the layer of what no broker is needed for.
const layerReceiver = "receiver"

// decide waits for one of two: the victim has the message, or somebody refused it. attacker is the Client Identifier that
// the broker's records know.
func (p *plant) decide(ctx context.Context, attacker string, victim *inbox, topic, demand string, skip int) (end, error) {
	var out end
	err := await(ctx, "the end of "+attacker, func() bool {
		if e, ok := victim.find(topic, skip); ok {
			if out = (end{succeeded: true}); e.err != nil {
				out = atReceiver(e.err, demand)
			}
			return true
		}
		if r, ok := p.node.Broker().LastRefusal(attacker); ok && r.ClientID == attacker {
			out = refused(&r)
			return true
		}
		return false
	})
	return out, err
}
