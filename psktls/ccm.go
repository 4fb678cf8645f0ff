package psktls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"sync"
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

// ccmState is the scratch space of one message. cipher.Block is an interface, so
// that locals would be allocated for every message; hence the pool.
type ccmState struct {
	mac     [aes.BlockSize]byte // CBC-MAC, in the end T
	counter [aes.BlockSize]byte // Ctr_i
	stream  [aes.BlockSize]byte // S_i
	padded  [aes.BlockSize]byte // first block of associated data
}

var ccmStates = sync.Pool{New: func() any { return new(ccmState) }}

// newAESCCM makes AES-CCM with an AES key and a tag of tagLen octets, 8 or 16.
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

// begin takes a state at counter block 0. It panics on lengths that no record
// of TLS has, as package cipher does.
func (c *aesCCM) begin(nonce []byte, n int, aad []byte) *ccmState {
	if len(nonce) != ccmNonceLen {
		panic("ccm: wrong nonce length")
	}
	if n > ccmMaxLength || len(aad) > ccmMaxAADLen {
		panic("ccm: message or associated data too long")
	}
	s := ccmStates.Get().(*ccmState)
	*s = ccmState{}
	s.counter[0] = ccmFlagLength
	copy(s.counter[1:], nonce)
	return s
}

func (s *ccmState) end() {
	*s = ccmState{}
	ccmStates.Put(s)
}

// authenticate leaves the masked tag T xor S_0 in s.mac: the CBC-MAC of SP
// 800-38C §6.1 over B_0, the associated data and the plaintext. The counter must
// be at 0 and is moved to 1.
func (c *aesCCM) authenticate(s *ccmState, nonce, plaintext, aad []byte) {
	s.mac[0] = byte((c.tagLen-2)/2)<<3 | ccmFlagLength
	if len(aad) > 0 {
		s.mac[0] |= ccmFlagAAD
	}
	copy(s.mac[1:], nonce)
	n := len(plaintext)
	s.mac[13], s.mac[14], s.mac[15] = byte(n>>16), byte(n>>8), byte(n)
	c.block.Encrypt(s.mac[:], s.mac[:])
	if len(aad) > 0 {
		clear(s.padded[:])
		binary.BigEndian.PutUint16(s.padded[:], uint16(len(aad))) //nolint:gosec // bounded by ccmMaxAADLen
		k := copy(s.padded[2:], aad)
		subtle.XORBytes(s.mac[:], s.mac[:], s.padded[:])
		c.block.Encrypt(s.mac[:], s.mac[:])
		c.absorb(s, aad[k:])
	}
	c.absorb(s, plaintext)
	c.nextStream(s)
	subtle.XORBytes(s.mac[:], s.mac[:], s.stream[:])
}

// absorb continues the CBC-MAC, the last block padded with zeros.
func (c *aesCCM) absorb(s *ccmState, data []byte) {
	for len(data) > 0 {
		n := subtle.XORBytes(s.mac[:], s.mac[:], data[:min(len(data), aes.BlockSize)])
		c.block.Encrypt(s.mac[:], s.mac[:])
		data = data[n:]
	}
}

// nextStream computes S_i for the present counter and advances the counter,
// which the length bound keeps within its q octets.
func (c *aesCCM) nextStream(s *ccmState) {
	c.block.Encrypt(s.stream[:], s.counter[:])
	for i := aes.BlockSize - 1; i >= aes.BlockSize-ccmLengthLen; i-- {
		if s.counter[i]++; s.counter[i] != 0 {
			return
		}
	}
}

// xor applies the key stream from the present counter on.
func (c *aesCCM) xor(s *ccmState, dst, src []byte) {
	for len(src) > 0 {
		c.nextStream(s)
		n := subtle.XORBytes(dst, src[:min(len(src), aes.BlockSize)], s.stream[:])
		dst, src = dst[n:], src[n:]
	}
}

// Seal implements cipher.AEAD. plaintext and dst may overlap entirely or not at
// all.
func (c *aesCCM) Seal(dst, nonce, plaintext, aad []byte) []byte {
	s := c.begin(nonce, len(plaintext), aad)
	defer s.end()
	c.authenticate(s, nonce, plaintext, aad)
	ret, out := grow(dst, len(plaintext)+c.tagLen)
	c.xor(s, out, plaintext)
	copy(out[len(plaintext):], s.mac[:c.tagLen])
	return ret
}

// Open implements cipher.AEAD. Nothing of the plaintext is left in dst when the
// tag does not verify.
func (c *aesCCM) Open(dst, nonce, ciphertext, aad []byte) ([]byte, error) {
	if len(ciphertext) < c.tagLen {
		return nil, errCCMOpen
	}
	n := len(ciphertext) - c.tagLen
	s := c.begin(nonce, n, aad)
	defer s.end()
	var want [aes.BlockSize]byte
	copy(want[:], ciphertext[n:])
	ret, out := grow(dst, n)
	s.counter[aes.BlockSize-1] = 1 // S_0 is for the tag
	c.xor(s, out, ciphertext[:n])
	clear(s.counter[aes.BlockSize-ccmLengthLen:])
	c.authenticate(s, nonce, out, aad)
	if subtle.ConstantTimeCompare(s.mac[:c.tagLen], want[:c.tagLen]) != 1 {
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
