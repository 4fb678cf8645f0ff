package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/internal/privfile"
)

// TestOpenRefuses: a log is not written to when its file is not what it was left as, or when others may write it.
func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(o *Options)
		want  string
	}{
		"a changed line before the last checkpoint": {func(o *Options) { edit(t, o.File, func(b []byte) []byte { b[10] ^= 1; return b }) }, "it was changed"},
		"the last checkpoint itself": {func(o *Options) {
			edit(t, o.File, func(b []byte) []byte { b[len(b)-10] ^= 1; return b })
		}, "not signed by the key"},
		"no head":        {func(o *Options) { _ = os.Remove(headFile(o.File)) }, "the file is missing"},
		"another key":    {func(o *Options) { o.Key += "2" }, "not a checkpoint signed by the key"},
		"another's key":  {func(o *Options) { _ = os.Chmod(o.Key, 0o644) }, "audit key"},
		"open to others": {func(o *Options) { _ = os.Chmod(o.File, 0o666) }, "audit file"},
		"a folder":       {func(o *Options) { _ = os.Remove(o.File); _ = os.Mkdir(o.File, 0o700) }, "not a regular file"},
		"a link": {func(o *Options) {
			_ = os.Rename(o.File, o.File+"2")
			_ = os.Symlink(o.File+"2", o.File)
		}, "not a regular file"},
		"no place for the key's public half": {func(o *Options) {
			_ = os.Remove(KeyFile(o.File))
			_ = os.MkdirAll(filepath.Join(KeyFile(o.File), "x"), 0o700)
		}, "audit public key"},
		"a folder that is a file": {func(o *Options) { o.File = filepath.Join(o.File, "audit.log") }, "audit folder"},
		"a new file that is a folder": {func(o *Options) {
			_ = os.MkdirAll(filepath.Join(o.File+".new", "x"), 0o700)
		}, "audit file"},
	} {
		o := testOptions(t.TempDir())
		written(t, o, 1, 3)
		c.spoil(&o)
		before, _ := os.ReadFile(o.File)
		l, err := Open(o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if l != nil {
			closeLog(t, l)
		}
		if after, _ := os.ReadFile(o.File); !bytes.Equal(before, after) {
			t.Errorf("%s: the file was written to", name)
		}
	}
}

// edit changes a file.
func edit(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = privfile.Write(path, change(b))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrashWhileRotating: a file that was closed and renamed, without a new one, is followed by the next start's.
func TestCrashWhileRotating(t *testing.T) {
	o := testOptions(t.TempDir())
	written(t, o, 1, 3)
	if err := os.Rename(o.File, rotatedName(o.File, 1)); err != nil {
		t.Fatal(err)
	}
	written(t, o, 1, 3)
	if r, err := verify(t, o); err != nil || r.Files != 2 || r.First != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	// A new file that is whole and not the one that the head names is not taken for it.
	b, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := privfile.Write(o.File+".new", b); err != nil {
		t.Fatal(err)
	}
	written(t, o, 1, 3)
	if r, err := verify(t, o); err != nil || r.Files != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(o.File + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it stays: %v", err)
	}
}

// blocked is a file whose writes wait.
type blocked struct {
	File
	gate *sync.Mutex
}

func (b blocked) Write(p []byte) (int, error) {
	b.gate.Lock()
	defer b.gate.Unlock()
	return b.File.Write(p)
}

// TestFullQueue: while the disk is slow, logins beyond what waits are refused, or counted where the broker may go on; after
// Close nobody is admitted.
func TestFullQueue(t *testing.T) {
	for _, goOn := range []bool{false, true} {
		o := testOptions(t.TempDir())
		o.Continue = goOn
		var gate sync.Mutex
		o.Open = func(name string) (File, error) {
			f, err := openFile(name)
			return blocked{f, &gate}, err
		}
		l := open(t, o)
		gate.Lock()
		var err error
		for range queueLength + 2*batchLength {
			err = errors.Join(err, l.Admit(&Entry{Kind: Login, Client: "c"}))
		}
		if errors.Is(err, ErrFull) == goOn || l.Lost() == 0 {
			t.Errorf("go on %v: %v, %d lost", goOn, err, l.Lost())
		}
		gate.Unlock()
		closeLog(t, l)
		if err := l.Admit(&Entry{Kind: Login}); (err == nil) != goOn {
			t.Errorf("go on %v, after Close: %v", goOn, err)
		}
		if n, _ := count(t, o, Login); int64(n)+l.Lost() != queueLength+2*batchLength {
			t.Errorf("%d written, %d lost", n, l.Lost())
		}
	}
}

// TestEntryOnDisk: an entry is bounded before it waits, keeps a time it has, in UTC, and gets one otherwise.
func TestEntryOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t.TempDir())
		l := open(t, o)
		at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.FixedZone("east", 3600))
		l.Add(&Entry{Kind: Start, Time: at, Why: strings.Repeat("x", maxText+1)})
		l.Add(&Entry{Kind: Stop})
		closeLog(t, l)
		if _, e := count(t, o, Start); !e.Time.Equal(at) || e.Time.Location() != time.UTC || len(e.Why) != maxText+len("…") {
			t.Errorf("%v, %d bytes", e.Time, len(e.Why))
		}
		if _, e := count(t, o, Stop); !e.Time.Equal(time.Now()) {
			t.Errorf("%v at %v", e.Time, time.Now())
		}
	})
}

// TestFloodRefills: what a layer may write comes back with time, and what was left out is said about once a second.
func TestFloodRefills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t.TempDir())
		l := open(t, o)
		flood := func(n int) {
			for range n {
				l.AddRefusal(&Entry{Kind: Refused, Layer: "login"})
				synctest.Wait()
			}
		}
		flood(refusalBurst + 7)
		time.Sleep(2500 * time.Millisecond)
		if n, e := count(t, o, Suppressed); n != 1 || e.Times != 7 {
			t.Errorf("%d notes, the last %+v", n, e)
		}
		flood(300) // 250 have come back
		time.Sleep(time.Hour)
		flood(refusalBurst + 20) // never more than the burst
		closeLog(t, l)
		if n, _ := count(t, o, Refused); n != refusalBurst+250+refusalBurst {
			t.Errorf("%d refusals have a line", n)
		}
		if n, e := count(t, o, Suppressed); n != 3 || e.Times != 20 {
			t.Errorf("%d notes, the last %+v", n, e)
		}
	})
}

// said collects what a Log logs.
type said struct {
	slog.Handler
	mu    sync.Mutex
	words []string
}

func (s *said) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (s *said) Handle(_ context.Context, r slog.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = append(s.words, fmt.Sprint(r.Level, " ", r.Message))
	return nil
}

// TestDiskIsToldOnce: that the file cannot be written is said when it begins and when it ends, with what follows from it.
func TestDiskIsToldOnce(t *testing.T) {
	for goOn, consequence := range map[bool]string{false: "logins are refused until it works again", true: "the broker goes on without a record"} {
		log := new(said)
		l := &Log{options: Options{Continue: goOn, Log: slog.New(log)}}
		for _, err := range []error{nil, errNoSpace, errNoSpace, nil, nil} {
			if l.tell(err); !errors.Is(l.Failed(), err) {
				t.Errorf("%v is kept as %v", err, l.Failed())
			}
		}
		if got := strings.Join(log.words, "; "); got != "ERROR the audit file cannot be written: "+consequence+"; INFO the audit file is written again" {
			t.Errorf("said: %s", got)
		}
	}
}
