package gather

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/internal/pkitest"
	"github.com/sealmq/sealmq/keyring"
)

// setUp copies an example and makes the files that it names, with their weaknesses.
func setUp(t *testing.T, example string) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join("../../../examples/doctor", example))
	if err != nil {
		t.Fatal(err)
	}
	weak := strings.HasPrefix(example, "weak")
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(example, string(text), 0o644)
	makePKI(t, weak, write)
	strong, err := authn.NewVerifier(authn.Argon2id, []byte("correct horse battery staple"))
	if err != nil {
		t.Fatal(err)
	}
	makeKeyrings(t, dir, weak)
	write("acl", "user alice\ntopic readwrite plant/#\n", 0o600)
	if !weak {
		write("passwd", "alice:"+strong.Encode()+"\n", 0o600)
		write("psk.txt", "pump-1:"+pumpKey+"\npump-2:ffeeddccbbaa99887766554433221100\n", 0o600)
		if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, example)
	}
	salt, hash := "AAAAAAAAAAAAAAAA", strings.Repeat("A", 86)+"=="
	write("passwd", "alice:"+strong.Encode()+"\nbob:$6$"+salt+"$"+hash+"\ncarol:$7$101$"+salt+"$"+hash+"\ndave:passwordless\nerin:$9$x\nfrank:"+strong.Encode()+"\n", 0o644)
	write("psk.txt", "pump-1:"+pumpKey+"\npump-2:"+strings.ToUpper(pumpKey)+"\n", 0o600)
	write("acl", "topic readwrite #\npattern read $SYS/#\npattern readwrite plant/#\npattern read x/%c/#\n", 0o600)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, example)
}

// pumpKey is the key of the pumps: of pump-1 alone, where all is well.
const pumpKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// makeKeyrings writes keys, whose key of each state but one is as old as a weak one may be, and logins, with the key of pump-1:
// for pump-1 itself, or for pump-3.
func makeKeyrings(t *testing.T, dir string, weak bool) {
	t.Helper()
	ring := func(name string, records ...*keyring.Record) *keyring.Dir {
		d, err := keyring.Create(filepath.Join(dir, name), keyring.Secret{})
		if err == nil {
			err = d.Add(records...)
		}
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	message := func(kid byte, name string) *keyring.Record {
		key, err := cose.GenerateKey(cose.AlgHMAC256)
		if err != nil {
			t.Fatal(err)
		}
		return &keyring.Record{
			KID: []byte{kid, 1, 2, 3, 4, 5, 0, 1}, Key: key, Alg: cose.AlgHMAC256, Use: keyring.UseMAC, Group: name, State: keyring.StateActive,
			Sender: keyring.SenderRule{Kind: keyring.SenderWire, Size: 8}, Topics: []string{"plant/#"},
		}
	}
	d := ring("keys", message(1, "meter"), message(2, "revoked"), message(3, "fresh"))
	if err := d.Destroy([]byte{2, 1, 2, 3, 4, 5, 0, 1}); err != nil {
		t.Fatal(err)
	}
	if weak {
		old := time.Now().Add(-2 * oldKey)
		for _, name := range []string{"0101020304050001.key", "0201020304050001.key"} {
			if err := os.Chtimes(filepath.Join(dir, "keys", name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	b, err := hex.DecodeString(pumpKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := cose.NewSymmetricKey(b)
	if err != nil {
		t.Fatal(err)
	}
	name := "pump-1"
	if weak {
		name = "pump-3"
	}
	ring("logins", &keyring.Record{
		KID: []byte{9, 1, 2, 3, 4, 5, 0, 1}, Key: key, Alg: cose.AlgHMAC256, Use: keyring.UseP2, Group: name, ClientID: name, State: keyring.StateActive,
		Sender: keyring.SenderRule{Kind: keyring.SenderClientID},
	})
}

// makePKI writes server (good), expired (and for no name, its key open), weak (RSA of 1024 bits), other.key (of another
// certificate), clients.crt (which others can write), and lists of revoked certificates.
func makePKI(t *testing.T, weak bool, write func(string, string, os.FileMode)) {
	t.Helper()
	pki := pkitest.New(t)
	pki.Server()
	pki.Revoke()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(pki.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	write("pki/server.crt", read("server.crt"), 0o644)
	write("pki/server.key", read("server.key"), 0o600)
	write("pki/ca.crt", read("ca.crt"), 0o644)
	write("pki/clients.crt", read("ca.crt"), 0o666)
	write("pki/clients.crl", read("clients.crl"), 0o644)
	pki.WritePair("expired", pki.Issue(&x509.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute)}))
	write("pki/expired.crt", read("expired.crt"), 0o644)
	write("pki/expired.key", read("expired.key"), 0o644)
	pki.WritePair("other", pki.Client())
	write("pki/other.key", read("other.key"), 0o600)

	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skipf("skipped: this build makes no weak keys: %v", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	write("pki/weak.crt", block("CERTIFICATE", der), 0o644)
	var client *ecdsa.PrivateKey
	for _, name := range []string{"pump-1", "pump-2"} { // in the weak example set up from one image
		if client == nil || !weak {
			if client, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				t.Fatal(err)
			}
		}
		template := *template
		template.Subject.CommonName = name
		if der, err = x509.CreateCertificate(rand.Reader, &template, &template, &client.PublicKey, client); err != nil {
			t.Fatal(err)
		}
		write("pki/"+name+".crt", block("CERTIFICATE", der), 0o644)
	}
	write("pki/weak.key", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), 0o600)

	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: time.Now().Add(-time.Hour)}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1},
	}
	if der, err = x509.CreateRevocationList(rand.Reader, list, root, key); err != nil {
		t.Fatal(err)
	}
	write("pki/stale.crl", block("X509 CRL", der), 0o644)
}

// planted are the ids that an example says it has, by line.
func planted(t *testing.T, path string) map[int][]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int][]string{}
	mark := regexp.MustCompile(`# finds: ([a-z, -]+)$`)
	for i, line := range strings.Split(string(b), "\n") {
		if m := mark.FindStringSubmatch(line); m != nil {
			at := i + 1
			if strings.HasPrefix(line, "#") { // above the line that it is about
				at++
			}
			out[at] = strings.Split(m[1], ", ")
		}
	}
	return out
}

