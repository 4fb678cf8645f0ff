package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCommonName is the upper bound of RFC 5280, ub-common-name, in characters.
const maxCommonName = 64

// maxNames bounds the names of one certificate.
const maxNames = 100

// fileForm is what names of files may look like that are made of what a user typed.
var fileForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$`)

// checkCommonName refuses what login templates refuse, too, so that every certificate that is issued can log in.
func checkCommonName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case utf8.RuneCountInString(name) > maxCommonName:
		return fmt.Errorf("the name is longer than %d characters", maxCommonName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the name has characters that cannot be shown")
	case strings.TrimSpace(name) != name:
		return errors.New("the name begins or ends with a blank")
	}
	return nil
}

// CheckFileName refuses names that cannot stand in front of .crt and .key.
func CheckFileName(name string) error {
	if !fileForm.MatchString(name) || name == "ca" {
		return fmt.Errorf("%q cannot name files: write 1 to 64 of A-Z a-z 0-9 _ . @ -, beginning with a letter or digit, and not ca", name)
	}
	return nil
}

// hostForm is a DNS name in the preferred syntax of RFC 1034 §3.5, with underscores, or one label of "*" at its front.
var hostForm = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`)

// IsHost reports whether a server certificate can be for s: a host name or an address.
func IsHost(s string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Zone() == "" || isHost(s)
}

func isHost(s string) bool { return len(s) <= 253 && hostForm.MatchString(s) }

// addName puts one subject alternative name into a template. Its kind is guessed: an address, a URI, a mail address, or
// a DNS name.
func addName(template *x509.Certificate, name string) error {
	if ip, err := netip.ParseAddr(name); err == nil && ip.Zone() == "" {
		template.IPAddresses = append(template.IPAddresses, net.IP(ip.Unmap().AsSlice()))
		return nil
	}
	if strings.Contains(name, "://") || strings.HasPrefix(name, "urn:") {
		u, err := url.Parse(name)
		if err != nil || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("%q is not a URI", name)
		}
		template.URIs = append(template.URIs, u)
		return nil
	}
	if local, host, is := strings.Cut(name, "@"); is {
		if local == "" || !isHost(host) || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '*' }) {
			return fmt.Errorf("%q is not a mail address", name)
		}
		template.EmailAddresses = append(template.EmailAddresses, name)
		return nil
	}
	if !isHost(name) {
		return fmt.Errorf("%q is not a host name, an address, a URI or a mail address", name)
	}
	template.DNSNames = append(template.DNSNames, name)
	return nil
}

// constrain writes the name constraints of an authority (RFC 5280 §4.2.1.10): certificates below it are for these
// domains and networks and no others. A kind of name that has no entry is excluded as a whole.
func constrain(template *x509.Certificate, only []string) error {
	if len(only) == 0 {
		return nil
	}
	if len(only) > maxNames {
		return fmt.Errorf("more than %d constraints", maxNames)
	}
	for _, s := range only {
		if prefix, err := netip.ParsePrefix(s); err == nil {
			prefix = prefix.Masked()
			ip := prefix.Addr().AsSlice()
			template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(prefix.Bits(), 8*len(ip))})
			continue
		}
		if !isHost(s) || strings.HasPrefix(s, "*") {
			return fmt.Errorf("%q is not a domain such as plant.example or a network such as 10.0.0.0/8", s)
		}
		template.PermittedDNSDomains = append(template.PermittedDNSDomains, s)
	}
	template.PermittedDNSDomainsCritical = true // says that the whole extension is critical
	if len(template.PermittedIPRanges) == 0 {
		for _, all := range []string{"0.0.0.0/0", "::/0"} {
			_, n, _ := net.ParseCIDR(all)
			template.ExcludedIPRanges = append(template.ExcludedIPRanges, n)
		}
	}
	if len(template.PermittedDNSDomains) == 0 {
		template.ExcludedDNSDomains = []string{""} // matches every name
	}
	return nil
}

// namesOf lists the subject alternative names of a certificate or request as people write them.
func namesOf(dns, mail []string, ips []net.IP, uris []*url.URL) []string {
	out := make([]string, 0, len(dns)+len(mail)+len(ips)+len(uris))
	out = append(out, dns...)
	for _, ip := range ips {
		out = append(out, ip.String())
	}
	for _, u := range uris {
		out = append(out, u.String())
	}
	return append(out, mail...)
}

// Names lists the subject alternative names of a certificate.
func Names(c *x509.Certificate) []string {
	return namesOf(c.DNSNames, c.EmailAddresses, c.IPAddresses, c.URIs)
}
