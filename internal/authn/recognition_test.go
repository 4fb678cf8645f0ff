package authn

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/keyring"
)

// TestAuthenticationMethodDecides: who names an Authentication Method is never logged in by something else that the same
// CONNECT or connection carries.
func TestAuthenticationMethodDecides(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(o *Options) {
		jwtOptions(keyFile(t, edJWK("k1", public)), EdDSA)(o)
		o.Certificate, o.PSK, o.Anonymous = &CertificateOptions{Identity: "{cn}"}, true, true
	})
	proved := from("192.0.2.1:1")
	proved.TLS.Chain = []*x509.Certificate{withNames("pump1")}
	shared := from("192.0.2.1:1")
	shared.TLS.PSKIdentity = "pump1"
	for name, c := range map[string]struct {
		ev *identity.Evidence
		cr *identity.Credentials
	}{
		"certificate": {proved, &identity.Credentials{}},
		"psk":         {shared, &identity.Credentials{}},
		"password":    {local(), userPassword("alice", "right")},
		"jwt":         {local(), userPassword("", token(t, jwt.SigningMethodEdDSA, private, nil, nil))},
		"credential":  {local(), s.attempt(t, s.recs[keyring.UseP2], 1, nil)},
		"anonymous":   {local(), &identity.Credentials{}},
	} {
		named := *c.cr
		named.Level, named.Method = 5, "SCRAM-SHA-1"
		wantRefused(t, authenticate(t, s.login, c.ev, &named), identity.BadMethod, "SCRAM-SHA-1")
		if v := authenticate(t, s.login, c.ev, c.cr); v.Outcome != identity.Accepted {
			t.Errorf("%s without a method: %v", name, v.Cause)
		}
	}
}

// TestPasswordsLikeTokens: a password is taken for a token only in the whole form of one.
func TestPasswordsLikeTokens(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	passwords := []string{"eyJ", "eyJ.x", "eyJ.x.y.z", "a.b.c", "xeyJ.a.b"}
	var lines []string
	for i, p := range passwords {
		lines = append(lines, "u"+string(rune('0'+i))+":"+cheap(t, p+strings.Repeat("x", 8)).Encode())
	}
	l, _ := passwordLogin(t, jwtOptions(keyFile(t, edJWK("k1", public)), EdDSA), lines...)
	for i, p := range passwords {
		name := "u" + string(rune('0'+i))
		wantAccepted(t, authenticate(t, l, local(), userPassword(name, p+strings.Repeat("x", 8))), identity.Principal{Method: "password", Name: name})
	}
	wantRefused(t, authenticate(t, l, local(), userPassword("u0", "eyJ.x.y")), identity.NotAuthenticated, "jwt: ")
}

// TestRefusal: what the log and explain are told has the check, what was wanted, what was found and the error beneath,
// bounded and on one line.
func TestRefusal(t *testing.T) {
	beneath := x509.HostnameError{Certificate: new(x509.Certificate), Host: "h"}
	for _, c := range []struct {
		r           Refusal
		text, found string
	}{
		{Refusal{Method: "m", Check: "c", Expected: "e"}, "m: c: expected e", ""},
		{Refusal{Method: "m", Check: "c", Expected: "e", Found: "f"}, "m: c: expected e, found f", "f"},
		{Refusal{Method: "m", Check: "c", Expected: "e", Err: beneath}, "m: c: expected e: " + beneath.Error(), beneath.Error()},
		{Refusal{Method: "m", Check: "c", Expected: "e", Found: "f", Err: beneath}, "m: c: expected e, found f: " + beneath.Error(), "f: " + beneath.Error()},
	} {
		check, expected, found := c.r.Failed()
		if c.r.Error() != c.text || check != "m: c" || expected != "e" || found != c.found || c.r.Unwrap() != c.r.Err {
			t.Errorf("%q, found %q, want %q, found %q", c.r.Error(), found, c.text, c.found)
		}
	}
	for in, want := range map[string]string{
		"a\nb":                              `"a\nb"`,
		strings.Repeat("x", quotedBytes):    `"` + strings.Repeat("x", quotedBytes) + `"`,
		strings.Repeat("x", quotedBytes+1):  `"` + strings.Repeat("x", quotedBytes) + `"…`,
		strings.Repeat("x", quotedBytes*99): `"` + strings.Repeat("x", quotedBytes) + `"…`,
	} {
		if got := quote(in); got != want {
			t.Errorf("quoted %s, want %s", got, want)
		}
	}
}
