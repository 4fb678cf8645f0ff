package config

import (
	"errors"
	"strings"
	"testing"
)

// TestAuthHalfConfigured: what is half configured or has no effect is an error that names the key.
func TestAuthHalfConfigured(t *testing.T) {
	for _, c := range []struct{ auth, want string }{
		{`{password: {upgrade: true}}`, "auth.password.upgrade: has no effect"},
		{`{scram: {channel_binding: required}}`, "auth.scram.channel_binding: has no effect"},
		{`{jwt: {issuer: i, audience: a}}`, "auth.jwt.issuer: has no effect"},
		{`{jwt: {keys: k, audience: a}}`, "auth.jwt.issuer is missing"},
		{`{jwt: {keys: k, issuer: i}}`, "auth.jwt.audience is missing"},
		{`{jwt: {keys: k, keys_url: "https://x", issuer: i, audience: a}}`, "there is auth.jwt.keys already"},
		{`{jwt: {keys: k, refresh: 2h, issuer: i, audience: a}}`, "auth.jwt.refresh: has no effect"},
		{`{jwt: {keys_url: "http://x", issuer: i, audience: a}}`, "begins with https://"},
		{`{jwt: {keys_url: "https://", issuer: i, audience: a}}`, "begins with https://"},
		{`{jwt: {keys_url: "https://u:p@x", issuer: i, audience: a}}`, "begins with https://"},
		{`{jwt: {keys_url: "https://x/#f", issuer: i, audience: a}}`, "begins with https://"},
		{`{jwt: {keys_url: "https://x/%zz", issuer: i, audience: a}}`, "begins with https://"},
		{`{jwt: {keys_url: "https://` + strings.Repeat("x", maxText) + `", issuer: i, audience: a}}`, "begins with https://"},
		{`{jwt: {keys: k, issuer: "", audience: a}}`, "not a text of"},
		{`{jwt: {keys: k, issuer: "` + strings.Repeat("x", maxText+1) + `", audience: a}}`, "not a text of"},
		{`{jwt: {keys: k, issuer: i, audience: "a\tb"}}`, "not a text of"},
		{`{certificate: {identity: "{cn}` + strings.Repeat("x", maxText) + `"}}`, "not a text of"},
		{`{credential: {keyring: k, server: s, identity: "{name}` + strings.Repeat("x", maxText) + `"}}`, "not a text of"},
		{`{jwt: {keys: k, issuer: i, audience: a, algorithms: [HS256]}}`, "is not one of EdDSA, ES256, RS256"},
		{`{jwt: {keys: k, issuer: i, audience: a, algorithms: []}}`, "an empty list"},
		{`{certificate: {client_id: "{cn}"}}`, "auth.certificate.client_id: has no effect"},
		{`{certificate: {identity: fixed}}`, "there is no field"},
		{`{credential: {server: s}}`, "auth.credential.server: has no effect"},
		{`{credential: {keyring: k}}`, "auth.credential.server is missing"},
		{`{credential: {keyring: k, server: s, forms: [p1]}}`, "p1 carries a password"},
		{`{credential: {keyring: k, server: s, forms: [p4]}}`, "is not one of p1, p2, p3"},
		{`{credential: {keyring: k, server: s, identity: device}}`, "there is no field"},
		{`{credential: {keyring: k, server: s}, password: {file: f}, order: [password, credential]}`, "put credential before password"},
		{`{credential: {keyring: k, server: s}, password: {file: f}, order: [password]}`, "credential is configured and not in it"},
		{`{order: [password]}`, "auth.order: has no effect"},
		{`{psk: true, order: [psk, password]}`, "password is in it and not configured"},
		{`{psk: true, password: {file: f}, order: [psk]}`, "password is configured and not in it"},
		{`{psk: true, order: [psk, psk]}`, "comes twice"},
		{`{lockout: {failures: 3}}`, "auth.lockout.failures: has no effect"},
		{`{psk: true, lockout: {failures: 50}}`, "is less than auth.lockout.failures"},
	} {
		_, err := Parse("f.yaml", []byte("version: 1\nauth: "+c.auth+"\n"))
		var invalid *Invalid
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Report(), c.want) {
			t.Errorf("%s: %v, want %q", c.auth, err, c.want)
		}
	}
}

// TestAuthTexts: a text of the greatest length is taken, and an address with a path.
func TestAuthTexts(t *testing.T) {
	long := strings.Repeat("x", maxText)
	c := parse(t, `version: 1
auth: {jwt: {keys_url: "https://id.example/keys?v=1", issuer: "`+long+`", audience: a}}
`)
	if c.Auth.JWT.Issuer != long || c.Auth.JWT.KeysURL != "https://id.example/keys?v=1" {
		t.Errorf("%+v", c.Auth.JWT)
	}
}

// TestAuthOrderDefault: without an order, what is configured is asked in the fixed one.
func TestAuthOrderDefault(t *testing.T) {
	c := parse(t, "version: 1\nauth: {password: {file: f}, psk: true, certificate: {identity: \"{cn}\"}}\n")
	if got := flow(textsOf(c.Auth.Order)); got != `["certificate", "psk", "password"]` {
		t.Error(got)
	}
	again := parse(t, c.YAML(false))
	if changes := Diff(c, again); len(changes) != 0 {
		t.Errorf("written and read again it differs: %v", changes)
	}
}

// TestCredentialDefaults: which forms are accepted follows from what they can be checked with.
func TestCredentialDefaults(t *testing.T) {
	for text, want := range map[string]string{
		"auth: {credential: {keyring: k, server: s}}":                      `["p2", "p3"]`,
		"auth: {credential: {keyring: k, server: s}, password: {file: f}}": `["p1", "p2", "p3"]`,
		"auth: {credential: {keyring: k, server: s, forms: [p3]}}":         `["p3"]`,
	} {
		c := parse(t, "version: 1\n"+text+"\n")
		var forms []string
		for _, f := range c.Auth.Credential.Forms {
			forms = append(forms, string(f))
		}
		if flow(forms) != want || c.Auth.Credential.Identity != "{name}" {
			t.Errorf("%s: %v, %s", text, forms, c.Auth.Credential.Identity)
		}
		if changes := Diff(c, parse(t, c.YAML(false))); len(changes) != 0 {
			t.Errorf("%s: written and read again it differs: %v", text, changes)
		}
	}
}

func textsOf(order []AuthMethod) []string {
	var out []string
	for _, m := range order {
		out = append(out, string(m))
	}
	return out
}
