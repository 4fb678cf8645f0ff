package ca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"
)

// chain describes certificates, leaf first, and says what is wrong with them.
func (r *Report) chain(certs []*x509.Certificate, o Against) error {
	for _, c := range certs {
		r.Items = append(r.Items, describe(c, o.Now))
	}
	for i, c := range certs {
		r.dates(c, o.Now)
		r.strength(c)
		if i > 0 && !bytes.Equal(certs[i-1].RawIssuer, c.RawSubject) && !certs[0].IsCA {
			r.problem(Finding{
				Check: CheckForm, Text: "the chain is out of order: each certificate must be followed by that of its issuer",
				Expected: certs[i-1].Issuer.String(), Found: subject(c), Fix: "put the leaf first, then its issuers in turn",
			})
			break
		}
	}
	leaf := certs[0]
	if !leaf.IsCA {
		r.names(leaf, o.Host)
	}
	if err := r.trusted(certs, o); err != nil {
		return err
	}
	return r.revocation(certs, o)
}

func describe(c *x509.Certificate, now time.Time) Item {
	kind := "certificate"
	if c.IsCA {
		kind = "authority"
	}
	return Item{
		Kind: kind, Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: serialText(c.SerialNumber), Names: Names(c),
		Purposes: purposes(c), Key: describeKey(c.PublicKey), From: stamp(c.NotBefore), To: stamp(c.NotAfter),
		When: span(c.NotBefore, c.NotAfter, now), Fingerprint: Fingerprint(c),
	}
}

var usageWords = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageAny: "anything", x509.ExtKeyUsageServerAuth: "server", x509.ExtKeyUsageClientAuth: "client",
}

func purposes(c *x509.Certificate) []string {
	var out []string
	for _, u := range c.ExtKeyUsage {
		word := usageWords[u]
		if word == "" {
			word = "other"
		}
		if !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

func (r *Report) dates(c *x509.Certificate, now time.Time) {
	who := subject(c)
	switch {
	case now.After(c.NotAfter):
		r.problem(Finding{
			Check: CheckExpiry, Text: who + " expired " + Ago(now.Sub(c.NotAfter)), Expected: "an end after " + stamp(now) + " (the clock of this machine)",
			Found: stamp(c.NotAfter), Fix: "renew it: sealmq ca renew",
		})
	case now.Before(c.NotBefore):
		r.problem(Finding{
			Check: CheckNotYet, Text: who + " is not valid for another " + InWords(c.NotBefore.Sub(now)) +
				": the clock of this machine or that of the issuer is wrong by at least that much",
			Expected: "a begin before " + stamp(now) + " (the clock of this machine)", Found: stamp(c.NotBefore), Fix: "compare the clocks",
		})
	case now.Add(soon).After(c.NotAfter) && now.Add(c.NotAfter.Sub(c.NotBefore)/3).After(c.NotAfter):
		r.note(Finding{Check: CheckExpiry, Text: who + " expires in " + InWords(c.NotAfter.Sub(now)), Fix: "renew it: sealmq ca renew"})
	}
}

var weakSignatures = []x509.SignatureAlgorithm{
	x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.DSAWithSHA256, x509.ECDSAWithSHA1, x509.UnknownSignatureAlgorithm,
}

func (r *Report) strength(c *x509.Certificate) {
	if why := weakKey(c.PublicKey); why != "" {
		r.problem(Finding{Check: CheckWeakKey, Text: subject(c) + ": " + why, Fix: "issue it again with a new key"})
	}
	if slices.Contains(weakSignatures, c.SignatureAlgorithm) && !bytes.Equal(c.RawSubject, c.RawIssuer) {
		r.problem(Finding{
			Check: CheckSignature, Text: subject(c) + " is signed with " + c.SignatureAlgorithm.String() + ", which can be forged", Fix: "issue it again",
		})
	}
}

// names checks what a server is called.
func (r *Report) names(leaf *x509.Certificate, host string) {
	isServer := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) || len(leaf.ExtKeyUsage) == 0
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 && (host != "" || isServer && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth)) {
		r.problem(Finding{
			Check: CheckNoSAN, Text: "the certificate names no host: clients look at the subject alternative names, and no longer at the common name",
			Expected: orText(host, "a DNS name or an address"), Found: "none (common name " + orText(leaf.Subject.CommonName, "none") + ")",
			Fix: "issue it again with --san " + orText(host, "NAME"),
		})
		return
	}
	if host == "" || leaf.VerifyHostname(hostForVerify(host)) == nil {
		return
	}
	found := append(slices.Clone(leaf.DNSNames), addresses(leaf.IPAddresses)...)
	r.problem(Finding{
		Check: CheckHost, Text: "the certificate is not for the name " + host, Expected: host, Found: strings.Join(found, ", "),
		Fix: "connect with a name of the certificate, or issue it again with --san " + host,
	})
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func addresses(ips []net.IP) []string {
	out := make([]string, len(ips))
	for i, ip := range ips {
		out[i] = ip.String()
	}
	return out
}

// hostForVerify puts an IPv6 address into the form that x509 takes for one.
func hostForVerify(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// trusted checks the way from the leaf to a trusted authority.
func (r *Report) trusted(certs []*x509.Certificate, o Against) error {
	leaf := certs[0]
	if o.CA == "" && leaf.IsCA && selfSigned(leaf) {
		return nil // nobody vouches for a root
	}
	roots, trusted, err := trustedRoots(o.CA)
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: within(certs, trusted, o.Now),
	})
	if err == nil {
		r.purpose(leaf, o.Host)
		return nil
	}
	f := Finding{Check: CheckAuthority, Expected: orText(subjects(trusted), "an authority of this system"), Found: orText(leaf.Issuer.String(), "none")}
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		system  x509.SystemRootsError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.Check, f.Text = CheckExpiry, "the certificate and its issuers are not valid at one and the same time"
	case errors.As(err, &invalid) && (invalid.Reason == x509.CANotAuthorizedForThisName || invalid.Reason == x509.UnconstrainedName || invalid.Reason == x509.TooManyConstraints):
		f.Check, f.Text = CheckNames, "an authority above the certificate may not issue for its names: "+invalid.Detail
	case errors.As(err, &system):
		f.Text = "this system has no list of authorities"
	case errors.As(err, &unknown) && selfSigned(leaf):
		f.Text = "the certificate is signed by itself, and is not among the trusted ones"
		f.Fix = "name it with --ca if it is the right one: compare the fingerprint first"
	case errors.As(err, &unknown) && sameSubject(trusted, leaf):
		f.Text = "an authority of the right name is trusted, but another one signed this: its key is different"
		f.Fix = "use the ca.crt that belongs to the authority that issued the certificate"
	case errors.As(err, &unknown):
		f.Text = "the authority that signed the certificate is not trusted, or a certificate between the two is missing"
		f.Fix = "name the right authority with --ca FILE, or add what is missing to the server's chain"
	default:
		f.Text = err.Error()
	}
	r.problem(f)
	return nil
}