// compare checks that what was planted was found at its line, and nothing else in the file.
func compare(t *testing.T, path string, r *doctor.Report) {
	t.Helper()
	want := planted(t, path)
	if len(want) < 15 {
		t.Fatalf("only %d lines of %s are marked", len(want), path)
	}
	for line, ids := range want {
		for _, id := range ids {
			if !slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool {
				return f.ID == id && slices.ContainsFunc(f.Evidence, func(e doctor.Evidence) bool { return e.Place == doctor.Place{File: path, Line: line} })
			}) {
				t.Errorf("line %d: %s was not found", line, id)
			}
		}
	}
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			if e.Place.File == path && e.Place.Line > 0 && !slices.Contains(want[e.Place.Line], f.ID) {
				t.Errorf("line %d: %s was not planted: %s", e.Place.Line, f.ID, e.Found)
			}
			if e.Found == "" || e.Change == "" {
				t.Errorf("%s at %v lacks words", f.ID, e.Place)
			}
		}
	}
}

// has reports whether a finding has evidence in a file.
func has(r *doctor.Report, id, file string) bool {
	return slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool {
		return f.ID == id && slices.ContainsFunc(f.Evidence, func(e doctor.Evidence) bool { return filepath.Base(e.Place.File) == file })
	})
}

