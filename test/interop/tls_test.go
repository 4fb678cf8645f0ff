//go:build interop

package interop

import (
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/pkitest"
)

// startSecure runs the program with one listener, whose keys in YAML follow name and bind.
func startSecure(t *testing.T, dir, keys string) broker {
	t.Helper()
	if os.Getenv("SEALMQ_INTEROP_BROKER") != "" {
		t.Skip("skipped: the configuration is for our own program")
	}
	port := freePort(t)
	file := filepath.Join(dir, "sealmq.yaml")
	text := fmt.Sprintf("version: 1\nlisteners:\n  - {name: secure, bind: \"127.0.0.1:%d\", %s}\nauth: {anonymous: true}\nstorage: {engine: memory}\n", port, keys)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startServe(t, port, "--config "+file)
}

// roundTrip publishes a retained message and reads it back, with the same further arguments.
func roundTrip(t *testing.T, b broker, more ...string) (ok bool) {
	t.Helper()
	base := append([]string{"-h", "localhost", "-p", strconv.Itoa(b.port), "-V", "mqttv5", "-q", "1", "-t", "interop/tls"}, more...)
	pub := need(t, "mosquitto_pub", mosquittoClients)
	if _, code := run(t, pub, append(base, "-r", "-m", "hello")...); code != 0 {
		return false
	}
	got, code := run(t, need(t, "mosquitto_sub", mosquittoClients), append(base, "-C", "1", "-W", "10")...)
	return code == 0 && strings.TrimSpace(got) == "hello"
}

func TestMosquittoTLS(t *testing.T) {
	p := pkitest.New(t)
	p.Server()
	b := startSecure(t, p.Dir, `tls: {cert: server.crt, key: server.key, min_version: "1.2"}`)
	ca := filepath.Join(p.Dir, "ca.crt")
	for _, version := range []string{"tlsv1.2", "tlsv1.3"} {
		if !roundTrip(t, b, "--cafile", ca, "--tls-version", version) {
			t.Errorf("%s: no message", version)
		}
	}
	if roundTrip(t, b, "--cafile", ca, "-h", "127.0.0.2") {
		t.Error("the client took a certificate for another host")
	}
	if roundTrip(t, b, "--cafile", filepath.Join(pkitest.New(t).Dir, "ca.crt")) {
		t.Error("the client took a certificate of another authority")
	}
}

func TestMosquittoClientCertificates(t *testing.T) {
	p, other := pkitest.New(t), pkitest.New(t)
	p.Server()
	revoked := p.Client()
	p.WritePair("good", p.Client())
	p.WritePair("revoked", revoked)
	p.WritePair("other", other.Client())
	p.WritePair("expired", p.Issue(&x509.Certificate{
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}))
	p.Revoke(revoked)
	for _, mode := range []string{"require", "request"} {
		t.Run(mode, func(t *testing.T) { // one broker at a time in the folder
			b := startSecure(t, p.Dir, `tls: {cert: server.crt, key: server.key}, client_cert: {mode: `+mode+`, ca: ca.crt, crl: clients.crl}`)
			for name, want := range map[string]bool{"good": true, "revoked": false, "other": false, "expired": false, "": mode == "request"} {
				args := []string{"--cafile", filepath.Join(p.Dir, "ca.crt")}
				if name != "" {
					args = append(args, "--cert", filepath.Join(p.Dir, name+".crt"), "--key", filepath.Join(p.Dir, name+".key"))
				}
				if got := roundTrip(t, b, args...); got != want {
					t.Errorf("%s, certificate %q: got in: %v, want %v", mode, name, got, want)
				}
			}
		})
	}
}

