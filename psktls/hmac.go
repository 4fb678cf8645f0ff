package psktls

import (
	"bytes"
	"crypto/subtle"
	"hash"
)

const (
	maxHashLen  = 48  // SHA-384
	maxBlockLen = 128 // SHA-384
)

var (
	ipad       = bytes.Repeat([]byte{0x36}, maxBlockLen)
	ipadToOpad = bytes.Repeat([]byte{0x36 ^ 0x5c}, maxBlockLen)
)

// keyedHash is HMAC (RFC 2104) for many keys, one after the other, with one hash
// and without allocation. A handshake of TLS 1.3 needs about 25 of them, and
// crypto/hmac makes two hashes and two pads for each key. It is not safe for
// concurrent use.
type keyedHash struct {
	hash  hash.Hash
	pad   [maxBlockLen]byte // the key, XOR ipad or opad
	inner [maxHashLen]byte
	chain [maxHashLen]byte  // A(i) of the TLS 1.2 PRF
	text  []byte            // the label of a derivation, with what goes around it
	small [maxBlockLen]byte // what text starts with
}

func newKeyedHash(newHash func() hash.Hash) *keyedHash {
	k := &keyedHash{hash: newHash()}
	k.text = k.small[:0]
	return k
}

// size is the octets of a sum.
func (k *keyedHash) size() int { return k.hash.Size() }

// plain appends the hash of message, without a key, to dst.
func (k *keyedHash) plain(dst, message []byte) []byte {
	k.hash.Reset()
	k.hash.Write(message)
	return k.hash.Sum(dst)
}

// sum appends HMAC(key, message) to dst, which may be a part of the message.
func (k *keyedHash) sum(dst, key []byte, message ...[]byte) []byte {
	pad := k.pad[:k.hash.BlockSize()]
	if len(key) > len(pad) {
		key = k.plain(k.pad[:0], key)
	}
	clear(pad[copy(pad, key):])
	subtle.XORBytes(pad, pad, ipad)
	k.hash.Reset()
	k.hash.Write(pad)
	for _, part := range message {
		k.hash.Write(part)
	}
	inner := k.hash.Sum(k.inner[:0])
	subtle.XORBytes(pad, pad, ipadToOpad)
	k.hash.Reset()
	k.hash.Write(pad)
	k.hash.Write(inner)
	return k.hash.Sum(dst)
}

// wipe clears what a key was mixed into.
func (k *keyedHash) wipe() {
	clear(k.pad[:])
	clear(k.inner[:])
	clear(k.chain[:])
	k.hash.Reset()
}
