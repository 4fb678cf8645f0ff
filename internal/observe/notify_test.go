//go:build unix

package observe

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestNotifier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // test
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}
	n, err := NewNotifier(func(k string) string { return env[k] }, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if n.WatchdogInterval() != 1500*time.Millisecond {
		t.Errorf("watchdog every %v", n.WatchdogInterval())
	}
	receive := func() string {
		b := make([]byte, 1024)
		_ = l.SetReadDeadline(time.Now().Add(30 * time.Second))
		size, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:size])
	}
	n.Ready("a\nREADY=0") // a status cannot add a line
	if got := receive(); got != "READY=1\nSTATUS=a READY=0" {
		t.Errorf("ready: %q", got)
	}
	n.Reloading()
	if got := receive(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("reloading: %q", got)
	}
	n.Alive()
	if got := receive(); got != "WATCHDOG=1" {
		t.Errorf("alive: %q", got)
	}
	n.Stopping()
	if got := receive(); got != "STOPPING=1" {
		t.Errorf("stopping: %q", got)
	}

	env["WATCHDOG_PID"] = "1" // of another process
	if other, err := NewNotifier(func(k string) string { return env[k] }, os.Getpid()); err != nil || other.WatchdogInterval() != 0 {
		t.Errorf("the watchdog of another process: %v, %v", other.WatchdogInterval(), err)
	}
}

// TestNotifierWithoutManager: nothing is sent and nothing fails, and a socket that is not one is an error.
func TestNotifierWithoutManager(t *testing.T) {
	n, err := NewNotifier(func(string) string { return "" }, 1)
	if err != nil || n.WatchdogInterval() != 0 {
		t.Error(err)
	}
	n.Ready("x")
	n.Close()
	for _, bad := range []string{"relative", "/nonexistent/notify"} {
		n, err := NewNotifier(func(k string) string { return map[string]string{"NOTIFY_SOCKET": bad}[k] }, 1)
		if err == nil {
			t.Errorf("%s was accepted", bad)
		}
		n.Ready("x")
	}
}
