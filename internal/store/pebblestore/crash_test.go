package pebblestore

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sealmq/sealmq/internal/store/storetest"
)

// crash fills a store on a file system that forgets what was not synced, takes the power away in the middle, and
// returns the verdict on what the next open finds. wrap may put a faulty disk in between.
func crash(t *testing.T, seed uint64, unsynced int, wrap func(vfs.FS) vfs.FS) (survived int, verdict error) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	disk := vfs.NewCrashableMem()
	o := testOptions(t)
	o.FS = wrap(disk)
	s := open(t, "store", o)
	defer s.Close()
	var history storetest.History
	generator := storetest.NewGenerator(random.IntN)
	until := 1 + random.IntN(200)
	for range until {
		history.Commit(s, generator)
	}
	if random.IntN(2) == 0 {
		// Let some of it reach the disk: a Sync batch in the middle of the load.
		if err := storetest.CommitWait(s); err != nil {
			t.Fatal(err)
		}
	}
	for range random.IntN(50) {
		history.Commit(s, generator)
	}
	acked := history.Acked()
	after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: random})

	o.FS = after
	again, err := Open("store", o)
	if err != nil {
		return 0, err
	}
	defer again.Close()
	if err := again.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return history.Check(whole(again), acked)
}

func sameFS(fs vfs.FS) vfs.FS { return fs }

// TestCrash shows that after a power failure each batch whose done was called after its sync is there, and that what
// is there is the result of a prefix of the batches: also with a disk that kept parts of what it was not asked to sync.
func TestCrash(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	total := 0
	for seed := range seeds {
		for _, unsynced := range []int{0, 50} {
			n, err := crash(t, seed, unsynced, sameFS)
			if err != nil {
				t.Errorf("seed %d, %d%% of the rest kept: %v", seed, unsynced, err)
			}
			total += n
		}
	}
	if total == 0 {
		t.Error("nothing survived in any run: the test shows nothing")
	}
}

// deafFS ignores the syncs of log files.
type deafFS struct{ vfs.FS }

func (d deafFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	if err == nil && strings.HasSuffix(name, ".log") {
		f = deafFile{f}
	}
	return f, err
}

type deafFile struct{ vfs.File }

func (deafFile) Sync() error                { return nil }
func (deafFile) SyncData() error            { return nil }
func (deafFile) SyncTo(int64) (bool, error) { return false, nil }

// TestCrashCheckerSeesLoss is the negative control of TestCrash: on a disk that ignores syncs it must find losses.
func TestCrashCheckerSeesLoss(t *testing.T) {
	losses := 0
	for seed := range uint64(10) {
		if _, err := crash(t, seed, 0, func(fs vfs.FS) vfs.FS { return deafFS{fs} }); errors.Is(err, storetest.ErrLost) {
			losses++
		} else if err != nil {
			t.Error(err)
		}
	}
	if losses == 0 {
		t.Fatal("the log was never synced, and the checker found nothing missing")
	}
}

// TestAckBeforeSyncMayLose shows what the option's name says, and that the prefix still holds.
func TestAckBeforeSyncMayLose(t *testing.T) {
	disk := vfs.NewCrashableMem()
	o := testOptions(t)
	o.FS, o.AckBeforeSync, o.SyncInterval = disk, true, 1<<40
	s := open(t, "store", o)
	defer s.Close()
	var history storetest.History
	generator := storetest.NewGenerator(rand.New(rand.NewPCG(1, 1)).IntN)
	for range 50 {
		history.Commit(s, generator)
	}
	if err := storetest.CommitWait(s); err != nil {
		t.Fatal(err)
	}
	acked := history.Acked()
	o.FS = disk.CrashClone(vfs.CrashCloneCfg{})
	again := open(t, "store", o)
	defer again.Close()
	if acked == 0 {
		t.Fatal("nothing was acknowledged")
	}
	if _, err := history.Check(whole(again), acked); !errors.Is(err, storetest.ErrLost) {
		t.Errorf("it was synced before it was acknowledged, so the test shows nothing: %v", err)
	}
	if _, err := history.Check(whole(again), 0); err != nil {
		t.Errorf("not a prefix: %v", err)
	}
}

// TestSyncInterval shows that changes nobody waits for reach the disk by themselves.
func TestSyncInterval(t *testing.T) {
	disk := vfs.NewCrashableMem()
	synced := make(chan struct{}, 100)
	o := testOptions(t)
	o.FS = hookFS{FS: disk, sync: func(name string) error {
		if strings.HasSuffix(name, ".log") {
			synced <- struct{}{}
		}
		return nil
	}}
	o.SyncInterval = 1
	s := open(t, "store", o)
	defer s.Close()
	for len(synced) > 0 {
		<-synced
	}
	var history storetest.History
	generator := storetest.NewGenerator(rand.New(rand.NewPCG(1, 1)).IntN)
	history.Commit(s, generator)
	<-synced
}

// hookFS calls functions before writes and syncs, which fail with their errors.
type hookFS struct {
	vfs.FS
	sync, write func(name string) error
}

var errDisk = errors.New("disk broken for the test")

func (h hookFS) file(f vfs.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return hookFile{f, name, h}, nil
}

func (h hookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.Create(name, c)
	return h.file(f, name, err)
}

func (h hookFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.ReuseForWrite(from, to, c)
	return h.file(f, to, err)
}

type hookFile struct {
	vfs.File
	name string
	fs   hookFS
}

func call(hook func(string) error, name string) error {
	if hook == nil {
		return nil
	}
	return hook(name)
}

func (f hookFile) Sync() error {
	if err := call(f.fs.sync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f hookFile) SyncData() error {
	if err := call(f.fs.sync, f.name); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f hookFile) SyncTo(n int64) (bool, error) {
	if err := call(f.fs.sync, f.name); err != nil {
		return false, err
	}
	return f.File.SyncTo(n)
}

func (f hookFile) Write(p []byte) (int, error) {
	if err := call(f.fs.write, f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}
