package node

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/pkitest"
	"github.com/sealmq/sealmq/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
func dialTLS(p *pkitest.PKI, addr net.Addr, id string, cert tls.Certificate) (*tls.Conn, error) {
	pool := x509.NewCertPool()
	pool.AddCert(p.Cert)
	c, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{cert}})
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
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
	p := pkitest.New(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p.Server()
	p.Revoke()
	file := filepath.Join(p.Dir, "sealmq.yaml")
	check(os.WriteFile(file, []byte(rotationConfig), 0o600))
	plan, err := config.FromFlags(config.Flags{Config: file})
	check(err)
	n := startNode(t, plan)
	good, bad := p.Client(), p.Client()
	conns := make([]*tls.Conn, count)
	revoked := func(i int) bool { return i%10 == 3 }
	for i := range conns {
		cert := good
		if revoked(i) {
			cert = bad
		}
		conns[i], err = dialTLS(p, n.Addrs()[0], fmt.Sprintf("c%d", i), cert)
		check(err)
		defer conns[i].Close() //nolint:errcheck // test
	}

	p.Server()
	p.Revoke(bad)
	check(os.WriteFile(filepath.Join(p.Dir, "ca.crt"), []byte("nothing"), 0o600))
	if err := n.Reload(plan); !errors.Is(err, transport.CheckFile) || !strings.Contains(err.Error(), "mtls") {
		t.Fatalf("broken file: %v", err)
	}
	ping(t, conns[3]) // its certificate is revoked by a list that is not in force
	p.Write("ca.crt", "CERTIFICATE", p.Cert.Raw)
	before := time.Now()
	check(n.Reload(plan))
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
	} else {
		t.Logf("%d connections: the last revoked one ended after %v", count, took)
	}
	for i, c := range conns {
		if !revoked(i) {
			ping(t, c)
		}
	}
	if c, err := dialTLS(p, n.Addrs()[0], "again", bad); err == nil {
		t.Error("a revoked certificate gets in")
		_ = c.Close()
	}
	c, err := dialTLS(p, n.Addrs()[0], "new", good)
	check(err)
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
