package pebblestore

import (
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options adjust a Store. The zero value is usable: every field that is zero stands for its default.
type Options struct {
	// Logger receives the events worth an operator's attention. Default: slog.Default.
	Logger *slog.Logger
	// OnGroup is called after each group of done callbacks, from the same goroutine. It must not block.
	OnGroup func()
	// Fatal is called once when what was written can no longer be trusted to be on the disk, above all when an fsync
	// fails. It must not return while the process goes on serving: nothing is retried, no done is called any more.
	// Default: log and os.Exit(1).
	Fatal func(error)

	// MinFree is the disk space, in bytes, below which batches that add messages are refused with store.ErrFull, so
	// that deletes can still be written. Default 256 MiB; negative: not checked.
	MinFree int64
	// MinFreePercent is the same as a share of the disk; the larger of both counts. Default 0.
	MinFreePercent float64
	// MaxBacklog bounds the bytes of batches that wait for the disk; batches that add messages are refused with
	// store.ErrFull beyond it. Default 256 MiB.
	MaxBacklog int64

	// CacheBytes is the memory for blocks read. Default 16 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one table of recent changes in memory; up to four exist. Default 16 MiB.
	MemTableBytes int64

	// SyncInterval is how long changes that nobody waits for may stay unsynced. Default 1 s.
	SyncInterval time.Duration
	// AckBeforeSync calls done for Sync batches when they are written but not yet synced; the sync follows within
	// SyncInterval. A power failure loses what was acknowledged in that time. For SD cards that take 100 ms per sync.
	AckBeforeSync bool
	// LoseDamagedRecords drops rows that cannot be read, with a log line for each, instead of refusing to go on. What
	// was in them is lost: messages, subscriptions or whole sessions.
	LoseDamagedRecords bool

	// FS is the file system. Default: the machine's. For tests.
	FS vfs.FS
}

// withDefaults returns a complete copy.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.OnGroup == nil {
		o.OnGroup = func() {}
	}
	if o.Fatal == nil {
		o.Fatal = func(error) { os.Exit(1) }
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	orDefault(&o.MinFree, 256<<20)
	orDefault(&o.MaxBacklog, 256<<20)
	orDefault(&o.CacheBytes, 16<<20)
	orDefault(&o.MemTableBytes, 16<<20)
	orDefault(&o.SyncInterval, time.Second)
	return o
}

func orDefault[T int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// pebbleOptions is how the engine below is set up. The block cache is owned by the caller.
func (o *Options) pebbleOptions(cache *pebble.Cache, log *engineLog) *pebble.Options {
	p := &pebble.Options{
		FS:                          privateFS{o.FS},
		Logger:                      log,
		EventListener:               log.listener(),
		Cache:                       cache,
		MemTableSize:                uint64(o.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                1000,
		BytesPerSync:                512 << 10,
		FormatMajorVersion:          pebble.FormatNewest,
	}
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return p
}

// privateFS creates folders that only their owner may enter, backups included.
type privateFS struct{ vfs.FS }

// MkdirAll creates folders with mode 0700 whatever the engine asks for.
func (p privateFS) MkdirAll(dir string, _ os.FileMode) error { return p.FS.MkdirAll(dir, 0o700) }

// Unwrap returns the file system below.
func (p privateFS) Unwrap() vfs.FS { return p.FS }
