package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/privfile"
)

// Profile is what a certificate is for.
type Profile string

// The profiles. A server certificate cannot log in as a client, and a client's cannot pose as a server. Device and
// operator differ in their organizational unit, by which rules can tell them apart, and in their lifetime.
const (
	Server   Profile = "server"
	Device   Profile = "device"
	Operator Profile = "operator"
)

// profiles holds what each of them means.
var profiles = map[Profile]struct {
	days  int
	usage x509.ExtKeyUsage
}{
	Server:   {397, x509.ExtKeyUsageServerAuth},
	Device:   {365, x509.ExtKeyUsageClientAuth},
	Operator: {90, x509.ExtKeyUsageClientAuth},
}

// Request is a certificate that is wanted.
type Request struct {
	Name    string // common name
	File    string // name of the files without .crt and .key; "" means Name
	Profile Profile
	SANs    []string // further names; Name is one of a server's if it is a host name or the only one
	Days    int      // 0 means the profile's: server 397, device 365, operator 90
	CSR     string   // file with a PKCS #10 request whose key is certified; "" makes a key
	Dir     string   // where the files go; "" means the authority's folder
}

// Issued says what was made.
type Issued struct {
	Cert     *x509.Certificate
	CertFile string
	KeyFile  string // "" when no key was made
}

// Issue makes a certificate, and its key unless a CSR brings one. Files that are there are never replaced.
func (a *Authority) Issue(r Request, now time.Time) (*Issued, error) {
	template, err := a.template(&r, now)
	if err != nil {
		return nil, err
	}
	if r.Dir == "" {
		r.Dir = a.Dir
	}
	if r.File == "" {
		r.File = r.Name
	}
	if err := CheckFileName(r.File); err != nil {
		return nil, err
	}
	out := &Issued{CertFile: filepath.Join(r.Dir, r.File+".crt")}
	if err := absent(out.CertFile); err != nil {
		return nil, err
	}
	var public crypto.PublicKey
	if r.CSR != "" {
		if public, err = requestedKey(r.CSR); err != nil {
			return nil, err
		}
		out.Cert, err = a.sign(template, public)
	} else {
		out.KeyFile = filepath.Join(r.Dir, r.File+".key")
		out.Cert, err = a.signNewKey(template, out.KeyFile, privfile.Create)
	}
	if err != nil {
		return nil, err
	}
	if err := privfile.CreateReadable(out.CertFile, certPEM(out.Cert)); err != nil {
		if out.KeyFile != "" {
			err = errors.Join(err, os.Remove(out.KeyFile))
		}
		return nil, err
	}
	return out, nil
}

// signNewKey makes a key, signs its certificate, and only then writes the key.
func (a *Authority) signNewKey(template *x509.Certificate, path string, write func(string, []byte) error) (*x509.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	cert, err := a.sign(template, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	err = writeKey(path, key, write)
	if errors.Is(err, fs.ErrExist) {
		err = &ExistsError{path}
	}
	return cert, err
}

// template checks a request.
func (a *Authority) template(r *Request, now time.Time) (*x509.Certificate, error) {
	p, ok := profiles[r.Profile]
	if !ok {
		return nil, fmt.Errorf("%q is not a profile: there are server, device and operator", r.Profile)
	}
	if err := a.valid(now); err != nil {
		return nil, err
	}
	if err := checkCommonName(r.Name); err != nil {
		return nil, err
	}
	days, err := checkDays(r.Days, p.days)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: r.Name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(time.Duration(days) * day),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{p.usage},
	}
	if r.Profile == Server {
		if len(r.SANs) == 0 || isHost(r.Name) && !slices.Contains(r.SANs, r.Name) {
			r.SANs = append([]string{r.Name}, r.SANs...)
		}
	} else {
		template.Subject.OrganizationalUnit = []string{string(r.Profile)}
		// Login templates take exactly one name, so that nobody can be two clients.
		if strings.ContainsAny(r.Name, "*+#/") {
			return nil, fmt.Errorf("%q cannot name a client: a login with * + # or / in it is refused", r.Name)
		}
	}
	if len(r.SANs) > maxNames {
		return nil, fmt.Errorf("more than %d names", maxNames)
	}
	for _, s := range r.SANs {
		if err := addName(template, s); err != nil {
			return nil, err
		}
		if r.Profile != Server && strings.Contains(s, "*") {
			return nil, fmt.Errorf("%q: a client has no wildcard name", s)
		}
	}
	if template.NotAfter.After(a.Cert.NotAfter) {
		return nil, fmt.Errorf("the certificate would outlive its authority, which expires %s: ask for fewer days", stamp(a.Cert.NotAfter))
	}
	return template, nil
}

