package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// made is an authority in a new folder.
func made(t *testing.T, o Options) *Authority {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if _, err := Init(dir, o, now); err != nil {
		t.Fatal(err)
	}
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *Authority) mustIssue(t *testing.T, r Request) *Issued {
	t.Helper()
	i, err := a.Issue(r, now)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestProfiles(t *testing.T) {
	a := made(t, Options{})
	server := a.mustIssue(t, Request{Name: "broker.example", Profile: Server, SANs: []string{"192.0.2.7", "*.plant.example"}})
	device := a.mustIssue(t, Request{Name: "pump-7", Profile: Device, SANs: []string{"urn:dev:7", "pump@plant.example"}, Days: 10})
	operator := a.mustIssue(t, Request{Name: "alice", Profile: Operator})
	for _, c := range []struct {
		i      *Issued
		usage  x509.ExtKeyUsage
		days   int
		names  string
		suffix string
	}{
		{server, x509.ExtKeyUsageServerAuth, 397, "broker.example *.plant.example 192.0.2.7", "CN=broker.example"},
		{device, x509.ExtKeyUsageClientAuth, 10, "urn:dev:7 pump@plant.example", "CN=pump-7,OU=device"},
		{operator, x509.ExtKeyUsageClientAuth, 90, "", "CN=alice,OU=operator"},
	} {
		cert := c.i.Cert
		if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{c.usage}) || cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("%s: usage %v %v", cert.Subject, cert.ExtKeyUsage, cert.KeyUsage)
		}
		if got := cert.NotAfter.Sub(now); got != time.Duration(c.days)*day || cert.NotBefore.After(now) {
			t.Errorf("%s: lives for %v", cert.Subject, got)
		}
		if got := strings.Join(Names(cert), " "); got != c.names || cert.Subject.String() != c.suffix {
			t.Errorf("%s: names %q", cert.Subject, got)
		}
		if k, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
			t.Errorf("%s: key %T", cert.Subject, cert.PublicKey)
		}
		if cert.SerialNumber.BitLen() != 127 || !a.issuedBy(cert) {
			t.Errorf("%s: serial %x", cert.Subject, cert.SerialNumber)
		}
		if info, err := os.Stat(c.i.KeyFile); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", c.i.KeyFile, info.Mode(), err)
		}
	}
	if server.Cert.SerialNumber.Cmp(device.Cert.SerialNumber) == 0 {
		t.Error("two certificates have one serial number")
	}
}

