//go:build !windows

package privfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Check refuses a file or directory that anyone but its owner, who must
// be the user this process runs as, can touch.
func Check(path string, info fs.FileInfo) error {
	if credential(path, info) {
		return nil
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		want := "0600"
		if info.IsDir() {
			want = "0700"
		}
		return fmt.Errorf("%s has mode %04o: %w: run chmod %s", path, mode, ErrExposed, want)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d: %w", path, st.Uid, ErrExposed)
	}
	return nil
}

// lockFile takes an exclusive lock that ends with the file, waiting for it.
func lockFile(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			return err
		}
	}
}

// SyncDir makes a rename in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // read only: nothing to lose
	return d.Sync()
}

// credential reports whether the service manager put the file there for this process alone (LoadCredential= of
// systemd.exec(5)): it belongs to root, is readable through a list of access rights that shows as group rights, and lies
// in a folder that nobody else can enter.
func credential(path string, info fs.FileInfo) bool {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" || !filepath.IsAbs(dir) || filepath.Dir(path) != filepath.Clean(dir) || !info.Mode().IsRegular() {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == os.Geteuid()) && info.Mode().Perm()&0o337 == 0
}
