// Package privfile reads and writes small files that only their owner may see:
// keys, counters and replay state. Writes are atomic and durable.
package privfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrExposed is wrapped when others than the owner can reach a file.
var ErrExposed = errors.New("others than the owner have access")

// Read reads a regular file that only its owner can read, of at most
// limit bytes. The check is made on the open file, not on its name.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only: nothing to lose
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := Check(path, info); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return b, nil
}

// Write replaces path by a new file of mode 0600 with content b. After
// it returns nil the content survives a crash; after an error or a crash the
// old file is intact.
func Write(path string, b []byte) error { return place(path, b, private, os.Rename) }

// WriteReadable is Write for a file that everybody may read (mode 0644), such
// as a certificate beside its key.
func WriteReadable(path string, b []byte) error { return place(path, b, readable, os.Rename) }

// Create is Write for a path that must not exist yet: the error then wraps
// os.ErrExist, and the file that is there is untouched.
func Create(path string, b []byte) error { return place(path, b, private, moveNew) }

// CreateReadable is Create with mode 0644.
func CreateReadable(path string, b []byte) error { return place(path, b, readable, moveNew) }

const (
	private  os.FileMode = 0o600
	readable os.FileMode = 0o644
)

// moveNew gives a file its name if nobody has it.
func moveNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

// place writes b next to path and moves it there.
func place(path string, b []byte, mode os.FileMode, move func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(f.Name()))
		}
	}()
	_, err = f.Write(b)
	if err == nil && mode != private {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = move(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// WithLock runs f while holding the exclusive lock file path.
func WithLock(path string, f func() error) (err error) {
	l, err := Lock(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return f()
}

// Lock takes the exclusive lock file path, waiting for it; closing the result
// releases it.
func Lock(path string) (io.Closer, error) {
	l, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(l); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), l.Close())
	}
	return l, nil
}
