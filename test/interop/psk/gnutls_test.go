//go:build interop

package psk

import (
	"encoding/hex"
	"testing"

	"github.com/sealmq/sealmq/psktls"
)

// Priority strings; %NO_TICKETS and the like are left alone on purpose.
const (
	gnutls12     = "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:"
	gnutls13     = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:"
	gnutlsCCM8   = gnutls12 + "+PSK:-CIPHER-ALL:+AES-128-CCM-8"
	gnutlsPSK12  = gnutls12 + "+PSK"
	gnutlsDHE13  = gnutls13 + "+ECDHE-PSK"
	gnutlsPSK13  = gnutls13 + "+PSK"
	gnutlsBoth12 = gnutls12 + "+ECDHE-PSK:+PSK"
)

// gnutls-cli's client for ECDHE-PSK alone in TLS 1.2 crashes against every
// server (3.7), so it is not a case here.
func TestGnuTLSClient(t *testing.T) {
	const peer = "gnutls-cli"
	need(t, peer, "gnutls-cli")
	command := func(port string, extra []string) []string {
		return append([]string{"gnutls-cli", "--insecure", "--port", port, "--pskusername", identity}, append(extra, "127.0.0.1")...)
	}
	with := func(priority string) []string { return []string{"--pskkey", keyHex, "--priority", priority} }
	v12, v13 := psktls.VersionTLS12, psktls.VersionTLS13
	checkClient(t, peer, []clientCase{
		{"1.2 PSK", with(gnutlsPSK12), allowing(), state(v12, 0, 0)},
		{"1.2 PSK CCM-8", with(gnutlsCCM8), allowing(psktls.TLS_PSK_WITH_AES_128_CCM_8), state(v12, psktls.TLS_PSK_WITH_AES_128_CCM_8, 0)},
		{"1.2 PSK CCM", with(gnutls12 + "+PSK:-CIPHER-ALL:+AES-256-CCM"), allowing(), state(v12, psktls.TLS_PSK_WITH_AES_256_CCM, 0)},
		{"1.3 psk_dhe_ke", with(gnutlsDHE13), psktls.Config{}, state(v13, 0, psktls.GroupP256)},
		{"1.3 psk_ke", with(gnutlsPSK13), allowing(), state(v13, 0, 0)},
		{"1.3 psk_dhe_ke X25519", with(gnutlsDHE13 + ":-GROUP-ALL:+GROUP-X25519"), psktls.Config{}, state(v13, 0, psktls.GroupX25519)},
		{
			"1.3 HelloRetryRequest", with(gnutlsDHE13 + ":-GROUP-ALL:+GROUP-X448:+GROUP-SECP384R1"),
			psktls.Config{},
			psktls.ConnectionState{Version: v13, Group: psktls.GroupP384},
		},
	}, command)
	wrong := hex.EncodeToString(wrongKey)
	plain := allowing()
	checkRefusals(t, peer, plain, []refusal{
		{"1.2 wrong key", []string{"--pskkey", wrong, "--priority", gnutlsPSK12}, psktls.CheckKey, psktls.AlertBadRecordMAC},
		{"1.3 wrong key", []string{"--pskkey", wrong, "--priority", gnutlsDHE13}, psktls.CheckKey, psktls.AlertDecryptError},
		{"1.2 unknown identity", []string{"--pskkey", keyHex, "--pskusername", "x", "--priority", gnutlsPSK12}, psktls.CheckIdentity, psktls.AlertBadRecordMAC},
		{"1.3 unknown identity", []string{"--pskkey", keyHex, "--pskusername", "x", "--priority", gnutlsDHE13}, psktls.CheckIdentity, psktls.AlertDecryptError},
	}, command)
	noPSK := func(port string, extra []string) []string {
		return append([]string{"gnutls-cli", "--insecure", "--port", port}, append(extra, "127.0.0.1")...)
	}
	checkRefusals(t, peer, plain, []refusal{
		{"1.2 no PSK", []string{"--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2"}, psktls.CheckSuite, psktls.AlertHandshakeFailure},
		{"1.3 no PSK", []string{"--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3"}, psktls.CheckPSKOffer, psktls.AlertHandshakeFailure},
	}, noPSK)
}

func TestGnuTLSServer(t *testing.T) {
	const peer = "gnutls-serv"
	need(t, peer, "gnutls-serv")
	v12, v13 := psktls.VersionTLS12, psktls.VersionTLS13
	passwords := identity + ":" + keyHex + "\n"
	start := func(t *testing.T, priority string) (port string) {
		port = freePort(t)
		daemon(t, "Echo Server listening on IPv4", "gnutls-serv", "--echo", "--nocookie", "--port", port,
			"--pskpasswd", writeFile(t, "psk.txt", passwords), "--priority", priority)
		return port
	}
	for _, c := range []struct {
		name, priority string
		config         psktls.Config
		want           psktls.ConnectionState
	}{
		{"1.2 ECDHE-PSK", gnutlsBoth12, psktls.Config{}, state(v12, 0, psktls.GroupP256)},
		{"1.2 PSK", gnutlsPSK12, allowing(), state(v12, 0, 0)},
		{"1.2 PSK CCM-8", gnutlsCCM8, allowing(psktls.TLS_PSK_WITH_AES_128_CCM_8), state(v12, psktls.TLS_PSK_WITH_AES_128_CCM_8, 0)},
		{"1.3 psk_dhe_ke", gnutlsDHE13, psktls.Config{}, state(v13, 0, psktls.GroupP256)},
		{"1.3 psk_dhe_ke X25519", gnutlsDHE13, x25519First(), state(v13, 0, psktls.GroupX25519)},
		{"1.3 psk_ke", gnutlsPSK13, allowing(), state(v13, 0, 0)},
		{
			"1.3 HelloRetryRequest", gnutlsDHE13 + ":-GROUP-ALL:+GROUP-SECP256R1",
			x25519First(),
			psktls.ConnectionState{Version: v13, Group: psktls.GroupP256, HelloRetryRequest: true},
		},
	} {
		attempt(t, peer, c.name, func(t *testing.T) string {
			conn, err := dial(t, start(t, c.priority), &c.config)
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, conn, greeting)
			return compare(t, conn.ConnectionState(), c.want)
		})
	}
	attempt(t, peer, "1.3 wrong key", func(t *testing.T) string {
		_, err := dial(t, start(t, gnutlsDHE13), &psktls.Config{Key: wrongKey})
		return outcome{err: err}.refused(t, psktls.CheckPeerAlert, alertOf(err))
	})
}
