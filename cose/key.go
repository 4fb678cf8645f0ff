package cose

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/asn1"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
)

// KeyType is the kind of a Key, with the values of the COSE Key Types registry.
type KeyType int

// Key types, RFC 9053 §7.
const (
	KeyOKP       KeyType = typeOKP // Ed25519
	KeyEC2       KeyType = typeEC2 // P-256
	KeySymmetric KeyType = typeSym
)

// maxSymmetric bounds a symmetric key in bytes.
const maxSymmetric = 64

// Key is key material: an Ed25519 or P-256 key pair or public key, or a
// symmetric key. It is immutable, always valid, safe for concurrent use, and
// prints as its type and thumbprint only.
type Key struct {
	kty     KeyType
	secret  []byte // k, or d; nil for a public key
	x, y    []byte
	private bool

	aeadOnce sync.Once // guards aead, built at first use
	aead     cipher.AEAD

	thumbprint   [sha256.Size]byte
	signPrivate  *ecdsa.PrivateKey
	signPublic   *ecdsa.PublicKey
	ecdhPrivate  *ecdh.PrivateKey
	ecdhPublic   *ecdh.PublicKey
	edwardsSeed  ed25519.PrivateKey
	edwardsPoint ed25519.PublicKey
}

// NewSymmetricKey returns a symmetric key of 16 to 64 bytes; k is copied.
func NewSymmetricKey(k []byte) (*Key, error) {
	if len(k) < 16 || len(k) > maxSymmetric {
		return nil, fmt.Errorf("symmetric key of %d bytes: %w", len(k), ErrKey)
	}
	key := &Key{kty: KeySymmetric, secret: append([]byte(nil), k...), private: true}
	key.thumbprint = key.computeThumbprint()
	return key, nil
}

// NewECDSAKey returns the key pair of a P-256 private key, for ES256 or for
// key agreement.
func NewECDSAKey(k *ecdsa.PrivateKey) (*Key, error) {
	if k.Curve != elliptic.P256() {
		return nil, fmt.Errorf("EC2 key not on P-256: %w", ErrUnsupported)
	}
	d, err := k.Bytes()
	if err != nil {
		return nil, fmt.Errorf("P-256 private key: %w", err)
	}
	return newEC2Private(d)
}

// NewECDSAPublicKey returns the public key of a P-256 point.
func NewECDSAPublicKey(k *ecdsa.PublicKey) (*Key, error) {
	if k.Curve != elliptic.P256() {
		return nil, fmt.Errorf("EC2 key not on P-256: %w", ErrUnsupported)
	}
	b, err := k.Bytes()
	if err != nil {
		return nil, fmt.Errorf("P-256 public key: %w", err)
	}
	return newEC2Public(b)
}

// newEC2Private derives the public half itself: a stored one could be wrong.
func newEC2Private(d []byte) (*Key, error) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		return nil, fmt.Errorf("P-256 private key: %w", ErrKey)
	}
	agreement, err := private.ECDH()
	if err != nil {
		return nil, fmt.Errorf("P-256 private key: %w", ErrKey)
	}
	key, err := newEC2Public(agreement.PublicKey().Bytes())
	if err != nil {
		return nil, err
	}
	key.signPrivate, key.ecdhPrivate, key.private = private, agreement, true
	key.secret = append([]byte(nil), d...)
	return key, nil
}

// newEC2Public takes 0x04 || x || y and checks that it is on the curve.
func newEC2Public(uncompressed []byte) (*Key, error) {
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed)
	if err != nil {
		return nil, fmt.Errorf("P-256 public key: %w", ErrKey)
	}
	agreement, err := public.ECDH()
	if err != nil {
		return nil, fmt.Errorf("P-256 public key: %w", ErrKey)
	}
	b := append([]byte(nil), uncompressed...)
	key := &Key{kty: KeyEC2, x: b[1:33], y: b[33:], signPublic: public, ecdhPublic: agreement}
	key.thumbprint = key.computeThumbprint()
	return key, nil
}

