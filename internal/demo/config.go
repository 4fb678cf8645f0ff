package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// configFile is the name of the broker's configuration in the demo's folder.
const configFile = "sealmq.yaml"

// configText is the configuration of the demo's broker, as somebody would write it for a small plant. The ports are free
// ones: where the folder is kept, those that were used are written into it at the end.
const configText = `version: 1
node: {name: demo, data_dir: data}
listeners:
  - {name: plain, bind: "127.0.0.1:0"}
  - name: tls
    bind: "127.0.0.1:0"
    tls: {cert: pki/localhost.crt, key: pki/localhost.key}
  - name: devices
    bind: "127.0.0.1:0"
    tls: {cert: pki/localhost.crt, key: pki/localhost.key}
    client_cert: {mode: require, ca: pki/ca.crt}
  - {name: psk, bind: "127.0.0.1:0", tls_psk: {file: psk.txt}}
auth:
  password: {file: passwd}
  certificate: {identity: "{cn}"}
  psk: true
  credential: {keyring: keys/login, server: demo}
  lockout: {failures: 5}
acl:
  - {who: "user:operator", allow: all, topic: "#"}
  - {who: "name:maria", allow: all, topic: "plant/+/cmd/#"}
  - {who: "name:maria", allow: subscribe, topic: "plant/#"}
  - {who: authenticated, allow: publish, topic: "plant/%u/#"}
  - {who: authenticated, allow: subscribe, topic: "plant/%u/cmd/#"}
  - {who: anyone, deny: all, topic: "#"}
keys: {dir: keys/broker}
protection:
  rules:
    - {topic: "plant/+/cmd/#", require: [source, fresh]}
    - {topic: "plant/+/sealed/#", require: sign+encrypt}
    - {topic: "plant/+/sum/#", require: checksum, checksum: prefix}
limits:
  publish_bytes: {per_client: 64KiB/s, burst: 256KiB}
  queue: {messages: 100, on_full: end_session}
  ack_wait: 0s
storage: {engine: memory}
log: {level: error}
`

// Fault is a defect of the set-up that a test plants, to see that the demo notices. No flag and no variable of the
// environment sets it.
type Fault string

// The faults.
const (
	NoFault          Fault = ""
	ProtectionOff    Fault = "protection off"    // the broker counts what breaks a rule of protection, and lets it pass
	ACLOpen          Fault = "acl open"          // everybody may do everything
	ReplayOff        Fault = "replay window off" // the receiving device forgets what it has seen
	LockoutOff       Fault = "lockout off"       // guessing has no end
	PlaintextAllowed Fault = "plaintext allowed" // a rule gives up what another demands
)

// edits are what a fault changes in the configuration, as pairs of old and new text.
var edits = map[Fault][2]string{
	ProtectionOff: {"protection:\n", "protection:\n  mode: observe\n"},
	ACLOpen:       {`{who: anyone, deny: all, topic: "#"}`, `{who: authenticated, allow: all, topic: "plant/#"}`},
	LockoutOff:    {"{failures: 5}", "{failures: 1000, address_failures: 1000}"},
	PlaintextAllowed: {
		"require: [source, fresh]}\n",
		"require: [source, fresh]}\n    - {topic: \"plant/press-7/cmd/#\", relax: [integrity, fresh]}\n",
	},
}

// writeConfig writes the configuration, with the fault in it.
func writeConfig(dir string, f Fault) (string, error) {
	text := configText
	if e, ok := edits[f]; ok {
		changed := strings.Replace(text, e[0], e[1], 1)
		if changed == text {
			return "", fmt.Errorf("the fault %q has no place in the configuration", f)
		}
		text = changed
	}
	path := filepath.Join(dir, configFile)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// fixPorts writes the ports that were used into the configuration, listener by listener.
func fixPorts(path string, addresses []string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(b)
	for _, a := range addresses {
		text = strings.Replace(text, "127.0.0.1:0", a, 1)
	}
	text = strings.Replace(text, "storage: {engine: memory}\n", "", 1)
	return os.WriteFile(path, []byte(text), 0o600)
}
