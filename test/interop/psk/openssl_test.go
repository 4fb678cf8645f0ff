//go:build interop

package psk

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/psktls"
)

// clientCase is one connection of another implementation to our server.
type clientCase struct {
	name   string
	args   []string
	config psktls.Config
	want   psktls.ConnectionState
}

func state(version, suite, group uint16) psktls.ConnectionState {
	return psktls.ConnectionState{Version: version, CipherSuite: suite, Group: group}
}

// allowing permits plain PSK and the suites named.
func allowing(suites ...uint16) psktls.Config {
	return psktls.Config{AllowNoForwardSecrecy: true, CipherSuites: suites}
}

// x25519First is a client that sends a share of X25519, which is not the default.
func x25519First() psktls.Config {
	return psktls.Config{Groups: []uint16{psktls.GroupX25519, psktls.GroupP256}}
}

// check runs the cases of one client program. args builds the command line.
func checkClient(t *testing.T, peer string, cases []clientCase, command func(port string, extra []string) []string) {
	t.Helper()
	for _, c := range cases {
		attempt(t, peer, c.name, func(t *testing.T) string {
			s := startServer(t, &c.config, echoLine)
			args := command(s.port, c.args)
			out, err := run(t, greeting, args[0], args[1:]...)
			detail := s.next(t).accepted(t, c.want)
			if !strings.Contains(out, strings.TrimSpace(greeting)) {
				t.Errorf("the client did not get its answer: %v\n%s", err, out)
			}
			return detail
		})
	}
}

// refusal is a connection that our server must refuse with an alert.
type refusal struct {
	name  string
	args  []string
	check psktls.Check
	alert psktls.Alert
}

func checkRefusals(t *testing.T, peer string, config psktls.Config, cases []refusal, command func(port string, extra []string) []string) {
	t.Helper()
	for _, c := range cases {
		attempt(t, peer, c.name, func(t *testing.T) string {
			s := startServer(t, &config, echoLine)
			args := command(s.port, c.args)
			out, err := run(t, greeting, args[0], args[1:]...)
			if strings.Contains(out, strings.TrimSpace(greeting)) {
				t.Errorf("the client got an answer: %v\n%s", err, out)
			}
			return s.next(t).refused(t, c.check, c.alert)
		})
	}
}

