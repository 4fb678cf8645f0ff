package authn

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/sealmq/sealmq/internal/boundedfile"
)

// Bounds of a JWK Set.
const (
	maxKeySet  = 256 << 10 // bytes
	maxSetKeys = 100
	minRSA     = 2048 // bits
	maxRSA     = 8192 // bits
)

// keySet is a JWK Set (RFC 7517 §5): public keys by kid.
type keySet struct {
	keys []setKey
}

type setKey struct {
	kid string
	key crypto.PublicKey
}

// find returns the key for a token. A token without kid gets one only when there is a single key for its algorithm.
func (s *keySet) find(_ context.Context, kid string, alg Algorithm) (crypto.PublicKey, error) {
	var found crypto.PublicKey
	n := 0
	for _, k := range s.keys {
		if algorithmOf(k.key) == alg && (kid == "" || k.kid == kid) {
			found = k.key
			n++
		}
	}
	if n != 1 {
		return nil, errNoKey
	}
	return found, nil
}

// loadKeySet reads a JWK Set from a file. It holds nothing secret, so others may read it.
func loadKeySet(path string) (*keySet, error) {
	b, err := boundedfile.Read(path, maxKeySet)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	s, err := parseKeySet(b)
	if err != nil {
		return nil, fmt.Errorf("key set %s: %w", path, err)
	}
	return s, nil
}

// jwk is what is read of a JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
type jwk struct {
	Kty    string   `json:"kty"`
	Crv    string   `json:"crv"`
	Kid    string   `json:"kid"`
	Use    string   `json:"use"`
	Alg    string   `json:"alg"`
	KeyOps []string `json:"key_ops"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	D      string   `json:"d"`
	K      string   `json:"k"`
}

// parseKeySet reads a JWK Set. Keys for other purposes are left out; a private or symmetric key is an error, because
// then a secret lies in a public place.
func parseKeySet(b []byte) (*keySet, error) {
	if len(b) > maxKeySet {
		return nil, fmt.Errorf("longer than %d bytes", maxKeySet)
	}
	var doc struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("not a JWK Set: %w", err)
	}
	if len(doc.Keys) > maxSetKeys {
		return nil, fmt.Errorf("more than %d keys", maxSetKeys)
	}
	s := new(keySet)
	for i, k := range doc.Keys {
		if k.D != "" || k.K != "" {
			return nil, fmt.Errorf("key %d holds a secret: a key set has public keys only", i+1)
		}
		if len(k.Kid) > maxKid {
			return nil, fmt.Errorf("key %d: kid is longer than %d bytes", i+1, maxKid)
		}
		if k.Use != "" && k.Use != "sig" || len(k.KeyOps) > 0 && !slices.Contains(k.KeyOps, "verify") {
			continue
		}
		key, err := k.public()
		if err != nil {
			return nil, fmt.Errorf("key %d (kid %s): %w", i+1, quote(k.Kid), err)
		}
		alg := algorithmOf(key)
		if key == nil || k.Alg != "" && k.Alg != string(alg) && (k.Alg != "Ed25519" || alg != EdDSA) {
			continue
		}
		if slices.ContainsFunc(s.keys, func(o setKey) bool { return o.kid == k.Kid && algorithmOf(o.key) == alg }) {
			return nil, fmt.Errorf("two %s keys have the kid %s", alg, quote(k.Kid))
		}
		s.keys = append(s.keys, setKey{k.Kid, key})
	}
	if len(s.keys) == 0 {
		return nil, errors.New("no key for EdDSA, ES256 or RS256 in it")
	}
	return s, nil
}

// public decodes the key; nil without an error for kinds that are not used here.
func (k *jwk) public() (crypto.PublicKey, error) {
	switch {
	case k.Kty == "OKP" && k.Crv == "Ed25519":
		x, err := coordinate(k.X, ed25519.PublicKeySize)
		if err != nil {
			return nil, err
		}
		return ed25519.PublicKey(x), nil
	case k.Kty == "EC" && k.Crv == "P-256":
		x, errX := coordinate(k.X, 32)
		y, errY := coordinate(k.Y, 32)
		if err := errors.Join(errX, errY); err != nil {
			return nil, err
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	case k.Kty == "RSA":
		return k.rsa()
	default:
		return nil, nil
	}
}

func (k *jwk) rsa() (crypto.PublicKey, error) {
	n, errN := base64.RawURLEncoding.Strict().DecodeString(k.N)
	e, errE := base64.RawURLEncoding.Strict().DecodeString(k.E)
	if err := errors.Join(errN, errE); err != nil {
		return nil, err
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n)}
	if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
		return nil, fmt.Errorf("%d bits, expected %d to %d", bits, minRSA, maxRSA)
	}
	for _, b := range e {
		key.E = key.E<<8 | int(b)
	}
	if len(e) > 4 || key.E < 3 || key.E%2 == 0 || key.E > 1<<31-1 {
		return nil, errors.New("the exponent is not an odd number of 3 to 2^31-1")
	}
	return key, nil
}

func coordinate(s string, size int) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, err
	}
	if len(b) != size {
		return nil, fmt.Errorf("a coordinate has %d bytes, expected %d", len(b), size)
	}
	return b, nil
}
