//go:build !windows

package privfile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Check refuses a file or directory that anyone but its owner, who must
// be the user this process runs as, can touch.
func Check(path string, info fs.FileInfo) error {
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
