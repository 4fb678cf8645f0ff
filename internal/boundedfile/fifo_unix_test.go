//go:build unix

package boundedfile

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestFIFO: what has no writer is refused, not waited for.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 5); err == nil {
		t.Error("a FIFO was read")
	}
}
