package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/storetest"
)

func putMeta(key, value string) store.Op {
	return store.Op{Kind: store.PutMeta, Key: key, Value: []byte(value)}
}

func putSession(id store.SessionID) store.Op {
	return store.Op{Kind: store.PutSession, Session: id, Meta: &store.Session{ClientID: fmt.Sprint("client", id)}}
}

func putBody(id store.BodyID) store.Op {
	return store.Op{Kind: store.PutBody, Body: id, Message: storetest.Message("t", []byte("payload"), int(id))}
}

func putQueue(session store.SessionID, ord store.Ord, body store.BodyID, sole bool) store.Op {
	return store.Op{
		Kind: store.PutQueue, Session: session, Ord: ord, Pointer: store.Pointer{Body: body, Sole: sole, Size: 10},
	}
}

// TestFailedSync shows that after a failed fsync nothing is acknowledged, nothing is retried, and the hook is told.
func TestFailedSync(t *testing.T) {
	for _, fault := range []string{"sync", "write"} {
		t.Run(fault, func(t *testing.T) {
			var broken atomic.Bool
			var calls atomic.Int32
			fail := func(name string) error {
				if broken.Load() && strings.HasSuffix(name, ".log") {
					calls.Add(1)
					return errDisk
				}
				return nil
			}
			told := make(chan error, 10)
			o := testOptions(t)
			o.Fatal = func(err error) { told <- err }
			if fault == "sync" {
				o.FS = hookFS{FS: vfs.NewMem(), sync: fail}
			} else {
				o.FS = hookFS{FS: vfs.NewMem(), write: fail}
			}
			s := open(t, "store", o)
			if err := storetest.CommitWait(s, putMeta("k", "v")); err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			for range 3 {
				s.Commit(&store.Batch{Ops: []store.Op{putMeta("k", "w")}, Sync: true}, func(err error) {
					t.Errorf("done called with %v", err)
				})
			}
			if err := <-told; !errors.Is(err, errDisk) {
				t.Errorf("hook told %v", err)
			}
			if err := s.Close(); !errors.Is(err, errDisk) {
				t.Errorf("Close() = %v", err)
			}
			if fault == "sync" && calls.Load() != 1 {
				t.Errorf("%d syncs after the first failed", calls.Load()-1)
			}
			if len(told) != 0 {
				t.Errorf("hook called %d times more", len(told))
			}
			// In a process this is the exit.
			_ = s.db.Close()
			_ = s.unlock()
		})
	}
}

// diskFS tells how much room the test wants there to be.
type diskFS struct {
	vfs.FS
	avail *atomic.Uint64
}

func (d diskFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.avail.Load(), TotalBytes: 1000 << 20}, nil
}

