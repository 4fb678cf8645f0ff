package cose

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// wrapIV is the initial value of RFC 3394 §2.2.3.1.
const wrapIV = 0xa6a6a6a6a6a6a6a6

// wrapMax bounds the key data: content keys are at most 32 bytes, the rest is
// room for the public test vectors.
const wrapMax = 512

// WrapKey encrypts key data under kek with AES key wrap, RFC 3394 §2.2.1. The
// key data is a multiple of 8 bytes, at least 16; the result is 8 bytes longer.
func WrapKey(kek, key []byte) ([]byte, error) {
	block, err := wrapCipher(kek)
	if err != nil {
		return nil, err
	}
	if len(key) < 16 || len(key)%8 != 0 || len(key) > wrapMax {
		return nil, fmt.Errorf("wrap %d bytes of key data: %w", len(key), ErrKey)
	}
	out := make([]byte, 8+len(key))
	copy(out[8:], key)
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[:8], wrapIV)
	n := len(key) / 8
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(b[8:], out[8*i:8*i+8])
			block.Encrypt(b[:], b[:])
			t := uint64(n*j + i)
			binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^t)
			copy(out[8*i:], b[8:])
		}
	}
	copy(out, b[:8])
	return out, nil
}

// UnwrapKey is the inverse of WrapKey, RFC 3394 §2.2.2. Every failure of the
// integrity check is ErrVerify.
func UnwrapKey(kek, wrapped []byte) ([]byte, error) {
	block, err := wrapCipher(kek)
	if err != nil {
		return nil, err
	}
	if len(wrapped) < 24 || len(wrapped)%8 != 0 || len(wrapped) > wrapMax+8 {
		return nil, ErrVerify
	}
	out := make([]byte, len(wrapped)-8)
	copy(out, wrapped[8:])
	var b [aes.BlockSize]byte
	copy(b[:8], wrapped)
	n := len(out) / 8
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			t := uint64(n*j + i)
			binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^t)
			copy(b[8:], out[8*(i-1):8*i])
			block.Decrypt(b[:], b[:])
			copy(out[8*(i-1):], b[8:])
		}
	}
	var iv [8]byte
	binary.BigEndian.PutUint64(iv[:], wrapIV)
	if subtle.ConstantTimeCompare(b[:8], iv[:]) != 1 {
		clear(out)
		return nil, ErrVerify
	}
	return out, nil
}

func wrapCipher(kek []byte) (cipher.Block, error) {
	if len(kek) != 16 && len(kek) != 32 {
		return nil, fmt.Errorf("key encryption key of %d bytes: %w", len(kek), ErrKey)
	}
	return aes.NewCipher(kek)
}
