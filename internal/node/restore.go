package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/pebblestore"
)

// Restored says what Restore did, or with dryRun is going to do.
type Restored struct {
	From    string
	Data    string
	Created time.Time // of the backup
	Node    string    // name of the broker that wrote it
	Epoch   uint64    // of the restored store, higher than that of the backup
}

// NoBackupError says that a folder is no backup, or no complete one.
type NoBackupError struct {
	Dir string
	Err error
}

// Error names the folder.
func (e *NoBackupError) Error() string {
	return fmt.Sprintf("%s is no complete backup: %v", e.Dir, e.Err)
}

// Unwrap returns the cause.
func (e *NoBackupError) Unwrap() error { return e.Err }

// NotEmptyError says that the target of a restore holds something.
type NotEmptyError struct{ Dir string }

// Error names the folder.
func (e *NotEmptyError) Error() string { return e.Dir + " is not empty" }

// Restore makes the data folder of a broker out of a backup, and raises the epoch of its store. Every row is read and
// checked before the folder gets the store. The folder must be absent or empty: a *store.InUseError says that a broker
// runs in it, a *NotEmptyError that it holds something else, a *NoBackupError that from is no backup.
func Restore(from, data string, log *slog.Logger, dryRun bool) (Restored, error) {
	r := Restored{From: from, Data: data}
	n, err := readNote(from)
	if err != nil {
		return r, &NoBackupError{from, err}
	}
	r.Created, r.Node, r.Epoch = n.Created, n.Node, n.Epoch+1
	existed, err := checkTarget(data)
	if err != nil || dryRun {
		return r, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return r, fmt.Errorf("make the data folder: %w", err)
	}
	options := pebblestore.Options{Logger: log}
	to := filepath.Join(data, storeFolder)
	if n.Marks != "" {
		err = restoreMarks(from, data, n.Marks)
	}
	if err == nil {
		if err = pebblestore.Restore(filepath.Join(from, storeFolder), to, options); err != nil && n.Marks != "" {
			err = errors.Join(err, os.Remove(filepath.Join(data, marksFile)))
		}
	}
	if err != nil {
		if !existed {
			err = errors.Join(err, os.Remove(data))
		}
		return r, err
	}
	// Opening it once more shows that the broker will be able to, and what epoch it has.
	s, err := pebblestore.Open(to, options)
	if err != nil {
		return r, fmt.Errorf("open what was restored: %w", err)
	}
	r.Epoch, err = epochOf(s)
	return r, errors.Join(err, s.Close())
}

// restoreMarks brings back which credentials were used. Without them a recorded login could be repeated, so that a backup
// without its marks, or with damaged ones, is refused.
func restoreMarks(from, data, want string) error {
	text, sum, err := readMarks(filepath.Join(from, marksFile))
	if err == nil && sum != want {
		err = fmt.Errorf("%s is damaged: its SHA-256 is %s, expected %s", marksFile, sum, want)
	}
	if err != nil {
		return &NoBackupError{from, err}
	}
	return privfile.Create(filepath.Join(data, marksFile), text)
}

// checkTarget refuses a folder that is in use or holds anything. existed says that it is there, and empty.
func checkTarget(data string) (existed bool, err error) {
	entries, err := os.ReadDir(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look at the data folder: %w", err)
	case len(entries) == 0:
		return true, nil
	}
	var used *store.InUseError
	if err := pebblestore.CheckFree(filepath.Join(data, storeFolder)); errors.As(err, &used) {
		return true, err
	}
	return true, &NotEmptyError{data}
}

func readNote(dir string) (*note, error) {
	f, err := os.Open(filepath.Join(dir, backupNote))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxNote))
	if err != nil {
		return nil, err
	}
	n := new(note)
	if err := json.Unmarshal(text, n); err != nil {
		return nil, fmt.Errorf("%s: %w", backupNote, err)
	}
	if n.Schema != backupSchema {
		return nil, fmt.Errorf("%s: schema %q, this program knows %q", backupNote, n.Schema, backupSchema)
	}
	return n, nil
}
