package transport

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/pkitest"
	"github.com/sealmq/sealmq/psktls"
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
	var line *psktls.KeyFileError
	short := &PSK{File: write("short", "lamp:"+hexKey+"\nfan:0011\n", 0o600)}
	if _, err := (&Options{PSK: short}).load(); !errors.As(err, &line) || line.Line != 2 {
		t.Errorf("a key that is too short: %v", err)
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
		"good":                                   {trusting(p.Cert), chain(client, p.Cert), now, nil},
		"expired meanwhile":                      {trusting(p.Cert), chain(client, p.Cert), client.NotAfter.Add(time.Second), CheckValidity},
		"authority removed":                      {trusting(other.Cert), chain(client, p.Cert), now, CheckAuthority},
		"none, and now needed":                   {trusting(p.Cert), chain(), now, CheckCertificate},
		"none, not needed":                       {&credentials{mode: RequestClientCert}, chain(), now, nil},
		"none, not asked for":                    {&credentials{mode: NoClientCert}, chain(), now, nil},
		"one, not asked for":                     {&credentials{mode: NoClientCert}, chain(client, p.Cert), client.NotAfter.Add(time.Second), nil},
		"one that was asked for and has expired": {&credentials{mode: RequestClientCert}, chain(client, p.Cert), client.NotAfter.Add(time.Second), CheckValidity},
		"at its last moment":                     {trusting(p.Cert), chain(client, p.Cert), client.NotAfter, nil},
	} {
		if err := c.creds.entitled(c.ev, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestRevocationLists: a certificate without a list of its issuer that is in force is refused, whatever its state.
func TestRevocationLists(t *testing.T) {
	p := pkitest.New(t)
	client := p.Client().Leaf
	now := time.Now()
	list := func(from, to time.Duration, revoked bool) *revocations {
		l := &revocationList{thisUpdate: now.Add(from), nextUpdate: now.Add(to), revoked: map[string]time.Time{}}
		if revoked {
			l.revoked[serialKey(client.SerialNumber)] = now
		}
		return &revocations{lists: map[string]*revocationList{string(p.Cert.RawSubject): l}}
	}
	for name, c := range map[string]struct {
		lists *revocations
		want  error
	}{
		"in force":    {list(-time.Hour, time.Hour, false), nil},
		"revoked":     {list(-time.Hour, time.Hour, true), CheckRevocation},
		"no list":     {&revocations{}, CheckCRL},
		"out of date": {list(-2*time.Hour, -time.Hour, false), CheckCRL},
		"not yet":     {list(time.Hour, 2*time.Hour, false), CheckCRL},
	} {
		if err := c.lists.check([]*x509.Certificate{client, p.Cert}, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestOldVersions: nothing below TLS 1.2 is spoken, and 1.2 only where it is allowed.
func TestOldVersions(t *testing.T) {
	p := pkitest.New(t)
	p.Server()
	for least, refused := range map[uint16][]uint16{
		tls.VersionTLS13: {tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12},
		tls.VersionTLS12: {tls.VersionTLS10, tls.VersionTLS11},
		0:                {tls.VersionTLS12},
	} {
		l := listenTest(t, Options{
			Address:     netip.MustParseAddrPort("127.0.0.1:0"),
			Certificate: &Certificate{CertFile: filepath.Join(p.Dir, "server.crt"), KeyFile: filepath.Join(p.Dir, "server.key"), MinVersion: least},
		})
		for _, v := range refused {
			//nolint:gosec // the old versions are what is tested, and nothing is sent
			_, out := connect(t, l, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: v, NextProtos: []string{"mqtt"}})
			if !errors.Is(out.err, CheckVersion) {
				t.Errorf("least %#x, offered %#x: %v", least, v, out.err)
			}
		}
	}
}

// TestPartialRevocationLists: a list that is not all of its issuer's, given twice, with an entry that is not understood, or of
// somebody else, refuses the whole file: what it leaves out would count as not revoked.
func TestPartialRevocationLists(t *testing.T) {
	a, other := newAuthority(t, "authority"), newAuthority(t, "other")
	delta := pkix.Extension{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}} // RFC 5280 §5.2.4
	make1 := func(by *authority, list, entry []pkix.Extension) []byte {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour), ExtraExtensions: list,
			RevokedCertificateEntries: []x509.RevocationListEntry{{
				SerialNumber: big.NewInt(7), RevocationTime: time.Now(), ExtraExtensions: entry,
			}},
		}, by.cert, by.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	whole := make1(a, nil, nil)
	for name, c := range map[string]struct {
		lists [][]byte
		good  bool
	}{
		"whole":          {[][]byte{whole}, true},
		"with reasons":   {[][]byte{make1(a, nil, []pkix.Extension{{Id: []int{2, 5, 29, 24}, Value: []byte{5, 0}}})}, true},
		"delta":          {[][]byte{make1(a, []pkix.Extension{delta}, nil)}, false},
		"critical entry": {[][]byte{make1(a, nil, []pkix.Extension{delta})}, false},
		"twice":          {[][]byte{whole, whole}, false},
		"of another":     {[][]byte{make1(other, nil, nil)}, false},
	} {
		r := &revocations{lists: map[string]*revocationList{}}
		var err error
		for _, der := range c.lists {
			if err == nil {
				err = r.add(der, []*x509.Certificate{a.cert})
			}
		}
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
