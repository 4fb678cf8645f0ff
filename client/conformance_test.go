package client_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// eachVersion runs f against a fake server of MQTT 3.1.1 and of 5.0.
func eachVersion(t *testing.T, f func(t *testing.T, s *fakeServer)) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) { f(t, newFake(t, v)) })
	}
}

func publishAsync(t *testing.T, c *client.Client, m *client.Message) {
	t.Helper()
	if err := c.PublishAsync(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
}

// TestLastPacket: DISCONNECT is the last thing a client says, and it closes.
func TestLastPacket(t *testing.T) {
	conformance.Covers(t, "MQTT311-3.14.4-1", "MQTT311-3.14.4-2", "MQTT-3.14.4-1", "MQTT-3.14.4-2")
	eachVersion(t, func(t *testing.T, f *fakeServer) {
		c, p := f.start(f.config(), connack())
		done := make(chan error, 1)
		go func() { done <- c.Close(context.Background()) }()
		expect[*mqtt.Disconnect](p)
		if f.v == mqtt.V5 {
			p.expectClosed()
		} else if _, err := p.read(); err == nil {
			t.Error("a packet after DISCONNECT")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestUnwantedMessage: a message that nobody asked for is acknowledged all the same.
func TestUnwantedMessage(t *testing.T) {
	conformance.Covers(t, "MQTT-4.5.0-2", "MQTT311-4.5.0-2", "MQTT-4.3.2-4", "MQTT-4.3.3-8", "MQTT-4.3.3-11")
	eachVersion(t, func(t *testing.T, f *fakeServer) {
		cfg := f.config()
		cfg.Handler = func(*client.Message) {}
		c, p := f.start(cfg, connack())
		p.send(&mqtt.Publish{Topic: "unknown", QoS: 1, PacketID: 5})
		if id := expect[*mqtt.Puback](p).PacketID; id != 5 {
			t.Errorf("PUBACK %d", id)
		}
		p.send(&mqtt.Publish{Topic: "unknown", QoS: 2, PacketID: 6})
		if id := expect[*mqtt.Pubrec](p).PacketID; id != 6 {
			t.Errorf("PUBREC %d", id)
		}
		p.send(&mqtt.Pubrel{PacketID: 6})
		if id := expect[*mqtt.Pubcomp](p).PacketID; id != 6 {
			t.Errorf("PUBCOMP %d", id)
		}
		closeClient(t, c, p)
	})
}

// TestReleaseOrder: PUBREL comes in the order of PUBREC.
func TestReleaseOrder(t *testing.T) {
	conformance.Covers(t, "MQTT-4.6.0-4", "MQTT311-4.6.0-4", "MQTT311-4.3.3-1", "MQTT-4.3.3-4")
	eachVersion(t, func(t *testing.T, f *fakeServer) {
		c, p := f.start(f.config(), connack())
		var ids []mqtt.PacketID
		for range 4 {
			publishAsync(t, c, message("a", "x", mqtt.ExactlyOnce))
			ids = append(ids, expect[*mqtt.Publish](p).PacketID)
		}
		order := []int{2, 0, 3, 1}
		for _, i := range order {
			p.send(&mqtt.Pubrec{PacketID: ids[i]})
		}
		for _, i := range order {
			if id := expect[*mqtt.Pubrel](p).PacketID; id != ids[i] {
				t.Errorf("released %d, want %d", id, ids[i])
			}
			p.send(&mqtt.Pubcomp{PacketID: ids[i]})
		}
		closeClient(t, c, p)
	})
}

// TestQuotaHoldsNothingElse: with the Receive Maximum used up, SUBSCRIBE, UNSUBSCRIBE, PUBREL, acknowledgements and
// QoS 0 still leave.
func TestQuotaHoldsNothingElse(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.4-8", "MQTT-4.9.0-2", "MQTT-4.9.0-3")
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.Handler = func(*client.Message) {}
	c, p := f.start(cfg, connack(func(q *mqtt.Properties) { q.SetReceiveMaximum(1) }))
	publishAsync(t, c, message("a", "open", mqtt.ExactlyOnce))
	id := expect[*mqtt.Publish](p).PacketID
	publishAsync(t, c, message("a", "waits", mqtt.AtLeastOnce))
	answered := make(chan error, 1)
	go func() {
		_, err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: "b"})
		answered <- err
	}()
	p.send(&mqtt.Suback{PacketID: expect[*mqtt.Subscribe](p).PacketID, ReasonCodes: []mqtt.ReasonCode{0}})
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	p.send(&mqtt.Publish{Topic: "b", QoS: 1, PacketID: 3})
	expect[*mqtt.Puback](p)
	publishAsync(t, c, message("a", "QoS 0", mqtt.AtMostOnce))
	expect[*mqtt.Publish](p)
	p.send(&mqtt.Pubrec{PacketID: id})
	expect[*mqtt.Pubrel](p)
	p.send(&mqtt.Pubcomp{PacketID: id})
	next := expect[*mqtt.Publish](p).Clone()
	if string(next.Payload) != "waits" {
		t.Errorf("got %q", next.Payload)
	}
	p.send(&mqtt.Puback{PacketID: next.PacketID})
	closeClient(t, c, p)
}

// TestNoAliasUnannounced: a server that announced no Topic Alias Maximum gets no aliases.
func TestNoAliasUnannounced(t *testing.T) {
	conformance.Covers(t, "MQTT-3.2.2-18", "MQTT-3.3.2-9")
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.TopicAliases = true
	c, p := f.start(cfg, connack())
	for range 3 {
		publishAsync(t, c, message("long/topic/name", "x", mqtt.AtMostOnce))
		if m := expect[*mqtt.Publish](p); m.Properties.Has(mqtt.PropTopicAlias) || m.Topic == "" {
			t.Errorf("%+v", m)
		}
	}
	closeClient(t, c, p)
}

// TestEveryAlias: each alias up to the announced maximum is understood.
func TestEveryAlias(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.2-10")
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.TopicAliasMaximum = 5
	c, p := f.start(cfg, connack())
	for _, bare := range []bool{false, true} {
		for alias := range uint16(5) {
			m := &mqtt.Publish{Topic: fmt.Sprintf("t/%d", alias)}
			if bare {
				m.Topic = ""
			}
			m.Properties.SetTopicAlias(alias + 1)
			p.send(m)
			got, err := c.Receive(t.Context())
			if err != nil || got.Topic != fmt.Sprintf("t/%d", alias) {
				t.Fatalf("alias %d: %+v, %v", alias+1, got, err)
			}
		}
	}
	closeClient(t, c, p)
}

// TestNamelessSession: without a Client Identifier a 3.1.1 session is a clean one; a lasting one gets a name.
func TestNamelessSession(t *testing.T) {
	conformance.Covers(t, "MQTT311-3.1.3-7")
	for _, clean := range []bool{true, false} {
		f := newFake(t, mqtt.V311)
		cfg := f.config()
		cfg.ClientID, cfg.CleanStart, cfg.NoReconnect = "", clean, true
		c, err := client.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		p, connect := f.accept(connack())
		if connect.CleanStart != clean || (connect.ClientID == "") != clean {
			t.Errorf("%v", connect)
		}
		if err := c.WaitConnected(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeClient(t, c, p)
	}
}

// TestSilenceBeforeConnack: while it authenticates, a client says nothing but AUTH, however much waits.
func TestSilenceBeforeConnack(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-30", "MQTT-4.12.0-3", "MQTT-4.12.1-1", "MQTT-4.12.0-5")
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	finished := make(chan string, 4)
	cfg.Auth = func(client.AuthInfo) (client.AuthExchange, error) { return exchange{finished}, nil }
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := f.next()
	expect[*mqtt.Connect](p)
	publishAsync(t, c, message("a", "early", mqtt.AtLeastOnce))
	for range 3 {
		p.send(auth(mqtt.ContinueAuthentication, "1"))
		if got := expect[*mqtt.Auth](p); got.ReasonCode != mqtt.ContinueAuthentication || got.Properties.AuthMethod != "TEST" {
			t.Fatalf("%+v", got)
		}
	}
	p.send(connack(func(q *mqtt.Properties) { q.SetAuthMethod("TEST"); q.SetAuthData([]byte("proof")) }))
	p.send(&mqtt.Puback{PacketID: expect[*mqtt.Publish](p).PacketID})
	if err := c.WaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := make(chan error, 1)
	go func() { again <- c.Reauthenticate(t.Context()) }()
	if got := expect[*mqtt.Auth](p); got.ReasonCode != mqtt.ReAuthenticate || got.Properties.AuthMethod != "TEST" {
		t.Errorf("%+v", got)
	}
	p.send(auth(mqtt.Success, "proof"))
	if err := <-again; err != nil {
		t.Error(err)
	}
	closeClient(t, c, p)
}

// TestPings: a client with nothing to say sends PINGREQ within its own Keep Alive, or the one the server chose.
func TestPings(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-20", "MQTT-3.1.2-21", "MQTT-3.2.2-21", "MQTT311-3.1.2-23")
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, v)
			cfg := f.config()
			cfg.KeepAlive = 20 * time.Second
			ack, limit := connack(), 20*time.Second
			if v == mqtt.V5 {
				ack, limit = connack(func(q *mqtt.Properties) { q.SetServerKeepAlive(7) }), 7*time.Second
			}
			c, p := f.start(cfg, ack)
			_ = p.conn.SetReadDeadline(time.Time{})
			for range 5 {
				began := time.Now()
				got, err := p.r.ReadPacket()
				if err != nil {
					t.Fatal(err)
				}
				if got.Type() != mqtt.TypePingreq || time.Since(began) > limit {
					t.Errorf("%s: %s after %s", v, got.Type(), time.Since(began))
				}
				p.send(&mqtt.Pingresp{})
			}
			closeClient(t, c, p)
		})
	}
}

// TestOverTCP: the client speaks over an ordered, lossless stream of bytes in both directions.
func TestOverTCP(t *testing.T) {
	conformance.Covers(t, "MQTT311-7.1.2-1", "MQTT-4.2-1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := client.New(client.Config{Server: "mqtt://" + l.Addr().String(), Version: mqtt.V311, CleanStart: true, NoReconnect: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, v: mqtt.V311, conn: nc, r: mqtt.NewReader(nc, mqtt.V311, 0)}
	expect[*mqtt.Connect](p)
	p.send(connack())
	for n := range 100 {
		publishAsync(t, c, message("a", fmt.Sprint(n), mqtt.AtMostOnce))
	}
	for n := range 100 {
		if m := expect[*mqtt.Publish](p); string(m.Payload) != fmt.Sprint(n) {
			t.Fatalf("got %s, want %d", m.Payload, n)
		}
	}
	closeClient(t, c, p)
	if _, err := nc.Read(make([]byte, 1)); err == nil {
		t.Error("more after the end")
	}
}
