package transport

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/pkitest"
)

// TestFilesThatCannotBeUsed: each is refused before the listener opens, by the check that it names.
func TestFilesThatCannotBeUsed(t *testing.T) {
	p := pkitest.New(t)
	p.Server()
	p.WritePair("client", p.Client())
	p.WritePair("old", p.Issue(&x509.Certificate{
		DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}))
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(p.Dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	in := func(name string) string { return filepath.Join(p.Dir, name) }
	key, err := os.ReadFile(in("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	open := write("open.key", string(key), 0o644)
	server := func(cert, key string) *Certificate { return &Certificate{CertFile: in(cert), KeyFile: key} }
	clients := server("server.crt", in("server.key"))
	clients.Clients, clients.CAFile = RequireClientCert, in("client.crt") // no authority
	for name, c := range map[string]struct {
		o    Options
		want Check
	}{
		"expired server certificate": {Options{Certificate: server("old.crt", in("old.key"))}, CheckValidity},
		"key that others can read":   {Options{Certificate: server("server.crt", open)}, CheckPermissions},
		"key of another certificate": {Options{Certificate: server("server.crt", in("client.key"))}, CheckFile},
		"authority that is none":     {Options{Certificate: clients}, CheckAuthority},
		"no identity":                {Options{PSK: &PSK{File: write("psk", "# none\n", 0o600)}}, CheckFile},
	} {
		if c.want == CheckPermissions && runtime.GOOS == "windows" {
			continue
		}
		c.o.Address = netip.MustParseAddrPort("127.0.0.1:0")
		l, err := Listen(t.Context(), c.o)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil {
			_ = l.Close()
		}
	}
}

// TestMissingCertificateIsJudgedHere: a client without certificate is refused by our own check, too, which also runs where
// crypto/tls does not ask again.
func TestMissingCertificateIsJudgedHere(t *testing.T) {
	for mode, refused := range map[ClientMode]bool{NoClientCert: false, RequestClientCert: false, RequireClientCert: true} {
		c := &credentials{mode: mode}
		if _, err := c.verify(nil, time.Now()); errors.Is(err, CheckCertificate) != refused {
			t.Errorf("mode %d: %v", mode, err)
		}
	}
}

// TestEntitled: what a live connection proved is judged again by today's files and by the clock.
func TestEntitled(t *testing.T) {
	p, other := pkitest.New(t), pkitest.New(t)
	client := p.Client().Leaf
	now := time.Now()
	chain := func(certs ...*x509.Certificate) *identity.TLS { return &identity.TLS{Chain: certs} }
	trusting := func(ca *x509.Certificate) *credentials {
		return &credentials{mode: RequireClientCert, roots: map[string]bool{string(ca.Raw): true}}
	}
	for name, c := range map[string]struct {
		creds *credentials
		ev    *identity.TLS
		at    time.Time
		want  error
	}{
		"good":                 {trusting(p.Cert), chain(client, p.Cert), now, nil},
		"expired meanwhile":    {trusting(p.Cert), chain(client, p.Cert), client.NotAfter.Add(time.Second), CheckValidity},
		"authority removed":    {trusting(other.Cert), chain(client, p.Cert), now, CheckAuthority},
		"none, and now needed": {trusting(p.Cert), chain(), now, CheckCertificate},
		"none, not needed":     {&credentials{mode: RequestClientCert}, chain(), now, nil},
	} {
		if err := c.creds.entitled(c.ev, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
