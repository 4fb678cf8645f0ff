//go:build unix

package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServiceManager: serve says when it is ready, when it reads its configuration again, and when it stops.
func TestServiceManager(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // test
	file := filepath.Join(dir, "sealmq.yaml")
	text := "version: 1\nlisteners: [{name: local, bind: \"127.0.0.1:0\"}]\nauth: {anonymous: true}\nops: {bind: \"127.0.0.1:0\"}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SEALMQ_DATA": "", "NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "20000"}
	a := &app{stdout: io.Discard, stderr: io.Discard, getenv: func(k string) string { return env[k] }}
	a.serve = a.runBroker
	ended := make(chan exitCode, 1)
	go func() { ended <- a.main([]string{"serve", "--config", file}) }()

	// next waits for a message that begins so; the watchdog is fed in between.
	next := func(want string) {
		t.Helper()
		b := make([]byte, 4096)
		for fed := 0; ; fed++ {
			_ = l.SetReadDeadline(time.Now().Add(30 * time.Second))
			n, err := l.Read(b)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if got := string(b[:n]); strings.HasPrefix(got, want) {
				return
			} else if got != "WATCHDOG=1" {
				t.Fatalf("got %q, want %s", got, want)
			}
		}
	}
	next("READY=1\nSTATUS=listening on mqtt://127.0.0.1:")
	next("WATCHDOG=1")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	next("RELOADING=1\nMONOTONIC_USEC=")
	next("READY=1")
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	next("STOPPING=1")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	select {
	case code := <-ended:
		if code != exitOK {
			t.Errorf("exit code %d", code)
		}
	case <-ctx.Done():
		t.Fatal("the broker does not stop")
	}
}
