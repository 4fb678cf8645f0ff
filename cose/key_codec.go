package cose

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"github.com/sealmq/sealmq/internal/cbor"
)

// KeyInfo are the parameters a COSE_Key carries besides the material.
type KeyInfo struct {
	KID []byte    // nil if absent
	Alg Algorithm // 0 if absent
}

// AppendKey appends the COSE_Key of k, RFC 9052 §7, deterministic:
//
//	COSE_Key = { 1: kty, ? 2: kid, ? 3: alg, -1: crv / k, ? -2: x, ? -3: y, ? -4: d }
//
// The secret half is written if private is set and k has one; a symmetric key
// cannot be written without it.
func AppendKey(dst []byte, k *Key, info KeyInfo, private bool) ([]byte, error) {
	if k.kty == KeySymmetric && !private {
		return nil, fmt.Errorf("a symmetric key has no public half: %w", ErrKey)
	}
	private = private && k.private
	n := 2
	for _, has := range [...]bool{info.KID != nil, info.Alg != 0, k.x != nil, k.y != nil, private && k.kty != KeySymmetric} {
		if has {
			n++
		}
	}
	dst = cbor.AppendMap(dst, n)
	dst = cbor.AppendInt(cbor.AppendInt(dst, keyType), int64(k.kty))
	if info.KID != nil {
		dst = cbor.AppendBytes(cbor.AppendInt(dst, keyKID), info.KID)
	}
	if info.Alg != 0 {
		dst = cbor.AppendInt(cbor.AppendInt(dst, keyAlg), int64(info.Alg))
	}
	switch k.kty {
	case KeySymmetric:
		return cbor.AppendBytes(cbor.AppendInt(dst, keyCurve), k.secret), nil
	case KeyEC2:
		dst = cbor.AppendInt(cbor.AppendInt(dst, keyCurve), curveP256)
		dst = cbor.AppendBytes(cbor.AppendInt(dst, keyX), k.x)
		dst = cbor.AppendBytes(cbor.AppendInt(dst, keyY), k.y)
	default:
		dst = cbor.AppendInt(cbor.AppendInt(dst, keyCurve), curveEd25519)
		dst = cbor.AppendBytes(cbor.AppendInt(dst, keyX), k.x)
	}
	if private {
		dst = cbor.AppendBytes(cbor.AppendInt(dst, keyD), k.secret)
	}
	return dst, nil
}

// rawKey is a COSE_Key before its parameters have been judged together.
type rawKey struct {
	kty, crv   int64
	hasCrv     bool
	k, x, y, d []byte
	ySign      bool
	hasYSign   bool
	info       KeyInfo
}

// ParseKey reads one COSE_Key that fills b. A private key needs its public
// half neither to be present nor to be trusted: if present it must match.
func ParseKey(b []byte) (*Key, KeyInfo, error) {
	raw, err := parseRawKey(b)
	if err != nil {
		return nil, KeyInfo{}, fmt.Errorf("COSE_Key: %w", err)
	}
	key, err := raw.build()
	if err != nil {
		return nil, KeyInfo{}, fmt.Errorf("COSE_Key: %w", err)
	}
	if raw.info.Alg != 0 {
		// A P2 pre-shared key of 16 bytes is used through key derivation and
		// so must not name HMAC, which has a fixed size.
		if err := key.Fits(raw.info.Alg); err != nil {
			return nil, KeyInfo{}, fmt.Errorf("COSE_Key: %w", err)
		}
	}
	return key, raw.info, nil
}

func parseRawKey(b []byte) (*rawKey, error) {
	r := cbor.NewReader(b)
	pairs, err := r.Map()
	if err != nil {
		return nil, err
	}
	raw := &rawKey{}
	seen := make(map[int64]bool, 8)
	for range pairs {
		label, err := r.Int()
		if err != nil {
			return nil, err
		}
		if seen[label] {
			return nil, malformed("key parameter twice")
		}
		seen[label] = true
		if err := raw.parseParameter(&r, label); err != nil {
			return nil, err
		}
	}
	if !seen[keyType] {
		return nil, malformed("no key type")
	}
	return raw, r.Done()
}

