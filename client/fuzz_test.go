package client

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// FuzzInbound feeds a connected client with arbitrary bytes. Whatever they are, the client ends by itself when the
// stream ends, holds no more acknowledgements than its Receive Maximum allows, and no buffer beyond its packet limit.
func FuzzInbound(f *testing.F) {
	for _, p := range []mqtt.Packet{
		&mqtt.Publish{Topic: "a", QoS: 2, PacketID: 1, Payload: []byte("x")}, &mqtt.Pubrel{PacketID: 1},
		&mqtt.Puback{PacketID: 1}, &mqtt.Pubrec{PacketID: 2}, &mqtt.Pubcomp{PacketID: 2},
		&mqtt.Suback{PacketID: 3, ReasonCodes: []mqtt.ReasonCode{0}}, &mqtt.Unsuback{PacketID: 3, ReasonCodes: []mqtt.ReasonCode{0}},
		&mqtt.Disconnect{ReasonCode: mqtt.ServerBusy}, &mqtt.Auth{}, &mqtt.Pingresp{},
	} {
		b, err := p.Append(nil, mqtt.V5)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, v5 bool) {
		cfg := Config{
			Server: "mqtt://fuzz", ClientID: "c", ReceiveMaximum: 4, MaximumPacketSize: 1024, NoReconnect: true,
			InboundBuffer: 4, Version: mqtt.V311, Handler: func(*Message) {},
		}
		if v5 {
			cfg.Version = mqtt.V5
		}
		near, far := net.Pipe()
		cfg.Dial = func(context.Context, *url.URL) (net.Conn, error) { return near, nil }
		go func() {
			r := mqtt.NewReader(far, cfg.Version, 0)
			if _, err := r.ReadPacket(); err != nil {
				return
			}
			b, _ := new(mqtt.Connack).Append(nil, cfg.Version)
			_, _ = far.Write(b)
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				for {
					if _, err := r.ReadPacket(); err != nil {
						return
					}
				}
			}()
			_, _ = far.Write(stream)
			_ = far.Close()
			<-drained
		}()
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.PublishAsync(t.Context(), &Message{Topic: "a", QoS: 1}, nil)
		_ = c.PublishAsync(t.Context(), &Message{Topic: "a", QoS: 2}, nil)
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := c.current()
		select {
		case <-c.Done():
		case <-time.After(10 * time.Second):
			t.Fatal("the client did not end with its connection")
		}
		if l == nil {
			return // over before it could be looked at
		}
		if v5 && l.open > 4 {
			t.Fatalf("%d messages open, receive maximum is 4", l.open)
		}
		if cap(l.buf) > 2*readChunk {
			t.Fatalf("read buffer of %d bytes for packets of at most 1024", cap(l.buf))
		}
	})
}

// current returns the present connection.
func (c *Client) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// TestPacketIDsWrapAndSkip: an identifier in use is never given twice, and 0 never [MQTT-2.2.1-3].
func TestPacketIDsWrapAndSkip(t *testing.T) {
	conformance.Covers(t, "MQTT-2.2.1-3", "MQTT311-2.3.1-2")
	o := outbound{inflight: map[mqtt.PacketID]*pending{}, lastID: 65534}
	busy := &pending{id: 1}
	o.inflight[1] = busy
	for _, want := range []mqtt.PacketID{65535, 2, 3} {
		p := new(pending)
		if err := o.allocate(p); err != nil || p.id != want {
			t.Fatalf("got %d %v, want %d", p.id, err, want)
		}
	}
	for len(o.inflight) < 65535 {
		if err := o.allocate(new(pending)); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.allocate(new(pending)); err == nil {
		t.Fatal("an identifier was given twice")
	}
}

func TestFIFO(t *testing.T) {
	var q fifo[int]
	next, first := 0, 0
	for _, n := range []int{3, -2, 40, -30, 5, -16, 20, -20} {
		for ; n > 0; n-- {
			q.push(next)
			next++
		}
		for ; n < 0; n++ {
			if *q.at(0) != first || q.pop() != first {
				t.Fatalf("order lost at %d", first)
			}
			first++
		}
		if q.len() != next-first {
			t.Fatalf("length %d, want %d", q.len(), next-first)
		}
	}
}
