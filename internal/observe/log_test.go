package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"
)

// TestTerminalHandlerContract runs the standard library's suite; lines are parsed back into nested maps.
func TestTerminalHandlerContract(t *testing.T) {
	var buf bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		buf.Reset()
		return NewLogger(&buf, LogOptions{}).Handler()
	}, func(t *testing.T) map[string]any { return parseLine(t, buf.String()) })
}

func parseLine(t *testing.T, line string) map[string]any {
	m := map[string]any{}
	fields := strings.Fields(strings.TrimSpace(line))
	if len(fields) > 0 && strings.HasSuffix(fields[0], "Z") {
		m[slog.TimeKey], fields = fields[0], fields[1:]
	}
	if len(fields) < 2 {
		t.Fatalf("line %q", line)
	}
	m[slog.LevelKey], m[slog.MessageKey] = fields[0], fields[1]
	for _, f := range fields[2:] {
		k, v, ok := strings.Cut(f, "=")
		if !ok {
			t.Fatalf("field %q of line %q", f, line)
		}
		at, path := m, strings.Split(k, ".")
		for _, g := range path[:len(path)-1] {
			if at[g] == nil {
				at[g] = map[string]any{}
			}
			at = at[g].(map[string]any)
		}
		at[path[len(path)-1]] = v
	}
	return m
}

type secret struct{}

func (secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

func TestTerminalLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	for name, c := range map[string]struct {
		colour bool
		level  slog.Level
		msg    string
		attrs  []slog.Attr
		want   string
	}{
		"plain":    {false, slog.LevelInfo, "listening", []slog.Attr{slog.String("on", "127.0.0.1:1883"), slog.Int("n", 2)}, "02:04:05Z INFO  listening on=127.0.0.1:1883 n=2\n"},
		"coloured": {true, slog.LevelError, "stopped", nil, "02:04:05Z \x1b[31mERROR\x1b[0m stopped\n"},
		"forged line": {
			false, slog.LevelWarn, "refused\n02:04:05Z INFO  fine",
			[]slog.Attr{slog.String("client", "a\nb c\x1b[2J")},
			`02:04:05Z WARN  refused\n02:04:05Z INFO  fine client="a\nb c\x1b[2J"` + "\n",
		},
		"reordering": {false, slog.LevelWarn, "x", []slog.Attr{slog.String("client", "a\u202eb")}, "02:04:05Z WARN  x client=\"a\\u202eb\"\n"},
		"empty":      {false, slog.LevelDebug + 1, "x", []slog.Attr{slog.String("a", ""), slog.Any("err", errors.New("a=b"))}, "02:04:05Z DEBUG+1 x a=\"\" err=\"a=b\"\n"},
		"secret":     {false, slog.LevelInfo, "x", []slog.Attr{slog.Any("key", secret{})}, "02:04:05Z INFO  x key=(secret)\n"},
		"time":       {false, slog.LevelInfo, "x", []slog.Attr{slog.Time("at", at)}, "02:04:05Z INFO  x at=2026-01-02T02:04:05Z\n"},
	} {
		var buf bytes.Buffer
		h := NewLogger(&buf, LogOptions{Colour: c.colour, Level: slog.LevelDebug}).Handler()
		r := slog.NewRecord(at, c.level, c.msg, 0)
		r.AddAttrs(c.attrs...)
		if err := h.Handle(context.Background(), r); err != nil || buf.String() != c.want {
			t.Errorf("%s: %v\n got %q\nwant %q", name, err, buf.String(), c.want)
		}
	}
}

func TestLevelCanChange(t *testing.T) {
	var buf bytes.Buffer
	var level slog.LevelVar
	log := NewLogger(&buf, LogOptions{Level: &level}).With("a", 1)
	log.Debug("hidden")
	level.Set(slog.LevelDebug)
	log.Debug("shown")
	if got := buf.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "shown a=1") {
		t.Errorf("got %q", got)
	}
}

