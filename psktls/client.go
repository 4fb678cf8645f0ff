package psktls

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"slices"
)

// clientHandshake offers everything the Config allows and goes on with the
// version that the server chose.
func (c *Conn) clientHandshake() error {
	hello, key, err := c.makeHello()
	if err != nil {
		return err
	}
	var binder *clientBinder
	if hello.versions != nil {
		binder = newClientBinder(c.settings)
		defer binder.early.wipe()
		if err := binder.sign(hello, binder.suite.newHash()); err != nil {
			return err
		}
	} else if err := hello.marshal(0); err != nil {
		return err
	}
	// RFC 8446 §5.1: the first record may say TLS 1.0, which old middleboxes
	// like better.
	if err := c.out.queue(recordHandshake, 0x0301, hello.raw); err != nil {
		return err
	}
	if err := c.out.flush(c.transport); err != nil {
		return err
	}
	raw, err := c.readMessage(typeServerHello)
	if err != nil {
		return err
	}
	reply, err := parseServerHello(raw)
	if err != nil {
		return err
	}
	version, err := c.settings.checkServerVersion(reply)
	if err != nil {
		return err
	}
	c.state.Version = version
	if version == VersionTLS13 {
		hs := &client13{c: c, hello: hello, reply: reply, key: key, group: c.settings.groups[0], binder: binder}
		return hs.run()
	}
	hs := &client12{c: c, hello: hello, reply: reply}
	return hs.run()
}

// makeHello builds the ClientHello, not marshalled yet, and for TLS 1.3 the key
// of its share.
func (c *Conn) makeHello() (*clientHello, *ecdh.PrivateKey, error) {
	s := c.settings
	random := make([]byte, randomLen+maxSessionID)
	if _, err := rand.Read(random); err != nil {
		return nil, nil, internal(err)
	}
	h := &clientHello{random: random[:randomLen], compressions: []byte{0}, groups: s.groups, alpn: s.protos}
	var key *ecdh.PrivateKey
	if s.supports(VersionTLS13) {
		for _, x := range s.suites13 {
			h.suites = append(h.suites, x.id)
		}
		// A session identifier makes the handshake look like one of TLS 1.2 to
		// middleboxes, RFC 8446 §D.4.
		h.sessionID = random[randomLen:]
		h.versions = []uint16{VersionTLS13}
		h.identities = [][]byte{s.identity}
		h.modes = []byte{modePSKDHE}
		if s.allowNoFS {
			h.modes = append(h.modes, modePSK)
		}
		var err error
		if key, err = ephemeral(s.groups[0]); err != nil {
			return nil, nil, err
		}
		h.shares = []keyShare{{s.groups[0], key.PublicKey().Bytes()}}
	}
	if s.supports(VersionTLS12) {
		for _, x := range s.suites12 {
			h.suites = append(h.suites, x.id)
		}
		h.hasEMS = true
		h.pointFormats = []byte{uncompressedPoint}
		if h.versions != nil {
			h.versions = append(h.versions, VersionTLS12)
		}
	}
	return h, key, nil
}

// checkServerVersion settles the version, RFC 8446 §4.1.3 and §4.2.1.
func (s *settings) checkServerVersion(h *serverHello) (uint16, error) {
	if h.version != VersionTLS12 {
		return 0, refuse(CheckVersion, AlertProtocolVersion, s.versionRange(), VersionName(h.version))
	}
	if h.selectedVersion != 0 {
		if h.selectedVersion != VersionTLS13 || !s.supports(VersionTLS13) {
			return 0, refuse(CheckVersion, AlertIllegalParameter, "TLS 1.3 in supported_versions", VersionName(h.selectedVersion))
		}
		return VersionTLS13, nil
	}
	if !s.supports(VersionTLS12) {
		return 0, refuse(CheckVersion, AlertProtocolVersion, s.versionRange(), VersionName(VersionTLS12))
	}
	tail := h.random[randomLen-len(downgradeTo12):]
	if s.supports(VersionTLS13) && (bytes.Equal(tail, downgradeTo12) || bytes.Equal(tail, downgradeTo11)) {
		return 0, refuse(CheckDowngrade, AlertIllegalParameter, "TLS 1.3 from a server that supports it",
			"its mark of a downgrade")
	}
	return VersionTLS12, nil
}

// selectedSuite checks that the server's suite was offered for the version.
func selectedSuite(id uint16, offered []*suite) (*suite, error) {
	i := slices.IndexFunc(offered, func(s *suite) bool { return s.id == id })
	if i < 0 {
		return nil, refuse(CheckSuite, AlertIllegalParameter, suiteNames(offered), CipherSuiteName(id))
	}
	return offered[i], nil
}

// checkExtensions refuses an extension that was not asked for.
func (h *serverHello) checkExtensions() error {
	if h.hasUnexpected {
		return refuse(CheckExtension, AlertUnsupportedExtension, "extensions that were offered",
			fmt.Sprintf("%s in ServerHello", extensionName(h.unexpected)))
	}
	return nil
}

// serverLacksKey names the cause when the server's first protected record does
// not verify: it does not have our key, or the messages before were changed.
func serverLacksKey(err error) error {
	if isBadMAC(err) {
		return refuse(CheckKey, AlertBadRecordMAC, "a server that has our key", "one that has not")
	}
	return err
}
