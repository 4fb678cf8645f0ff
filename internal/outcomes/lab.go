package outcomes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// patience bounds each wait for something that must happen. It is not a measure of speed.
const patience = 60 * time.Second

// Lab is three brokers on loopback, one that keeps its state in memory, one on disk, and one that has rules and keys, with the keyrings of everybody.
// Create it with Open, end it with Close. Run may be called more than once, not at the same time.
type Lab struct {
	people *people
	memory *site
	disk   *site
	field  *site // that has rules of protection and keys

	sealers map[string]*protecting.Sealing // of the publisher, by mechanism
	members map[string]*protecting.Sealing // of the member; nil where a member has no key
	forgers map[string]*protect.Sealer     // of the member in the publisher's name

	fault fault // planted by tests

	wills sync.Mutex // held by a route whose sender's Wills must come in order

	mu    sync.Mutex // guards below
	next  int        // number of the next route
	hides []string   // texts that must not be on the disk
	shows []string   // texts that are on the disk, so that looking there is worth something
}

// site is a broker and its operator, who sees all of it.
type site struct {
	node     *node.Node
	address  string
	secure   string      // address of the TLS listener; "" without one
	tls      *tls.Config // of its clients
	data     string      // folder; "" without one
	operator *client.Client
	seen     *inbox
}

// fault is a defect that tests plant, to see that a trial notices.
type fault int

const (
	noFault       fault = iota
	protectionOff       // the reader's topic demands nothing, and the broker that opens messages counts and refuses nothing
	replayOff           // the reader forgets what it has seen
)

// brokerFile is the configuration of both brokers. Nobody is refused anything: what is tried is the payload's own
// protection.
const brokerFile = `version: 1
auth: {anonymous: true}
acl: [{who: anyone, allow: all, topic: "#"}]
limits:
  sessions_per_principal: 1000000
  publish_rate: {per_client: unlimited}
  queue: {qos0_offline: true}
log: {level: error}
`

// Open starts a lab whose files are in dir.
func Open(ctx context.Context, dir string) (*Lab, error) { return openWith(ctx, dir, noFault) }

func openWith(ctx context.Context, dir string, f fault) (*Lab, error) {
	l := &Lab{fault: f, sealers: map[string]*protecting.Sealing{}, members: map[string]*protecting.Sealing{}, forgers: map[string]*protect.Sealer{}}
	err := l.open(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) open(ctx context.Context, dir string) error {
	var err error
	if l.people, err = newPeople(filepath.Join(dir, "keyrings")); err != nil {
		return err
	}
	for _, m := range Mechanisms {
		if m.broker != "" {
			continue // sealed for one connection at a time
		}
		if l.sealers[m.Name], err = m.sealing(l.people.publisher, ""); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if l.members[m.Name], err = m.sealing(l.people.member, ""); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if l.forgers[m.Name], err = l.people.forger(m); err != nil {
			return fmt.Errorf("%s: forger: %w", m.Name, err)
		}
	}
	file := filepath.Join(dir, "broker.yaml")
	if err := os.WriteFile(file, []byte(brokerFile), 0o600); err != nil {
		return err
	}
	quick := filepath.Join(dir, "memory.yaml")
	if err := os.WriteFile(quick, []byte(brokerFile+"storage: {engine: memory}\n"), 0o600); err != nil {
		return err
	}
	if l.memory, err = openSite(ctx, quick, ""); err != nil {
		return err
	}
	if l.disk, err = openSite(ctx, file, filepath.Join(dir, "data")); err != nil {
		return err
	}
	l.field, err = openField(ctx, dir, l.fault)
	return err
}

func openSite(ctx context.Context, file, data string) (*site, error) {
	flags := config.Flags{Config: file, Data: data, Dev: true, Listen: []string{"mqtt://127.0.0.1:0"}}
	plan, err := config.FromFlags(flags)
	if err != nil {
		return nil, err
	}
	s := &site{data: data, seen: newInbox()}
	if s.node, err = node.Start(ctx, plan, slog.New(slog.DiscardHandler), "lab"); err != nil {
		return nil, err
	}
	s.address = s.node.Addrs()[0].String()
	return s, s.watch(ctx, topicsOf)
}

// watch lets the operator subscribe to everything. When it fails, the broker is stopped.
func (s *site) watch(ctx context.Context, filters ...string) error {
	cfg := client.Config{
		Server: "mqtt://" + s.address, ClientID: "operator", CleanStart: true, NoReconnect: true, TopicAliasMaximum: -1,
		Handler: func(m *client.Message) { s.seen.add(m, nil) },
	}
	if s.secure != "" {
		cfg.Server, cfg.TLS = "mqtts://"+s.secure, s.tls
	}
	var err error
	if s.operator, err = client.Dial(ctx, cfg); err == nil {
		for _, f := range filters {
			if _, err = s.operator.Subscribe(ctx, mqtt.Subscription{Filter: f, QoS: mqtt.AtLeastOnce}); err != nil {
				break
			}
		}
	}
	if err != nil {
		return errors.Join(err, s.close(ctx))
	}
	return nil
}

func (s *site) close(ctx context.Context) error {
	var err error
	if s.operator != nil {
		err = s.operator.Close(ctx)
	}
	return errors.Join(err, s.node.Stop(ctx))
}

// awaitOffline returns when the broker knows that a client is gone: until then what is sent to it with QoS 0 may go down
// the old connection.
func (s *site) awaitOffline(ctx context.Context, clientID string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		info, err := s.node.Broker().Session(clientID)
		if err != nil || !info.Online {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close stops the brokers.
func (l *Lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	for _, s := range []*site{l.memory, l.disk, l.field} {
		if s != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}
	return err
}

func (l *Lab) site(m *Mechanism, c *Circumstances) *site {
	if m.broker != "" || c.Enforced {
		return l.field
	}
	if c.disk() {
		return l.disk
	}
	return l.memory
}
