package psktls

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Bounds of keys and names, in octets.
const (
	// MinKeyLen is the shortest key accepted: 128 bits, RFC 9257 §6.
	MinKeyLen = 16
	// MaxKeyLen is the longest key accepted.
	MaxKeyLen = 256
	// MaxIdentityLen is the longest identity accepted; RFC 4279 §5.3 asks for
	// at least 128. A longer identity from a peer counts as unknown.
	MaxIdentityLen = 256
	// MaxIdentityHintLen bounds Config.IdentityHint.
	MaxIdentityHintLen = 128
)

// DefaultHandshakeTimeout applies when Config.HandshakeTimeout is zero.
const DefaultHandshakeTimeout = 10 * time.Second

const (
	maxNextProtos   = 16
	maxProtoNameLen = 255 // RFC 7301 §3.1
)

// Config configures servers and clients. It is copied when a listener or a
// connection is made; later changes have no effect. The zero value of every
// optional field is the safe default.
type Config struct {
	// GetKey gives a server the key of an identity; required for servers. nil,
	// nil means an unknown identity. An unknown identity, an error, a panic
	// and a key outside MinKeyLen..MaxKeyLen all look to the peer like a wrong
	// key: the handshake goes on with a random key and fails where a wrong key
	// fails. The callback runs on the handshake's goroutine, for several
	// connections at once. It must not block for long, since nothing interrupts
	// it, nor retain identity; the key it returns is only read, and only until
	// the handshake ends.
	GetKey func(identity []byte) ([]byte, error)

	// Identity and Key are what a client presents; required for clients.
	Identity []byte
	Key      Secret

	// KeyHash is the hash that every key of this Config belongs to in TLS 1.3
	// (RFC 8446 §4.2.11): crypto.SHA256, also the meaning of zero, or
	// crypto.SHA384, which makes TLS_AES_256_GCM_SHA384 the one TLS 1.3 suite.
	// TLS 1.2 does not know this binding.
	KeyHash crypto.Hash

	// MinVersion and MaxVersion bound the protocol version; zero means TLS 1.2
	// and TLS 1.3. RFC 9257 §6 prefers distinct keys for the two versions:
	// set both fields to one version to keep a key to it.
	MinVersion, MaxVersion uint16

	// CipherSuites are the suites allowed; a client offers them in this order.
	// Empty means every forward-secret suite with a full tag, and with
	// AllowNoForwardSecrecy also the plain PSK suites of TLS 1.2. CCM_8 suites
	// (64-bit tags) are used only when they are named here. A version for
	// which no suite remains is not negotiated.
	CipherSuites []uint16

	// Groups are the (EC)DHE groups allowed; empty means P-256, X25519, P-384,
	// with X25519 first on architectures for which Go has no assembly of P-256.
	// A client offers them in this order and sends a key share of the first. A
	// server takes the first of them among the shares that a TLS 1.3 client has
	// sent; if there is none, and in TLS 1.2, it follows the client's order.
	Groups []uint16

	// IdentityHint is sent by a TLS 1.2 server, RFC 4279 §5.2. It helps a
	// client to choose among its identities and is visible on the wire.
	IdentityHint string

	// AllowNoForwardSecrecy permits TLS 1.3 psk_ke and the plain PSK suites of
	// TLS 1.2, for devices that can do no better; (EC)DHE is still preferred.
	// Whoever steals such a key can read every recorded connection.
	AllowNoForwardSecrecy bool

	// HandshakeTimeout bounds the whole handshake; zero means
	// DefaultHandshakeTimeout. It cannot be switched off.
	HandshakeTimeout time.Duration

	// NextProtos are the application protocols for ALPN, preferred first, at
	// most 16. A server with NextProtos refuses a client that offers ALPN
	// without a common protocol, and accepts one that offers none.
	NextProtos []string
}

// ValidateServer reports what makes the Config unusable for a server; the error
// is an *Error of CheckConfig.
func (c *Config) ValidateServer() error {
	_, err := c.compile(false)
	return err
}

// ValidateClient reports what makes the Config unusable for a client; the error
// is an *Error of CheckConfig.
func (c *Config) ValidateClient() error {
	_, err := c.compile(true)
	return err
}

// settings is a validated, complete and immutable Config.
type settings struct {
	getKey     func([]byte) ([]byte, error)
	decoys     io.Reader // where the random keys of unknown identities come from
	identity   []byte
	key        Secret
	minVersion uint16
	maxVersion uint16
	suites13   []*suite
	suites12   []*suite
	groups     []uint16
	hint       string
	allowNoFS  bool
	timeout    time.Duration
	protos     []string
}

func badConfig(format string, args ...any) error {
	return &Error{Check: CheckConfig, Alert: AlertNone, Err: fmt.Errorf(format, args...)}
}

