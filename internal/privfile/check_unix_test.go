//go:build !windows

package privfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// entry is what the system says of a file that need not be there.
type entry struct {
	mode fs.FileMode
	sys  any
}

func (entry) Name() string        { return "f" }
func (entry) Size() int64         { return 1 }
func (e entry) Mode() fs.FileMode { return e.mode }
func (entry) ModTime() time.Time  { return time.Time{} }
func (e entry) IsDir() bool       { return e.mode.IsDir() }
func (e entry) Sys() any          { return e.sys }

// TestCheckOwner: a file is private when its owner is who runs the process, and nobody else may touch it.
func TestCheckOwner(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	self := &syscall.Stat_t{Uid: uint32(os.Geteuid())}
	other := &syscall.Stat_t{Uid: self.Uid + 1}
	for _, c := range []struct {
		e    entry
		want string // "": private
	}{
		{entry{0o600, self}, ""},
		{entry{0o400, self}, ""},
		{entry{fs.ModeDir | 0o700, self}, ""},
		{entry{0o600, other}, "belongs to user"},
		{entry{0o640, self}, "chmod 0600"},
		{entry{0o604, self}, "chmod 0600"},
		{entry{0o620, self}, "chmod 0600"},
		{entry{0o601, self}, "chmod 0600"},
		{entry{fs.ModeDir | 0o750, self}, "chmod 0700"},
		{entry{0o600, nil}, ""}, // a file system without owners
	} {
		err := Check("f", c.e)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrExposed) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v of %+v: %v, want %q", c.e.mode, c.e.sys, err, c.want)
		}
	}
}

// TestCheckCredentials: what a service manager hands over may be readable by a group, if it lies in the folder that it names,
// is a file, and belongs to the manager or to this process; nothing else profits.
func TestCheckCredentials(t *testing.T) {
	dir := t.TempDir()
	self, root, other := &syscall.Stat_t{Uid: uint32(os.Geteuid())}, &syscall.Stat_t{}, &syscall.Stat_t{Uid: uint32(os.Geteuid()) + 1}
	for name, c := range map[string]struct {
		env, path string
		e         entry
		good      bool
	}{
		"of this process":    {dir, filepath.Join(dir, "k"), entry{0o440, self}, true},
		"of the manager":     {dir, filepath.Join(dir, "k"), entry{0o440, root}, true},
		"of somebody else":   {dir, filepath.Join(dir, "k"), entry{0o440, other}, false},
		"of nobody":          {dir, filepath.Join(dir, "k"), entry{0o440, nil}, false},
		"a folder":           {dir, filepath.Join(dir, "k"), entry{fs.ModeDir | 0o750, self}, false},
		"elsewhere":          {dir, filepath.Join(filepath.Dir(dir), "k"), entry{0o440, self}, false},
		"without a manager":  {"", filepath.Join(dir, "k"), entry{0o440, self}, false},
		"in no folder":       {"", "k", entry{0o440, self}, false},
		"a folder by chance": {".", "k", entry{0o440, self}, false},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", c.env)
		if err := Check(c.path, c.e); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestErrorsAreToldBack: what cannot be read, written or locked is an error, and so is what happens under a lock.
func TestErrorsAreToldBack(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing", "f")
	if _, err := Read(dir, 10); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	for name, err := range map[string]error{
		"write": Write(missing, nil), "write for all": WriteReadable(missing, nil), "create": Create(missing, nil), "create for all": CreateReadable(missing, nil),
		"lock": WithLock(missing, func() error { return nil }), "a folder's changes": SyncDir(filepath.Dir(missing)),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop := errors.New("stop")
	if err := WithLock(filepath.Join(dir, "lock"), func() error { return stop }); !errors.Is(err, stop) {
		t.Errorf("under a lock: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "taken", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteReadable(filepath.Join(dir, "taken"), nil); err == nil {
		t.Error("a folder was replaced")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
