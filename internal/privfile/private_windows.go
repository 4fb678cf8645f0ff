//go:build windows

package privfile

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// Check accepts every file: Windows has no mode bits, and a file made in
// a user's profile inherits an access list of that user. Use a passphrase for a
// directory elsewhere.
func Check(string, fs.FileInfo) error { return nil }

// lockFile takes an exclusive lock that ends with the file, waiting for it.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped))
}

// SyncDir does nothing: NTFS journals the rename and directories cannot be
// flushed.
func SyncDir(string) error { return nil }
