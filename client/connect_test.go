package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

func TestConfigInvalid(t *testing.T) {
	ok := client.Config{Server: "mqtt://localhost"}
	tests := map[string]func(*client.Config){
		"no server":             func(c *client.Config) { c.Server = "" },
		"scheme":                func(c *client.Config) { c.Server = "http://x" },
		"user in server":        func(c *client.Config) { c.Server = "mqtt://u:geheim@x" },
		"unparsable":            func(c *client.Config) { c.Server = "mqtt://u:geheim@x:y" },
		"no host":               func(c *client.Config) { c.Server = "mqtt://:1883" },
		"version":               func(c *client.Config) { c.Version = 6 },
		"client id":             func(c *client.Config) { c.ClientID = "a\x00" },
		"password without user": func(c *client.Config) { c.Version, c.Password = mqtt.V311, client.Secret("p") },
		"will wildcard":         func(c *client.Config) { c.Will = &client.Message{Topic: "a/+"} },
		"will qos":              func(c *client.Config) { c.Will = &client.Message{Topic: "a", QoS: 3} },
		"will size":             func(c *client.Config) { c.Will = &client.Message{Topic: "a", Payload: make([]byte, 65536)} },
		"keep alive part":       func(c *client.Config) { c.KeepAlive = 1500 * time.Millisecond },
		"keep alive long":       func(c *client.Config) { c.KeepAlive = 65536 * time.Second },
		"queue":                 func(c *client.Config) { c.QueueMessages = 40000 },
		"auth before 5": func(c *client.Config) {
			c.Version = mqtt.V311
			c.Auth = func(client.AuthInfo) (client.AuthExchange, error) { return nil, nil }
		},
		"password and sealer":    func(c *client.Config) { c.Password, c.Credential = client.Secret("p"), sealer{} },
		"negative reconnect min": func(c *client.Config) { c.Reconnect.Min = -1 },
	}
	if _, err := client.New(ok); err != nil {
		t.Fatal(err)
	}
	for name, change := range tests {
		cfg := ok
		change(&cfg)
		_, err := client.New(cfg)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the error shows a password: %v", name, err)
		}
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	cfg := client.Config{Password: client.Secret("geheim")}
	text, _ := cfg.Password.MarshalText()
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s %x %d", cfg, cfg, cfg, cfg.Password, cfg.Password, cfg.Password), string(text)} {
		if strings.Contains(s, "geheim") || strings.Contains(s, fmt.Sprintf("%x", "geheim")) || strings.Contains(s, "103 101") {
			t.Errorf("secret in %q", s)
		}
	}
}

type sealer struct{ prefix chan []byte }

func (s sealer) SealPassword(prefix []byte, _ *mqtt.Connect) ([]byte, error) {
	s.prefix <- bytes.Clone(prefix)
	return []byte("sealed"), nil
}

func TestConnectCarriesEverything(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	prefix := make(chan []byte, 1)
	cfg.Username, cfg.Credential = "alice", sealer{prefix}
	cfg.CleanStart, cfg.KeepAlive = true, 30*time.Second
	cfg.Properties.SetSessionExpiry(77)
	cfg.Properties.AddUser("k", "v")
	cfg.Will = &client.Message{Topic: "w", Payload: []byte("bye"), QoS: 1, Retain: true, Properties: new(mqtt.Properties)}
	cfg.Will.Properties.SetWillDelay(5)
	cfg.ReceiveMaximum, cfg.MaximumPacketSize, cfg.TopicAliasMaximum = 9, 4096, 3
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p, got := f.accept(connack())
	if got.ClientID != "c1" || got.Username != "alice" || string(got.Password) != "sealed" || !got.CleanStart || got.KeepAlive != 30 ||
		got.Properties.SessionExpiry != 77 || len(got.Properties.User) != 1 || got.Properties.ReceiveMaximum != 9 ||
		got.Properties.MaximumPacketSize != 4096 || got.Properties.TopicAliasMaximum != 3 {
		t.Errorf("connect %+v %+v", got, got.Properties)
	}
	if w := got.Will; !got.HasWill || w.Topic != "w" || string(w.Payload) != "bye" || w.QoS != 1 || !w.Retain || w.Properties.WillDelay != 5 {
		t.Errorf("will %+v", got.Will)
	}
	if !bytes.Equal(<-prefix, got.CredentialPrefix) {
		t.Error("the password was sealed over other bytes than those sent")
	}
	closeClient(t, c, p)
}

func TestConnackRefuses(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		f := newFake(t, v)
		go func() {
			p := f.next()
			if _, err := p.read(); err != nil {
				return
			}
			p.send(&mqtt.Connack{ReasonCode: mqtt.NotAuthorized})
		}()
		_, err := client.Dial(t.Context(), f.config())
		var refused *client.ConnackError
		if !errors.As(err, &refused) || refused.Code != mqtt.NotAuthorized {
			t.Errorf("%v: got %v", v, err)
		}
	}
}

