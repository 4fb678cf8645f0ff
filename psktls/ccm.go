package psktls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// AES-CCM as TLS uses it (RFC 6655, RFC 8446 §5.3): 12-octet nonces, so a
// 3-octet length field (q = 3), and tags of 8 or 16 octets. NIST SP 800-38C.
const (
	ccmNonceLen   = 12
	ccmLengthLen  = 15 - ccmNonceLen        // q
	ccmMaxLength  = 1<<(8*ccmLengthLen) - 1 // octets of plaintext
	ccmMaxAADLen  = 0xFEFF                  // the two-octet form of SP 800-38C §A.2.2
	ccmFlagAAD    = 0x40
	ccmFlagLength = ccmLengthLen - 1
)

var errCCMOpen = errors.New("ccm: message authentication failed")

// aesCCM is a cipher.AEAD. It is safe for use by several goroutines.
type aesCCM struct {
	block  cipher.Block
	tagLen int
}

// newAESCCM makes AES-CCM with a key of 16 or 32 octets and a tag of tagLen
// octets, 8 or 16.
func newAESCCM(key []byte, tagLen int) (cipher.AEAD, error) {
	if tagLen != 8 && tagLen != 16 {
		return nil, errors.New("ccm: tag length is neither 8 nor 16")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &aesCCM{block: block, tagLen: tagLen}, nil
}

func (*aesCCM) NonceSize() int  { return ccmNonceLen }
func (c *aesCCM) Overhead() int { return c.tagLen }

// mac computes the CBC-MAC T of SP 800-38C §6.1 over B_0, the associated data
// and the plaintext.
func (c *aesCCM) mac(nonce, plaintext, aad []byte) [aes.BlockSize]byte {
	var x [aes.BlockSize]byte
	x[0] = byte((c.tagLen-2)/2)<<3 | ccmFlagLength
	if len(aad) > 0 {
		x[0] |= ccmFlagAAD
	}
	copy(x[1:], nonce)
	n := len(plaintext)
	x[13], x[14], x[15] = byte(n>>16), byte(n>>8), byte(n)
	c.block.Encrypt(x[:], x[:])

	if len(aad) > 0 {
		var first [aes.BlockSize]byte
		binary.BigEndian.PutUint16(first[:], uint16(len(aad))) //nolint:gosec // bounded by ccmMaxAADLen
		k := copy(first[2:], aad)
		subtle.XORBytes(x[:], x[:], first[:])
		c.block.Encrypt(x[:], x[:])
		c.cbc(&x, aad[k:])
	}
	c.cbc(&x, plaintext)
	return x
}

// cbc absorbs data, the last block padded with zeros.
func (c *aesCCM) cbc(x *[aes.BlockSize]byte, data []byte) {
	for len(data) > 0 {
		n := subtle.XORBytes(x[:], x[:], data[:min(len(data), aes.BlockSize)])
		c.block.Encrypt(x[:], x[:])
		data = data[n:]
	}
}

// stream gives the CTR key stream positioned at counter block 1, and S_0, the
// block that masks the tag.
func (c *aesCCM) stream(nonce []byte) (ctr cipher.Stream, s0 [aes.BlockSize]byte) {
	var a0 [aes.BlockSize]byte
	a0[0] = ccmFlagLength
	copy(a0[1:], nonce)
	ctr = cipher.NewCTR(c.block, a0[:])
	ctr.XORKeyStream(s0[:], s0[:])
	return ctr, s0
}

func (c *aesCCM) check(nonce []byte, n int, aad []byte) {
	if len(nonce) != ccmNonceLen {
		panic("ccm: wrong nonce length")
	}
	if n > ccmMaxLength || len(aad) > ccmMaxAADLen {
		panic("ccm: message or associated data too long")
	}
}

// Seal implements cipher.AEAD. plaintext and dst may overlap entirely or not at
// all.
func (c *aesCCM) Seal(dst, nonce, plaintext, aad []byte) []byte {
	c.check(nonce, len(plaintext), aad)
	tag := c.mac(nonce, plaintext, aad)
	ctr, s0 := c.stream(nonce)
	subtle.XORBytes(tag[:], tag[:], s0[:])

	ret, out := grow(dst, len(plaintext)+c.tagLen)
	ctr.XORKeyStream(out, plaintext)
	copy(out[len(plaintext):], tag[:c.tagLen])
	return ret
}

// Open implements cipher.AEAD. Nothing of the plaintext is left in dst when the
// tag does not verify.
func (c *aesCCM) Open(dst, nonce, ciphertext, aad []byte) ([]byte, error) {
	if len(ciphertext) < c.tagLen {
		return nil, errCCMOpen
	}
	n := len(ciphertext) - c.tagLen
	c.check(nonce, n, aad)
	ctr, s0 := c.stream(nonce)
	var want [aes.BlockSize]byte
	copy(want[:], ciphertext[n:])

	ret, out := grow(dst, n)
	ctr.XORKeyStream(out, ciphertext[:n])
	tag := c.mac(nonce, out, aad)
	subtle.XORBytes(tag[:], tag[:], s0[:])
	if subtle.ConstantTimeCompare(tag[:c.tagLen], want[:c.tagLen]) != 1 {
		clear(out)
		return nil, errCCMOpen
	}
	return ret, nil
}

// grow extends dst by n octets and gives the whole and the extension.
func grow(dst []byte, n int) (whole, extension []byte) {
	if total := len(dst) + n; cap(dst) >= total {
		whole = dst[:total]
	} else {
		whole = make([]byte, total)
		copy(whole, dst)
	}
	return whole, whole[len(dst):]
}
