package client

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/sealmq/sealmq/mqtt"
)

// serveBench accepts one connection on loopback and answers as a server without any work would: PUBACK for QoS 1, and
// n messages for a SUBSCRIBE, as fast as they are read.
func serveBench(b *testing.B, ln net.Listener, n int) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	r := mqtt.NewReader(conn, mqtt.V5, 0)
	var out []byte
	for {
		p, err := r.ReadPacket()
		if err != nil {
			return
		}
		out = out[:0]
		switch p := p.(type) {
		case *mqtt.Connect:
			out, _ = new(mqtt.Connack).Append(out, mqtt.V5)
		case *mqtt.Publish:
			if p.QoS == mqtt.AtLeastOnce {
				out, _ = (&mqtt.Puback{PacketID: p.PacketID}).Append(out, mqtt.V5)
			}
		case *mqtt.Subscribe:
			out, _ = (&mqtt.Suback{PacketID: p.PacketID, ReasonCodes: []mqtt.ReasonCode{0}}).Append(out, mqtt.V5)
			m := &mqtt.Publish{Topic: "plant/2/temperature", Payload: make([]byte, 64)}
			for range n {
				if out, err = m.Append(out, mqtt.V5); err != nil {
					b.Error(err)
					return
				}
				if len(out) > 32<<10 {
					if _, err := conn.Write(out); err != nil {
						return
					}
					out = out[:0]
				}
			}
		}
		if len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}
}

func benchClient(b *testing.B, n int, handler func(*Message)) *Client {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go serveBench(b, ln, n)
	c, err := Dial(b.Context(), Config{Server: "mqtt://" + ln.Addr().String(), ClientID: "bench", Handler: handler})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = c.Close(context.Background())
		_ = ln.Close()
	})
	return c
}

func BenchmarkPublishAsync(b *testing.B) {
	for _, q := range []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce} {
		b.Run([]string{"qos0", "qos1"}[q], func(b *testing.B) {
			c := benchClient(b, 0, nil)
			m := &Message{Topic: "plant/2/temperature", Payload: make([]byte, 64), QoS: q}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.PublishAsync(b.Context(), m, nil); err != nil {
					b.Fatal(err)
				}
			}
			if err := c.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkPublishWait(b *testing.B) {
	c := benchClient(b, 0, nil)
	m := &Message{Topic: "plant/2/temperature", Payload: make([]byte, 64), QoS: mqtt.AtLeastOnce}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Publish(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	b.ReportAllocs()
	var all sync.WaitGroup
	all.Add(b.N)
	c := benchClient(b, b.N, func(*Message) { all.Done() })
	b.ResetTimer()
	if _, err := c.Subscribe(b.Context(), mqtt.Subscription{Filter: "#"}); err != nil {
		b.Fatal(err)
	}
	all.Wait()
}
