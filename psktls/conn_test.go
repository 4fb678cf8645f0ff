package psktls

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCloseNotify(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	closed := make(chan error, 1)
	go func() { closed <- p.client.Close() }()
	if n, err := p.server.Read(make([]byte, 8)); n != 0 || err != io.EOF {
		t.Errorf("Read gives %d, %v; want io.EOF", n, err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := p.client.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if _, err := p.client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if _, err := p.client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

// TestTruncation: the end of the transport without close_notify is not io.EOF.
func TestTruncation(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	_ = p.client.NetConn().Close()
	if _, err := p.server.Read(make([]byte, 8)); err != io.ErrUnexpectedEOF {
		t.Errorf("Read gives %v, want io.ErrUnexpectedEOF", err)
	}
}

// TestCloseBehindBlockedWrite: nobody reads, a Write is stuck, Close returns at
// once all the same and frees the Write.
func TestCloseBehindBlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustConnect(t, serverConfig(), clientConfig())
		written := make(chan error, 1)
		go func() {
			_, err := p.server.Write(make([]byte, 1<<20))
			written <- err
		}()
		synctest.Wait()
		start := time.Now()
		if err := p.server.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Close waited %v behind a Write", d)
		}
		if err := <-written; err == nil {
			t.Error("the blocked Write succeeded")
		}
	})
}

// TestCloseIsBounded: a peer that does not read delays close_notify by no more
// than alertTimeout.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustConnect(t, serverConfig(), clientConfig())
		start := time.Now()
		_ = p.server.Close()
		if d := time.Since(start); d != alertTimeout {
			t.Errorf("Close took %v, want %v", d, alertTimeout)
		}
	})
}

func TestReadDeadlineLeavesConnectionUsable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustConnect(t, serverConfig(), clientConfig())
		_ = p.server.SetReadDeadline(time.Now().Add(time.Second))
		_, err := p.server.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Read: %v", err)
		}
		_ = p.server.SetReadDeadline(time.Time{})
		p.transfer(t, []byte("still here"))
	})
}

func TestHandshakeTimeout(t *testing.T) {
	for _, client := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			defer b.Close()
			c := Server(a, serverConfig())
			want := DefaultHandshakeTimeout
			if client {
				config := clientConfig()
				config.HandshakeTimeout = 3 * time.Second
				c, want = Client(a, config), config.HandshakeTimeout
			}
			start := time.Now()
			err := c.Handshake()
			if d := time.Since(start); d != want {
				t.Errorf("took %v, want %v", d, want)
			}
			var netErr net.Error
			if !errors.Is(err, CheckTimeout) || !errors.As(err, &netErr) || !netErr.Timeout() {
				t.Errorf("%v is not a timeout", err)
			}
			if again := c.Handshake(); again != err {
				t.Errorf("a second Handshake gives %v", again)
			}
			if _, err := b.Read(make([]byte, 1)); client == false && err != io.EOF {
				t.Errorf("the transport is still open: %v", err)
			}
		})
	}
}

// TestSlowHello: a client that sends an octet now and then does not live longer.
func TestSlowHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c := Server(a, serverConfig())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			hello := []byte{22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xf0}
			for i := 0; ; i++ {
				if _, err := b.Write([]byte{append(hello, 0)[min(i, len(hello))]}); err != nil {
					return
				}
				time.Sleep(time.Second / 2)
			}
		}()
		start := time.Now()
		if err := c.Handshake(); !errors.Is(err, CheckTimeout) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d != DefaultHandshakeTimeout {
			t.Errorf("took %v", d)
		}
		<-stopped
	})
}

func TestHandshakeCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := Server(a, serverConfig()).HandshakeContext(ctx)
		if !errors.Is(err, CheckCanceled) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCloseDuringHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		c := Server(a, serverConfig())
		done := make(chan error, 1)
		go func() { done <- c.Handshake() }()
		synctest.Wait()
		_ = c.Close()
		if err := <-done; !errors.Is(err, CheckTransport) {
			t.Errorf("got %v", err)
		}
	})
}

