// Package pebblestore keeps the broker's state on disk, in a Pebble key-value store behind one committer goroutine:
// batches from all sessions are gathered while the disk syncs the group before, so that one fsync serves many.
// internal/store/DESIGN.md describes layout, commit, recovery and what happens when the disk misbehaves.
package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sealmq/sealmq/internal/store"
)

// schema is the layout that this program reads and writes.
const schema = 1

// Names in the store's own half of the metadata table.
const (
	nameSchema      = "schema"       // layout, see schema
	nameLastSession = "last-session" // no session number above it has been used
	nameLastBody    = "last-body"    // no body number above it has been used
	nameClean       = "clean"        // present after Close, absent while open: no orphaned bodies
)

// Store is a store on disk. All methods may be called by many goroutines at once.
type Store struct {
	dir  string
	opts Options
	log  *engineLog
	db   *pebble.DB
	lock *pebble.Lock

	batchMu sync.Mutex // guards the fields of intake; held for encoding only, never for I/O
	intake

	full  atomic.Bool // set by the committer: the disk is nearly full
	total counts
	committer
	sweeper *sweeper

	viewMu sync.Mutex     // guards gone, and views against being waited for while it grows
	gone   bool           // the database is closed, or about to be
	views  sync.WaitGroup // reads under way

	clean     bool // the run before ended in order, so there are no orphaned bodies
	closeOnce sync.Once
	closeErr  error
	fatalOnce sync.Once
	failed    chan struct{} // closed after the fatal hook was called
	failure   error         // set before failed is closed
}

// Open opens the store in a folder, which is created when it is absent. It returns a *store.InUseError when another
// process has it open, a *store.CorruptError when it is damaged, and an error that wraps store.ErrSchema when the
// folder belongs to another program or version. Reference counts of shared bodies are rebuilt in the background.
func Open(dir string, options Options) (*Store, error) {
	opts := options.withDefaults()
	if err := makeFolder(opts.FS, dir); err != nil {
		return nil, fmt.Errorf("create store folder: %w", err)
	}
	l, err := lock(opts.FS, dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, opts: opts, lock: l, failed: make(chan struct{})}
	s.log = &engineLog{log: opts.Logger, fatal: s.fatal}
	if err := s.openDB(); err != nil {
		return nil, errors.Join(err, s.unlock())
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.db.Close(), s.unlock())
	}
	snapshot := s.db.NewSnapshot()
	s.sweeper = newSweeper(s)
	s.committer.start(s)
	go s.sweeper.run(snapshot)
	return s, nil
}

// makeFolder creates a folder and syncs each folder above that got a new entry, so that a crash cannot take the store
// away with its folder.
func makeFolder(fs vfs.FS, dir string) error {
	var parents []string
	for d := dir; ; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err == nil || fs.PathDir(d) == d {
			break
		}
		parents = append(parents, fs.PathDir(d))
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range parents {
		if err := syncFolder(fs, d); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) openDB() error {
	cache := pebble.NewCache(s.opts.CacheBytes)
	defer cache.Unref() // the database holds its own reference
	p := s.opts.pebbleOptions(cache, s.log)
	p.Lock = s.lock
	if err := checkManifest(s.opts.FS, s.dir); err != nil {
		return err
	}
	db, err := pebble.Open(s.dir, p)
	if err != nil {
		return engineError(s.dir, "open", err)
	}
	s.db = db
	return nil
}

// prepare checks the layout, or writes it into an empty database, and reads the counters.
func (s *Store) prepare() error {
	version, err := s.ownMeta(nameSchema)
	if err != nil {
		return err
	}
	if version == nil {
		return s.create()
	}
	if v, n := binary.Uvarint(version); n <= 0 || v != schema {
		return fmt.Errorf("store %q has layout %d, this program knows %d: %w", s.dir, v, schema, store.ErrSchema)
	}
	if s.lastSession, err = readCounter[store.SessionID](s, nameLastSession); err != nil {
		return err
	}
	if s.lastBody, err = readCounter[store.BodyID](s, nameLastBody); err != nil {
		return err
	}
	s.reservedSession, s.reservedBody = s.lastSession, s.lastBody
	clean, err := s.ownMeta(nameClean)
	if err != nil {
		return err
	}
	s.clean = clean != nil
	if s.clean {
		// The first write: whatever else survives a crash, the mark does not.
		if err := s.db.Delete(keyMeta(nil, metaOwn, nameClean), pebble.NoSync); err != nil {
			return engineError(s.dir, "mark as open", err)
		}
	}
	return nil
}

// create writes the first rows. A database that has rows but no layout is not ours.
func (s *Store) create() error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return engineError(s.dir, "read", err)
	}
	empty := !it.First()
	ours := false
	if !empty {
		_, err := unseal(it.Key(), it.Value())
		ours = err == nil
	}
	if err := it.Close(); err != nil {
		return engineError(s.dir, "read", err)
	}
	switch {
	case ours:
		return &store.CorruptError{Where: s.dir, What: "rows without the layout mark", Next: adviseRestore, Err: errRecord}
	case !empty:
		// Another program's data, or ours with its first rows gone: nobody can tell any more.
		return &store.CorruptError{Where: s.dir, What: "data without the layout mark", Next: adviseRestore, Err: store.ErrSchema}
	}
	b := s.db.NewBatch()
	defer b.Close()
	setOwnMeta(b, nameSchema, binary.AppendUvarint(nil, schema))
	setOwnMeta(b, nameLastSession, binary.AppendUvarint(nil, 0))
	setOwnMeta(b, nameLastBody, binary.AppendUvarint(nil, 0))
	setMeta(b, metaBroker, store.MetaEpoch, binary.BigEndian.AppendUint64(nil, 1))
	if err := b.Commit(pebble.Sync); err != nil {
		return engineError(s.dir, "create", err)
	}
	// Pebble begins the first log of a new database in its oldest format, which has no sync marks: a damaged byte in it
	// would pass for the end of the log. A flush begins the next log.
	if err := s.db.Flush(); err != nil {
		return engineError(s.dir, "create", err)
	}
	s.clean = true
	return nil
}

