//go:build unix

package privfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestCredentials: what the service manager hands over may be readable as its lists of access rights show it, and
// nothing else may.
func TestCredentials(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for _, c := range []struct {
		dir  string
		mode os.FileMode
		ok   bool
	}{{dir, 0o440, true}, {dir, 0o400, true}, {dir, 0o444, false}, {dir, 0o460, false}, {elsewhere, 0o440, false}} {
		path := filepath.Join(c.dir, "secret")
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Read(path, 10)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrExposed) {
			t.Errorf("%s with mode %o: %v", path, c.mode, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
