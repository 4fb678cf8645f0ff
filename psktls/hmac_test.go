package psktls

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestKeyedHash compares HMAC, HKDF-Extract and HKDF-Expand-Label with those of
// the standard library: keys shorter than, as long as and longer than a block,
// one object for all of them.
func TestKeyedHash(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	octets := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for name, newHash := range map[string]func() hash.Hash{"SHA-256": sha256.New, "SHA-384": sha512.New384} {
		t.Run(name, func(t *testing.T) {
			k := newKDF13(newHash)
			size, block := newHash().Size(), newHash().BlockSize()
			for _, n := range []int{0, 1, size, block - 1, block, block + 1, 3*block + 7} {
				key, a, b := octets(n), octets(random.IntN(200)), octets(random.IntN(200))
				want := hmac.New(newHash, key)
				want.Write(slices.Concat(a, b))
				if got := k.sum([]byte("in front"), key, a, b); !bytes.Equal(got, want.Sum([]byte("in front"))) {
					t.Errorf("HMAC with a key of %d octets: %x", n, got)
				}
				extracted, err := hkdf.Extract(newHash, a, key)
				out := make([]byte, size)
				if k.extract(out, key, a); err != nil || !bytes.Equal(out, extracted) {
					t.Errorf("HKDF-Extract with a salt of %d octets: %x, want %x, %v", n, out, extracted, err)
				}
			}
			for _, n := range []int{1, 12, 16, size, size + 1, 2 * size, MaxExportLen} {
				secret, context := octets(size), octets(random.IntN(256))
				info := slices.Concat([]byte{byte(n >> 8), byte(n), 10}, []byte("tls13 test"), []byte{byte(len(context))}, context)
				want, err := hkdf.Expand(newHash, secret, string(info), n)
				got := make([]byte, n)
				if k.expandLabel(got, secret, "test", context); err != nil || !bytes.Equal(got, want) {
					t.Errorf("HKDF-Expand-Label of %d octets: %x, want %x, %v", n, got, want, err)
				}
			}
		})
	}
}

// TestKeyedHashWipes: nothing that a key was mixed into stays.
func TestKeyedHashWipes(t *testing.T) {
	k := newKeyedHash(sha256.New)
	prf12(k, make([]byte, 48), testKey, "label", []byte("seed"))
	k.wipe()
	if k.pad != [maxBlockLen]byte{} || k.inner != [maxHashLen]byte{} || k.chain != [maxHashLen]byte{} {
		t.Error("octets of a key are left")
	}
}