func readCounter[T store.SessionID | store.BodyID](s *Store, name string) (T, error) {
	b, err := s.ownMeta(name)
	if err != nil {
		return 0, err
	}
	v, n := binary.Uvarint(b)
	if n <= 0 || n != len(b) {
		return 0, &store.CorruptError{
			Where: s.dir, What: "counter " + name + " is missing or malformed", Next: adviseRestore, Err: errRecord,
		}
	}
	return T(v), nil
}

// setMeta adds a metadata row to a Pebble batch.
func setMeta(b *pebble.Batch, half byte, name string, value []byte) {
	key := keyMeta(nil, half, name)
	set(b, key, append(make([]byte, crcLen, crcLen+len(value)), value...))
}

func setOwnMeta(b *pebble.Batch, name string, value []byte) { setMeta(b, metaOwn, name, value) }

// set seals value, whose first crcLen bytes are free, and adds the row to a Pebble batch.
func set(b *pebble.Batch, key, value []byte) {
	seal(key, value)
	_ = b.Set(key, value, nil) // fails only on indexed batches that are too large
}

// fatal ends everything: what is acknowledged from here on could not be relied upon.
func (s *Store) fatal(err error) {
	s.fatalOnce.Do(func() {
		s.failure = fmt.Errorf("store %q: %w", s.dir, err)
		s.opts.Logger.Error("store: cannot go on, the process must stop", "dir", s.dir, "error", err)
		s.opts.Fatal(s.failure)
		close(s.failed)
	})
}

// Close waits until all batches are written and their done has returned, syncs and closes the folder. It must not be
// called from done or from within a view's yield. Later calls return the same error.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	s.sweeper.stop()
	s.batchMu.Lock()
	s.closed = true
	s.batchMu.Unlock()
	s.signal()
	select {
	case <-s.stopped:
	case <-s.failed:
	}
	select {
	case <-s.failed:
		// The engine is in an undefined state: touching it could write, and nothing may be written any more.
		return s.failure
	default:
	}
	s.viewMu.Lock()
	s.gone = true
	s.viewMu.Unlock()
	s.views.Wait()
	err := engineError(s.dir, "close", s.finish())
	return errors.Join(err, s.unlock())
}

// finish writes the marks of an orderly end and closes the database. All rows leave the log for tables, where every
// damaged byte is noticed; in the last block of a log damage looks like a write that was cut off.
func (s *Store) finish() error {
	b := s.db.NewBatch()
	setOwnMeta(b, nameLastSession, binary.AppendUvarint(nil, uint64(s.lastSession)))
	setOwnMeta(b, nameLastBody, binary.AppendUvarint(nil, uint64(s.lastBody)))
	if s.sweeper.complete() {
		setOwnMeta(b, nameClean, nil)
	}
	err := b.Commit(pebble.Sync)
	if err == nil {
		err = s.db.Flush()
	}
	return errors.Join(err, b.Close(), s.db.Close())
}

func (s *Store) unlock() error {
	err := s.opts.FS.Remove(s.opts.FS.PathJoin(s.dir, ownerFile))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, s.lock.Close())
}

// Settle waits until reference counts are rebuilt and nothing is left to sweep of what was committed before the call.
func (s *Store) Settle(ctx context.Context) error {
	select {
	case <-s.sweeper.idle():
		return nil
	case <-s.failed:
		return s.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}