// sign makes the certificate and checks it as a peer would, so that nothing leaves that nobody accepts.
func (a *Authority) sign(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Cert)
	_, err = cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: cert.NotBefore.Add(backdate), KeyUsages: cert.ExtKeyUsage})
	if err != nil {
		return nil, fmt.Errorf("the authority does not allow this certificate: %w", err)
	}
	return cert, nil
}

// requestedKey reads the public key of a certificate signing request, whose owner has proved to have the private one.
// The names in it are not taken: who a client is, is decided here.
func requestedKey(path string) (crypto.PublicKey, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("%s holds no certificate request in PEM form", path)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%s: its signature is wrong: %w", path, err)
	}
	if why := weakKey(csr.PublicKey); why != "" {
		return nil, fmt.Errorf("%s: %s", path, why)
	}
	return csr.PublicKey, nil
}

// Renew replaces a certificate by one with the same names and purpose and a new serial number and lifetime. With newKey
// its key is replaced as well; without, the key is not even looked at. A revoked certificate is not renewed.
func (a *Authority) Renew(certFile string, days int, newKey bool, now time.Time) (*Issued, error) {
	old, err := Load(certFile)
	if err != nil {
		return nil, err
	}
	if err := a.renewable(certFile, old, now); err != nil {
		return nil, err
	}
	if days == 0 {
		days = max(int((old.NotAfter.Sub(old.NotBefore)-backdate)/day), 1)
	}
	if days, err = checkDays(days, 0); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: old.Subject, NotBefore: now.Add(-backdate), NotAfter: now.Add(time.Duration(days) * day),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: old.ExtKeyUsage,
		DNSNames: old.DNSNames, EmailAddresses: old.EmailAddresses, IPAddresses: old.IPAddresses, URIs: old.URIs,
	}
	if template.NotAfter.After(a.Cert.NotAfter) {
		return nil, fmt.Errorf("the certificate would outlive its authority, which expires %s: ask for fewer days", stamp(a.Cert.NotAfter))
	}
	out := &Issued{CertFile: certFile}
	if newKey {
		out.KeyFile = strings.TrimSuffix(certFile, filepath.Ext(certFile)) + ".key"
		out.Cert, err = a.signNewKey(template, out.KeyFile, privfile.Write)
	} else {
		out.Cert, err = a.sign(template, old.PublicKey)
	}
	if err != nil {
		return nil, err
	}
	return out, privfile.WriteReadable(certFile, certPEM(out.Cert))
}

// renewable refuses what this authority did not issue, or took back.
func (a *Authority) renewable(path string, cert *x509.Certificate, now time.Time) error {
	if err := a.valid(now); err != nil {
		return err
	}
	switch {
	case cert.IsCA:
		return fmt.Errorf("%s is an authority: make a new one with sealmq ca init in another folder, and trust both for a while", path)
	case !a.issuedBy(cert):
		return fmt.Errorf("%s was not issued by %s", path, a.path(CertFile))
	}
	list, err := a.list()
	if err != nil {
		return err
	}
	if at, is := revoked(list, cert.SerialNumber); is {
		return fmt.Errorf("%s was revoked %s: issue a certificate under another name", path, stamp(at))
	}
	return nil
}
