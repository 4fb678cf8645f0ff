package observe

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Limited logs at most one line per key and interval, so that a client that is refused ten thousand times a second
// writes one line and not a full disk. What was left out is counted and said with the next line of the key, or by
// Flush. It is safe for concurrent use and keeps a bounded number of keys; keys beyond that share one line per
// interval.
type Limited struct {
	log   *slog.Logger
	every time.Duration
	most  int

	mu         sync.Mutex
	entries    map[string]*limitedEntry // guarded by mu
	suppressed uint64                   // guarded by mu; all keys, since the start
}

type limitedEntry struct {
	next  time.Time // when the key may log again
	count uint64    // suppressed since its last line
	level slog.Level
	msg   string
}

// overflowKey stands for all keys that found no room. A caller's key cannot be equal to it by accident.
const overflowKey = "\x00other"

// NewLimited returns a Limited that writes to log, once per every and key, and remembers at most most keys (at least
// one).
func NewLimited(log *slog.Logger, every time.Duration, most int) *Limited {
	return &Limited{log: log, every: every, most: max(most, 1), entries: map[string]*limitedEntry{}}
}

// Log writes msg with args, unless key had its line within the interval. A line that follows suppressed ones has the
// attribute suppressed with their number.
func (l *Limited) Log(ctx context.Context, level slog.Level, key, msg string, args ...any) {
	if !l.log.Enabled(ctx, level) {
		return
	}
	now := time.Now()
	l.mu.Lock()
	e := l.entry(key, now)
	if now.Before(e.next) {
		e.count++
		e.level, e.msg = level, msg
		l.suppressed++
		l.mu.Unlock()
		return
	}
	count := e.count
	e.next, e.count, e.level, e.msg = now.Add(l.every), 0, level, msg
	l.mu.Unlock()
	if count > 0 {
		args = append(args[:len(args):len(args)], slog.Uint64("suppressed", count))
	}
	l.log.Log(ctx, level, msg, args...)
}

// entry finds or makes the key's entry. The caller holds mu.
func (l *Limited) entry(key string, now time.Time) *limitedEntry {
	if e := l.entries[key]; e != nil {
		return e
	}
	if len(l.entries) >= l.most {
		for k, e := range l.entries {
			if e.count == 0 && !now.Before(e.next) {
				delete(l.entries, k)
			}
		}
	}
	if len(l.entries) >= l.most {
		if e := l.entries[overflowKey]; e != nil {
			return e
		}
		key = overflowKey // one more than most: the shared entry
	}
	e := &limitedEntry{}
	l.entries[key] = e
	return e
}

// Flush writes one line for every key with suppressed lines whose interval is over, or for every key when all is set,
// as at shutdown. Call it now and then: a burst that ends is otherwise never counted in the log.
func (l *Limited) Flush(ctx context.Context, all bool) {
	now := time.Now()
	l.mu.Lock()
	var due []limitedEntry
	for k, e := range l.entries {
		if !all && now.Before(e.next) {
			continue
		}
		if e.count > 0 {
			due = append(due, *e)
		}
		delete(l.entries, k)
	}
	l.mu.Unlock()
	for _, e := range due {
		l.log.Log(ctx, e.level, e.msg, slog.Uint64("suppressed", e.count))
	}
}

// Suppressed is the number of lines left out since the start.
func (l *Limited) Suppressed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.suppressed
}
