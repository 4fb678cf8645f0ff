package protect

import (
	"crypto/rand"
	"testing"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

// benchForms are the forms worth a number.
func benchForms(b *testing.B) []form {
	var out []form
	for _, f := range allForms(b) {
		switch f.name {
		case "mode R", "mode S", "MAC", "signature", "signature ES256", "signed in mode S", "to one key":
			out = append(out, f)
		}
	}
	return out
}

func BenchmarkSeal64(b *testing.B) {
	b.Run("raw AES-128-GCM", func(b *testing.B) {
		aead, err := testRecord(b, keyring.UseR, nil).Key.AEAD(cose.AlgA128GCM)
		if err != nil {
			b.Fatal(err)
		}
		nonce, plain := make([]byte, nonceSize), make([]byte, 64)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = rand.Read(nonce)
			aead.Seal(nil, nonce, plain, nil)
		}
	})
	m := Message{Topic: testTopic, Payload: make([]byte, 64)}
	for _, f := range benchForms(b) {
		b.Run(f.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.sealer.Seal(nil, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen64 opens one message again and again: all checks and all of the
// cryptography run, and the replay state answers "duplicate".
func BenchmarkOpen64(b *testing.B) {
	b.Run("raw AES-128-GCM", func(b *testing.B) {
		aead, err := testRecord(b, keyring.UseR, nil).Key.AEAD(cose.AlgA128GCM)
		if err != nil {
			b.Fatal(err)
		}
		nonce := make([]byte, nonceSize)
		sealed := aead.Seal(nil, nonce, make([]byte, 64), nil)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := aead.Open(nil, nonce, sealed, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, f := range benchForms(b) {
		b.Run(f.name, func(b *testing.B) {
			d := f.delivery
			d.Payload = seal(b, f.sealer, Message{Payload: make([]byte, 64)})
			o := newOpener(b, f.ring, nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.Open(nil, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The budget of the data path: the message or the plaintext, and nothing else.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates for itself
	}
	for _, f := range allForms(t) {
		if f.name != "mode R" && f.name != "mode S" {
			continue
		}
		d := f.delivery
		d.Payload = seal(t, f.sealer, Message{Payload: make([]byte, 64)})
		o := newOpener(t, f.ring, nil)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := o.Open(nil, &d); err != nil {
				t.Fatal(err)
			}
		}); n > 1 {
			t.Errorf("open %s: %v allocations", f.name, n)
		}
		m := Message{Topic: testTopic, Payload: make([]byte, 64)}
		if n := testing.AllocsPerRun(100, func() {
			if _, err := f.sealer.Seal(nil, &m); err != nil {
				t.Fatal(err)
			}
		}); n > 1 {
			t.Errorf("seal %s: %v allocations", f.name, n)
		}
	}
}
