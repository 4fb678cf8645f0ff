package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sealmq/sealmq/internal/store"
)

// engineLog passes on what Pebble has to say: errors to the log, the end to the fatal hook, chatter to nobody.
type engineLog struct {
	log   *slog.Logger
	fatal func(error)

	mu   sync.Mutex
	last map[string]time.Time // kind of event → when it was last logged
}

// quiet is how long an event of the same kind is not logged again: Pebble retries background work at once.
const quiet = time.Minute

// Infof drops Pebble's reports of flushes and compactions.
func (l *engineLog) Infof(string, ...any) {}

// Errorf logs.
func (l *engineLog) Errorf(format string, args ...any) {
	l.event(slog.LevelError, "store engine", "error", fmt.Sprintf(format, args...))
}

// Fatalf is called by Pebble when it cannot go on. It does not return.
func (l *engineLog) Fatalf(format string, args ...any) {
	l.fatal(fmt.Errorf("store engine: "+format, args...))
	runtime.Goexit()
}

func (l *engineLog) event(level slog.Level, message string, args ...any) {
	l.mu.Lock()
	now := time.Now()
	seen := now.Sub(l.last[message]) < quiet
	if !seen {
		if l.last == nil {
			l.last = map[string]time.Time{}
		}
		l.last[message] = now
	}
	l.mu.Unlock()
	if !seen {
		l.log.Log(context.Background(), level, message, args...)
	}
}

func (l *engineLog) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			// As text: with %+v these errors print their stack.
			l.event(slog.LevelError, "store: background work", "error", err.Error())
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			l.event(slog.LevelError, "store: damaged file", "path", info.Path, "error", info.Details.Error())
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			l.event(slog.LevelWarn, "store: disk is slow", "path", info.Path, "duration", info.Duration)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			l.event(slog.LevelWarn, "store: writes wait for compaction", "reason", info.Reason)
		},
	}
}

// The advice in a CorruptError.
const (
	adviseRestore = "restore a backup"
	adviseLose    = "restore a backup, or open once with LoseDamagedRecords to go on without the damaged rows"
)

// damaged makes a CorruptError about one row.
func (s *Store) damaged(key []byte, err error) error {
	return &store.CorruptError{Where: s.dir, What: keyName(key) + " cannot be read", Next: adviseLose, Err: err}
}

// engineError turns an error of Pebble into one of this package; what says what was being done.
func (s *Store) engineError(what string, err error) error {
	return engineError(s.dir, what, err)
}

func engineError(dir, what string, err error) error {
	var corrupt *store.CorruptError
	switch {
	case err == nil || errors.As(err, &corrupt):
		return err
	case pebble.IsCorruptionError(err) || inconsistent(err):
		return &store.CorruptError{Where: dir, What: what, Next: adviseRestore, Err: err}
	default:
		return fmt.Errorf("store %q: %s: %w", dir, what, err)
	}
}

// inconsistent reports whether the engine found its files and its list of files in disagreement when it was opened: torn,
// exchanged or missing files. It does not mark these errors as corruption, so their words are what tells; the tests with
// damaged files notice when a version of the engine says it otherwise.
func inconsistent(err error) bool {
	text := err.Error()
	return strings.Contains(text, "object size mismatch") || strings.Contains(text, "unknown to the objstorage provider")
}
