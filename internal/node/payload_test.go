package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/pkitest"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// discard is a log that nobody reads.
var discard = slog.New(slog.DiscardHandler)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// sealedNode is a broker with a plaintext and a TLS listener, its keyring and its rules.
type sealedNode struct {
	testing.TB
	n    *Node
	plan *config.Plan
	dir  string
	keys *keyring.Dir
	pki  *pkitest.PKI

	auth       string // section of the file
	more       string // further sections
	protection string // section of the file, as last written
}

// newSealedNode makes the files of a broker; rules are what stands below protection, recs the keys of the broker.
func newSealedNode(t testing.TB, protection string, recs ...*keyring.Record) *sealedNode {
	t.Helper()
	s := &sealedNode{TB: t, dir: t.TempDir(), pki: pkitest.New(t), auth: "auth: {anonymous: true}"}
	s.pki.Server()
	var err error
	if s.keys, err = keyring.Create(filepath.Join(s.dir, "keys"), keyring.Secret{}); err != nil {
		t.Fatal(err)
	}
	s.add(recs...)
	s.write(protection)
	s.start()
	return s
}

func (s *sealedNode) add(recs ...*keyring.Record) {
	s.Helper()
	if err := s.keys.Add(recs...); err != nil {
		s.Fatal(err)
	}
}

func (s *sealedNode) write(protection string) {
	s.Helper()
	s.protection = protection
	text := fmt.Sprintf(`version: 1
listeners:
  - {name: local, bind: "127.0.0.1:0"}
  - {name: lan, bind: "127.0.0.1:0", tls: {cert: %[1]s/server.crt, key: %[1]s/server.key}}
%[2]s
%[3]s
groups: {operators: ["method:anonymous"]}
acl:
  - {who: anyone, allow: all, topic: "#"}
  - {who: anyone, allow: subscribe, topic: "$quarantine/#"}
keys: {dir: keys}
protection:
`, s.pki.Dir, s.auth, s.more)
	for _, line := range strings.Split(strings.TrimSpace(protection), "\n") {
		text += "  " + line + "\n"
	}
	if err := os.WriteFile(filepath.Join(s.dir, "sealmq.yaml"), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// load reads the configuration, with durable sessions for everybody.
func (s *sealedNode) load() (*config.Plan, error) {
	plan, err := config.FromFlags(config.Flags{Config: filepath.Join(s.dir, "sealmq.yaml"), Dev: true})
	var invalid *config.Invalid
	if errors.As(err, &invalid) {
		return nil, errors.New(invalid.Report())
	}
	return plan, err
}

func (s *sealedNode) start() {
	s.Helper()
	plan, err := s.load()
	if err != nil {
		s.Fatal(err)
	}
	s.plan = plan
	if s.n, err = Start(context.Background(), plan, slog.New(slog.NewTextHandler(s.Output(), nil)), "test"); err != nil {
		s.Fatal(err)
	}
	n := s.n
	s.Cleanup(func() {
		if s.n == n {
			s.stop()
		}
	})
}

func (s *sealedNode) stop() {
	s.Helper()
	n := s.n
	s.n = nil
	stop(s, n)
}

// reload applies what is in the files now.
func (s *sealedNode) reload() error {
	plan, _, err := s.plan.Reload()
	if err != nil {
		return err
	}
	if err := s.n.Reload(plan); err != nil {
		return err
	}
	s.plan = plan
	return nil
}

// dial connects a client; encrypted chooses the listener.
func (s *sealedNode) dial(id string, v mqtt.Version, encrypted bool, change ...func(*client.Config)) *client.Client {
	s.Helper()
	c, err := s.tryDial(id, v, encrypted, change...)
	if err != nil {
		s.Fatal(err)
	}
	return c
}

func (s *sealedNode) tryDial(id string, v mqtt.Version, encrypted bool, change ...func(*client.Config)) (*client.Client, error) {
	s.Helper()
	cfg := client.Config{
		Server: "mqtt://" + s.n.Addrs()[0].(*net.TCPAddr).String(), ClientID: id, Version: v, CleanStart: true, NoReconnect: true,
	}
	if encrypted {
		pool := x509.NewCertPool()
		pool.AddCert(s.pki.Cert)
		cfg.Server, cfg.TLS = "mqtts://"+s.n.Addrs()[1].(*net.TCPAddr).String(), &tls.Config{RootCAs: pool}
	}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Dial(ctx, cfg)
	if err == nil {
		s.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = c.Close(ctx)
		})
	}
	return c, err
}

// keep makes the session of a client last.
func keep(cfg *client.Config) {
	cfg.CleanStart = false
	cfg.Properties.SetSessionExpiry(10000)
}

