package psktls

import (
	"crypto/subtle"
	"hash"
)

// Labels of the TLS 1.2 PRF: RFC 5246 §6.3 and §7.4.9, RFC 7627 §4.
const (
	labelMasterSecret         = "master secret" // reserved, never used: EMS is required
	labelExtendedMasterSecret = "extended master secret"
	labelKeyExpansion         = "key expansion"
	labelClientFinished       = "client finished"
	labelServerFinished       = "server finished"
)

const (
	masterSecretLen = 48
	finished12Len   = 12
)

// prf12 is PRF(secret, label, seed) of RFC 5246 §5 into out: P_hash with the hash
// of the suite.
//
//	P_hash(secret, seed) = HMAC(secret, A(1) + seed) + HMAC(secret, A(2) + seed) + ...
//	A(0) = seed, A(i) = HMAC(secret, A(i-1))
func prf12(k *keyedHash, out, secret []byte, label string, seed []byte) {
	k.text = append(append(k.text[:0], label...), seed...)
	a := k.sum(k.chain[:0], secret, k.text)
	for n := 0; n < len(out); n += k.size() {
		copy(out[n:], k.sum(k.inner[:0], secret, a, k.text))
		a = k.sum(a[:0], secret, a)
	}
}

// premaster12 is the premaster secret of RFC 4279 §2 and RFC 5489 §2:
//
//	uint16 len(other) || other || uint16 len(psk) || psk
//
// other is the ECDH secret, or nil for plain PSK: zeros, as many as psk has
// octets.
func premaster12(other, psk []byte) []byte {
	if other == nil {
		other = make([]byte, len(psk))
	}
	out := make([]byte, 0, 4+len(other)+len(psk))
	out = append(out, byte(len(other)>>8), byte(len(other)))
	out = append(out, other...)
	out = append(out, byte(len(psk)>>8), byte(len(psk)))
	return append(out, psk...)
}

// keys12 are the write keys and IVs of RFC 5246 §6.3 for an AEAD suite.
type keys12 struct {
	clientKey, serverKey, clientIV, serverIV []byte
}

func keyBlock12(k *keyedHash, s *suite, master, clientRandom, serverRandom []byte) keys12 {
	seed := append(append(make([]byte, 0, 2*randomLen), serverRandom...), clientRandom...)
	block := make([]byte, 2*s.keyLen+2*s.ivLen)
	prf12(k, block, master, labelKeyExpansion, seed)
	take := func(n int) []byte {
		part := block[:n:n]
		block = block[n:]
		return part
	}
	return keys12{take(s.keyLen), take(s.keyLen), take(s.ivLen), take(s.ivLen)}
}

// exporter12 is the exporter of RFC 5705 §4; randoms is client random + server
// random. A nil context is no context, which differs from an empty one. The
// extended master secret makes it safe for channel binding (RFC 7627 §6.1).
func exporter12(newHash func() hash.Hash, master, randoms []byte, label string, context []byte, length int) []byte {
	seed := append(make([]byte, 0, len(randoms)+2+len(context)), randoms...)
	if context != nil {
		seed = append(seed, byte(len(context)>>8), byte(len(context)))
		seed = append(seed, context...)
	}
	out := make([]byte, length)
	k := newKeyedHash(newHash)
	defer k.wipe()
	prf12(k, out, master, label, seed)
	return out
}

// schedule12 is what both sides derive from premaster and session hash.
type schedule12 struct {
	suite   *suite
	kdf     *keyedHash
	master  []byte
	keys    keys12
	randoms []byte // client random, server random
}

// newSchedule12 derives the extended master secret (RFC 7627 §4) and the key
// block. It clears premaster.
func newSchedule12(s *suite, premaster, sessionHash, clientRandom, serverRandom []byte) *schedule12 {
	defer clear(premaster)
	k, master := newKeyedHash(s.newHash), make([]byte, masterSecretLen)
	prf12(k, master, premaster, labelExtendedMasterSecret, sessionHash)
	return &schedule12{
		suite: s, kdf: k, master: master,
		keys:    keyBlock12(k, s, master, clientRandom, serverRandom),
		randoms: append(append(make([]byte, 0, 2*randomLen), clientRandom...), serverRandom...),
	}
}

// finished is the verify_data of RFC 5246 §7.4.9 into out.
func (s *schedule12) finished(out []byte, label string, transcriptHash []byte) {
	prf12(s.kdf, out, s.master, label, transcriptHash)
}

// checkFinished checks the peer's Finished.
func (s *schedule12) checkFinished(msg []byte, label string, transcriptHash []byte) error {
	verify, err := parseFinished(msg, finished12Len)
	if err != nil {
		return err
	}
	want := make([]byte, finished12Len)
	s.finished(want, label, transcriptHash)
	if subtle.ConstantTimeCompare(verify, want) != 1 {
		return refuse(CheckMessage, AlertDecryptError, "a Finished over the messages we saw", "another one")
	}
	return nil
}

// wipe clears the write keys, which the ciphers have taken over, and what is left
// of other keys. The master secret stays for the exporter.
func (s *schedule12) wipe() {
	for _, key := range [][]byte{s.keys.clientKey, s.keys.serverKey, s.keys.clientIV, s.keys.serverIV} {
		clear(key)
	}
	s.kdf.wipe()
}