// within is a moment at which everything that has dates of its own is valid, so that dates are reported once, by dates.
func within(certs, roots []*x509.Certificate, now time.Time) time.Time {
	from, to := now, now
	for _, c := range append(slices.Clone(certs), roots...) {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(to) {
			to = c.NotAfter
		}
	}
	if from.After(now) && !from.After(certs[0].NotAfter) {
		return from
	}
	if to.Before(now) && !to.Before(certs[0].NotBefore) {
		return to
	}
	return now
}

// trustedRoots reads the authorities; a nil pool means those of the system.
func trustedRoots(path string) (*x509.CertPool, []*x509.Certificate, error) {
	if path == "" {
		return nil, nil, nil
	}
	certs, err := certificates(path)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, certs, nil
}

func sameSubject(trusted []*x509.Certificate, leaf *x509.Certificate) bool {
	return slices.ContainsFunc(trusted, func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, leaf.RawIssuer) })
}

// purpose checks that what answers under a host name is a server.
func (r *Report) purpose(leaf *x509.Certificate, host string) {
	if host == "" || leaf.IsCA || len(leaf.ExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return
	}
	r.problem(Finding{
		Check: CheckPurpose, Text: "the certificate is not for servers", Expected: "server", Found: strings.Join(purposes(leaf), ", "),
		Fix: "issue one with --profile server",
	})
}

// revocation looks the certificates up in the lists.
func (r *Report) revocation(certs []*x509.Certificate, o Against) error {
	if o.CRL == "" {
		return nil
	}
	data, err := readFile(o.CRL, maxListFile)
	if err != nil {
		return err
	}
	found, err := sortBlocks(data)
	if err != nil {
		return err
	}
	_, trusted, err := trustedRoots(o.CA)
	if err != nil {
		return err
	}
	for _, list := range found.lists {
		signers := append(slices.Clone(trusted), certs...)
		if !slices.ContainsFunc(signers, func(c *x509.Certificate) bool { return list.CheckSignatureFrom(c) == nil }) {
			r.problem(Finding{
				Check: CheckList, Text: "the list in " + o.CRL + " is signed by nobody that is trusted here", Found: list.Issuer.String(),
			})
			continue
		}
		if !list.NextUpdate.IsZero() {
			r.listDates(list, o.Now)
		}
		for _, c := range certs {
			if !bytes.Equal(c.RawIssuer, list.RawIssuer) {
				continue
			}
			if at, is := revoked(list, c.SerialNumber); is {
				r.problem(Finding{
					Check: CheckRevoked, Text: subject(c) + " was revoked " + Ago(o.Now.Sub(at)), Expected: "a certificate that is not on the list",
					Found: "serial " + serialText(c.SerialNumber) + ", revoked " + stamp(at), Fix: "issue a new certificate",
				})
			}
		}
	}
	return nil
}
