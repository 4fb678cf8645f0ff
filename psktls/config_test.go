package psktls

import (
	"crypto"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

func TestConfigRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		client bool
		edit   func(*Config)
		say    string
	}{
		{"no GetKey", false, func(c *Config) { c.GetKey = nil }, "GetKey"},
		{"no identity", true, func(c *Config) { c.Identity = nil }, "Identity"},
		{"long identity", true, func(c *Config) { c.Identity = make([]byte, MaxIdentityLen+1) }, "Identity"},
		{"short key", true, func(c *Config) { c.Key = c.Key[:15] }, "shorter than 16"},
		{"long key", true, func(c *Config) { c.Key = make([]byte, MaxKeyLen+1) }, "longer than 256"},
		{"negative timeout", false, func(c *Config) { c.HandshakeTimeout = -1 }, "negative"},
		{"long hint", false, func(c *Config) { c.IdentityHint = strings.Repeat("h", 129) }, "IdentityHint"},
		{"empty protocol", false, func(c *Config) { c.NextProtos = []string{""} }, "NextProtos"},
		{"many protocols", false, func(c *Config) { c.NextProtos = make([]string, 17) }, "NextProtos"},
		{"unknown group", false, func(c *Config) { c.Groups = []uint16{30} }, "not supported"},
		{"group twice", false, func(c *Config) { c.Groups = []uint16{GroupP256, GroupP256} }, "twice"},
		{"unknown suite", false, func(c *Config) { c.CipherSuites = []uint16{0xC02F} }, "not supported"},
		{"suite twice", false, func(c *Config) {
			c.CipherSuites = []uint16{TLS_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256}
		}, "twice"},
		{"plain PSK not allowed", false, func(c *Config) { c.CipherSuites = []uint16{TLS_PSK_WITH_AES_128_CCM_8} }, "AllowNoForwardSecrecy"},
		{"suite of another hash", false, func(c *Config) { c.CipherSuites = []uint16{TLS_AES_256_GCM_SHA384} }, "KeyHash"},
		{"hash", false, func(c *Config) { c.KeyHash = crypto.SHA1 }, "KeyHash"},
		{"TLS 1.1", false, func(c *Config) { c.MinVersion = 0x0302 }, "not supported"},
		{"versions crossed", false, func(c *Config) { c.MinVersion, c.MaxVersion = VersionTLS13, VersionTLS12 }, "above"},
		{"no suite left", false, func(c *Config) {
			c.MinVersion, c.CipherSuites = VersionTLS13, []uint16{TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256}
		}, "no cipher suite is left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, validate := serverConfig(), (*Config).ValidateServer
			if c.client {
				config, validate = clientConfig(), (*Config).ValidateClient
			}
			if err := validate(config); err != nil {
				t.Fatalf("control: %v", err)
			}
			c.edit(config)
			err := validate(config)
			if !errors.Is(err, CheckConfig) || !strings.Contains(err.Error(), c.say) {
				t.Fatalf("%v, want a configuration error about %q", err, c.say)
			}
			a, b := net.Pipe()
			defer b.Close()
			conn := Server(a, config)
			if c.client {
				conn = Client(a, config)
			}
			if _, err := conn.Write([]byte("x")); !errors.Is(err, CheckConfig) {
				t.Errorf("Write: %v", err)
			}
			if err := conn.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	if err := (*Config)(nil).ValidateServer(); !errors.Is(err, CheckConfig) {
		t.Errorf("nil Config: %v", err)
	}
}

// TestListenerWithBadConfig: nothing is accepted, and the error says why.
func TestListenerWithBadConfig(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(inner, &Config{})
	defer l.Close()
	if _, err := l.Accept(); !errors.Is(err, CheckConfig) {
		t.Errorf("Accept: %v", err)
	}
}

// TestDefaultsAreSafe pins what an untouched Config allows.
func TestDefaultsAreSafe(t *testing.T) {
	s, err := serverConfig().compile(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range append(s.suites12, s.suites13...) {
		if x.shortTag || x.version == VersionTLS12 && !x.ecdhe {
			t.Errorf("%s is on by default", x.name)
		}
	}
	if s.timeout != 10*time.Second || s.minVersion != VersionTLS12 || s.maxVersion != VersionTLS13 {
		t.Errorf("%+v", s)
	}
	plain := serverConfig()
	plain.AllowNoForwardSecrecy = true
	if s, err = plain.compile(false); err != nil {
		t.Fatal(err)
	}
	for _, x := range append(s.suites12, s.suites13...) {
		if x.shortTag {
			t.Errorf("%s is on without its name", x.name)
		}
	}
}

// TestConfigIsCopied: later changes have no effect.
func TestConfigIsCopied(t *testing.T) {
	client := clientConfig()
	client.Key, client.Identity = append(Secret{}, client.Key...), append([]byte{}, client.Identity...)
	a, b := net.Pipe()
	defer a.Close()
	c := Client(b, client)
	clear(client.Key)
	clear(client.Identity)
	done := make(chan error, 1)
	go func() { done <- Server(a, serverConfig()).Handshake() }()
	if err := c.Handshake(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSuiteChoice: forward secrecy first, full tags next, then the client's
// order.
func TestSuiteChoice(t *testing.T) {
	for _, c := range []struct {
		offered []uint16
		want    uint16
	}{
		{[]uint16{TLS_PSK_WITH_AES_128_GCM_SHA256, TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256}, TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256},
		{[]uint16{TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256, TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256}, TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256},
		{[]uint16{TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256}, TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256},
		{[]uint16{TLS_PSK_WITH_AES_128_CCM_8, TLS_PSK_WITH_AES_256_CCM}, TLS_PSK_WITH_AES_256_CCM},
		{[]uint16{0x0000, 0x5600, 0x00FF}, 0},
	} {
		got := uint16(0)
		if s := selectSuite(c.offered, allSuites); s != nil {
			got = s.id
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.offered, CipherSuiteName(got), CipherSuiteName(c.want))
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  *Error
		want string
	}{
		{refuse(CheckVersion, AlertProtocolVersion, "TLS 1.3", "TLS 1.2"), "psktls: protocol version: expected TLS 1.3, found TLS 1.2 (alert protocol_version)"},
		{&Error{Check: CheckPeerAlert, Alert: AlertDecryptError, Remote: true, Found: "decrypt_error"}, "psktls: alert from the peer: found decrypt_error"},
		{&Error{Check: CheckTransport, Alert: AlertNone, Err: net.ErrClosed}, "psktls: transport: use of closed network connection"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got := Alert(200).String(); got != "alert(200)" {
		t.Error(got)
	}
	if CipherSuiteName(1) != "0x0001" || GroupName(1) != "0x0001" || VersionName(1) != "0x0001" {
		t.Error("unknown numbers are not shown as such")
	}
}
