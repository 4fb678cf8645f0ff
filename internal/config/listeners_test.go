package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestListenersAreChecked: what would be readable, or open to anyone, beyond this machine is refused unless it is said, and
// so is each half of a protection, and each word that has no effect.
func TestListenersAreChecked(t *testing.T) {
	const (
		login, none = "auth: {password: {file: p}}", ""
		tls         = "tls: {cert: c, key: k}"
	)
	for _, c := range []struct{ auth, listeners, want string }{
		{none, `{name: a, bind: "127.0.0.1:1883"}`, ""},
		{none, `{name: a, bind: ":1883"}`, "everything on it would be readable"},
		{login, `{name: a, bind: "192.0.2.1:1883"}`, "everything on it would be readable"},
		{none, `{name: a, bind: ":1883", allow_plaintext: true}`, "no login is configured"},
		{login, `{name: a, bind: ":1883", allow_plaintext: true}`, ""},
		{none, `{name: a, bind: ":1883", ` + tls + `}`, ""},
		{none, `{name: a, bind: ":1883", tls_psk: {file: p}}`, ""},
		{login, `{name: a, bind: ":1883", allow_plaintext: true, allow_clear_password: true}`, ""},
		{`auth: {jwt: {keys: k, issuer: i, audience: a}}`, `{name: a, bind: ":1883", allow_plaintext: true, allow_clear_password: true}`, ""},
		{"auth: {psk: true}", `{name: a, bind: ":1883", allow_plaintext: true, allow_clear_password: true}`, "allow_clear_password: it has no effect"},
		{login, `{name: a, bind: ":1883", allow_clear_password: true, ` + tls + `}`, "allow_clear_password: it has no effect"},
		{login, `{name: a, bind: "127.0.0.1:1883", allow_plaintext: true, allow_clear_password: true}`, "allow_clear_password: it has no effect"},
		{login, `{name: a, bind: "127.0.0.1:1883", allow_clear_password: true}`, "allow_clear_password: it has no effect"},

		{none, `{name: a, bind: ":1", tls: {cert: c}}`, "a certificate without its key"},
		{none, `{name: a, bind: ":1", tls: {key: c}}`, "a key without its certificate"},
		{none, `{name: a, bind: "127.0.0.1:1", tls: {min_version: "1.2"}}`, "tls.min_version: has no effect"},
		{none, `{name: a, bind: ":1", ` + tls + `, client_cert: {ca: c, crl: l, mode: request}}`, ""},
		{none, `{name: a, bind: "127.0.0.1:1", client_cert: {ca: c}}`, "client certificates need TLS"},
		{none, `{name: a, bind: ":1", ` + tls + `, client_cert: {mode: require}}`, "without an authority"},
		{none, `{name: a, bind: ":1", ` + tls + `, client_cert: {crl: l}}`, "has no effect without client_cert.ca"},
		{none, `{name: a, bind: ":1", ` + tls + `, tls_psk: {file: p}}`, "not both"},
		{none, `{name: a, bind: "127.0.0.1:1", tls_psk: {allow_no_forward_secrecy: true}}`, "has no effect without tls_psk.file"},
		{none, `{name: a, bind: ":1", tls_psk: {file: p}, websocket: {path: /mqtt}}`, "browsers cannot use pre-shared keys"},
		{none, `{name: a, bind: ":1", ` + tls + `, websocket: {path: /mqtt}}`, ""},
		{none, `{name: a, bind: "unix:/s", ` + tls + `}`, "a Unix socket has no TLS"},
		{none, `{name: a, bind: "unix:/s", allow_plaintext: true}`, "allow_plaintext: has no effect"},
		{none, `{name: a, bind: ":1", allow_plaintext: true, ` + tls + `}`, "allow_plaintext: has no effect"},
		{none, `{name: a, bind: "127.0.0.1:1", allow_plaintext: true}`, ""}, // for whoever changes the address later

		{none, `{name: a, bind: "unix:/s"}, {name: b, bind: "unix:/t"}`, ""},
		{none, `{name: a, bind: "unix:/s"}, {name: b, bind: "unix:/s"}`, "is already taken by the listener a"},
		{none, `{name: a, bind: "127.0.0.1:1"}, {name: b, bind: "127.0.0.1:1"}`, "is already taken by the listener a"},
		{none, `{name: a, bind: "127.0.0.1:1"}, {name: b, bind: "127.0.0.1:2"}`, ""},
		{none, `{name: a, bind: "unix:/s"}, {name: b, bind: "127.0.0.1:1"}, {name: c, bind: ":1", ` + tls + `}`, "is already taken by the listener b"},
		{none, `{name: a, bind: "127.0.0.1:0"}, {name: b, bind: "127.0.0.1:0"}`, ""},
	} {
		_, err := Parse("f.yaml", []byte("version: 1\n"+c.auth+"\nlisteners: ["+c.listeners+"]\n"))
		var invalid *Invalid
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &invalid) || !strings.Contains(invalid.Report(), c.want)) {
			t.Errorf("%s %s: %v, want %q", c.auth, c.listeners, err, c.want)
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:1", "127.0.0.1:1", true},
		{"127.0.0.1:1", "127.0.0.2:1", false},
		{"0.0.0.0:1", "127.0.0.1:1", true},
		{"[::]:1", "127.0.0.1:1", true},
		{"[::]:1", "[::1]:1", true},
		{"0.0.0.0:1", "[::1]:1", false},
		{"[::]:1", "0.0.0.0:1", true},
		{"0.0.0.0:1", "127.0.0.1:2", false},
		{"0.0.0.0:0", "0.0.0.0:0", false},
	} {
		a, b := netip.MustParseAddrPort(c.a), netip.MustParseAddrPort(c.b)
		if overlap(a, b) != c.want || overlap(b, a) != c.want {
			t.Errorf("%s and %s overlap: %v, %v, want %v", c.a, c.b, overlap(a, b), overlap(b, a), c.want)
		}
	}
	if overlap(netip.MustParseAddrPort("0.0.0.0:1"), netip.AddrPort{}) {
		t.Error("a Unix socket has a port")
	}
}