// NewEd25519Key returns the key pair of an Ed25519 private key; it is copied.
func NewEd25519Key(k ed25519.PrivateKey) (*Key, error) {
	if len(k) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("Ed25519 private key of %d bytes: %w", len(k), ErrKey)
	}
	seed := append([]byte(nil), k.Seed()...)
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	if subtle.ConstantTimeCompare(public, k[32:]) != 1 {
		return nil, fmt.Errorf("Ed25519 key with a foreign public half: %w", ErrKey)
	}
	key, err := NewEd25519PublicKey(public)
	if err != nil {
		return nil, err
	}
	key.secret, key.edwardsSeed, key.private = seed, private, true
	return key, nil
}

// NewEd25519PublicKey returns a public key; it is copied.
func NewEd25519PublicKey(k ed25519.PublicKey) (*Key, error) {
	if len(k) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("Ed25519 public key of %d bytes: %w", len(k), ErrKey)
	}
	x := append([]byte(nil), k...)
	key := &Key{kty: KeyOKP, x: x, edwardsPoint: x}
	key.thumbprint = key.computeThumbprint()
	return key, nil
}

// GenerateKey makes a fresh key for alg from crypto/rand.
func GenerateKey(alg Algorithm) (*Key, error) {
	switch {
	case alg == AlgEdDSA:
		_, k, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, fmt.Errorf("generate %v key: %w", alg, err)
		}
		return NewEd25519Key(k)
	case alg == AlgES256 || alg.IsKeyAgreement():
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate %v key: %w", alg, err)
		}
		return NewECDSAKey(k)
	case alg.Check() != nil:
		return nil, alg.Check()
	}
	k := make([]byte, alg.KeySize())
	defer clear(k)
	if _, err := rand.Read(k); err != nil {
		return nil, fmt.Errorf("generate %v key: %w", alg, err)
	}
	return NewSymmetricKey(k)
}

// Type returns the key type.
func (k *Key) Type() KeyType { return k.kty }

// Private reports whether k holds a secret: a private or a symmetric key.
func (k *Key) Private() bool { return k.private }

// Public returns the public half; a symmetric key has none and returns nil.
func (k *Key) Public() *Key {
	switch k.kty {
	case KeyEC2:
		return &Key{
			kty: k.kty, x: k.x, y: k.y, thumbprint: k.thumbprint,
			signPublic: k.signPublic, ecdhPublic: k.ecdhPublic,
		}
	case KeyOKP:
		return &Key{kty: k.kty, x: k.x, thumbprint: k.thumbprint, edwardsPoint: k.edwardsPoint}
	}
	return nil
}

// Equal reports in constant time whether both keys hold the same material.
func (k *Key) Equal(other *Key) bool {
	return k.private == other.private && subtle.ConstantTimeCompare(k.thumbprint[:], other.thumbprint[:]) == 1
}

// Fits returns an error unless k is a key of exactly the type and size alg
// needs. A public key fits where its private half would.
func (k *Key) Fits(alg Algorithm) error {
	if err := alg.Check(); err != nil {
		return err
	}
	fits := false
	switch {
	case alg == AlgEdDSA:
		fits = k.kty == KeyOKP
	case alg == AlgES256 || alg.IsKeyAgreement():
		fits = k.kty == KeyEC2
	default:
		fits = k.kty == KeySymmetric && len(k.secret) == alg.KeySize()
	}
	if !fits {
		return fmt.Errorf("%v for %v: %w", k, alg, ErrKey)
	}
	return nil
}

// SymmetricBytes returns a copy of the bytes of a symmetric key, and nil for
// other keys. It exists for key derivation; nothing else should need it.
func (k *Key) SymmetricBytes() []byte {
	if k.kty != KeySymmetric {
		return nil
	}
	return append([]byte(nil), k.secret...)
}

