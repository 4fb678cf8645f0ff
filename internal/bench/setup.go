package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/ca"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
)

const configText = `version: 1
node: {name: bench, data_dir: data}
listeners:
  - {name: plain, bind: "127.0.0.1:0"}
  - name: tls
    bind: "127.0.0.1:0"
    tls: {cert: pki/localhost.crt, key: pki/localhost.key}
  - name: mtls
    bind: "127.0.0.1:0"
    tls: {cert: pki/localhost.crt, key: pki/localhost.key}
    client_cert: {mode: require, ca: pki/ca.crt}
  - {name: psk, bind: "127.0.0.1:0", tls_psk: {file: psk.txt}}
auth:
  anonymous: true
  password: {file: passwd}
  scram: {file: scram}
  certificate: {identity: "{cn}"}
  psk: true
  credential: {keyring: keys/login, server: bench}
acl: [{who: anyone, allow: all, topic: "r/#"}]
limits:
  publish_rate: {per_client: unlimited}
  publish_bytes: {per_client: unlimited}
storage: {engine: memory}
audit: {enabled: false}
log: {level: error}
`

// Broker is one that runs, for the bench alone.
type Broker struct {
	Addresses []string // of the listeners, in their order
	PID       int
	Stop      func() error
}

// Launcher starts a broker by a configuration file. A lean one collects its garbage eagerly.
type Launcher func(ctx context.Context, configFile string, lean bool) (*Broker, error)

// deviceName is what the bench's client is called; accounts are deviceName and a number.
const deviceName = "device"

// accountCount is how many accounts there are. Each login with a password uses a new one, because the broker remembers
// those that it has checked.
const accountCount = 4000

const theirPassword = "correct horse battery staple"

// lab is everything that was made for one run.
type lab struct {
	broker  *Broker
	roots   *x509.CertPool
	cert    tls.Certificate
	psk     []byte
	device  *protecting.Keys
	reader  *protecting.Keys
	next    int // account
	clients int
}

// openLab makes the files in dir and starts the broker.
func openLab(ctx context.Context, dir string, launch Launcher) (*lab, error) {
	l := &lab{}
	for _, step := range []func(string) error{l.makeCertificates, l.makeAccounts, l.makeKeys} {
		if err := step(dir); err != nil {
			return nil, fmt.Errorf("set up the bench: %w", err)
		}
	}
	file, err := writeConfig(dir, "data")
	if err != nil {
		return nil, err
	}
	l.broker, err = launch(ctx, file, false)
	return l, err
}

// writeConfig writes a configuration with a data folder of its own.
func writeConfig(dir, data string) (string, error) {
	file := filepath.Join(dir, data+".yaml")
	return file, os.WriteFile(file, []byte(strings.Replace(configText, "data_dir: data", "data_dir: "+data, 1)), 0o600)
}

func (l *lab) makeCertificates(dir string) error {
	now := time.Now()
	authority, err := ca.Init(filepath.Join(dir, "pki"), ca.Options{Name: "SealMQ bench"}, now)
	if err != nil {
		return err
	}
	l.roots = x509.NewCertPool()
	l.roots.AddCert(authority.Cert)
	if _, err := authority.Issue(ca.Request{Name: "localhost", Profile: ca.Server, SANs: []string{"127.0.0.1"}}, now); err != nil {
		return err
	}
	c, err := authority.Issue(ca.Request{Name: deviceName, Profile: ca.Device}, now)
	if err != nil {
		return err
	}
	l.cert, err = tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	return err
}

// accountName is of constant length, so that all CONNECT packets are as long.
func accountName(i int) string { return fmt.Sprintf("%s%04d", deviceName, i) }

func (l *lab) makeAccounts(dir string) error {
	v, err := authn.NewVerifier(authn.Argon2id, []byte(theirPassword))
	if err != nil {
		return err
	}
	text := ""
	for i := range accountCount {
		text += accountName(i) + ":" + v.Encode() + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "passwd"), []byte(text), 0o600); err != nil {
		return err
	}
	s, _, err := authn.NewSCRAMVerifier("SCRAM-SHA-256", deviceName, []byte(theirPassword), authn.DefaultSCRAMIterations)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "scram"), []byte(deviceName+":"+s.Encode()+"\n"), 0o600); err != nil {
		return err
	}
	l.psk = make([]byte, 32)
	_, _ = rand.Read(l.psk) // never fails since Go 1.24
	return os.WriteFile(filepath.Join(dir, "psk.txt"), []byte(deviceName+":"+hex.EncodeToString(l.psk)+"\n"), 0o600)
}

func (l *lab) makeKeys(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return err
	}
	var login *protecting.Keys
	for name, k := range map[string]**protecting.Keys{"device": &l.device, "reader": &l.reader, "login": &login} {
		var err error
		if *k, err = protecting.Create(filepath.Join(dir, "keys", name), keyring.Secret{}); err != nil {
			return err
		}
	}
	for _, k := range []struct {
		name   string
		use    keyring.Use
		owner  *protecting.Keys
		others []*protecting.Keys
	}{
		{keyMAC, keyring.UseMAC, l.device, []*protecting.Keys{l.reader}},
		{keyGroup, keyring.UseS, l.device, []*protecting.Keys{l.reader}},
		{keySign, keyring.UseSign, l.device, []*protecting.Keys{l.reader}},
		{keyReader, keyring.UseEnc, l.reader, []*protecting.Keys{l.device}},
		{deviceName, keyring.UseP3, l.device, []*protecting.Keys{login}},
		{deviceName, keyring.UseP2, l.device, []*protecting.Keys{login}},
		{"login", keyring.UseP1, login, []*protecting.Keys{l.device}},
	} {
		var topics []string
		switch k.use {
		case keyring.UseP1, keyring.UseP2, keyring.UseP3: // credentials have none
		default:
			topics = []string{"r/#"}
		}
		rec, err := protecting.NewRecord(k.name, k.use, topics, nil)
		if err != nil {
			return err
		}
		if err := k.owner.Add(rec); err != nil {
			return err
		}
		for _, o := range k.others {
			if err := o.Add(rec.Public()); err != nil {
				return err
			}
		}
	}
	return nil
}