// TestDevStaysHere: what is open to anyone for trying cannot be reached from other machines, not even with encryption.
func TestDevStaysHere(t *testing.T) {
	for text, good := range map[string]bool{
		`{name: a, bind: "127.0.0.1:1"}, {name: b, bind: "unix:/s"}`:                             true,
		`{name: a, bind: "127.0.0.1:1"}, {name: b, bind: "192.0.2.1:2", tls: {cert: c, key: k}}`: false,
	} {
		file := filepath.Join(t.TempDir(), "sealmq.yaml")
		if err := os.WriteFile(file, []byte("version: 1\nlisteners: ["+text+"]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var refused *FlagError
		if _, err := FromFlags(Flags{Dev: true, Config: file}); (err == nil) != good || !good && (!errors.As(err, &refused) || refused.Flag != "--dev") {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := FromFlags(Flags{Config: file}); err != nil {
			t.Errorf("%s without --dev: %v", text, err)
		}
	}
}

// TestFlagsListen: a listener that has only a flag is plain and on loopback, at an address and a port.
func TestFlagsListen(t *testing.T) {
	for url, want := range map[string]string{
		"mqtt://127.0.0.1": "127.0.0.1:1883", "mqtt://[::1]": "[::1]:1883", "mqtt://127.0.0.1:5/": "127.0.0.1:5", "ws://127.0.0.1": "127.0.0.1:8083", "ws://127.0.0.1:5/mqtt": "127.0.0.1:5",
		"127.0.0.1": "", "mqtts://127.0.0.1": "", "wss://127.0.0.1": "", "http://127.0.0.1": "", "mqtt://": "", "mqtt://127.0.0.1/x": "", "mqtt://a@127.0.0.1": "",
		"mqtt://127.0.0.1:5?x": "", "mqtt://127.0.0.1:5#x": "", "mqtt://127.0.0.1 ": "", "mqtt://0.0.0.0": "", "ws://192.0.2.1": "", "mqtt://localhost.example:1": "", "ws://127.0.0.1/other": "",
	} {
		l, err := parseListen(url)
		if (err == nil) != (want != "") || err == nil && (l.Address() != want || (l.WebSocket.Path != "") != strings.HasPrefix(url, "ws")) {
			t.Errorf("%s: %s %q, %v, want %q", url, l.Address(), l.WebSocket.Path, err, want)
		}
	}
}
