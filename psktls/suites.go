package psktls

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// Protocol versions.
const (
	VersionTLS12 uint16 = 0x0303
	VersionTLS13 uint16 = 0x0304
)

// VersionName gives "TLS 1.2", "TLS 1.3" or the number in hexadecimal.
func VersionName(v uint16) string {
	switch v {
	case VersionTLS12:
		return "TLS 1.2"
	case VersionTLS13:
		return "TLS 1.3"
	}
	return fmt.Sprintf("0x%04x", v)
}

// Cipher suites, by their IANA names. All are AEAD suites.
const (
	// TLS 1.3, RFC 8446 §B.4. Whether the exchange is psk_dhe_ke or psk_ke is
	// not part of the suite.
	TLS_AES_128_GCM_SHA256       uint16 = 0x1301
	TLS_AES_256_GCM_SHA384       uint16 = 0x1302 // needs Config.KeyHash = crypto.SHA384
	TLS_CHACHA20_POLY1305_SHA256 uint16 = 0x1303
	TLS_AES_128_CCM_SHA256       uint16 = 0x1304
	TLS_AES_128_CCM_8_SHA256     uint16 = 0x1305 // only if named in Config.CipherSuites

	// TLS 1.2 with forward secrecy, RFC 8442 and RFC 7905.
	TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256       uint16 = 0xD001
	TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384       uint16 = 0xD002
	TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256     uint16 = 0xD003 // only if named
	TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256       uint16 = 0xD005
	TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256 uint16 = 0xCCAC

	// TLS 1.2 without forward secrecy, RFC 5487, RFC 6655 and RFC 7905: only
	// with Config.AllowNoForwardSecrecy.
	TLS_PSK_WITH_AES_128_GCM_SHA256       uint16 = 0x00A8
	TLS_PSK_WITH_AES_256_GCM_SHA384       uint16 = 0x00A9
	TLS_PSK_WITH_AES_128_CCM              uint16 = 0xC0A4
	TLS_PSK_WITH_AES_256_CCM              uint16 = 0xC0A5
	TLS_PSK_WITH_AES_128_CCM_8            uint16 = 0xC0A8 // only if named
	TLS_PSK_WITH_AES_256_CCM_8            uint16 = 0xC0A9 // only if named
	TLS_PSK_WITH_CHACHA20_POLY1305_SHA256 uint16 = 0xCCAB
)

// Signalling cipher suite values.
const (
	scsvRenegotiation uint16 = 0x00FF // RFC 5746 §3.3
	scsvFallback      uint16 = 0x5600 // RFC 7507 §2
)

// Key usage limits, counted in 16-octet blocks of plaintext plus a constant per
// record, so that a connection of small records is not cut early.
//
// RFC 8446 §5.5 allows 2^24.5 full-size records of 2^10 blocks under one
// AES-GCM key: 2^34.5 blocks; 2^34 leaves a margin. CCM spends two block cipher
// calls a block (RFC 9147 §B.2), so half of that. ChaCha20-Poly1305 is limited
// by the sequence number only.
const (
	gcmBlockLimit    = 1 << 34
	ccmBlockLimit    = 1 << 33
	chachaBlockLimit = 1 << 62
)

// suite is one cipher suite: immutable, shared by all connections.
type suite struct {
	id       uint16
	name     string
	version  uint16 // the one version it belongs to
	hash     crypto.Hash
	keyLen   int
	ivLen    int  // octets of the write IV taken from the key block (TLS 1.2)
	explicit bool // TLS 1.2: 8 octets of nonce in front of each record, RFC 5288 §3
	ecdhe    bool // TLS 1.2: ECDHE_PSK
	shortTag bool // CCM_8: 64-bit tag
	limit    uint64
	newAEAD  func(key []byte) (cipher.AEAD, error)
}

func (s *suite) newHash() hash.Hash {
	if s.hash == crypto.SHA384 {
		return sha512.New384()
	}
	return sha256.New()
}

func aeadGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func aeadCCM(key []byte) (cipher.AEAD, error)  { return newAESCCM(key, 16) }
func aeadCCM8(key []byte) (cipher.AEAD, error) { return newAESCCM(key, 8) }

// Shapes of suites; the table below fills in identity and version.
func gcm(keyLen int, h crypto.Hash) suite {
	return suite{hash: h, keyLen: keyLen, ivLen: 4, explicit: true, limit: gcmBlockLimit, newAEAD: aeadGCM}
}

