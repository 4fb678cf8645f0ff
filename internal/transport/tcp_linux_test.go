package transport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
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

// TestProbes: connections inherit the probes from the listening socket.
func TestProbes(t *testing.T) {
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
	defer nc.Close()
	for name, o := range map[string]struct{ level, option, want int }{
		"SO_KEEPALIVE":  {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		"TCP_KEEPIDLE":  {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 60},
		"TCP_KEEPINTVL": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 20},
		"TCP_KEEPCNT":   {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 3},
		"TCP_NODELAY":   {syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
	} {
		got := 0
		if err := nc.(*plainConn).raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), o.level, o.option) }); err != nil {
			t.Fatal(err)
		}
		if err != nil || got != o.want {
			t.Errorf("%s is %d, want %d (%v)", name, got, o.want, err)
		}
	}
}
