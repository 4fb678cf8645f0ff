package psktls

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// recordType is the ContentType of RFC 8446 §5.1.
type recordType uint8

const (
	recordChangeCipherSpec recordType = 20
	recordAlert            recordType = 21
	recordHandshake        recordType = 22
	recordApplicationData  recordType = 23
)

const (
	recordHeaderLen = 5
	maxPlaintext    = 1 << 14            // RFC 8446 §5.1
	maxCiphertext   = maxPlaintext + 256 // RFC 8446 §5.2; an AEAD suite of TLS 1.2 adds at most 24
	maxRecord       = recordHeaderLen + maxCiphertext
	nonceLen        = 12
	explicitLen     = 8 // explicit nonce of GCM and CCM in TLS 1.2
)

// parseRecordHeader gives the type and the length of the body. A length beyond
// maxCiphertext is refused before anything is read or allocated for it.
func parseRecordHeader(h []byte) (recordType, int, error) {
	typ := recordType(h[0])
	if typ < recordChangeCipherSpec || typ > recordApplicationData || h[1] != 3 {
		return 0, 0, refuse(CheckRecord, AlertUnexpectedMessage, "a TLS record",
			"octets "+quotePeer(h[:recordHeaderLen]))
	}
	n := int(binary.BigEndian.Uint16(h[3:recordHeaderLen]))
	if n > maxCiphertext {
		return 0, 0, refuse(CheckRecord, AlertRecordOverflow,
			fmt.Sprintf("at most %d octets", maxCiphertext), fmt.Sprintf("%d", n))
	}
	return typ, n, nil
}

// protection protects one direction of a connection. The zero value passes
// records through unprotected. It is not safe for concurrent use.
type protection struct {
	aead   cipher.AEAD
	suite  *suite // nil before the first key
	secret []byte // TLS 1.3 traffic secret, the root of the next KeyUpdate
	iv     [nonceLen]byte
	seq    uint64
	used   uint64 // blocks under the present key, see gcmBlockLimit
	limit  uint64

	// Scratch space: AEAD calls go through an interface, so locals would be
	// allocated for each record.
	nonce [nonceLen]byte
	aad   [13]byte
}

// setKeys12 installs a TLS 1.2 write key and IV.
func (p *protection) setKeys12(s *suite, key, iv []byte) error {
	aead, err := s.newAEAD(key)
	if err != nil {
		return internal(err)
	}
	p.install(s, aead, iv)
	return nil
}

// setSecret13 installs the key and IV of a TLS 1.3 traffic secret, RFC 8446
// §7.3. It takes over secret.
func (p *protection) setSecret13(k *kdf13, s *suite, secret []byte) error {
	key := k.key[:s.keyLen]
	defer clear(key)
	k.expandLabel(key, secret, labelKey, nil)
	aead, err := s.newAEAD(key)
	if err != nil {
		return internal(err)
	}
	clear(p.secret)
	p.secret = secret
	iv := k.key[:nonceLen]
	k.expandLabel(iv, secret, labelIV, nil)
	p.install(s, aead, iv)
	return nil
}

// update moves to the next traffic secret, RFC 8446 §7.2.
func (p *protection) update() error {
	k, next := newKDF13(p.suite.newHash), make([]byte, len(p.secret))
	defer k.wipe()
	k.expandLabel(next, p.secret, labelTrafficUpdate, nil)
	return p.setSecret13(k, p.suite, next)
}

func (p *protection) install(s *suite, aead cipher.AEAD, iv []byte) {
	p.suite, p.aead = s, aead
	p.iv = [nonceLen]byte{}
	copy(p.iv[:], iv)
	p.seq, p.used, p.limit = 0, 0, s.limit
}

// wipe clears the traffic secret, from which later keys would follow. The AEAD
// stays, so that a bug cannot turn protection off; its expanded key is left to
// the collector.
func (p *protection) wipe() {
	clear(p.secret)
	p.secret = nil
}

// exhausted reports whether the key has protected as much as it may.
func (p *protection) exhausted() bool { return p.aead != nil && p.used >= p.limit }

// count accounts for one record of n octets and advances the sequence number,
// which never wraps (RFC 8446 §5.3, RFC 5246 §6.1).
func (p *protection) count(n int) error {
	if p.seq == math.MaxUint64 {
		return refuse(CheckKeyLimit, AlertInternalError, "a sequence number below 2^64-1", "2^64-1")
	}
	p.seq++
	p.used += uint64(n+15)/16 + 2 //nolint:gosec // n is at most maxCiphertext
	return nil
}

// setNonce computes the nonce of the present sequence number into p.nonce:
// RFC 8446 §5.3 and RFC 7905 §2 (XOR), or RFC 5288 §3 (salt and explicit part).
// The explicit part is the sequence number, so it never repeats under a key.
func (p *protection) setNonce(explicit []byte) {
	copy(p.nonce[:], p.iv[:])
	if p.suite.explicit {
		copy(p.nonce[4:], explicit)
		return
	}
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], p.seq)
	subtle.XORBytes(p.nonce[4:], p.iv[4:], seq[:])
}