func TestOpenSSLClient(t *testing.T) {
	const peer = "openssl s_client"
	need(t, peer, "openssl")
	command := func(port string, extra []string) []string {
		return append([]string{"openssl", "s_client", "-connect", "127.0.0.1:" + port, "-quiet", "-psk_identity", identity}, extra...)
	}
	withKey := func(extra ...string) []string { return append([]string{"-psk", keyHex}, extra...) }
	v12, v13 := psktls.VersionTLS12, psktls.VersionTLS13
	cases := []clientCase{
		{"default", withKey(), psktls.Config{}, state(v13, 0, psktls.GroupX25519)},
		{"1.2 default", withKey("-tls1_2"), psktls.Config{}, state(v12, psktls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0)},
		{"1.3 default", withKey("-tls1_3"), psktls.Config{}, state(v13, 0, psktls.GroupX25519)},
		{"1.3 AES-128-GCM", withKey("-ciphersuites", "TLS_AES_128_GCM_SHA256"), psktls.Config{}, state(v13, psktls.TLS_AES_128_GCM_SHA256, 0)},
		{"1.3 ChaCha20", withKey("-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), psktls.Config{}, state(v13, psktls.TLS_CHACHA20_POLY1305_SHA256, 0)},
		{"1.3 CCM", withKey("-ciphersuites", "TLS_AES_128_CCM_SHA256"), psktls.Config{}, state(v13, psktls.TLS_AES_128_CCM_SHA256, 0)},
		{
			"1.3 CCM-8", withKey("-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256", "-cipher", "ALL:@SECLEVEL=0"),
			psktls.Config{CipherSuites: []uint16{psktls.TLS_AES_128_CCM_8_SHA256}},
			state(v13, psktls.TLS_AES_128_CCM_8_SHA256, 0),
		},
		{
			"1.3 HelloRetryRequest", withKey("-tls1_3", "-groups", "X448:P-384"),
			psktls.Config{},
			psktls.ConnectionState{Version: v13, Group: psktls.GroupP384, HelloRetryRequest: true},
		},
		{"1.3 P-256", withKey("-tls1_3", "-groups", "P-256"), psktls.Config{}, state(v13, 0, psktls.GroupP256)},
		{"1.3 psk_ke", withKey("-tls1_3", "-allow_no_dhe_kex", "-groups", "X448"), allowing(), state(v13, 0, 0)},
	}
	for _, c := range []struct {
		name  string
		suite uint16
	}{
		{"PSK-AES128-GCM-SHA256", psktls.TLS_PSK_WITH_AES_128_GCM_SHA256},
		{"PSK-AES256-GCM-SHA384", psktls.TLS_PSK_WITH_AES_256_GCM_SHA384},
		{"PSK-CHACHA20-POLY1305", psktls.TLS_PSK_WITH_CHACHA20_POLY1305_SHA256},
		{"PSK-AES128-CCM", psktls.TLS_PSK_WITH_AES_128_CCM},
		{"PSK-AES256-CCM", psktls.TLS_PSK_WITH_AES_256_CCM},
		{"PSK-AES128-CCM8", psktls.TLS_PSK_WITH_AES_128_CCM_8},
		{"PSK-AES256-CCM8", psktls.TLS_PSK_WITH_AES_256_CCM_8},
		{"ECDHE-PSK-CHACHA20-POLY1305", psktls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256},
	} {
		cases = append(cases, clientCase{
			"1.2 " + c.name, withKey("-tls1_2", "-cipher", c.name+":@SECLEVEL=0"),
			allowing(c.suite), state(v12, c.suite, 0),
		})
	}
	checkClient(t, peer, cases, command)
	wrong := hex.EncodeToString(wrongKey)
	checkRefusals(t, peer, psktls.Config{}, []refusal{
		{"1.2 wrong key", []string{"-tls1_2", "-psk", wrong}, psktls.CheckKey, psktls.AlertBadRecordMAC},
		{"1.3 wrong key", []string{"-tls1_3", "-psk", wrong}, psktls.CheckKey, psktls.AlertDecryptError},
		{"1.2 unknown identity", []string{"-tls1_2", "-psk", keyHex, "-psk_identity", "x"}, psktls.CheckIdentity, psktls.AlertBadRecordMAC},
		{"1.3 unknown identity", []string{"-tls1_3", "-psk", keyHex, "-psk_identity", "x"}, psktls.CheckIdentity, psktls.AlertDecryptError},
		{"1.2 no PSK", []string{"-tls1_2"}, psktls.CheckSuite, psktls.AlertHandshakeFailure},
		{"1.3 no PSK", []string{"-tls1_3"}, psktls.CheckPSKOffer, psktls.AlertHandshakeFailure},
		{"1.2 plain PSK not allowed", []string{"-tls1_2", "-psk", keyHex, "-cipher", "PSK-AES128-GCM-SHA256"}, psktls.CheckSuite, psktls.AlertHandshakeFailure},
		{"1.2 fallback", []string{"-tls1_2", "-psk", keyHex, "-fallback_scsv"}, psktls.CheckFallback, psktls.AlertInappropriateFallback},
	}, command)
}

func TestOpenSSLServer(t *testing.T) {
	const peer = "openssl s_server"
	need(t, peer, "openssl")
	reversed := func(s string) string {
		b := []byte(strings.TrimSuffix(s, "\n"))
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		return string(b) + "\n"
	}
	v12, v13 := psktls.VersionTLS12, psktls.VersionTLS13
	for _, c := range []struct {
		name   string
		args   []string
		config psktls.Config
		want   psktls.ConnectionState
	}{
		{"default", nil, psktls.Config{}, state(v13, psktls.TLS_AES_128_GCM_SHA256, psktls.GroupP256)},
		{"1.3 X25519", []string{"-tls1_3"}, x25519First(), state(v13, psktls.TLS_AES_128_GCM_SHA256, psktls.GroupX25519)},
		{"1.2 default", []string{"-tls1_2"}, psktls.Config{}, state(v12, psktls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0)},
		{"1.2 PSK-AES128-GCM", []string{"-tls1_2", "-psk_hint", "site"}, allowing(psktls.TLS_PSK_WITH_AES_128_GCM_SHA256), state(v12, psktls.TLS_PSK_WITH_AES_128_GCM_SHA256, 0)},
		{"1.2 PSK-AES256-CCM", []string{"-tls1_2", "-cipher", "PSK-AES256-CCM"}, allowing(psktls.TLS_PSK_WITH_AES_256_CCM), state(v12, psktls.TLS_PSK_WITH_AES_256_CCM, 0)},
		{
			"1.3 HelloRetryRequest",
			[]string{"-tls1_3", "-groups", "P-256"},
			x25519First(),
			psktls.ConnectionState{Version: v13, Group: psktls.GroupP256, HelloRetryRequest: true},
		},
		{"1.3 psk_ke", []string{"-tls1_3", "-allow_no_dhe_kex", "-groups", "X448"}, allowing(), state(v13, 0, 0)},
	} {
		attempt(t, peer, c.name, func(t *testing.T) string {
			args := append([]string{"s_server", "-accept", "127.0.0.1:0", "-nocert", "-psk", keyHex, "-psk_identity", identity, "-rev"}, c.args...)
			line := daemon(t, "ACCEPT ", "openssl", args...)
			conn, err := dial(t, line[strings.LastIndex(line, ":")+1:], &c.config)
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, conn, reversed(greeting))
			return compare(t, conn.ConnectionState(), c.want)
		})
	}
	for _, v := range []uint16{v12, v13} {
		attempt(t, peer, psktls.VersionName(v)+" wrong key", func(t *testing.T) string {
			line := daemon(t, "ACCEPT ", "openssl", "s_server", "-accept", "127.0.0.1:0", "-nocert", "-psk", keyHex, "-psk_identity", identity)
			_, err := dial(t, line[strings.LastIndex(line, ":")+1:], &psktls.Config{Key: wrongKey, MaxVersion: v, MinVersion: v})
			return outcome{err: err}.refused(t, psktls.CheckPeerAlert, alertOf(err))
		})
	}
}
