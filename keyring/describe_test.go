package keyring

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/cose"
)

func describedRecord(t *testing.T) *Record {
	t.Helper()
	k, err := cose.GenerateKey(cose.AlgA256GCM)
	if err != nil {
		t.Fatal(err)
	}
	return &Record{
		KID: []byte{1, 2, 3, 0, 1}, Key: k, Alg: cose.AlgA256GCM, Use: UseS, State: StateActive, Group: "plant", E2E: true,
		Sender: SenderRule{Kind: SenderWire, Size: 2}, Topics: []string{"plant/#"},
	}
}

// TestDescription: a description says everything about a key but the key, and is no key.
func TestDescription(t *testing.T) {
	rec := describedRecord(t)
	b, err := rec.MarshalDescription()
	if err != nil {
		t.Fatal(err)
	}
	secret := rec.Key.SymmetricBytes()
	if bytes.Contains(b, secret) || bytes.Contains(b, []byte(`"key"`)) {
		t.Errorf("the key is in %s", b)
	}
	got, err := ParseDescription(b)
	if err != nil || got.Key != nil || got.Group != "plant" || got.Use != UseS || !got.E2E || !bytes.Equal(got.KID, rec.KID) || got.Sender.Size != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := decodeRecord(b); err == nil {
		t.Error("a description was taken for a key")
	}
	whole, err := rec.encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"a key":        whole,
		"with a key":   bytes.Replace(whole, []byte(`"version"`), []byte(`"described": true, "version"`), 1),
		"not json":     b[:len(b)-1],
		"wrong sender": bytes.Replace(b, []byte(`"wire"`), []byte(`"anonymous"`), 1),
		"destroyed":    bytes.Replace(b, []byte(`"active"`), []byte(`"destroyed"`), 1),
		"unknown":      bytes.Replace(b, []byte(`"version"`), []byte(`"x": 1, "version"`), 1),
	} {
		if _, err := ParseDescription(bad); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	public := describedRecord(t)
	public.Use = UseSign
	if _, err := public.Describe(); !errors.Is(err, ErrRecord) {
		t.Errorf("description of a key pair: %v", err)
	}
}

// TestDescription_Dir: descriptions live next to keys; a kid is held or described, never both.
func TestDescription_Dir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring")
	d, err := Create(path, Secret{})
	if err != nil {
		t.Fatal(err)
	}
	rec := describedRecord(t)
	if d.Described(rec.KID) != nil {
		t.Error("described before")
	}
	desc, err := rec.Describe()
	if err == nil {
		err = d.AddDescription(desc)
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, Secret{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Dir{d, again} {
		if got := d.Described(rec.KID); got == nil || got.Group != "plant" || len(d.Descriptions()) != 1 || d.Ring().Lookup(rec.KID) != nil {
			t.Errorf("described: %v", got)
		}
	}
	if err := d.Add(rec); !errors.Is(err, ErrExists) {
		t.Errorf("the key of a description: %v", err)
	}
	if again, err = Open(path, Secret{}); err != nil || again.Ring().Lookup(rec.KID) != nil {
		t.Errorf("after a refused key: %v", err)
	}
	other := describedRecord(t)
	other.KID = []byte{9, 9, 9, 0, 1}
	second, err := Create(filepath.Join(t.TempDir(), "second"), Secret{})
	if err == nil {
		err = second.Add(other)
	}
	if err != nil {
		t.Fatal(err)
	}
	desc, err = other.Describe()
	if err != nil {
		t.Fatal(err)
	}
	if err := second.AddDescription(desc); !errors.Is(err, ErrExists) {
		t.Errorf("description of a held key: %v", err)
	}

	// A description under another name, or that others can write, refuses the whole folder.
	third := filepath.Join(t.TempDir(), "third")
	if d, err = Create(third, Secret{}); err == nil {
		err = d.AddDescription(desc)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(third, descriptionFile(other.KID))
	if err := os.Rename(name, filepath.Join(third, "0102.described")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(third, Secret{}); err == nil || !strings.Contains(err.Error(), "0102.described") {
		t.Errorf("description under another name: %v", err)
	}
}
