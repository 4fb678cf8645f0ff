// Package gocose verifies our signatures with veraison/go-cose, in a module of its own so that the product does not
// depend on it.
package gocose

import (
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	gocose "github.com/veraison/go-cose"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// TestSignatures: both algorithms verify under the external_aad of the profile, and under no other.
func TestSignatures(t *testing.T) {
	for _, alg := range []cose.Algorithm{cose.AlgEdDSA, cose.AlgES256} {
		t.Run(alg.String(), func(t *testing.T) {
			key, err := cose.GenerateKey(alg)
			if err != nil {
				t.Fatal(err)
			}
			tp := key.Thumbprint()
			rec := &keyring.Record{
				KID: tp[:8], Key: key, Alg: alg, Use: keyring.UseSign, State: keyring.StateActive, Topics: []string{"#"},
				Sender: keyring.SenderRule{Kind: keyring.SenderFixed, ID: tp[:8]},
			}
			session, err := protect.NewSession(1, nil)
			if err != nil {
				t.Fatal(err)
			}
			s, err := protect.NewSealer(protect.SealerConfig{Key: rec, Session: session, Clock: time.Now, Timestamp: true})
			if err != nil {
				t.Fatal(err)
			}
			b, err := s.Seal(nil, &protect.Message{Topic: "a/b", Payload: []byte("payload")})
			if err != nil {
				t.Fatal(err)
			}
			var m gocose.Sign1Message
			if err := m.UnmarshalCBOR(b); err != nil {
				t.Fatal(err)
			}
			v, err := gocose.NewVerifier(gocose.Algorithm(alg), key.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			cti := []byte{0, 0, 0, 1, 0, 0, 0, 1}
			for topic, want := range map[string]bool{"a/b": true, "a/c": false} {
				aad, err := cbor.Marshal([]any{"MQTT1", 10, 1, topic, []byte(tp[:8]), cti, nil})
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Verify(aad, v); (err == nil) != want {
					t.Errorf("topic %s: %v", topic, err)
				}
			}
			if string(m.Payload) != "payload" {
				t.Errorf("payload %q", m.Payload)
			}
		})
	}
}
