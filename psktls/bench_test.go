package psktls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"os"
	"testing"
	"time"
)

// BenchmarkHandshake measures whole handshakes, both ends, over loopback TCP,
// against crypto/tls with an ECDSA P-256 certificate and no resumption, in the
// same run. See BenchmarkServerCPU for the server's part alone.
func BenchmarkHandshake(b *testing.B) {
	for _, c := range handshakes(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			serverEnds, clientEnds := tcpPairs(b)
			for b.Loop() {
				s, cl := <-serverEnds, <-clientEnds
				done := make(chan error, 1)
				go func() {
					_, err := c.serve(s)
					done <- err
				}()
				if err := c.client(cl); err != nil {
					b.Fatal(err)
				}
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				_ = cl.Close()
				_ = s.Close()
			}
		})
	}
}

// handshakeCase is one protocol to measure.
type handshakeCase struct {
	name   string
	serve  func(net.Conn) (net.Conn, error) // gives the connection after its handshake
	client func(net.Conn) error
}

func handshakes(b testing.TB) []handshakeCase {
	b.Helper()
	psk := func(name string, v, group uint16, suites ...uint16) handshakeCase {
		server, client := serverConfig(), clientConfig()
		for _, c := range []*Config{server, client} {
			c.MinVersion, c.MaxVersion, c.CipherSuites, c.AllowNoForwardSecrecy = v, v, suites, len(suites) > 0
			c.Groups = []uint16{group}
		}
		settings, err := server.compile(false)
		if err != nil {
			b.Fatal(err)
		}
		return handshakeCase{
			name: name,
			serve: func(c net.Conn) (net.Conn, error) {
				conn := &Conn{transport: c, settings: settings}
				return conn, conn.Handshake()
			},
			client: func(c net.Conn) error { return Client(c, client).Handshake() },
		}
	}
	serverTLS, clientTLS := certificates(b)
	certs := func(name string, v uint16, group tls.CurveID) handshakeCase {
		s, c := serverTLS.Clone(), clientTLS.Clone()
		for _, x := range []*tls.Config{s, c} {
			x.MaxVersion, x.CurvePreferences = v, []tls.CurveID{group}
		}
		return handshakeCase{
			name: name,
			serve: func(c net.Conn) (net.Conn, error) {
				conn := tls.Server(c, s)
				return conn, conn.Handshake()
			},
			client: func(conn net.Conn) error { return tls.Client(conn, c).Handshake() },
		}
	}
	return []handshakeCase{
		certs("crypto-tls-1.3-ecdsa-x25519", VersionTLS13, tls.X25519),
		certs("crypto-tls-1.3-ecdsa-p256", VersionTLS13, tls.CurveP256),
		psk("psk-1.3-dhe-x25519", VersionTLS13, GroupX25519),
		psk("psk-1.3-dhe-p256", VersionTLS13, GroupP256),
		certs("crypto-tls-1.2-ecdsa-x25519", VersionTLS12, tls.X25519),
		certs("crypto-tls-1.2-ecdsa-p256", VersionTLS12, tls.CurveP256),
		psk("psk-1.2-ecdhe-x25519", VersionTLS12, GroupX25519),
		psk("psk-1.2-ecdhe-p256", VersionTLS12, GroupP256),
		psk("psk-1.2-plain", VersionTLS12, GroupP256, TLS_PSK_WITH_AES_128_GCM_SHA256),
	}
}

// tcpPairs makes loopback connections ahead of their use.
func tcpPairs(b *testing.B) (servers, clients <-chan net.Conn) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s, c := make(chan net.Conn, 1), make(chan net.Conn, 1)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			dialed, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return
			}
			accepted, err := l.Accept()
			if err != nil {
				return
			}
			for _, x := range []struct {
				to chan net.Conn
				c  net.Conn
			}{{s, accepted}, {c, dialed}} {
				select {
				case x.to <- x.c:
				case <-stop:
					_ = accepted.Close()
					_ = dialed.Close()
					return
				}
			}
		}
	}()
	b.Cleanup(func() {
		close(stop)
		_ = l.Close()
		<-done
	})
	return s, c
}

// certificates gives configurations that crypto/tls would use for the same task:
// one ECDSA P-256 certificate, verified by the client, and no tickets. The caller
// sets the group: what crypto/tls prefers, X25519 with ML-KEM, would make it slower.
func certificates(b testing.TB) (server, client *tls.Config) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		b.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	server = &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}},
		SessionTicketsDisabled: true, MinVersion: VersionTLS12,
	}
	client = &tls.Config{RootCAs: roots, ServerName: "bench", MinVersion: VersionTLS12}
	if os.Getenv("PSKTLS_BENCH_CLIENT") != "" {
		// The server's certificate is of another process.
		client.InsecureSkipVerify = true //nolint:gosec // a benchmark's client
	}
	return server, client
}

// BenchmarkTransfer measures one direction over an in-memory pipe, record after
// record.
func BenchmarkTransfer(b *testing.B) {
	for _, size := range []int{100, maxPlaintext} {
		for _, suite := range []uint16{TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256, TLS_AES_128_CCM_SHA256} {
			name := CipherSuiteName(suite) + map[int]string{100: "/100B", maxPlaintext: "/16KiB"}[size]
			b.Run(name, func(b *testing.B) {
				server, client := serverConfig(), clientConfig()
				client.CipherSuites = []uint16{suite}
				p := mustConnect(b, server, client)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				payload, buf := make([]byte, size), make([]byte, size+100)
				done := make(chan struct{})
				go func() {
					defer close(done)
					for {
						if _, err := p.client.Write(payload); err != nil {
							return
						}
					}
				}()
				for b.Loop() {
					if _, err := io.ReadFull(p.server, buf[:size]); err != nil {
						b.Fatal(err)
					}
				}
				_ = p.server.NetConn().Close()
				<-done
			})
		}
	}
}