func ccm(keyLen int) suite {
	return suite{hash: crypto.SHA256, keyLen: keyLen, ivLen: 4, explicit: true, limit: ccmBlockLimit, newAEAD: aeadCCM}
}

func ccm8(keyLen int) suite {
	s := ccm(keyLen)
	s.newAEAD, s.shortTag = aeadCCM8, true
	return s
}

func chacha() suite {
	return suite{hash: crypto.SHA256, keyLen: 32, ivLen: 12, limit: chachaBlockLimit, newAEAD: chacha20poly1305.New}
}

func tls13(id uint16, name string, s suite) *suite {
	s.id, s.name, s.version = id, name, VersionTLS13
	s.ivLen, s.explicit = 12, false
	return &s
}

func ecdhePSK(id uint16, name string, s suite) *suite {
	s.id, s.name, s.version, s.ecdhe = id, name, VersionTLS12, true
	return &s
}

func plainPSK(id uint16, name string, s suite) *suite {
	s.id, s.name, s.version = id, name, VersionTLS12
	return &s
}

// allSuites is in the order in which a client offers them by default.
var allSuites = []*suite{
	tls13(TLS_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256", gcm(16, crypto.SHA256)),
	tls13(TLS_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384", gcm(32, crypto.SHA384)),
	tls13(TLS_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256", chacha()),
	tls13(TLS_AES_128_CCM_SHA256, "TLS_AES_128_CCM_SHA256", ccm(16)),
	tls13(TLS_AES_128_CCM_8_SHA256, "TLS_AES_128_CCM_8_SHA256", ccm8(16)),

	ecdhePSK(TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256, "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", gcm(16, crypto.SHA256)),
	ecdhePSK(TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384, "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384", gcm(32, crypto.SHA384)),
	ecdhePSK(TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", chacha()),
	ecdhePSK(TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256, "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256", ccm(16)),
	ecdhePSK(TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256, "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", ccm8(16)),

	plainPSK(TLS_PSK_WITH_AES_128_GCM_SHA256, "TLS_PSK_WITH_AES_128_GCM_SHA256", gcm(16, crypto.SHA256)),
	plainPSK(TLS_PSK_WITH_AES_256_GCM_SHA384, "TLS_PSK_WITH_AES_256_GCM_SHA384", gcm(32, crypto.SHA384)),
	plainPSK(TLS_PSK_WITH_CHACHA20_POLY1305_SHA256, "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", chacha()),
	plainPSK(TLS_PSK_WITH_AES_128_CCM, "TLS_PSK_WITH_AES_128_CCM", ccm(16)),
	plainPSK(TLS_PSK_WITH_AES_256_CCM, "TLS_PSK_WITH_AES_256_CCM", ccm(32)),
	plainPSK(TLS_PSK_WITH_AES_128_CCM_8, "TLS_PSK_WITH_AES_128_CCM_8", ccm8(16)),
	plainPSK(TLS_PSK_WITH_AES_256_CCM_8, "TLS_PSK_WITH_AES_256_CCM_8", ccm8(32)),
}

func suiteByID(id uint16) *suite {
	for _, s := range allSuites {
		if s.id == id {
			return s
		}
	}
	return nil
}

// CipherSuiteName gives the IANA name of a suite of this package, else the
// number in hexadecimal.
func CipherSuiteName(id uint16) string {
	if s := suiteByID(id); s != nil {
		return s.name
	}
	return fmt.Sprintf("0x%04x", id)
}

// rank orders suites by what they protect: 0 is best. Within one rank the
// server follows the client's order, because the client knows its hardware.
func (s *suite) rank() int {
	r := 0
	if s.version == VersionTLS12 && !s.ecdhe {
		r += 2
	}
	if s.shortTag {
		r++
	}
	return r
}

const worstRank = 3

// selectSuite picks from allowed the best-ranked suite the client offered, the
// client's order deciding within a rank; nil if there is none.
func selectSuite(offered []uint16, allowed []*suite) *suite {
	for rank := 0; rank <= worstRank; rank++ {
		for _, id := range offered {
			for _, s := range allowed {
				if s.id == id && s.rank() == rank {
					return s
				}
			}
		}
	}
	return nil
}
