package mqtt

import (
	"testing"
)

// benchmarkPublish parses and appends p, including the fixed header.
func benchmarkPublish(b *testing.B, v Version, p *Publish) {
	in := mustAppend(b, p, v)
	b.Run("parse", func(b *testing.B) {
		var got Publish
		b.ReportAllocs()
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			h, n, err := ParseHeader(in, v)
			if err != nil {
				b.Fatal(err)
			}
			if err := got.Parse(v, h.Flags, in[n:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		out := make([]byte, 0, 2*len(in))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Append(out, v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPublish311(b *testing.B) {
	benchmarkPublish(b, V311, &Publish{Topic: "sensors/kitchen/temperature", QoS: 1, PacketID: 7, Payload: make([]byte, 64)})
}

func BenchmarkPublish5(b *testing.B) {
	benchmarkPublish(b, V5, &Publish{Topic: "sensors/kitchen/temperature", QoS: 1, PacketID: 7, Payload: make([]byte, 64)})
}

func BenchmarkPublish5Properties(b *testing.B) {
	benchmarkPublish(b, V5, &Publish{
		Topic: "sensors/kitchen/temperature", Payload: make([]byte, 64), Properties: props(messageProperties),
	})
}

func BenchmarkPuback5(b *testing.B) {
	in := mustAppend(b, &Puback{PacketID: 7}, V5)
	var p Puback
	out := make([]byte, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Parse(V5, 0, in[2:]); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Append(out, V5); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConnect5(b *testing.B) {
	in := mustAppend(b, samplesV5()[0], V5)
	h, n, _ := ParseHeader(in, V5)
	var c Connect
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Parse(V5, h.Flags, in[n:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidString(b *testing.B) {
	for _, s := range []string{"sensors/kitchen/temperature", "sensoren/küche/temperatur"} {
		b.Run(s, func(b *testing.B) {
			for b.Loop() {
				if !ValidString(s) {
					b.Fatal(s)
				}
			}
		})
	}
}
