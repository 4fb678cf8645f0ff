package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/xdg-go/scram"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/psktls"
)

// patience bounds one connection. It is not a measure of speed.
const patience = 30 * time.Second

// dialled is one client under measurement.
type dialled struct {
	*client.Client
	traffic counter
}

func (d *dialled) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = d.Close(ctx)
}

// dial connects by a mechanism, through the tap if there is one.
func (l *lab) dial(ctx context.Context, m *Mechanism, tap *Tap, p client.Protector) (*dialled, error) {
	cfg, err := l.config(m)
	if err != nil {
		return nil, err
	}
	d := &dialled{}
	address := l.broker.Addresses[m.listener]
	cfg.Server, cfg.Protector = "mqtt://"+address, p
	if m.listener != plain {
		cfg.Server = "mqtts://" + address
	}
	if tap != nil {
		address = tap.Addr()
	}
	cfg.Dial = func(ctx context.Context, _ *url.URL) (net.Conn, error) {
		var dialer net.Dialer
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return l.secure(ctx, m, counted{c, &d.traffic})
	}
	d.Client, err = client.Dial(ctx, *cfg)
	return d, err
}

// config is how a client of the mechanism logs in.
func (l *lab) config(m *Mechanism) (*client.Config, error) {
	cfg := &client.Config{
		ClientID: l.clientID(), CleanStart: true, NoReconnect: true, TopicAliasMaximum: -1, ConnectTimeout: patience,
		Handler: func(*client.Message) {}, AllowPlaintextPassword: true,
	}
	switch m.login {
	case password:
		cfg.Username, cfg.Password = l.account(), []byte(theirPassword)
	case scramLogin:
		c, err := scram.SHA256.NewClient(deviceName, theirPassword, "")
		if err != nil {
			return nil, err
		}
		cfg.Auth = func(client.AuthInfo) (client.AuthExchange, error) {
			return &scramExchange{conv: c.NewConversation()}, nil
		}
	case credential:
		name := deviceName
		if m.use == keyring.UseP1 {
			name = "login"
		}
		rec, err := l.device.Sealing(name, m.use)
		if err != nil {
			return nil, err
		}
		c := &protecting.Credential{Keys: l.device, Record: rec, Server: "bench", Clock: time.Now}
		cfg.Username = deviceName
		if m.use == keyring.UseP1 {
			cfg.Username, c.Password = l.account(), keyring.NewSecret([]byte(theirPassword))
		}
		cfg.Credential = c
	}
	return cfg, nil
}

// clientID is one that was not used before, of constant length: the session of the last one may not be over yet.
func (l *lab) clientID() string {
	l.clients++
	return fmt.Sprintf("bench%06d", l.clients)
}

// account is one that was not used before.
func (l *lab) account() string {
	l.next++
	return accountName(l.next % accountCount)
}

func (l *lab) secure(ctx context.Context, m *Mechanism, c net.Conn) (net.Conn, error) {
	var s interface {
		net.Conn
		HandshakeContext(context.Context) error
	}
	switch m.listener {
	case plain:
		return c, nil
	case psk:
		s = psktls.Client(c, &psktls.Config{Identity: []byte(deviceName), Key: l.psk})
	default:
		cfg := &tls.Config{RootCAs: l.roots, ServerName: "localhost", MinVersion: tls.VersionTLS13}
		if m.listener == mutual {
			cfg.Certificates = []tls.Certificate{l.cert}
		}
		s = tls.Client(c, cfg)
	}
	if err := s.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

// scramExchange is the client's side of SCRAM (RFC 5802).
type scramExchange struct{ conv *scram.ClientConversation }

// Method implements client.AuthExchange.
func (*scramExchange) Method() string { return "SCRAM-SHA-256" }

// Start implements client.AuthExchange.
func (s *scramExchange) Start() ([]byte, error) { return s.step("") }

// Continue implements client.AuthExchange.
func (s *scramExchange) Continue(data []byte) ([]byte, error) { return s.step(string(data)) }

// Finish implements client.AuthExchange.
func (s *scramExchange) Finish(data []byte) error {
	_, err := s.step(string(data))
	return err
}

func (s *scramExchange) step(in string) ([]byte, error) {
	out, err := s.conv.Step(in)
	return []byte(out), err
}
