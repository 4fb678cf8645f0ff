package protecting

import (
	"bytes"
	"crypto/rand"
	"fmt"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

// NewRecord makes an active key of a use with fresh material, the usual algorithms and the usual sender rule: an id on
// the wire for shared keys, the key's own kid for signatures, nobody for recipients, the Client Identifier for the
// credentials that have no sender of their own. change, which may be nil, sees the record before its material is made.
// A kid that it leaves empty is a random one for shared keys and the start of the thumbprint for the others. What has
// become of the record is validated.
func NewRecord(name string, use keyring.Use, topics []string, change func(*keyring.Record)) (*keyring.Record, error) {
	rec := &keyring.Record{Use: use, Group: name, State: keyring.StateActive, Topics: topics}
	switch use {
	case keyring.UseR, keyring.UseS:
		rec.Alg, rec.Sender = cose.AlgA256GCM, keyring.SenderRule{Kind: keyring.SenderWire, Size: SenderSize}
	case keyring.UseMAC:
		rec.Alg, rec.Sender = cose.AlgHMAC256, keyring.SenderRule{Kind: keyring.SenderWire, Size: SenderSize}
	case keyring.UseSign, keyring.UseP3:
		rec.Alg = cose.AlgEdDSA
	case keyring.UseEnc:
		rec.Alg, rec.ContentAlg, rec.Sender.Kind = cose.AlgECDHESA256KW, cose.AlgA256GCM, keyring.SenderAnonymous
	case keyring.UseP1:
		rec.Alg, rec.ContentAlg, rec.Sender.Kind = cose.AlgECDHESA256KW, cose.AlgA256GCM, keyring.SenderClientID
	case keyring.UseP2:
		rec.Alg, rec.Sender.Kind = cose.AlgHMAC256, keyring.SenderClientID
	default:
		return nil, fmt.Errorf("new key: use %v is not known", use)
	}
	if change != nil {
		change(rec)
	}
	material := rec.Alg
	if use == keyring.UseP2 {
		material = cose.AlgA256GCM // 32 random bytes; the MAC key is derived
	}
	var err error
	if rec.Key, err = cose.GenerateKey(material); err != nil {
		return nil, err
	}
	switch {
	case len(rec.KID) > 0:
	case use.Symmetric():
		if rec.KID, err = NewSymmetricKID(); err != nil {
			return nil, err
		}
	default:
		rec.KID = PublicKID(rec.Thumbprint())
	}
	if rec.Sender.Kind == 0 {
		rec.Sender = keyring.SenderRule{Kind: keyring.SenderFixed, ID: rec.KID}
	}
	return rec, rec.Validate()
}

// NewSymmetricKID makes a kid for a new symmetric key: six random bytes and epoch 1.
func NewSymmetricKID() ([]byte, error) {
	kid := make([]byte, 6, 8)
	if _, err := rand.Read(kid); err != nil {
		return nil, fmt.Errorf("kid: %w", err)
	}
	return append(kid, 0, 1), nil
}

// PublicKID is the kid of a public key: the first bytes of its thumbprint.
func PublicKID(thumbprint [32]byte) []byte { return bytes.Clone(thumbprint[:SenderSize]) }
