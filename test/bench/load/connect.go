package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/psktls"
)

// dialer opens connections as the options say.
type dialer struct {
	o    *Options
	tls  *tls.Config
	keys *psktls.KeyFile
	mu   sync.Mutex
	past map[int]tls.ClientSessionCache // guarded by mu: TLS sessions of each client, to be resumed
}

func newDialer(o *Options) (*dialer, error) {
	d := &dialer{o: o, past: map[int]tls.ClientSessionCache{}}
	if o.PSK != "" {
		var err error
		d.keys, err = psktls.OpenKeyFile(o.PSK)
		return d, err
	}
	if !o.TLS {
		return d, nil
	}
	d.tls = &tls.Config{MinVersion: tls.VersionTLS13, ServerName: "localhost", CurvePreferences: []tls.CurveID{tls.X25519}}
	if o.Hybrid {
		d.tls.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.X25519}
	}
	if o.CA == "" {
		d.tls.InsecureSkipVerify = true
		return d, nil
	}
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, err
	}
	d.tls.RootCAs = x509.NewCertPool()
	if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", o.CA)
	}
	return d, nil
}

// session is what CONNECT says about the session.
type session struct {
	clean  bool
	expiry uint32 // seconds, MQTT 5
	suffix string // of the Client Identifier
	room   int    // of the read buffer, in bytes
}

// bufferRoom is for clients that send or receive a lot.
const bufferRoom = 64 << 10

// open connects the n-th client of a role and logs it in.
func (d *dialer) open(ctx context.Context, r role, n int, s session) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	name := login(r, n)
	c, err := d.dial(ctx, n, name)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: c, version: d.o.Version, room: s.room}
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := d.introduce(l, d.o.Prefix+"-"+name+s.suffix, name, s); err != nil {
		_ = c.Close()
		return nil, err
	}
	return l, c.SetDeadline(time.Time{})
}

func (d *dialer) introduce(l *link, id, login string, s session) error {
	p := &mqtt.Connect{ProtocolVersion: d.o.Version, CleanStart: s.clean, KeepAlive: 600, ClientID: id}
	if d.o.Login {
		p.HasUsername, p.Username, p.HasPassword, p.Password = true, login, true, []byte(d.o.Password)
	}
	if s.expiry > 0 && d.o.Version == mqtt.V5 {
		p.Properties.SetSessionExpiry(s.expiry)
	}
	if err := l.send(p); err != nil {
		return err
	}
	var answer mqtt.Connack
	if err := l.await(&answer); err != nil {
		return err
	}
	if answer.ReasonCode != mqtt.Success {
		return fmt.Errorf("client %s is refused: %v", id, answer.ReasonCode)
	}
	l.present, l.receiveMaximum = answer.SessionPresent, 65_535
	if answer.Properties.Has(mqtt.PropReceiveMaximum) {
		l.receiveMaximum = int(answer.Properties.ReceiveMaximum)
	}
	return nil
}

func (d *dialer) dial(ctx context.Context, n int, login string) (net.Conn, error) {
	nd := net.Dialer{KeepAlive: -1}
	if d.o.Sources > 0 {
		from(&nd, net.IPv4(127, 0, 1, byte(1+n%d.o.Sources)))
	}
	c, err := nd.DialContext(ctx, "tcp", d.o.Addr)
	if err != nil {
		return nil, err
	}
	var secured interface {
		net.Conn
		HandshakeContext(ctx context.Context) error
	}
	switch {
	case d.keys != nil:
		cfg, err := d.preShared(login)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		secured = psktls.Client(c, cfg)
	case d.tls != nil:
		secured = tls.Client(c, d.certified(n))
	default:
		return c, nil
	}
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return secured, nil
}

// certified is the TLS configuration of a client. One that resumes has a cache of its own, so that no two connections are
// after the same ticket.
func (d *dialer) certified(n int) *tls.Config {
	if !d.o.Resume {
		return d.tls
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.past[n] == nil {
		d.past[n] = tls.NewLRUClientSessionCache(1)
	}
	cfg := d.tls.Clone()
	cfg.ClientSessionCache = d.past[n]
	return cfg
}

func (d *dialer) preShared(login string) (*psktls.Config, error) {
	key, err := d.keys.GetKey([]byte(login))
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, fmt.Errorf("%s has no key in %s", login, d.o.PSK)
	}
	cfg := &psktls.Config{Identity: []byte(login), Key: key, MinVersion: psktls.VersionTLS13, MaxVersion: psktls.VersionTLS13}
	if d.o.PSKMode != "1.3" {
		cfg.MinVersion, cfg.MaxVersion = psktls.VersionTLS12, psktls.VersionTLS12
	}
	if d.o.PSKMode == "1.2-plain" {
		cfg.AllowNoForwardSecrecy = true
		cfg.CipherSuites = []uint16{psktls.TLS_PSK_WITH_AES_128_GCM_SHA256}
	}
	return cfg, nil
}

// resumed reports whether a connection went on with an earlier TLS session.
func resumed(c net.Conn) bool {
	t, ok := c.(*tls.Conn)
	return ok && t.ConnectionState().DidResume
}
