package psktls

import (
	"bytes"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCCMVectors(t *testing.T) {
	for _, c := range []struct {
		name, key, nonce, aad, plaintext, ciphertext string
		tag                                          int
	}{
		{
			"SP 800-38C example 3", "404142434445464748494a4b4c4d4e4f", "101112131415161718191a1b",
			"000102030405060708090a0b0c0d0e0f10111213", "202122232425262728292a2b2c2d2e2f3031323334353637",
			"e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951", 8,
		},
		{
			"NIST CAVP VNT192, Nlen 12", "7df900e4fb6358603faa821c99316c2377fe1250d9609410", "03a7c18b562bf8deb83b6cd7",
			"ce9305db85f975e59d4bef697caa202f5db2406347a5a0e03bc582aeb2012ec8",
			"f51548a98a07a343f84a7441ede47af7b9f71cb9b096f54fcfd790a3a32a70bd",
			"6a4feb2bca5ae8f0c9fb4daecd5eda927f585d0ea0e874f3f08ae022e2b2785fb96476c9bf71ab81b729e6c26f83cdd8", 16,
		},
		{
			"NIST CAVP VNT192, Nlen 12, second", "7df900e4fb6358603faa821c99316c2377fe1250d9609410", "55d958658e53b33aa594a296",
			"74ef4752ab26526421ff55f4e3a6d83fc5ed7b319ca6d3e0ae50745a67f74fa0",
			"4d7c7faf9fc2373261e3de53f28effca41cb11819a81eb3ebf3b7e833b2bc2b3",
			"5bd210439881e2de918c4b28b819baa919fe6126cbc01e1bb3235ab1fb4c0c0453dc91319689c43bc9a2fa98e6815c4a", 16,
		},
		{
			"AES-256 by OpenSSL, 13 octets of data, 1 of plaintext", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			"a0a1a2a3a4a5a6a7a8a9aaab", "303132333435363738393a3b3c", "00", "6ff3f61f0aedaeb5d91bc83399429881c3", 16,
		},
		{
			"AES-256 by OpenSSL, no plaintext", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			"a0a1a2a3a4a5a6a7a8a9aaab", "303132333435363738393a3b3c", "", "66570f809cf7cebe", 8,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			aead, err := newAESCCM(unhex(t, c.key), c.tag)
			if err != nil {
				t.Fatal(err)
			}
			nonce, aad, want := unhex(t, c.nonce), unhex(t, c.aad), unhex(t, c.ciphertext)
			if got := aead.Seal(nil, nonce, unhex(t, c.plaintext), aad); !bytes.Equal(got, want) {
				t.Errorf("Seal = %x, want %x", got, want)
			}
			if got, err := aead.Open(nil, nonce, want, aad); err != nil || !bytes.Equal(got, unhex(t, c.plaintext)) {
				t.Errorf("Open = %x, %v", got, err)
			}
		})
	}
}

// TestCCMProperties: what is sealed opens, in place too; one flipped bit
// anywhere does not, and leaves no plaintext behind.
func TestCCMProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "key")
		nonce := rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "nonce")
		aad := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "aad")
		plaintext := rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "plaintext")
		tag := rapid.SampledFrom([]int{8, 16}).Draw(t, "tag")
		aead, err := newAESCCM(key, tag)
		if err != nil {
			t.Fatal(err)
		}
		separate := aead.Seal(nil, nonce, plaintext, aad)
		buf := append(make([]byte, 0, len(plaintext)+tag), plaintext...)
		inPlace := aead.Seal(buf[:0], nonce, buf, aad)
		if !bytes.Equal(separate, inPlace) {
			t.Fatalf("in place %x, separate %x", inPlace, separate)
		}
		bad := bytes.Clone(separate)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "octet")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := aead.Open(bad[:0], nonce, bad, aad); err == nil {
			t.Fatal("a flipped bit opens")
		}
		if !bytes.Equal(bad[:len(plaintext)], make([]byte, len(plaintext))) {
			t.Fatal("unverified plaintext is left in the buffer")
		}
		if len(aad) > 0 {
			aad[0] ^= 1
			if _, err := aead.Open(nil, nonce, separate, aad); err == nil {
				t.Fatal("other associated data opens")
			}
			aad[0] ^= 1
		}
		if got, err := aead.Open(inPlace[:0], nonce, inPlace, aad); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("Open = %x, %v", got, err)
		}
	})
}

func TestCCMRefusesWrongShapes(t *testing.T) {
	if _, err := newAESCCM(make([]byte, 16), 4); err == nil {
		t.Error("a 4-octet tag is accepted")
	}
	if _, err := newAESCCM(make([]byte, 15), 16); err == nil {
		t.Error("a 15-octet key is accepted")
	}
	aead, err := newAESCCM(make([]byte, 16), 16)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := aead.Open(nil, make([]byte, 12), make([]byte, 15), nil); err == nil {
		t.Error("less than a tag opens")
	}
}
