package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
)

// below makes an authority that a signs.
func (a *authority) below(name string, change func(*x509.Certificate)) *authority {
	a.t.Helper()
	c := a.issue(name, x509.ExtKeyUsageClientAuth, func(t *x509.Certificate) {
		t.IsCA, t.BasicConstraintsValid = true, true
		t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		if change != nil {
			change(t)
		}
	})
	return &authority{t: a.t, cert: c.Leaf, key: c.PrivateKey.(*ecdsa.PrivateKey), next: 500}
}

// list is a revocation list in DER.
func (a *authority) list(revoked ...*x509.Certificate) []byte {
	a.t.Helper()
	a.next++
	list := &x509.RevocationList{Number: big.NewInt(a.next), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// TestEveryCertificateOfTheChainIsLookedUp: an authority in between that was revoked, or of which nothing is known, takes
// its clients with it; one way to the root that is good is enough.
func TestEveryCertificateOfTheChainIsLookedUp(t *testing.T) {
	root := newAuthority(t, "root")
	plant, second := root.below("plant", nil), (*authority)(nil)
	leaf := plant.client("pump").Leaf
	// The same authority, certified once more: two chains lead to the root.
	root.next++
	twin := *plant.cert
	twin.SerialNumber = big.NewInt(root.next)
	second = &authority{t: t, cert: root.sign(&twin, &plant.key.PublicKey), key: plant.key}
	old := root.below("old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) })
	oldLeaf := old.client("pump").Leaf
	creds := func(lists ...[]byte) *credentials {
		c := &credentials{mode: RequireClientCert, pool: x509.NewCertPool(), roots: map[string]bool{string(root.cert.Raw): true}}
		c.pool.AddCert(root.cert)
		if len(lists) > 0 {
			c.crl = &revocations{lists: map[string]*revocationList{}}
			for _, der := range lists {
				if err := c.crl.add(der, []*x509.Certificate{root.cert, plant.cert}); err != nil {
					t.Fatal(err)
				}
			}
		}
		return c
	}
	shown := func(certs ...*x509.Certificate) []*x509.Certificate { return certs }
	for name, c := range map[string]struct {
		creds *credentials
		shown []*x509.Certificate
		at    time.Duration
		want  error
	}{
		"both lists":                   {creds(root.list(), plant.list()), shown(leaf, plant.cert), 0, nil},
		"without lists":                {creds(), shown(leaf, plant.cert), 0, nil},
		"the client is revoked":        {creds(root.list(), plant.list(leaf)), shown(leaf, plant.cert), 0, CheckRevocation},
		"the authority is revoked":     {creds(root.list(plant.cert), plant.list()), shown(leaf, plant.cert), 0, CheckRevocation},
		"nothing of the client":        {creds(root.list()), shown(leaf, plant.cert), 0, CheckCRL},
		"nothing of the authority":     {creds(plant.list()), shown(leaf, plant.cert), 0, CheckCRL},
		"the other way is good":        {creds(root.list(plant.cert), plant.list()), shown(leaf, plant.cert, second.cert), 0, nil},
		"no way is good":               {creds(root.list(plant.cert, second.cert), plant.list()), shown(leaf, plant.cert, second.cert), 0, CheckRevocation},
		"the authority is not shown":   {creds(), shown(leaf), 0, CheckAuthority},
		"the authority expired":        {creds(), shown(oldLeaf, old.cert), 2 * time.Minute, CheckValidity},
		"the authority is good so far": {creds(), shown(oldLeaf, old.cert), 0, nil},
	} {
		now := time.Now().Add(c.at)
		chain, err := c.creds.verify(c.shown, now)
		if !errors.Is(err, c.want) || (err == nil) != (len(chain) == 3) {
			t.Errorf("%s: chain of %d, %v, want %v", name, len(chain), err, c.want)
		}
		if name == "the authority is not shown" {
			continue
		}
		full := append(shown(c.shown...), root.cert)
		if len(c.shown) == 3 { // which way it was does not show in a live connection
			continue
		}
		if err := c.creds.entitled(&identity.TLS{Chain: full}, now); !errors.Is(err, c.want) {
			t.Errorf("%s, live: %v, want %v", name, err, c.want)
		}
	}
	if chain, err := (&credentials{mode: NoClientCert}).verify(shown(leaf), time.Now()); chain != nil || err != nil {
		t.Errorf("one that was not asked for: %v, %v", chain, err)
	}
}

// TestRevocationTimes: a list is in force from its first to its last second.
func TestRevocationTimes(t *testing.T) {
	a := newAuthority(t, "authority")
	r := &revocations{lists: map[string]*revocationList{}}
	if err := r.add(a.list(), []*x509.Certificate{a.cert}); err != nil {
		t.Fatal(err)
	}
	l := r.lists[string(a.cert.RawSubject)]
	chain := []*x509.Certificate{a.client("pump").Leaf, a.cert}
	for at, want := range map[time.Time]error{
		l.thisUpdate: nil, l.nextUpdate: nil, l.thisUpdate.Add(-time.Nanosecond): CheckCRL, l.nextUpdate.Add(time.Nanosecond): CheckCRL,
	} {
		if err := r.check(chain, at); !errors.Is(err, want) {
			t.Errorf("at %v of %v to %v: %v", at, l.thisUpdate, l.nextUpdate, err)
		}
	}
	if err := r.check(chain[1:], l.thisUpdate); err != nil { // a client that is its own root
		t.Errorf("a root by itself: %v", err)
	}
	revoked := &revocations{lists: map[string]*revocationList{}}
	if err := revoked.add(a.list(a.cert), []*x509.Certificate{a.cert}); err != nil {
		t.Fatal(err)
	}
	if err := revoked.check(chain[1:], l.thisUpdate); !errors.Is(err, CheckRevocation) {
		t.Errorf("a revoked root by itself: %v", err)
	}
}

// endless is a list without nextUpdate, which RFC 5280 §5.1.2.5 forbids and the library does not make.
func (a *authority) endless() []byte {
	a.t.Helper()
	must := func(b []byte, err error) []byte {
		if err != nil {
			a.t.Fatal(err)
		}
		return b
	}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}} // ecdsa-with-SHA256
	tbs := must(asn1.Marshal(struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		Issuer     asn1.RawValue
		ThisUpdate time.Time
	}{1, algorithm, asn1.RawValue{FullBytes: a.cert.RawSubject}, time.Now().Add(-time.Hour).UTC()}))
	digest := sha256.Sum256(tbs)
	signature := must(a.key.Sign(rand.Reader, digest[:], crypto.SHA256))
	return must(asn1.Marshal(struct {
		List      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}}))
}

