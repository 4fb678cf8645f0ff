//go:build interop

package psk

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"testing"

	"github.com/sealmq/sealmq/psktls"
)

// takePublish speaks enough MQTT 3.1.1 for one mosquitto_pub: CONNACK to its
// CONNECT, then the PUBLISH.
func takePublish(conn *psktls.Conn) (string, error) {
	if _, err := readPacket(conn, 0x10); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte{0x20, 2, 0, 0}); err != nil {
		return "", err
	}
	publish, err := readPacket(conn, 0x30)
	return string(publish), err
}

// readPacket reads one short packet of the type wanted.
func readPacket(r io.Reader, want byte) ([]byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if head[0] != want || head[1] > 127 {
		return nil, fmt.Errorf("packet %x, want type %x", head, want)
	}
	body := make([]byte, head[1])
	_, err := io.ReadFull(r, body)
	return body, err
}

func TestMosquittoPub(t *testing.T) {
	const peer = "mosquitto_pub"
	need(t, peer, "mosquitto_pub")
	publish := func(port, id, psk string, extra ...string) []string {
		return append([]string{
			"mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-t", "greeting", "-m", "hello",
			"--psk", psk, "--psk-identity", id,
		}, extra...)
	}
	v12, v13 := psktls.VersionTLS12, psktls.VersionTLS13
	// --tls-version is a minimum in recent releases; our server sets the rest.
	for _, c := range []struct {
		name   string
		args   []string
		config psktls.Config
		want   psktls.ConnectionState
	}{
		{"default", nil, psktls.Config{}, state(v13, 0, psktls.GroupX25519)},
		{"tlsv1.3", []string{"--tls-version", "tlsv1.3"}, psktls.Config{}, state(v13, 0, psktls.GroupX25519)},
		{
			"tlsv1.2",
			[]string{"--tls-version", "tlsv1.2"},
			psktls.Config{MaxVersion: v12},
			state(v12, psktls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0),
		},
	} {
		attempt(t, peer, c.name, func(t *testing.T) string {
			s := startServer(t, &c.config, takePublish)
			args := publish(s.port, identity, keyHex, c.args...)
			out, err := run(t, "", args[0], args[1:]...)
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			o := s.next(t)
			if !bytes.HasSuffix([]byte(o.received), []byte("greetinghello")) {
				t.Errorf("received %q", o.received)
			}
			return o.accepted(t, c.want)
		})
	}
	wrong := hex.EncodeToString(wrongKey)
	for _, c := range []struct {
		name, id, psk string
		version       uint16
		check         psktls.Check
		alert         psktls.Alert
	}{
		{"1.3 wrong key", identity, wrong, v13, psktls.CheckKey, psktls.AlertDecryptError},
		{"1.2 wrong key", identity, wrong, v12, psktls.CheckKey, psktls.AlertBadRecordMAC},
		{"1.3 unknown identity", "x", keyHex, v13, psktls.CheckIdentity, psktls.AlertDecryptError},
		{"1.2 unknown identity", "x", keyHex, v12, psktls.CheckIdentity, psktls.AlertBadRecordMAC},
	} {
		attempt(t, peer, c.name, func(t *testing.T) string {
			s := startServer(t, &psktls.Config{MaxVersion: c.version}, takePublish)
			args := publish(s.port, c.id, c.psk)
			if out, err := run(t, "", args[0], args[1:]...); err == nil {
				t.Errorf("mosquitto_pub succeeded: %s", out)
			}
			return s.next(t).refused(t, c.check, c.alert)
		})
	}
}

func TestMosquittoBroker(t *testing.T) {
	const peer = "mosquitto broker"
	need(t, peer, "mosquitto")
	start := func(t *testing.T, version string) string {
		port := freePort(t)
		psk := writeFile(t, "psk.txt", identity+":"+keyHex+"\n")
		config := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\npsk_hint site\npsk_file %s\ntls_version %s\nuser root\n", port, psk, version)
		daemon(t, "running", "mosquitto", "-v", "-c", writeFile(t, "mosquitto.conf", config))
		return port
	}
	connect := []byte("\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02id")
	v12, v13 := psktls.VersionTLS12, psktls.VersionTLS13
	for _, c := range []struct {
		name, version string
		config        psktls.Config
		want          psktls.ConnectionState
	}{
		{"1.3", "tlsv1.3", psktls.Config{}, state(v13, 0, psktls.GroupP256)},
		{"1.3 X25519", "tlsv1.3", x25519First(), state(v13, 0, psktls.GroupX25519)},
		{"1.2", "tlsv1.2", psktls.Config{MaxVersion: v12}, state(v12, psktls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0)},
		{"1.2 PSK-AES128-GCM", "tlsv1.2", allowing(psktls.TLS_PSK_WITH_AES_128_GCM_SHA256), state(v12, psktls.TLS_PSK_WITH_AES_128_GCM_SHA256, 0)},
	} {
		attempt(t, peer, c.name, func(t *testing.T) string {
			conn, err := dial(t, start(t, c.version), &c.config)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(connect); err != nil {
				t.Fatal(err)
			}
			if body, err := readPacket(conn, 0x20); err != nil || !bytes.Equal(body, []byte{0, 0}) {
				t.Errorf("CONNACK %x, %v", body, err)
			}
			return compare(t, conn.ConnectionState(), c.want)
		})
	}
	for _, version := range []uint16{v12, v13} {
		attempt(t, peer, psktls.VersionName(version)+" wrong key", func(t *testing.T) string {
			_, err := dial(t, start(t, "tlsv1.2"), &psktls.Config{Key: wrongKey, MaxVersion: version})
			return outcome{err: err}.refused(t, psktls.CheckPeerAlert, alertOf(err))
		})
	}
}
