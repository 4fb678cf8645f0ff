package pebblestore

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testOptions log into the test and do not look at the machine's disk.
func testOptions(t testing.TB) Options {
	return Options{Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), MinFree: -1, MemTableBytes: 1 << 20}
}

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// whole is a store as the suite sees it.
func whole(s *Store) storetest.Store { return storetest.Store{Writer: s, Rows: s, Tables: s} }

func subject(t testing.TB, dir string, fs vfs.FS) storetest.Subject {
	return storetest.Subject{Open: func(onGroup func()) (storetest.Store, error) {
		o := testOptions(t)
		o.FS, o.OnGroup = fs, onGroup
		s, err := Open(dir, o)
		return whole(s), err
	}}
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Subject { return subject(t, "store", vfs.NewMem()) })
}

func TestContractOnDisk(t *testing.T) {
	storetest.Cases(t, func(t testing.TB) storetest.Subject { return subject(t, t.TempDir(), vfs.Default) })
}
