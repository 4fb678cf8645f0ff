package transport

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestUnix(t *testing.T) {
	path := t.TempDir() + "/s"
	l := listenTest(t, Options{Unix: path})
	if _, err := Listen(t.Context(), Options{Unix: path}); !errors.Is(err, CheckFile) {
		t.Errorf("a socket in use: %v", err)
	}
	if probe := <-acceptOne(t, l, patience); probe.err == nil { // how the second attempt found out
		_ = probe.conn.Close()
	}
	served := acceptOne(t, l, patience)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // test
	out := <-served
	if out.err != nil || out.ev.Transport != "unix" || !out.ev.Loopback || out.ev.Encrypted() {
		t.Fatalf("%v %+v", out.err, out.ev)
	}
	exchange(t, c, out.conn)
	_ = out.conn.Close()
}

// TestUnixSocketFile: the owner and the group may connect; a socket that a killed broker left is replaced, and nothing else
// is: no file, no folder, no link to a socket, and no socket that somebody may listen on.
func TestUnixSocketFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	left, err := net.Listen("unix", in("left"))
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = left.Close()
	for _, name := range []string{"new", "left"} {
		l, err := Listen(t.Context(), Options{Unix: in(name)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		info, err := os.Lstat(in(name))
		if err != nil || info.Mode().Type() != os.ModeSocket || info.Mode().Perm() != unixMode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if c, err := net.Dial("unix", in(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			_ = c.Close()
		}
		if got := l.URL(); got != "unix:"+in(name) {
			t.Errorf("named %s", got)
		}
		_ = l.Close()
	}
	write(t, in("file"), 0o600, "important")
	if err := os.Mkdir(in("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(in("left"), in("link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "folder", "link"} {
		if l, err := Listen(t.Context(), Options{Unix: in(name)}); !errors.Is(err, CheckFile) {
			t.Errorf("%s: %v %v", name, l, err)
		}
		if _, err := os.Lstat(in(name)); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
	if l, err := Listen(t.Context(), Options{Unix: in("missing/socket")}); err == nil {
		t.Errorf("a folder that is not there: %v", l)
	}
	used, err := net.Listen("unix", in("used"))
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close() //nolint:errcheck // test
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := Listen(ended, Options{Unix: in("used")}); err == nil {
		t.Errorf("nobody had time to answer: %v", l)
	}
	if _, err := os.Lstat(in("used")); err != nil {
		t.Errorf("and its socket is gone: %v", err)
	}
}
