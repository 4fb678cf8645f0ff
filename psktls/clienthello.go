package psktls

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

type keyShare struct {
	group uint16
	data  []byte
}

// clientHello is the ClientHello of RFC 8446 §4.1.2 and RFC 5246 §7.4.1.2. The
// slices of a parsed one point into raw.
type clientHello struct {
	raw []byte // the whole message

	version      uint16 // legacy_version
	random       []byte
	sessionID    []byte
	suites       []uint16
	compressions []byte

	versions []uint16 // supported_versions
	groups   []uint16
	shares   []keyShare
	modes    []byte // psk_key_exchange_modes
	cookie   []byte
	alpn     []string

	identities [][]byte // pre_shared_key, aligned with binders
	binders    [][]byte
	bindersAt  int // offset in raw of the binders list: the end of the truncated hello

	hasKeyShare     bool
	hasPreSharedKey bool
	hasEarlyData    bool
	hasEMS          bool
	renegotiation   []byte // renegotiated_connection; nil if the extension is absent
	pointFormats    []byte // nil if the extension is absent
}

// parseClientHello parses a whole message. It allocates no more than a small
// multiple of the message.
func parseClientHello(raw []byte) (*clientHello, error) {
	h := &clientHello{raw: raw}
	s := cryptobyte.String(raw[messageHeaderLen:])
	var suites, sessionID, compressions cryptobyte.String
	if !s.ReadUint16(&h.version) || !s.ReadBytes(&h.random, randomLen) ||
		!s.ReadUint8LengthPrefixed(&sessionID) || len(sessionID) > maxSessionID ||
		!s.ReadUint16LengthPrefixed(&suites) || len(suites) == 0 || len(suites)%2 != 0 ||
		!s.ReadUint8LengthPrefixed(&compressions) || len(compressions) == 0 {
		return nil, malformed("ClientHello")
	}
	h.sessionID, h.compressions = sessionID, compressions
	h.suites = make([]uint16, 0, len(suites)/2)
	for !suites.Empty() {
		var id uint16
		suites.ReadUint16(&id)
		h.suites = append(h.suites, id)
	}
	if s.Empty() {
		return h, nil // TLS 1.2 without extensions; refused later for want of EMS
	}
	if err := readExtensions(&s, h.extension); err != nil {
		return nil, err
	}
	if len(h.identities) != len(h.binders) {
		return nil, refuse(CheckPSKOffer, AlertIllegalParameter, "as many binders as identities", "a different number")
	}
	return h, nil
}

// extension parses one extension; unknown ones are ignored.
func (h *clientHello) extension(typ uint16, body cryptobyte.String, last bool) (ok bool) {
	switch typ {
	case extSupportedVersions:
		var list cryptobyte.String
		if !body.ReadUint8LengthPrefixed(&list) || !body.Empty() || list.Empty() || len(list)%2 != 0 {
			return false
		}
		for !list.Empty() {
			var v uint16
			list.ReadUint16(&v)
			h.versions = append(h.versions, v)
		}
		return true
	case extSupportedGroups:
		h.groups, ok = readUint16s(body)
		return ok
	case extKeyShare:
		h.hasKeyShare = true
		return h.readKeyShares(body)
	case extPSKModes:
		var modes cryptobyte.String
		ok = body.ReadUint8LengthPrefixed(&modes) && body.Empty() && !modes.Empty()
		h.modes = modes
		return ok
	case extPreSharedKey:
		// It must be the last extension, RFC 8446 §4.2.11: the binders cover
		// everything before themselves.
		h.hasPreSharedKey = true
		return last && h.readPreSharedKey(body)
	case extCookie:
		var cookie cryptobyte.String
		ok = body.ReadUint16LengthPrefixed(&cookie) && body.Empty() && !cookie.Empty()
		h.cookie = cookie
		return ok
	case extALPN:
		return h.readALPN(body)
	case extEarlyData:
		h.hasEarlyData = true
		return body.Empty()
	case extExtendedMasterSecret:
		h.hasEMS = true
		return body.Empty()
	case extRenegotiationInfo:
		var data cryptobyte.String
		ok = body.ReadUint8LengthPrefixed(&data) && body.Empty()
		h.renegotiation = append([]byte{}, data...)
		return ok
	case extPointFormats:
		var formats cryptobyte.String
		ok = body.ReadUint8LengthPrefixed(&formats) && body.Empty() && !formats.Empty()
		h.pointFormats = formats
		return ok
	}
	return true
}

func (h *clientHello) readKeyShares(body cryptobyte.String) bool {
	var list cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&list) || !body.Empty() {
		return false
	}
	for !list.Empty() {
		var share keyShare
		var data cryptobyte.String
		if !list.ReadUint16(&share.group) || !list.ReadUint16LengthPrefixed(&data) || data.Empty() {
			return false
		}
		share.data = data
		if len(h.shares) == maxExtensions {
			return false // more shares than there are groups to name
		}
		h.shares = append(h.shares, share)
	}
	return true
}

