package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// TLS is what the handshakes showed.
type TLS struct {
	Versions          []string          `json:"versions"` // accepted, the oldest first
	Cipher            string            `json:"cipher"`
	ClientCertificate bool              `json:"client_certificate_asked"`
	ClientCertNeeded  bool              `json:"client_certificate_needed"`
	Certificate       Certificate       `json:"certificate"`
	Leaf              *x509.Certificate `json:"-"`
}

// Certificate is that of the server, in words.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Verified  bool      `json:"verified"` // a client with these authorities connects
	Problem   string    `json:"problem,omitempty"`
}

// tlsVersions are those that are tried, the oldest first. Clients do without the first two since RFC 8996.
var tlsVersions = []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}

func (l *look) config(least, most uint16) *tls.Config {
	c := &tls.Config{
		MinVersion: least, MaxVersion: most, ServerName: l.e.host,
		InsecureSkipVerify: true, //nolint:gosec // the certificate is looked at below; nothing secret is sent before
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if l.result.TLS != nil {
				l.result.TLS.ClientCertificate = true
			}
			return new(tls.Certificate), nil
		},
	}
	if least < tls.VersionTLS12 {
		// Only to see whether the server still takes them.
		for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			c.CipherSuites = append(c.CipherSuites, s.ID)
		}
	}
	return c
}

// tls tries every version alone. Without any the endpoint has no TLS.
func (l *look) tls(ctx context.Context) {
	found := &TLS{}
	var last error
	for _, v := range tlsVersions {
		l.result.TLS = found // for the callback
		c, err := l.dial(ctx, l.config(v, v))
		if err != nil {
			last = err
			var netErr *net.OpError
			if errors.As(err, &netErr) && netErr.Op == "dial" {
				break // nobody is there
			}
			continue
		}
		state := c.(*tls.Conn).ConnectionState()
		found.Versions = append(found.Versions, versionName(v))
		found.Cipher = tls.CipherSuiteName(state.CipherSuite)
		found.describe(state.PeerCertificates, l.e.host, l.o.Roots)
		_ = c.Close()
	}
	if len(found.Versions) == 0 {
		l.result.TLS, l.result.Error = nil, words(last)
		return
	}
	l.result.TLS, l.result.Reachable = found, true
}

func versionName(v uint16) string {
	return map[uint16]string{tls.VersionTLS10: "1.0", tls.VersionTLS11: "1.1", tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[v]
}

func (t *TLS) describe(chain []*x509.Certificate, host string, roots *x509.CertPool) {
	if len(chain) == 0 {
		t.Certificate.Problem = "the server showed no certificate"
		return
	}
	leaf := chain[0]
	t.Leaf = leaf
	c := &t.Certificate
	c.Subject, c.Issuer = leaf.Subject.String(), leaf.Issuer.String()
	c.Names = append([]string{}, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	c.NotBefore, c.NotAfter = leaf.NotBefore.UTC(), leaf.NotAfter.UTC()
	between := x509.NewCertPool()
	for _, x := range chain[1:] {
		between.AddCert(x)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between})
	c.Verified = err == nil
	if err != nil {
		c.Problem = err.Error()
	}
}

// words is an error without what a reader knows already.
func words(err error) string {
	var op *net.OpError
	var record tls.RecordHeaderError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &record):
		return "what answers does not speak TLS"
	case errors.As(err, &op) && op.Timeout():
		return "no answer in time"
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Sprintf("cannot connect: %v", op.Err)
	}
	return err.Error()
}
