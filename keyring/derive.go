package keyring

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/cbor"
)

// Label separates the uses of one pre-shared key.
type Label string

// The labels of the profile.
const (
	LabelP2MAC     Label = "p2-mac"  // MAC key of credential P2
	LabelP2Session Label = "p2-sess" // session secret of credential P2
	LabelBundle    Label = "bundle"  // key distribution
	LabelC2B       Label = "c2b"     // messages of a client to its broker
	LabelTLSPSK    Label = "tls-psk" // TLS with pre-shared keys
)

// Derive returns n bytes for one use of a pre-shared key. kid is that of the
// record made:
//
//	L(label, n) = HKDF-SHA-256(IKM = pre-shared key, salt empty, info = ["MQTT1", label, kid], n)
func Derive(psk *cose.Key, label Label, kid []byte, n int) (Secret, error) {
	ikm := psk.SymmetricBytes()
	if ikm == nil {
		return Secret{}, fmt.Errorf("derive %s from %v: %w", label, psk, cose.ErrKey)
	}
	defer clear(ikm)
	info := cbor.AppendArray(nil, 3)
	info = cbor.AppendText(info, "MQTT1")
	info = cbor.AppendText(info, string(label))
	info = cbor.AppendBytes(info, kid)
	out, err := hkdf.Key(sha256.New, ikm, nil, string(info), n)
	if err != nil {
		return Secret{}, fmt.Errorf("derive %s: %w", label, err)
	}
	return Secret{b: out}, nil
}
