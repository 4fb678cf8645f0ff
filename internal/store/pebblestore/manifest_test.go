package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/storetest"
)

// TestManifestDamage flips each byte of the list of files. Only a record that nothing follows may pass for a write that
// was cut off; everything before it is damage, and is said.
func TestManifestDamage(t *testing.T) {
	dir := t.TempDir()
	quiet := Options{Logger: slog.New(slog.DiscardHandler)}
	for i := range 4 {
		s := open(t, dir, quiet)
		if err := errors.Join(storetest.CommitWait(s, putSession(store.SessionID(i+1))), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no list: %v", err)
	}
	name := slices.Max(names)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	last, chunks := 0, 0
	for at := 0; at < len(good); chunks++ {
		n := manifestChunk(good, at)
		if n == 0 {
			t.Fatalf("the engine writes its list in another form: no chunk at %d of %d", at, len(good))
		}
		last, at = at, at+n
	}
	if chunks < 2 || !wholeManifest(good) {
		t.Fatalf("%d chunks", chunks)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x10
		if whole := wholeManifest(bad); whole != (i >= last) {
			t.Errorf("byte %d of %d flipped: whole is %v, the last chunk begins at %d", i, len(good), whole, last)
		}
		if !wholeManifest(good[:i]) {
			t.Errorf("cut off after %d bytes: not taken for a torn write", i)
		}
	}
	bad := slices.Clone(good)
	bad[last/2] ^= 1
	if err := os.WriteFile(name, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var corrupt *store.CorruptError
		if _, err := Open(dir, quiet); !errors.As(err, &corrupt) || corrupt.Next == "" {
			t.Errorf("opened with %v", err)
		}
	}
	if err := os.WriteFile(name, good, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, quiet)
	n := 0
	if err := s.Sessions(func(store.SessionRow) error { n++; return nil }); err != nil || n != 4 {
		t.Error(fmt.Sprint(n), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
