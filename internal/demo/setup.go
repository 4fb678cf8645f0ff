package demo

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/ca"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/internal/wiretap"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// patience bounds each wait for something that must happen. It is not a measure of speed.
const patience = 30 * time.Second

// The listeners, in the order of the configuration.
const (
	plain = iota
	secure
	devices
	psk
)

// plant is the set-up: the broker, who has which keys, and the attacker's wires.
type plant struct {
	dir        string
	node       *node.Node
	plan       *config.Plan
	fault      Fault
	roots      *x509.CertPool
	deviceCert tls.Certificate // of press-7
	alien      tls.Certificate // of another authority, for the same name
	// alienServer is what a false broker shows.
	alienServer tls.Certificate
	psk         []byte // of press-7
	open        []interface{ Close() error }

	passwords map[string]string
	press     *protecting.Keys // of press-7: its signature key, the reader's public key, its login keys
	neighbour *protecting.Keys // of press-8
	desk      *protecting.Keys // of maria: her signature key, the reader's key pair
	login     *protecting.Keys // of the broker
	broker    *protecting.Keys // of the broker: public keys only
}

// passwordsOf makes passwords that occur nowhere else, so that they can be searched for in a recording.
func passwordsOf(names ...string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		b := make([]byte, 6)
		_, _ = rand.Read(b) // never fails since Go 1.24
		out[n] = n + "-secret-" + hex.EncodeToString(b)
	}
	return out
}

// newPlant makes all files in dir and starts the broker.
func newPlant(ctx context.Context, dir string, f Fault) (*plant, error) {
	p := &plant{dir: dir, fault: f, passwords: passwordsOf("press-7", "press-8", "maria", "paula", "operator")}
	for _, step := range []func() error{p.makeCertificates, p.makeAccounts, p.makeKeys} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("set up the demo: %w", err)
		}
	}
	file, err := writeConfig(dir, f)
	if err != nil {
		return nil, err
	}
	if p.plan, err = config.FromFlags(config.Flags{Config: file}); err != nil {
		return nil, err
	}
	p.node, err = node.Start(ctx, p.plan, slog.New(slog.DiscardHandler), "demo")
	return p, err
}

func (p *plant) makeCertificates() error {
	now := time.Now()
	authority, err := ca.Init(filepath.Join(p.dir, "pki"), ca.Options{Name: "SealMQ demo"}, now)
	if err != nil {
		return err
	}
	p.roots = x509.NewCertPool()
	p.roots.AddCert(authority.Cert)
	if _, err := authority.Issue(ca.Request{Name: "localhost", Profile: ca.Server, SANs: []string{"127.0.0.1"}}, now); err != nil {
		return err
	}
	if p.deviceCert, err = issue(authority, now); err != nil {
		return err
	}
	other, err := ca.Init(filepath.Join(p.dir, "attacker"), ca.Options{Name: "Somebody Else"}, now)
	if err != nil {
		return err
	}
	if p.alien, err = issue(other, now); err != nil {
		return err
	}
	c, err := other.Issue(ca.Request{Name: "localhost", Profile: ca.Server, SANs: []string{"127.0.0.1"}}, now)
	if err != nil {
		return err
	}
	p.alienServer, err = tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	return err
}

func issue(a *ca.Authority, now time.Time) (tls.Certificate, error) {
	c, err := a.Issue(ca.Request{Name: "press-7", Profile: ca.Device}, now)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
}

func (p *plant) makeAccounts() error {
	for name, password := range p.passwords {
		v, err := authn.NewVerifier(authn.Argon2id, []byte(password))
		if err != nil {
			return err
		}
		err = authn.EditAccounts(filepath.Join(p.dir, "passwd"), true, func(a *authn.Accounts) error { return a.SetPassword(name, v) })
		if err != nil {
			return err
		}
	}
	p.psk = make([]byte, 32)
	_, _ = rand.Read(p.psk)
	return os.WriteFile(filepath.Join(p.dir, "psk.txt"), []byte("press-7:"+hex.EncodeToString(p.psk)+"\n"), 0o600)
}

