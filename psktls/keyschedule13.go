package psktls

import (
	"crypto/subtle"
	"hash"
)

// Labels of the TLS 1.3 key schedule, RFC 8446 §7.1.
const (
	labelPrefix          = "tls13 "
	labelExtBinder       = "ext binder"
	labelDerived         = "derived"
	labelClientHandshake = "c hs traffic"
	labelServerHandshake = "s hs traffic"
	labelClientTraffic   = "c ap traffic"
	labelServerTraffic   = "s ap traffic"
	labelExporterMaster  = "exp master"
	labelExporter        = "exporter"
	labelFinished        = "finished"
	labelKey             = "key"
	labelIV              = "iv"
	labelTrafficUpdate   = "traffic upd"
)

// zeros stands for absent input of the key schedule.
var zeros [maxHashLen]byte

// kdf13 are the functions of RFC 8446 §7.1 over one hash. It is not safe for
// concurrent use.
type kdf13 struct {
	*keyedHash

	key   [maxHashLen]byte // a key that is used at once
	empty [maxHashLen]byte // the hash of no messages
}

func newKDF13(newHash func() hash.Hash) *kdf13 {
	k := &kdf13{keyedHash: newKeyedHash(newHash)}
	k.plain(k.empty[:0], nil)
	return k
}

// extract is HKDF-Extract (RFC 5869 §2.2) into out, which may be salt.
func (k *kdf13) extract(out, salt, input []byte) { k.sum(out[:0], salt, input) }

// expandLabel is HKDF-Expand-Label of RFC 8446 §7.1 into out:
//
//	struct {
//	    uint16 length = Length;
//	    opaque label<7..255> = "tls13 " + Label;
//	    opaque context<0..255> = Context;
//	} HkdfLabel;
//
// label and context are at most 249 and 255 octets, out at most 255 hashes;
// callers guarantee it. out may be secret if both are one hash long.
func (k *kdf13) expandLabel(out, secret []byte, label string, context []byte) {
	info := append(k.text[:0], byte(len(out)>>8), byte(len(out)), byte(len(labelPrefix)+len(label)))
	info = append(info, labelPrefix...)
	info = append(info, label...)
	info = append(info, byte(len(context)))
	info = append(info, context...)
	info = append(info, 0)
	k.text = info
	// HKDF-Expand, RFC 5869 §2.3: T(i) = HMAC(secret, T(i-1) || info || i).
	var previous []byte
	for n := 0; n < len(out); n += k.size() {
		info[len(info)-1]++
		previous = k.sum(k.inner[:0], secret, previous, info)
		copy(out[n:], previous)
	}
}

// derive is Derive-Secret(secret, label, messages), with the hash of the messages
// already computed, into out.
func (k *kdf13) derive(out, secret []byte, label string, transcriptHash []byte) {
	k.expandLabel(out[:k.size()], secret, label, transcriptHash)
}

// finishedMAC appends the verify_data of RFC 8446 §4.4.4 to dst: HMAC under the
// finished key of baseKey, which may be k.key. Binders are made alike
// (§4.2.11.2).
func (k *kdf13) finishedMAC(dst, baseKey, transcriptHash []byte) []byte {
	key := k.key[:k.size()]
	defer clear(key)
	k.expandLabel(key, baseKey, labelFinished, nil)
	return k.sum(dst, key, transcriptHash)
}

// checkFinished checks the peer's Finished, RFC 8446 §4.4.4.
func (k *kdf13) checkFinished(msg, baseKey, transcriptHash []byte) error {
	verify, err := parseFinished(msg, k.size())
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(verify, k.finishedMAC(k.inner[:0], baseKey, transcriptHash)) != 1 {
		return refuse(CheckMessage, AlertDecryptError, "a Finished over the messages we saw", "another one")
	}
	return nil
}

// export is TLS-Exporter of RFC 8446 §7.5 into out.
func (k *kdf13) export(out, master []byte, label string, context []byte) {
	secret := k.key[:k.size()]
	defer clear(secret)
	k.derive(secret, master, label, k.empty[:k.size()])
	k.expandLabel(out, secret, labelExporter, k.plain(nil, context))
}

// schedule13 is the running secret of RFC 8446 §7.1: Early Secret, then
// Handshake Secret, then Master Secret.
//
//	        0
//	        v
//	PSK -> HKDF-Extract = Early Secret ---> binder key (external)
//	        v
//	(EC)DHE -> HKDF-Extract = Handshake Secret ---> c hs, s hs
//	        v
//	0 -> HKDF-Extract = Master Secret ---> c ap, s ap, exporter master
type schedule13 struct {
	*kdf13

	running [maxHashLen]byte
}

// newSchedule13 starts the schedule from the pre-shared key.
func newSchedule13(newHash func() hash.Hash, psk []byte) *schedule13 {
	s := &schedule13{kdf13: newKDF13(newHash)}
	s.extract(s.secret(), zeros[:s.size()], psk)
	return s
}

func (s *schedule13) secret() []byte { return s.running[:s.size()] }

// advance mixes the next input into the schedule; nil stands for a string of
// zeros (psk_ke has no (EC)DHE secret; the Master Secret never has input).
func (s *schedule13) advance(input []byte) {
	if input == nil {
		input = zeros[:s.size()]
	}
	salt := s.key[:s.size()]
	defer clear(salt)
	s.derive(salt, s.secret(), labelDerived, s.empty[:s.size()])
	s.extract(s.secret(), salt, input)
}

// binder appends the PSK binder of an external key to dst, over the hash of the
// transcript up to and including the truncated ClientHello.
func (s *schedule13) binder(dst, transcriptHash []byte) []byte {
	key := s.key[:s.size()]
	s.derive(key, s.secret(), labelExtBinder, s.empty[:s.size()])
	return s.finishedMAC(dst, key, transcriptHash)
}

// secrets13 are the traffic secrets of one phase; exporter only of the second.
type secrets13 struct {
	client, server, exporter []byte
}

// handshakeKeys goes on to the Handshake Secret with the (EC)DHE secret, nil for
// psk_ke, and derives the secrets over ClientHello...ServerHello.
func (s *schedule13) handshakeKeys(shared, transcriptHash []byte) secrets13 {
	s.advance(shared)
	return secrets13{
		client: s.next(labelClientHandshake, transcriptHash),
		server: s.next(labelServerHandshake, transcriptHash),
	}
}

// applicationKeys goes on to the Master Secret and derives the secrets over
// ClientHello...server Finished.
func (s *schedule13) applicationKeys(transcriptHash []byte) secrets13 {
	s.advance(nil)
	return secrets13{
		client:   s.next(labelClientTraffic, transcriptHash),
		server:   s.next(labelServerTraffic, transcriptHash),
		exporter: s.next(labelExporterMaster, transcriptHash),
	}
}

// next derives a secret that outlives the schedule.
func (s *schedule13) next(label string, transcriptHash []byte) []byte {
	out := make([]byte, s.size())
	s.derive(out, s.secret(), label, transcriptHash)
	return out
}

// wipe clears the running secret and what is left of other keys.
func (s *schedule13) wipe() {
	clear(s.running[:])
	s.keyedHash.wipe()
}
