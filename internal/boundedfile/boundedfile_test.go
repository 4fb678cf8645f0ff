package boundedfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{6: "12345", 5: "12345"} {
		if b, err := Read(path, limit); err != nil || string(b) != want {
			t.Errorf("limit %d: %q, %v", limit, b, err)
		}
	}
	if b, err := Read(path, 4); err == nil || b != nil || !strings.Contains(err.Error(), "more than 4 bytes") {
		t.Errorf("one byte too many: %q, %v", b, err)
	}
	if _, err := Read(filepath.Join(dir, "none"), 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	var p *fs.PathError
	if _, err := Read(dir, 5); !errors.As(err, &p) || p.Err.Error() != "not a regular file" {
		t.Errorf("a folder: %v", err)
	}
}
