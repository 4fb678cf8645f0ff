package transport

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// revocations are the certificate revocation lists (RFC 5280 §5) of one CRL file, by the name of their issuer. It is
// immutable.
type revocations struct {
	lists map[string]*revocationList // by the raw distinguished name of the issuer
}

type revocationList struct {
	issuer     string // for errors
	thisUpdate time.Time
	nextUpdate time.Time
	revoked    map[string]time.Time // by serial number, as big-endian bytes
}

// loadRevocations reads a PEM or DER file of CRLs and checks each signature against the authorities. Anything in it that
// is not understood refuses the whole file: what a list leaves out would count as not revoked.
func loadRevocations(path string, authorities []*x509.Certificate) (*revocations, error) {
	data, err := readFile(path, trustedFile, maxCRLFile)
	if err != nil {
		return nil, err
	}
	r := &revocations{lists: map[string]*revocationList{}}
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		if err := r.add(data, authorities); err != nil {
			return nil, &Error{Check: CheckCRL, Found: path, Err: err}
		}
		return r, nil
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			return nil, refuse(CheckCRL, "X509 CRL blocks only", path+" with a block "+quotePeer(block.Type))
		}
		if err := r.add(block.Bytes, authorities); err != nil {
			return nil, &Error{Check: CheckCRL, Found: path, Err: err}
		}
	}
	if len(bytes.TrimSpace(data)) > 0 { // or instead of them
		return nil, refuse(CheckCRL, "X509 CRL blocks only", path+" with something else after them")
	}
	return r, nil
}

func (r *revocations) add(der []byte, authorities []*x509.Certificate) error {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	issuer := crl.Issuer.String()
	if err := checkCRLSignature(crl, authorities); err != nil {
		return fmt.Errorf("list of %s: %w", quotePeer(issuer), err)
	}
	if crl.NextUpdate.IsZero() {
		return fmt.Errorf("list of %s: no next update, so nobody can tell when it is out of date", quotePeer(issuer))
	}
	if _, twice := r.lists[string(crl.RawIssuer)]; twice {
		return fmt.Errorf("list of %s: given twice", quotePeer(issuer))
	}
	for _, e := range crl.Extensions {
		if e.Critical {
			// Delta lists and lists of a part of the certificates say so in a critical extension (RFC 5280 §5.2).
			return fmt.Errorf("list of %s: critical extension %v, so it is not a complete list", quotePeer(issuer), e.Id)
		}
	}
	l := &revocationList{
		issuer: issuer, thisUpdate: crl.ThisUpdate, nextUpdate: crl.NextUpdate,
		revoked: make(map[string]time.Time, len(crl.RevokedCertificateEntries)),
	}
	for i := range crl.RevokedCertificateEntries {
		e := &crl.RevokedCertificateEntries[i]
		if j := slices.IndexFunc(e.Extensions, isCritical); j >= 0 {
			return fmt.Errorf("list of %s: critical extension %v of an entry", quotePeer(issuer), e.Extensions[j].Id)
		}
		l.revoked[serialKey(e.SerialNumber)] = e.RevocationTime
	}
	r.lists[string(crl.RawIssuer)] = l
	return nil
}

func checkCRLSignature(crl *x509.RevocationList, authorities []*x509.Certificate) error {
	err := error(refuse(CheckCRL, "an issuer that is in the ca file", "one that is not"))
	for _, ca := range authorities {
		if !bytes.Equal(ca.RawSubject, crl.RawIssuer) {
			continue
		}
		if err = crl.CheckSignatureFrom(ca); err == nil {
			return nil
		}
	}
	return err
}

func isCritical(e pkix.Extension) bool { return e.Critical }

func serialKey(n *big.Int) string { return string(n.Bytes()) }

// check refuses a chain (leaf first, root last) when a certificate in it is revoked, or when that cannot be told:
// every certificate below the root needs a list of its issuer that is in force.
func (r *revocations) check(chain []*x509.Certificate, now time.Time) error {
	for _, c := range chain[:max(len(chain)-1, 1)] {
		l := r.lists[string(c.RawIssuer)]
		switch {
		case l == nil:
			return refuse(CheckCRL, "a list of "+quotePeer(c.Issuer.String()), "none in the crl file")
		case now.After(l.nextUpdate):
			return refuse(CheckCRL, "a list that is in force", fmt.Sprintf("that of %s, out of date since %s",
				quotePeer(l.issuer), l.nextUpdate.UTC().Format(time.RFC3339)))
		case now.Before(l.thisUpdate):
			return refuse(CheckCRL, "a list that is in force", fmt.Sprintf("that of %s, in force from %s",
				quotePeer(l.issuer), l.thisUpdate.UTC().Format(time.RFC3339)))
		}
		if at, revoked := l.revoked[serialKey(c.SerialNumber)]; revoked {
			return refuse(CheckRevocation, "a certificate that is not revoked",
				fmt.Sprintf("serial %x of %s, revoked %s", c.SerialNumber, quotePeer(l.issuer), at.UTC().Format(time.RFC3339)))
		}
	}
	return nil
}
