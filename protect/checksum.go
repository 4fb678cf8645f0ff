package protect

import (
	"bytes"
	"crypto/sha256"
)

// checksumHead is CBOR [-16, h'..32 bytes..'] up to the hash: SHA-256 has the
// COSE identifier -16, RFC 9054.
var checksumHead = []byte{0x82, 0x2f, 0x58, 0x20}

// AppendChecksum appends payload behind its checksum:
//
//	ChecksumPrefix   82 2F 58 20 || SHA-256(payload) || payload
//	ChecksumRaw      SHA-256(payload) || payload
//
// It detects damage, not tampering. ChecksumNone appends the payload alone.
func AppendChecksum(dst []byte, form ChecksumForm, payload []byte) []byte {
	sum := sha256.Sum256(payload)
	switch form {
	case ChecksumPrefix:
		dst = append(dst, checksumHead...)
		fallthrough
	case ChecksumRaw:
		dst = append(dst, sum[:]...)
	}
	return append(dst, payload...)
}

// openChecksum returns the payload behind a checksum that matches; the result
// aliases b.
func openChecksum(form ChecksumForm, b []byte) ([]byte, bool) {
	if form == ChecksumPrefix {
		if !bytes.HasPrefix(b, checksumHead) {
			return nil, false
		}
		b = b[len(checksumHead):]
	}
	if form == ChecksumNone || len(b) < sha256.Size {
		return nil, false
	}
	sum := sha256.Sum256(b[sha256.Size:])
	if !bytes.Equal(sum[:], b[:sha256.Size]) {
		return nil, false
	}
	return b[sha256.Size:], true
}
