package transport

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestReadFile: what is no file, is too long, or whose permissions go beyond its kind, is not read.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("five"), 0o600, "12345")
	for limit, want := range map[int64]error{6: nil, 5: nil, 4: CheckFile} {
		b, err := readFile(in("five"), secretFile, limit)
		if !errors.Is(err, want) || (err == nil) != (string(b) == "12345") {
			t.Errorf("at most %d bytes: %q, %v", limit, b, err)
		}
	}
	if _, err := readFile(in("missing"), trustedFile, 10); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, CheckFile) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := readFile(dir, trustedFile, 10); !errors.Is(err, CheckFile) || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a folder: %v", err)
	}
	if err := os.Symlink(in("five"), in("link")); err != nil {
		t.Fatal(err)
	}
	if b, err := readFile(in("link"), secretFile, 10); err != nil || len(b) != 5 { // as certificate tools lay them out
		t.Errorf("a link to a file: %q, %v", b, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for mode := range fs.FileMode(0o100) {
		for may, kind := range map[secrecy]string{secretFile: "chmod 600", trustedFile: "chmod 644"} {
			allowed := mode&fs.FileMode(may) == 0
			err := checkMode("f", 0o600|mode, may)
			if (err == nil) != allowed || err != nil && (!errors.Is(err, CheckPermissions) || !strings.Contains(err.Error(), kind)) {
				t.Errorf("mode %04o, beyond %04o: %v", 0o600|mode, may, err)
			}
		}
	}
	for mode, want := range map[fs.FileMode]error{0o600: nil, 0o640: nil, 0o644: CheckPermissions, 0o660: CheckPermissions, 0o601: CheckPermissions} {
		write(t, in("secret"), mode, "x")
		if _, err := readFile(in("secret"), secretFile, 10); !errors.Is(err, want) {
			t.Errorf("a secret with %04o: %v", mode, err)
		}
	}
	for mode, want := range map[fs.FileMode]error{0o600: nil, 0o644: nil, 0o664: CheckPermissions, 0o646: CheckPermissions} {
		write(t, in("trusted"), mode, "x")
		if _, err := readFile(in("trusted"), trustedFile, 10); !errors.Is(err, want) {
			t.Errorf("a trusted file with %04o: %v", mode, err)
		}
	}
}
