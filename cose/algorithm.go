package cose

import (
	"fmt"
	"strconv"
)

// Algorithm is an identifier of the IANA COSE Algorithms registry.
type Algorithm int64

// The allowed algorithms, RFC 9053.
const (
	AlgA128GCM      Algorithm = 1   // AES-GCM, 128-bit key, §4.1
	AlgA256GCM      Algorithm = 3   // AES-GCM, 256-bit key, §4.1
	AlgHMAC256      Algorithm = 5   // HMAC 256/256, §3.1
	AlgES256        Algorithm = -7  // ECDSA with SHA-256, P-256 only, §2.1
	AlgEdDSA        Algorithm = -8  // EdDSA, Ed25519 only, §2.2
	AlgECDHESA128KW Algorithm = -29 // ECDH-ES + A128KW, P-256 only, §6.4
	AlgECDHESA256KW Algorithm = -31 // ECDH-ES + A256KW, P-256 only, §6.4
)

// Identifiers that appear only inside key derivation, RFC 9053 §5.2.
const (
	algA128KW Algorithm = -3
	algA256KW Algorithm = -5
)

var allowedNames = map[Algorithm]string{
	AlgA128GCM: "A128GCM", AlgA256GCM: "A256GCM", AlgHMAC256: "HMAC 256/256",
	AlgES256: "ES256", AlgEdDSA: "EdDSA",
	AlgECDHESA128KW: "ECDH-ES+A128KW", AlgECDHESA256KW: "ECDH-ES+A256KW",
}

// refusedNames lets a refusal name what it refuses; it grants nothing.
var refusedNames = map[Algorithm]string{
	2: "A192GCM", 4: "HMAC 256/64", 6: "HMAC 384/384", 7: "HMAC 512/512",
	10: "AES-CCM-16-64-128", 11: "AES-CCM-16-64-256", 12: "AES-CCM-64-64-128", 13: "AES-CCM-64-64-256",
	14: "AES-MAC 128/64", 15: "AES-MAC 256/64", 24: "ChaCha20/Poly1305", 25: "AES-MAC 128/128", 26: "AES-MAC 256/128",
	30: "AES-CCM-16-128-128", 31: "AES-CCM-16-128-256", 32: "AES-CCM-64-128-128", 33: "AES-CCM-64-128-256",
	algA128KW: "A128KW", -4: "A192KW", algA256KW: "A256KW", -6: "direct", -9: "ESP256", -19: "Ed25519",
	-10: "direct+HKDF-SHA-256", -11: "direct+HKDF-SHA-512", -12: "direct+HKDF-AES-128", -13: "direct+HKDF-AES-256",
	-25: "ECDH-ES+HKDF-256", -26: "ECDH-ES+HKDF-512", -27: "ECDH-SS+HKDF-256", -28: "ECDH-SS+HKDF-512",
	-30: "ECDH-ES+A192KW", -32: "ECDH-SS+A128KW", -33: "ECDH-SS+A192KW", -34: "ECDH-SS+A256KW",
	-35: "ES384", -36: "ES512", -37: "PS256", -38: "PS384", -39: "PS512",
	-40: "RSAES-OAEP SHA-1", -41: "RSAES-OAEP SHA-256", -42: "RSAES-OAEP SHA-512", -47: "ES256K",
	-257: "RS256", -258: "RS384", -259: "RS512", -65535: "RS1",
	-65534: "A128CTR", -65533: "A192CTR", -65532: "A256CTR",
	-65531: "A128CBC", -65530: "A192CBC", -65529: "A256CBC",
}

// String returns the registered name, or the number.
func (a Algorithm) String() string {
	if name, ok := allowedNames[a]; ok {
		return name
	}
	if name, ok := refusedNames[a]; ok {
		return name
	}
	return "algorithm " + strconv.FormatInt(int64(a), 10)
}

// ParseAlgorithm returns the allowed algorithm with the registered name.
func ParseAlgorithm(name string) (Algorithm, error) {
	for a, n := range allowedNames {
		if n == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("algorithm %q: %w", name, ErrUnsupported)
}

// authenticates reports whether a is an encryption that also authenticates.
// CTR and CBC (RFC 9459) are registered for COSE and do not.
func (a Algorithm) authenticates() bool { return a < -65534 || a > -65529 }

// Check returns an error that names a if it is not allowed.
func (a Algorithm) Check() error {
	if _, ok := allowedNames[a]; ok {
		return nil
	}
	if !a.authenticates() {
		return fmt.Errorf("%v does not authenticate: %w", a, ErrUnsupported)
	}
	return fmt.Errorf("%v: %w", a, ErrUnsupported)
}

// IsAEAD reports whether a is an allowed content encryption algorithm.
func (a Algorithm) IsAEAD() bool { return a == AlgA128GCM || a == AlgA256GCM }

// IsSignature reports whether a is an allowed signature algorithm.
func (a Algorithm) IsSignature() bool { return a == AlgES256 || a == AlgEdDSA }

// IsKeyAgreement reports whether a is an allowed recipient algorithm.
func (a Algorithm) IsKeyAgreement() bool { return a == AlgECDHESA128KW || a == AlgECDHESA256KW }

// KeySize returns the key length in bytes of an AEAD or a MAC, and of the key
// encryption key of a key agreement; 0 for others.
func (a Algorithm) KeySize() int {
	switch a {
	case AlgA128GCM, AlgECDHESA128KW, algA128KW:
		return 16
	case AlgA256GCM, AlgHMAC256, AlgECDHESA256KW, algA256KW:
		return 32
	}
	return 0
}

// need returns nil if a satisfies ok, and an error that names a otherwise.
func (a Algorithm) need(ok bool, role string) error {
	if ok {
		return nil
	}
	if err := a.Check(); err != nil {
		return err
	}
	return fmt.Errorf("%v as %s: %w", a, role, ErrUnsupported)
}
