package node

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pki is a throw-away authority that writes the files of a listener into dir.
type pki struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{t: t, dir: t.TempDir(), next: 1}
	p.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	pair := p.issue(p.cert)
	p.cert, p.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	p.write("ca.crt", "CERTIFICATE", p.cert.Raw)
	return p
}

// issue signs with the authority, or lets it sign itself.
func (p *pki) issue(template *x509.Certificate) tls.Certificate {
	p.t.Helper()
	p.next++
	template.SerialNumber = big.NewInt(p.next)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.check(err)
	signer := key
	if p.key != nil {
		signer = p.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, &key.PublicKey, signer)
	p.check(err)
	leaf, err := x509.ParseCertificate(der)
	p.check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *pki) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pki) write(name, kind string, der []byte) {
	p.t.Helper()
	p.check(os.WriteFile(filepath.Join(p.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (p *pki) serve() {
	p.t.Helper()
	c := p.issue(&x509.Certificate{DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	p.check(err)
	p.write("server.crt", "CERTIFICATE", c.Certificate[0])
	p.write("server.key", "PRIVATE KEY", key)
}

func (p *pki) client() tls.Certificate {
	return p.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

func (p *pki) revoke(certs ...tls.Certificate) {
	p.t.Helper()
	p.next++
	list := &x509.RevocationList{Number: big.NewInt(p.next), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, p.cert, p.key)
	p.check(err)
	p.write("clients.crl", "X509 CRL", der)
}

const rotationConfig = `
version: 1
listeners:
  - name: mtls
    bind: "127.0.0.1:0"
    tls: {cert: server.crt, key: server.key}
    client_cert: {ca: ca.crt, crl: clients.crl}
auth: {anonymous: true}
storage: {engine: memory}
`

// dial connects an MQTT 5 client and reads its CONNACK.
func (p *pki) dial(addr net.Addr, id string, cert tls.Certificate) (*tls.Conn, error) {
	pool := x509.NewCertPool()
	pool.AddCert(p.cert)
	c, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{cert}})
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	connect := append([]byte{0x10, byte(13 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, byte(len(id))}, id...)
	if _, err := c.Write(connect); err != nil {
		return c, err
	}
	h := make([]byte, 2)
	if _, err := io.ReadFull(c, h); err != nil {
		return c, err
	}
	rest := make([]byte, h[1])
	if _, err := io.ReadFull(c, rest); err != nil {
		return c, err
	}
	if h[0] != 0x20 || rest[1] != 0 {
		return c, fmt.Errorf("answer % x % x", h, rest)
	}
	return c, nil
}

// TestRotation replaces the server's certificate and revokes one client's under a thousand live connections: the revoked
// ones end within a second with Not authorized, no other does, and new ones see the new certificate. A broken file
// changes nothing.
func TestRotation(t *testing.T) {
	count := 1000
	if testing.Short() {
		count = 100
	}
	p := newPKI(t)
	p.serve()
	p.revoke()
	file := filepath.Join(p.dir, "sealmq.yaml")
	p.check(os.WriteFile(file, []byte(rotationConfig), 0o600))
	plan, err := config.FromFlags(config.Flags{Config: file})
	p.check(err)
	n, err := Start(t.Context(), plan, slog.New(slog.DiscardHandler), "test")
	p.check(err)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		p.check(n.Stop(ctx))
	}()
	good, bad := p.client(), p.client()
	conns := make([]*tls.Conn, count)
	revoked := func(i int) bool { return i%10 == 3 }
	for i := range conns {
		cert := good
		if revoked(i) {
			cert = bad
		}
		conns[i], err = p.dial(n.Addrs()[0], fmt.Sprintf("c%d", i), cert)
		p.check(err)
		defer conns[i].Close() //nolint:errcheck // test
	}

	p.serve()
	p.revoke(bad)
	p.check(os.WriteFile(filepath.Join(p.dir, "ca.crt"), []byte("nothing"), 0o600))
	if err := n.Reload(plan); !errors.Is(err, transport.CheckFile) || !strings.Contains(err.Error(), "mtls") {
		t.Fatalf("broken file: %v", err)
	}
	ping(t, conns[3]) // its certificate is revoked by a list that is not in force
	p.write("ca.crt", "CERTIFICATE", p.cert.Raw)
	before := time.Now()
	p.check(n.Reload(plan))
	for i, c := range conns {
		if !revoked(i) {
			continue
		}
		got, err := io.ReadAll(c)
		if err != nil || !bytes.HasPrefix(got, []byte{0xE0}) || got[2] != 0x87 {
			t.Fatalf("revoked connection %d: % x, %v", i, got, err)
		}
	}
	if took := time.Since(before); took > time.Second {
		t.Errorf("the last revoked connection ended after %v", took)
	}
	for i, c := range conns {
		if !revoked(i) {
			ping(t, c)
		}
	}
	if c, err := p.dial(n.Addrs()[0], "again", bad); err == nil {
		t.Error("a revoked certificate gets in")
		_ = c.Close()
	}
	c, err := p.dial(n.Addrs()[0], "new", good)
	p.check(err)
	if c.ConnectionState().PeerCertificates[0].Equal(conns[0].ConnectionState().PeerCertificates[0]) {
		t.Error("the new server certificate is not in use")
	}
	_ = c.Close()
}

// ping shows that a connection lives.
func ping(t *testing.T, c *tls.Conn) {
	t.Helper()
	answer := make([]byte, 2)
	if _, err := c.Write([]byte{0xC0, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil || answer[0] != 0xD0 {
		t.Fatalf("ping: % x, %v", answer, err)
	}
}
