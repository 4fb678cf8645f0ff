package floor

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/test/bench/load"
)

// TestRelays: what the relay forwards arrives once and whole, to exact filters and to wildcards, in both versions.
func TestRelays(t *testing.T) {
	for _, words := range []string{
		"-scenario fanout -subs 3 -qos 0", "-scenario fanin -pubs 3 -qos 0 -v5", "-scenario pairs -pubs 3 -qos 1", "-scenario pairs -pubs 3 -qos 1 -v5 -batch 1",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Serve(ctx, l) }()
		o, err := load.Parse(strings.Fields(words+" -warmup 10ms -dur 50ms -addr "+l.Addr().String()), t.Output())
		if err != nil {
			t.Fatal(err)
		}
		for range 50 { // a busy machine may get nothing done in so short a time
			r, err := load.Run(t.Context(), o)
			if err != nil {
				t.Fatalf("%s: %v", words, err)
			}
			if r.Lost+r.Duplicated+r.Foreign+r.Refused != 0 || len(r.Errors) > 0 {
				t.Fatalf("%s: %+v", words, r)
			}
			if r.Received > 0 {
				break
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestRefuses: what cannot be relayed ends the connection, and no other.
func TestRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = Serve(t.Context(), l) }()
	for name, b := range map[string]string{
		"no packet":        "\x00\x00",
		"no topic":         "\x30\x01\x00",
		"topic cut off":    "\x30\x03\x00\x09a",
		"larger than room": "\x30\xff\xff\x7f" + strings.Repeat("a", readRoom),
		"broken CONNECT":   "\x10\x02\x00\x00",
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 10)); err == nil {
			t.Errorf("%s: %d bytes come back", name, n)
		}
		_ = c.Close()
	}
}
