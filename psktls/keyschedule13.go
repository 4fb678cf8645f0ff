package psktls

import (
	"crypto/hkdf"
	"crypto/hmac"
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
	newHash func() hash.Hash
	size    int // octets of hash output
	secret  []byte
}

// earlySecret13 starts the schedule from the pre-shared key.
func earlySecret13(newHash func() hash.Hash, psk []byte) (*schedule13, error) {
	s := &schedule13{newHash: newHash, size: newHash().Size()}
	var err error
	s.secret, err = hkdf.Extract(newHash, psk, make([]byte, s.size))
	return s, err
}

// advance mixes the next input into the schedule; nil stands for a string of
// zeros (psk_ke has no (EC)DHE secret; the Master Secret never has input).
func (s *schedule13) advance(input []byte) error {
	salt, err := s.derive(labelDerived, s.newHash().Sum(nil))
	if err != nil {
		return err
	}
	if input == nil {
		input = make([]byte, s.size)
	}
	next, err := hkdf.Extract(s.newHash, input, salt)
	clear(s.secret)
	s.secret = next
	return err
}

// derive is Derive-Secret(secret, label, messages) with the transcript hash of
// the messages already computed.
func (s *schedule13) derive(label string, transcriptHash []byte) ([]byte, error) {
	return expandLabel(s.newHash, s.secret, label, transcriptHash, s.size)
}

// wipe clears the running secret.
func (s *schedule13) wipe() { clear(s.secret) }

// expandLabel is HKDF-Expand-Label of RFC 8446 §7.1:
//
//	struct {
//	    uint16 length = Length;
//	    opaque label<7..255> = "tls13 " + Label;
//	    opaque context<0..255> = Context;
//	} HkdfLabel;
//
// label and context are at most 249 and 255 octets; callers guarantee it.
func expandLabel(newHash func() hash.Hash, secret []byte, label string, context []byte, length int) ([]byte, error) {
	info := make([]byte, 0, 4+len(labelPrefix)+len(label)+len(context))
	info = append(info, byte(length>>8), byte(length), byte(len(labelPrefix)+len(label)))
	info = append(info, labelPrefix...)
	info = append(info, label...)
	info = append(info, byte(len(context)))
	info = append(info, context...)
	return hkdf.Expand(newHash, secret, string(info), length)
}

// finishedMAC is the verify_data of RFC 8446 §4.4.4, also used for binders
// (§4.2.11.2): HMAC under the finished key of baseKey.
func finishedMAC(newHash func() hash.Hash, baseKey, transcriptHash []byte) ([]byte, error) {
	key, err := expandLabel(newHash, baseKey, labelFinished, nil, newHash().Size())
	if err != nil {
		return nil, err
	}
	defer clear(key)
	mac := hmac.New(newHash, key)
	mac.Write(transcriptHash)
	return mac.Sum(nil), nil
}

// binder computes the PSK binder of an external key over the hash of the
// transcript up to and including the truncated ClientHello.
func (s *schedule13) binder(transcriptHash []byte) ([]byte, error) {
	key, err := s.derive(labelExtBinder, s.newHash().Sum(nil))
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return finishedMAC(s.newHash, key, transcriptHash)
}

// exporter13 is TLS-Exporter of RFC 8446 §7.5.
func exporter13(newHash func() hash.Hash, master []byte, label string, context []byte, length int) ([]byte, error) {
	secret, err := expandLabel(newHash, master, label, newHash().Sum(nil), newHash().Size())
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	h := newHash()
	h.Write(context)
	return expandLabel(newHash, secret, labelExporter, h.Sum(nil), length)
}

// secrets13 are the traffic secrets of one phase; exporter only of the second.
type secrets13 struct {
	client, server, exporter []byte
}

// handshakeKeys goes on to the Handshake Secret with the (EC)DHE secret, nil for
// psk_ke, and derives the secrets over ClientHello...ServerHello.
func (s *schedule13) handshakeKeys(shared, transcriptHash []byte) (secrets13, error) {
	return s.phase(shared, transcriptHash, labelClientHandshake, labelServerHandshake)
}

// applicationKeys goes on to the Master Secret and derives the secrets over
// ClientHello...server Finished.
func (s *schedule13) applicationKeys(transcriptHash []byte) (secrets13, error) {
	out, err := s.phase(nil, transcriptHash, labelClientTraffic, labelServerTraffic)
	if err == nil {
		out.exporter, err = s.derive(labelExporterMaster, transcriptHash)
	}
	return out, internal(err)
}

func (s *schedule13) phase(input, transcriptHash []byte, client, server string) (out secrets13, err error) {
	if err = s.advance(input); err == nil {
		if out.client, err = s.derive(client, transcriptHash); err == nil {
			out.server, err = s.derive(server, transcriptHash)
		}
	}
	return out, internal(err)
}

// checkFinished13 checks the peer's Finished, RFC 8446 §4.4.4.
func checkFinished13(s *suite, msg, baseKey, transcriptHash []byte) error {
	verify, err := parseFinished(msg, s.hash.Size())
	if err != nil {
		return err
	}
	want, err := finishedMAC(s.newHash, baseKey, transcriptHash)
	if err != nil {
		return internal(err)
	}
	if subtle.ConstantTimeCompare(verify, want) != 1 {
		return refuse(CheckMessage, AlertDecryptError, "a Finished over the messages we saw", "another one")
	}
	return nil
}
