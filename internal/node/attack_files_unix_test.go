//go:build unix

package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/mqtt"
)

// TestAttack34_AccessFiles: an access file that is empty, broken, missing, writable by others, or cannot be opened for want of
// descriptors never means that everything is allowed: a start fails, a reload changes nothing.
func TestAttack34_AccessFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(dir, name)
		_ = os.Remove(path)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", "carl:passwordless\n", 0o600)
	write("sealmq.yaml", "version: 1\nlisteners: [{name: local, bind: \"127.0.0.1:0\"}]\nstorage: {engine: memory}\n"+
		"auth: {password: {file: passwd}}\nacl: {mosquitto: acl.txt}\n", 0o600)
	load := func() *config.Plan {
		plan, err := config.FromFlags(config.Flags{Config: filepath.Join(dir, "sealmq.yaml")})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	const good = "user carl\ntopic write a\n"
	write("acl.txt", good, 0o644)
	n := startNode(t, load())
	rights := func() (a, b mqtt.ReasonCode) {
		w := dial(t, n, mqtt.V5)
		w.raw(rawConnect(5, "c", []byte("carl"), nil))
		if code, ok := w.connack(); !ok || code != mqtt.Success {
			t.Fatal(code, ok)
		}
		w.send(&mqtt.Publish{Topic: "a", QoS: 1, PacketID: 1})
		a = next[*mqtt.Puback](w).ReasonCode
		w.send(&mqtt.Publish{Topic: "b", QoS: 1, PacketID: 2})
		return a, next[*mqtt.Puback](w).ReasonCode
	}
	starve := func() (restore func()) {
		var old syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
		none := old
		none.Cur = 0
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name     string
		do       func()
		reloads  bool
		descends bool // no file descriptor is left
	}{
		{"broken", func() { write("acl.txt", "topics read #\n", 0o644) }, false, false},
		{"missing", func() { _ = os.Remove(filepath.Join(dir, "acl.txt")) }, false, false},
		{"writable by others", func() { write("acl.txt", "topic #\n", 0o666) }, false, false},
		{"a folder", func() {
			_ = os.Remove(filepath.Join(dir, "acl.txt"))
			_ = os.Mkdir(filepath.Join(dir, "acl.txt"), 0o700)
		}, false, false},
		{"no descriptors", func() { write("acl.txt", "user carl\ntopic write b\n", 0o644) }, false, true},
		{"empty", func() { write("acl.txt", "", 0o644) }, true, false},
		{"blank lines and comments", func() { write("acl.txt", "\n\n# nothing\n\n", 0o644) }, true, false},
	} {
		write("acl.txt", good, 0o644)
		if err := n.Reload(load()); err != nil {
			t.Fatal(err)
		}
		c.do()
		plan := load()
		restore := func() {}
		if c.descends {
			restore = starve()
		}
		err := n.Reload(plan)
		restore()
		if (err == nil) != c.reloads {
			t.Errorf("%s: %v", c.name, err)
		}
		a, b := rights()
		if b != mqtt.NotAuthorized || !c.reloads && a.IsError() || c.reloads && a != mqtt.NotAuthorized {
			t.Errorf("%s: a %v, b %v", c.name, a, b)
		}
		if !c.reloads && !c.descends {
			if other, err := Start(t.Context(), plan, slog.New(slog.DiscardHandler), "test"); err == nil {
				t.Errorf("%s: a broker starts", c.name)
				_ = other.Stop(t.Context())
			}
		}
	}
}
