package transport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestReadEachSeesTheEnd: a peer that writes and closes at once is noticed, although data and end arrive together.
func TestReadEachSeesTheEnd(t *testing.T) {
	l, err := ListenLoopback(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 20 {
		peer, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write([]byte("last words")); err != nil {
			t.Fatal(err)
		}
		if err := peer.Close(); err != nil {
			t.Fatal(err)
		}
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
		var got []byte
		wire, ok := nc.(interface {
			ReadEach(f func(b []byte) bool) error
		})
		if !ok {
			t.Fatalf("%T has no ReadEach", nc)
		}
		if err := wire.ReadEach(func(b []byte) bool { got = append(got, b...); return true }); !errors.Is(err, io.EOF) {
			t.Fatalf("got %v after %q", err, got)
		}
		if string(got) != "last words" {
			t.Errorf("got %q", got)
		}
		_ = nc.Close()
	}
}
