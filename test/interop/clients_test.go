//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sealmq/sealmq/internal/pkitest"
)

// Every stock client library runs the same story, written for it in clients and scripts: each QoS there and back, a
// retained message, a stored session and a Will. A program prints "ok" at its end; anything else is a failure.

func wantOK(t *testing.T, name string, args ...string) {
	t.Helper()
	if out := mustRun(t, name, args...); out != "ok\n" {
		t.Errorf("printed %q, want ok", out)
	}
}

func TestPahoPython(t *testing.T) {
	python := need(t, "python3", "apt-get install python3")
	if _, code := run(t, python, "-c", "import paho.mqtt.client"); code != 0 {
		t.Skip("paho-mqtt is not installed: python3 -m pip install paho-mqtt==2.1.0")
	}
	b := startBroker(t)
	for _, version := range []string{"3.1", "3.1.1", "5"} {
		t.Run(version, func(t *testing.T) {
			wantOK(t, python, filepath.Join("scripts", "paho_python.py"), strconv.Itoa(b.port), version)
		})
	}
}

func TestMQTTjs(t *testing.T) {
	node := need(t, "node", "apt-get install nodejs")
	if _, code := run(t, node, "-e", "require('mqtt')"); code != 0 {
		t.Skip("mqtt is not installed: npm install mqtt@5.16.0, and NODE_PATH names its node_modules")
	}
	b := startBroker(t)
	for _, version := range []string{"3", "4", "5"} {
		t.Run("protocol version "+version, func(t *testing.T) {
			wantOK(t, node, filepath.Join("scripts", "mqtt_js.cjs"), strconv.Itoa(b.port), version)
		})
	}
}

// TestMQTTjsWebSocket tells the story over ws, and a short one over wss with the certificate checked.
func TestMQTTjsWebSocket(t *testing.T) {
	node := need(t, "node", "apt-get install nodejs")
	if _, code := run(t, node, "-e", "require('mqtt')"); code != 0 {
		t.Skip("mqtt is not installed: npm install mqtt@5.16.0, and NODE_PATH names its node_modules")
	}
	b := startServe(t, freePort(t), "--dev --listen ws://127.0.0.1:{port}")
	for _, version := range []string{"4", "5"} {
		t.Run("ws, protocol version "+version, func(t *testing.T) {
			wantOK(t, node, filepath.Join("scripts", "mqtt_js.cjs"), strconv.Itoa(b.port), version, b.url("ws")+"/mqtt")
		})
	}
	t.Run("wss", func(t *testing.T) {
		p := pkitest.New(t)
		p.Server()
		b := startSecure(t, p.Dir, `tls: {cert: server.crt, key: server.key}, websocket: {}`)
		t.Setenv("NODE_EXTRA_CA_CERTS", filepath.Join(p.Dir, "ca.crt"))
		wantOK(t, node, filepath.Join("scripts", "mqtt_js_wss.cjs"), fmt.Sprintf("wss://localhost:%d/mqtt", b.port))
	})
}

func TestPahoGo(t *testing.T) {
	goCommand := need(t, "go", "see go.dev/dl")
	dir := t.TempDir()
	mustRun(t, goCommand, "build", "-C", "clients", "-o", dir, "./...")
	b := startBroker(t)
	for _, client := range []string{"paho311", "paho5"} {
		t.Run(client, func(t *testing.T) {
			wantOK(t, filepath.Join(dir, client), strconv.Itoa(b.port))
		})
	}
}