// TestRefusalStopsReconnecting: wrong credentials are not tried for ever, a busy server is.
func TestRefusalStopsReconnecting(t *testing.T) {
	f := newFake(t, mqtt.V5)
	c, p := f.start(f.config(), connack())
	_ = p.conn.Close()
	f.accept(&mqtt.Connack{ReasonCode: mqtt.ServerBusy})
	f.accept(&mqtt.Connack{ReasonCode: mqtt.BadUserNameOrPassword})
	<-c.Done()
	var refused *client.ConnackError
	if !errors.As(c.Err(), &refused) || refused.Code != mqtt.BadUserNameOrPassword {
		t.Fatalf("got %v", c.Err())
	}
	if err := c.Publish(t.Context(), message("a", "", 1)); !errors.Is(err, client.ErrClosed) || !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
}

func TestServerDisconnect(t *testing.T) {
	f := newFake(t, mqtt.V5)
	c, p := f.start(f.config(), connack())
	d := &mqtt.Disconnect{ReasonCode: mqtt.SessionTakenOver}
	d.Properties.SetReasonString("another one")
	p.send(d)
	<-c.Done() // taking it back would start a war
	var gone *client.DisconnectError
	if !errors.As(c.Err(), &gone) || gone.Code != mqtt.SessionTakenOver || gone.ReasonString != "another one" {
		t.Fatalf("got %v", c.Err())
	}
}

func TestMalformedInputIsAnswered(t *testing.T) {
	tests := map[string]struct {
		bytes []byte
		code  mqtt.ReasonCode
	}{
		"reserved type":    {[]byte{0x00, 0x00}, mqtt.MalformedPacket},
		"client's packet":  {[]byte{0xC0, 0x00}, mqtt.ProtocolError},
		"unknown alias":    {[]byte{0x30, 0x06, 0, 0, 3, 0x23, 0, 1}, mqtt.ProtocolError},
		"alias over limit": {[]byte{0x30, 0x07, 0, 1, 'a', 3, 0x23, 0, 17}, mqtt.TopicAliasInvalid},
		"too large":        {[]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, mqtt.PacketTooLarge},
		"unsolicited auth": {[]byte{0xF0, 0x00}, mqtt.ProtocolError},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, mqtt.V5)
			cfg := f.config()
			cfg.NoReconnect = true
			c, p := f.start(cfg, connack())
			p.sendRaw(test.bytes)
			if d := expect[*mqtt.Disconnect](p); d.ReasonCode != test.code {
				t.Errorf("disconnect with %v, want %v", d.ReasonCode, test.code)
			}
			<-c.Done()
		})
	}
}

func TestCleanStartWithSessionPresent(t *testing.T) {
	conformance.Covers(t, "MQTT-3.2.2-4")
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.CleanStart = true
	go func() {
		p := f.next()
		if _, err := p.read(); err == nil {
			p.send(sessionPresent())
		}
	}()
	if _, err := client.Dial(t.Context(), cfg); !errors.Is(err, &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT-3.2.2-2"}) {
		t.Fatalf("got %v", err)
	}
}

// remoteConn pretends to come from far away.
type remoteConn struct{ net.Conn }

func (remoteConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1883} }

func TestPlaintextPasswordIsRefused(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.Username, cfg.Password = "u", client.Secret("p")
	cfg.Dial = func(ctx context.Context, u *url.URL) (net.Conn, error) {
		conn, err := f.dial(ctx, u)
		return remoteConn{conn}, err
	}
	if _, err := client.Dial(t.Context(), cfg); !errors.Is(err, client.ErrPlaintextPassword) {
		t.Fatalf("got %v", err)
	}
	f.next().expectClosed() // not one byte was sent

	cfg.AllowPlaintextPassword = true
	c, p := f.start(cfg, connack())
	closeClient(t, c, p)
}

