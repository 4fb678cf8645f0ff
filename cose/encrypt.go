package cose

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sealmq/sealmq/internal/cbor"
)

// Encrypt is a COSE_Encrypt message, RFC 9052 §5.1:
//
//	COSE_Encrypt   = [ Headers, ciphertext : bstr, recipients : [+COSE_recipient] ]   ; #6.96
//	COSE_recipient = [ Headers, ciphertext : bstr ]
//
// with 1 to MaxRecipients recipients of one layer.
type Encrypt struct {
	Headers
	Ciphertext []byte
	Recipients []Recipient
}

// Recipient is one COSE_recipient: the content key wrapped for one public key.
type Recipient struct {
	Headers
	WrappedKey []byte
}

// Parse reads one tagged message that fills b; m aliases b. The slice of
// recipients is reused.
func (m *Encrypt) Parse(b []byte) error {
	r := cbor.NewReader(b)
	if err := m.open(&r, TagEncrypt, 4); err != nil {
		return fmt.Errorf("COSE_Encrypt: %w", err)
	}
	var err error
	if m.Ciphertext, err = r.Bytes(); err != nil {
		return fmt.Errorf("COSE_Encrypt ciphertext: %w", err)
	}
	n, err := r.Array()
	if err != nil {
		return fmt.Errorf("COSE_Encrypt recipients: %w", err)
	}
	if n < 1 || n > MaxRecipients {
		return malformed("number of recipients not in 1..16")
	}
	m.Recipients = slices.Grow(m.Recipients[:0], n)[:n]
	for i := range m.Recipients {
		if err := m.Recipients[i].parse(&r); err != nil {
			return fmt.Errorf("COSE_recipient %d: %w", i, err)
		}
	}
	return r.Done()
}

func (c *Recipient) parse(r *cbor.Reader) error {
	n, err := r.Array()
	if err != nil {
		return err
	}
	if n != 3 { // a fourth element would be a further layer of recipients
		return malformed("wrong number of elements")
	}
	if err := c.Headers.parse(r); err != nil {
		return err
	}
	c.WrappedKey, err = r.Bytes()
	return err
}

// Open unwraps the content key of recipient i with the private key and
// decrypts the message, appending the plaintext to dst. Whoever calls has
// compared the algorithms of body and recipient with the key's record.
func (m *Encrypt) Open(dst []byte, i int, key *Key, externalAAD []byte) ([]byte, error) {
	contentAlg, err := m.Alg()
	if err != nil {
		return nil, err
	}
	if err := contentAlg.need(contentAlg.IsAEAD(), "content encryption"); err != nil {
		return nil, err
	}
	cek, err := m.Recipients[i].unwrap(key)
	if err != nil {
		return nil, err
	}
	defer clear(cek)
	if len(cek) != contentAlg.KeySize() {
		return nil, ErrVerify
	}
	aead, err := newGCM(cek)
	if err != nil {
		return nil, err
	}
	return openAEAD(dst, "Encrypt", &m.Headers, aead, m.Unprotected.IV, m.Ciphertext, externalAAD)
}

func (c *Recipient) unwrap(key *Key) ([]byte, error) {
	alg, err := c.Alg()
	if err != nil {
		return nil, err
	}
	if err := alg.need(alg.IsKeyAgreement(), "key agreement"); err != nil {
		return nil, err
	}
	if key.ecdhPrivate == nil {
		return nil, fmt.Errorf("unwrap with %v: %w", key, ErrKey)
	}
	eph := &c.Unprotected.Ephemeral
	if !c.Unprotected.Has(HasEphemeral) {
		return nil, malformed("no ephemeral key")
	}
	public, err := eph.ecdh()
	if err != nil {
		return nil, ErrVerify
	}
	secret, err := key.ecdhPrivate.ECDH(public)
	if err != nil {
		return nil, ErrVerify
	}
	defer clear(secret)
	kek, err := keyEncryptionKey(secret, alg, c.raw)
	if err != nil {
		return nil, err
	}
	defer clear(kek)
	return UnwrapKey(kek, c.WrappedKey)
}

// RecipientKey names one receiver of Encrypt.Seal.
type RecipientKey struct {
	Alg Algorithm // AlgECDHESA128KW or AlgECDHESA256KW
	KID []byte    // as it stands in the recipient's unprotected header
	Key *Key      // public key on P-256
}

