package client_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestResendAfterReconnect breaks the connection with messages in every stage: the same Session must go on where it
// was, in order, with DUP on what was sent [MQTT-4.4.0-1] [MQTT-4.6.0-1].
func TestResendAfterReconnect(t *testing.T) {
	conformance.Covers(t, "MQTT-4.6.0-1", "MQTT311-4.6.0-1", "MQTT311-2.3.1-3", "MQTT-3.3.1-1", "MQTT-4.4.0-1")
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			f := newFake(t, v)
			cfg := f.config()
			cfg.MaxInflight = 3
			c, p := f.start(cfg, connack())
			done := make(chan error, 4)
			for i, q := range []mqtt.QoS{2, 1, 2, 1} {
				err := c.PublishAsync(t.Context(), message("a", fmt.Sprint(i), q), func(_ client.Ack, err error) { done <- err })
				if err != nil {
					t.Fatal(err)
				}
			}
			released := expect[*mqtt.Publish](p).PacketID
			expect[*mqtt.Publish](p)
			expect[*mqtt.Publish](p)
			p.send(&mqtt.Pubrec{PacketID: released})
			expect[*mqtt.Pubrel](p)
			_ = p.conn.Close()

			p, connect := f.accept(sessionPresent())
			if connect.CleanStart {
				t.Fatal("reconnect with clean start")
			}
			want := []struct {
				payload string
				dup     bool
			}{{"1", true}, {"2", true}, {"3", false}}
			// PUBREL and PUBLISH are two sequences; each is in order.
			var ids []mqtt.PacketID
			rel := false
			for range 3 {
				got, err := p.read()
				if err != nil {
					t.Fatal(err)
				}
				switch got := got.(type) {
				case *mqtt.Pubrel:
					rel = got.PacketID == released
					p.send(&mqtt.Pubcomp{PacketID: released})
				case *mqtt.Publish:
					if string(got.Payload) != want[0].payload || got.Dup != want[0].dup {
						t.Fatalf("got %q dup %v, want %+v", got.Payload, got.Dup, want[0])
					}
					want = want[1:]
					ids = append(ids, got.PacketID)
				}
			}
			if !rel || len(ids) != 2 {
				t.Fatalf("pubrel %v, publishes %v", rel, ids)
			}
			if got := expect[*mqtt.Publish](p); string(got.Payload) != "3" || got.Dup {
				t.Fatalf("got %q dup %v", got.Payload, got.Dup)
			} else {
				ids = append(ids, got.PacketID)
			}
			p.send(&mqtt.Puback{PacketID: ids[0]}, &mqtt.Puback{PacketID: ids[2]}, &mqtt.Pubrec{PacketID: ids[1]})
			expect[*mqtt.Pubrel](p)
			p.send(&mqtt.Pubcomp{PacketID: ids[1]})
			for range 4 {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			closeClient(t, c, p)
		})
	}
}

// TestSessionLost: QoS 1 is sent again as new, QoS 2 is reported as unknown, what was never sent goes out.
func TestSessionLost(t *testing.T) {
	conformance.Covers(t, "MQTT-3.2.2-5")
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.MaxInflight = 2
	c, p := f.start(cfg, connack())
	outcome := map[string]chan error{}
	for i, q := range []mqtt.QoS{2, 1, 2} {
		ch := make(chan error, 1)
		outcome[fmt.Sprint(i)] = ch
		if err := c.PublishAsync(t.Context(), message("a", fmt.Sprint(i), q), func(_ client.Ack, err error) { ch <- err }); err != nil {
			t.Fatal(err)
		}
	}
	expect[*mqtt.Publish](p)
	expect[*mqtt.Publish](p)
	_ = p.conn.Close()
	p, _ = f.accept(connack())
	if err := <-outcome["0"]; !errors.Is(err, client.ErrSessionLost) {
		t.Fatalf("qos 2 in flight: %v", err)
	}
	first, second := expect[*mqtt.Publish](p).Clone(), expect[*mqtt.Publish](p)
	if string(first.Payload) != "1" || first.Dup || string(second.Payload) != "2" || second.Dup {
		t.Fatalf("got %q dup %v, %q dup %v", first.Payload, first.Dup, second.Payload, second.Dup)
	}
	p.send(&mqtt.Puback{PacketID: first.PacketID}, &mqtt.Pubrec{PacketID: second.PacketID})
	expect[*mqtt.Pubrel](p)
	p.send(&mqtt.Pubcomp{PacketID: second.PacketID})
	for _, i := range []string{"1", "2"} {
		if err := <-outcome[i]; err != nil {
			t.Fatalf("message %s: %v", i, err)
		}
	}
	closeClient(t, c, p)
}

