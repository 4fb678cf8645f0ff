package psktls

import (
	"net"
	"testing"
)

// testClient is a client that has made its hello, for checks of replies.
func testClient(t *testing.T, config *Config) (*Conn, *clientHello) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	c := Client(a, config)
	h, _, err := c.makeHello()
	if err != nil {
		t.Fatal(err)
	}
	return c, h
}

// TestServerHelloRefusals13: one thing wrong in a server's answer at a time.
func TestServerHelloRefusals13(t *testing.T) {
	client := clientConfig()
	client.Groups = x25519First
	c, h := testClient(t, client)
	key, err := ephemeral(GroupX25519)
	if err != nil {
		t.Fatal(err)
	}
	good := serverHello{
		version: VersionTLS12, random: repeatByte(3, 32), sessionID: h.sessionID, suite: TLS_AES_128_GCM_SHA256,
		selectedVersion: VersionTLS13, hasShare: true, share: keyShare{GroupX25519, key.PublicKey().Bytes()}, hasIdentity: true,
	}
	for _, x := range []struct {
		name  string
		edit  func(*serverHello)
		check Check
		alert Alert
	}{
		{"nothing wrong", func(*serverHello) {}, "", AlertNone},
		{"session identifier", func(r *serverHello) { r.sessionID = nil }, CheckMessage, AlertIllegalParameter},
		{"no key taken", func(r *serverHello) { r.hasIdentity = false }, CheckPSKOffer, AlertHandshakeFailure},
		{"another identity", func(r *serverHello) { r.selectedIdentity = 1 }, CheckIdentity, AlertIllegalParameter},
		{"psk_ke", func(r *serverHello) { r.hasShare = false }, CheckKEMode, AlertIllegalParameter},
		{"another group", func(r *serverHello) { r.share.group = GroupP256 }, CheckGroup, AlertIllegalParameter},
		{"low-order point", func(r *serverHello) { r.share.data = lowOrder[1] }, CheckKeyShare, AlertIllegalParameter},
		{"cookie", func(r *serverHello) { r.cookie = []byte{1} }, CheckExtension, AlertUnsupportedExtension},
		{"extension of TLS 1.2", func(r *serverHello) { r.hasEMS = true }, CheckExtension, AlertIllegalParameter},
		{"unknown extension", func(r *serverHello) { r.hasUnexpected = true }, CheckExtension, AlertUnsupportedExtension},
	} {
		r := good
		x.edit(&r)
		hs := &client13{c: c, hello: h, reply: &r, key: key, group: GroupX25519}
		if _, _, err := hs.checkReply(); x.check != "" {
			wantCheck(t, err, x.check, x.alert)
		} else if err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestServerHelloRefusals12(t *testing.T) {
	c, h := testClient(t, clientConfig())
	good := serverHello{
		version: VersionTLS12, random: repeatByte(3, 32), suite: TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256,
		hasEMS: true, renegotiation: []byte{},
	}
	for _, x := range []struct {
		name  string
		edit  func(*serverHello)
		check Check
		alert Alert
	}{
		{"nothing wrong", func(*serverHello) {}, "", AlertNone},
		{"suite of TLS 1.3", func(r *serverHello) { r.suite = TLS_AES_128_GCM_SHA256 }, CheckSuite, AlertIllegalParameter},
		{"plain PSK", func(r *serverHello) { r.suite = TLS_PSK_WITH_AES_128_GCM_SHA256 }, CheckSuite, AlertIllegalParameter},
		{"RSA", func(r *serverHello) { r.suite = 0xC02F }, CheckSuite, AlertIllegalParameter},
		{"no extended master secret", func(r *serverHello) { r.hasEMS = false }, CheckEMS, AlertHandshakeFailure},
		{"no renegotiation_info", func(r *serverHello) { r.renegotiation = nil }, CheckRenego, AlertHandshakeFailure},
		{"renegotiation", func(r *serverHello) { r.renegotiation = []byte{1} }, CheckRenego, AlertHandshakeFailure},
		{"resumption", func(r *serverHello) { r.sessionID = h.sessionID }, CheckMessage, AlertIllegalParameter},
		{"ALPN not offered", func(r *serverHello) { r.alpn = "mqtt" }, CheckALPN, AlertIllegalParameter},
		{"key_share", func(r *serverHello) { r.hasShare = true }, CheckExtension, AlertIllegalParameter},
		{"unknown extension", func(r *serverHello) { r.hasUnexpected = true }, CheckExtension, AlertUnsupportedExtension},
	} {
		r := good
		x.edit(&r)
		hs := &client12{c: c, hello: h, reply: &r}
		if err := hs.checkReply(); x.check != "" {
			wantCheck(t, err, x.check, x.alert)
		} else if err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestServerVersionRefusals(t *testing.T) {
	c, _ := testClient(t, clientConfig())
	only13 := *c.settings
	only13.minVersion = VersionTLS13
	random := repeatByte(3, 32)
	mark := append(repeatByte(3, 24), downgradeTo11...)
	for _, x := range []struct {
		name  string
		s     *settings
		r     serverHello
		check Check
		alert Alert
	}{
		{"TLS 1.1", c.settings, serverHello{version: 0x0302, random: random}, CheckVersion, AlertProtocolVersion},
		{"TLS 1.2 in supported_versions", c.settings, serverHello{version: VersionTLS12, random: random, selectedVersion: VersionTLS12}, CheckVersion, AlertIllegalParameter},
		{"TLS 1.2 not allowed", &only13, serverHello{version: VersionTLS12, random: random}, CheckVersion, AlertProtocolVersion},
		{"mark of TLS 1.1", c.settings, serverHello{version: VersionTLS12, random: mark}, CheckDowngrade, AlertIllegalParameter},
	} {
		_, err := x.s.checkServerVersion(&x.r)
		if err == nil {
			t.Errorf("%s: accepted", x.name)
			continue
		}
		wantCheck(t, err, x.check, x.alert)
	}
}

func TestEncryptedExtensionsRefusals(t *testing.T) {
	build := func(typ uint16, body ...byte) []byte {
		ext := append([]byte{byte(typ >> 8), byte(typ), 0, byte(len(body))}, body...)
		return append([]byte{typeEncryptedExtensions, 0, 0, byte(2 + len(ext)), 0, byte(len(ext))}, ext...)
	}
	for _, x := range []struct {
		name  string
		raw   []byte
		check Check
		alert Alert
	}{
		{"early_data", build(extEarlyData), CheckExtension, AlertUnsupportedExtension},
		{"key_share", build(extKeyShare, 0, 29), CheckExtension, AlertIllegalParameter},
		{"unknown", build(0x7777), CheckExtension, AlertUnsupportedExtension},
		{"two protocols", build(extALPN, 0, 4, 1, 'a', 1, 'b'), CheckMessage, AlertDecodeError},
		{"cut", build(extALPN, 0, 4, 1)[:9], CheckMessage, AlertDecodeError},
	} {
		if _, err := parseEncryptedExtensions(x.raw); err == nil {
			t.Errorf("%s: accepted", x.name)
		} else {
			wantCheck(t, err, x.check, x.alert)
		}
	}
}
