package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

func planFor(t *testing.T, data string) *config.Plan {
	t.Helper()
	plan, err := config.FromFlags(config.Flags{Dev: true, Data: data, Listen: []string{"mqtt://127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func startIn(t *testing.T, data string) (*Node, error) {
	t.Helper()
	return Start(t.Context(), planFor(t, data), slog.New(slog.DiscardHandler), "test")
}

// filled makes a data folder with a session, its queue and retained messages.
func filled(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	n, err := startIn(t, data)
	if err != nil {
		t.Fatal(err)
	}
	url := "mqtt://" + n.Addrs()[0].(*net.TCPAddr).String()
	for _, id := range []string{"sub", "pub"} {
		cfg := client.Config{Server: url, ClientID: id}
		cfg.Properties.SetSessionExpiry(1000)
		c, err := client.Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if id == "sub" {
			_, err = c.Subscribe(t.Context(), mqtt.Subscription{Filter: "#", QoS: 1})
		}
		for i := range 50 {
			if id == "pub" && err == nil {
				err = c.Publish(t.Context(), &client.Message{
					Topic: fmt.Sprint("a/", i%26), Payload: bytes.Repeat([]byte{byte(i)}, 1000), QoS: 1, Retain: true,
				})
			}
		}
		if err = errors.Join(err, c.Disconnect(t.Context(), &mqtt.Disconnect{})); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, n)
	return data
}

// contents reads all files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAttack54_DamagedStore: with crafted or torn files the broker refuses to start, says what is damaged and what to do,
// and refuses the same way the next time; nothing is left open. What it cannot notice at the start, it never delivers as
// something else.
func TestAttack54_DamagedStore(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)/2] ^= 0x40; return b }
	flipFirst := func(b []byte) []byte { b[16] ^= 0x40; return b } // within the first record: the last may look torn
	torn := func(b []byte) []byte { return b[:len(b)*2/3] }
	for _, c := range []struct {
		name, files string
		change      func([]byte) []byte
		crash       bool // may look like a write that a crash cut off, which is no damage
	}{
		{"table flipped", "*.sst", flip, false},
		{"table torn", "*.sst", torn, false},
		{"table empty", "*.sst", func([]byte) []byte { return nil }, false},
		{"table crafted", "*.sst", func(b []byte) []byte { return bytes.Repeat([]byte("SQLite format 3\x00"), len(b)/16) }, false},
		{"manifest flipped", "MANIFEST-*", flipFirst, false},
		{"manifest torn", "MANIFEST-*", torn, true},
		{"manifest crafted", "MANIFEST-*", func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 4096) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := filled(t)
			files, err := filepath.Glob(filepath.Join(data, storeFolder, c.files))
			if err != nil || len(files) == 0 {
				t.Fatalf("no %s: %v", c.files, err)
			}
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err == nil {
					err = os.WriteFile(f, c.change(b), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			var first string
			for range 2 {
				before := contents(t, data)
				n, err := startIn(t, data)
				if err == nil {
					stop(t, n)
					if !c.crash {
						t.Fatal("started")
					}
					return
				}
				var corrupt *store.CorruptError
				if !errors.As(err, &corrupt) || !strings.HasPrefix(corrupt.Error(), "damaged store: ") || corrupt.Next == "" {
					t.Fatalf("refused with %v", err)
				}
				if first == "" {
					first = corrupt.What
				} else if corrupt.What != first {
					t.Errorf("first %q, then %q", first, corrupt.What)
				}
				for path, text := range before {
					if now, err := os.ReadFile(path); err == nil && string(now) != text && filepath.Ext(path) == ".sst" {
						t.Errorf("%s was changed", path)
					}
				}
				if _, err := os.Lstat(filepath.Join(data, control.SocketName)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the control socket stays: %v", err)
				}
			}
		})
	}
}

// TestAttack54_TornLog: a log whose end was not written is what every power failure leaves: the broker starts, and its
// state is from some moment before.
func TestAttack54_TornLog(t *testing.T) {
	data := filled(t)
	logs, err := filepath.Glob(filepath.Join(data, storeFolder, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, f := range logs {
		info, err := os.Stat(f)
		if err == nil {
			err = os.Truncate(f, info.Size()/2)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	n, err := startIn(t, data)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, n)
	if _, err := n.Broker().Session("sub"); err != nil {
		t.Error(err)
	}
}