// TestRevocationFiles: a file is used as a whole or not at all, and only when an authority of ours signed all of it.
func TestRevocationFiles(t *testing.T) {
	a, b := newAuthority(t, "authority"), newAuthority(t, "other")
	renewed, impostor := newAuthority(t, "authority"), newAuthority(t, "authority")
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	one, two := block("X509 CRL", a.list()), block("X509 CRL", b.list())
	for name, c := range map[string]struct {
		file string
		want string // "": taken
	}{
		"PEM":                     {one, ""},
		"of each authority":       {one + two, ""},
		"with words before it":    {"# ours\n" + one, ""},
		"with blanks at the end":  {one + "\n \n", ""},
		"DER":                     {string(a.list()), ""},
		"of a renewed authority":  {string(renewed.list()), ""},
		"of an impostor":          {string(impostor.list()), "list of"},
		"of an impostor, in PEM":  {one + block("X509 CRL", impostor.list()), "list of"},
		"of somebody else":        {string(newAuthority(t, "third").list()), "an issuer that is in the ca file"},
		"without an end":          {string(a.endless()), "no next update"},
		"without an end, in PEM":  {block("X509 CRL", a.endless()), "no next update"},
		"a certificate":           {one + block("CERTIFICATE", a.cert.Raw), "X509 CRL blocks only"},
		"words after it":          {one + "more", "something else after them"},
		"half a block after it":   {one + two[:len(two)/2], "something else after them"},
		"no list":                 {"-----BEGIN\n", "after them"},
		"a block that is no list": {block("X509 CRL", []byte("x")), "crl"},
		"DER that is no list":     {"x", "crl"},
		"nothing":                 {"", "crl"},
	} {
		path := filepath.Join(t.TempDir(), "crl")
		write(t, path, 0o644, c.file)
		r, err := loadRevocations(path, []*x509.Certificate{a.cert, b.cert, renewed.cert})
		if c.want == "" && (err != nil || len(r.lists) == 0) || c.want != "" && (!errors.Is(err, CheckCRL) || r != nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := loadRevocations(missing, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestAuthorityFiles: a file of authorities holds certificates of authorities and nothing else.
func TestAuthorityFiles(t *testing.T) {
	a := newAuthority(t, "authority")
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good := block("CERTIFICATE", a.cert.Raw)
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		want error
	}{
		"one":                           {good, nil},
		"two":                           {good + block("CERTIFICATE", newAuthority(t, "other").cert.Raw), nil},
		"a client":                      {good + block("CERTIFICATE", a.client("x").Certificate[0]), CheckAuthority},
		"constraints of a leaf":         {block("CERTIFICATE", a.issue("x", 0, func(c *x509.Certificate) { c.BasicConstraintsValid = true }).Certificate[0]), CheckAuthority},
		"a certificate of another kind": {good + block("TRUSTED CERTIFICATE", a.cert.Raw), CheckFile},
		"a private key":                 {good + block("PRIVATE KEY", key), CheckFile},
		"a broken certificate":          {good + block("CERTIFICATE", a.cert.Raw[:40]), CheckFile},
		"nothing":                       {"", CheckFile},
		"words without a block":         {"authority", CheckFile},
	} {
		list, err := parseAuthorities([]byte(c.file), "ca.crt")
		if !errors.Is(err, c.want) || (err == nil) != (len(list) > 0) {
			t.Errorf("%s: %d, %v, want %v", name, len(list), err, c.want)
		}
	}
}

// TestProtocolNames: a client of another protocol cannot be led to a listener, as it asks for a name that there is none of.
func TestProtocolNames(t *testing.T) {
	p := newPKI(t)
	for _, web := range []bool{false, true} {
		o := Options{Certificate: p.certificate(NoClientCert)}
		if web {
			o.WebSocket = &WebSocket{Path: "/mqtt", MaxMessage: 1 << 10}
		}
		creds, err := o.load()
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{false: "mqtt", true: "http/1.1"}[web]
		if got := creds.server.NextProtos; len(got) != 1 || got[0] != want {
			t.Errorf("web %v: %v", web, got)
		}
	}
	l := listenTest(t, Options{Certificate: p.certificate(NoClientCert)})
	for name, want := range map[string]error{"mqtt": nil, "h2": CheckHandshake} {
		config := p.dial()
		config.NextProtos = []string{name}
		if _, out := connect(t, l, config); !errors.Is(out.err, want) {
			t.Errorf("%s: %v, want %v", name, out.err, want)
		}
	}
}

// TestAuthoritiesAreNamed: a client learns which authorities count, so that it can choose among its certificates.
func TestAuthoritiesAreNamed(t *testing.T) {
	p := newPKI(t)
	for _, mode := range []ClientMode{RequestClientCert, RequireClientCert} {
		l := listenTest(t, Options{Certificate: p.certificate(mode)})
		config, cert := p.dial(), p.client("a")
		var named [][]byte
		config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			named = r.AcceptableCAs
			return &cert, nil
		}
		if _, out := connect(t, l, config); out.err != nil {
			t.Fatal(out.err)
		}
		if len(named) != 1 || string(named[0]) != string(p.cert.RawSubject) {
			t.Errorf("mode %d: %q", mode, named)
		}
	}
}
