package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// problems lists the checks that failed.
func problems(r *Report) string {
	var out []string
	for _, f := range r.Findings {
		if f.Problem {
			out = append(out, f.Check)
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

func inspect(t *testing.T, path string, o Against) *Report {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = now
	}
	r, err := InspectFile(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// write makes a PEM file in dir.
func write(t *testing.T, dir, name, kind string, ders ...[]byte) string {
	t.Helper()
	var text []byte
	for _, der := range ders {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// signed makes a certificate that the authority itself would refuse to make.
func signed(t *testing.T, a *Authority, template *x509.Certificate, key any) *x509.Certificate {
	t.Helper()
	template.SerialNumber = newSerial()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = now.Add(-day), now.Add(300*day)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, publicOf(key), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestInspectFiles: each thing that can be wrong is found, alone.
func TestInspectFiles(t *testing.T) {
	a, other := made(t, Options{}), made(t, Options{})
	server := a.mustIssue(t, Request{Name: "broker.example", Profile: Server, SANs: []string{"192.0.2.7"}, Days: 50})
	device := a.mustIssue(t, Request{Name: "pump-7", Profile: Device})
	gone := a.mustIssue(t, Request{Name: "gone", Profile: Device})
	revoke(t, a, gone.CertFile)
	otherCA := filepath.Join(other.Dir, CertFile)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	forServer := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	weakRSA := write(t, a.Dir, "rsa.crt", "CERTIFICATE", signed(t, a, &x509.Certificate{DNSNames: []string{"x"}, ExtKeyUsage: forServer}, small).Raw)
	weakEC := write(t, a.Dir, "p224.crt", "CERTIFICATE", signed(t, a, &x509.Certificate{DNSNames: []string{"x"}, ExtKeyUsage: forServer}, curve).Raw)
	noSAN := write(t, a.Dir, "nosan.crt", "CERTIFICATE", signed(t, a, &x509.Certificate{Subject: pkix.Name{CommonName: "broker.example"}, ExtKeyUsage: forServer}, good).Raw)
	disordered := write(t, a.Dir, "order.crt", "CERTIFICATE", server.Cert.Raw, device.Cert.Raw, a.Cert.Raw)
	mixed := write(t, a.Dir, "pump-8.crt", "CERTIFICATE", device.Cert.Raw)
	if err := os.Link(server.KeyFile, filepath.Join(a.Dir, "pump-8.key")); err != nil {
		t.Fatal(err)
	}
	readable := filepath.Join(t.TempDir(), "k.key")
	if err := writeKey(readable, good, func(p string, b []byte) error { return os.WriteFile(p, b, 0o644) }); err != nil { //nolint:gosec // the point of it
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		o    Against
		want string
	}{
		"fine":                {server.CertFile, Against{}, ""},
		"fine by name":        {server.CertFile, Against{Host: "broker.example"}, ""},
		"fine by address":     {server.CertFile, Against{Host: "192.0.2.7"}, ""},
		"fine device":         {device.CertFile, Against{}, ""},
		"fine authority":      {filepath.Join(a.Dir, CertFile), Against{}, ""},
		"fine list":           {filepath.Join(a.Dir, ListFile), Against{}, ""},
		"fine request":        {request509(t, t.TempDir(), elliptic.P256(), false), Against{}, ""},
		"fine key":            {server.KeyFile, Against{}, ""},
		"host name":           {server.CertFile, Against{Host: "mqtt.example"}, CheckHost},
		"address":             {server.CertFile, Against{Host: "::1"}, CheckHost},
		"device as host":      {device.CertFile, Against{Host: "pump-7"}, CheckNoSAN + " " + CheckPurpose},
		"expired":             {server.CertFile, Against{Now: now.Add(60 * day), CRL: filepath.Join(other.Dir, ListFile), CA: filepath.Join(a.Dir, CertFile)}, CheckExpiry + " " + CheckList},
		"not yet":             {server.CertFile, Against{Now: now.Add(-10 * time.Hour)}, CheckClock + " " + CheckNotYet},
		"stale list":          {device.CertFile, Against{Now: now.Add(31 * day)}, CheckList},
		"stale list itself":   {filepath.Join(a.Dir, ListFile), Against{Now: now.Add(31 * day)}, CheckList},
		"list of another":     {filepath.Join(a.Dir, ListFile), Against{CA: otherCA}, CheckAuthority},
		"clock":               {server.KeyFile, Against{Now: time.Unix(0, 0)}, CheckClock},
		"unknown authority":   {server.CertFile, Against{CA: otherCA}, CheckAuthority},
		"revoked":             {gone.CertFile, Against{}, CheckRevoked},
		"weak RSA":            {weakRSA, Against{}, CheckWeakKey},
		"weak curve":          {weakEC, Against{}, CheckWeakKey},
		"no SAN":              {noSAN, Against{}, CheckNoSAN},
		"no SAN for the name": {noSAN, Against{Host: "broker.example"}, CheckNoSAN},
		"key of another":      {mixed, Against{}, CheckKey},
		"key by flag":         {server.CertFile, Against{Key: device.KeyFile}, CheckKey},
		"order":               {disordered, Against{}, CheckForm},
		"readable key":        {readable, Against{}, CheckMode},
		"changed request":     {request509(t, t.TempDir(), elliptic.P256(), true), Against{}, CheckForm},
		"weak request":        {request509(t, t.TempDir(), elliptic.P224(), false), Against{}, CheckWeakKey},
	} {
		r := inspect(t, c.path, c.o)
		if got := problems(r); got != c.want {
			t.Errorf("%s: problems %q, want %q\n%+v", name, got, c.want, r.Findings)
		}
		for _, f := range r.Findings {
			if f.Text == "" || strings.Contains(f.Text, "  ") {
				t.Errorf("%s: finding %+v", name, f)
			}
		}
	}
	// Words, with what was expected and what was found.
	r := inspect(t, server.CertFile, Against{Host: "mqtt.example"})
	if f := r.Findings[0]; f.Expected != "mqtt.example" || f.Found != "broker.example, 192.0.2.7" {
		t.Errorf("%+v", f)
	}
	r = inspect(t, server.CertFile, Against{Now: now.Add(53 * day)})
	if f := r.Findings[0]; f.Text != "CN=broker.example expired 3 days ago" {
		t.Errorf("%+v", f)
	}
	r = inspect(t, server.CertFile, Against{Now: now.Add(45 * day), CRL: filepath.Join(a.Dir, ListFile), CA: otherCA})
	if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return !f.Problem && f.Text == "CN=broker.example expires in 5 days" }) {
		t.Errorf("%+v", r.Findings)
	}
}

func TestInspectRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"empty": "", "text": "hello", "cut": "-----BEGIN CERTIFICATE-----\nMIIB", "junk": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"unknown": "-----BEGIN SOMETHING-----\nAAAA\n-----END SOMETHING-----\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := InspectFile(path, Against{Now: now}); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if _, err := InspectFile(filepath.Join(dir, "absent"), Against{Now: now}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := InspectFile(dir, Against{Now: now}); err == nil {
		t.Error("a folder was inspected")
	}
}

// peer serves TLS on loopback until the end of the test.
func peer(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if config == nil {
				c.Write([]byte("220 not TLS\r\n")) //nolint:errcheck // test
				c.Close()                          //nolint:errcheck // test
				continue
			}
			s := tls.Server(c, config)
			s.Handshake() //nolint:errcheck // some of them must fail
			s.Close()     //nolint:errcheck // test
		}
	}()
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // test
		<-done
	})
	return l.Addr().String()
}

