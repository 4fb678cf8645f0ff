package translation

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/identity"
)

// madeListener is a listener of a random configuration.
type madeListener struct {
	port            int
	loopback        bool
	cert            bool
	require         bool
	useIdentity     bool
	psk             bool
	anonymous       string // "", "true" or "false"
	accounts, rules string
}

// madeConfig is a random configuration, in the terms of Mosquitto.
type madeConfig struct {
	per             bool
	anonymous       string
	accounts, rules string
	listeners       []madeListener
}

func (c *madeConfig) text() string {
	var b strings.Builder
	security := func(anonymous, accounts, rules string) {
		if anonymous != "" {
			fmt.Fprintf(&b, "allow_anonymous %s\n", anonymous)
		}
		if accounts != "" {
			fmt.Fprintf(&b, "password_file %s\n", accounts)
		}
		if rules != "" {
			fmt.Fprintf(&b, "acl_file %s\n", rules)
		}
	}
	fmt.Fprintf(&b, "per_listener_settings %t\npsk_file psk.txt\n", c.per)
	if !c.per {
		security(c.anonymous, c.accounts, c.rules)
	}
	for _, l := range c.listeners {
		fmt.Fprintf(&b, "listener %d%s\n", l.port, map[bool]string{true: " 127.0.0.1"}[l.loopback])
		if l.cert {
			b.WriteString("certfile s.crt\nkeyfile s.key\n")
		}
		if l.psk {
			b.WriteString("psk_hint h\n")
		}
		if l.cert && l.require {
			b.WriteString("cafile ca.crt\nrequire_certificate true\n")
		}
		if l.useIdentity {
			b.WriteString("use_identity_as_username true\n")
		}
		if c.per {
			if l.psk {
				b.WriteString("psk_file psk.txt\n")
			}
			security(l.anonymous, l.accounts, l.rules)
		}
	}
	return b.String()
}

// visitor is somebody who tries to get in.
type visitor struct {
	elsewhere   bool // on another machine
	certificate bool // has a certificate of ca.crt
	key         bool // has a key of psk.txt
	user        string
	password    string
}

// mosquitto says whether Mosquitto lets a visitor in, from its manual, and in doubt that it does not.
func (c *madeConfig) mosquitto(l *madeListener, v visitor) bool {
	anonymous, accounts := c.anonymous, c.accounts
	if c.per {
		anonymous, accounts = l.anonymous, l.accounts
	}
	switch {
	case v.elsewhere && l.loopback, l.psk && !v.key, l.cert && l.require && !v.certificate:
		return false
	case l.cert && l.require && l.useIdentity, l.psk && l.useIdentity:
		return true
	case v.user == "":
		return anonymous == "true"
	case accounts == "":
		return anonymous == "true"
	}
	return accounts == "passwd" && v.user == "dave" && v.password == "dpass"
}

// login makes the login of a translated configuration, as serve does.
func login(t testing.TB, c *config.Config) *authn.Login {
	t.Helper()
	o := authn.Options{
		Anonymous: c.Auth.Anonymous, PSK: c.Auth.PSK, Secret: []byte("secret"), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), HashSlots: 1, HashQueue: 1,
		ClearPassword: map[string]bool{}, Lockout: authn.LockoutOptions{Failures: 1e6, AddressFailures: 1e6},
	}
	if f := c.Auth.Password.File; f != "" {
		o.Password = &authn.PasswordOptions{File: f}
	}
	if id := c.Auth.Certificate.Identity; id != "" {
		o.Certificate = &authn.CertificateOptions{Identity: id}
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.AllowClearPassword {
			o.ClearPassword[l.Name] = true
		}
	}
	made, err := authn.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// letsIn asks the translated configuration about a visitor of a listener.