// TestNearlyFull shows that a nearly full disk refuses what adds messages, whole, and takes everything else.
func TestNearlyFull(t *testing.T) {
	var avail atomic.Uint64
	avail.Store(500 << 20)
	o := testOptions(t)
	o.FS, o.MinFree, o.MinFreePercent = diskFS{vfs.NewMem(), &avail}, 1<<20, 10
	s := open(t, "store", o)
	defer s.Close()
	if err := storetest.CommitWait(s, putSession(1), putBody(1), putQueue(1, 1, 1, true)); err != nil {
		t.Fatal(err)
	}
	avail.Store(99 << 20)
	if err := storetest.CommitWait(s); err != nil { // the next group looks at the disk
		t.Fatal(err)
	}
	for _, op := range []store.Op{putBody(2), {Kind: store.PutRetained, Message: storetest.Message("t", nil, 1)}} {
		if err := storetest.CommitWait(s, putMeta("k", "v"), op); !errors.Is(err, store.ErrFull) {
			t.Errorf("%s on a full disk: %v", op.Kind, err)
		}
	}
	if v, err := s.Meta("k"); v != nil || err != nil {
		t.Errorf("a part of a refused batch was written: %q, %v", v, err)
	}
	err := storetest.CommitWait(s,
		store.Op{Kind: store.DeleteQueue, Session: 1, Ord: 1, Body: 1, Pointer: store.Pointer{Sole: true}},
		store.Op{Kind: store.PutInbound, Session: 1, PacketID: 1}, putSession(2), putMeta("k", "w"))
	if err != nil {
		t.Errorf("deletes and state on a full disk: %v", err)
	}
	avail.Store(120 << 20)
	if err := storetest.CommitWait(s); err != nil {
		t.Fatal(err)
	}
	if err := storetest.CommitWait(s, putBody(3), putQueue(1, 3, 3, true)); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

// TestBacklog shows that batches waiting for a slow disk are bounded.
func TestBacklog(t *testing.T) {
	gate := make(chan struct{})
	var slow atomic.Bool
	o := testOptions(t)
	o.MaxBacklog = 10_000
	o.FS = hookFS{FS: vfs.NewMem(), sync: func(name string) error {
		if slow.Load() && strings.HasSuffix(name, ".log") {
			<-gate
		}
		return nil
	}}
	s := open(t, "store", o)
	defer s.Close()
	slow.Store(true)
	results := make(chan error, 2000)
	for i := range store.BodyID(1000) {
		s.Commit(&store.Batch{Ops: []store.Op{putBody(i + 1)}, Sync: true}, func(err error) { results <- err })
	}
	s.Commit(&store.Batch{Ops: []store.Op{putMeta("k", "v")}, Sync: true}, func(err error) {
		if err != nil {
			t.Errorf("batch without messages: %v", err)
		}
	})
	close(gate)
	taken, refused := 0, 0
	for range 1000 {
		switch err := <-results; {
		case err == nil:
			taken++
		case errors.Is(err, store.ErrFull):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if taken == 0 || taken > 300 || refused == 0 {
		t.Errorf("%d batches taken, %d refused", taken, refused)
	}
	if err := storetest.CommitWait(s); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if st.Refused != uint64(refused) || st.Batches < 1001 || st.Groups == 0 || st.Syncs == 0 ||
		st.Full || st.DiskBytes == 0 {
		t.Errorf("%+v after %d refused", st, refused)
	}
}

// TestInUse shows that a folder in use is refused by the name of who uses it, and is free after Close.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, testOptions(t))
	_, err := Open(dir, testOptions(t))
	var inUse *store.InUseError
	host, hostErr := os.Hostname()
	if hostErr != nil {
		t.Skip("the machine has no name")
	}
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() || inUse.Host != host || inUse.Started.IsZero() {
		t.Fatalf("second Open: %v", err)
	}
	if err := storetest.CommitWait(s, putMeta("k", "v")); err != nil {
		t.Errorf("the first one after the second was refused: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir, testOptions(t)).Close(); err != nil {
		t.Fatal(err)
	}
}

// raw changes the database below a closed store.
func raw(t *testing.T, fs vfs.FS, change func(db *pebble.DB)) {
	t.Helper()
	db, err := pebble.Open("store", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest, Logger: &engineLog{}})
	if err != nil {
		t.Fatal(err)
	}
	change(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSchema shows that the layouts of others are refused and left alone.
func TestSchema(t *testing.T) {
	for _, c := range []struct {
		name string
		row  func(b *pebble.Batch)
	}{
		{"later", func(b *pebble.Batch) { setOwnMeta(b, nameSchema, []byte{schema + 1}) }},
		{"foreign", func(b *pebble.Batch) { _ = b.Set([]byte("their key"), []byte("their value"), nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := testOptions(t)
			o.FS = vfs.NewMem()
			raw(t, o.FS, func(db *pebble.DB) {
				b := db.NewBatch()
				c.row(b)
				if err := b.Commit(pebble.Sync); err != nil {
					t.Fatal(err)
				}
			})
			for range 2 {
				if _, err := Open("store", o); !errors.Is(err, store.ErrSchema) {
					t.Fatalf("Open: %v", err)
				}
			}
		})
	}
}

// damage overwrites the last byte of a stored value.
func damage(t *testing.T, fs vfs.FS, key []byte) {
	t.Helper()
	raw(t, fs, func(db *pebble.DB) {
		value, closer, err := db.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		value = append([]byte(nil), value...)
		closer.Close()
		value[len(value)-1] ^= 1
		if err := db.Set(key, value, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDamagedRecord shows for each table that a changed byte is noticed, named, and deletes nothing; and what
// LoseDamagedRecords loses.
func TestDamagedRecord(t *testing.T) {
	message := storetest.Message("t", []byte("x"), 1)
	fill := []store.Op{
		putSession(1), putSession(2), putBody(1), putBody(2), putQueue(1, 1, 1, true), putQueue(2, 1, 2, false),
		{Kind: store.PutInflight, Session: 1, PacketID: 1, Inflight: store.Inflight{Ord: 1, State: store.Published}},
		{Kind: store.PutInbound, Session: 1, PacketID: 1},
		{Kind: store.PutSubscription, Session: 1, Subscription: &store.Subscription{Filter: "a/#"}},
		{Kind: store.PutRetained, Message: message},
		putMeta("k", "v"),
		{Kind: store.PutWill, Session: 2, Will: &store.Will{Message: message}},
	}
	for _, c := range []struct {
		key  []byte
		want string
	}{
		{keyNumber(nil, tableSession, 1), "session row 1"},
		{keyQueue(nil, 2, 1), "queue row 1 of session 2"},
		{keyPacket(nil, tableInflight, 1, 1), "in-flight row 1 of session 1"},
		{keyPacket(nil, tableInbound, 1, 1), "inbound row 1 of session 1"},
		{keySubscription(nil, 1, "a/#"), `subscription row "a/#" of session 1`},
		{keyRetained(nil, "t"), `retained row "t"`},
		{keyNumber(nil, tableWill, 2), "will row 2"},
		{keyNumber(nil, tableBody, 1), "body row 1"},
	} {
		t.Run(c.want, func(t *testing.T) {
			o := testOptions(t)
			o.FS = vfs.NewMem()
			s := open(t, "store", o)
			if err := errors.Join(storetest.CommitWait(s, fill...), s.Close()); err != nil {
				t.Fatal(err)
			}
			damage(t, o.FS, c.key)
			for range 2 { // a second start says the same
				s = open(t, "store", o)
				_, err := storetest.Read(whole(s), 2, []string{"k"})
				var corrupt *store.CorruptError
				if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), c.want) || corrupt.Next == "" {
					t.Errorf("read: %v", err)
				}
				if err := errors.Join(s.Settle(t.Context()), s.Close()); err != nil {
					t.Fatal(err)
				}
			}
			o.LoseDamagedRecords = true
			for range 2 {
				s = open(t, "store", o)
				if err := s.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				got, err := storetest.Read(whole(s), 2, []string{"k"})
				if err != nil {
					t.Errorf("read with losses: %v", err)
				}
				if len(got.Sessions) == 0 || got.Meta["k"] != "v" ||
					got.Bodies[2] == "" && c.key[0] != tableQueue {
					t.Errorf("more was lost than the damaged row: %+v", got)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// flip changes one byte, at a share of its length, of each large file whose name ends so: one of them may be obsolete.
func flip(t *testing.T, fs *vfs.MemFS, suffix string, share float64) {
	t.Helper()
	names, err := fs.List("store")
	if err != nil {
		t.Fatal(err)
	}
	flipped := false
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		f, err := fs.Open(fs.PathJoin("store", name))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(content) < 16<<10 {
			continue
		}
		content[int(share*float64(len(content)))] ^= 0x10
		if err := writeFile(fs, "store", name, content); err != nil {
			t.Fatal(err)
		}
		flipped = true
	}
	if !flipped {
		t.Fatalf("no large %s file to damage among %v", suffix, names)
	}
}

// TestDamagedFile flips bits below Pebble: no start may crash, and what is read is right or refused.
func TestDamagedFile(t *testing.T) {
	for _, suffix := range []string{".log", ".sst"} {
		t.Run(suffix, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			o := testOptions(t)
			o.FS = fs
			s := open(t, "store", o)
			const n = 2000
			for i := store.SessionID(1); i <= n; i++ {
				if err := storetest.CommitWait(s, putSession(i)); err != nil {
					t.Fatal(err)
				}
			}
			if suffix == ".sst" {
				if err := s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			after := fs.CrashClone(vfs.CrashCloneCfg{})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			flip(t, after, suffix, 0.4)
			o.FS = after
			count := func() (found int, err error) {
				s, err := Open("store", o)
				if err != nil {
					return 0, err
				}
				err = s.Sessions(func(row store.SessionRow) error {
					found++
					if row.Session.ClientID != fmt.Sprint("client", row.ID) {
						t.Errorf("wrong content: %+v", row)
					}
					return nil
				})
				return found, errors.Join(err, s.Settle(t.Context()), s.Close())
			}
			var corrupt *store.CorruptError
			for range 2 {
				if _, err := count(); !errors.As(err, &corrupt) {
					t.Fatalf("damage not refused: %v", err)
				}
			}
			if suffix == ".log" {
				return // Pebble refuses to open: there is nothing to read
			}
			o.LoseDamagedRecords = true
			found, err := count()
			if err != nil || found == 0 || found == n {
				t.Errorf("with losses: %d of %d sessions, %v", found, n, err)
			}
		})
	}
}
