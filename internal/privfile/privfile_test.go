package privfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/sealmq/sealmq/internal/privfile"
)

func TestWriteAndRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, content := range []string{"one", "", "three"} {
		if err := privfile.Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := privfile.Read(path, 5); err != nil || string(got) != content {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if _, err := privfile.Read(path, 4); err == nil {
		t.Error("a file above its limit was read")
	}
	if _, err := privfile.Read(dir, 10); err == nil {
		t.Error("a directory was read")
	}
	if _, err := privfile.Read(filepath.Join(dir, "none"), 10); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A write that fails leaves the old file and nothing else.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.Mkdir(path, 0o700); err != nil { // cannot be replaced by a file
		t.Fatal(err)
	}
	if err := privfile.Write(path, []byte("x")); err == nil {
		t.Fatal("wrote over a directory")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestExposedFileIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no mode bits on windows")
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := privfile.Write(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := privfile.Read(path, 10); !errors.Is(err, privfile.ErrExposed) {
		t.Errorf("got %v", err)
	}
}

func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := privfile.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	var released atomic.Bool
	done := make(chan error)
	go func() {
		done <- privfile.WithLock(path, func() error {
			if !released.Load() {
				return errors.New("two hold the lock")
			}
			return nil
		})
	}()
	released.Store(true)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Create never replaces what is there, and the two kinds differ in who may read them only.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		create, write func(string, []byte) error
		mode          os.FileMode
	}{
		"private":  {privfile.Create, privfile.Write, 0o600},
		"readable": {privfile.CreateReadable, privfile.WriteReadable, 0o644},
	} {
		path := filepath.Join(dir, name)
		if err := c.create(path, []byte("one")); err != nil {
			t.Fatal(err)
		}
		if err := c.create(path, []byte("two")); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: created twice: %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "one" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if err := c.write(path, []byte("three")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != c.mode {
			t.Errorf("%s: mode %v", name, info.Mode())
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