// TestGoexitInGetKey: even a callback that ends its goroutine leaves the caller
// with an error, not stuck.
func TestGoexitInGetKey(t *testing.T) {
	server := serverConfig()
	server.GetKey = func([]byte) ([]byte, error) { runtime.Goexit(); return nil, nil }
	p := connectPipe(t, server, clientConfig())
	wantCheck(t, p.serverErr, CheckInternal, AlertInternalError)
	if !errors.Is(p.serverErr, errGoexit) {
		t.Errorf("got %v", p.serverErr)
	}
}

func TestPanicInGetKeyHasItsStack(t *testing.T) {
	server := serverConfig()
	server.GetKey = func([]byte) ([]byte, error) { panic("bug in the key store") }
	p := connectPipe(t, server, clientConfig())
	var e *PanicError
	if !errors.As(p.serverErr, &e) || !bytes.Contains(e.Stack, []byte("TestPanicInGetKeyHasItsStack")) {
		t.Errorf("got %v", p.serverErr)
	}
	if strings.Contains(p.serverErr.Error(), "goroutine") {
		t.Error("the stack is in the error text")
	}
}

func TestConcurrentUse(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	var wg sync.WaitGroup
	const rounds = 200
	for _, d := range []struct{ from, to *Conn }{{p.client, p.server}, {p.server, p.client}} {
		for range 2 {
			wg.Go(func() {
				for range rounds {
					if _, err := d.from.Write([]byte("0123456789")); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Go(func() {
			got, err := io.ReadAll(io.LimitReader(d.to, 2*rounds*10))
			if err != nil || !bytes.Equal(got, bytes.Repeat([]byte("0123456789"), 2*rounds)) {
				t.Errorf("%d octets, %v", len(got), err)
			}
		})
		wg.Go(func() { _ = d.to.ConnectionState(); _, _ = d.to.ChannelBinding() })
	}
	wg.Wait()
}

// TestIdleConnectionHoldsNoBuffers: after every delivery, and while a Read
// waits, nothing is borrowed.
func TestIdleConnectionHoldsNoBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustConnect(t, serverConfig(), clientConfig())
		idle := func(when string) {
			t.Helper()
			for _, c := range []*Conn{p.server, p.client} {
				if c.in.raw != nil || c.in.plain != nil || c.in.hand != nil || c.out.flight != nil {
					t.Errorf("%s: raw %d, plain %d, hand %d, flight %d octets", when, cap(c.in.raw), cap(c.in.plain), cap(c.in.hand), cap(c.out.flight))
				}
			}
		}
		idle("after the handshake")
		p.transfer(t, make([]byte, 20000))
		idle("after a transfer")
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = p.server.Read(make([]byte, 4096))
		}()
		synctest.Wait()
		idle("while Read waits")
		if _, err := p.client.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		<-read
		idle("after Read")
	})
}

// TestPending: two records in one segment; a reader that parks after the first
// would wait for ever.
func TestPending(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	p.client.out.mu.Lock()
	var segment []byte
	for _, s := range []string{"one", "two"} {
		var err error
		if segment, err = p.client.out.seal(segment, recordApplicationData, VersionTLS12, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	p.client.out.mu.Unlock()
	go func() { _, _ = p.client.NetConn().Write(append(segment, 23, 3)) }()
	buf := make([]byte, 1024)
	for _, want := range []struct {
		text    string
		pending bool
	}{{"one", true}, {"two", false}} {
		n, err := p.server.Read(buf)
		if err != nil || string(buf[:n]) != want.text || p.server.Pending() != want.pending {
			t.Fatalf("%q, %v, pending %v; want %+v", buf[:n], err, p.server.Pending(), want)
		}
	}
}

func TestSmallReads(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	go func() { _, _ = p.client.Write([]byte("abc")) }()
	for _, want := range "abc" {
		b := make([]byte, 1)
		if n, err := p.server.Read(b); n != 1 || err != nil || b[0] != byte(want) {
			t.Fatalf("%d, %v, %q", n, err, b)
		}
	}
	if n, err := p.server.Read(nil); n != 0 || err != nil {
		t.Errorf("empty Read: %d, %v", n, err)
	}
	if n, err := p.server.Write(nil); n != 0 || err != nil {
		t.Errorf("empty Write: %d, %v", n, err)
	}
}
