package psktls

import (
	"strconv"

	"golang.org/x/crypto/cryptobyte"
)

// Handshake message types, RFC 8446 §4 and RFC 5246 §7.4.
const (
	typeHelloRequest        uint8 = 0
	typeClientHello         uint8 = 1
	typeServerHello         uint8 = 2
	typeNewSessionTicket    uint8 = 4
	typeEncryptedExtensions uint8 = 8
	typeServerKeyExchange   uint8 = 12
	typeServerHelloDone     uint8 = 14
	typeClientKeyExchange   uint8 = 16
	typeFinished            uint8 = 20
	typeKeyUpdate           uint8 = 24
	typeMessageHash         uint8 = 254
)

// Extension types (IANA "TLS ExtensionType Values").
const (
	extSupportedGroups      uint16 = 10
	extPointFormats         uint16 = 11
	extALPN                 uint16 = 16
	extExtendedMasterSecret uint16 = 23
	extPreSharedKey         uint16 = 41
	extEarlyData            uint16 = 42
	extSupportedVersions    uint16 = 43
	extCookie               uint16 = 44
	extPSKModes             uint16 = 45
	extKeyShare             uint16 = 51
	extRenegotiationInfo    uint16 = 0xFF01
)

const (
	messageHeaderLen = 4
	// maxMessage bounds one handshake message, header included. A ClientHello
	// with post-quantum shares and several identities needs about 5 KiB.
	maxMessage    = 16 << 10
	usualMessage  = 192 // what most messages fit into
	maxExtensions = 64
	randomLen     = 32
	maxSessionID  = 32
)

// PskKeyExchangeMode, RFC 8446 §4.2.9.
const (
	modePSK    uint8 = 0 // psk_ke
	modePSKDHE uint8 = 1 // psk_dhe_ke
)

// message builds one handshake message: type, 24-bit length, body. The builder
// can fail only on a length prefix that overflows, which validated settings and
// bounded parsers exclude.
func message(typ uint8, body func(b *cryptobyte.Builder)) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, usualMessage))
	b.AddUint8(typ)
	b.AddUint24LengthPrefixed(body)
	out, err := b.Bytes()
	if err != nil {
		return nil, internal(err)
	}
	return out, nil
}

// addExtension appends one extension with the given body.
func addExtension(b *cryptobyte.Builder, typ uint16, body func(b *cryptobyte.Builder)) {
	b.AddUint16(typ)
	b.AddUint16LengthPrefixed(body)
}

func addBytes16(b *cryptobyte.Builder, v []byte) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
}

func addBytes8(b *cryptobyte.Builder, v []byte) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
}

func addNothing(*cryptobyte.Builder) {}

// readExtensions walks an extension block, refuses duplicates (RFC 8446 §4.2)
// and calls each for every extension. A false return means malformed.
func readExtensions(s *cryptobyte.String, each func(typ uint16, body cryptobyte.String, last bool) bool) error {
	var block cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&block) || !s.Empty() {
		return malformed("extension block")
	}
	var seen [maxExtensions]uint16
	for n := 0; !block.Empty(); n++ {
		var typ uint16
		var body cryptobyte.String
		if !block.ReadUint16(&typ) || !block.ReadUint16LengthPrefixed(&body) {
			return malformed("extension block")
		}
		if n == maxExtensions {
			return refuse(CheckMessage, AlertIllegalParameter, "at most 64 extensions", "more")
		}
		for _, t := range seen[:n] {
			if t == typ {
				return refuse(CheckMessage, AlertIllegalParameter, "each extension once", extensionName(typ)+" twice")
			}
		}
		seen[n] = typ
		if !each(typ, body, block.Empty()) {
			return malformed(extensionName(typ) + " extension")
		}
	}
	return nil
}

// readUint16s reads a list of 16-bit values with a 16-bit length prefix that
// fills s; at least one value.
func readUint16s(s cryptobyte.String) ([]uint16, bool) {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() || list.Empty() || len(list)%2 != 0 {
		return nil, false
	}
	out := make([]uint16, 0, len(list)/2)
	for !list.Empty() {
		var v uint16
		list.ReadUint16(&v)
		out = append(out, v)
	}
	return out, true
}

// parseFinished gives the verify_data of a Finished message.
func parseFinished(msg []byte, n int) ([]byte, error) {
	if len(msg) != messageHeaderLen+n {
		return nil, malformed("Finished message")
	}
	return msg[messageHeaderLen:], nil
}

func messageName(typ uint8) string {
	switch typ {
	case typeHelloRequest:
		return "HelloRequest"
	case typeClientHello:
		return "ClientHello"
	case typeServerHello:
		return "ServerHello"
	case typeNewSessionTicket:
		return "NewSessionTicket"
	case typeEncryptedExtensions:
		return "EncryptedExtensions"
	case 11:
		return "Certificate"
	case typeServerKeyExchange:
		return "ServerKeyExchange"
	case 13:
		return "CertificateRequest"
	case typeServerHelloDone:
		return "ServerHelloDone"
	case typeClientKeyExchange:
		return "ClientKeyExchange"
	case typeFinished:
		return "Finished"
	case typeKeyUpdate:
		return "KeyUpdate"
	}
	return "message type " + strconv.Itoa(int(typ))
}

func extensionName(typ uint16) string {
	switch typ {
	case extSupportedGroups:
		return "supported_groups"
	case extPointFormats:
		return "ec_point_formats"
	case extALPN:
		return "application_layer_protocol_negotiation"
	case extExtendedMasterSecret:
		return "extended_master_secret"
	case extPreSharedKey:
		return "pre_shared_key"
	case extEarlyData:
		return "early_data"
	case extSupportedVersions:
		return "supported_versions"
	case extCookie:
		return "cookie"
	case extPSKModes:
		return "psk_key_exchange_modes"
	case extKeyShare:
		return "key_share"
	case extRenegotiationInfo:
		return "renegotiation_info"
	}
	return "extension " + strconv.Itoa(int(typ))
}
