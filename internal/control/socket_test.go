package control

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// TestModes: the socket is for its owner, and the folder is closed to others.
func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: Windows has no modes")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o775); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m := mode(t, l.Path()); m != fs.ModeSocket|0o600 {
		t.Errorf("socket %v", m)
	}
	if m := mode(t, dir); m.Perm() != 0o700 {
		t.Errorf("folder %v", m)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// TestStale: what a killed broker left is replaced, a running one is not, and neither is anything else.
func TestStale(t *testing.T) {
	dir := t.TempDir()
	left, err := Listen(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var used *InUseError
	if _, err := Listen(dir, nil); !errors.As(err, &used) || used.Path != left.Path() {
		t.Errorf("beside a running one: %v", err)
	}
	_ = left.unix.Close() // as a killed process does: the file stays
	again, err := Listen(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := left.Close(); err == nil {
		t.Error("closed twice without an error")
	}
	if m := mode(t, again.Path()); m.Type() != fs.ModeSocket {
		t.Error("the old one took the socket of the new one away")
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(again.Path(), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir, nil); err == nil || !strings.Contains(err.Error(), "something else of that name") {
		t.Errorf("in place of a file: %v", err)
	}
	if text, err := os.ReadFile(again.Path()); err != nil || string(text) != "precious" {
		t.Errorf("the file: %q %v", text, err)
	}
	if _, err := Listen(filepath.Join(dir, "absent"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
}

// TestLongPath: a socket address holds about 100 bytes, a path 4096.
func TestLongPath(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: only Linux has names for descriptors")
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := serve(t, dir, &fake{}, silent())
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPermitted(t *testing.T) {
	for _, c := range []struct {
		peer Peer
		self int
		ok   bool
	}{
		{Peer{UID: 1000, Known: true}, 1000, true},
		{Peer{UID: 0, Known: true}, 1000, true},
		{Peer{UID: 1001, Known: true}, 1000, false},
		{Peer{UID: 65534, Known: true}, 0, false},
		{Peer{UID: 0, Known: true}, 0, true},
		{Peer{}, 1000, true},
	} {
		err := permitted(c.peer, c.self)
		var e *PeerError
		if (err == nil) != c.ok || !c.ok && !errors.As(err, &e) {
			t.Errorf("%+v to %d: %v", c.peer, c.self, err)
		}
	}
}

// TestPeer: the kernel tells who is at the other end, and what it tells is enforced on both sides.
func TestPeer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: the kernel does not tell")
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // test
	client, err := dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // test
	server, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close() //nolint:errcheck // test
	for _, c := range []*net.UnixConn{client, server} {
		if p, err := peerOf(c); err != nil || p != (Peer{os.Getpid(), os.Geteuid(), true}) {
			t.Errorf("%+v %v", p, err)
		}
		if err := checkUser(c, os.Geteuid()); err != nil {
			t.Error(err)
		}
		if os.Geteuid() == 0 {
			continue // root may talk to everybody
		}
		if err := checkUser(c, os.Geteuid()+1); err == nil {
			t.Error("another user was let in")
		}
	}
}

// TestDeniedPeers: who may not talk to the broker is cut off before a byte is read, is told of, and takes nobody's place.
func TestDeniedPeers(t *testing.T) {
	refused := &PeerError{Peer{PID: 7, UID: 9, Known: true}}
	denied := make(chan error, 2*maxConnections)
	l, err := Listen(t.TempDir(), func(err error) { denied <- err })
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	l.permit = func(*net.UnixConn) error {
		if n++; n <= maxConnections+1 {
			return refused
		}
		return nil
	}
	accepted := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = c.Close()
		}
		accepted <- err
	}()
	for range maxConnections + 1 {
		c, err := dial(l.Path())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a denied peer reads %v", err)
		}
		_ = c.Close()
		if err := <-denied; !errors.Is(err, refused) {
			t.Errorf("told %v", err)
		}
	}
	c, err := dial(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // test
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	if len(l.slots) != 0 {
		t.Errorf("%d places are taken", len(l.slots))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if c, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepts %v after Close: %v", c, err)
	}
	if text := refused.Error(); !strings.Contains(text, "process 7 of user 9") {
		t.Error(text)
	}
}
