//go:build scale

package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
)

// How much TestScale stores.
const (
	scaleSessions = 1_000_000
	scaleRetained = 200_000
)

// TestScale loads a million sessions with a subscription and a queued message each, and 200,000 retained messages, in
// one process, and opens the store in others: after an orderly end, and as a crash would leave it. It reports times and
// memory. It is not part of the ordinary tests: go test -tags scale -v -run TestScale ./internal/store/pebblestore
func TestScale(t *testing.T) {
	switch step := os.Getenv("SEALMQ_STORE_SCALE"); step {
	case "load":
		scaleLoad(t, os.Getenv("SEALMQ_STORE_DIR"))
	case "open":
		scaleOpen(t, os.Getenv("SEALMQ_STORE_DIR"))
	default:
		dir := t.TempDir()
		for _, run := range [][2]string{{"load", "store"}, {"open", "store"}, {"open", "crashed"}, {"open", "crashed"}} {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestScale$", "-test.v")
			c.Env = append(os.Environ(), "SEALMQ_STORE_SCALE="+run[0], "SEALMQ_STORE_DIR="+filepath.Join(dir, run[1]))
			out, err := c.CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "_test.go") {
					t.Log(run[1], strings.TrimSpace(line))
				}
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", run, err, out)
			}
		}
	}
}

func scaleLoad(t *testing.T, dir string) {
	s := open(t, dir, Options{Logger: slog.New(slog.DiscardHandler)})
	messages := benchMessages(1024)
	start := time.Now()
	slots := make(chan struct{}, 2000)
	commit := func(b *store.Batch) {
		slots <- struct{}{}
		s.Commit(b, func(err error) {
			if err != nil {
				t.Error(err)
			}
			<-slots
		})
	}
	for i := 1; i <= scaleSessions; i++ {
		id := store.SessionID(i)
		b := &store.Batch{Sync: true}
		b.Add(putSession(id))
		b.Add(store.Op{Kind: store.PutSubscription, Session: id, Subscription: &store.Subscription{
			Filter: fmt.Sprintf("device/%d/command/#", i), QoS: 1,
		}})
		b.Add(store.Op{Kind: store.PutBody, Body: store.BodyID(i), Message: messages[i%len(messages)]})
		b.Add(putQueue(id, 1, store.BodyID(i), i%2 == 0))
		commit(b)
	}
	for i := range scaleRetained {
		m := messages[i%len(messages)]
		data := append(fmt.Appendf(nil, "device/%d/state", i), m.Payload()...)
		commit(&store.Batch{Sync: true, Ops: []store.Op{{
			Kind: store.PutRetained, Message: message.Restore(data, len(data)-len(m.Payload()), 0),
		}}})
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	t.Logf("load: %v, %s", time.Since(start).Round(time.Millisecond), memory(t))
	start = time.Now()
	if err := s.Checkpoint(filepath.Join(filepath.Dir(dir), "crashed")); err != nil {
		t.Fatal(err)
	}
	t.Logf("backup: %v", time.Since(start).Round(time.Millisecond))
	start = time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("close: %v", time.Since(start).Round(time.Millisecond))
}

func scaleOpen(t *testing.T, dir string) {
	lap := time.Now()
	report := func(what string) {
		t.Logf("%s: %v, %s", what, time.Since(lap).Round(time.Millisecond), memory(t))
		lap = time.Now()
	}
	s := open(t, dir, Options{Logger: slog.New(slog.DiscardHandler)})
	report("open")
	count, queued := 0, 0
	if err := s.Sessions(func(r store.SessionRow) error {
		count++
		queued += r.QueueCount
		return nil
	}); err != nil || count != scaleSessions || queued != scaleSessions {
		t.Fatalf("%d sessions, %d queued: %v", count, queued, err)
	}
	report("sessions")
	retained := 0
	if err := s.Retained(func(*message.Message) error { retained++; return nil }); err != nil || retained != scaleRetained {
		t.Fatalf("%d retained: %v", retained, err)
	}
	report("retained")
	if err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	report("settled")
	rows, err := s.Queue(scaleSessions/2, 1, 10)
	if err == nil && len(rows) == 1 {
		_, err = s.Body(rows[0].Body)
	}
	if err != nil || len(rows) != 1 {
		t.Fatalf("one queue: %v, %v", rows, err)
	}
	report("one queue")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report("close")
}

// memory tells what the process holds, where the system says so.
func memory(t *testing.T) string {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, os.ErrNotExist) {
		return "RSS unknown on " + runtime.GOOS
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return "RSS " + strings.TrimSpace(rest)
		}
	}
	return "RSS unknown"
}
