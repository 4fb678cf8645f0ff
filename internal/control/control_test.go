package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/explain"
	"github.com/sealmq/sealmq/topic"
)

// fake is a broker with one session and two Retained Messages, which writes down what it was asked.
type fake struct {
	mu    sync.Mutex
	asked []string
	wait  chan struct{} // Backup waits for it, or for the end of its context; nil: it does not wait
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
}

var someTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var oneSession = Session{
	ClientID: "dev", Principal: `password:"alice"`, Version: "5", Created: someTime, Durable: true,
	ExpirySeconds: 60, ExpiresAt: &someTime, Subscriptions: 2, QueuedMessages: 3, QueuedBytes: 4, Inflight: 5,
}

func (f *fake) Status() Status {
	return Status{Name: "plant", Version: "test", PID: 1, Started: someTime, Ready: true, Storage: "disk"}
}

func (f *fake) Sessions(q SessionQuery) SessionPage {
	f.note("sessions %q %q %d", q.Prefix, q.After, q.Limit)
	return SessionPage{Sessions: []Session{oneSession}, Next: "dev"}
}

func (f *fake) Kick(id string, dryRun bool) (Session, error) {
	f.note("kick %q %v", id, dryRun)
	switch id {
	case "dev":
		return oneSession, nil
	case "offline":
		return Session{}, &Error{Conflict, "the client is not connected"}
	}
	return Session{}, &Error{NotFound, "no such session"}
}

func (f *fake) Clear(id string, dryRun bool) (Session, error) {
	f.note("clear %q %v", id, dryRun)
	if id != "dev" {
		return Session{}, errors.New("the disk is gone")
	}
	return oneSession, nil
}

func (f *fake) Retained(q RetainedQuery) RetainedPage {
	f.note("retained %q %q %d %d", q.Filter, q.After, q.Limit, q.Preview)
	return RetainedPage{Messages: []Retained{
		{Topic: "a", PayloadBytes: 2, Bytes: 100, ReceivedAt: someTime, Preview: []byte{0xff, 0}},
		{Topic: "b", Bytes: 100, ReceivedAt: someTime, ExpiresAt: &someTime},
	}}
}

func (f *fake) RemoveRetained(_ context.Context, filter topic.Filter, dryRun bool) (Removed, error) {
	f.note("remove %q %v", filter, dryRun)
	return Removed{Count: 2, Bytes: 200}, nil
}

func (f *fake) Backup(ctx context.Context, dir string, dryRun bool) (Backup, error) {
	f.note("backup %v %v", filepath.ToSlash(dir), dryRun)
	if f.wait != nil {
		select {
		case <-f.wait:
		case <-ctx.Done():
			f.note("given up")
			return Backup{}, ctx.Err()
		}
	}
	return Backup{Dir: dir, Epoch: 7}, nil
}

// Refusal and Ask answer with what they were asked.
func (f *fake) Refusal(q RefusalQuery) (Refusal, error) {
	f.note("refusal %q %q", q.ID, q.ClientID)
	if q.ID == "none" {
		return Refusal{}, &Error{NotFound, "no such decision"}
	}
	return Refusal{ID: q.ID, At: someTime, Last: someTime, Layer: "login", Check: "password: password", Rule: "f:1 r", Text: "text\n"}, nil
}

func (f *fake) Ask(q Question) (explain.Answer, error) {
	f.note("ask %+v", q)
	return explain.Answer{
		Explanation: explain.Explanation{Allowed: true, Layer: "access", Question: q.Topic},
		Login:       &explain.Explanation{Layer: "login", Question: q.User},
	}, nil
}

func (f *fake) Acted(a *Act) {
	f.note("acted %s %v %v %v", a.Operation, strings.HasPrefix(a.By, "uid ") || runtime.GOOS != "linux", a.Details, a.Err)
}