func TestDialErrors(t *testing.T) {
	broken := errors.New("no route")
	cfg := client.Config{Server: "mqtt://far", Dial: func(context.Context, *url.URL) (net.Conn, error) { return nil, broken }}
	_, err := client.Dial(t.Context(), cfg)
	var failed *client.ConnectError
	if !errors.As(err, &failed) || failed.Step != "dial" || !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}

	f := newFake(t, mqtt.V5)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, _ = f.next().read() // and no answer
		cancel(broken)
	}()
	if _, err = client.Dial(ctx, f.config()); !errors.As(err, &failed) || failed.Step != "mqtt handshake" || !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, mqtt.V5)
		cfg := f.config()
		cfg.NoReconnect = true
		c, p := f.start(cfg, connack(func(p *mqtt.Properties) { p.SetServerKeepAlive(20) }))
		p.conn.SetReadDeadline(time.Time{})
		for range 3 {
			began := time.Now()
			got, err := p.r.ReadPacket()
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := got.(*mqtt.Pingreq); !ok || time.Since(began) > 20*time.Second {
				t.Fatalf("got %v after %v", got.Type(), time.Since(began))
			}
			p.send(&mqtt.Pingresp{})
		}
		if _, err := p.r.ReadPacket(); err != nil {
			t.Fatal(err)
		}
		<-c.Done() // no answer this time
		if !errors.Is(c.Err(), client.ErrKeepAlive) {
			t.Fatalf("got %v", c.Err())
		}
	})
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var delays []time.Duration
		var c *client.Client
		cfg := client.Config{
			Server: "mqtt://far",
			Dial:   func(context.Context, *url.URL) (net.Conn, error) { return nil, errors.New("down") },
			Hooks: client.Hooks{Disconnected: func(_ error, retryIn time.Duration) {
				delays = append(delays, retryIn)
			}},
		}
		c, err := client.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // of the bubble's clock
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		full := time.Second
		for i, d := range delays {
			if d < full/2 || d > full {
				t.Errorf("delay %d is %v, want between %v and %v", i, d, full/2, full)
			}
			full = min(2*full, time.Minute)
		}
		if len(delays) < 12 {
			t.Errorf("only %d attempts", len(delays))
		}
	})
}

// exchange is a challenge-response method of one round.
type exchange struct{ finished chan string }

func (exchange) Method() string         { return "TEST" }
func (exchange) Start() ([]byte, error) { return []byte("hello"), nil }
func (exchange) Continue(challenge []byte) ([]byte, error) {
	return append([]byte("re:"), challenge...), nil
}

func (e exchange) Finish(data []byte) error {
	if string(data) == "bad" {
		return errors.New("server does not know the secret")
	}
	e.finished <- string(data)
	return nil
}

func auth(code mqtt.ReasonCode, data string) *mqtt.Auth {
	a := &mqtt.Auth{ReasonCode: code}
	a.Properties.SetAuthMethod("TEST")
	a.Properties.SetAuthData([]byte(data))
	return a
}

func TestEnhancedAuthentication(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	finished := make(chan string, 1)
	cfg.Auth = func(client.AuthInfo) (client.AuthExchange, error) { return exchange{finished}, nil }
	cfg.NoReconnect = true
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := f.next()
	if got := expect[*mqtt.Connect](p); got.Properties.AuthMethod != "TEST" || string(got.Properties.AuthData) != "hello" {
		t.Fatalf("connect %+v", got.Properties)
	}
	p.send(auth(mqtt.ContinueAuthentication, "1"))
	if got := expect[*mqtt.Auth](p); string(got.Properties.AuthData) != "re:1" {
		t.Fatalf("auth %q", got.Properties.AuthData)
	}
	p.send(connack(func(p *mqtt.Properties) { p.SetAuthMethod("TEST"); p.SetAuthData([]byte("proof")) }))
	if got := <-finished; got != "proof" {
		t.Fatalf("finished with %q", got)
	}
	if err := c.WaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}

	again := make(chan error, 1)
	go func() { again <- c.Reauthenticate(t.Context()) }()
	if got := expect[*mqtt.Auth](p); got.ReasonCode != mqtt.ReAuthenticate {
		t.Fatalf("auth %v", got.ReasonCode)
	}
	p.send(auth(mqtt.ContinueAuthentication, "2"))
	expect[*mqtt.Auth](p)
	p.send(auth(mqtt.Success, "proof2"))
	if err := <-again; err != nil || <-finished != "proof2" {
		t.Fatal(err)
	}

	go func() { again <- c.Reauthenticate(t.Context()) }()
	expect[*mqtt.Auth](p)
	p.send(auth(mqtt.Success, "bad"))
	if err := <-again; err == nil {
		t.Fatal("a server without the secret was believed")
	}
	<-c.Done()
}

func TestServerProofIsChecked(t *testing.T) {
	for name, ack := range map[string]*mqtt.Connack{
		"bad proof":    connack(func(p *mqtt.Properties) { p.SetAuthMethod("TEST"); p.SetAuthData([]byte("bad")) }),
		"other method": connack(func(p *mqtt.Properties) { p.SetAuthMethod("OTHER") }),
		"no method":    connack(),
	} {
		f := newFake(t, mqtt.V5)
		cfg := f.config()
		cfg.Auth = func(client.AuthInfo) (client.AuthExchange, error) { return exchange{make(chan string, 1)}, nil }
		go func() {
			p := f.next()
			if _, err := p.read(); err == nil {
				p.send(ack)
			}
		}()
		if _, err := client.Dial(t.Context(), cfg); err == nil {
			t.Errorf("%s: connected", name)
		}
	}
}

