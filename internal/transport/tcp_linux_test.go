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

// TestCloseWhileReading: whoever handles a batch may close the connection, as the broker does when its answer cannot be
// written. Close waits until nobody uses the descriptor, so the handler must not be one who does.
func TestCloseWhileReading(t *testing.T) {
	l, err := ListenLoopback(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	wire := nc.(interface {
		ReadEach(f func(b []byte) bool) error
	})
	ended := make(chan error, 1)
	go func() { ended <- wire.ReadEach(func([]byte) bool { return nc.Close() == nil }) }()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the handler does not come back from Close")
	}
}
