package pebblestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sealmq/sealmq/internal/store"
)

// ownerFile tells who holds the lock of the folder. The lock itself is the kernel's, on another file, so that it ends
// with the process and never with a stale file.
const ownerFile = "OWNER"

// maxOwner bounds what is read of ownerFile, in bytes.
const maxOwner = 4096

type owner struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Started time.Time `json:"started"`
}

// lock takes the folder for this process, or returns a *store.InUseError that names who has it.
func lock(fs vfs.FS, dir string) (*pebble.Lock, error) {
	l, err := acquire(fs, dir)
	if err != nil {
		return nil, err
	}
	if err := writeOwner(fs, dir); err != nil {
		l.Close()
		return nil, fmt.Errorf("mark store %q as in use: %w", dir, err)
	}
	return l, nil
}

// acquire is lock without leaving a mark.
func acquire(fs vfs.FS, dir string) (*pebble.Lock, error) {
	l, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		if os.IsPermission(err) {
			return nil, fmt.Errorf("lock store %q: %w", dir, err)
		}
		o, readErr := readOwner(fs, dir)
		if readErr != nil {
			return nil, fmt.Errorf("lock store %q, it may be in use: %w", dir, err)
		}
		return nil, &store.InUseError{Dir: dir, PID: o.PID, Host: o.Host, Started: o.Started}
	}
	return l, nil
}

func readOwner(fs vfs.FS, dir string) (owner, error) {
	var o owner
	f, err := fs.Open(fs.PathJoin(dir, ownerFile))
	if err != nil {
		return o, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxOwner))
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(text, &o)
}

func writeOwner(fs vfs.FS, dir string) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	text, err := json.Marshal(owner{PID: os.Getpid(), Host: host, Started: time.Now().Truncate(time.Second)})
	if err != nil {
		return err
	}
	return writeFile(fs, dir, ownerFile, text)
}

// writeFile replaces a small file so that a reader sees the old or the new content, never a part.
func writeFile(fs vfs.FS, dir, name string, content []byte) error {
	temporary := fs.PathJoin(dir, name+".new")
	f, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return fs.Rename(temporary, fs.PathJoin(dir, name))
}

// CheckFree returns a *store.InUseError when another process has the store in dir open, and nil when none has, or when
// there is no store. It changes nothing in it.
func CheckFree(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("look at store %q: %w", dir, err)
	}
	l, err := acquire(vfs.Default, dir)
	if err != nil {
		return err
	}
	return l.Close()
}