func (h *clientHello) readALPN(body cryptobyte.String) bool {
	var list cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&list) || !body.Empty() || list.Empty() {
		return false
	}
	for !list.Empty() {
		var name cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&name) || name.Empty() || len(h.alpn) == maxExtensions {
			return false
		}
		h.alpn = append(h.alpn, string(name))
	}
	return true
}

// readPreSharedKey parses OfferedPsks of RFC 8446 §4.2.11:
//
//	struct { opaque identity<1..2^16-1>; uint32 obfuscated_ticket_age; } PskIdentity;
//	opaque PskBinderEntry<32..255>;
//	struct {
//	    PskIdentity identities<7..2^16-1>;
//	    PskBinderEntry binders<33..2^16-1>;
//	} OfferedPsks;
//
// The ticket age is ignored: external keys have none.
func (h *clientHello) readPreSharedKey(body cryptobyte.String) bool {
	var identities, binders cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&identities) || identities.Empty() {
		return false
	}
	h.bindersAt = len(h.raw) - len(body)
	if !body.ReadUint16LengthPrefixed(&binders) || !body.Empty() || binders.Empty() {
		return false
	}
	for !identities.Empty() {
		var identity cryptobyte.String
		if !identities.ReadUint16LengthPrefixed(&identity) || identity.Empty() || !identities.Skip(4) {
			return false
		}
		h.identities = append(h.identities, identity)
	}
	for !binders.Empty() {
		var binder cryptobyte.String
		if !binders.ReadUint8LengthPrefixed(&binder) || len(binder) < 32 {
			return false
		}
		h.binders = append(h.binders, binder)
	}
	return true
}

// offers reports whether a suite value is in the hello.
func (h *clientHello) offers(id uint16) bool { return slices.Contains(h.suites, id) }

// sameAs reports whether a second ClientHello repeats what RFC 8446 §4.1.2
// forbids to change after a HelloRetryRequest.
func (h *clientHello) sameAs(first *clientHello) bool {
	return h.version == first.version && bytes.Equal(h.random, first.random) &&
		bytes.Equal(h.sessionID, first.sessionID) && slices.Equal(h.suites, first.suites) &&
		bytes.Equal(h.compressions, first.compressions) && slices.Equal(h.versions, first.versions) &&
		slices.Equal(h.groups, first.groups) && bytes.Equal(h.modes, first.modes) &&
		slices.Equal(h.alpn, first.alpn)
}

// marshal builds the message of a client into h.raw and sets bindersAt. There is
// one binder for each identity: binderLen zeros, to be filled in by setBinder.
func (h *clientHello) marshal(binderLen int) error {
	raw, err := message(typeClientHello, func(b *cryptobyte.Builder) {
		b.AddUint16(VersionTLS12)
		b.AddBytes(h.random)
		addBytes8(b, h.sessionID)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, id := range h.suites {
				b.AddUint16(id)
			}
		})
		addBytes8(b, h.compressions)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			h.addCommonExtensions(b)
			if h.versions != nil {
				h.add13Extensions(b, binderLen)
			}
		})
	})
	h.raw = raw
	h.bindersAt = len(raw) - (2 + len(h.identities)*(1+binderLen))
	return err
}

func (h *clientHello) addCommonExtensions(b *cryptobyte.Builder) {
	if h.hasEMS {
		addExtension(b, extExtendedMasterSecret, addNothing)
		addExtension(b, extRenegotiationInfo, func(b *cryptobyte.Builder) { b.AddUint8(0) })
		addExtension(b, extPointFormats, func(b *cryptobyte.Builder) { addBytes8(b, h.pointFormats) })
	}
	addExtension(b, extSupportedGroups, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, g := range h.groups {
				b.AddUint16(g)
			}
		})
	})
	if len(h.alpn) > 0 {
		addExtension(b, extALPN, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, p := range h.alpn {
					addBytes8(b, []byte(p))
				}
			})
		})
	}
}

func (h *clientHello) add13Extensions(b *cryptobyte.Builder, binderLen int) {
	addExtension(b, extSupportedVersions, func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, v := range h.versions {
				b.AddUint16(v)
			}
		})
	})
	addExtension(b, extPSKModes, func(b *cryptobyte.Builder) { addBytes8(b, h.modes) })
	addExtension(b, extKeyShare, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, share := range h.shares {
				b.AddUint16(share.group)
				addBytes16(b, share.data)
			}
		})
	})
	if len(h.cookie) > 0 {
		addExtension(b, extCookie, func(b *cryptobyte.Builder) { addBytes16(b, h.cookie) })
	}
	addExtension(b, extPreSharedKey, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, identity := range h.identities {
				addBytes16(b, identity)
				b.AddUint32(0) // obfuscated_ticket_age of an external key
			}
		})
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for range h.identities {
				addBytes8(b, make([]byte, binderLen))
			}
		})
	})
}

// setBinder writes binder i of a marshalled hello; all have the same length.
func (h *clientHello) setBinder(i int, binder []byte) {
	copy(h.raw[h.bindersAt+2+i*(1+len(binder))+1:], binder)
}
