//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

// TestHangup: SIGHUP takes over a changed file whole, or, when one key of it needs a restart or is wrong, nothing of it. The
// log says which, and names every start with ack_before_sync.
func TestHangup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sealmq.yaml")
	write := func(name, topic string) {
		t.Helper()
		text := "version: 1\nnode: {name: " + name + "}\nlisteners: [{name: local, bind: \"127.0.0.1:0\"}]\nauth: {anonymous: true}\n" +
			"acl: {publish: {allow: [" + topic + "]}}\nstorage: {ack_before_sync: true}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first", "a")
	out := &logged{}
	env := map[string]string{}
	a := &app{stdout: io.Discard, stderr: out, getenv: func(k string) string { return env[k] }}
	a.serve = a.runBroker
	ended := make(chan exitCode, 1)
	go func() { ended <- a.main([]string{"serve", "--config", file}) }()
	address := out.wait(t, `listening on mqtt://([0-9.:]+) `)
	out.wait(t, `storage\.ack_before_sync: a power failure loses`)

	// may publishes to both topics and says which of them the rules allow.
	may := func() string {
		t.Helper()
		c, err := client.Dial(t.Context(), client.Config{Server: "mqtt://" + address, ClientID: "c"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Disconnect(t.Context(), &mqtt.Disconnect{}) //nolint:errcheck // the answers are what counts
		allowed := ""
		for _, topic := range []string{"a", "b"} {
			if c.Publish(t.Context(), &client.Message{Topic: topic, QoS: 1}) == nil {
				allowed += topic
			}
		}
		return allowed
	}
	hangup := func(says, allowed string) {
		t.Helper()
		out.forget()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		out.wait(t, says)
		if got := may(); got != allowed {
			t.Errorf("after %q: may publish to %q, want %q", says, got, allowed)
		}
	}
	if got := may(); got != "a" {
		t.Fatalf("may publish to %q", got)
	}
	write("second", "b")
	hangup(`reload refused, nothing changed.*node\.name`, "a")
	write("first", "[")
	hangup(`reload refused, nothing changed`, "a")
	write("first", "b")
	hangup(`configuration reloaded`, "b")
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-ended:
		if code != exitOK {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the broker does not stop")
	}
}

// logged is what a broker in this process writes.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// wait returns what the first group of the expression, or all of it, matches, as soon as something does.
func (l *logged) wait(t *testing.T, expression string) string {
	t.Helper()
	re := regexp.MustCompile(expression)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) { // polls a condition
		if m := re.FindStringSubmatch(l.String()); m != nil {
			return strings.TrimSpace(m[len(m)-1])
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing matches %q in\n%s", expression, l.String())
		}
	}
}