// makeKeys makes the keyrings, and gives away what is public.
func (p *plant) makeKeys() error {
	if err := os.MkdirAll(filepath.Join(p.dir, "keys"), 0o700); err != nil {
		return err
	}
	for name, k := range map[string]**protecting.Keys{
		"press-7": &p.press, "press-8": &p.neighbour, "maria": &p.desk, "login": &p.login, "broker": &p.broker,
	} {
		var err error
		if *k, err = protecting.Create(filepath.Join(p.dir, "keys", name), keyring.Secret{}); err != nil {
			return err
		}
	}
	for _, k := range []struct {
		name   string
		use    keyring.Use
		topics []string
		owner  *protecting.Keys
		public []*protecting.Keys
	}{
		{"press-7", keyring.UseSign, []string{"plant/press-7/#"}, p.press, []*protecting.Keys{p.desk, p.broker}},
		{"press-8", keyring.UseSign, []string{"plant/press-8/#"}, p.neighbour, []*protecting.Keys{p.desk, p.broker}},
		{"maria", keyring.UseSign, []string{"plant/+/cmd/#"}, p.desk, []*protecting.Keys{p.press, p.neighbour, p.broker}},
		{"desk", keyring.UseEnc, []string{"plant/#"}, p.desk, []*protecting.Keys{p.press, p.neighbour, p.broker}},
		{"press-7", keyring.UseP3, nil, p.press, []*protecting.Keys{p.login}},
		{"press-7", keyring.UseP2, nil, p.press, []*protecting.Keys{p.login}},
		{"login", keyring.UseP1, nil, p.login, []*protecting.Keys{p.press}},
	} {
		rec, err := protecting.NewRecord(k.name, k.use, k.topics, nil)
		if err != nil {
			return err
		}
		if err := k.owner.Add(rec); err != nil {
			return err
		}
		for _, other := range k.public {
			if err := other.Add(rec.Public()); err != nil {
				return err
			}
		}
	}
	return nil
}

// close ends the clients, the wires and the broker.
func (p *plant) close() error {
	var err error
	for i := len(p.open) - 1; i >= 0; i-- {
		err = errors.Join(err, p.open[i].Close())
	}
	if p.node != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = errors.Join(err, p.node.Stop(ctx))
	}
	return err
}

func (p *plant) address(listener int) string { return p.node.Addrs()[listener].String() }

// wire puts an attacker on the way to a listener.
func (p *plant) wire(listener int) (*wiretap.Wire, error) {
	w, err := wiretap.New(p.address(listener), mqtt.V5, listener != plain)
	if err == nil {
		p.open = append(p.open, w)
	}
	return w, err
}

func now() time.Time { return time.Now() }

// sealing is how the owner of a keyring seals.
func sealing(k *protecting.Keys, level protecting.Level, keys []string, to ...string) (*protecting.Protector, error) {
	o := protecting.SealOptions{Level: level, Keys: keys, To: to}
	if len(keys) > 0 {
		o.Clock = now
	}
	s, err := protecting.NewSealing(k, o)
	return &protecting.Protector{Publish: s, Will: s}, err
}

// opening is what a receiver accepts.
func (p *plant) opening(k *protecting.Keys, level protecting.Level) (client.Protector, error) {
	o := protecting.OpenOptions{Require: level.Requirement(), Clock: now}
	if level == protecting.LevelChecksum {
		o.Checksum = protect.ChecksumPrefix
	}
	r := &receiver{keys: k, options: o, forgets: p.fault == ReplayOff}
	var err error
	r.opening, err = protecting.NewOpening(k, o)
	return r, err
}

// receiver opens messages; with the fault ReplayOff it forgets each one at once.
type receiver struct {
	keys    *protecting.Keys
	options protecting.OpenOptions
	forgets bool
	opening *protecting.Opening
}

// Seal implements client.Protector.
func (*receiver) Seal(client.Kind, *client.Message) error {
	return errors.New("a receiver does not publish")
}

// Open implements client.Protector.
func (r *receiver) Open(m *client.Message) error {
	o := r.opening
	if r.forgets {
		var err error
		if o, err = protecting.NewOpening(r.keys, r.options); err != nil {
			return err
		}
	}
	p := protecting.Protector{Receive: o}
	return p.Open(m)
}
