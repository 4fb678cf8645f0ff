package cose

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/sealmq/sealmq/internal/cbor"
)

// Mac0 is a COSE_Mac0 message, RFC 9052 §6.2:
//
//	COSE_Mac0 = [ Headers, payload : bstr, tag : bstr ]   ; #6.17
type Mac0 struct {
	Headers
	Payload []byte // never nil once parsed: detached content is refused
	Tag     []byte // 32 bytes for HMAC 256/256
}

// Parse reads one tagged message that fills b; m aliases b.
func (m *Mac0) Parse(b []byte) error {
	r := cbor.NewReader(b)
	if err := m.open(&r, TagMac0, 4); err != nil {
		return fmt.Errorf("COSE_Mac0: %w", err)
	}
	var err error
	if m.Payload, err = r.Bytes(); err != nil {
		return fmt.Errorf("COSE_Mac0 payload: %w", err)
	}
	if m.Tag, err = r.Bytes(); err != nil {
		return fmt.Errorf("COSE_Mac0 tag: %w", err)
	}
	return r.Done()
}

// Verify checks the tag of a parsed message under a 32-byte HMAC 256/256 key.
// A tag of any other length than 32 is refused: truncation is another
// algorithm (RFC 9053 §3.1).
func (m *Mac0) Verify(key, externalAAD []byte) error {
	alg, err := m.Alg()
	if err != nil {
		return err
	}
	if err := alg.need(alg == AlgHMAC256, "MAC"); err != nil {
		return err
	}
	s := getScratch()
	defer s.release()
	want, err := m.compute(s, key, externalAAD)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, m.Tag) {
		return ErrVerify
	}
	return nil
}

// Append computes the tag over m.Payload under the headers of m, sets m.Tag
// and appends the tagged message to dst.
func (m *Mac0) Append(dst, key, externalAAD []byte) ([]byte, error) {
	s := getScratch()
	defer s.release()
	size := m.encode(s)
	var err error
	if m.Tag, err = m.compute(s, key, externalAAD); err != nil {
		return nil, err
	}
	dst = slices.Grow(dst, size+len(m.Payload)+len(m.Tag))
	dst = cbor.AppendArray(cbor.AppendTag(dst, TagMac0), 4)
	dst = s.append(dst)
	dst = cbor.AppendBytes(dst, m.Payload)
	m.raw = nil // it points into the scratch
	return cbor.AppendBytes(dst, m.Tag), nil
}

func (m *Mac0) compute(s *scratch, key, externalAAD []byte) ([]byte, error) {
	if len(key) != AlgHMAC256.KeySize() {
		return nil, fmt.Errorf("HMAC key of %d bytes: %w", len(key), ErrKey)
	}
	s.structure = appendMACStructure(s.structure, m.raw, externalAAD, m.Payload)
	h := hmac.New(sha256.New, key)
	h.Write(s.structure)
	return h.Sum(nil), nil
}
