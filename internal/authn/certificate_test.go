package authn

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/identity"
)

func withNames(cns ...string) *x509.Certificate {
	c := &x509.Certificate{Raw: []byte("certificate")}
	for _, cn := range cns {
		c.Subject.Names = append(c.Subject.Names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: cn})
		c.Subject.CommonName = cn
	}
	return c
}

func TestCertificate(t *testing.T) {
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "Plant CA"}}
	san := withNames("x")
	san.URIs = []*url.URL{{Scheme: "spiffe", Host: "plant", Path: "/pump"}}
	san.DNSNames = []string{"a.example", "b.example"}
	rich := withNames("pump1")
	rich.Subject.Names = append(rich.Subject.Names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "unit"})
	rich.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 7)}
	half := strings.Repeat("x", MaxName/2)
	for _, c := range []struct {
		template, clientID string
		cert               *x509.Certificate
		user, id           string
		name               string // "": refused
		failure            identity.Failure
	}{
		{"{cn}", "", withNames("pump1"), "", "any", "pump1", 0},
		{"{cn}", "", withNames("pump1"), "pump1", "any", "pump1", 0},
		{"{cn}", "", withNames("pump1"), "root", "any", "", identity.NotAuthenticated}, // contradicts CONNECT
		{"{cn}", "dev-{cn}", withNames("pump1"), "", "dev-pump1", "pump1", 0},
		{"{cn}", "dev-{cn}", withNames("pump1"), "", "dev-pump2", "", identity.NotPermitted},
		{"{cn}", "dev-{cn}", withNames("pump1"), "", "", "", identity.NotPermitted},
		{"{cn}", "", withNames("a", "b"), "", "", "", identity.NotPermitted},
		{"{cn}", "", withNames(), "", "", "", identity.NotPermitted},
		{"{cn}", "", withNames(""), "", "", "", identity.NotPermitted},
		{"{cn}", "", withNames("*.example"), "", "", "", identity.NotPermitted},
		{"{cn}", "", withNames("a/+"), "", "", "", identity.NotPermitted},
		{"{cn}", "", withNames("#"), "", "", "", identity.NotPermitted},
		{"{cn}", "", withNames("a\x00b"), "", "", "", identity.NotPermitted},
		{"{cn}", "", withNames("a\nb"), "", "", "", identity.NotPermitted},
		{"{cn}", "", rich, "", "", "pump1", 0},
		{"{cn}", "{san_dns}", rich, "", "", "", identity.NotPermitted}, // no name for the client
		{"{san_ip}", "", rich, "", "", "192.0.2.7", 0},
		{"{cn}{cn}", "", withNames(half), "", "", half + half, 0},
		{"{cn}-{cn}", "", withNames(half), "", "", "", identity.NotPermitted},
		{"{san_uri}", "", san, "", "", "spiffe://plant/pump", 0},
		{"{san_dns}", "", san, "", "", "", identity.NotPermitted}, // two
		{"{san_email}", "", san, "", "", "", identity.NotPermitted},
		{"{san_ip}", "", san, "", "", "", identity.NotPermitted},
		{"fp-{fingerprint}", "", san, "", "", "computed below", 0},
		{"{subject}", "", &x509.Certificate{Subject: pkix.Name{CommonName: "a", Organization: []string{"o"}}}, "", "", "CN=a,O=o", 0},
	} {
		if c.template == "fp-{fingerprint}" {
			c.name = "fp-" + certificateFields["fingerprint"](c.cert)[0]
		}
		l := newLogin(t, func(o *Options) { o.Certificate = &CertificateOptions{Identity: c.template, ClientID: c.clientID} })
		ev := from("192.0.2.1:1")
		ev.TLS.Chain = []*x509.Certificate{c.cert, root}
		v := authenticate(t, l, ev, &identity.Credentials{ClientID: c.id, HasUsername: c.user != "", Username: c.user})
		if c.name != "" {
			wantAccepted(t, v, identity.Principal{Method: "certificate", Issuer: "CN=Plant CA", Name: c.name})
		} else {
			wantRefused(t, v, c.failure, "certificate: ")
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, s := range []string{"", "fixed", "{}", "{cn", "cn}", "{CN}", "{cn}{x}", "#{cn}", "{cn}\n", "{{cn}}"} {
		if CheckTemplate(s) == nil {
			t.Errorf("%q is taken", s)
		}
		if _, err := New(Options{Certificate: &CertificateOptions{Identity: s, ClientID: "{cn}"}}); err == nil {
			t.Errorf("%q is taken for user names", s)
		}
		if _, err := New(Options{Certificate: &CertificateOptions{Identity: "{cn}", ClientID: s}}); err == nil && s != "" {
			t.Errorf("%q is taken for client identifiers", s)
		}
	}
}

func TestPSK(t *testing.T) {
	l := newLogin(t, func(o *Options) { o.PSK = true })
	for _, c := range []struct {
		identity, user string
		in             bool
	}{{"pump1", "", true}, {"pump1", "pump1", true}, {"pump1", "root", false}, {"#", "", false}, {"a\x00", "", false}} {
		ev := from("192.0.2.1:1")
		ev.TLS.PSKIdentity = c.identity
		v := authenticate(t, l, ev, &identity.Credentials{HasUsername: c.user != "", Username: c.user})
		if c.in {
			wantAccepted(t, v, identity.Principal{Method: "psk", Name: c.identity})
		} else if v.Outcome != identity.Rejected {
			t.Errorf("%q as %q: %+v", c.identity, c.user, v)
		}
	}
}

// TestOrder: the first method that recognises the client decides, and nobody asks a second one.
func TestOrder(t *testing.T) {
	file := accountFile(t, "alice:"+cheap(t, "p").Encode())
	for _, c := range []struct {
		order []string
		in    bool
	}{{[]string{"certificate", "password"}, false}, {[]string{"password", "certificate"}, true}} {
		l := newLogin(t, func(o *Options) {
			o.Order, o.Password, o.Certificate = c.order, &PasswordOptions{File: file}, &CertificateOptions{Identity: "{cn}"}
		})
		ev := from("192.0.2.1:1")
		ev.TLS.Chain = []*x509.Certificate{withNames("pump1")}
		if v := authenticate(t, l, ev, userPassword("alice", "p")); (v.Outcome == identity.Accepted) != c.in {
			t.Errorf("%v: %+v", c.order, v)
		}
	}
}