// setAAD12 computes seq_num + type + version + length, RFC 5246 §6.2.3.3.
func (p *protection) setAAD12(typ recordType, n int) []byte {
	binary.BigEndian.PutUint64(p.aad[:], p.seq)
	p.aad[8], p.aad[9], p.aad[10] = byte(typ), 3, 3
	binary.BigEndian.PutUint16(p.aad[11:], uint16(n)) //nolint:gosec // n is at most maxPlaintext
	return p.aad[:13]
}

// overhead is what seal adds to a plaintext, header included.
func (p *protection) overhead() int {
	switch {
	case p.aead == nil:
		return recordHeaderLen
	case p.suite.version == VersionTLS13:
		return recordHeaderLen + 1 + p.aead.Overhead()
	case p.suite.explicit:
		return recordHeaderLen + explicitLen + p.aead.Overhead()
	}
	return recordHeaderLen + p.aead.Overhead()
}

// seal appends one record with payload (at most maxPlaintext octets) to dst.
// wireVersion is the version field of an unprotected record; a protected one
// always says TLS 1.2.
func (p *protection) seal(dst []byte, typ recordType, wireVersion uint16, payload []byte) ([]byte, error) {
	start := len(dst)
	if p.aead == nil {
		dst = append(dst, byte(typ), byte(wireVersion>>8), byte(wireVersion), byte(len(payload)>>8), byte(len(payload)))
		return append(dst, payload...), nil
	}
	n := len(payload) + p.overhead() - recordHeaderLen
	if p.suite.version == VersionTLS13 {
		// TLSInnerPlaintext without padding: content || type, RFC 8446 §5.2.
		dst = append(dst, byte(recordApplicationData), 3, 3, byte(n>>8), byte(n))
		body := len(dst)
		dst = append(dst, payload...)
		dst = append(dst, byte(typ))
		p.setNonce(nil)
		dst = p.aead.Seal(dst[:body], p.nonce[:], dst[body:], dst[start:body])
		return dst, p.count(len(payload))
	}
	dst = append(dst, byte(typ), 3, 3, byte(n>>8), byte(n))
	if p.suite.explicit {
		dst = binary.BigEndian.AppendUint64(dst, p.seq)
		p.setNonce(dst[len(dst)-explicitLen:])
	} else {
		p.setNonce(nil)
	}
	body := len(dst)
	dst = append(dst, payload...)
	aad := p.setAAD12(typ, len(payload))
	dst = p.aead.Seal(dst[:body], p.nonce[:], dst[body:], aad)
	return dst, p.count(len(payload))
}

// open checks and removes the protection of one whole record, in place. The
// result is a part of rec.
func (p *protection) open(rec []byte) (recordType, []byte, error) {
	typ, body := recordType(rec[0]), rec[recordHeaderLen:]
	if p.aead == nil {
		if len(body) > maxPlaintext {
			return 0, nil, overflow(len(body))
		}
		return typ, body, nil
	}
	if p.suite.version == VersionTLS13 {
		return p.open13(rec)
	}
	minimum := p.overhead() - recordHeaderLen
	if len(body) < minimum {
		return 0, nil, refuse(CheckRecord, AlertBadRecordMAC, fmt.Sprintf("at least %d octets", minimum), fmt.Sprintf("%d", len(body)))
	}
	if p.suite.explicit {
		p.setNonce(body[:explicitLen])
		body = body[explicitLen:]
	} else {
		p.setNonce(nil)
	}
	n := len(body) - p.aead.Overhead()
	if n > maxPlaintext {
		return 0, nil, overflow(n)
	}
	plain, err := p.aead.Open(body[:0], p.nonce[:], body, p.setAAD12(typ, n))
	if err != nil {
		return 0, nil, errBadMAC()
	}
	return typ, plain, p.count(n)
}

// open13 is RFC 8446 §5.2: the type is the last octet that is not zero.
func (p *protection) open13(rec []byte) (recordType, []byte, error) {
	if recordType(rec[0]) != recordApplicationData {
		return 0, nil, refuse(CheckRecord, AlertUnexpectedMessage, "a protected record",
			fmt.Sprintf("an unprotected one of type %d", rec[0]))
	}
	body := rec[recordHeaderLen:]
	p.setNonce(nil)
	plain, err := p.aead.Open(body[:0], p.nonce[:], body, rec[:recordHeaderLen])
	if err != nil {
		return 0, nil, errBadMAC()
	}
	if len(plain) > maxPlaintext+1 {
		return 0, nil, overflow(len(plain) - 1)
	}
	i := len(plain) - 1
	for i >= 0 && plain[i] == 0 {
		i--
	}
	if i < 0 {
		return 0, nil, refuse(CheckRecord, AlertUnexpectedMessage, "a content type", "only padding")
	}
	return recordType(plain[i]), plain[:i], p.count(len(plain))
}

func errBadMAC() *Error {
	return refuse(CheckRecord, AlertBadRecordMAC, "a record protected with our keys", "one that does not verify")
}

// isBadMAC reports whether err is a record that does not verify.
func isBadMAC(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Check == CheckRecord && e.Alert == AlertBadRecordMAC
}

func overflow(n int) *Error {
	return refuse(CheckRecord, AlertRecordOverflow, fmt.Sprintf("at most %d octets of content", maxPlaintext), fmt.Sprintf("%d", n))
}
