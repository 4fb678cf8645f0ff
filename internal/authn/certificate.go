package authn

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealmq/sealmq/internal/identity"
)

// CertificateOptions say how a verified client certificate names its owner. Templates are text with fields in braces;
// CheckTemplate lists them.
type CertificateOptions struct {
	Identity string // template of the user name
	ClientID string // template of the only Client Identifier; "" leaves it to the client
}

// certificate logs in with the client certificate that the transport verified. The certificate alone decides: a
// password beside it is not looked at, and a user name in CONNECT that says something else is refused.
type certificate struct {
	identity template
	clientID template
}

func newCertificate(o *CertificateOptions) (*certificate, error) {
	c := new(certificate)
	var err error
	if c.identity, err = parseTemplate(o.Identity); err != nil {
		return nil, err
	}
	if o.ClientID != "" {
		c.clientID, err = parseTemplate(o.ClientID)
	}
	return c, err
}

func (c *certificate) name() string { return "certificate" }

func (c *certificate) recognises(ev *identity.Evidence, cr *identity.Credentials) bool {
	return cr.Method == "" && ev.TLS != nil && len(ev.TLS.Chain) > 0
}

func (c *certificate) claimed(cr *identity.Credentials) string { return cr.Username }

func (c *certificate) sendsSecret(*identity.Credentials) bool { return false }

func (c *certificate) authenticate(_ context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	chain := ev.TLS.Chain
	name, err := c.identity.of(chain[0])
	if err != nil {
		return reject(identity.NotPermitted, c.name(), "name in the certificate", "one for "+c.identity.text, "", err)
	}
	if cr.Username != "" && cr.Username != name {
		return reject(identity.NotAuthenticated, c.name(), "user name of CONNECT", quote(name)+" as in the certificate, or none", quote(cr.Username), nil)
	}
	if len(c.clientID.parts) > 0 {
		id, err := c.clientID.of(chain[0])
		if err != nil {
			return reject(identity.NotPermitted, c.name(), "client identifier in the certificate", "one for "+c.clientID.text, "", err)
		}
		if cr.ClientID != id {
			return reject(identity.NotPermitted, c.name(), "client identifier", quote(id)+" as in the certificate", quote(cr.ClientID), nil)
		}
	}
	return accept(c.name(), chain[len(chain)-1].Subject.String(), name)
}

// psk logs in with the identity of the pre-shared key of the connection (RFC 4279 §5.3, RFC 8446 §4.2.11).
type psk struct{}

func (psk) name() string { return "psk" }

func (psk) recognises(ev *identity.Evidence, cr *identity.Credentials) bool {
	return cr.Method == "" && ev.TLS != nil && ev.TLS.PSKIdentity != ""
}

func (psk) claimed(cr *identity.Credentials) string { return cr.Username }

func (psk) sendsSecret(*identity.Credentials) bool { return false }

func (p psk) authenticate(_ context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	name := ev.TLS.PSKIdentity
	if err := plainName(name, "#+*"); err != nil {
		return reject(identity.NotPermitted, p.name(), "psk identity", "a name", quote(name), err)
	}
	if cr.Username != "" && cr.Username != name {
		return reject(identity.NotAuthenticated, p.name(), "user name of CONNECT", quote(name)+" as the psk identity, or none", quote(cr.Username), nil)
	}
	return accept(p.name(), "", name)
}

// template makes a name of a certificate.
type template struct {
	text  string
	parts []string // literal, field, literal, field, …
}

// certificateFields are what a template can use. Each gives every value that the certificate has.
var certificateFields = map[string]func(*x509.Certificate) []string{
	"cn":        commonNames,
	"subject":   func(c *x509.Certificate) []string { return []string{c.Subject.String()} },
	"san_dns":   func(c *x509.Certificate) []string { return c.DNSNames },
	"san_email": func(c *x509.Certificate) []string { return c.EmailAddresses },
	"san_uri":   func(c *x509.Certificate) []string { return uris(c) },
	"san_ip":    func(c *x509.Certificate) []string { return addresses(c) },
	"fingerprint": func(c *x509.Certificate) []string {
		s := sha256.Sum256(c.Raw)
		return []string{hex.EncodeToString(s[:])}
	},
}

var fieldForm = regexp.MustCompile(`\{([^{}]*)\}`)

// CheckTemplate reports whether s is a template: printable text of at most MaxName bytes with at least one of {cn},
// {subject}, {san_dns}, {san_email}, {san_uri}, {san_ip} and {fingerprint} (SHA-256 in hexadecimal).
func CheckTemplate(s string) error {
	_, err := parseTemplate(s)
	return err
}

func parseTemplate(s string) (template, error) {
	parts, err := splitTemplate(s, "certificate", "{cn}", "{subject}", "{san_dns}", "{san_email}", "{san_uri}", "{san_ip}", "{fingerprint}")
	return template{text: s, parts: parts}, err
}

// splitTemplate cuts a template into literal, field, literal, field, … literal; there is at least one of the fields.
func splitTemplate(s, what string, fields ...string) (parts []string, err error) {
	at := 0
	for _, m := range fieldForm.FindAllStringSubmatchIndex(s, -1) {
		if !slices.Contains(fields, s[m[0]:m[1]]) {
			return nil, fmt.Errorf("the field {%s} is not known; there are %s", bounded(s[m[2]:m[3]]), strings.Join(fields, ", "))
		}
		parts = append(parts, s[at:m[0]], s[m[2]:m[3]])
		at = m[1]
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("there is no field such as %s in it: every %s would be the same client", fields[0], what)
	}
	parts = append(parts, s[at:])
	for i := 0; i < len(parts); i += 2 {
		if strings.ContainsAny(parts[i], "{}") || parts[i] != "" && plainName(parts[i], "#+*") != nil {
			return nil, errors.New("outside of fields it holds a brace, a wildcard or a control character")
		}
	}
	return parts, nil
}

func bounded(s string) string { return strings.Trim(quote(s), `"`) }

// of makes the name. A field must have exactly one value without wildcards: with two, whoever issues certificates and
// whoever reads them may each mean another one.
func (t *template) of(c *x509.Certificate) (string, error) {
	var b strings.Builder
	for i, part := range t.parts {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		values := certificateFields[part](c)
		if len(values) != 1 {
			return "", fmt.Errorf("the certificate has %d values for {%s}, expected one", len(values), part)
		}
		if err := plainName(values[0], "#+*"); err != nil {
			return "", fmt.Errorf("{%s} is %s: %w", part, quote(values[0]), err)
		}
		b.WriteString(values[0])
	}
	if b.Len() > MaxName {
		return "", fmt.Errorf("the name is longer than %d bytes", MaxName)
	}
	return b.String(), nil
}

// plainName reports whether s is UTF-8 that can be shown and has none of the forbidden characters. Topic wildcards are
// among them so that a name can never widen a rule that it is put into.
func plainName(s, forbidden string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case len(s) > MaxName:
		return fmt.Errorf("it is longer than %d bytes", MaxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("it has characters that cannot be shown")
	case strings.ContainsAny(s, forbidden):
		return errors.New("it has a wildcard")
	}
	return nil
}

// commonNames are all common names of the subject; x509 itself would show the last one only.
func commonNames(c *x509.Certificate) []string {
	var names []string
	for _, a := range c.Subject.Names {
		if a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			s, _ := a.Value.(string) // another type becomes "", which is refused
			names = append(names, s)
		}
	}
	return names
}

func uris(c *x509.Certificate) []string {
	var out []string
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return out
}

func addresses(c *x509.Certificate) []string {
	var out []string
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}