// serve runs a server in dir until the test ends.
func serve(t *testing.T, dir string, f *fake, log *slog.Logger) *Client {
	t.Helper()
	socket, err := Listen(dir, func(err error) { t.Errorf("turned away: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(f, f, log)
	s.Explain(f)
	s.Record(f)
	var done sync.WaitGroup
	done.Go(func() {
		if err := s.Serve(socket); err != nil {
			t.Error(err)
		}
	})
	c := NewClient(dir)
	t.Cleanup(func() {
		c.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		done.Wait()
		if _, err := os.Lstat(socket.Path()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket stays: %v", err)
		}
		goleak.VerifyNone(t,
			goleak.IgnoreAnyFunction("testing.(*T).Run"),
			// After a body that was too large, net/http lingers for half a second and then ends.
			goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
	})
	return c
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestOperations(t *testing.T) {
	f := &fake{}
	c := serve(t, t.TempDir(), f, silent())
	ctx := t.Context()
	dir := t.TempDir()
	for _, op := range []struct {
		do    func() (any, error)
		want  any
		asked string
	}{
		{func() (any, error) { return c.Status(ctx) }, f.Status(), ""},
		{
			func() (any, error) { return c.Sessions(ctx, SessionQuery{"p &", "ä\n", 5}) },
			SessionPage{[]Session{oneSession}, "dev"},
			`sessions "p &" "ä\n" 5`,
		},
		{func() (any, error) { return c.Kick(ctx, "dev", false) }, oneSession, `kick "dev" false,acted kick true [client: dev] <nil>`},
		{
			func() (any, error) { return c.Refusal(ctx, RefusalQuery{"A&", "c ä"}) },
			Refusal{ID: "A&", At: someTime, Last: someTime, Layer: "login", Check: "password: password", Rule: "f:1 r", Text: "text\n"},
			`refusal "A&" "c ä"`,
		},
		{
			func() (any, error) {
				return c.Ask(ctx, Question{"u", "psk", "i", "c", "publish", "a/#", "lan", "192.0.2.1"})
			},
			explain.Answer{
				Explanation: explain.Explanation{Allowed: true, Layer: "access", Question: "a/#"},
				Login:       &explain.Explanation{Layer: "login", Question: "u"},
			},
			"ask {User:u Method:psk Issuer:i ClientID:c Do:publish Topic:a/# Listener:lan From:192.0.2.1}",
		},
		{func() (any, error) { return c.Clear(ctx, "dev", true) }, oneSession, `clear "dev" true`},
		{
			func() (any, error) { return c.Retained(ctx, RetainedQuery{"+/#", "a", 1000, 2}) },
			f.Retained(RetainedQuery{}), `retained "+/#" "a" 1000 2`,
		},
		{func() (any, error) { return c.RemoveRetained(ctx, "a/#", false) }, Removed{2, 200}, `remove "a/#" false,acted remove retained true [filter: a/# count: 2] <nil>`},
		{func() (any, error) { return c.Backup(ctx, dir, true) }, Backup{dir, 7}, "backup " + filepath.ToSlash(dir) + " true"},
		{
			func() (any, error) { return c.Backup(ctx, dir, false) },
			Backup{dir, 7},
			"backup " + filepath.ToSlash(dir) + " false,acted backup true [dir: " + dir + "] <nil>",
		},
	} {
		f.asked = nil
		got, err := op.do()
		if err != nil {
			t.Errorf("%s: %v", op.asked, err)
		}
		if d := cmp.Diff(op.want, got); d != "" {
			t.Errorf("%s: %s", op.asked, d)
		}
		if asked := strings.Join(f.asked, ","); asked != op.asked {
			t.Errorf("asked %s, want %s", asked, op.asked)
		}
	}
}

func TestRefusals(t *testing.T) {
	f := &fake{}
	c := serve(t, t.TempDir(), f, silent())
	ctx := t.Context()
	for _, op := range []struct {
		code Code
		text string
		do   func() error
	}{
		{Conflict, "not connected", func() error { _, err := c.Kick(ctx, "offline", false); return err }},
		{NotFound, "no such decision", func() error { _, err := c.Refusal(ctx, RefusalQuery{ID: "none"}); return err }},
		{NotFound, "no such session", func() error { _, err := c.Kick(ctx, "nobody", false); return err }},
		{Internal, "the disk is gone", func() error { _, err := c.Clear(ctx, "nobody", false); return err }},
		{Invalid, "no client identifier", func() error { _, err := c.Clear(ctx, "", false); return err }},
		{Invalid, "limit", func() error { _, err := c.Sessions(ctx, SessionQuery{}); return err }},
		{Invalid, "limit", func() error { _, err := c.Sessions(ctx, SessionQuery{Limit: MaxPage + 1}); return err }},
		{Invalid, "not a topic filter", func() error {
			_, err := c.Retained(ctx, RetainedQuery{Filter: "a/#/b", Limit: 1})
			return err
		}},
		{Invalid, "preview", func() error {
			_, err := c.Retained(ctx, RetainedQuery{Filter: "#", Limit: 1, Preview: MaxPreview + 1})
			return err
		}},
		{Invalid, "not a topic filter", func() error { _, err := c.RemoveRetained(ctx, "", false); return err }},
		{Invalid, "not an absolute path", func() error { _, err := c.Backup(ctx, "here", false); return err }},
		{Invalid, "unknown field", func() error {
			return c.post(ctx, "/v1/retained/remove", map[string]any{"filter": "#", "dryrun": true}, nil)
		}},
		{Invalid, "more than one value", func() error {
			return c.do(ctx, http.MethodPost, "/v1/sessions/kick", []byte(`{"client_id":"dev"}{}`), nil)
		}},
		{Invalid, "too large", func() error { _, err := c.Kick(ctx, strings.Repeat("x", maxBody), false); return err }},
		{NotFound, "no such operation", func() error { return c.get(ctx, "/v1/secrets", nil, nil) }},
		{NotFound, "no such operation", func() error { return c.get(ctx, "/v1/backup", nil, nil) }},
	} {
		f.asked = nil
		err := op.do()
		var e *Error
		if !errors.As(err, &e) || e.Code != op.code || !strings.Contains(e.Message, op.text) {
			t.Errorf("%s %q: got %v", op.code, op.text, err)
		}
		if op.code == Invalid && len(f.asked) > 0 {
			t.Errorf("%q: the broker was asked all the same: %v", op.text, f.asked)
		}
	}
}

// TestRecord: what changes something is in the log with who did it, a dry run and a look are not.
func TestRecord(t *testing.T) {
	var mu sync.Mutex
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(lockedWriter{&mu, &text}, nil))
	c := serve(t, t.TempDir(), &fake{}, log)
	ctx := t.Context()
	_, _ = c.Kick(ctx, "dev", true)
	_, _ = c.Sessions(ctx, SessionQuery{Limit: 1})
	_, _ = c.Kick(ctx, "dev", false)
	_, _ = c.Kick(ctx, "offline", false)
	mu.Lock()
	defer mu.Unlock()
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `msg="admin: kick" client=dev`) || !strings.Contains(lines[1], "not connected") {
		t.Fatalf("logged %q", lines)
	}
	if who := fmt.Sprintf("by_uid=%d by_pid=%d", os.Geteuid(), os.Getpid()); runtime.GOOS == "linux" && !strings.Contains(lines[0], who) {
		t.Errorf("%q lacks %q", lines[0], who)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// TestCancel: a client that goes away ends what it asked for.
func TestCancel(t *testing.T) {
	f := &fake{wait: make(chan struct{})}
	c := serve(t, t.TempDir(), f, silent())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Backup(ctx, t.TempDir(), false)
		done <- err
	}()
	until(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.asked) == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	until(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.asked) >= 2 })
}

// until waits for a condition that comes true by itself.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

func TestNotRunning(t *testing.T) {
	c := NewClient(t.TempDir())
	_, err := c.Status(t.Context())
	var e *NotRunningError
	if !errors.As(err, &e) || e.Path != c.Path() || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestConnectionsAreBounded: the seventeenth connection waits until another one ends.
func TestConnectionsAreBounded(t *testing.T) {
	dir := t.TempDir()
	socket, err := Listen(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close() //nolint:errcheck // test
	accepted := make(chan net.Conn, maxConnections+1)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := socket.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	})
	var clients []net.Conn
	for range maxConnections + 1 {
		c, err := dial(socket.Path())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	until(t, func() bool { return len(accepted) == maxConnections })
	if len(socket.slots) != maxConnections {
		t.Errorf("%d slots taken", len(socket.slots))
	}
	first := <-accepted
	_ = first.Close()
	_ = first.Close() // gives its place back once
	until(t, func() bool { return len(accepted) == maxConnections })
	if err := socket.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
	close(accepted)
	for c := range accepted {
		_ = c.Close()
	}
	for _, c := range clients {
		_ = c.Close()
	}
}

func TestFitting(t *testing.T) {
	size := func(n *int) int { return *n }
	for _, c := range []struct {
		items []int
		want  int
	}{
		{nil, 0}, {[]int{1, 2}, 2}, {[]int{maxAnswer + 1}, 1}, {[]int{maxAnswer, 1}, 1}, {[]int{maxAnswer - 1, 1, 1}, 2},
	} {
		if got := fitting(c.items, size); got != c.want {
			t.Errorf("%v: %d, want %d", c.items, got, c.want)
		}
	}
}