// PrivateKey returns the key pair as *ecdsa.PrivateKey or ed25519.PrivateKey,
// or nil for symmetric and public keys.
func (k *Key) PrivateKey() crypto.PrivateKey {
	switch {
	case k.signPrivate != nil:
		return k.signPrivate
	case k.edwardsSeed != nil:
		return k.edwardsSeed
	}
	return nil
}

// PublicKey returns the public key as *ecdsa.PublicKey or ed25519.PublicKey,
// or nil for a symmetric key.
func (k *Key) PublicKey() crypto.PublicKey {
	switch k.kty {
	case KeyEC2:
		return k.signPublic
	case KeyOKP:
		return k.edwardsPoint
	}
	return nil
}

// AEAD returns the cipher of a symmetric key for A128GCM or A256GCM; its key
// schedule is computed once.
func (k *Key) AEAD(alg Algorithm) (cipher.AEAD, error) {
	if err := alg.need(alg.IsAEAD(), "content encryption"); err != nil {
		return nil, err
	}
	if err := k.Fits(alg); err != nil {
		return nil, err
	}
	var err error
	k.aeadOnce.Do(func() { k.aead, err = newGCM(k.secret) })
	return k.aead, err
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("AES key: %w", ErrKey)
	}
	return cipher.NewGCM(block)
}

// Sign signs message. ES256 is deterministic (RFC 6979), so that a broken
// random source cannot reveal the key; its signature is r || s, 32 bytes each
// (RFC 9053 §2.1).
func (k *Key) Sign(alg Algorithm, message []byte) ([]byte, error) {
	if err := alg.need(alg.IsSignature(), "signature"); err != nil {
		return nil, err
	}
	switch {
	case alg == AlgEdDSA && k.edwardsSeed != nil:
		return ed25519.Sign(k.edwardsSeed, message), nil
	case alg == AlgES256 && k.signPrivate != nil:
		digest := sha256.Sum256(message)
		der, err := k.signPrivate.Sign(nil, digest[:], crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &rs); err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		sig := make([]byte, 2*coordinateSize)
		rs.R.FillBytes(sig[:coordinateSize])
		rs.S.FillBytes(sig[coordinateSize:])
		return sig, nil
	}
	return nil, fmt.Errorf("%v signs %v: %w", k, alg, ErrKey)
}

// Verify checks a signature over message with the public half.
func (k *Key) Verify(alg Algorithm, message, sig []byte) error {
	if err := alg.need(alg.IsSignature(), "signature"); err != nil {
		return err
	}
	if err := k.Fits(alg); err != nil {
		return err
	}
	if len(sig) != 2*coordinateSize {
		return ErrVerify
	}
	ok := false
	if alg == AlgEdDSA {
		ok = ed25519.Verify(k.edwardsPoint, message, sig)
	} else {
		digest := sha256.Sum256(message)
		r := new(big.Int).SetBytes(sig[:coordinateSize])
		s := new(big.Int).SetBytes(sig[coordinateSize:])
		ok = ecdsa.Verify(k.signPublic, digest[:], r, s)
	}
	if !ok {
		return ErrVerify
	}
	return nil
}

// String names the type and, for public-key types, the first bytes of the
// thumbprint. The thumbprint of a symmetric key depends on the secret and is
// not shown (RFC 9679 §7).
func (k *Key) String() string {
	if k == nil {
		return "no key"
	}
	half := "public"
	if k.private {
		half = "private"
	}
	switch k.kty {
	case KeyEC2:
		return fmt.Sprintf("P-256 %s key %x", half, k.thumbprint[:8])
	case KeyOKP:
		return fmt.Sprintf("Ed25519 %s key %x", half, k.thumbprint[:8])
	}
	return fmt.Sprintf("symmetric key of %d bytes", len(k.secret))
}

// Format prints String for every verb, so that no verb shows a secret.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// LogValue implements slog.LogValuer.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON writes String: a key never reaches JSON by accident.
func (k *Key) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", k.String()), nil }