func (raw *rawKey) parseParameter(r *cbor.Reader, label int64) error {
	var err error
	switch label {
	case keyType:
		raw.kty, err = r.Int()
	case keyKID:
		var kid []byte
		kid, err = r.Bytes()
		raw.info.KID = bytes.Clone(kid)
	case keyAlg:
		var n int64
		n, err = r.Int()
		raw.info.Alg = Algorithm(n)
	case keyCurve: // crv is an integer, k a byte string
		save := *r
		if raw.crv, err = r.Int(); err == nil {
			raw.hasCrv = true
			return nil
		}
		*r = save
		raw.k, err = r.Bytes()
	case keyX:
		err = coordinate(r, &raw.x)
	case keyY:
		if r.IsBool() {
			raw.hasYSign = true
			raw.ySign, err = r.Bool()
			return err
		}
		err = coordinate(r, &raw.y)
	case keyD:
		err = coordinate(r, &raw.d)
	case keyOps, keyBaseIV:
		// Ignoring a restriction on the use of a key would lift it.
		err = fmt.Errorf("key parameter %d: %w", label, ErrUnsupported)
	default:
		err = fmt.Errorf("%w: key parameter %d: %w", ErrMalformed, label, ErrUnsupported)
	}
	return err
}

func (raw *rawKey) build() (*Key, error) {
	switch KeyType(raw.kty) {
	case KeySymmetric:
		if raw.k == nil || raw.x != nil || raw.y != nil || raw.hasYSign || raw.d != nil {
			return nil, malformed("symmetric key parameters")
		}
		return NewSymmetricKey(raw.k)
	case KeyOKP:
		if !raw.hasCrv || raw.crv != curveEd25519 {
			return nil, fmt.Errorf("OKP key not on Ed25519: %w", ErrUnsupported)
		}
		if raw.y != nil || raw.hasYSign {
			return nil, malformed("OKP key parameters")
		}
		return raw.buildOKP()
	case KeyEC2:
		if !raw.hasCrv || raw.crv != curveP256 {
			return nil, fmt.Errorf("EC2 key not on P-256: %w", ErrUnsupported)
		}
		return raw.buildEC2()
	}
	return nil, fmt.Errorf("key type %d: %w", raw.kty, ErrUnsupported)
}

func (raw *rawKey) buildOKP() (*Key, error) {
	if raw.d == nil {
		return NewEd25519PublicKey(raw.x)
	}
	key, err := NewEd25519Key(ed25519.NewKeyFromSeed(raw.d))
	if err != nil {
		return nil, err
	}
	if raw.x != nil && !bytes.Equal(raw.x, key.x) {
		return nil, fmt.Errorf("public half does not belong to the private one: %w", ErrKey)
	}
	return key, nil
}

func (raw *rawKey) buildEC2() (*Key, error) {
	var public *Key
	if raw.x != nil && (raw.y != nil || raw.hasYSign) {
		p := Point{X: raw.x, Y: raw.y, Odd: raw.ySign}
		b, err := p.uncompressed()
		if err != nil {
			return nil, fmt.Errorf("P-256 public key: %w", ErrKey)
		}
		if public, err = newEC2Public(b); err != nil {
			return nil, err
		}
	}
	switch {
	case raw.d == nil && public == nil:
		return nil, malformed("EC2 key without a point")
	case raw.d == nil:
		return public, nil
	}
	key, err := newEC2Private(raw.d)
	if err != nil {
		return nil, err
	}
	if public != nil && key.thumbprint != public.thumbprint {
		return nil, fmt.Errorf("public half does not belong to the private one: %w", ErrKey)
	}
	return key, nil
}
