package cose

import (
	"crypto/sha256"

	"github.com/sealmq/sealmq/internal/cbor"
)

// Thumbprint returns the COSE Key Thumbprint with SHA-256, RFC 9679 §4: the
// hash of the deterministic encoding of the required parameters only.
//
//	EC2        {1: 2, -1: 1, -2: x, -3: y}     y always 32 bytes
//	OKP        {1: 1, -1: 6, -2: x}
//	Symmetric  {1: 4, -1: k}                   secret-dependent: never send it
func (k *Key) Thumbprint() [sha256.Size]byte { return k.thumbprint }

func (k *Key) computeThumbprint() [sha256.Size]byte {
	buf := make([]byte, 0, 128)
	defer func() { clear(buf[:cap(buf)]) }()
	switch k.kty {
	case KeyEC2:
		p := Point{X: k.x, Y: k.y}
		buf = p.append(buf)
	case KeyOKP:
		buf = cbor.AppendMap(buf, 3)
		buf = cbor.AppendInt(cbor.AppendInt(buf, keyType), typeOKP)
		buf = cbor.AppendInt(cbor.AppendInt(buf, keyCurve), curveEd25519)
		buf = cbor.AppendBytes(cbor.AppendInt(buf, keyX), k.x)
	default:
		buf = cbor.AppendMap(buf, 2)
		buf = cbor.AppendInt(cbor.AppendInt(buf, keyType), typeSym)
		buf = cbor.AppendBytes(cbor.AppendInt(buf, keyCurve), k.secret)
	}
	return sha256.Sum256(buf)
}
