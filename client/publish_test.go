package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

func TestPublishEachVersionAndQoS(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for q := mqtt.AtMostOnce; q <= mqtt.ExactlyOnce; q++ {
			t.Run(fmt.Sprintf("%v qos %d", v, q), func(t *testing.T) {
				f := newFake(t, v)
				c, p := f.start(f.config(), connack())
				result := publishing(t, c, &client.Message{Topic: "a/b", Payload: []byte("x"), QoS: q, Retain: true})
				got := expect[*mqtt.Publish](p)
				if got.Topic != "a/b" || string(got.Payload) != "x" || got.QoS != q || !got.Retain || got.Dup {
					t.Fatalf("got %+v", got)
				}
				id := got.PacketID
				switch q {
				case mqtt.AtLeastOnce:
					p.send(&mqtt.Puback{PacketID: id})
				case mqtt.ExactlyOnce:
					p.send(&mqtt.Pubrec{PacketID: id})
					if rel := expect[*mqtt.Pubrel](p); rel.PacketID != id {
						t.Fatalf("pubrel of %d, want %d", rel.PacketID, id)
					}
					p.send(&mqtt.Pubcomp{PacketID: id})
				}
				if err := <-result; err != nil {
					t.Fatal(err)
				}
				closeClient(t, c, p)
			})
		}
	}
}

func TestPublishRefused(t *testing.T) {
	for _, q := range []mqtt.QoS{mqtt.AtLeastOnce, mqtt.ExactlyOnce} {
		f := newFake(t, mqtt.V5)
		c, p := f.start(f.config(), connack())
		result := publishing(t, c, message("a", "x", q))
		id := expect[*mqtt.Publish](p).PacketID
		var props mqtt.Properties
		props.SetReasonString("no\nway")
		if q == mqtt.AtLeastOnce {
			p.send(&mqtt.Puback{PacketID: id, ReasonCode: mqtt.NotAuthorized})
		} else {
			p.send(&mqtt.Pubrec{PacketID: id, ReasonCode: mqtt.NotAuthorized})
		}
		err := <-result
		var refused *client.PublishError
		if !errors.As(err, &refused) || refused.Code != mqtt.NotAuthorized || refused.Local || refused.Topic != "a" {
			t.Fatalf("got %v", err)
		}
		closeClient(t, c, p)
	}
}

func TestPublishRuledOutLocally(t *testing.T) {
	conformance.Covers(t, "MQTT-3.2.2-11", "MQTT-3.2.2-14", "MQTT-3.2.2-15")
	limits := connack(func(p *mqtt.Properties) {
		p.SetMaximumQoS(mqtt.AtLeastOnce)
		p.SetRetainAvailable(false)
		p.SetMaximumPacketSize(64)
	})
	tests := map[string]struct {
		m    *client.Message
		code mqtt.ReasonCode
	}{
		"qos":         {message("a", "x", mqtt.ExactlyOnce), mqtt.QoSNotSupported},
		"retain":      {&client.Message{Topic: "a", Retain: true}, mqtt.RetainNotSupported},
		"size qos 0":  {&client.Message{Topic: "a", Payload: make([]byte, 64)}, mqtt.PacketTooLarge},
		"size qos 1":  {&client.Message{Topic: "a", Payload: make([]byte, 64), QoS: mqtt.AtLeastOnce}, mqtt.PacketTooLarge},
		"retain qos1": {&client.Message{Topic: "a", Retain: true, QoS: mqtt.AtLeastOnce}, mqtt.RetainNotSupported},
	}
	f := newFake(t, mqtt.V5)
	c, p := f.start(f.config(), limits)
	for name, test := range tests {
		err := c.Publish(t.Context(), test.m)
		var refused *client.PublishError
		if !errors.As(err, &refused) || refused.Code != test.code || !refused.Local {
			t.Errorf("%s: got %v, want local refusal with %v", name, err, test.code)
		}
	}
	closeClient(t, c, p) // expects DISCONNECT as the next packet: nothing was sent
}

