package authn

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
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

// TestPreviewOfEachMethod: for each method, what Preview says about who can log in, who cannot and why, in the order of
// the methods.
func TestPreviewOfEachMethod(t *testing.T) {
	v, _, err := NewSCRAMVerifier(SCRAMSHA512, "sc", []byte("p"), MinSCRAMIterations)
	if err != nil {
		t.Fatal(err)
	}
	file := accountFile(t, "alice:"+cheap(t, "right").Encode(), "carl:passwordless", "sc:"+v.Encode())
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := newSite(t, func(o *Options) {
		jwtOptions(keyFile(t, edJWK("k1", public)), EdDSA)(o)
		o.Password = &PasswordOptions{File: file}
		o.SCRAM = &SCRAMOptions{File: file, Mechanisms: []Mechanism{SCRAMSHA512}, Binding: BindingRequired}
		o.Certificate, o.PSK, o.Anonymous = &CertificateOptions{Identity: "{cn}"}, true, true
	}).login
	if got := strings.Join(all.Offers(), " "); got != "certificate psk scram credential jwt password anonymous" {
		t.Errorf("offers %s", got)
	}
	none := newLogin(t, func(o *Options) { o.Anonymous = true })
	closed := newLogin(t, func(o *Options) { o.PSK = true })
	if got := strings.Join(closed.Offers(), " "); got != "psk" {
		t.Errorf("offers %s", got)
	}
	other := newLogin(t, func(o *Options) {
		o.SCRAM = &SCRAMOptions{File: file, Mechanisms: Mechanisms, Binding: BindingPreferred}
	})
	proved := from("192.0.2.1:1")
	proved.TLS.Chain = []*x509.Certificate{withNames("pump1")}
	clear := from("192.0.2.1:1")
	clear.TLS = nil
	failing := exporter(1)
	failing.TLS.Exporter = func(string, []byte, int) ([]byte, error) { return nil, errors.New("no extended master secret") }
	for _, c := range []struct {
		l            *Login
		ev           *identity.Evidence
		method, user string
		want         identity.Outcome
		why          string
	}{
		{all, local(), "password", "alice", identity.Continued, ""},
		{all, local(), "password", "carl", identity.Continued, ""},
		{all, local(), "password", "mallory", identity.Rejected, "password: user name"},
		{all, local(), "password", "sc", identity.Rejected, "which has none"},
		{all, proved, "password", "alice", identity.Rejected, "certificate, which recognises this client first"},
		{all, exporter(1), "scram", "sc", identity.Continued, ""},
		{all, exporter(1), "scram", "alice", identity.Rejected, "scram: user name"},
		{all, failing, "scram", "sc", identity.Rejected, "scram: channel binding"},
		{all, local(), "scram", "sc", identity.Rejected, "scram: channel binding"},
		{other, local(), "scram", "sc", identity.Continued, ""},
		{other, failing, "scram", "sc", identity.Rejected, "scram: channel binding"},
		{all, local(), "jwt", "anybody", identity.Continued, ""},
		{all, local(), "p1", "alice", identity.Continued, ""},
		{all, local(), "p2", "pump", identity.Continued, ""},
		{all, local(), "p3", "press", identity.Continued, ""},
		{all, from("192.0.2.1:1"), "certificate", "pump1", identity.Continued, ""},
		{all, proved, "certificate", "pump1", identity.Continued, ""},
		{all, local(), "certificate", "pump1", identity.Rejected, "one that is configured"},
		{all, from("192.0.2.1:1"), "psk", "pump1", identity.Continued, ""},
		{all, local(), "psk", "pump1", identity.Rejected, "one that is configured"},
		{all, local(), "anonymous", "", identity.Accepted, ""},
		{none, local(), "password", "alice", identity.Rejected, "one that is configured"},
		{all, clear, "password", "alice", identity.Rejected, "clear text"},
		{all, clear, "password", "sc", identity.Rejected, "clear text"},
		{all, clear, "password", "carl", identity.Continued, ""}, // it has no secret to send
		{closed, local(), "password", "alice", identity.Rejected, "auth.anonymous"},
		{closed, local(), "scram", "sc", identity.Rejected, "authentication method"},
		{closed, local(), "anonymous", "", identity.Rejected, "auth.anonymous"},
	} {
		v := c.l.Preview(c.ev, c.method, c.user)
		if v.Outcome != c.want || c.why != "" && (v.Cause == nil || !strings.Contains(v.Cause.Error(), c.why)) {
			t.Errorf("%s as %q: %v (%v), want %v %q", c.method, c.user, v.Outcome, v.Cause, c.want, c.why)
		}
	}
}
