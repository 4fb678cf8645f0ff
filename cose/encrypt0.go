package cose

import (
	"crypto/cipher"
	"fmt"
	"slices"

	"github.com/sealmq/sealmq/internal/cbor"
)

// Encrypt0 is a COSE_Encrypt0 message, RFC 9052 §5.2:
//
//	COSE_Encrypt0 = [ Headers, ciphertext : bstr ]   ; #6.16, never nil here
type Encrypt0 struct {
	Headers
	Ciphertext []byte // ends with the AEAD tag
}

// Parse reads one tagged message that fills b; m aliases b.
func (m *Encrypt0) Parse(b []byte) error {
	r := cbor.NewReader(b)
	if err := m.open(&r, TagEncrypt0, 3); err != nil {
		return fmt.Errorf("COSE_Encrypt0: %w", err)
	}
	var err error
	if m.Ciphertext, err = r.Bytes(); err != nil {
		return fmt.Errorf("COSE_Encrypt0 ciphertext: %w", err)
	}
	return r.Done()
}

// Open decrypts a parsed message and appends the plaintext to dst. nonce is
// the complete nonce: the IV, or base IV XOR Partial IV (RFC 9052 §3.1). The
// caller has chosen aead by the key's algorithm, which must be the message's.
// The only error is ErrVerify.
func (m *Encrypt0) Open(dst []byte, aead cipher.AEAD, nonce, externalAAD []byte) ([]byte, error) {
	return openAEAD(dst, "Encrypt0", &m.Headers, aead, nonce, m.Ciphertext, externalAAD)
}

// Seal encrypts plaintext under the headers of m and appends the tagged
// message to dst. nonce is the complete nonce and must never repeat under one
// key; plaintext must not overlap dst's spare capacity.
func (m *Encrypt0) Seal(dst []byte, aead cipher.AEAD, nonce, plaintext, externalAAD []byte) ([]byte, error) {
	if len(nonce) != aead.NonceSize() {
		return nil, fmt.Errorf("nonce of %d bytes: %w", len(nonce), ErrKey)
	}
	s := getScratch()
	defer s.release()
	dst = slices.Grow(dst, m.encode(s)+len(plaintext)+aead.Overhead())
	dst = cbor.AppendArray(cbor.AppendTag(dst, TagEncrypt0), 3)
	dst = s.append(dst)
	dst = sealAEAD(dst, "Encrypt0", s, &m.Headers, aead, nonce, plaintext, externalAAD)
	m.raw = nil // it points into the scratch
	return dst, nil
}

// sealAEAD appends the ciphertext as a byte string.
func sealAEAD(dst []byte, context string, s *scratch, h *Headers, aead cipher.AEAD, nonce, plaintext, externalAAD []byte) []byte {
	s.structure = appendEncStructure(s.structure, context, h.raw, externalAAD)
	dst = cbor.AppendBytesHead(dst, len(plaintext)+aead.Overhead())
	return aead.Seal(dst, nonce, plaintext, s.structure)
}

func openAEAD(dst []byte, context string, h *Headers, aead cipher.AEAD, nonce, ciphertext, externalAAD []byte) ([]byte, error) {
	if len(nonce) != aead.NonceSize() || len(ciphertext) < aead.Overhead() {
		return nil, ErrVerify
	}
	s := getScratch()
	s.structure = appendEncStructure(s.structure, context, h.raw, externalAAD)
	out, err := aead.Open(dst, nonce, ciphertext, s.structure)
	s.release()
	if err != nil {
		return nil, ErrVerify
	}
	return out, nil
}
