//go:build interop

package interop

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/pkitest"
)

// sealmq is the program under test, for its other commands.
func sealmq(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("SEALMQ_BIN"); program != "" {
		return program
	}
	return filepath.Join("..", "..", "bin", "sealmq")
}

// secured is a broker with a listener of each kind, and the files of its clients.
type secured struct {
	t                            *testing.T
	dir, config                  string
	tls, mtls, tiny, local, twin int // ports; twin has the certificate of tls and an address that is not in it
}

const pskKey = "000102030405060708090a0b0c0d0e0f"

func startSecured(t *testing.T) *secured {
	t.Helper()
	if os.Getenv("SEALMQ_INTEROP_BROKER") != "" {
		t.Skip("skipped: the configuration is for our own program")
	}
	p, other := pkitest.New(t), pkitest.New(t)
	s := &secured{t: t, dir: p.Dir, config: filepath.Join(p.Dir, "sealmq.yaml")}
	s.tls, s.mtls, s.tiny, s.local, s.twin = freePort(t), freePort(t), freePort(t), freePort(t), freePort(t)
	p.Server()
	client := func(cn string, change func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: cn}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if change != nil {
			change(c)
		}
		return c
	}
	san := func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "urn", Opaque: "pump:7"}} }
	p.WritePair("pump", p.Issue(client("", san)))
	p.WritePair("expired", p.Issue(client("", func(c *x509.Certificate) {
		san(c)
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})))
	revoked := p.Issue(client("", san))
	p.WritePair("revoked", revoked)
	p.Revoke(revoked)
	p.WritePair("foreign", other.Issue(client("", san)))
	writeIn(t, p.Dir, "foreign-ca.crt", mustRead(t, filepath.Join(other.Dir, "ca.crt")))
	writeIn(t, p.Dir, "psk.txt", "lamp:"+pskKey+"\n")
	cmd := exec.Command(sealmq(t), "passwd", "add", filepath.Join(p.Dir, "passwd"), "alice", "--stdin")
	cmd.Stdin = strings.NewReader("correct horse\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	passwd := mustRead(t, filepath.Join(p.Dir, "passwd"))
	writeIn(t, p.Dir, "passwd", passwd+"watch:passwordless\n")
	writeIn(t, p.Dir, "sealmq.yaml", fmt.Sprintf(`version: 1
node: {data_dir: data}
listeners:
  - {name: tls, bind: "127.0.0.1:%d", tls: {cert: server.crt, key: server.key, min_version: "1.2"}}
  - name: mtls
    bind: "127.0.0.1:%d"
    tls: {cert: server.crt, key: server.key}
    client_cert: {mode: require, ca: ca.crt, crl: clients.crl}
  - {name: tiny, bind: "127.0.0.1:%d", tls_psk: {file: psk.txt}}
  - {name: local, bind: "127.0.0.1:%d"}
  - {name: twin, bind: "127.0.0.2:%d", tls: {cert: server.crt, key: server.key}}
auth:
  psk: true
  certificate: {identity: "{san_uri}"}
  password: {file: passwd}
acl:
  - {who: "user:watch", allow: subscribe, topic: "#"}
  - {who: "user:alice", allow: all, topic: "plant/#"}
  - {who: "certificate:urn:pump:7", allow: all, topic: "pumps/7/#"}
  - {who: "psk:lamp", allow: all, topic: "lamps/%%u/#"}
`, s.tls, s.mtls, s.tiny, s.local, s.twin))
	startServe(t, s.tls, "--config "+s.config)
	return s
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s *secured) file(name string) string { return filepath.Join(s.dir, name) }

// watch prints every message that the broker delivers to somebody who may read all.
func (s *secured) watch() *background {
	s.t.Helper()
	stdbuf := need(s.t, "stdbuf", "apt-get install coreutils")
	b := start(s.t, stdbuf, "-oL", need(s.t, "mosquitto_sub", mosquittoClients), "-h", "127.0.0.1", "-p", fmt.Sprint(s.local),
		"-u", "watch", "-i", "watch", "-d", "-t", "#", "-F", "message %t %p")
	b.wait(s.t, "Subscribed")
	return b
}

