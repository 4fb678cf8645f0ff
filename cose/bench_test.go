package cose

import (
	"crypto/cipher"
	"crypto/rand"
	"testing"
)

var benchAAD = []byte("\x84\x65MQTT1\x01\x73plant/7/line/3/temp\x42\x00\x2a")

func benchCipher(b *testing.B) cipher.AEAD {
	aead, err := newKey(b, AlgA128GCM).AEAD(AlgA128GCM)
	if err != nil {
		b.Fatal(err)
	}
	return aead
}

func BenchmarkRawGCM64(b *testing.B) {
	aead := benchCipher(b)
	plain, nonce := make([]byte, 64), make([]byte, 12)
	sealed := aead.Seal(nil, nonce, plain, benchAAD)
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = rand.Read(nonce)
			aead.Seal(nil, nonce, plain, benchAAD)
		}
	})
	clear(nonce)
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := aead.Open(nil, nonce, sealed, benchAAD); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncrypt0x64(b *testing.B) {
	aead := benchCipher(b)
	plain, iv := make([]byte, 64), make([]byte, 12)
	h := Headers{
		Protected:   Header{Labels: HasAlg | HasKID, Alg: AlgA128GCM, KID: []byte{1, 2, 3, 4}},
		Unprotected: Header{Labels: HasIV, IV: iv},
	}
	var msg []byte
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = rand.Read(iv)
			m := Encrypt0{Headers: h}
			var err error
			if msg, err = m.Seal(nil, aead, iv, plain, benchAAD); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m Encrypt0
			if err := m.Parse(msg); err != nil {
				b.Fatal(err)
			}
			if _, err := m.Open(nil, aead, m.Unprotected.IV, benchAAD); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The budget of the data path: one allocation, the result.
func TestEncrypt0Allocations(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates for itself
	}
	k := newKey(t, AlgA128GCM)
	aead, err := k.AEAD(AlgA128GCM)
	if err != nil {
		t.Fatal(err)
	}
	plain, iv := make([]byte, 64), make([]byte, 12)
	h := Headers{
		Protected:   Header{Labels: HasAlg | HasKID, Alg: AlgA128GCM, KID: []byte{1, 2, 3, 4}},
		Unprotected: Header{Labels: HasIV, IV: iv},
	}
	var msg []byte
	if n := testing.AllocsPerRun(200, func() {
		m := Encrypt0{Headers: h}
		msg, _ = m.Seal(nil, aead, iv, plain, benchAAD)
	}); n > 1 {
		t.Errorf("seal: %v allocations", n)
	}
	if n := testing.AllocsPerRun(200, func() {
		var m Encrypt0
		if m.Parse(msg) != nil {
			t.Fatal("parse")
		}
		if _, err := m.Open(nil, aead, m.Unprotected.IV, benchAAD); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("open: %v allocations", n)
	}
}