// TestNothingIsOverwritten: whatever is refused leaves the folder as it was.
func TestNothingIsOverwritten(t *testing.T) {
	a := made(t, Options{Days: 400})
	a.mustIssue(t, Request{Name: "pump-7", Profile: Device})
	before := files(t, a.Dir)
	var exists *ExistsError
	if _, err := Init(a.Dir, Options{}, now); !errors.As(err, &exists) {
		t.Errorf("second authority: %v", err)
	}
	if _, err := a.Issue(Request{Name: "pump-7", Profile: Operator}, now); !errors.As(err, &exists) {
		t.Errorf("second certificate: %v", err)
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "old.key"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Issue(Request{Name: "old", Profile: Device}, now); !errors.As(err, &exists) {
		t.Errorf("a key that is there: %v", err)
	}
	for name, r := range map[string]Request{
		"profile":        {Name: "x", Profile: "root"},
		"empty name":     {Profile: Device},
		"path":           {Name: "../x", Profile: Device},
		"of the CA":      {Name: "ca", Profile: Device},
		"wildcard":       {Name: "x*", Profile: Device},
		"wildcard SAN":   {Name: "x", Profile: Device, SANs: []string{"*.example"}},
		"control":        {Name: "x\n", Profile: Device},
		"days":           {Name: "x", Profile: Device, Days: -1},
		"outlives":       {Name: "x", Profile: Device, Days: 401},
		"bad SAN":        {Name: "x", Profile: Server, SANs: []string{"a b"}},
		"bad mail":       {Name: "x", Profile: Server, SANs: []string{"@x"}},
		"no host name":   {Name: "no@host@name", Profile: Server},
		"CSR that lacks": {Name: "x", Profile: Device, CSR: filepath.Join(a.Dir, CertFile)},
	} {
		if _, err := a.Issue(r, now); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
	if _, err := a.Issue(Request{Name: "late", Profile: Device}, now.Add(401*day)); err == nil {
		t.Error("an expired authority issues")
	}
	if got := slices.DeleteFunc(files(t, a.Dir), func(f string) bool { return f == "old.key" }); !slices.Equal(got, before) {
		t.Errorf("files %v, before %v", got, before)
	}
	if got, _ := os.ReadFile(filepath.Join(a.Dir, "old.key")); string(got) != "mine" {
		t.Error("a key was overwritten")
	}
}

func TestRenew(t *testing.T) {
	a := made(t, Options{})
	old := a.mustIssue(t, Request{Name: "broker.example", Profile: Server, SANs: []string{"192.0.2.7"}, Days: 50})
	keyBefore, err := os.ReadFile(old.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	later := now.Add(20 * day)
	kept, err := a.Renew(old.CertFile, 0, false, later)
	if err != nil {
		t.Fatal(err)
	}
	if kept.Cert.SerialNumber.Cmp(old.Cert.SerialNumber) == 0 || !kept.Cert.NotAfter.Equal(later.Add(50*day)) || kept.KeyFile != "" {
		t.Errorf("serial %x, end %v", kept.Cert.SerialNumber, kept.Cert.NotAfter)
	}
	if !samePublic(kept.Cert.PublicKey, old.Cert.PublicKey) || !slices.Equal(Names(kept.Cert), Names(old.Cert)) ||
		!slices.Equal(kept.Cert.ExtKeyUsage, old.Cert.ExtKeyUsage) || kept.Cert.Subject.String() != old.Cert.Subject.String() {
		t.Error("the renewed certificate is another one")
	}
	if key, _ := os.ReadFile(old.KeyFile); !bytes.Equal(key, keyBefore) {
		t.Error("the key changed")
	}
	fresh, err := a.Renew(old.CertFile, 7, true, later)
	if err != nil {
		t.Fatal(err)
	}
	if samePublic(fresh.Cert.PublicKey, old.Cert.PublicKey) || !fresh.Cert.NotAfter.Equal(later.Add(7*day)) {
		t.Error("the key was kept")
	}
	if r, err := InspectFile(old.CertFile, Against{Now: later}); err != nil || r.Bad() {
		t.Errorf("%v %+v", err, r)
	}
	other := made(t, Options{})
	if _, err := other.Renew(old.CertFile, 0, false, later); err == nil {
		t.Error("a certificate of somebody else was renewed")
	}
	if _, err := a.Renew(filepath.Join(a.Dir, CertFile), 0, false, later); err == nil {
		t.Error("the authority was renewed")
	}
	revoke(t, a, old.CertFile)
	if _, err := a.Renew(old.CertFile, 0, false, later); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("a revoked certificate was renewed: %v", err)
	}
}

func revoke(t *testing.T, a *Authority, what ...string) *List {
	t.Helper()
	var list []Revocation
	for _, w := range what {
		serial, err := a.Find(w)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, Revocation{serial, 1})
	}
	l, _, err := a.Revoke(list, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRevoke(t *testing.T) {
	a := made(t, Options{})
	one := a.mustIssue(t, Request{Name: "one", Profile: Device})
	two := a.mustIssue(t, Request{Name: "two", Profile: Device})
	if l := revoke(t, a, one.CertFile); l.Revoked != 1 || l.Number.Int64() != 2 || !l.NextUpdate.Equal(now.Add(DefaultListDays*day)) {
		t.Errorf("%+v", l)
	}
	if l := revoke(t, a, one.CertFile, serialText(two.Cert.SerialNumber)); l.Revoked != 2 || l.Number.Int64() != 3 {
		t.Errorf("%+v", l)
	}
	l, err := a.Relist(3, now.Add(day))
	if err != nil || l.Revoked != 2 || l.Number.Int64() != 4 || !l.NextUpdate.Equal(now.Add(4*day)) {
		t.Errorf("%+v %v", l, err)
	}
	list, err := a.list()
	if err != nil || list.RevokedCertificateEntries[0].ReasonCode != 1 || !list.RevokedCertificateEntries[0].RevocationTime.Equal(now) {
		t.Errorf("%+v %v", list, err)
	}
	for _, what := range []string{"nothing", "", "-1", filepath.Join(a.Dir, CertFile), strings.Repeat("a", 41)} {
		if _, err := a.Find(what); err == nil {
			t.Errorf("found %q", what)
		}
	}
	// Without the record of what was revoked nothing is renewed and no new list is made: it would let everybody in again.
	if err := os.Remove(l.File); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Relist(0, now); err == nil {
		t.Error("a list was made out of nothing")
	}
	if _, err := a.Renew(two.CertFile, 0, false, now); err == nil {
		t.Error("renewed without a list")
	}
	if _, err := os.Stat(l.File); err == nil {
		t.Error("the list is back")
	}
	other := made(t, Options{})
	if err := os.Link(filepath.Join(other.Dir, ListFile), l.File); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Relist(0, now); err == nil {
		t.Error("the list of another authority was continued")
	}
}

func TestNameConstraints(t *testing.T) {
	a := made(t, Options{Only: []string{"plant.example", "10.0.0.0/8"}})
	a.mustIssue(t, Request{Name: "broker.plant.example", Profile: Server, SANs: []string{"10.1.2.3"}})
	for _, name := range []string{"plant.example.org", "192.0.2.1", "::1"} {
		if _, err := a.Issue(Request{Name: "x.plant.example", Profile: Server, SANs: []string{name}}, now); err == nil {
			t.Errorf("a certificate for %s", name)
		}
	}
	if got := files(t, a.Dir); slices.Contains(got, "x.plant.example.key") {
		t.Errorf("left behind: %v", got)
	}
	dns := made(t, Options{Only: []string{"plant.example"}})
	if _, err := dns.Issue(Request{Name: "plant.example", Profile: Server, SANs: []string{"10.1.2.3"}}, now); err == nil {
		t.Error("an address below an authority for names")
	}
	ips := made(t, Options{Only: []string{"10.0.0.0/8"}})
	if _, err := ips.Issue(Request{Name: "plant.example", Profile: Server}, now); err == nil {
		t.Error("a name below an authority for addresses")
	}
	if _, err := ips.Issue(Request{Name: "pump", Profile: Device}, now); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "*.example", "a b", "10.0.0.0/99"} {
		if _, err := Init(filepath.Join(t.TempDir(), "x"), Options{Only: []string{bad}}, now); err == nil {
			t.Errorf("constraint %q", bad)
		}
	}
}

func request509(t *testing.T, dir string, curve elliptic.Curve, spoil bool) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "admin"}, DNSNames: []string{"other.example"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	if spoil {
		der[len(der)-1] ^= 1
	}
	path := filepath.Join(dir, "x.csr")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCSR: the key is certified, the names that its owner would like to have are not.
func TestCSR(t *testing.T) {
	a := made(t, Options{})
	i := a.mustIssue(t, Request{Name: "pump-7", Profile: Device, CSR: request509(t, t.TempDir(), elliptic.P256(), false)})
	if i.KeyFile != "" || i.Cert.Subject.CommonName != "pump-7" || len(Names(i.Cert)) != 0 || slices.Contains(files(t, a.Dir), "pump-7.key") {
		t.Errorf("%+v, files %v", i, files(t, a.Dir))
	}
	for name, path := range map[string]string{
		"changed":  request509(t, t.TempDir(), elliptic.P256(), true),
		"weak key": request509(t, t.TempDir(), elliptic.P224(), false),
	} {
		if _, err := a.Issue(Request{Name: "bad", Profile: Device, CSR: path}, now); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	a, other := made(t, Options{}), made(t, Options{})
	key, err := os.ReadFile(filepath.Join(other.Dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(a.Dir, KeyFile)
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(a.Dir); err == nil {
			t.Error("a key that others can read was used")
		}
	}
	for _, text := range [][]byte{key, []byte("nothing"), nil} {
		if err := errors.Join(os.Remove(path), os.WriteFile(path, text, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(a.Dir); err == nil {
			t.Errorf("opened with the key %q", text[:min(len(text), 20)])
		}
	}
}

// TestOpenSSLAgrees lets another implementation judge what is made here.
func TestOpenSSLAgrees(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("skipped: openssl is not installed: apt-get install openssl")
	}
	dir := t.TempDir()
	a, err := Init(dir, Options{Only: []string{"plant.example", "10.0.0.0/8"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	issue := func(r Request) *Issued {
		i, err := a.Issue(r, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	issue(Request{Name: "broker.plant.example", Profile: Server, SANs: []string{"10.0.0.7"}})
	issue(Request{Name: "pump-7", Profile: Device})
	issue(Request{Name: "alice", Profile: Operator})
	strict := []string{"verify", "-x509_strict", "-crl_check", "-CAfile", CertFile, "-CRLfile", ListFile}
	for _, args := range [][]string{
		{"-purpose", "sslserver", "-verify_hostname", "broker.plant.example", "broker.plant.example.crt"},
		{"-purpose", "sslserver", "-verify_ip", "10.0.0.7", "broker.plant.example.crt"},
		{"-purpose", "sslclient", "pump-7.crt"},
		{"-purpose", "sslclient", "alice.crt"},
	} {
		if out, err := run(append(slices.Clone(strict), args...)...); err != nil {
			t.Errorf("%v: %s", args, out)
		}
	}
	for _, args := range [][]string{{"-purpose", "sslclient", "broker.plant.example.crt"}, {"-purpose", "sslserver", "pump-7.crt"}} {
		if out, err := run(append(slices.Clone(strict), args...)...); err == nil {
			t.Errorf("%v: %s", args, out)
		}
	}
	serial, err := a.Find(filepath.Join(dir, "pump-7.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Revoke([]Revocation{{serial, Reasons["key-compromise"]}}, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	if out, err := run(append(slices.Clone(strict), "pump-7.crt")...); err == nil || !strings.Contains(out, "revoked") {
		t.Errorf("revoked: %s", out)
	}
	text, err := run("x509", "-noout", "-text", "-in", CertFile)
	if err != nil {
		t.Fatal(text)
	}
	for _, want := range []string{"X509v3 Name Constraints: critical", "pathlen:0", "NIST CURVE: P-256", "Certificate Sign, CRL Sign"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text, err = run("crl", "-noout", "-text", "-in", ListFile); err != nil || !strings.Contains(text, "Key Compromise") {
		t.Errorf("%s", text)
	}
}
