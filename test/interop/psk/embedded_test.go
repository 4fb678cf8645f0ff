//go:build interop

package psk

import (
	"encoding/hex"
	"testing"

	"github.com/sealmq/sealmq/psktls"
)

func TestMbedTLSClient(t *testing.T) {
	const peer = "mbedtls"
	binary := compile(t, peer, "mbedtls_client.c", "-lmbedtls", "-lmbedx509", "-lmbedcrypto")
	command := func(port string, extra []string) []string { return append([]string{binary, port}, extra...) }
	with := func(suite ...string) []string { return append([]string{identity, keyHex}, suite...) }
	v12 := psktls.VersionTLS12
	cases := []clientCase{
		{"default", with(), psktls.Config{}, state(v12, psktls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0)},
		{"default, plain PSK allowed", with(), allowing(), state(v12, psktls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0)},
		{
			"ECDHE-PSK-CHACHA20", with("TLS-ECDHE-PSK-WITH-CHACHA20-POLY1305-SHA256"),
			psktls.Config{},
			state(v12, psktls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0),
		},
	}
	for _, c := range []struct {
		name  string
		suite uint16
	}{
		{"TLS-PSK-WITH-AES-128-CCM-8", psktls.TLS_PSK_WITH_AES_128_CCM_8},
		{"TLS-PSK-WITH-AES-256-CCM-8", psktls.TLS_PSK_WITH_AES_256_CCM_8},
		{"TLS-PSK-WITH-AES-128-CCM", psktls.TLS_PSK_WITH_AES_128_CCM},
		{"TLS-PSK-WITH-AES-256-CCM", psktls.TLS_PSK_WITH_AES_256_CCM},
		{"TLS-PSK-WITH-AES-128-GCM-SHA256", psktls.TLS_PSK_WITH_AES_128_GCM_SHA256},
		{"TLS-PSK-WITH-AES-256-GCM-SHA384", psktls.TLS_PSK_WITH_AES_256_GCM_SHA384},
		{"TLS-PSK-WITH-CHACHA20-POLY1305-SHA256", psktls.TLS_PSK_WITH_CHACHA20_POLY1305_SHA256},
	} {
		cases = append(cases, clientCase{c.name, with(c.name), allowing(c.suite), state(v12, c.suite, 0)})
	}
	checkClient(t, peer, cases, command)
	checkRefusals(t, peer, psktls.Config{}, []refusal{
		{"wrong key", []string{identity, hex.EncodeToString(wrongKey)}, psktls.CheckKey, psktls.AlertBadRecordMAC},
		{"unknown identity", []string{"x", keyHex}, psktls.CheckIdentity, psktls.AlertBadRecordMAC},
		{"no PSK", []string{"-", keyHex}, psktls.CheckSuite, psktls.AlertHandshakeFailure},
	}, command)
}

// wolfSSL as Debian builds it has no static PSK suites in TLS 1.2, and its TLS
// 1.2 client without a key ends before it sends anything: no case here.
func TestWolfSSLClient(t *testing.T) {
	const peer = "wolfssl"
	binary := compile(t, peer, "wolfssl_client.c", "-lwolfssl")
	command := func(port string, extra []string) []string { return append([]string{binary, port}, extra...) }
	with := func(extra ...string) []string { return append([]string{identity, keyHex}, extra...) }
	v12, v13 := psktls.VersionTLS12, psktls.VersionTLS13
	checkClient(t, peer, []clientCase{
		{"1.3", with("13"), psktls.Config{}, state(v13, 0, 0)},
		{"1.3 AES-128-GCM", with("13", "TLS13-AES128-GCM-SHA256"), psktls.Config{}, state(v13, psktls.TLS_AES_128_GCM_SHA256, 0)},
		{
			"1.2 ECDHE-PSK-CHACHA20", with("12", "ECDHE-PSK-CHACHA20-POLY1305"),
			psktls.Config{},
			state(v12, psktls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0),
		},
		{
			"1.2 ECDHE-PSK-AES128-GCM", with("12", "ECDHE-PSK-AES128-GCM-SHA256"),
			psktls.Config{},
			state(v12, psktls.TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256, 0),
		},
	}, command)
	wrong := hex.EncodeToString(wrongKey)
	const suite12 = "ECDHE-PSK-AES128-GCM-SHA256"
	checkRefusals(t, peer, psktls.Config{}, []refusal{
		{"1.3 wrong key", []string{identity, wrong, "13"}, psktls.CheckKey, psktls.AlertDecryptError},
		{"1.3 unknown identity", []string{"x", keyHex, "13"}, psktls.CheckIdentity, psktls.AlertDecryptError},
		{"1.2 wrong key", []string{identity, wrong, "12", suite12}, psktls.CheckKey, psktls.AlertBadRecordMAC},
		{"1.2 unknown identity", []string{"x", keyHex, "12", suite12}, psktls.CheckIdentity, psktls.AlertBadRecordMAC},
		{"1.3 no PSK", []string{"-", keyHex, "13"}, psktls.CheckPSKOffer, psktls.AlertHandshakeFailure},
	}, command)
}