// explained waits until the last refusal has all the words, and returns it.
func (s *secured) explained(words ...string) string {
	s.t.Helper()
	out := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		b, _ := exec.Command(sealmq(s.t), "explain", "--last", "--config", s.config).CombinedOutput()
		out = string(b)
		missing := ""
		for _, w := range words {
			if !strings.Contains(out, w) {
				missing = w
			}
		}
		if missing == "" {
			return out
		}
	}
	s.t.Errorf("sealmq explain --last has not all of %q:\n%s", words, out)
	return out
}

// TestRefusalsAreExplained: with stock clients, everything that must be refused is, nothing of it arrives anywhere, the cause
// and the line that decides are named, and what the client gets to see does not tell an unknown name from a wrong password.
func TestRefusalsAreExplained(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: 127.0.0.2 is an address of Linux only")
	}
	s := startSecured(t)
	pub := need(t, "mosquitto_pub", mosquittoClients)
	w := s.watch()
	ca := []string{"--cafile", s.file("ca.crt")}
	cert := func(name string) []string {
		return append(ca, "--cert", s.file(name+".crt"), "--key", s.file(name+".key"), "-h", "localhost", "-p", fmt.Sprint(s.mtls))
	}
	tls := append(ca, "-h", "localhost", "-p", fmt.Sprint(s.tls))
	psk := func(identity, key string, more ...string) []string {
		return append([]string{"--psk-identity", identity, "--psk", key, "-h", "localhost", "-p", fmt.Sprint(s.tiny)}, more...)
	}
	alice := func(password string) []string { return append(tls, "-u", "alice", "-P", password) }
	seen := map[string]string{}
	for _, c := range []struct {
		name  string
		args  []string
		topic string
		words []string
	}{
		{"wrong CA", append([]string{"--cafile", s.file("foreign-ca.crt")}, tls[2:]...), "plant/1", []string{"transport", "a client that trusts", `connected to "localhost"`, "listeners[tls].tls.cert"}},
		{"host name", append(ca, "-h", "127.0.0.2", "-p", fmt.Sprint(s.twin)), "plant/1", []string{"transport", "connects to one of localhost, 127.0.0.1", "127.0.0.2", "listeners[twin].tls.cert"}},
		{"no certificate", append(ca, "-h", "localhost", "-p", fmt.Sprint(s.mtls)), "pumps/7/a", []string{"transport", "client certificate", "none", "sealmq.yaml:", "listeners[mtls].client_cert.mode"}},
		{"expired", cert("expired"), "pumps/7/a", []string{"certificate validity", "valid now", "listeners[mtls].client_cert.ca", "sealmq.yaml:8"}},
		{"revoked", cert("revoked"), "pumps/7/a", []string{"certificate revocation", "revoked", "clients.crl", "sealmq.yaml:8"}},
		{"foreign certificate", cert("foreign"), "pumps/7/a", []string{"certificate authority", "listeners[mtls].client_cert.ca"}},
		{"wrong key, 1.3", psk("lamp", "ff"+pskKey[2:], "--tls-version", "tlsv1.3"), "lamps/lamp/a", []string{"pre-shared key", `"lamp"`, "psk.txt"}},
		{"wrong key, 1.2", psk("lamp", "ff"+pskKey[2:], "--tls-version", "tlsv1.2"), "lamps/lamp/a", []string{"pre-shared key", `"lamp"`, "psk.txt"}},
		{"unknown identity", psk("nobody", pskKey), "lamps/lamp/a", []string{"psk identity", `"nobody"`, "sealmq.yaml:9"}},
		{"wrong password", alice("wrong"), "plant/1", []string{"login", "password: password", "auth.password.file", "on listener tls", "134 Bad User Name or Password"}},
		{"unknown name", append(tls, "-u", "mallory", "-P", "wrong"), "plant/1", []string{"login", "password: user name", `"mallory"`, "134 Bad User Name or Password"}},
		{"no login", tls, "plant/1", []string{"login", "auth.anonymous", "135 Not authorized"}},
		{"password in clear, forbidden topic", []string{"-h", "127.0.0.1", "-p", fmt.Sprint(s.local), "-u", "alice", "-P", "correct horse"}, "office/1", []string{"DENIED", "may not publish to office/1", "sealmq.yaml:18"}},
		{"forbidden topic", alice("correct horse"), "office/1", []string{"DENIED", "may not publish to office/1", "nearest rule", "sealmq.yaml:18"}},
		{"forbidden will", append(alice("correct horse"), "--will-topic", "office/will", "--will-payload", "gone"), "plant/forbidden-will", []string{"DENIED", "leave a will on office/will"}},
		{"another's topic by certificate", cert("pump"), "pumps/8/a", []string{"DENIED", "pumps/8/a", "sealmq.yaml:19"}},
		{"another's topic by key", psk("lamp", pskKey), "lamps/other/a", []string{"DENIED", "lamps/other/a"}},
	} {
		args := append([]string{"-V", "mqttv5", "-q", "1", "-i", "client", "-t", c.topic, "-m", "refused"}, c.args...)
		cmd := exec.Command(pub, args...)
		out, _ := cmd.CombinedOutput()
		seen[c.name] = string(out)
		t.Logf("%s: %s", c.name, s.explained(c.words...))
	}
	if a, b := seen["wrong password"], seen["unknown name"]; a == "" || a != b {
		t.Errorf("the client tells a wrong password, %q, from an unknown name, %q", a, b)
	}
	for name, said := range seen {
		for _, leak := range []string{"sealmq.yaml", "passwd", "rule", "nearest", "expected"} {
			if strings.Contains(said, leak) {
				t.Errorf("%s: the client was told %q", name, said)
			}
		}
	}
	mustRun(t, pub, append(alice("correct horse"), "-q", "1", "-t", "plant/1", "-m", "the first")...)
	if got := w.wait(t, "message "); got != "message plant/1 the first" {
		t.Errorf("before the first allowed message came %q", got)
	}
	checkAudit(t, s, len(seen)-1) // a wrong key is one refusal, whatever the version
}