func TestJSON(t *testing.T) {
	var buf bytes.Buffer
	NewLogger(&buf, LogOptions{JSON: true, Colour: true}).Info("x\n", "a", "b")
	var m map[string]any
	if err := json.Unmarshal(buf.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	if m["msg"] != "x\n" || m["a"] != "b" || !strings.HasSuffix(m["time"].(string), "Z") {
		t.Errorf("got %s", buf.String())
	}
}

// TestLinesDoNotMix: records of many goroutines stay whole (run with -race).
func TestLinesDoNotMix(t *testing.T) {
	var buf bytes.Buffer
	log := NewLogger(&buf, LogOptions{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				log.With("k", "v").WithGroup("g").Info("message", "a", 1)
			}
		})
	}
	wg.Wait()
	for line := range strings.Lines(buf.String()) {
		if !strings.HasSuffix(line, " INFO  message k=v g.a=1\n") {
			t.Fatalf("line %q", line)
		}
	}
}

func TestColour(t *testing.T) {
	for _, c := range []struct {
		mode string
		env  map[string]string
		want bool
	}{
		{"auto", nil, false}, // a buffer is no terminal
		{"auto", map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"auto", map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{"auto", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, false},
		{"always", map[string]string{"NO_COLOR": "1", "TERM": "dumb"}, true},
		{"never", map[string]string{"CLICOLOR_FORCE": "1"}, false},
	} {
		if got := Colour(c.mode, &bytes.Buffer{}, func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%s %v: got %v", c.mode, c.env, got)
		}
	}
}

func TestLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		next := func() string { defer buf.Reset(); return strings.ReplaceAll(buf.String(), "\n", ";") }
		log := NewLogger(&buf, LogOptions{})
		l := NewLimited(slog.New(withoutTime{log.Handler()}), time.Minute, 2)
		say := func(key string) { l.Log(t.Context(), slog.LevelWarn, key, "denied", "who", key) }

		for range 5 {
			say("a")
		}
		say("b")
		if got := next(); got != "WARN  denied who=a;WARN  denied who=b;" {
			t.Errorf("first lines: %s", got)
		}
		say("c") // no room: the shared entry
		say("d")
		if got := next(); got != "WARN  denied who=c;" {
			t.Errorf("beyond the bound: %s", got)
		}
		time.Sleep(time.Minute)
		say("a")
		if got := next(); got != "WARN  denied who=a suppressed=4;" {
			t.Errorf("after the interval: %s", got)
		}
		if l.Suppressed() != 5 {
			t.Errorf("suppressed %d in all, want 5", l.Suppressed())
		}
		say("a")
		l.Flush(t.Context(), false) // only the shared entry is due
		if got := next(); got != "WARN  denied suppressed=1;" {
			t.Errorf("flush: %s", got)
		}
		l.Flush(t.Context(), true)
		if got := next(); got != "WARN  denied suppressed=1;" {
			t.Errorf("last flush: %s", got)
		}
		l.Flush(t.Context(), true)
		l.Log(t.Context(), slog.LevelDebug, "x", "below the level")
		if got := next(); got != "" || len(l.entries) != 0 {
			t.Errorf("nothing was due: %s", got)
		}
	})
}

// TestLimitedIsBounded: hostile keys do not grow the map.
func TestLimitedIsBounded(t *testing.T) {
	l := NewLimited(NewLogger(&bytes.Buffer{}, LogOptions{}), time.Hour, 100)
	for i := range 10_000 {
		l.Log(t.Context(), slog.LevelInfo, string(rune(i+256)), "x")
	}
	if len(l.entries) > 101 {
		t.Errorf("%d entries", len(l.entries))
	}
	if l.Suppressed() != 10_000-101 {
		t.Errorf("suppressed %d", l.Suppressed())
	}
}

type withoutTime struct{ slog.Handler }

func (h withoutTime) Handle(ctx context.Context, r slog.Record) error {
	r.Time = time.Time{}
	return h.Handler.Handle(ctx, r)
}
