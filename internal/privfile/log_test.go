package privfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLogTornAndDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := f.Save([]byte{'k', byte(i)}, bytes.Repeat([]byte{byte(i + 1)}, 20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Save([]byte("k"), nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("save after close: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	record := (len(whole) - len(logMagic)) / 3
	count := func(b []byte) (int, error) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenLog(path)
		if err != nil {
			return 0, err
		}
		n := 0
		if err := f.Load(func(k, v []byte) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n, f.Close()
	}
	// Every crash during the third Save leaves the first two.
	for end := len(logMagic) + 2*record; end < len(whole); end++ {
		if n, err := count(whole[:end]); err != nil || n != 2 {
			t.Fatalf("cut at %d: %d records, %v", end, n, err)
		}
		zeros := append(bytes.Clone(whole[:end]), make([]byte, len(whole)-end)...)
		if n, err := count(zeros); err != nil || n < 2 {
			t.Fatalf("zeros from %d: %d records, %v", end, n, err)
		}
	}
	// Damage before the end is not a crash.
	for i := range len(logMagic) + record {
		b := bytes.Clone(whole)
		b[i] ^= 0x41
		if n, err := count(b); err == nil && n == 3 {
			t.Fatalf("damage at %d went unnoticed", i)
		}
	}
}

func TestLogCompacts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 1<<16)
	for i := range 40 {
		value[0] = byte(i)
		if err := f.Save([]byte("key"), value); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 2*compactAbove {
		t.Errorf("file of %d bytes, %v", info.Size(), err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = OpenLog(path); err != nil {
		t.Fatal(err)
	}
	if got := f.last["key"]; len(got) != len(value) || got[0] != 39 {
		t.Error("last value lost")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
