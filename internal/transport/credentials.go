package transport

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/psktls"
)

// ClientMode says whether clients show a certificate.
type ClientMode uint8

// The modes. In each of them a certificate that is shown must be valid.
const (
	NoClientCert ClientMode = iota
	RequestClientCert
	RequireClientCert
)

// Certificate is how a listener proves who it is, and what it asks of clients.
type Certificate struct {
	CertFile, KeyFile string // PEM; the leaf first
	MinVersion        uint16 // tls.VersionTLS12 or tls.VersionTLS13; 0 means TLS 1.3
	Clients           ClientMode
	CAFile            string // PEM; who may sign client certificates
	CRLFile           string // PEM or DER; "" for none
}

// PSK is a listener's file of pre-shared keys.
type PSK struct {
	File                  string // identity:hexkey lines
	AllowNoForwardSecrecy bool
}

// credentials is what the files of a listener held at one time. It is immutable.
type credentials struct {
	server *tls.Config // nil without certificate; cloned for each connection
	mode   ClientMode
	roots  map[string]bool // the authorities, by their DER
	pool   *x509.CertPool
	crl    *revocations // nil without CRL file
	keys   *psktls.KeySet
}

// suites12 are the suites of TLS 1.2 that are forward secret and authenticated encryption. TLS 1.3 has no others.
var suites12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// load reads and checks every file of a listener.
func (o *Options) load() (*credentials, error) {
	c := &credentials{}
	switch {
	case o.PSK != nil:
		data, err := readFile(o.PSK.File, secretFile, maxPSKFile)
		if err != nil {
			return nil, err
		}
		defer clear(data)
		if c.keys, err = psktls.ParseKeySet(bytes.NewReader(data), o.PSK.File); err != nil {
			return nil, err
		}
		if c.keys.Len() == 0 {
			return nil, refuse(CheckFile, "at least one identity", o.PSK.File+" without one")
		}
	case o.Certificate != nil:
		if err := c.loadServer(o.Certificate, o.WebSocket != nil); err != nil {
			return nil, err
		}
		if o.Certificate.Clients != NoClientCert {
			if err := c.loadClients(o.Certificate); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *credentials) loadServer(o *Certificate, web bool) error {
	cert, err := readFile(o.CertFile, trustedFile, maxPEMFile)
	if err != nil {
		return err
	}
	key, err := readFile(o.KeyFile, secretFile, maxPEMFile)
	if err != nil {
		return err
	}
	defer clear(key)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return &Error{Check: CheckFile, Found: o.CertFile + " with " + o.KeyFile, Err: err}
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return refuse(CheckValidity, "a server certificate that is valid", fmt.Sprintf("%s, expired %s", o.CertFile,
			pair.Leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
	protocol := "mqtt" // a name for every protocol, so that no other server's clients can be led here
	if web {
		protocol = "http/1.1"
	}
	c.server = &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: max(o.MinVersion, tls.VersionTLS12), CipherSuites: suites12,
		NextProtos: []string{protocol}, DynamicRecordSizingDisabled: true,
	}
	if o.MinVersion == 0 {
		c.server.MinVersion = tls.VersionTLS13
	}
	return nil
}

func (c *credentials) loadClients(o *Certificate) error {
	data, err := readFile(o.CAFile, trustedFile, maxPEMFile)
	if err != nil {
		return err
	}
	authorities, err := parseAuthorities(data, o.CAFile)
	if err != nil {
		return err
	}
	c.mode, c.pool, c.roots = o.Clients, x509.NewCertPool(), make(map[string]bool, len(authorities))
	for _, a := range authorities {
		c.pool.AddCert(a)
		c.roots[string(a.Raw)] = true
	}
	// Only asked for here: VerifyConnection decides, because it also runs when a session is resumed. The pool is for
	// the names of authorities in the CertificateRequest.
	c.server.ClientCAs = c.pool
	c.server.ClientAuth = tls.RequireAnyClientCert
	if o.Clients == RequestClientCert {
		c.server.ClientAuth = tls.RequestClientCert
	}
	if o.CRLFile != "" {
		c.crl, err = loadRevocations(o.CRLFile, authorities)
	}
	return err
}

// parseAuthorities reads the certificates of a CA file; each must be an authority.
func parseAuthorities(data []byte, path string) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, refuse(CheckFile, "CERTIFICATE blocks only", path+" with a block "+quotePeer(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &Error{Check: CheckFile, Found: path, Err: err}
		}
		if !cert.IsCA {
			return nil, refuse(CheckAuthority, "authorities only", path+" with "+quotePeer(cert.Subject.String())+", which is none")
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, refuse(CheckFile, "at least one certificate", path+" without one")
	}
	return list, nil
}

// verify checks what a client showed and returns the chain, leaf first; nil when none was shown and none is needed.
func (c *credentials) verify(shown []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	switch {
	case c.mode == NoClientCert:
		return nil, nil
	case len(shown) == 0 && c.mode == RequireClientCert:
		return nil, refuse(CheckCertificate, "a client certificate", "none")
	case len(shown) == 0:
		return nil, nil
	}
	between := x509.NewCertPool()
	for _, cert := range shown[1:] {
		between.AddCert(cert)
	}
	chains, err := shown[0].Verify(x509.VerifyOptions{
		Roots: c.pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, certificateError(shown[0], err)
	}
	if c.crl == nil {
		return chains[0], nil
	}
	for _, chain := range chains {
		if err = c.crl.check(chain, now); err == nil {
			return chain, nil
		}
	}
	return nil, err
}

// certificateError says which check a certificate failed.
func certificateError(leaf *x509.Certificate, err error) error {
	who := fmt.Sprintf("serial %x, %s", leaf.SerialNumber, quotePeer(leaf.Subject.String()))
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return &Error{
			Check: CheckAuthority, Expected: "a certificate signed by an authority of the ca file",
			Found: who + " of " + quotePeer(leaf.Issuer.String()), Err: err,
		}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &Error{Check: CheckValidity, Expected: "a certificate that is valid now", Found: fmt.Sprintf("%s, valid %s to %s", who,
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)), Err: err}
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return &Error{Check: CheckPurpose, Expected: "a certificate for client authentication", Found: who, Err: err}
	default:
		return &Error{Check: CheckCertificate, Found: who, Err: err}
	}
}

// entitled refuses evidence that these credentials would not give any more. The signatures of a chain were checked when
// it was made and do not change, so this is cheap.
func (c *credentials) entitled(ev *identity.TLS, now time.Time) error {
	if c.keys != nil {
		key, err := c.keys.GetKey([]byte(ev.PSKIdentity))
		if err != nil || key == nil {
			return refuse(CheckIdentity, "an identity of the psk file", quotePeer(ev.PSKIdentity))
		}
		defer clear(key)
		if fingerprint(key) != ev.PSKFingerprint {
			return refuse(CheckKey, "the present key of "+quotePeer(ev.PSKIdentity), "one that was replaced")
		}
		return nil
	}
	if c.mode == NoClientCert || len(ev.Chain) == 0 && c.mode == RequestClientCert {
		return nil
	}
	if len(ev.Chain) == 0 {
		return refuse(CheckCertificate, "a client certificate", "none")
	}
	for _, cert := range ev.Chain {
		if now.After(cert.NotAfter) {
			return certificateError(ev.Chain[0], x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired})
		}
	}
	if root := ev.Chain[len(ev.Chain)-1]; !c.roots[string(root.Raw)] {
		return certificateError(ev.Chain[0], x509.UnknownAuthorityError{Cert: root})
	}
	if c.crl == nil {
		return nil
	}
	return c.crl.check(ev.Chain, now)
}

// processKey makes fingerprints of keys meaningless outside this process.
var processKey = randomKey()

func randomKey() (k [32]byte) {
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// fingerprint names a pre-shared key, so that a replaced one is noticed.
func fingerprint(key []byte) (f [16]byte) {
	mac := hmac.New(sha256.New, processKey[:])
	mac.Write(key)
	copy(f[:], mac.Sum(nil))
	return f
}
