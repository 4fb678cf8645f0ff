// Package ca is a small certificate authority in a folder, and an inspector of certificates that says in words what is
// wrong with them. Keys are ECDSA P-256, serial numbers are random, and the folder has no database: what was revoked
// stands in the revocation list, ca.crl, which the broker reads.
//
// Everything that is written appears as a whole or not at all. Keys are for their owner only.
package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/sealmq/sealmq/internal/privfile"
)

// The files of an authority within its folder.
const (
	CertFile = "ca.crt"
	KeyFile  = "ca.key"
	ListFile = "ca.crl"
	lockFile = "ca.lock"
)

// The lifetimes that are used when nothing else is said, in days. A revocation list that is older than its days denies
// everybody at the broker.
const (
	DefaultDays     = 3650
	DefaultListDays = 30
)

const (
	day = 24 * time.Hour
	// backdate is how far before now certificates and lists begin, so that a clock that is a little behind accepts them.
	backdate = 5 * time.Minute
	// maxDays bounds every lifetime.
	maxDays = 36500
	// maxFile bounds every file that is read, in bytes. Lists may be larger.
	maxFile     = 1 << 20
	maxListFile = 64 << 20
)

// Authority signs certificates and revocation lists. It is opened for one command and not safe for concurrent use;
// processes that change the same folder wait for each other.
type Authority struct {
	Dir  string
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Options are what a new authority is made of.
type Options struct {
	Name string   // common name; "" makes one
	Days int      // 0 means DefaultDays
	Only []string // DNS domains and networks that certificates may be for; none means no constraint
}

// Init makes an authority with an empty revocation list in a folder that has none; the folder is made if it is not there.
func Init(dir string, o Options, now time.Time) (*Authority, error) {
	days, err := checkDays(o.Days, DefaultDays)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{CertFile, KeyFile, ListFile} {
		if err := absent(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "SealMQ CA " + hex.EncodeToString(randomBytes(3))
	}
	if err := checkCommonName(o.Name); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: o.Name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(time.Duration(days) * day),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if err := constrain(template, o.Only); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the authority: %w", err)
	}
	a := &Authority{Dir: dir, Cert: cert, key: key}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The certificate comes last: a folder without it holds no authority.
	if err := writeKey(a.path(KeyFile), key, privfile.Create); err != nil {
		return nil, err
	}
	if err := a.writeList(nil, 1, DefaultListDays, now); err != nil {
		return nil, err
	}
	return a, privfile.CreateReadable(a.path(CertFile), certPEM(cert))
}

// Open reads the authority of a folder.
func Open(dir string) (*Authority, error) {
	cert, err := Load(filepath.Join(dir, CertFile))
	if err != nil {
		return nil, err
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("%s is no authority", filepath.Join(dir, CertFile))
	}
	path := filepath.Join(dir, KeyFile)
	data, err := privfile.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is no ECDSA key", path)
	}
	if !own.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s", path, CertFile)
	}
	return &Authority{Dir: dir, Cert: cert, key: own}, nil
}

func (a *Authority) path(name string) string { return filepath.Join(a.Dir, name) }

// exclusively runs f while no other process changes the folder.
func (a *Authority) exclusively(f func() error) error {
	return privfile.WithLock(a.path(lockFile), f)
}

// valid refuses to sign with an authority that nobody would believe.
func (a *Authority) valid(now time.Time) error {
	if now.After(a.Cert.NotAfter) {
		return fmt.Errorf("the authority expired %s: make a new one", Ago(now.Sub(a.Cert.NotAfter)))
	}
	if now.Before(a.Cert.NotBefore) {
		return fmt.Errorf("the authority is not valid yet, for another %s: is the clock right?", InWords(a.Cert.NotBefore.Sub(now)))
	}
	return nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// newSerial is a random positive number of 127 bits with its highest bit set (RFC 5280 §4.1.2.2 allows 20 bytes), so
// that all of them have the same length.
func newSerial() *big.Int {
	b := randomBytes(16)
	b[0] = b[0]&0x7F | 0x40
	return new(big.Int).SetBytes(b)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func checkDays(days, otherwise int) (int, error) {
	switch {
	case days == 0:
		return otherwise, nil
	case days < 1 || days > maxDays:
		return 0, fmt.Errorf("%d days is outside 1 to %d", days, maxDays)
	}
	return days, nil
}

// ExistsError is a file that would have been replaced.
type ExistsError struct{ Path string }

// Error implements error.
func (e *ExistsError) Error() string { return e.Path + " is there already, and nothing is overwritten" }

// absent refuses a path that is taken.
func absent(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return &ExistsError{path}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

func certPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// writeKey writes a private key for its owner only.
func writeKey(path string, key *ecdsa.PrivateKey, write func(string, []byte) error) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)
	return write(path, text)
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return os.ReadFile(path)
}

// Load reads the first certificate of a PEM file.
func Load(path string) (*x509.Certificate, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	cert, err := oneCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cert, nil
}

// oneCertificate reads the first certificate of a PEM file.
func oneCertificate(data []byte) (*x509.Certificate, error) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil, errors.New("it holds no certificate in PEM form")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
		data = rest
	}
}

// parseKey reads a private key in PEM form.
func parseKey(data []byte) (any, error) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil, errors.New("it holds no private key in PEM form")
		}
		switch block.Type {
		case "PRIVATE KEY":
			return x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the key is encrypted with a passphrase, which cannot be asked for here")
		}
		data = rest
	}
}

// Fingerprint is the SHA-256 of a certificate, in hexadecimal.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// issuedBy reports whether a certificate bears the signature of the authority.
func (a *Authority) issuedBy(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, a.Cert.RawSubject) && cert.CheckSignatureFrom(a.Cert) == nil
}
