// Package pkitest makes throw-away certificates for tests.
package pkitest

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

// PKI is a throw-away authority that writes the files of a listener into Dir: ca.crt, server.crt, server.key and
// clients.crl. A failure ends the test.
type PKI struct {
	t    testing.TB
	Dir  string
	Cert *x509.Certificate // of the authority
	key  *ecdsa.PrivateKey
	next int64
}

// New makes an authority and writes ca.crt.
func New(t testing.TB) *PKI {
	t.Helper()
	p := &PKI{t: t, Dir: t.TempDir(), next: 1}
	p.Cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	pair := p.Issue(p.Cert)
	p.Cert, p.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	p.Write("ca.crt", "CERTIFICATE", p.Cert.Raw)
	return p
}

// Issue signs a template for an hour around now, unless the template says when.
func (p *PKI) Issue(template *x509.Certificate) tls.Certificate {
	p.t.Helper()
	p.next++
	template.SerialNumber = big.NewInt(p.next)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.check(err)
	signer := key
	if p.key != nil {
		signer = p.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.Cert, &key.PublicKey, signer)
	p.check(err)
	leaf, err := x509.ParseCertificate(der)
	p.check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *PKI) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// Write makes a PEM file, for the owner only.
func (p *PKI) Write(name, kind string, der []byte) {
	p.t.Helper()
	p.check(os.WriteFile(filepath.Join(p.Dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// Server writes a new certificate of the server, for localhost and 127.0.0.1.
func (p *PKI) Server() {
	p.t.Helper()
	c := p.Issue(&x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	p.WritePair("server", c)
}

// Client makes a certificate for a client.
func (p *PKI) Client() tls.Certificate {
	return p.Issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// Revoke writes a list that revokes these certificates and no others.
func (p *PKI) Revoke(certs ...tls.Certificate) {
	p.t.Helper()
	p.next++
	list := &x509.RevocationList{Number: big.NewInt(p.next), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, p.Cert, p.key)
	p.check(err)
	p.Write("clients.crl", "X509 CRL", der)
}

// WritePair writes name.crt and name.key.
func (p *PKI) WritePair(name string, c tls.Certificate) {
	p.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	p.check(err)
	p.Write(name+".crt", "CERTIFICATE", c.Certificate[0])
	p.Write(name+".key", "PRIVATE KEY", key)
}