func TestPublishInvalid(t *testing.T) {
	f := newFake(t, mqtt.V5)
	c, p := f.start(f.config(), connack())
	withID := &mqtt.Properties{}
	withID.AddSubscriptionID(1)
	for name, m := range map[string]*client.Message{
		"wildcard":        {Topic: "a/#"},
		"empty topic":     {Topic: ""},
		"qos":             {Topic: "a", QoS: 3},
		"subscription id": {Topic: "a", Properties: withID},
	} {
		if err := c.Publish(t.Context(), m); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	closeClient(t, c, p)
}

func TestReceiveMaximumBoundsInflight(t *testing.T) {
	f := newFake(t, mqtt.V5)
	c, p := f.start(f.config(), connack(func(p *mqtt.Properties) { p.SetReceiveMaximum(2) }))
	done := make(chan error, 5)
	for i := range 5 {
		m := message("a", fmt.Sprint(i), mqtt.AtLeastOnce)
		if err := c.PublishAsync(t.Context(), m, func(_ client.Ack, err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
	}
	open := []mqtt.PacketID{expect[*mqtt.Publish](p).PacketID, expect[*mqtt.Publish](p).PacketID}
	// A third one would show up before the answer to this QoS 0 message, which no quota holds back.
	if err := c.PublishAsync(t.Context(), message("mark", "", mqtt.AtMostOnce), nil); err != nil {
		t.Fatal(err)
	}
	if got := expect[*mqtt.Publish](p); got.Topic != "mark" {
		t.Fatalf("got %q beyond the receive maximum", got.Payload)
	}
	for i := 2; i < 5; i++ {
		p.send(&mqtt.Puback{PacketID: open[0]})
		got := expect[*mqtt.Publish](p)
		if string(got.Payload) != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d: order lost", got.Payload, i)
		}
		open = append(open[1:], got.PacketID)
	}
	p.send(&mqtt.Puback{PacketID: open[0]}, &mqtt.Puback{PacketID: open[1], ReasonCode: mqtt.NoMatchingSubscribers})
	for range 5 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	closeClient(t, c, p)
}

func TestQueueIsBounded(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.QueueMessages = 2
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make(chan error, 2)
	for range 2 {
		if err := c.PublishAsync(t.Context(), message("a", "", mqtt.AtLeastOnce), func(_ client.Ack, err error) { outcomes <- err }); err != nil {
			t.Fatal(err)
		}
	}
	full, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.PublishAsync(full, message("a", "", mqtt.AtLeastOnce), nil); !errors.Is(err, client.ErrQueueFull) {
		t.Fatalf("got %v, want ErrQueueFull", err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-outcomes; !errors.Is(err, client.ErrClosed) {
			t.Fatalf("got %v, want ErrClosed", err)
		}
	}
	if err := c.Publish(t.Context(), message("a", "", mqtt.AtLeastOnce)); !errors.Is(err, client.ErrClosed) {
		t.Fatalf("after close: %v", err)
	}
}

func TestPayloadMayBeReusedAtOnce(t *testing.T) {
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	buf := []byte("first")
	for q := mqtt.AtMostOnce; q <= mqtt.ExactlyOnce; q++ {
		copy(buf, "first")
		if err := c.PublishAsync(t.Context(), &client.Message{Topic: "a", Payload: buf, QoS: q}, nil); err != nil {
			t.Fatal(err)
		}
		copy(buf, "XXXXX")
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p, _ := f.accept(connack())
	for range 3 {
		if got := expect[*mqtt.Publish](p); string(got.Payload) != "first" {
			t.Fatalf("got %q", got.Payload)
		}
	}
	closeClient(t, c, p)
}

func TestFlushWaitsForAcknowledgements(t *testing.T) {
	f := newFake(t, mqtt.V5)
	c, p := f.start(f.config(), connack())
	if err := c.PublishAsync(t.Context(), message("a", "", mqtt.AtLeastOnce), nil); err != nil {
		t.Fatal(err)
	}
	id := expect[*mqtt.Publish](p).PacketID
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("flush before puback: %v", err)
	}
	p.send(&mqtt.Puback{PacketID: id})
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeClient(t, c, p)
}

func TestOutboundTopicAliases(t *testing.T) {
	conformance.Covers(t, "MQTT-3.2.2-17", "MQTT-3.3.2-9")
	f := newFake(t, mqtt.V5)
	cfg := f.config()
	cfg.TopicAliases = true
	c, p := f.start(cfg, connack(func(p *mqtt.Properties) { p.SetTopicAliasMaximum(1) }))
	var got []string
	for _, name := range []string{"a", "b", "a", "b"} {
		if err := c.PublishAsync(t.Context(), message(name, "", mqtt.AtMostOnce), nil); err != nil {
			t.Fatal(err)
		}
		m := expect[*mqtt.Publish](p)
		got = append(got, fmt.Sprintf("%s:%d", m.Topic, m.Properties.TopicAlias))
	}
	if want := "[a:1 b:0 :1 b:0]"; fmt.Sprint(got) != want {
		t.Fatalf("got %v, want %s", got, want)
	}
	closeClient(t, c, p)
}
