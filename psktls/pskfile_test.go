package psktls

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const hex16 = "000102030405060708090a0b0c0d0e0f"

func TestParseKeySet(t *testing.T) {
	text := "# devices\n\nsensor-7:" + hex16 + "\r\nGerät 8:" + strings.ToUpper(hex16) + hex16 + "\nlast:" + strings.Repeat("ab", MaxKeyLen)
	set, err := ParseKeySet(strings.NewReader(text), "keys.psk")
	if err != nil {
		t.Fatal(err)
	}
	if set.Len() != 3 {
		t.Errorf("%d identities", set.Len())
	}
	key, err := set.GetKey([]byte("sensor-7"))
	if err != nil || !bytes.Equal(key, unhex(t, hex16)) {
		t.Errorf("%x, %v", key, err)
	}
	clear(key) // the caller's copy
	if again, _ := set.GetKey([]byte("sensor-7")); !bytes.Equal(again, unhex(t, hex16)) {
		t.Error("GetKey hands out the set's own memory")
	}
	if key, err := set.GetKey([]byte("nobody")); key != nil || err != nil {
		t.Errorf("unknown identity: %x, %v", key, err)
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	good := "a:" + hex16 + "\n"
	for _, c := range []struct {
		name, text string
		line       int
		cause      error
	}{
		{"no colon", good + "b" + hex16, 2, errNoColon},
		{"two colons", good + "b:c:" + hex16, 2, errTwoColons},
		{"no identity", ":" + hex16, 1, errNoIdentity},
		{"no key", "b:", 1, errKeyShort},
		{"short key", good + "\n# x\nb:" + hex16[2:], 4, errKeyShort},
		{"long key", "b:" + strings.Repeat("ab", MaxKeyLen+1), 1, errKeyLong},
		{"odd digits", "b:" + hex16 + "0", 1, errNotHex},
		{"not hex", "b:" + hex16 + "zz", 1, errNotHex},
		{"space after the key", "b:" + hex16 + " ", 1, errNotHex},
		{"space before the identity", " b:" + hex16, 1, errIdentityText},
		{"control character", "b\x07:" + hex16, 1, errIdentityText},
		{"not UTF-8", "b\xff:" + hex16, 1, errIdentityText},
		{"long identity", strings.Repeat("i", MaxIdentityLen+1) + ":" + hex16, 1, errLongIdentity},
		{"long line", good + strings.Repeat("i", 2000) + ":" + hex16, 2, errLineTooLong},
		{"endless line", good + strings.Repeat("i", 1<<20), 2, errLineTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := ParseKeySet(strings.NewReader(c.text), "keys.psk")
			var e *KeyFileError
			if set != nil || !errors.As(err, &e) || e.Line != c.line || !errors.Is(err, c.cause) {
				t.Fatalf("%v, want line %d: %v", err, c.line, c.cause)
			}
			if strings.Contains(err.Error(), hex16[4:]) {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
	_, err := ParseKeySet(strings.NewReader("a:"+hex16+"\nb:"+hex16+"\na:"+hex16+hex16), "keys.psk")
	if want := `psk file keys.psk:3: identity "a" is already in line 1`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// comments is an endless file of comment lines.
type comments struct{ column int }

func (c *comments) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '#'
		if c.column++; c.column%64 == 0 {
			b[i] = '\n'
		}
	}
	return len(b), nil
}

func TestParseKeySetIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 64 MiB")
	}
	_, err := ParseKeySet(&comments{}, "endless")
	if !errors.Is(err, errFileTooLong) {
		t.Errorf("%v, want %v", err, errFileTooLong)
	}
}

func TestKeyFileReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.psk")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenKeyFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := OpenKeyFile(filepath.Dir(path)); !errors.Is(err, errNoFile) {
		t.Errorf("directory: %v", err)
	}
	write("a:" + hex16)
	f, err := OpenKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := f.KeySet()
	write("a:" + hex16 + "\nb:12")
	if err := f.Reload(); !errors.Is(err, errKeyShort) || f.KeySet() != before {
		t.Errorf("a bad file replaced the keys: %v", err)
	}
	write("b:" + hex16)
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if key, _ := f.GetKey([]byte("a")); key != nil {
		t.Error("a removed identity still has a key")
	}
	if key, _ := f.GetKey([]byte("b")); key == nil {
		t.Error("a new identity has no key")
	}
	if key, _ := before.GetKey([]byte("a")); key == nil {
		t.Error("the old snapshot changed")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	key := []byte("correct horse battery staple")
	config := &Config{Identity: []byte("a"), Key: key}
	set, err := ParseKeySet(strings.NewReader(fmt.Sprintf("a:%x", key)), "x")
	if err != nil {
		t.Fatal(err)
	}
	file := &KeyFile{path: "x"}
	file.current.Store(set)
	p := mustConnect(t, serverConfig(), clientConfig())
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{Secret(key), config, *config, set, file, p.server, p.client} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		_ = json.NewEncoder(&out).Encode(v) // functions cannot be encoded; what was written counts
		log.Info("value", "v", v)
	}
	for _, secret := range []string{string(key), fmt.Sprintf("%x", key), fmt.Sprintf("%X", key), fmt.Sprint(key[:8])[1:8], fmt.Sprintf("%x", testKey)} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is printed", secret)
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("the placeholder is missing: nothing was printed at all?")
	}
}

func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte("a:" + hex16 + "\n# c\nb:" + hex16 + hex16))
	f.Add([]byte("a:b:c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := ParseKeySet(bytes.NewReader(data), "fuzz")
		if err != nil {
			var e *KeyFileError
			if !errors.As(err, &e) {
				t.Fatalf("error of another type: %v", err)
			}
			return
		}
		for identity, key := range set.keys {
			if checkKeyLen(key) != nil || checkIdentityText([]byte(identity)) != nil {
				t.Fatalf("accepted %q with %d octets", identity, len(key))
			}
			if !bytes.Contains(data, []byte(identity+":")) {
				t.Fatalf("identity %q is not in the file", identity)
			}
		}
	})
}