// checkAudit looks for every refusal in the audit file, and for secrets.
func checkAudit(t *testing.T, s *secured, refusals int) {
	t.Helper()
	file := s.file("data/audit/audit.jsonl")
	text := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if text = mustRead(t, file); strings.Count(text, `"kind":"refused"`) >= refusals {
			break
		}
	}
	if n := strings.Count(text, `"kind":"refused"`); n < refusals {
		t.Errorf("%d refusals are recorded, want %d", n, refusals)
	}
	for _, secret := range []string{"correct horse", pskKey, `"wrong"`, "PRIVATE"} {
		if strings.Contains(text, secret) {
			t.Errorf("the audit file has %q", secret)
		}
	}
	if out, err := exec.Command(sealmq(t), "audit", "verify", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestCertificateNameDecides: the SAN of a certificate alone gives a right, and the message arrives.
func TestCertificateNameDecides(t *testing.T) {
	s := startSecured(t)
	w := s.watch()
	args := []string{
		"-V", "mqttv5", "-q", "1", "-h", "localhost", "-p", fmt.Sprint(s.mtls), "--cafile", s.file("ca.crt"),
		"--cert", s.file("pump.crt"), "--key", s.file("pump.key"),
	}
	pub := need(t, "mosquitto_pub", mosquittoClients)
	mustRun(t, pub, append(args, "-t", "pumps/8/state", "-m", "not mine")...) // refused, with a warning
	mustRun(t, pub, append(args, "-t", "pumps/7/state", "-m", "running")...)
	if got := w.wait(t, "message "); got != "message pumps/7/state running" {
		t.Errorf("got %q", got)
	}
	mustRun(t, pub, append(args, "-r", "-t", "pumps/7/kept", "-m", "on")...)
	out := mustRun(t, need(t, "mosquitto_sub", mosquittoClients), append(args, "-t", "pumps/7/kept", "-C", "1", "-W", "20")...)
	if out != "on\n" {
		t.Errorf("got %q", out)
	}
}