// reverser protects by turning payloads around, and refuses what does not end with '!'.
type reverser struct{ kinds chan client.Kind }

func reversed(b []byte) []byte {
	r := bytes.Clone(b)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return r
}

func (r reverser) Seal(k client.Kind, m *client.Message) error {
	r.kinds <- k
	if string(m.Payload) == "refuse" {
		return errors.New("policy")
	}
	m.Payload = reversed(m.Payload)
	m.Topic = "elsewhere" // not its business
	return nil
}

func (r reverser) Open(m *client.Message) error {
	if !bytes.HasPrefix(m.Payload, []byte("!")) {
		return errors.New("not sealed")
	}
	m.Payload = reversed(m.Payload)
	return nil
}

func TestProtector(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	kinds := make(chan client.Kind, 8)
	rejected := make(chan string, 1)
	cfg.Protector = reverser{kinds}
	cfg.Will = message("w", "will!", 0)
	cfg.Hooks.Rejected = func(m *client.Message, _ error) { rejected <- string(m.Payload) }
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p, connect := f.accept(connack())
	if string(connect.Will.Payload) != "!lliw" || <-kinds != client.KindWill {
		t.Fatalf("will %q", connect.Will.Payload)
	}
	m := message("a", "secret!", 0)
	if err := c.PublishAsync(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	if got := expect[*mqtt.Publish](p); string(got.Payload) != "!terces" || got.Topic != "a" || string(m.Payload) != "secret!" {
		t.Fatalf("sent %q to %q, message now %q", got.Payload, got.Topic, m.Payload)
	}
	if err := c.Publish(t.Context(), message("a", "refuse", 0)); err == nil {
		t.Fatal("a message that cannot be sealed was sent")
	}
	p.send(&mqtt.Publish{Topic: "a", Payload: []byte("forged"), QoS: 1, PacketID: 1}, &mqtt.Publish{Topic: "a", Payload: []byte("!kees")})
	if got, err := c.Receive(t.Context()); err != nil || string(got.Payload) != "seek!" {
		t.Fatalf("got %v %v", got, err)
	}
	if got := <-rejected; got != "forged" {
		t.Fatalf("rejected %q", got)
	}
	if ack := expect[*mqtt.Puback](p); ack.ReasonCode != mqtt.Success {
		t.Fatalf("puback %v tells the sender what was wrong", ack.ReasonCode)
	}
	closeClient(t, c, p)
}

func TestInboundTopicAliases(t *testing.T) {
	f := newFake(t, mqtt.V5)
	var got []string
	all := make(chan struct{})
	cfg := f.config()
	cfg.Handler = func(m *client.Message) {
		if got = append(got, m.Topic); len(got) == 3 {
			close(all)
		}
	}
	c, p := f.start(cfg, connack())
	one := &mqtt.Publish{Topic: "a/b"}
	one.Properties.SetTopicAlias(1)
	p.send(one)
	one.Topic = ""
	p.send(one)
	one.Topic = "c"
	p.send(one)
	<-all
	if want := "[a/b a/b c]"; fmt.Sprint(got) != want {
		t.Fatalf("got %v, want %s", got, want)
	}
	closeClient(t, c, p)
}

func TestOverflowDrop(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.InboundBuffer, cfg.Overflow = 2, client.OverflowDrop
	c, p := f.start(cfg, connack())
	for range 5 {
		p.send(&mqtt.Publish{Topic: "a"})
	}
	p.send(&mqtt.Publish{Topic: "a", QoS: 1, PacketID: 1}) // waits for room instead
	for range 2 {
		if _, err := c.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := c.Receive(t.Context()); err != nil || m.QoS != 1 {
		t.Fatalf("got %+v %v", m, err)
	}
	if s := c.Stats(); s.Dropped != 3 {
		t.Fatalf("stats %+v", s)
	}
	expect[*mqtt.Puback](p)
	closeClient(t, c, p)
}

// TestCloseInHandler must not wait for itself.
func TestCloseInHandler(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	var c *client.Client
	ready := make(chan struct{})
	cfg.Handler = func(*client.Message) {
		<-ready
		_ = c.Close(context.Background())
	}
	c, p := f.start(cfg, connack())
	close(ready)
	p.send(&mqtt.Publish{Topic: "a"}, &mqtt.Publish{Topic: "a"})
	expect[*mqtt.Disconnect](p)
	<-c.Done()
}

func TestCloseIsBoundedByContext(t *testing.T) {
	f := newFake(t, mqtt.V5)
	c, _ := f.start(f.config(), connack())
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) { // the fake does not read
		t.Fatalf("got %v", err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatalf("second close: %v", err)
	}
	if err := c.Connect(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Fatalf("connect after close: %v", err)
	}
}