func letsIn(login *authn.Login, l *config.Listener, v visitor) bool {
	if v.elsewhere && l.Loopback() || l.PSK.File != "" && !v.key || l.ClientCert.CA != "" && !v.certificate {
		return false
	}
	address := netip.MustParseAddrPort("127.0.0.1:5000")
	if v.elsewhere {
		address = netip.MustParseAddrPort("192.0.2.5:5000")
	}
	ev := &identity.Evidence{Listener: l.Name, Remote: address, Local: address, Loopback: !v.elsewhere}
	if l.Encrypted() {
		ev.TLS = &identity.TLS{}
		if l.ClientCert.CA != "" {
			ev.TLS.Chain = []*x509.Certificate{{Subject: pkix.Name{CommonName: "pump"}}}
		}
		if l.PSK.File != "" {
			ev.TLS.PSKIdentity = "dev1"
		}
	}
	cr := &identity.Credentials{ClientID: "c", Level: 4, HasUsername: v.user != "", Username: v.user, HasPassword: v.password != "", Password: []byte(v.password)}
	return login.Authenticate(context.Background(), ev, cr).Outcome == identity.Accepted
}

// TestNeverWider: for random configurations and every kind of visitor, whoever gets in now got in before, and where rules
// decided, rules decide.
func TestNeverWider(t *testing.T) {
	dir := home(t)
	before, after := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		yes := func(name string) bool { return rapid.Bool().Draw(r, name) }
		word := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(r, name) }
		c := madeConfig{
			per: yes("per"), anonymous: word("anonymous", "", "true", "false"), accounts: word("accounts", "", "passwd", "passwd", "gone"), rules: word("rules", "", "acl", "gone"),
		}
		for i := range rapid.IntRange(1, 4).Draw(r, "listeners") {
			l := madeListener{port: 2000 + i, loopback: yes("loopback"), useIdentity: yes("identity")}
			switch word("kind", "plain", "cert", "mutual", "psk") {
			case "cert":
				l.cert = true
			case "mutual":
				l.cert, l.require = true, true
			case "psk":
				l.psk = true
			}
			l.anonymous, l.accounts, l.rules = word("anonymous", "", "true", "false"), word("accounts", "", "passwd", "passwd", "gone"), word("rules", "", "acl", "other")
			c.listeners = append(c.listeners, l)
		}
		o := Options{AllowPlaintext: yes("plaintext"), Usable: func(f Copy) error {
			if base := filepath.Base(f.From); base == "gone" || base == "other" {
				return fmt.Errorf("no such file")
			}
			return nil
		}}
		text := c.text()
		res, got := translate(t, dir, text, o)
		in := login(t, got)
		for i := range got.Listeners {
			l := &got.Listeners[i]
			var of *madeListener
			for j := range c.listeners {
				if l.Name == fmt.Sprintf("port-%d", c.listeners[j].port) {
					of = &c.listeners[j]
				}
			}
			if of == nil {
				if l.Name != "local" || !l.Loopback() || got.Auth.Anonymous {
					r.Fatalf("a listener that nobody asked for: %+v", l)
				}
				continue // nothing could be taken over
			}
			rules := c.rules
			if c.per {
				rules = of.rules
			}
			if rules != "" && got.ACL.Mosquitto == "" && !nothingAllowed(got) {
				r.Fatalf("the rules of %s are gone\n%s\n%s", l.Name, text, res.YAML)
			}
			for _, who := range []struct{ user, password string }{{}, {"dave", "dpass"}, {"dave", "wrong"}, {"eve", "dpass"}, {"eve", ""}} {
				for n := range 8 {
					v := visitor{elsewhere: n&1 != 0, certificate: n&2 != 0, key: n&4 != 0, user: who.user, password: who.password}
					was, is := c.mosquitto(of, v), letsIn(in, l, v)
					if was {
						before++
					}
					if is {
						after++
					}
					if is && !was {
						r.Fatalf("%+v gets in at %s and did not before\n%s\n%s", v, l.Name, text, res.YAML)
					}
				}
			}
		}
	})
	if after < 50 || after*20 < before {
		t.Errorf("of %d that were let in, %d still are: the test says little", before, after)
	}
	t.Logf("of %d that were let in by listeners that are left, %d still are", before, after)
}