func TestSubscribeCodesAndRenewal(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	lost := make(chan *client.SubscribeError, 1)
	cfg.Hooks.SubscriptionLost = func(e *client.SubscribeError) { lost <- e }
	c, p := f.start(cfg, connack())
	type answer struct {
		codes []mqtt.ReasonCode
		err   error
	}
	result := make(chan answer, 1)
	go func() {
		codes, err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: "a/#", QoS: 1, NoLocal: true}, mqtt.Subscription{Filter: "b"},
			mqtt.Subscription{Filter: "c", QoS: 2})
		result <- answer{codes, err}
	}()
	id := expect[*mqtt.Subscribe](p).PacketID
	p.send(&mqtt.Suback{PacketID: id, ReasonCodes: []mqtt.ReasonCode{1, mqtt.NotAuthorized, 2}})
	got := <-result
	var refused *client.SubscribeError
	if !errors.As(got.err, &refused) || refused.Filter != "b" || len(got.codes) != 3 {
		t.Fatalf("got %+v", got)
	}

	_ = p.conn.Close()
	p, _ = f.accept(sessionPresent())
	// Nothing is renewed while the server has the Session; the next packet is ours.
	if err := c.PublishAsync(t.Context(), message("mark", "", 0), nil); err != nil {
		t.Fatal(err)
	}
	expect[*mqtt.Publish](p)

	_ = p.conn.Close()
	p, _ = f.accept(connack())
	again := expect[*mqtt.Subscribe](p).Clone()
	if len(again.Subscriptions) != 2 || again.Subscriptions[0].Filter != "a/#" || !again.Subscriptions[0].NoLocal ||
		again.Subscriptions[1].Filter != "c" {
		t.Fatalf("renewed %+v", again.Subscriptions)
	}

	// The connection ends before the answer: although the Session exists now, the renewal must not be forgotten.
	_ = p.conn.Close()
	p, _ = f.accept(sessionPresent())
	again = expect[*mqtt.Subscribe](p).Clone()
	p.send(&mqtt.Suback{PacketID: again.PacketID, ReasonCodes: []mqtt.ReasonCode{mqtt.NotAuthorized, 2}})
	if e := <-lost; e.Filter != "a/#" {
		t.Fatalf("lost %v", e)
	}

	go func() {
		codes, err := c.Unsubscribe(t.Context(), "c")
		result <- answer{codes, err}
	}()
	id = expect[*mqtt.Unsubscribe](p).PacketID
	p.send(&mqtt.Unsuback{PacketID: id, ReasonCodes: []mqtt.ReasonCode{0}})
	if got := <-result; got.err != nil {
		t.Fatal(got.err)
	}
	_ = p.conn.Close()
	p, _ = f.accept(connack())
	closeClient(t, c, p) // expects DISCONNECT next: nothing left to renew
}

func TestSubscribeRuledOutLocally(t *testing.T) {
	f := newFake(t, mqtt.V5)
	c, p := f.start(f.config(), connack(func(p *mqtt.Properties) {
		p.SetWildcardAvailable(false)
		p.SetSharedAvailable(false)
		p.SetSubscriptionIDAvailable(false)
	}))
	var id mqtt.Properties
	id.AddSubscriptionID(1)
	for filter, want := range map[string]mqtt.ReasonCode{
		"a/#": mqtt.WildcardSubscriptionsNotSupported, "$share/g/a": mqtt.SharedSubscriptionsNotSupported,
	} {
		var refused *client.SubscribeError
		if _, err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: filter}); !errors.As(err, &refused) || refused.Code != want {
			t.Errorf("%s: %v", filter, err)
		}
	}
	var refused *client.SubscribeError
	if _, err := c.SubscribeWith(t.Context(), id, mqtt.Subscription{Filter: "a"}); !errors.As(err, &refused) ||
		refused.Code != mqtt.SubscriptionIdentifiersNotSupported {
		t.Errorf("identifier: %v", err)
	}
	closeClient(t, c, p)
}