func TestWeakExample(t *testing.T) {
	path := setUp(t, "weak.yaml")
	m, err := SealMQ(path)
	if err != nil {
		t.Fatal(err)
	}
	r := doctor.Examine(m)
	compare(t, path, r)
	for _, id := range []string{"password-hash-weak", "account-unsafe", "key-shared"} {
		if !has(r, id, "passwd") {
			t.Errorf("%s was not found in the account file", id)
		}
	}
	if r.Grade != "F" {
		t.Errorf("grade %s", r.Grade)
	}
	// What the evidence names: of the old keys the one in use, of those that share a key all.
	var words strings.Builder
	for _, f := range r.Findings {
		if f.ID == "key-shared" || f.ID == "key-no-expiry" {
			for _, e := range f.Evidence {
				words.WriteString(strings.ReplaceAll(e.Found, filepath.Dir(path)+"/", "") + "\n")
			}
		}
	}
	for _, want := range []string{
		"3 have one key: pump-1, pump-2, pump-3 (psk.txt, logins)\n", "2 have one key: pump-1, pump-2 (pki)\n",
		"frank has the verifier of alice, so both have one password\n", "the key meter (0101020304050001) of keys is in use since 20",
	} {
		if !strings.Contains(words.String(), want) {
			t.Errorf("%q is not among\n%s", want, words.String())
		}
	}
	if strings.Contains(words.String(), "revoked") || strings.Contains(words.String(), "fresh") {
		t.Errorf("keys that are gone or new are found:\n%s", words.String())
	}
}

func TestFixedExample(t *testing.T) {
	path := setUp(t, "fixed.yaml")
	if _, err := config.Load(path); err != nil {
		t.Fatal(err)
	}
	m, err := SealMQ(path)
	if err != nil {
		t.Fatal(err)
	}
	if r := doctor.Examine(m); r.Grade != "A" || len(r.Findings) != 0 {
		t.Errorf("grade %s: %+v", r.Grade, r.Findings)
	}
}

func TestWeakMosquitto(t *testing.T) {
	path := setUp(t, "weak.conf")
	m, err := Mosquitto(path)
	if err != nil {
		t.Fatal(err)
	}
	r := doctor.Examine(m)
	compare(t, path, r)
	for _, id := range []string{"acl-open", "acl-sys", "acl-wide", "acl-client-id"} {
		if !has(r, id, "acl") {
			t.Errorf("%s was not found in the rules", id)
		}
	}
}

func TestFixedMosquitto(t *testing.T) {
	m, err := Mosquitto(setUp(t, "fixed.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if r := doctor.Examine(m); r.Grade != "A" {
		t.Errorf("grade %s: %+v", r.Grade, r.Findings)
	}
}

// TestStockMosquitto: Debian's file with a listener and, as most guides have it, anonymous clients.
func TestStockMosquitto(t *testing.T) {
	dir := t.TempDir()
	stock := "pid_file /run/mosquitto/mosquitto.pid\n\npersistence true\npersistence_location /var/lib/mosquitto/\n\n" +
		"log_dest file /var/log/mosquitto/mosquitto.log\n\ninclude_dir " + filepath.Join(dir, "conf.d") + "\n"
	for name, text := range map[string]string{"mosquitto.conf": stock, "conf.d/local.conf": "listener 1883\nallow_anonymous true\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Mosquitto(filepath.Join(dir, "mosquitto.conf"))
	if err != nil {
		t.Fatal(err)
	}
	r := doctor.Examine(m)
	if r.Grade != "F" {
		t.Errorf("grade %s", r.Grade)
	}
	for _, id := range []string{"plaintext-reachable", "anonymous-reachable", "acl-open"} {
		if !has(r, id, "local.conf") {
			t.Errorf("%s was not found", id)
		}
	}
	if !has(r, "limit-unbounded", "mosquitto.conf") {
		t.Error("limit-unbounded was not found")
	}
	for _, f := range r.Findings {
		if !slices.Contains([]string{"plaintext-reachable", "anonymous-reachable", "acl-open", "limit-unbounded"}, f.ID) {
			t.Errorf("%s: %+v", f.ID, f.Evidence)
		}
	}

	// Without a listener Mosquitto is for this machine only, and lets everybody on it in.
	if err := os.Remove(filepath.Join(dir, "conf.d/local.conf")); err != nil {
		t.Fatal(err)
	}
	if m, err = Mosquitto(filepath.Join(dir, "mosquitto.conf")); err != nil {
		t.Fatal(err)
	}
	r = doctor.Examine(m)
	if !has(r, "anonymous-local", "mosquitto.conf") || has(r, "plaintext-reachable", "mosquitto.conf") {
		t.Errorf("%+v", r.Findings)
	}
}
