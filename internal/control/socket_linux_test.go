package control

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// TestBusySocket: a broker whose queue of connections is full still has its socket.
func TestBusySocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd) //nolint:errcheck // test
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for { // until the queue is full
		c, err := dial(path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // test
	}
	before := mode(t, path)
	var used *InUseError
	if l, err := Listen(dir, nil); !errors.As(err, &used) {
		t.Errorf("got %v, %v", l, err)
	}
	if mode(t, path) != before {
		t.Error("it is another socket now")
	}
}
