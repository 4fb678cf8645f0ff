package transport

import (
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// connectedPair is two ends of a Unix socket: what one end writes can be read at the other at once.
func connectedPair(t *testing.T) (*socket, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		t.Cleanup(func() { _ = ends[i].Close() })
	}
	s, err := newSocket(ends[0].(*net.UnixConn))
	if err != nil {
		t.Fatal(err)
	}
	return s, ends[1]
}

// TestTurnLetsReadersRun: whoever's socket is readable is read after a turn or two, although the goroutine that takes them
// never has to wait for anything. With one processor nobody else asks the kernel: one that only yields does so thousands of
// times before the runtime does.
func TestTurnLetsReadersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s, peer := connectedPair(t)
	var read atomic.Int64
	var reader sync.WaitGroup
	reader.Go(func() {
		_ = s.ReadEach(func(b []byte) bool { read.Add(int64(len(b))); return true })
	})
	const messages = 200
	taken := 0
	for n := range int64(messages) {
		runtime.Gosched() // to where it waits
		if _, err := peer.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		for ; read.Load() <= n; taken++ {
			takeTurn()
		}
	}
	if taken > 5*messages {
		t.Errorf("%d messages needed %d turns", messages, taken)
	}
	_ = peer.Close()
	reader.Wait()
}

// TestTurnsAreBounded: many at once take turns with few file descriptors.
func TestTurnsAreBounded(t *testing.T) {
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			for range 100 {
				takeTurn()
			}
		})
	}
	all.Wait()
	if n := len(turnsMade); n == 0 || n > cap(turns) || len(turns) != n {
		t.Errorf("%d turns exist and %d are free, of at most %d", n, len(turns), cap(turns))
	}
}
