package authn

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/identity"
)

// TestPreview: for random settings, connections and accounts, what Preview says is what a login with the right secret
// comes to, with the same check named; and asking counts nothing.
func TestPreview(t *testing.T) {
	v, err := NewVerifier(Mosquitto7, []byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	accounts := accountFile(t, "alice:"+v.Encode(), "carl:passwordless")
	scramAccounts := scramFile(t)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := keyFile(t, edJWK("k", public))
	withJWT := jwtOptions(keys, EdDSA)
	rapid.Check(t, func(rt *rapid.T) {
		coin := func(name string) bool { return rapid.Bool().Draw(rt, name) }
		o := options()
		o.Anonymous, o.PSK = coin("anonymous"), coin("psk")
		if coin("passwords") {
			o.Password = &PasswordOptions{File: accounts}
		}
		if coin("scram") {
			o.SCRAM = &SCRAMOptions{File: scramAccounts, Mechanisms: Mechanisms, Binding: rapid.SampledFrom([]Binding{BindingPreferred, BindingRequired}).Draw(rt, "binding")}
		}
		if coin("jwt") {
			withJWT(&o)
		}
		if coin("certificates") {
			o.Certificate = &CertificateOptions{Identity: "{cn}"}
		}
		o.ClearPassword = map[string]bool{"l": coin("clear")}
		o.Order = rapid.Permutation(Methods).Draw(rt, "order")
		l, err := New(o)
		if err != nil {
			rt.Fatal(err)
		}
		user := rapid.SampledFrom([]string{"alice", "carl", "mallory"}).Draw(rt, "user")
		method := rapid.SampledFrom(append([]string{Anonymous}, Methods...)).Draw(rt, "method")
		ev := rapid.SampledFrom([]*identity.Evidence{
			local(), from("192.0.2.1:1"), exporter(1), {Listener: "l", Transport: "tcp", Remote: from("192.0.2.1:1").Remote},
		}).Draw(rt, "evidence")
		if method == "certificate" || method == "psk" { // the transport proves them
			ev = exporter(1)
		}
		if coin("locked") {
			at := l.lockout.attempt(ev, user)
			for range 1000 {
				at.failed()
			}
		}
		said := l.Preview(ev, method, user)
		if again := l.Preview(ev, method, user); again.Outcome != said.Outcome {
			rt.Fatalf("asked twice: %v, %v", said, again)
		}
		got := tryLogin(t, l, ev, method, user, private)
		believed := got.Outcome == identity.Accepted && (got.Principal.Method == method && (method == Anonymous || got.Principal.Name == user))
		if (said.Outcome != identity.Rejected) != believed {
			rt.Fatalf("preview of %s as %q: %+v; login: %+v", method, user, said, got)
		}
		var p, q *Refusal
		if errors.As(said.Cause, &p) && errors.As(got.Cause, &q) && p.Check != "order" && p.Check != "method" &&
			(p.Method != q.Method || method != "scram" && p.Check != q.Check) {
			rt.Fatalf("preview %v, login %v", p, q)
		}
	})
}

// tryLogin logs in with the right secret of the user, if it has one.
func tryLogin(t *testing.T, l *Login, ev *identity.Evidence, method, user string, key ed25519.PrivateKey) identity.Verdict {
	t.Helper()
	cr := &identity.Credentials{ClientID: "c", Level: 5}
	seen := *ev
	switch method {
	case "password":
		cr = userPassword(user, "right")
		if user == "carl" {
			cr.Password, cr.HasPassword = nil, false
		}
	case "jwt":
		cr.HasPassword = true
		cr.Password = []byte(token(t, jwt.SigningMethodEdDSA, key, map[string]any{"kid": "k"}, map[string]any{
			"sub": user, "exp": time.Now().Add(time.Hour).Unix(),
		}))
	case "scram":
		client, err := SCRAMSHA256.hash().NewClient(user, "pencil", "")
		if err != nil {
			t.Fatal(err)
		}
		conv := client.NewConversation()
		if ev.TLS != nil && ev.TLS.Exporter != nil {
			conv = client.NewConversationWithChannelBinding(binding(1))
		}
		v, _ := runSCRAM(t, l, ev, "SCRAM-SHA-256", conv, "")
		return v
	case "certificate":
		proved := *ev.TLS
		cert := withNames(user)
		proved.Chain = []*x509.Certificate{cert, cert}
		seen.TLS = &proved
	case "psk":
		proved := *ev.TLS
		proved.PSKIdentity = user
		seen.TLS = &proved
	}
	return l.Authenticate(context.Background(), &seen, cr)
}

// TestPreviewBrings: what stands for a secret is recognised by the method that it stands for, and by no other.
func TestPreviewBrings(t *testing.T) {
	for method, want := range map[string]method{"jwt": &jwtMethod{}, "p1": &credential{}, "password": &password{}, "psk": psk{}} {
		ev, cr := new(chain).bring(exporter(1), method, "alice")
		for _, m := range []interface {
			name() string
			recognises(*identity.Evidence, *identity.Credentials) bool
		}{psk{}, &credential{}, &jwtMethod{}} {
			if m.recognises(ev, cr) != (m.name() == want.name()) {
				t.Errorf("%s is recognised by %s: %v", method, m.name(), m.recognises(ev, cr))
			}
		}
		if methodOf(method) != want.name() || !want.recognises(ev, cr) {
			t.Errorf("%s is of %s", method, want.name())
		}
	}
}
