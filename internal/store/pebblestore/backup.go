package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sealmq/sealmq/internal/store"
)

// Checkpoint writes a copy of the store into a new folder on the same file system while the store goes on working.
// Everything whose done was called before is in it, and all of it is from one moment. Files are linked where possible,
// so the copy is quick; it takes room as the store moves on.
func (s *Store) Checkpoint(dir string) error {
	return s.view(func() error {
		if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
			return fmt.Errorf("back up store %q to %q: %w", s.dir, dir, err)
		}
		return nil
	})
}

// Restore copies a checkpoint into a new folder, reads every row of the copy, and raises store.MetaEpoch in it. The
// folder appears under its name only when all of that has succeeded.
func Restore(from, to string, options Options) error {
	fs := options.withDefaults().FS
	if _, err := fs.Stat(to); err == nil {
		return fmt.Errorf("restore to %q: %w", to, os.ErrExist)
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("restore to %q: %w", to, err)
	}
	part := to + ".part"
	if err := fs.RemoveAll(part); err != nil {
		return fmt.Errorf("restore: remove remains of an earlier attempt: %w", err)
	}
	err := restore(fs, from, part, options)
	if err == nil {
		err = fs.Rename(part, to)
	}
	if err == nil {
		err = syncFolder(fs, fs.PathDir(to))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("restore %q to %q: %w", from, to, err), fs.RemoveAll(part))
	}
	return nil
}

func restore(fs vfs.FS, from, part string, options Options) error {
	if err := fs.MkdirAll(part, 0o700); err != nil {
		return err
	}
	ok, err := vfs.Clone(fs, fs, from, part, vfs.CloneSync)
	if err != nil {
		return err
	}
	if !ok {
		return os.ErrNotExist
	}
	if d, err := pebble.Peek(part, fs); err != nil || !d.Exists {
		return errors.Join(fmt.Errorf("%q is no backup of a store: %w", from, store.ErrSchema), err)
	}
	options.LoseDamagedRecords = false
	s, err := Open(part, options)
	if err != nil {
		return err
	}
	return errors.Join(s.raiseEpoch(), s.Close())
}

// raiseEpoch verifies all rows and then counts the restore.
func (s *Store) raiseEpoch() error {
	if err := s.Verify(); err != nil {
		return err
	}
	value, err := s.Meta(store.MetaEpoch)
	if err != nil {
		return err
	}
	if len(value) != 8 {
		return &store.CorruptError{Where: s.dir, What: "epoch is missing or malformed", Next: adviseRestore, Err: errRecord}
	}
	epoch := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(value)+1)
	result := make(chan error, 1)
	s.Commit(&store.Batch{
		Ops:  []store.Op{{Kind: store.PutMeta, Key: store.MetaEpoch, Value: epoch}},
		Sync: true,
	}, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-s.failed:
		return s.failure
	}
}

// Verify reads every row and compares its checksum and form. It returns a *store.CorruptError about the first one that
// is damaged; with LoseDamagedRecords it only logs them. It may run beside normal work and reads the whole store.
func (s *Store) Verify() error {
	var shared authors
	for _, table := range tables {
		err := s.each(table, func(r *rows) error {
			if err := parseAny(r.key, r.record, &shared); err != nil {
				r.drop(r.key, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.Sessions(func(store.SessionRow) error { return nil })
}

// parseAny reports whether a record has the form of its table.
func parseAny(key, record []byte, shared *authors) (err error) {
	switch key[0] {
	case tableBody, tableRetained:
		_, err = parseMessage(record, shared)
	case tableQueue:
		_, err = parsePointer(record)
	case tableInflight:
		_, err = parseInflight(record)
	case tableSession:
		_, err = parseSession(record, &words{})
	case tableSubscription:
		_, err = parseSubscription("", record)
	case tableWill:
		_, err = parseWill(record, shared)
	}
	return err
}

func syncFolder(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