// compile validates c for one role and fills in the defaults.
func (c *Config) compile(client bool) (*settings, error) {
	if c == nil {
		return nil, badConfig("no Config")
	}
	s := &settings{
		getKey: c.GetKey, decoys: rand.Reader, hint: c.IdentityHint, allowNoFS: c.AllowNoForwardSecrecy,
		timeout: c.HandshakeTimeout, minVersion: c.MinVersion, maxVersion: c.MaxVersion,
		groups: slices.Clone(c.Groups), protos: slices.Clone(c.NextProtos),
	}
	if err := c.compileRole(s, client); err != nil {
		return nil, err
	}
	switch {
	case s.timeout < 0:
		return nil, badConfig("HandshakeTimeout %v is negative", s.timeout)
	case s.timeout == 0:
		s.timeout = DefaultHandshakeTimeout
	}
	if len(s.hint) > MaxIdentityHintLen {
		return nil, badConfig("IdentityHint has %d octets, at most %d are allowed", len(s.hint), MaxIdentityHintLen)
	}
	if len(s.protos) > maxNextProtos {
		return nil, badConfig("NextProtos has %d entries, at most %d are allowed", len(s.protos), maxNextProtos)
	}
	for _, p := range s.protos {
		if p == "" || len(p) > maxProtoNameLen {
			return nil, badConfig("NextProtos entry %q has %d octets, want 1 to %d", p, len(p), maxProtoNameLen)
		}
	}
	if err := s.compileGroups(); err != nil {
		return nil, err
	}
	if err := c.compileSuites(s); err != nil {
		return nil, err
	}
	return s, s.compileVersions()
}

// compileRole checks the fields that only one role uses.
func (c *Config) compileRole(s *settings, client bool) error {
	if !client {
		if c.GetKey == nil {
			return badConfig("a server needs GetKey")
		}
		return nil
	}
	if len(c.Identity) == 0 || len(c.Identity) > MaxIdentityLen {
		return badConfig("Identity has %d octets, want 1 to %d", len(c.Identity), MaxIdentityLen)
	}
	if err := checkKeyLen(c.Key); err != nil {
		return badConfig("Key: %w", err)
	}
	s.identity, s.key = bytes.Clone(c.Identity), bytes.Clone(c.Key)
	return nil
}

var (
	errKeyShort = errors.New("key is shorter than 16 octets")
	errKeyLong  = errors.New("key is longer than 256 octets")
)

func checkKeyLen(key []byte) error {
	switch {
	case len(key) < MinKeyLen:
		return errKeyShort
	case len(key) > MaxKeyLen:
		return errKeyLong
	}
	return nil
}

func (s *settings) compileGroups() error {
	if len(s.groups) == 0 {
		s.groups = defaultGroups
	}
	for i, g := range s.groups {
		if curveOf(g) == nil {
			return badConfig("Groups: %s is not supported", GroupName(g))
		}
		if slices.Contains(s.groups[:i], g) {
			return badConfig("Groups: %s is named twice", GroupName(g))
		}
	}
	return nil
}

// compileSuites splits the allowed suites by version.
func (c *Config) compileSuites(s *settings) error {
	keyHash := c.KeyHash
	switch keyHash {
	case 0:
		keyHash = crypto.SHA256
	case crypto.SHA256, crypto.SHA384:
	default:
		return badConfig("KeyHash %v is neither SHA-256 nor SHA-384", keyHash)
	}
	add := func(x *suite) {
		if x.version == VersionTLS13 {
			s.suites13 = append(s.suites13, x)
		} else {
			s.suites12 = append(s.suites12, x)
		}
	}
	if len(c.CipherSuites) == 0 {
		for _, x := range allSuites {
			plain := x.version == VersionTLS12 && !x.ecdhe
			wrongHash := x.version == VersionTLS13 && x.hash != keyHash
			if !x.shortTag && !wrongHash && (!plain || s.allowNoFS) {
				add(x)
			}
		}
		return nil
	}
	for i, id := range c.CipherSuites {
		x := suiteByID(id)
		switch {
		case x == nil:
			return badConfig("CipherSuites: 0x%04x is not supported", id)
		case slices.Contains(c.CipherSuites[:i], id):
			return badConfig("CipherSuites: %s is named twice", x.name)
		case x.version == VersionTLS12 && !x.ecdhe && !s.allowNoFS:
			return badConfig("CipherSuites: %s has no forward secrecy and needs AllowNoForwardSecrecy", x.name)
		case x.version == VersionTLS13 && x.hash != keyHash:
			return badConfig("CipherSuites: %s needs keys bound to %v (KeyHash)", x.name, x.hash)
		}
		add(x)
	}
	return nil
}

// compileVersions narrows the version range to what the suites permit.
func (s *settings) compileVersions() error {
	if s.minVersion == 0 {
		s.minVersion = VersionTLS12
	}
	if s.maxVersion == 0 {
		s.maxVersion = VersionTLS13
	}
	for _, v := range []uint16{s.minVersion, s.maxVersion} {
		if v != VersionTLS12 && v != VersionTLS13 {
			return badConfig("version %s is not supported", VersionName(v))
		}
	}
	if s.minVersion > s.maxVersion {
		return badConfig("MinVersion is above MaxVersion")
	}
	if s.maxVersion == VersionTLS13 && len(s.suites13) == 0 {
		s.maxVersion = VersionTLS12
	}
	if s.minVersion == VersionTLS12 && len(s.suites12) == 0 {
		s.minVersion = VersionTLS13
	}
	if s.minVersion > s.maxVersion {
		return badConfig("no cipher suite is left for the versions allowed")
	}
	return nil
}

// supports reports whether a version may be negotiated.
func (s *settings) supports(version uint16) bool {
	return s.minVersion <= version && version <= s.maxVersion
}
