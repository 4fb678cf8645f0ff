package payload

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// BenchmarkUnconcerned is what a PUBLISH pays for a policy that has no rule for its topic. It must not allocate.
func BenchmarkUnconcerned(b *testing.B) {
	for _, c := range []struct {
		name  string
		rules []Rule
	}{
		{"no rules", nil},
		{"rules on another branch", []Rule{{Topic: "other/#", Require: protect.Requirement{Fresh: true}, Mode: Enforce}}},
		{"rules that begin with a wildcard", []Rule{{Topic: "+/+/+/+", Require: protect.Requirement{Fresh: true}, Mode: Enforce}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := newHarness(b, c.rules)
			a := &message.Arrival{Topic: "plant/7/temp", Payload: make([]byte, 64), ClientID: "device", Author: &identity.Principal{}}
			b.ReportAllocs()
			for b.Loop() {
				if h.Judge(a) != nil {
					b.Fatal("concerned")
				}
			}
		})
	}
}

// TestUnconcernedAllocates: nothing.
func TestUnconcernedAllocates(t *testing.T) {
	h := newHarness(t, []Rule{{Topic: "+/+/+/+", Require: protect.Requirement{Fresh: true}, Mode: Enforce}})
	a := &message.Arrival{Topic: "plant/7/temp", Payload: make([]byte, 64)}
	if n := testing.AllocsPerRun(100, func() { h.Judge(a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkSigned is a signed PUBLISH through the policy, replay mark included, beside the bare verification of a signature of
// the same length: one after the other, so that a busy machine slows both alike. The medians are reported.
func BenchmarkSigned(b *testing.B) {
	rules := []Rule{{Topic: "plant/#", Require: protect.Requirement{Integrity: protect.IntegritySource}, Mode: Enforce}}
	row := func(string, []byte) {}
	for _, alg := range []cose.Algorithm{cose.AlgEdDSA, cose.AlgES256} {
		b.Run(alg.String(), func(b *testing.B) {
			signer := newRecord(b, "signer", keyring.UseSign, func(r *keyring.Record) { r.Alg = alg })
			h := newHarness(b, rules, signer.Public())
			s := h.sealer(signer, 1)
			const messages = 1024
			payloads := make([][]byte, messages)
			for i := range payloads {
				payloads[i] = seal(b, s, "plant/7/temp", "a payload of 64 bytes, as many sensors send them, more or less..")
			}
			bare := bareVerify(b, signer)
			var alone, whole []time.Duration
			a := &message.Arrival{Topic: "plant/7/temp", ClientID: "device", Author: &identity.Principal{Method: "password", Name: "x"}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%messages == 0 { // new messages are new to a new replay state
					h.restart()
					h.apply(rules)
				}
				a.Payload = payloads[i%messages]
				t0 := time.Now()
				bare()
				t1 := time.Now()
				j := h.Judge(a)
				if j == nil || j.Fate != message.Forwarded {
					b.Fatal(fate(j))
				}
				if next := j.Mark.Take(row); next != nil {
					b.Fatal(fate(next))
				}
				j.Mark.Done(true)
				t2 := time.Now()
				alone, whole = append(alone, t1.Sub(t0)), append(whole, t2.Sub(t1))
			}
			slices.Sort(alone)
			slices.Sort(whole)
			x, y := float64(alone[len(alone)/2]), float64(whole[len(whole)/2])
			b.ReportMetric(x, "bare-ns")
			b.ReportMetric(y, "policy-ns")
			b.ReportMetric(100*(y/x-1), "over-%")
		})
	}
}

// bareVerify returns what only verifies a signature, with the standard library alone.
func bareVerify(b *testing.B, signer *keyring.Record) func() {
	text := make([]byte, 160) // about as long as the Sig_structure of the messages
	if signer.Alg == cose.AlgEdDSA {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		sig := ed25519.Sign(private, text)
		return func() {
			if !ed25519.Verify(public, text, sig) {
				b.Fatal("does not verify")
			}
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256(text)
	sig, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		sum := sha256.Sum256(text)
		if !ecdsa.VerifyASN1(&private.PublicKey, sum[:], sig) {
			b.Fatal("does not verify")
		}
	}
}
