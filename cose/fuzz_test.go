package cose

import (
	"bytes"
	"testing"
)

// FuzzParse: what a parser accepts is written back to something it accepts
// again with the same content, and parsing never panics.
func FuzzParse(f *testing.F) {
	k := newKey(f, AlgA128GCM)
	f.Add(sealed0(f, k, []byte("payload"), nil))
	sign := Sign1{Headers: Headers{Protected: Header{Labels: HasAlg, Alg: AlgEdDSA}}, Payload: []byte("p")}
	signed, _ := sign.Append(nil, newKey(f, AlgEdDSA), nil)
	f.Add(signed)
	mac := Mac0{Headers: Headers{Protected: Header{Labels: HasAlg, Alg: AlgHMAC256}}, Payload: []byte("p")}
	maced, _ := mac.Append(nil, make([]byte, 32), nil)
	f.Add(maced)
	enc := Encrypt{Headers: Headers{
		Protected:   Header{Labels: HasAlg, Alg: AlgA128GCM},
		Unprotected: Header{Labels: HasIV, IV: make([]byte, 12)},
	}}
	to := []RecipientKey{{Alg: AlgECDHESA128KW, KID: []byte("12345678"), Key: newKey(f, AlgECDHESA128KW)}}
	encrypted, _ := enc.Seal(nil, nil, to, []byte("p"), nil)
	f.Add(encrypted)
	f.Fuzz(func(t *testing.T, in []byte) {
		var (
			e0 Encrypt0
			m0 Mac0
			s1 Sign1
			en Encrypt
		)
		accepted := 0
		for _, parse := range []func([]byte) error{e0.Parse, m0.Parse, s1.Parse, en.Parse} {
			if parse(in) == nil {
				accepted++
			}
		}
		if accepted > 1 || (accepted == 1) != (accepted == 1 && TagOf(in) != 0) {
			t.Fatalf("%d structures accept %x, tag %d", accepted, in, TagOf(in))
		}
		if e0.Ciphertext != nil && e0.Parse(in) == nil {
			again := e0.Protected.append(nil)
			if e0.raw != nil && len(again) != len(e0.raw) {
				t.Fatalf("protected %x written as %x", e0.raw, again)
			}
		}
	})
}

// FuzzOpenEncrypt0: no change of any bit yields a plaintext.
func FuzzOpenEncrypt0(f *testing.F) {
	k := newKey(f, AlgA128GCM)
	msg := sealed0(f, k, []byte("payload"), []byte("aad"))
	for i := range len(msg) * 8 {
		f.Add(i)
	}
	f.Fuzz(func(t *testing.T, bit int) {
		if bit < 0 || bit >= len(msg)*8 {
			return
		}
		changed := bytes.Clone(msg)
		changed[bit/8] ^= 1 << (bit % 8)
		if plain, err := open0(k, changed, []byte("aad")); err == nil {
			t.Fatalf("bit %d: opened as %q", bit, plain)
		}
	})
}

// FuzzParseKey: an accepted key encodes to a key that is equal.
func FuzzParseKey(f *testing.F) {
	for _, alg := range []Algorithm{AlgA128GCM, AlgES256, AlgEdDSA} {
		b, _ := AppendKey(nil, newKey(f, alg), KeyInfo{KID: []byte{1}, Alg: alg}, true)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		k, info, err := ParseKey(in)
		if err != nil {
			return
		}
		out, err := AppendKey(nil, k, info, true)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := ParseKey(out)
		if err != nil || !again.Equal(k) {
			t.Fatalf("%x: %v, %v", out, again, err)
		}
	})
}
