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
		{`{jwt: {keys: k, issuer: i, audience: a, algorithms: [HS256]}}`, "is not one of EdDSA, ES256, RS256"},
		{`{jwt: {keys: k, issuer: i, audience: a, algorithms: []}}`, "an empty list"},
		{`{certificate: {client_id: "{cn}"}}`, "auth.certificate.client_id: has no effect"},
		{`{certificate: {identity: fixed}}`, "there is no field"},
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

func textsOf(order []AuthMethod) []string {
	var out []string
	for _, m := range order {
		out = append(out, string(m))
	}
	return out
}