func TestMosquittoPSK(t *testing.T) {
	dir := t.TempDir()
	const key = "000102030405060708090a0b0c0d0e0f"
	if err := os.WriteFile(filepath.Join(dir, "psk"), []byte("lamp:"+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startSecure(t, dir, `tls_psk: {file: psk}`)
	for _, version := range []string{"tlsv1.2", "tlsv1.3"} {
		if !roundTrip(t, b, "--psk-identity", "lamp", "--psk", key, "--tls-version", version) {
			t.Errorf("%s: no message", version)
		}
		if roundTrip(t, b, "--psk-identity", "lamp", "--psk", "ff"+key[2:], "--tls-version", version) {
			t.Errorf("%s: a wrong key gets in", version)
		}
	}
}

// TestOpenSSL looks at what is negotiated.
func TestOpenSSL(t *testing.T) {
	openssl := need(t, "openssl", "apt-get install openssl")
	p := pkitest.New(t)
	p.Server()
	b := startSecure(t, p.Dir, `tls: {cert: server.crt, key: server.key}`)
	for _, c := range []struct{ flag, want string }{
		{"-tls1_3", "Verify return code: 0 (ok)"},
		{"-tls1_2", "alert protocol version"},
		{"-alpn=http/1.1", "alert no application protocol"},
	} {
		args := append([]string{"s_client", "-connect", fmt.Sprintf("localhost:%d", b.port), "-CAfile", filepath.Join(p.Dir, "ca.crt")},
			strings.Split(c.flag, "=")...)
		out, _ := exec.Command(openssl, args...).CombinedOutput() // it ends with its input, which is empty
		if !strings.Contains(string(out), c.want) {
			t.Errorf("%s: no %q in\n%s", c.flag, c.want, out)
		}
	}
}

// TestPahoSCRAM logs in with an MQTT 5 client of Paho and SCRAM, bound to the TLS connection; a message goes round, a wrong
// password does not get in, and the broker says why.
func TestPahoSCRAM(t *testing.T) {
	goCommand := need(t, "go", "see go.dev/dl")
	dir := t.TempDir()
	mustRun(t, goCommand, "build", "-C", "clients", "-o", dir, "./paho5scram")
	p := pkitest.New(t)
	p.Server()
	accounts := filepath.Join(p.Dir, "passwd")
	cmd := exec.Command(sealmq(t), "passwd", "add", accounts, "alice", "--format", "scram", "--stdin")
	cmd.Stdin = strings.NewReader("pencil\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port, plain := freePort(t), freePort(t)
	config := writeIn(t, p.Dir, "sealmq.yaml", fmt.Sprintf(`version: 1
node: {data_dir: data}
listeners:
  - {name: tls, bind: "127.0.0.1:%d", tls: {cert: server.crt, key: server.key}}
  - {name: local, bind: "127.0.0.1:%d"}
auth: {scram: {file: passwd}}
acl: [{who: "user:alice", allow: all, topic: "scram/#"}]
`, port, plain))
	startServe(t, port, "--config "+config)
	for _, c := range []struct{ port, ca, mechanism, user, password, want string }{
		{strconv.Itoa(port), filepath.Join(p.Dir, "ca.crt"), "SCRAM-SHA-256", "alice", "pencil", "ok\n"},
		{strconv.Itoa(port), filepath.Join(p.Dir, "ca.crt"), "SCRAM-SHA-512", "alice", "pencil", "ok\n"},
		{strconv.Itoa(plain), "-", "SCRAM-SHA-256", "alice", "pencil", "ok\n"},
		{strconv.Itoa(port), filepath.Join(p.Dir, "ca.crt"), "SCRAM-SHA-256", "alice", "pen", "refused\n"},
		{strconv.Itoa(port), filepath.Join(p.Dir, "ca.crt"), "SCRAM-SHA-256", "mallory", "pencil", "refused\n"},
	} {
		out := mustRun(t, filepath.Join(dir, "paho5scram"), c.port, c.ca, c.mechanism, c.user, c.password)
		if out != c.want {
			t.Errorf("%s %s %s: %q, want %q", c.mechanism, c.user, c.password, out, c.want)
		}
	}
	(&secured{t: t, config: config}).explained("login", "scram: ", `"mallory"`)
}