// Seal encrypts plaintext to the recipients under the headers of m, whose IV
// must be fresh, and appends the tagged message to dst. The content key and
// one ephemeral key per recipient are fresh; random is the source of both, nil
// means crypto/rand (test vectors pass a fixed one).
func (m *Encrypt) Seal(dst []byte, random io.Reader, recipients []RecipientKey, plaintext, externalAAD []byte) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	if len(recipients) < 1 || len(recipients) > MaxRecipients {
		return nil, fmt.Errorf("%d recipients: %w", len(recipients), ErrKey)
	}
	alg := m.Protected.Alg
	if err := alg.need(alg.IsAEAD(), "content encryption"); err != nil {
		return nil, err
	}
	cek := make([]byte, alg.KeySize())
	defer clear(cek)
	if _, err := io.ReadFull(random, cek); err != nil {
		return nil, fmt.Errorf("content key: %w", err)
	}
	aead, err := newGCM(cek)
	if err != nil {
		return nil, err
	}
	if len(m.Unprotected.IV) != aead.NonceSize() {
		return nil, fmt.Errorf("IV of %d bytes: %w", len(m.Unprotected.IV), ErrKey)
	}
	const recipientSize = 220 // all of one recipient with a 32-byte kid
	s := getScratch()
	defer s.release()
	dst = slices.Grow(dst, m.encode(s)+len(plaintext)+aead.Overhead()+recipientSize*len(recipients))
	dst = cbor.AppendArray(cbor.AppendTag(dst, TagEncrypt), 4)
	dst = s.append(dst)
	dst = sealAEAD(dst, "Encrypt", s, &m.Headers, aead, m.Unprotected.IV, plaintext, externalAAD)
	m.raw = nil // it points into the scratch
	dst = cbor.AppendArray(dst, len(recipients))
	for i, rec := range recipients {
		if dst, err = appendRecipient(dst, random, rec, cek); err != nil {
			return nil, fmt.Errorf("recipient %d: %w", i, err)
		}
	}
	return dst, nil
}

func appendRecipient(dst []byte, random io.Reader, to RecipientKey, cek []byte) ([]byte, error) {
	if err := to.Alg.need(to.Alg.IsKeyAgreement(), "key agreement"); err != nil {
		return nil, err
	}
	if to.Key == nil || to.Key.ecdhPublic == nil {
		return nil, fmt.Errorf("wrap for %v: %w", to.Key, ErrKey)
	}
	ephemeral, err := generateECDH(random)
	if err != nil {
		return nil, fmt.Errorf("ephemeral key: %w", err)
	}
	secret, err := ephemeral.ECDH(to.Key.ecdhPublic)
	if err != nil {
		return nil, fmt.Errorf("key agreement: %w", err)
	}
	defer clear(secret)
	var h Headers
	h.Protected = Header{Labels: HasAlg, Alg: to.Alg}
	h.freeze(nil)
	kek, err := keyEncryptionKey(secret, to.Alg, h.raw)
	if err != nil {
		return nil, err
	}
	defer clear(kek)
	wrapped, err := WrapKey(kek, cek)
	if err != nil {
		return nil, err
	}
	point := ephemeral.PublicKey().Bytes() // 0x04 || x || y
	h.Unprotected = Header{
		Labels: HasKID | HasEphemeral, KID: to.KID,
		Ephemeral: Point{X: point[1:33], Y: point[33:]},
	}
	dst = h.append(cbor.AppendArray(dst, 3))
	return cbor.AppendBytes(dst, wrapped), nil
}

// generateECDH makes a P-256 key from 32-byte draws of random. crypto/ecdh
// ignores a caller's source, which fixed test vectors need. A draw outside
// 1..n-1 has a chance of 2^-32, so eight of them mean a broken source.
func generateECDH(random io.Reader) (*ecdh.PrivateKey, error) {
	var draw [32]byte
	defer clear(draw[:])
	for range 8 {
		if _, err := io.ReadFull(random, draw[:]); err != nil {
			return nil, err
		}
		if key, err := ecdh.P256().NewPrivateKey(draw[:]); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("random source yields no scalar")
}
