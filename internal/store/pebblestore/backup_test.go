package pebblestore

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/storetest"
)

func epoch(t *testing.T, s *Store) uint64 {
	t.Helper()
	v, err := s.Meta(store.MetaEpoch)
	if err != nil || len(v) != 8 {
		t.Fatalf("epoch %x: %v", v, err)
	}
	return binary.BigEndian.Uint64(v)
}

// TestBackup takes a backup of a running store, goes on, and restores it: the state of the backup, a higher epoch,
// numbers that are not reused.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "store"), testOptions(t))
	defer s.Close()
	ops := []store.Op{putSession(1), putBody(1), putQueue(1, 1, 1, true), putMeta("k", "then")}
	model := storetest.NewModel()
	model.Apply(&store.Batch{Ops: ops})
	// Not synced by anybody: the backup must have it all the same.
	written := make(chan error, 1)
	s.Commit(&store.Batch{Ops: ops}, func(err error) { written <- err })
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(dir, "backups", "1")
	if err := s.Checkpoint(backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint(backup); err == nil {
		t.Error("a backup was overwritten")
	}
	if err := storetest.CommitWait(s, putMeta("k", "now"), putBody(2), putQueue(1, 2, 2, true)); err != nil {
		t.Fatal(err)
	}
	for life := uint64(2); life <= 3; life++ {
		restored := filepath.Join(dir, "restored", string(rune('0'+life)))
		if err := Restore(backup, restored, testOptions(t)); err != nil {
			t.Fatal(err)
		}
		if err := Restore(backup, restored, testOptions(t)); !errors.Is(err, os.ErrExist) {
			t.Errorf("restore over a store: %v", err)
		}
		r := open(t, restored, testOptions(t))
		if err := r.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := storetest.Read(whole(r), 2, []string{"k"})
		if err != nil {
			t.Fatal(err)
		}
		if d := storetest.Diff(model.State(), got); d != "" {
			t.Errorf("restored (-want +got):\n%s", d)
		}
		if epoch(t, r) != life {
			t.Errorf("epoch %d, want %d", epoch(t, r), life)
		}
		if session, body := r.Counters(); session < 1 || body < 2 {
			t.Errorf("numbers %d, %d would be used again", session, body)
		}
		backup = filepath.Join(dir, "backups", string(rune('0'+life)))
		if err := errors.Join(r.Checkpoint(backup), r.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if epoch(t, s) != 1 {
		t.Errorf("epoch of the original is %d", epoch(t, s))
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != dir {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("folder %s is open to others: %v", path, info.Mode())
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRestoreRefuses shows that a damaged or foreign backup leaves nothing behind.
func TestRestoreRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, disk *vfs.MemFS)
		want func(err error) bool
	}{
		{"absent", func(*testing.T, *vfs.MemFS) {}, func(err error) bool { return errors.Is(err, os.ErrNotExist) }},
		{"foreign", func(t *testing.T, disk *vfs.MemFS) {
			if err := errors.Join(disk.MkdirAll("store", 0o700), writeFile(disk, "store", "letter", []byte("hello"))); err != nil {
				t.Fatal(err)
			}
		}, func(err error) bool { return errors.Is(err, store.ErrSchema) }},
		{"damaged", func(t *testing.T, disk *vfs.MemFS) {
			o := testOptions(t)
			o.FS = disk
			s := open(t, "store", o)
			if err := errors.Join(storetest.CommitWait(s, putSession(1), putBody(1), putQueue(1, 1, 1, true)), s.Close()); err != nil {
				t.Fatal(err)
			}
			damage(t, disk, keyNumber(nil, tableBody, 1))
		}, func(err error) bool {
			var corrupt *store.CorruptError
			return errors.As(err, &corrupt) && strings.Contains(err.Error(), "body row 1")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := vfs.NewMem()
			c.make(t, disk)
			o := testOptions(t)
			o.FS, o.LoseDamagedRecords = disk, true
			if err := Restore("store", "restored", o); !c.want(err) {
				t.Errorf("Restore: %v", err)
			}
			names, err := disk.List("")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if strings.HasPrefix(name, "restored") {
					t.Errorf("%s was left behind", name)
				}
			}
		})
	}
}
