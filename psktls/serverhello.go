package psktls

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
)

// helloRetryRandom marks a ServerHello as a HelloRetryRequest, RFC 8446 §4.1.3:
// SHA-256 of "HelloRetryRequest".
var helloRetryRandom = []byte{
	0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
	0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
}

// The last octets of ServerHello.random when a server that knows TLS 1.3
// negotiates less, RFC 8446 §4.1.3.
var (
	downgradeTo12 = []byte("DOWNGRD\x01")
	downgradeTo11 = []byte("DOWNGRD\x00")
)

// serverHello is the ServerHello of both versions and the HelloRetryRequest.
type serverHello struct {
	raw       []byte
	version   uint16 // legacy_version
	random    []byte
	sessionID []byte
	suite     uint16

	selectedVersion  uint16   // supported_versions; 0 if absent
	share            keyShare // key_share; in a HelloRetryRequest only the group
	hasShare         bool
	selectedIdentity uint16
	hasIdentity      bool
	cookie           []byte
	hasEMS           bool
	renegotiation    []byte // nil if the extension is absent
	pointFormats     bool
	alpn             string
	unexpected       uint16 // an extension that no client of ours asks for
	hasUnexpected    bool
}

func (h *serverHello) isRetry() bool { return bytes.Equal(h.random, helloRetryRandom) }

func parseServerHello(raw []byte) (*serverHello, error) {
	h := &serverHello{raw: raw}
	s := cryptobyte.String(raw[messageHeaderLen:])
	var sessionID cryptobyte.String
	var compression uint8
	if !s.ReadUint16(&h.version) || !s.ReadBytes(&h.random, randomLen) ||
		!s.ReadUint8LengthPrefixed(&sessionID) || len(sessionID) > maxSessionID ||
		!s.ReadUint16(&h.suite) || !s.ReadUint8(&compression) {
		return nil, malformed("ServerHello")
	}
	h.sessionID = sessionID
	if compression != 0 {
		return nil, refuse(CheckMessage, AlertIllegalParameter, "null compression", "another method")
	}
	if s.Empty() {
		return h, nil
	}
	return h, readExtensions(&s, h.extension)
}

func (h *serverHello) extension(typ uint16, body cryptobyte.String, _ bool) bool {
	switch typ {
	case extSupportedVersions:
		return body.ReadUint16(&h.selectedVersion) && body.Empty()
	case extKeyShare:
		h.hasShare = true
		if !body.ReadUint16(&h.share.group) {
			return false
		}
		if h.isRetry() {
			return body.Empty()
		}
		var data cryptobyte.String
		ok := body.ReadUint16LengthPrefixed(&data) && body.Empty() && !data.Empty()
		h.share.data = data
		return ok
	case extPreSharedKey:
		h.hasIdentity = true
		return body.ReadUint16(&h.selectedIdentity) && body.Empty()
	case extCookie:
		var cookie cryptobyte.String
		ok := body.ReadUint16LengthPrefixed(&cookie) && body.Empty() && !cookie.Empty()
		h.cookie = cookie
		return ok
	case extExtendedMasterSecret:
		h.hasEMS = true
		return body.Empty()
	case extRenegotiationInfo:
		var data cryptobyte.String
		ok := body.ReadUint8LengthPrefixed(&data) && body.Empty()
		h.renegotiation = append([]byte{}, data...)
		return ok
	case extPointFormats:
		h.pointFormats = true
		return true
	case extALPN:
		var ok bool
		h.alpn, ok = readSelectedALPN(body)
		return ok
	}
	h.unexpected, h.hasUnexpected = typ, true
	return true
}

// readSelectedALPN reads a list of exactly one name, RFC 7301 §3.1.
func readSelectedALPN(body cryptobyte.String) (string, bool) {
	var list, name cryptobyte.String
	ok := body.ReadUint16LengthPrefixed(&list) && body.Empty() &&
		list.ReadUint8LengthPrefixed(&name) && list.Empty() && !name.Empty()
	return string(name), ok
}

func addSelectedALPN(b *cryptobyte.Builder, name string) {
	addExtension(b, extALPN, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { addBytes8(b, []byte(name)) })
	})
}

