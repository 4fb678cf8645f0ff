package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Finding is one thing that is wrong, or soon will be.
type Finding struct {
	Check    string `json:"check"`   // one of the constants below
	Problem  bool   `json:"problem"` // false: a note
	Text     string `json:"text"`    // a sentence
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	Fix      string `json:"fix,omitempty"` // what to do
}

// The checks of an inspection.
const (
	CheckExpiry    = "expiry"
	CheckNotYet    = "not-yet-valid"
	CheckClock     = "clock"
	CheckHost      = "host-name"
	CheckNoSAN     = "missing-san"
	CheckWeakKey   = "weak-key"
	CheckSignature = "weak-signature"
	CheckAuthority = "unknown-ca"
	CheckPurpose   = "purpose"
	CheckKey       = "key-mismatch"
	CheckRevoked   = "revoked"
	CheckList      = "revocation-list"
	CheckMode      = "permissions"
	CheckForm      = "form"
	CheckNames     = "name-constraints"
)

// Item is one thing that was found in a file or shown by a peer.
type Item struct {
	Kind        string   `json:"kind"` // certificate, authority, key, revocation list or request
	Subject     string   `json:"subject,omitempty"`
	Issuer      string   `json:"issuer,omitempty"`
	Serial      string   `json:"serial,omitempty"`
	Names       []string `json:"names,omitempty"`
	Purposes    []string `json:"purposes,omitempty"`
	Key         string   `json:"key,omitempty"`
	From        string   `json:"from,omitempty"`
	To          string   `json:"to,omitempty"`
	When        string   `json:"when,omitempty"` // validity in words
	Fingerprint string   `json:"sha256,omitempty"`
	Number      string   `json:"number,omitempty"`
	Revoked     int      `json:"revoked,omitempty"`
}

// Report is what an inspection says.
type Report struct {
	Target   string    `json:"target"`
	TLS      string    `json:"tls,omitempty"` // version and suite of a connection
	Items    []Item    `json:"items"`
	Findings []Finding `json:"findings"`
}

// Bad reports whether something is wrong, and not only worth a note.
func (r *Report) Bad() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Problem })
}

func (r *Report) problem(f Finding) {
	f.Problem = true
	r.Findings = append(r.Findings, f)
}

func (r *Report) note(f Finding) { r.Findings = append(r.Findings, f) }

// Against says what to compare with. Empty fields are found out: for a file, ca.crt, ca.crl and the key of the same name
// beside it; the system's authorities otherwise.
type Against struct {
	Host string // name or address that clients use
	CA   string // PEM file of trusted authorities
	CRL  string // revocation lists, PEM or DER
	Key  string // private key of the first certificate
	Now  time.Time
}

// soon is how long before its end a validity is worth a note.
const soon = 30 * day

// earliest is a moment that lies behind everybody who runs this program: a clock before it is wrong.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// InspectFile says what a file holds and what is wrong with it. The error is one of reading or understanding the file.
func InspectFile(path string, o Against) (*Report, error) {
	data, err := readFile(path, maxListFile)
	if err != nil {
		return nil, err
	}
	found, err := sortBlocks(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := &Report{Target: path, Items: []Item{}, Findings: []Finding{}}
	r.clock(o.Now)
	beside(path, found, &o)
	if len(found.certs) > 0 {
		if err := r.chain(found.certs, o); err != nil {
			return nil, err
		}
	}
	for _, key := range found.keys {
		r.key(path, key)
	}
	for _, list := range found.lists {
		r.list(list, o)
	}
	for _, csr := range found.requests {
		r.request(csr)
	}
	return r, r.pair(path, found, o)
}

// contents are the blocks of a file by kind.
type contents struct {
	certs    []*x509.Certificate
	keys     []any
	lists    []*x509.RevocationList
	requests []*x509.CertificateRequest
}

// sortBlocks reads PEM blocks, or one certificate, list or request in DER.
func sortBlocks(data []byte) (*contents, error) {
	c := new(contents)
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		for _, kind := range []string{"CERTIFICATE", "X509 CRL", "CERTIFICATE REQUEST"} {
			if c.add(&pem.Block{Type: kind, Bytes: data}) == nil {
				return c, nil
			}
		}
		return nil, errors.New("it holds no certificate, key, revocation list or request")
	}
	n := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		n++
		if err := c.add(block); err != nil {
			return nil, fmt.Errorf("block %d (%q): %w", n, block.Type, err)
		}
	}
	if n == 0 {
		return nil, errors.New("it is cut or damaged: a PEM block begins and does not end")
	}
	if len(c.certs)+len(c.keys)+len(c.lists)+len(c.requests) == 0 {
		return nil, errors.New("it holds no certificate, key, revocation list or request")
	}
	return c, nil
}

