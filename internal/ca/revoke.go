package ca

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/privfile"
)

// Reasons are the words for why a certificate is revoked, with the codes of RFC 5280 §5.3.1.
var Reasons = map[string]int{
	"unspecified": 0, "key-compromise": 1, "affiliation-changed": 3, "superseded": 4, "cessation-of-operation": 5, "privilege-withdrawn": 9,
}

// List describes a revocation list.
type List struct {
	File       string
	Number     *big.Int
	NextUpdate time.Time
	Revoked    int
}

// Revocation is one certificate to revoke.
type Revocation struct {
	Serial *big.Int
	Reason int // of Reasons
}

// Find turns what a user names into a serial number: a certificate of this authority in a file, or the number in
// hexadecimal.
func (a *Authority) Find(what string) (*big.Int, error) {
	data, err := readFile(what, maxFile)
	if err == nil {
		cert, err := oneCertificate(data)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", what, err)
		case !a.issuedBy(cert) || cert.IsCA:
			return nil, fmt.Errorf("%s was not issued by %s", what, a.path(CertFile))
		}
		return cert.SerialNumber, nil
	}
	digits := strings.ReplaceAll(what, ":", "")
	n, ok := new(big.Int).SetString(digits, 16)
	if !ok || n.Sign() <= 0 || len(digits) > 40 {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is neither a certificate file nor a serial number in hexadecimal", what)
		}
		return nil, err
	}
	return n, nil
}

// Revoke puts certificates on the list and signs it again. What is on it already stays as it is; added counts the others.
func (a *Authority) Revoke(what []Revocation, days int, now time.Time) (l *List, added int, err error) {
	if days, err = checkDays(days, DefaultListDays); err != nil {
		return nil, 0, err
	}
	err = a.exclusively(func() error {
		old, err := a.list()
		if err != nil {
			return err
		}
		entries := slices.Clone(old.RevokedCertificateEntries)
		for _, r := range what {
			if slices.ContainsFunc(entries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(r.Serial) == 0 }) {
				continue
			}
			entries = append(entries, x509.RevocationListEntry{SerialNumber: r.Serial, RevocationTime: now, ReasonCode: r.Reason})
			added++
		}
		l, err = a.relist(old, entries, days, now)
		return err
	})
	return l, added, err
}

// Relist signs the list again with a new date.
func (a *Authority) Relist(days int, now time.Time) (l *List, err error) {
	l, _, err = a.Revoke(nil, days, now)
	return l, err
}

func (a *Authority) relist(old *x509.RevocationList, entries []x509.RevocationListEntry, days int, now time.Time) (*List, error) {
	if err := a.valid(now); err != nil {
		return nil, err
	}
	number := int64(1)
	if old.Number != nil && old.Number.IsInt64() {
		number = old.Number.Int64() + 1
	}
	if err := a.writeList(entries, number, days, now); err != nil {
		return nil, err
	}
	return &List{
		File: a.path(ListFile), Number: big.NewInt(number), NextUpdate: now.Add(time.Duration(days) * day), Revoked: len(entries),
	}, nil
}

// list reads the revocation list. Without it, nobody knows what was revoked, so that is an error.
func (a *Authority) list() (*x509.RevocationList, error) {
	path := a.path(ListFile)
	data, err := readFile(path, maxListFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is gone, and with it the record of what was revoked: put back a copy, such as the one that the broker reads", path)
	}
	if err != nil {
		return nil, err
	}
	list, err := parseList(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if !bytes.Equal(list.RawIssuer, a.Cert.RawSubject) || list.CheckSignatureFrom(a.Cert) != nil {
		return nil, fmt.Errorf("%s is not a list of this authority", path)
	}
	return list, nil
}

func parseList(data []byte) (*x509.RevocationList, error) {
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("it holds a block %q, not a revocation list", block.Type)
		}
		data = block.Bytes
	}
	return x509.ParseRevocationList(data)
}

func revoked(list *x509.RevocationList, serial *big.Int) (time.Time, bool) {
	for i := range list.RevokedCertificateEntries {
		if e := &list.RevokedCertificateEntries[i]; e.SerialNumber.Cmp(serial) == 0 {
			return e.RevocationTime, true
		}
	}
	return time.Time{}, false
}

func (a *Authority) writeList(entries []x509.RevocationListEntry, number int64, days int, now time.Time) error {
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(number), ThisUpdate: now.Add(-backdate), NextUpdate: now.Add(time.Duration(days) * day),
		RevokedCertificateEntries: entries,
	}, a.Cert, a.key)
	if err != nil {
		return fmt.Errorf("sign the revocation list: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	if _, err := os.Lstat(a.path(ListFile)); errors.Is(err, fs.ErrNotExist) {
		return privfile.CreateReadable(a.path(ListFile), text)
	}
	return privfile.WriteReadable(a.path(ListFile), text)
}
