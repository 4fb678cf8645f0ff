// Package observe is how the rest of the program is seen from outside: log lines for people and machines, and the
// rules for when a terminal gets colours.
package observe

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/term"
)

// LogOptions says how lines look. The zero value is plain text from level info.
type LogOptions struct {
	Level  slog.Leveler // nil is info; a *slog.LevelVar can be changed later
	JSON   bool         // one JSON object a line instead of text
	Colour bool         // text only
}

// NewLogger writes to w: short lines for a terminal, or JSON. Times are UTC. Each record is one Write, and records of
// many goroutines never mix.
func NewLogger(w io.Writer, o LogOptions) *slog.Logger {
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	if o.JSON {
		return slog.New(inUTC{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.Level})})
	}
	return slog.New(&terminalHandler{out: &output{w: w}, level: o.Level, colour: o.Colour})
}

// inUTC gives the records of a handler their time in UTC.
type inUTC struct{ slog.Handler }

// Handle implements slog.Handler.
func (h inUTC) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h inUTC) WithAttrs(attrs []slog.Attr) slog.Handler { return inUTC{h.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (h inUTC) WithGroup(name string) slog.Handler { return inUTC{h.Handler.WithGroup(name)} }

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colour decides whether w gets colours. mode is "always", "never" or "auto"; in auto NO_COLOR wins over
// CLICOLOR_FORCE, and without either only a terminal that is not dumb gets them.
func Colour(mode string, w io.Writer, getenv func(string) string) bool {
	switch {
	case mode == "always":
		return true
	case mode == "never" || getenv("NO_COLOR") != "":
		return false
	case getenv("CLICOLOR_FORCE") != "" && getenv("CLICOLOR_FORCE") != "0":
		return true
	}
	return IsTerminal(w) && getenv("TERM") != "dumb"
}

// output serializes the writes of all handlers that came from one.
type output struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

// terminalHandler writes "15:04:05Z INFO  message key=value". It is immutable: With* return changed copies.
type terminalHandler struct {
	out    *output
	level  slog.Leveler
	colour bool
	attrs  []byte // attributes of WithAttrs, formatted
	group  string // open groups, each followed by a dot
}

var lines = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// largestPooledLine keeps a single huge record from staying in memory.
const largestPooledLine = 16 << 10

func (h *terminalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *terminalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		c.attrs = appendAttr(c.attrs, h.group, a)
	}
	return &c
}

func (h *terminalHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.group += name + "."
	return &c
}

func (h *terminalHandler) Handle(_ context.Context, r slog.Record) error {
	line := lines.Get().(*[]byte)
	b := (*line)[:0]
	if !r.Time.IsZero() {
		b = r.Time.UTC().AppendFormat(b, "15:04:05Z ")
	}
	b = h.appendLevel(b, r.Level)
	b = append(b, ' ')
	b = append(b, printable(r.Message)...)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.group, a)
		return true
	})
	b = append(b, '\n')
	h.out.mu.Lock()
	_, err := h.out.w.Write(b)
	h.out.mu.Unlock()
	if cap(b) <= largestPooledLine {
		*line = b
		lines.Put(line)
	}
	return err
}

// appendLevel writes the level, padded to the width of the longest usual name.
func (h *terminalHandler) appendLevel(b []byte, l slog.Level) []byte {
	name := l.String()
	if h.colour {
		b = append(b, levelColour(l)...)
	}
	b = append(b, name...)
	if h.colour {
		b = append(b, "\x1b[0m"...)
	}
	for n := len(name); n < 5; n++ {
		b = append(b, ' ')
	}
	return b
}

func levelColour(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "\x1b[31m" // red
	case l >= slog.LevelWarn:
		return "\x1b[33m" // yellow
	case l >= slog.LevelInfo:
		return "\x1b[32m" // green
	}
	return "\x1b[2m" // dim
}

func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if a.Key == "" && v.Kind() != slog.KindGroup || a.Equal(slog.Attr{}) {
		return b
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			b = appendAttr(b, group, inner)
		}
		return b
	}
	b = append(b, ' ')
	b = append(b, printable(group+a.Key)...)
	b = append(b, '=')
	return appendValue(b, v)
}

func appendValue(b []byte, v slog.Value) []byte {
	if v.Kind() == slog.KindTime {
		return v.Time().UTC().AppendFormat(b, time.RFC3339)
	}
	s := v.String()
	if s == "" || strings.ContainsFunc(s, needsQuote) {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

func needsQuote(r rune) bool {
	return r == ' ' || r == '"' || r == '=' || r == '\\' || r == unicode.ReplacementChar || !unicode.IsPrint(r)
}

// printable is s itself, or s escaped when it holds anything that could forge a line or move the cursor.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