func (c *contents) add(block *pem.Block) (err error) {
	switch block.Type {
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			c.certs = append(c.certs, cert)
		}
	case "X509 CRL":
		var list *x509.RevocationList
		if list, err = x509.ParseRevocationList(block.Bytes); err == nil {
			c.lists = append(c.lists, list)
		}
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		var csr *x509.CertificateRequest
		if csr, err = x509.ParseCertificateRequest(block.Bytes); err == nil {
			c.requests = append(c.requests, csr)
		}
	case "EC PARAMETERS": // openssl writes it in front of a key
	default:
		var key any
		if key, err = parseKey(pem.EncodeToMemory(block)); err == nil {
			c.keys = append(c.keys, key)
		}
	}
	return err
}

// beside fills in what lies next to the file.
func beside(path string, found *contents, o *Against) {
	dir := filepath.Dir(path)
	there := func(name string) string {
		name = filepath.Join(dir, name)
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || filepath.Clean(name) == filepath.Clean(path) {
			return ""
		}
		return name
	}
	if o.CA == "" && (len(found.lists) > 0 || len(found.certs) > 0 && !selfSigned(found.certs[0])) {
		o.CA = there(CertFile)
		if o.CRL == "" && o.CA != "" {
			o.CRL = there(ListFile)
		}
	}
	if o.Key == "" && len(found.certs) > 0 && len(found.keys) == 0 {
		base := filepath.Base(path)
		o.Key = there(strings.TrimSuffix(base, filepath.Ext(base)) + ".key")
	}
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func (r *Report) clock(now time.Time) {
	if now.Before(earliest) {
		r.problem(Finding{
			Check: CheckClock, Text: "the clock of this machine says " + stamp(now) + ", so nothing about validity can be believed",
			Fix: "set the clock, then inspect again",
		})
	}
}

// key describes a private key and who can read it.
func (r *Report) key(path string, key any) {
	r.Items = append(r.Items, Item{Kind: "private key", Key: describeKey(publicOf(key))})
	if why := weakKey(publicOf(key)); why != "" {
		r.problem(Finding{Check: CheckWeakKey, Text: why, Fix: "make a new key and certificate"})
	}
	info, err := os.Stat(path)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o027 != 0 {
		r.problem(Finding{
			Check: CheckMode, Text: "others can read or change the private key", Expected: "0600", Found: fmt.Sprintf("%04o", info.Mode().Perm()),
			Fix: "chmod 600 " + path,
		})
	}
}

// pair compares a certificate with its key.
func (r *Report) pair(path string, found *contents, o Against) error {
	if len(found.certs) == 0 {
		return nil
	}
	keys, from := found.keys, path
	if o.Key != "" {
		data, err := readFile(o.Key, maxFile)
		if errors.Is(err, fs.ErrPermission) {
			r.note(Finding{Check: CheckKey, Text: "the key " + o.Key + " cannot be read by this user, so it is not compared"})
			return nil
		}
		if err != nil {
			return err
		}
		defer clear(data)
		key, err := parseKey(data)
		if err != nil {
			return fmt.Errorf("%s: %w", o.Key, err)
		}
		r.key(o.Key, key)
		keys, from = []any{key}, o.Key
	}
	for _, key := range keys {
		if !samePublic(publicOf(key), found.certs[0].PublicKey) {
			r.problem(Finding{
				Check: CheckKey, Text: "the private key in " + from + " does not belong to the certificate", Expected: "the key of " + subject(found.certs[0]),
				Found: "another " + describeKey(publicOf(key)), Fix: "find the key that was made with this certificate, or issue both again",
			})
		}
	}
	return nil
}

func publicOf(key any) any {
	if k, ok := key.(interface{ Public() any }); ok {
		return k.Public()
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return &k.PublicKey
	case *rsa.PrivateKey:
		return &k.PublicKey
	case ed25519.PrivateKey:
		return k.Public()
	}
	return nil
}

func samePublic(a, b any) bool {
	k, ok := a.(interface{ Equal(x any) bool })
	if ok {
		return k.Equal(b)
	}
	switch k := a.(type) {
	case *ecdsa.PublicKey:
		return k.Equal(b)
	case *rsa.PublicKey:
		return k.Equal(b)
	case ed25519.PublicKey:
		return k.Equal(b)
	}
	return false
}

func describeKey(public any) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d bits", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown kind of key"
}

