package cose

import (
	"crypto/ecdh"
	"crypto/elliptic"
	"fmt"

	"github.com/sealmq/sealmq/internal/cbor"
)

// Key parameters, RFC 9052 §7.1 and RFC 9053 §7.
const (
	keyType      = 1
	keyKID       = 2
	keyAlg       = 3
	keyOps       = 4
	keyBaseIV    = 5
	keyCurve     = -1 // crv of OKP and EC2, k of Symmetric
	keyX         = -2
	keyY         = -3
	keyD         = -4
	typeOKP      = 1
	typeEC2      = 2
	typeSym      = 4
	curveP256    = 1
	curveEd25519 = 6
)

// coordinateSize is the length of x, y and d on P-256 and of an Ed25519 key.
const coordinateSize = 32

// Point is the ephemeral key of a recipient, a public EC2 key on P-256
// (RFC 9053 §7.1.1):
//
//	eph-key = { 1: 2, -1: 1, -2: bstr .size 32, -3: bool / bstr .size 32 }
//
// Y is nil if the sender sent only the sign bit of y.
type Point struct {
	X, Y []byte
	Odd  bool // the sign bit, if Y is nil
}

func (p *Point) parse(r *cbor.Reader) error {
	*p = Point{}
	pairs, err := r.Map()
	if err != nil {
		return err
	}
	if pairs != 4 {
		return malformed("ephemeral key has not four parameters")
	}
	var seen [4]bool
	for range pairs {
		label, err := r.Int()
		if err != nil {
			return err
		}
		slot := pointSlot(label)
		if slot < 0 || seen[slot] {
			return malformed("ephemeral key parameter unknown or twice")
		}
		seen[slot] = true
		if err := p.parseParameter(r, label); err != nil {
			return err
		}
	}
	return nil
}

// pointSlot maps the four labels of a point to 0..3, others to -1.
func pointSlot(label int64) int {
	switch label {
	case keyType:
		return 0
	case keyCurve:
		return 1
	case keyX:
		return 2
	case keyY:
		return 3
	}
	return -1
}

func (p *Point) parseParameter(r *cbor.Reader, label int64) error {
	switch label {
	case keyType:
		return want(r, typeEC2, "key type")
	case keyCurve:
		return want(r, curveP256, "curve")
	case keyX:
		return coordinate(r, &p.X)
	}
	if r.IsBool() {
		var err error
		p.Odd, err = r.Bool()
		return err
	}
	return coordinate(r, &p.Y)
}

func want(r *cbor.Reader, value int64, what string) error {
	got, err := r.Int()
	if err != nil {
		return err
	}
	if got != value {
		return fmt.Errorf("%w: %s %d: %w", ErrMalformed, what, got, ErrUnsupported)
	}
	return nil
}

func coordinate(r *cbor.Reader, dst *[]byte) error {
	b, err := r.Bytes()
	if err != nil {
		return err
	}
	if len(b) != coordinateSize {
		return malformed("coordinate of wrong length")
	}
	*dst = b
	return nil
}

func (p *Point) append(dst []byte) []byte {
	dst = cbor.AppendMap(dst, 4)
	dst = cbor.AppendInt(cbor.AppendInt(dst, keyType), typeEC2)
	dst = cbor.AppendInt(cbor.AppendInt(dst, keyCurve), curveP256)
	dst = cbor.AppendBytes(cbor.AppendInt(dst, keyX), p.X)
	return cbor.AppendBytes(cbor.AppendInt(dst, keyY), p.Y)
}

// uncompressed returns 0x04 || x || y, computing y from its sign bit if
// necessary. Whether the point is on the curve is checked by crypto/ecdh when
// y was given, and by the square root when it was not.
func (p *Point) uncompressed() ([]byte, error) {
	if p.Y != nil {
		out := make([]byte, 0, 1+2*coordinateSize)
		return append(append(append(out, 4), p.X...), p.Y...), nil
	}
	compressed := make([]byte, 1, 1+coordinateSize)
	compressed[0] = 2
	if p.Odd {
		compressed[0] = 3
	}
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), append(compressed, p.X...))
	if x == nil {
		return nil, ErrVerify
	}
	out := make([]byte, 1+2*coordinateSize)
	out[0] = 4
	x.FillBytes(out[1 : 1+coordinateSize])
	y.FillBytes(out[1+coordinateSize:])
	return out, nil
}

// ecdh returns the point as a public key; it fails off the curve.
func (p *Point) ecdh() (*ecdh.PublicKey, error) {
	b, err := p.uncompressed()
	if err != nil {
		return nil, err
	}
	return ecdh.P256().NewPublicKey(b)
}