// marshal builds the message from the fields that are set.
func (h *serverHello) marshal() ([]byte, error) {
	return message(typeServerHello, func(b *cryptobyte.Builder) {
		b.AddUint16(VersionTLS12)
		b.AddBytes(h.random)
		addBytes8(b, h.sessionID)
		b.AddUint16(h.suite)
		b.AddUint8(0)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			if h.selectedVersion != 0 {
				addExtension(b, extSupportedVersions, func(b *cryptobyte.Builder) { b.AddUint16(h.selectedVersion) })
			}
			if h.hasShare {
				addExtension(b, extKeyShare, func(b *cryptobyte.Builder) {
					b.AddUint16(h.share.group)
					if !h.isRetry() {
						addBytes16(b, h.share.data)
					}
				})
			}
			if h.hasIdentity {
				addExtension(b, extPreSharedKey, func(b *cryptobyte.Builder) { b.AddUint16(h.selectedIdentity) })
			}
			if h.hasEMS {
				addExtension(b, extExtendedMasterSecret, addNothing)
			}
			if h.renegotiation != nil {
				addExtension(b, extRenegotiationInfo, func(b *cryptobyte.Builder) { addBytes8(b, h.renegotiation) })
			}
			if h.pointFormats {
				addExtension(b, extPointFormats, func(b *cryptobyte.Builder) { addBytes8(b, []byte{0}) })
			}
			if h.alpn != "" {
				addSelectedALPN(b, h.alpn)
			}
		})
	})
}

// marshalEncryptedExtensions builds EncryptedExtensions, RFC 8446 §4.3.1, with
// at most the selected application protocol.
func marshalEncryptedExtensions(alpn string) ([]byte, error) {
	return message(typeEncryptedExtensions, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			if alpn != "" {
				addSelectedALPN(b, alpn)
			}
		})
	})
}

// parseEncryptedExtensions gives the selected application protocol, "" if
// there is none. Extensions that a server may send of its own accord, such as
// supported_groups, are ignored; those that belong into other messages are
// refused (RFC 8446 §4.2).
func parseEncryptedExtensions(raw []byte) (alpn string, err error) {
	s := cryptobyte.String(raw[messageHeaderLen:])
	var misplaced error
	err = readExtensions(&s, func(typ uint16, body cryptobyte.String, _ bool) (ok bool) {
		switch typ {
		case extALPN:
			alpn, ok = readSelectedALPN(body)
			return ok
		case extSupportedGroups:
			return true
		case extEarlyData:
			misplaced = refuse(CheckExtension, AlertUnsupportedExtension, "no early_data, none was offered", "early_data")
		case extPreSharedKey, extKeyShare, extSupportedVersions, extPSKModes, extCookie:
			misplaced = refuse(CheckExtension, AlertIllegalParameter, "extensions of EncryptedExtensions", extensionName(typ))
		default:
			misplaced = refuse(CheckExtension, AlertUnsupportedExtension, "extensions that were offered", extensionName(typ))
		}
		return true
	})
	if err == nil {
		err = misplaced
	}
	return alpn, err
}

const (
	curveTypeNamed    = 3 // RFC 8422 §5.4
	uncompressedPoint = 0
)

// marshalServerKeyExchange builds the ServerKeyExchange of RFC 4279 §2 (hint
// only, group 0) or of RFC 5489 §2 (hint and ECDH parameters, unsigned).
func marshalServerKeyExchange(hint string, group uint16, public []byte) ([]byte, error) {
	return message(typeServerKeyExchange, func(b *cryptobyte.Builder) {
		addBytes16(b, []byte(hint))
		if group != 0 {
			b.AddUint8(curveTypeNamed)
			b.AddUint16(group)
			addBytes8(b, public)
		}
	})
}

// parseServerKeyExchange reads what marshalServerKeyExchange writes. The hint
// is read past: a client of this package has one identity.
func parseServerKeyExchange(raw []byte, ecdhe bool) (keyShare, error) {
	s := cryptobyte.String(raw[messageHeaderLen:])
	var hint, public cryptobyte.String
	var share keyShare
	ok := s.ReadUint16LengthPrefixed(&hint)
	if ok && ecdhe {
		var curveType uint8
		ok = s.ReadUint8(&curveType) && curveType == curveTypeNamed && s.ReadUint16(&share.group) &&
			s.ReadUint8LengthPrefixed(&public) && !public.Empty()
		share.data = public
	}
	if !ok || !s.Empty() {
		return keyShare{}, malformed("ServerKeyExchange")
	}
	return share, nil
}

// marshalClientKeyExchange builds the ClientKeyExchange of RFC 4279 §2 (public
// nil) or RFC 5489 §2.
func marshalClientKeyExchange(identity, public []byte) ([]byte, error) {
	return message(typeClientKeyExchange, func(b *cryptobyte.Builder) {
		addBytes16(b, identity)
		if public != nil {
			addBytes8(b, public)
		}
	})
}

func parseClientKeyExchange(raw []byte, ecdhe bool) (identity, public []byte, err error) {
	s := cryptobyte.String(raw[messageHeaderLen:])
	var id, point cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&id)
	if ok && ecdhe {
		ok = s.ReadUint8LengthPrefixed(&point) && !point.Empty()
	}
	if !ok || !s.Empty() {
		return nil, nil, malformed("ClientKeyExchange")
	}
	return id, point, nil
}