func (s *sealedNode) subscribe(c *client.Client, qos mqtt.QoS, filters ...string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var subs []mqtt.Subscription
	for _, f := range filters {
		subs = append(subs, mqtt.Subscription{Filter: f, QoS: qos, RetainAsPublished: true})
	}
	codes, err := c.Subscribe(ctx, subs...)
	if err != nil {
		s.Fatal(err)
	}
	for _, code := range codes {
		if code.IsError() {
			s.Fatalf("subscribe: %v", code)
		}
	}
}

// send publishes and returns the reason code of the refusal, Success without one.
func (s *sealedNode) send(c *client.Client, m *client.Message) mqtt.ReasonCode {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := c.Publish(ctx, m)
	var refused *client.PublishError
	switch {
	case err == nil:
		return mqtt.Success
	case errors.As(err, &refused):
		return refused.Code
	}
	s.Fatalf("publish: %v", err)
	return 0
}

// receive returns the next message.
func (s *sealedNode) receive(c *client.Client) *client.Message {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := c.Receive(ctx)
	if err != nil {
		s.Fatalf("receive: %v", err)
	}
	return m
}

// nothing shows that a client has got nothing: a marker sent after everything else arrives first.
func (s *sealedNode) nothing(c *client.Client) {
	s.Helper()
	s.subscribe(c, 1, "marker")
	from := s.dial(fmt.Sprintf("marker-%d", time.Now().UnixNano()), mqtt.V5, true)
	s.send(from, &client.Message{Topic: "marker", Payload: []byte("marker"), QoS: 1})
	if m := s.receive(c); m.Topic != "marker" {
		s.Errorf("delivered: %s %q", m.Topic, m.Payload)
	}
}

// onDisk looks for a text in all files of the data folder.
func (s *sealedNode) onDisk(text string) (where string) {
	s.Helper()
	err := filepath.WalkDir(s.plan.Config.Node.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(b, []byte(text)) {
			where = path
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return where
}

// key makes a record of a use on plant/# after change. Who signs is named.
func key(t testing.TB, name string, use keyring.Use, change func(*keyring.Record)) *keyring.Record {
	t.Helper()
	r, err := protecting.NewRecord(name, use, []string{"plant/#"}, func(r *keyring.Record) {
		switch {
		case use == keyring.UseSign:
			r.Sender = keyring.SenderRule{Kind: keyring.SenderFixed, ID: []byte(name)}
		case use.Symmetric():
			r.Sender.Size = 2
		}
		if change != nil {
			change(r)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func byClient(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderClientID} }
func redistributed(r *keyring.Record) {
	r.Sender = keyring.SenderRule{Kind: keyring.SenderRedistribution}
}
func endToEnd(r *keyring.Record)    { r.E2E = true }
func brokerSigns(r *keyring.Record) { r.Broker = true }

var boots uint32

// sealer makes a sealer with a session of its own.
func sealer(t testing.TB, cfg protect.SealerConfig) *protect.Sealer {
	t.Helper()
	cfg.Clock = time.Now
	outer := cfg.Key
	if outer == nil {
		outer = cfg.Recipients[0]
	}
	if cfg.Session == nil && (outer.Sender.Kind != keyring.SenderAnonymous || cfg.Signer != nil || outer.Use == keyring.UseSign) {
		boots++
		var err error
		if cfg.Session, err = protect.NewSession(boots, nil); err != nil {
			t.Fatal(err)
		}
	}
	if outer.Sender.Kind == keyring.SenderWire && cfg.Sender == nil {
		cfg.Sender = []byte{0, 7}
	}
	cfg.Timestamp = true
	s, err := protect.NewSealer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealAs(t testing.TB, s *protect.Sealer, topic, text string) []byte {
	t.Helper()
	b, err := s.Seal(nil, &protect.Message{Topic: topic, Payload: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sealWill(t testing.TB, s *protect.Sealer, topic, text string) []byte {
	t.Helper()
	b, err := s.Seal(nil, &protect.Message{Topic: topic, Payload: []byte(text), Will: true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// subscriberOf opens with these keys.
func subscriberOf(t testing.TB, recs ...*keyring.Record) *protect.Opener {
	t.Helper()
	ring := &keyring.Ring{}
	if err := ring.Add(recs...); err != nil {
		t.Fatal(err)
	}
	replay, err := protect.NewReplay(protect.ReplayLimits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := protect.NewOpener(protect.OpenerConfig{Keys: ring, Replay: replay, Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// opens shows that a delivered message opens to the text.
func opens(t testing.TB, o *protect.Opener, m *client.Message, text string) protect.Result {
	t.Helper()
	res, err := o.Open(nil, &protect.Delivery{Topic: m.Topic, Payload: m.Payload, Retain: m.Retain})
	if err != nil || string(res.Payload) != text {
		t.Errorf("open: %q, %v, want %q", res.Payload, err, text)
	}
	return res
}
