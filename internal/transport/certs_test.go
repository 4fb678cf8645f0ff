package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a throw-away certificate authority.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t, next: 100, key: newKey(t)}
	a.cert = a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, &a.key.PublicKey)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(template *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	a.t.Helper()
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// issue makes a certificate for localhost; change may alter it.
func (a *authority) issue(name string, usage x509.ExtKeyUsage, change func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	a.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(template)
	}
	key := newKey(a.t)
	cert := a.sign(template, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) client(name string) tls.Certificate {
	return a.issue(name, x509.ExtKeyUsageClientAuth, nil)
}

// crl writes a revocation list of the certificates, in force for the given time from now.
func (a *authority) crl(path string, life time.Duration, revoked ...tls.Certificate) {
	a.t.Helper()
	a.next++
	list := &x509.RevocationList{Number: big.NewInt(a.next), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(life)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, path, 0o644, "X509 CRL", der)
}

func writePEM(t testing.TB, path string, mode os.FileMode, kind string, blocks ...[]byte) {
	t.Helper()
	var data []byte
	for _, b := range blocks {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})...)
	}
	write(t, path, mode, string(data))
}

func write(t testing.TB, path string, mode os.FileMode, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// pki is the folder of a listener with an authority for both sides.
type pki struct {
	*authority
	dir string
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	p := &pki{newAuthority(t, "test authority"), t.TempDir()}
	writePEM(t, p.path("ca.crt"), 0o644, "CERTIFICATE", p.cert.Raw)
	p.serve()
	return p
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

// serve writes a new server certificate and returns it.
func (p *pki) serve() tls.Certificate {
	p.t.Helper()
	c := p.issue("server", x509.ExtKeyUsageServerAuth, nil)
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		p.t.Fatal(err)
	}
	writePEM(p.t, p.path("server.crt"), 0o644, "CERTIFICATE", c.Certificate[0])
	writePEM(p.t, p.path("server.key"), 0o600, "PRIVATE KEY", der)
	return c
}

func (p *pki) certificate(mode ClientMode) *Certificate {
	c := &Certificate{CertFile: p.path("server.crt"), KeyFile: p.path("server.key"), Clients: mode}
	if mode != NoClientCert {
		c.CAFile = p.path("ca.crt")
	}
	return c
}

// dial is the configuration of a client that trusts the authority.
func (p *pki) dial(certs ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(p.cert)
	return &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: certs, MinVersion: tls.VersionTLS12}
}
