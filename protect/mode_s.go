package protect

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/sealmq/sealmq/internal/cbor"
	"github.com/sealmq/sealmq/keyring"
)

const (
	nonceSize      = 12
	saltSize       = 8
	bootSize       = 4
	sessionSize    = bootSize + saltSize // what follows the sender id in a kid context
	ivGeneration   = 34                  // IANA: IV-GENERATION
	maxPartialIV   = 4
	orderedCTI     = 8
	unorderedCTI   = 16
	maxWireSender  = keyring.MaxSenderID
	maxKIDContext  = maxWireSender + sessionSize
	thumbprintSize = sha256.Size
)

// derived is the state of one session in mode S: the AEAD and the base IV.
type derived struct {
	aead cipher.AEAD
	base [nonceSize]byte
}

// appendSessionContext appends the KDF context of mode S, K(a, n), a
// COSE_KDF_Context (RFC 9053 §5.2):
//
//	[ a, [sender, null, null], [kid, null, null], [n, h'', h'4d51545431'] ]
//
// n is in bits. sender is the sender of external_aad, not the wire form.
func appendSessionContext(dst []byte, alg int64, bits uint64, sender, kid []byte) []byte {
	dst = cbor.AppendArray(dst, 4)
	dst = cbor.AppendInt(dst, alg)
	for _, party := range [...][]byte{sender, kid} {
		dst = cbor.AppendArray(dst, 3)
		dst = cbor.AppendBytes(dst, party)
		dst = cbor.AppendNull(cbor.AppendNull(dst))
	}
	dst = cbor.AppendArray(dst, 3)
	dst = cbor.AppendUint(dst, bits)
	dst = cbor.AppendBytes(dst, nil)
	return cbor.AppendBytes(dst, []byte(profile))
}

// deriveSession computes
//
//	key     = HKDF-SHA-256(IKM = record key, salt = kid context, info = K(alg, 8*keylen))
//	base IV = HKDF-SHA-256(IKM = record key, salt = kid context, info = K(34, 96))
func deriveSession(rec *keyring.Record, sender, kidContext []byte) (*derived, error) {
	ikm := rec.Key.SymmetricBytes()
	defer clear(ikm)
	size := rec.Alg.KeySize()
	prk, err := hkdf.Extract(sha256.New, ikm, kidContext)
	if err != nil {
		return nil, fmt.Errorf("derive session: %w", err)
	}
	defer clear(prk)
	info := appendSessionContext(nil, int64(rec.Alg), uint64(8*size), sender, rec.KID)
	key, err := hkdf.Expand(sha256.New, prk, string(info), size)
	if err != nil {
		return nil, fmt.Errorf("derive session key: %w", err)
	}
	defer clear(key)
	info = appendSessionContext(info[:0], ivGeneration, 8*nonceSize, sender, rec.KID)
	base, err := hkdf.Expand(sha256.New, prk, string(info), nonceSize)
	if err != nil {
		return nil, fmt.Errorf("derive session IV: %w", err)
	}
	d := &derived{base: [nonceSize]byte(base)}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	d.aead, err = cipher.NewGCM(block)
	return d, err
}

// nonce sets dst to base IV XOR Partial IV, left-padded, RFC 9052 §3.1.
func (d *derived) nonce(dst *[nonceSize]byte, partialIV []byte) {
	*dst = d.base
	for i, b := range partialIV {
		dst[nonceSize-len(partialIV)+i] ^= b
	}
}

// appendPartialIV appends seq big endian without leading zero bytes.
func appendPartialIV(dst []byte, seq uint32) []byte {
	var b [maxPartialIV]byte
	binary.BigEndian.PutUint32(b[:], seq)
	i := 0
	for i < maxPartialIV-1 && b[i] == 0 {
		i++
	}
	return append(dst, b[i:]...)
}

// appendKIDContext appends wire id || boot || salt.
func appendKIDContext(dst, wireID []byte, boot uint32, salt [saltSize]byte) []byte {
	dst = append(dst, wireID...)
	dst = binary.BigEndian.AppendUint32(dst, boot)
	return append(dst, salt[:]...)
}

// audience returns aud for the keys an encryption is made for: the thumbprint
// of one key, or SHA-256 over the CBOR array of all thumbprints, sorted
// bytewise. sorted must be sorted.
func audience(sorted [][]byte) []byte {
	if len(sorted) == 1 {
		return sorted[0]
	}
	b := cbor.AppendArray(make([]byte, 0, len(sorted)*(thumbprintSize+2)+2), len(sorted))
	for _, tp := range sorted {
		b = cbor.AppendBytes(b, tp)
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

// nestedContentType marks an encrypted COSE_Sign1: its CoAP Content-Format,
// RFC 9052 §11.3.
const nestedContentType = 18
