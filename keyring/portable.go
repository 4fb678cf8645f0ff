package keyring

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/sealmq/sealmq/cose"
)

// ErrFormat is wrapped when a foreign key encoding is not understood.
var ErrFormat = errors.New("key encoding not understood")

// maxPortable bounds a JWK or PEM input in bytes.
const maxPortable = 64 << 10

// jwk is a JSON Web Key, RFC 7517 and RFC 7518 §6, RFC 8037 §2. Members that
// are not listed are ignored, as RFC 7517 §4 requires.
type jwk struct {
	Kty    string   `json:"kty"`
	Crv    string   `json:"crv,omitempty"`
	X      b64Bytes `json:"x,omitempty"`
	Y      b64Bytes `json:"y,omitempty"`
	D      b64Bytes `json:"d,omitempty"`
	K      b64Bytes `json:"k,omitempty"`
	KID    string   `json:"kid,omitempty"`
	KeyOps []string `json:"key_ops,omitempty"`
}

// b64Bytes is base64url without padding, RFC 7515 §2.
type b64Bytes []byte

func (b b64Bytes) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

func (b *b64Bytes) UnmarshalText(text []byte) error {
	out, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	*b = out
	return err
}

// ParseJWK reads a JSON Web Key of type EC (P-256), OKP (Ed25519) or oct.
func ParseJWK(b []byte) (*cose.Key, error) {
	if len(b) > maxPortable {
		return nil, fmt.Errorf("%w: JWK of %d bytes", ErrFormat, len(b))
	}
	var j jwk
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, fmt.Errorf("%w: JWK: %w", ErrFormat, err)
	}
	if len(j.KeyOps) > 0 { // a restriction we would not keep
		return nil, fmt.Errorf("%w: JWK with key_ops", ErrFormat)
	}
	key, err := j.key()
	if err != nil {
		return nil, fmt.Errorf("JWK: %w", err)
	}
	return key, nil
}

func (j *jwk) key() (*cose.Key, error) {
	switch {
	case j.Kty == "oct":
		return cose.NewSymmetricKey(j.K)
	case j.Kty == "OKP" && j.Crv == "Ed25519":
		if j.D == nil {
			return cose.NewEd25519PublicKey(ed25519.PublicKey(j.X))
		}
		if len(j.D) != ed25519.SeedSize {
			return nil, fmt.Errorf("%w: seed of %d bytes", ErrFormat, len(j.D))
		}
		private := ed25519.NewKeyFromSeed(j.D)
		if !private.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(j.X)) {
			return nil, fmt.Errorf("%w: public half does not belong to the private one", ErrFormat)
		}
		return cose.NewEd25519Key(private)
	case j.Kty == "EC" && j.Crv == "P-256":
		if len(j.X) != 32 || len(j.Y) != 32 {
			return nil, fmt.Errorf("%w: coordinates of %d and %d bytes", ErrFormat, len(j.X), len(j.Y))
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, j.X...), j.Y...))
		if err != nil {
			return nil, fmt.Errorf("%w: point: %w", ErrFormat, err)
		}
		if j.D == nil {
			return cose.NewECDSAPublicKey(public)
		}
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), j.D)
		if err != nil || !private.PublicKey.Equal(public) {
			return nil, fmt.Errorf("%w: public half does not belong to the private one", ErrFormat)
		}
		return cose.NewECDSAKey(private)
	}
	return nil, fmt.Errorf("%w: kty %q, crv %q", ErrFormat, j.Kty, j.Crv)
}

// MarshalJWK writes a key as JSON Web Key, with its secret half if private is
// set; a symmetric key cannot be written without it.
func MarshalJWK(k *cose.Key, kid string, private bool) (Secret, error) {
	j := jwk{KID: kid}
	switch public := k.PublicKey().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 0x04 || x || y
		if err != nil {
			return Secret{}, fmt.Errorf("write JWK: %w", err)
		}
		j.Kty, j.Crv, j.X, j.Y = "EC", "P-256", point[1:33], point[33:]
	case ed25519.PublicKey:
		j.Kty, j.Crv, j.X = "OKP", "Ed25519", b64Bytes(public)
	default:
		if !private {
			return Secret{}, fmt.Errorf("write JWK: %w: a symmetric key has no public half", cose.ErrKey)
		}
		j.Kty, j.K = "oct", k.SymmetricBytes()
	}
	if private {
		switch p := k.PrivateKey().(type) {
		case *ecdsa.PrivateKey:
			d, err := p.Bytes()
			if err != nil {
				return Secret{}, fmt.Errorf("write JWK: %w", err)
			}
			j.D = d
		case ed25519.PrivateKey:
			j.D = p.Seed()
		}
	}
	b, err := json.Marshal(&j)
	if err != nil {
		return Secret{}, fmt.Errorf("write JWK: %w", err)
	}
	return Secret{b: b}, nil
}

// ParsePEM reads the one PEM block of b: PKCS #8 or SEC 1 private keys, and
// PKIX public keys, on P-256 or Ed25519. Encrypted blocks are refused.
func ParsePEM(b []byte) (*cose.Key, error) {
	if len(b) > maxPortable {
		return nil, fmt.Errorf("%w: PEM of %d bytes", ErrFormat, len(b))
	}
	block, rest := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%w: no PEM block", ErrFormat)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, fmt.Errorf("%w: more than one PEM block", ErrFormat)
	}
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%w: PEM block %q", ErrFormat, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: PEM: %w", ErrFormat, err)
	}
	switch k := parsed.(type) {
	case *ecdsa.PrivateKey:
		return cose.NewECDSAKey(k)
	case *ecdsa.PublicKey:
		return cose.NewECDSAPublicKey(k)
	case ed25519.PrivateKey:
		return cose.NewEd25519Key(k)
	case ed25519.PublicKey:
		return cose.NewEd25519PublicKey(k)
	}
	return nil, fmt.Errorf("%w: PEM holds a %T", ErrFormat, parsed)
}

// MarshalPEM writes a key pair as PKCS #8, or its public half as PKIX.
func MarshalPEM(k *cose.Key, private bool) (Secret, error) {
	kind, der, err := "PUBLIC KEY", []byte(nil), error(nil)
	switch {
	case k.PublicKey() == nil:
		return Secret{}, fmt.Errorf("write PEM: %w: a symmetric key has no PEM form", cose.ErrKey)
	case private && k.PrivateKey() == nil:
		return Secret{}, fmt.Errorf("write PEM: %w: no private half", cose.ErrKey)
	case private:
		kind = "PRIVATE KEY"
		der, err = x509.MarshalPKCS8PrivateKey(k.PrivateKey())
	default:
		der, err = x509.MarshalPKIXPublicKey(k.PublicKey())
	}
	if err != nil {
		return Secret{}, fmt.Errorf("write PEM: %w", err)
	}
	return Secret{b: pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})}, nil
}

// randomIV returns a fresh AES-GCM nonce.
func randomIV() ([]byte, error) {
	iv := make([]byte, 12)
	if _, err := rand.Read(iv); err != nil {
		return nil, fmt.Errorf("random nonce: %w", err)
	}
	return iv, nil
}
