package psktls

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
)

// maxSkippedEarlyData bounds the octets of refused early data, headers
// included, that a server skips. External keys of this package never allow
// early data, so this serves only clients that were told otherwise elsewhere.
const maxSkippedEarlyData = 32 << 10

// maxIdentities bounds the identities of one TLS 1.3 ClientHello that are looked
// up; further ones are ignored.
const maxIdentities = 8

const randomKeyLen = 32

// serverHandshake reads the ClientHello, settles the version and goes on with
// that version's handshake.
func (c *Conn) serverHandshake() error {
	raw, err := c.readMessage(typeClientHello)
	if err != nil {
		return err
	}
	hello, err := parseClientHello(raw)
	if err != nil {
		return err
	}
	version, err := c.settings.negotiateVersion(hello)
	if err != nil {
		return err
	}
	c.state.Version = version
	if version == VersionTLS13 {
		hs := &server13{c: c, hello: hello}
		return hs.run()
	}
	hs := &server12{c: c, hello: hello}
	return hs.run()
}

// negotiateVersion is RFC 8446 §4.2.1 and the fallback check of RFC 7507 §3.
func (s *settings) negotiateVersion(h *clientHello) (uint16, error) {
	offered := h.versions
	if offered == nil && h.version >= VersionTLS12 {
		offered = []uint16{VersionTLS12}
	}
	var version uint16
	for _, v := range []uint16{VersionTLS13, VersionTLS12} {
		if s.supports(v) && slices.Contains(offered, v) {
			version = v
			break
		}
	}
	if version == 0 {
		found := VersionName(h.version)
		if len(offered) > 0 {
			found = versionNames(offered)
		}
		return 0, refuse(CheckVersion, AlertProtocolVersion, s.versionRange(), found)
	}
	if version < s.maxVersion && h.offers(scsvFallback) {
		return 0, refuse(CheckFallback, AlertInappropriateFallback, VersionName(s.maxVersion),
			"a client that fell back to "+VersionName(version))
	}
	return version, nil
}

func (s *settings) versionRange() string {
	if s.minVersion == s.maxVersion {
		return VersionName(s.minVersion)
	}
	return VersionName(s.minVersion) + " or " + VersionName(s.maxVersion)
}

func versionNames(versions []uint16) string {
	const limit = 8
	names := make([]string, 0, limit)
	for _, v := range versions[:min(len(versions), limit)] {
		names = append(names, VersionName(v))
	}
	return fmt.Sprintf("%s", names)
}

// pskResult is what a key lookup gives. key is always usable: if refusal is not
// nil it is random, so that the handshake goes on and fails where a wrong key
// fails. refusal then says why, for the local side only.
type pskResult struct {
	key     []byte
	refusal *Error
}

// lookup finds the key of an identity. The random key is drawn in every case, so
// that known and unknown identities cost the same here.
func (c *Conn) lookup(identity []byte) (pskResult, error) {
	random := make([]byte, randomKeyLen)
	if _, err := io.ReadFull(c.settings.decoys, random); err != nil {
		return pskResult{}, internal(err)
	}
	if len(identity) == 0 || len(identity) > MaxIdentityLen {
		return pskResult{random, refuse(CheckIdentity, AlertNone,
			fmt.Sprintf("an identity of 1 to %d octets", MaxIdentityLen), quotePeer(identity))}, nil
	}
	key, err := callGetKey(c.settings.getKey, identity)
	switch {
	case err != nil:
		return pskResult{random, &Error{Check: CheckKeyLookup, Alert: AlertNone, Found: "identity " + quotePeer(identity), Err: err}}, nil
	case key == nil:
		return pskResult{random, refuse(CheckIdentity, AlertNone, "a known identity", quotePeer(identity))}, nil
	}
	if err := checkKeyLen(key); err != nil {
		return pskResult{random, &Error{Check: CheckKeyLookup, Alert: AlertNone, Found: "identity " + quotePeer(identity), Err: err}}, nil
	}
	return pskResult{key: key}, nil
}

// callGetKey keeps a panic of the callback inside this handshake, as an error.
func callGetKey(getKey func([]byte) ([]byte, error), identity []byte) (key []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			key, err = nil, &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return getKey(identity)
}

// refused turns the failure of the key check into the local error: why the
// lookup failed, or that the peer's key is not ours. The alert is the same.
func (r pskResult) refused(alert Alert, identity []byte) *Error {
	if r.refusal != nil {
		e := *r.refusal
		e.Alert = alert
		return &e
	}
	return refuse(CheckKey, alert, "the key of identity "+quotePeer(identity), "another key")
}