func TestInboundAcksInOrder(t *testing.T) {
	conformance.Covers(t, "MQTT-4.6.0-2", "MQTT-4.6.0-3")
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.ManualAcks = true
	c, p := f.start(cfg, connack())
	p.send(&mqtt.Publish{Topic: "a", QoS: 1, PacketID: 1}, &mqtt.Publish{Topic: "a", QoS: 2, PacketID: 2},
		&mqtt.Publish{Topic: "a"}, &mqtt.Publish{Topic: "a", QoS: 1, PacketID: 3})
	var got []*client.Message
	for range 4 {
		m, err := c.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	got[3].Ack() // the last one first: nothing may leave
	got[1].Ack()
	got[1].Ack() // twice is once
	got[2].Ack() // qos 0: nothing
	if err := c.PublishAsync(t.Context(), message("mark", "", 0), nil); err != nil {
		t.Fatal(err)
	}
	expect[*mqtt.Publish](p)
	got[0].Ack()
	if id := expect[*mqtt.Puback](p).PacketID; id != 1 {
		t.Fatalf("first puback for %d", id)
	}
	if id := expect[*mqtt.Pubrec](p).PacketID; id != 2 {
		t.Fatalf("pubrec for %d", id)
	}
	if id := expect[*mqtt.Puback](p).PacketID; id != 3 {
		t.Fatalf("second puback for %d", id)
	}
	p.send(&mqtt.Pubrel{PacketID: 2})
	if comp := expect[*mqtt.Pubcomp](p); comp.PacketID != 2 || comp.ReasonCode != mqtt.Success {
		t.Fatalf("pubcomp %+v", comp)
	}
	p.send(&mqtt.Pubrel{PacketID: 2})
	if comp := expect[*mqtt.Pubcomp](p); comp.ReasonCode != mqtt.PacketIdentifierNotFound {
		t.Fatalf("second pubcomp %+v", comp)
	}
	closeClient(t, c, p)
}

// TestInboundQoS2AcrossReconnect: the program gets the message once, whatever the connection does.
func TestInboundQoS2AcrossReconnect(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.ManualAcks = true
	c, p := f.start(cfg, connack())
	publish := &mqtt.Publish{Topic: "a", QoS: 2, PacketID: 7, Payload: []byte("once")}
	p.send(publish)
	m, err := c.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = p.conn.Close()
	p, _ = f.accept(sessionPresent())
	publish.Dup = true
	p.send(publish) // again, while the program still works on it
	m.Ack()
	expect[*mqtt.Pubrec](p)
	_ = p.conn.Close()

	p, _ = f.accept(sessionPresent())
	p.send(publish) // again: PUBREC was lost
	expect[*mqtt.Pubrec](p)
	p.send(&mqtt.Pubrel{PacketID: 7})
	expect[*mqtt.Pubcomp](p)
	publish.Dup = false
	publish.Payload = []byte("next")
	p.send(publish) // the identifier is free: a new message
	m, err = c.Receive(t.Context())
	if err != nil || string(m.Payload) != "next" {
		t.Fatalf("got %v %v", m, err)
	}
	if s := c.Stats(); s.Received != 2 || s.Connects != 3 {
		t.Fatalf("stats %+v", s)
	}
	closeClient(t, c, p)
}

// TestAckOfEarlierConnection: a QoS 1 message of an ended connection is not acknowledged on the next one.
func TestAckOfEarlierConnection(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.ManualAcks = true
	c, p := f.start(cfg, connack())
	p.send(&mqtt.Publish{Topic: "a", QoS: 1, PacketID: 1})
	m, err := c.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = p.conn.Close()
	p, _ = f.accept(sessionPresent())
	if err := c.WaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Ack()
	closeClient(t, c, p) // DISCONNECT is the next packet
}

func TestReceiveMaximumIsEnforced(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.ManualAcks, cfg.ReceiveMaximum, cfg.NoReconnect = true, 1, true
	c, p := f.start(cfg, connack())
	p.send(&mqtt.Publish{Topic: "a", QoS: 1, PacketID: 1}, &mqtt.Publish{Topic: "a", QoS: 1, PacketID: 2})
	if d := expect[*mqtt.Disconnect](p); d.ReasonCode != mqtt.ReceiveMaximumExceeded {
		t.Fatalf("got %v", d.ReasonCode)
	}
	<-c.Done()
	if err := c.Err(); !errors.Is(err, &mqtt.Error{Code: mqtt.ReceiveMaximumExceeded}) {
		t.Fatalf("got %v", err)
	}
}

// TestStoreCarriesSessionToNextClient: what one client did not finish, another with the same store does.
func TestStoreCarriesSessionToNextClient(t *testing.T) {
	f := newFake(t, mqtt.V5)
	store := new(client.MemoryStore)
	cfg := f.config()
	cfg.Store = store
	c, p := f.start(cfg, connack())
	for i, q := range []mqtt.QoS{1, 2, 2} {
		if err := c.PublishAsync(t.Context(), message("a", fmt.Sprint(i), q), nil); err != nil {
			t.Fatal(err)
		}
		expect[*mqtt.Publish](p)
	}
	p.send(&mqtt.Pubrec{PacketID: 3})
	expect[*mqtt.Pubrel](p)
	p.send(&mqtt.Publish{Topic: "in", QoS: 2, PacketID: 9})
	if _, err := c.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect[*mqtt.Pubrec](p)
	closeClient(t, c, p)
	if n := store.Len(); n != 4 {
		t.Fatalf("%d records, want 3 sent and 1 received", n)
	}

	c, p = f.start(cfg, sessionPresent())
	rel := 0
	for range 3 {
		got, err := p.read()
		if err != nil {
			t.Fatal(err)
		}
		switch got := got.(type) {
		case *mqtt.Publish:
			if !got.Dup || string(got.Payload) != fmt.Sprint(got.PacketID-1) {
				t.Fatalf("got %+v", got)
			}
			if got.QoS == 1 {
				p.send(&mqtt.Puback{PacketID: got.PacketID})
			} else {
				p.send(&mqtt.Pubrec{PacketID: got.PacketID})
			}
		case *mqtt.Pubrel:
			rel++
			p.send(&mqtt.Pubcomp{PacketID: got.PacketID})
		}
	}
	for rel < 2 {
		rel++
		p.send(&mqtt.Pubcomp{PacketID: expect[*mqtt.Pubrel](p).PacketID})
	}
	p.send(&mqtt.Publish{Topic: "in", QoS: 2, PacketID: 9, Dup: true})
	expect[*mqtt.Pubrec](p)
	p.send(&mqtt.Pubrel{PacketID: 9})
	expect[*mqtt.Pubcomp](p)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Received != 0 {
		t.Fatalf("the qos 2 message was handed over again: %+v", s)
	}
	closeClient(t, c, p)
	if n := store.Len(); n != 0 {
		t.Fatalf("%d records left", n)
	}
}

type brokenStore struct {
	client.MemoryStore
	err error
}

func (s *brokenStore) Save(client.Record) error { return s.err }

// TestStoreRefuses: without a record nothing is sent, and nothing received is confirmed.
func TestStoreRefuses(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	full := errors.New("disk full")
	cfg.Store, cfg.NoReconnect = &brokenStore{err: full}, true
	c, p := f.start(cfg, connack())
	if err := c.Publish(t.Context(), message("a", "", 1)); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	p.send(&mqtt.Publish{Topic: "a", QoS: 2, PacketID: 1})
	if _, err := c.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.expectClosed()
	<-c.Done()
	if err := c.Err(); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
}
