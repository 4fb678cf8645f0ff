package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/pebblestore"
)

// A backup is a folder with the store's checkpoint, the marks of used credentials where there are any, and a note of what
// it is.
const (
	backupNote   = "backup.json"
	backupSchema = "sealmq.backup/1"
	maxNote      = 64 << 10 // bytes
	maxMarks     = 1 << 30  // bytes
)

// note is the content of backupNote. It is written last: a backup without it is not complete.
type note struct {
	Schema  string    `json:"schema"`
	Created time.Time `json:"created"`
	Node    string    `json:"node"`
	Version string    `json:"version"` // of the broker that wrote it
	Epoch   uint64    `json:"epoch"`
	Marks   string    `json:"marks_sha256,omitempty"` // of marksFile, when it is a part of it
}

// Backup implements control.Store. The folder appears under its name when all of it is on disk.
func (o operator) Backup(_ context.Context, dir string, dryRun bool) (control.Backup, error) {
	disk, ok := o.n.store.(*pebblestore.Store)
	if !ok {
		return control.Backup{}, &control.Error{Code: control.Unsupported, Message: "storage.engine is memory: there is nothing on disk to back up"}
	}
	if _, err := os.Lstat(dir); err == nil {
		return control.Backup{}, &control.Error{Code: control.Conflict, Message: dir + " exists already"}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return control.Backup{}, fmt.Errorf("look at the backup folder: %w", err)
	}
	if info, err := os.Stat(filepath.Dir(dir)); err != nil || !info.IsDir() {
		return control.Backup{}, &control.Error{Code: control.Invalid, Message: filepath.Dir(dir) + " is no folder that the broker can see"}
	}
	epoch, err := epochOf(disk)
	if err != nil || dryRun {
		return control.Backup{Dir: dir, Epoch: epoch}, err
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), ".sealmq-backup-") // mode 0700: it holds everybody's messages
	if err != nil {
		return control.Backup{}, fmt.Errorf("make the backup folder: %w", err)
	}
	n := note{Schema: backupSchema, Node: o.plan.Config.Node.Name, Version: o.version, Epoch: epoch}
	err = disk.Checkpoint(filepath.Join(part, storeFolder))
	if err == nil {
		n.Marks, err = o.n.used.copy(filepath.Join(part, marksFile))
	}
	if err == nil {
		n.Created = time.Now().UTC()
		err = writeNote(part, &n)
	}
	if err == nil {
		err = publishFolder(part, dir)
	}
	if err != nil {
		return control.Backup{}, errors.Join(fmt.Errorf("back up to %s: %w", dir, err), os.RemoveAll(part))
	}
	return control.Backup{Dir: dir, Epoch: epoch}, nil
}

// publishFolder gives a complete folder its name. A folder that got the name meanwhile is not replaced.
func publishFolder(part, dir string) error {
	if err := os.Rename(part, dir); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

func writeNote(dir string, n *note) error {
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, backupNote), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return syncFolder(dir)
}

// syncFolder makes the names in a folder durable, where a folder can be synced.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// epochOf reads the count of the store's lives.
func epochOf(s *pebblestore.Store) (uint64, error) {
	v, err := s.Meta(store.MetaEpoch)
	if err != nil {
		return 0, fmt.Errorf("read the epoch: %w", err)
	}
	if len(v) != 8 {
		return 0, &store.CorruptError{Where: "metadata", What: "epoch is missing or malformed"}
	}
	return binary.BigEndian.Uint64(v), nil
}