// The least sizes of keys that are not weak (NIST SP 800-131A), in bits.
const (
	leastRSA   = 2048
	leastECDSA = 256
)

// weakKey says why a public key is too weak, "" when it is not.
func weakKey(public any) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < leastRSA {
			return fmt.Sprintf("the key is weak: RSA with %d bits, and less than %d can be broken", n, leastRSA)
		}
	case *ecdsa.PublicKey:
		if n := k.Params().BitSize; n < leastECDSA {
			return fmt.Sprintf("the key is weak: ECDSA with %d bits, and less than %d can be broken", n, leastECDSA)
		}
	case ed25519.PublicKey:
	default:
		return "the key is of a kind that MQTT clients do not know"
	}
	return ""
}

// request describes a certificate signing request.
func (r *Report) request(csr *x509.CertificateRequest) {
	r.Items = append(r.Items, Item{
		Kind: "request", Subject: csr.Subject.String(), Key: describeKey(csr.PublicKey),
		Names: namesOf(csr.DNSNames, csr.EmailAddresses, csr.IPAddresses, csr.URIs),
	})
	if err := csr.CheckSignature(); err != nil {
		r.problem(Finding{Check: CheckForm, Text: "the signature of the request is wrong: it was changed after it was made", Fix: "make the request again"})
	}
	if why := weakKey(csr.PublicKey); why != "" {
		r.problem(Finding{Check: CheckWeakKey, Text: why, Fix: "make a new key and request"})
	}
}

// list describes a revocation list.
func (r *Report) list(list *x509.RevocationList, o Against) {
	item := Item{
		Kind: "revocation list", Issuer: list.Issuer.String(), From: stamp(list.ThisUpdate), Revoked: len(list.RevokedCertificateEntries),
	}
	if list.Number != nil {
		item.Number = list.Number.String()
	}
	if list.NextUpdate.IsZero() {
		r.problem(Finding{Check: CheckList, Text: "the list has no next update, so nobody can tell when it is out of date, and the broker refuses it"})
	} else {
		item.To, item.When = stamp(list.NextUpdate), span(list.ThisUpdate, list.NextUpdate, o.Now)
		r.listDates(list, o.Now)
	}
	r.Items = append(r.Items, item)
	if o.CA == "" {
		return
	}
	authorities, err := certificates(o.CA)
	if err == nil && !slices.ContainsFunc(authorities, func(c *x509.Certificate) bool { return list.CheckSignatureFrom(c) == nil }) {
		r.problem(Finding{
			Check: CheckAuthority, Text: "no authority in " + o.CA + " signed the list", Expected: subjects(authorities), Found: list.Issuer.String(),
		})
	}
}

func (r *Report) listDates(list *x509.RevocationList, now time.Time) {
	const fix = "sealmq ca crl signs it again"
	switch {
	case now.After(list.NextUpdate):
		r.problem(Finding{
			Check: CheckList, Text: "the revocation list is out of date since " + Ago(now.Sub(list.NextUpdate)) + ": the broker refuses every client certificate of this authority",
			Expected: "a next update after " + stamp(now), Found: stamp(list.NextUpdate), Fix: fix,
		})
	case now.Before(list.ThisUpdate):
		r.problem(Finding{
			Check: CheckClock, Text: "the revocation list begins in " + InWords(list.ThisUpdate.Sub(now)) + ": a clock is wrong here or there",
			Expected: "a date before " + stamp(now), Found: stamp(list.ThisUpdate), Fix: "compare the clocks",
		})
	case now.Add(list.NextUpdate.Sub(list.ThisUpdate) / 4).After(list.NextUpdate):
		r.note(Finding{Check: CheckList, Text: "the revocation list is out of date in " + InWords(list.NextUpdate.Sub(now)), Fix: fix})
	}
}

// span says where a moment lies in a validity.
func span(from, to, now time.Time) string {
	switch {
	case now.Before(from):
		return "begins in " + InWords(from.Sub(now))
	case now.After(to):
		return "expired " + Ago(now.Sub(to))
	}
	return "expires in " + InWords(to.Sub(now))
}

func certificates(path string) ([]*x509.Certificate, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	c, err := sortBlocks(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(c.certs) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return c.certs, nil
}

func subject(c *x509.Certificate) string {
	if s := c.Subject.String(); s != "" {
		return s
	}
	return "a certificate without a subject"
}

func subjects(certs []*x509.Certificate) string {
	texts := make([]string, len(certs))
	for i, c := range certs {
		texts[i] = subject(c)
	}
	return strings.Join(texts, "; ")
}

func serialText(n *big.Int) string { return fmt.Sprintf("%x", n) }
