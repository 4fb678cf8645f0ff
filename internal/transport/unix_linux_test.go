package transport

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestUnixSocketIsNeverOpen: from the moment that the socket has a name, others may not connect.
func TestUnixSocketIsNeverOpen(t *testing.T) {
	lc := net.ListenConfig{Control: setSocketMode}
	path := filepath.Join(t.TempDir(), "s")
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // test
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm()&^unixMode != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestUnixSocketThatIsBusy: a broker whose queue of connections is full still listens, and keeps its socket.
func TestUnixSocketThatIsBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd) //nolint:errcheck // test
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for { // until the queue is full
		c, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // test
	}
	if l, err := Listen(t.Context(), Options{Unix: path}); !errors.Is(err, CheckFile) {
		t.Errorf("got %v, %v", l, err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("its socket is gone: %v", err)
	}
}