func TestInspectPeer(t *testing.T) {
	dir := t.TempDir()
	present := time.Now()
	a, err := Init(dir, Options{}, present)
	if err != nil {
		t.Fatal(err)
	}
	i, err := a.Issue(Request{Name: "127.0.0.1", Profile: Server}, present)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(i.CertFile, i.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, CertFile)
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	plain := peer(t, &tls.Config{Certificates: []tls.Certificate{pair}})
	for name, c := range map[string]struct {
		address string
		o       Against
		want    string
	}{
		"fine":               {plain, Against{CA: root}, ""},
		"host name":          {plain, Against{CA: root, Host: "broker.example"}, CheckHost},
		"unknown authority":  {plain, Against{}, CheckAuthority},
		"client certificate": {peer(t, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}), Against{CA: root}, ""},
		"the same, TLS 1.2": {peer(t, &tls.Config{
			Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: tls.VersionTLS12,
		}), Against{CA: root}, ""},
	} {
		c.o.Now = time.Now()
		r, err := InspectPeer(t.Context(), c.address, c.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := problems(r); got != c.want || !strings.HasPrefix(r.TLS, "TLS 1.") {
			t.Errorf("%s: problems %q, want %q: %+v", name, got, c.want, r)
		}
		if asked := slices.ContainsFunc(r.Findings, func(f Finding) bool {
			return strings.HasPrefix(f.Text, "the server asks for a client certificate of CN=SealMQ CA")
		}); asked != (c.want == "" && name != "fine") {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close() //nolint:errcheck // nobody shall listen there
	for name, address := range map[string]string{
		"nobody": closed.Addr().String(), "no TLS": peer(t, nil), "no address": "broker",
		"no common version": peer(t, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"mqtt"}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return nil, errors.New("refused")
		}}),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := InspectPeer(ctx, address, Against{Now: time.Now()})
		cancel()
		var peer *PeerError
		if !errors.As(err, &peer) || peer.Why == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", 90 * time.Second: "90 seconds", 3 * time.Minute: "3 minutes", -5 * time.Hour: "5 hours",
		47 * time.Hour: "47 hours", 49 * time.Hour: "2 days", 89 * day: "89 days", 90 * day: "3 months", 729 * day: "24 months", 730 * day: "2 years",
	} {
		if got := InWords(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestTrust(t *testing.T) {
	a := made(t, Options{})
	root, anchors := filepath.Join(a.Dir, CertFile), t.TempDir()
	device := a.mustIssue(t, Request{Name: "pump-7", Profile: Device})
	plan, err := PlanTrust(root, anchors, now)
	if err != nil || plan.There || filepath.Dir(plan.To) != anchors || len(files(t, anchors)) != 0 {
		t.Fatalf("%+v %v", plan, err)
	}
	for name, c := range map[string]struct {
		file, anchors string
		now           time.Time
	}{
		"no authority": {device.CertFile, anchors, now},
		"expired":      {root, anchors, now.Add(4000 * day)},
		"absent":       {filepath.Join(a.Dir, "none"), anchors, now},
		"no folder":    {root, filepath.Join(anchors, "none"), now},
		"two":          {write(t, t.TempDir(), "two", "CERTIFICATE", a.Cert.Raw, a.Cert.Raw), anchors, now},
	} {
		if p, err := PlanTrust(c.file, c.anchors, c.now); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
	plan.Update = []string{"go", "version"}
	out, err := plan.Do()
	if err != nil || !strings.Contains(string(out), "go version") {
		t.Fatalf("%s %v", out, err)
	}
	again, err := PlanTrust(root, anchors, now)
	if err != nil || !again.There {
		t.Errorf("%+v %v", again, err)
	}
	if got, err := certificates(plan.To); err != nil || !got[0].Equal(a.Cert) {
		t.Errorf("%v", err)
	}
}

// FuzzInspect: whatever a file holds, an inspection ends with a report or an error.
func FuzzInspect(f *testing.F) {
	key, err := newKey()
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(day), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	f.Add([]byte("-----BEGIN CERTIFICATE-----"))
	path := filepath.Join(f.TempDir(), "x")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := InspectFile(path, Against{Now: now})
		if (r == nil) == (err == nil) {
			t.Fatalf("%v %v", r, err)
		}
		if err == nil && len(r.Items) == 0 {
			t.Fatal("a report about nothing")
		}
	})
}
