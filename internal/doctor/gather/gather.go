// Package gather collects what the doctor judges: the configuration of SealMQ or Mosquitto with the files it names, and
// the process of a broker that runs. It only reads, and what it reads is bounded.
package gather

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/boundedfile"
	"github.com/sealmq/sealmq/internal/doctor"
)

// maxRead bounds every file, in bytes.
const maxRead = 64 << 20

// Dialect guesses which broker a file is for: by its name, then by what it says.
func Dialect(path string) (doctor.Dialect, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		return doctor.SealMQ, nil
	case ".conf":
		return doctor.Mosquitto, nil
	}
	data, err := read(path)
	if err != nil {
		return "", err
	}
	if regexp.MustCompile(`(?m)^version\s*:`).Match(data) {
		return doctor.SealMQ, nil
	}
	return doctor.Mosquitto, nil
}

// read is the content of a regular file.
func read(path string) ([]byte, error) { return boundedfile.Read(path, maxRead) }

// file looks at the permissions of a file that the configuration names.
func file(kind doctor.FileKind, key, path string, place doctor.Place) doctor.File {
	f := doctor.File{Kind: kind, Key: key, Path: path, Place: place}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		f.Missing = true
	case err != nil:
		f.Err = reason(err)
	case kind != doctor.SecretFolder && !info.Mode().IsRegular():
		f.Err = "not a regular file"
	default:
		f.Mode = info.Mode()
	}
	return f
}

// reason is an error without the path, which stands beside it.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// certificate reads the leaf of a listener and compares it with its key. A file that is not there is said elsewhere: then
// the result is nil.
func certificate(certFile, keyFile string, place doctor.Place) *doctor.Certificate {
	c := &doctor.Certificate{File: certFile, Place: place}
	data, err := read(certFile)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		c.Err = "does not begin with a certificate in PEM"
		return c
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		c.Err = err.Error()
		return c
	}
	c.NotBefore, c.NotAfter = leaf.NotBefore, leaf.NotAfter
	c.Names = len(leaf.DNSNames) + len(leaf.IPAddresses)
	c.Weak = Weakness(leaf)
	if key, err := read(keyFile); err == nil {
		if _, err := tls.X509KeyPair(data, key); err != nil {
			c.Err = "does not fit the key " + keyFile + ": " + err.Error()
		}
		clear(key)
	}
	return c
}

// Weakness says what is weak about the key or signature of a certificate; "" when nothing is.
func Weakness(c *x509.Certificate) string {
	const leastRSA = 2048
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < leastRSA {
			return fmt.Sprintf("an RSA key of %d bits", n)
		}
	case *ecdsa.PublicKey:
		if n := key.Curve.Params().BitSize; n < 256 {
			return fmt.Sprintf("an elliptic curve of %d bits", n)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Sprintf("a key of a kind that clients do not know (%v)", c.PublicKeyAlgorithm)
	}
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		if !bytes.Equal(c.RawSubject, c.RawIssuer) { // nobody checks the signature of a root
			return "signed with " + c.SignatureAlgorithm.String()
		}
	}
	return ""
}

// revocations reads the list whose replacement is due first.
func revocations(path string, place doctor.Place) *doctor.CRL {
	c := &doctor.CRL{File: path, Place: place}
	data, err := read(path)
	if err != nil {
		c.Err = reason(err)
		return c
	}
	lists := [][]byte{data}
	if bytes.Contains(data, []byte("-----BEGIN")) {
		lists = nil
		for rest := data; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			lists = append(lists, block.Bytes)
		}
	}
	for _, der := range lists {
		l, err := x509.ParseRevocationList(der)
		if err != nil {
			c.Err = err.Error()
			return c
		}
		if c.NextUpdate.IsZero() || l.NextUpdate.Before(c.NextUpdate) {
			c.NextUpdate = l.NextUpdate
		}
	}
	if len(lists) == 0 {
		c.Err = "no list in it"
	}
	return c
}

// accounts reads the lines of an account file, whatever its permissions are.
func accounts(path string) []doctor.Account {
	data, err := read(path)
	if err != nil {
		return nil // said of the file
	}
	defer clear(data)
	var out []doctor.Account
	n, owner := 0, map[string]string{} // of a verifier, by its text
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if text := strings.TrimSpace(line); text == "" || text[0] == '#' {
			continue
		}
		place := doctor.Place{File: path, Line: n}
		one, err := authn.ParseAccounts(path, []byte(line+"\n"))
		if err != nil {
			name, _, _ := strings.Cut(line, ":")
			out = append(out, doctor.Account{Name: fmt.Sprintf("%.64q", name), Place: place, Err: lineError(err)})
			continue
		}
		for _, a := range one.All() {
			acc := doctor.Account{Name: a.Name, Place: place, Passwordless: a.Passwordless}
			if v := a.Password; v != nil {
				acc.Weak, acc.Broken = v.Weak(), v.Format() == authn.Mosquitto6
			}
			if _, verifier, _ := strings.Cut(line, ":"); !a.Passwordless {
				acc.SameAs = owner[verifier]
				if acc.SameAs == "" {
					owner[verifier] = a.Name
				}
			}
			out = append(out, acc)
		}
	}
	return out
}

// lineError is what is wrong with the one line that was parsed.
func lineError(err error) string {
	var bad *authn.LineErrors
	if errors.As(err, &bad) && len(bad.Lines) > 0 {
		_, why, _ := strings.Cut(bad.Lines[0], ": ")
		return "the line is damaged: " + why
	}
	return "the line is damaged"
}

// now is the time of the judgement.
func now() time.Time { return time.Now() }
