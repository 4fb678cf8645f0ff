package cose

import (
	"fmt"
	"slices"

	"github.com/sealmq/sealmq/internal/cbor"
)

// Sign1 is a COSE_Sign1 message, RFC 9052 §4.2:
//
//	COSE_Sign1 = [ Headers, payload : bstr, signature : bstr ]   ; #6.18
type Sign1 struct {
	Headers
	Payload   []byte // never nil once parsed: detached content is refused
	Signature []byte // 64 bytes for ES256 and Ed25519
}

// Parse reads one tagged message that fills b; m aliases b.
func (m *Sign1) Parse(b []byte) error {
	r := cbor.NewReader(b)
	if err := m.open(&r, TagSign1, 4); err != nil {
		return fmt.Errorf("COSE_Sign1: %w", err)
	}
	var err error
	if m.Payload, err = r.Bytes(); err != nil {
		return fmt.Errorf("COSE_Sign1 payload: %w", err)
	}
	if m.Signature, err = r.Bytes(); err != nil {
		return fmt.Errorf("COSE_Sign1 signature: %w", err)
	}
	return r.Done()
}

// Verify checks the signature of a parsed message with the public key. The
// algorithm of the message must fit the key; it selects nothing else.
func (m *Sign1) Verify(key *Key, externalAAD []byte) error {
	alg, err := m.Alg()
	if err != nil {
		return err
	}
	s := getScratch()
	defer s.release()
	s.structure = appendSigStructure(s.structure, m.raw, externalAAD, m.Payload)
	return key.Verify(alg, s.structure, m.Signature)
}

// Append signs m.Payload under the headers of m, sets m.Signature and appends
// the tagged message to dst. The protected header must name the algorithm.
func (m *Sign1) Append(dst []byte, key *Key, externalAAD []byte) ([]byte, error) {
	s := getScratch()
	defer s.release()
	size := m.encode(s)
	s.structure = appendSigStructure(s.structure, m.raw, externalAAD, m.Payload)
	var err error
	if m.Signature, err = key.Sign(m.Protected.Alg, s.structure); err != nil {
		return nil, err
	}
	dst = slices.Grow(dst, size+len(m.Payload)+len(m.Signature))
	dst = cbor.AppendArray(cbor.AppendTag(dst, TagSign1), 4)
	dst = s.append(dst)
	dst = cbor.AppendBytes(dst, m.Payload)
	m.raw = nil // it points into the scratch
	return cbor.AppendBytes(dst, m.Signature), nil
}
