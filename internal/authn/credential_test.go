package authn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

const serverName = "plant"

// credentialRecord makes an active record of a form with fresh material.
func credentialRecord(t testing.TB, use keyring.Use, name string, change func(*keyring.Record)) *keyring.Record {
	t.Helper()
	rec := &keyring.Record{Use: use, Group: name, State: keyring.StateActive, Sender: keyring.SenderRule{Kind: keyring.SenderClientID}}
	generate := cose.AlgA256GCM // of P2 the MAC key is derived
	switch use {
	case keyring.UseP1:
		rec.Alg, rec.ContentAlg = cose.AlgECDHESA128KW, cose.AlgA128GCM
		generate = rec.Alg
	case keyring.UseP2:
		rec.Alg = cose.AlgHMAC256
	default:
		rec.Alg, rec.Sender = cose.AlgEdDSA, keyring.SenderRule{Kind: keyring.SenderAnonymous}
		generate = rec.Alg
	}
	var err error
	if rec.Key, err = cose.GenerateKey(generate); err != nil {
		t.Fatal(err)
	}
	if tp := rec.Key.Thumbprint(); use == keyring.UseP2 {
		rec.KID = append([]byte(name), 0, 1)
	} else {
		rec.KID = tp[:8]
	}
	if change != nil {
		change(rec)
	}
	if err := rec.Validate(); err != nil {
		t.Fatal(err)
	}
	return rec
}

// brokerKeyring writes what a broker holds of the records: of P3 the public half.
func brokerKeyring(t testing.TB, recs ...*keyring.Record) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	dir, err := keyring.Create(path, keyring.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		if rec.Use == keyring.UseP3 {
			rec = rec.Public()
		}
		if err := dir.Add(rec); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// failingStore is a disk that takes nothing once it is full.
type failingStore struct{ full bool }

func (*failingStore) Load(func(key, value []byte) error) error { return nil }

func (s *failingStore) Save(_, _ []byte) error {
	if s.full {
		return errors.New("no space left on device")
	}
	return nil
}

// site is a broker with a P1 key, and a device with one key of each other form.
type site struct {
	login *Login
	store *failingStore
	recs  map[keyring.Use]*keyring.Record
}

func newSite(t testing.TB, change func(*Options)) *site {
	t.Helper()
	s := &site{store: &failingStore{}, recs: map[keyring.Use]*keyring.Record{}}
	for use, name := range map[keyring.Use]string{keyring.UseP1: "broker", keyring.UseP2: "pump", keyring.UseP3: "press"} {
		s.recs[use] = credentialRecord(t, use, name, nil)
	}
	marks, err := protect.NewMarks(s.store)
	if err != nil {
		t.Fatal(err)
	}
	s.login = newLogin(t, func(o *Options) {
		o.Password = &PasswordOptions{File: accountFile(t, "alice:"+cheap(t, "right").Encode(), "carl:passwordless")}
		o.Credential = &CredentialOptions{
			Keyring: brokerKeyring(t, s.recs[keyring.UseP1], s.recs[keyring.UseP2], s.recs[keyring.UseP3]),
			Server:  serverName, Forms: []string{"p1", "p2", "p3"}, Marks: marks,
		}
		if change != nil {
			change(o)
		}
	})
	return s
}

// attempt is one CONNECT of a client that makes its own credential.
func (s *site) attempt(t testing.TB, rec *keyring.Record, number uint64, change func(*protect.CredentialConfig, *protect.Connect)) *identity.Credentials {
	t.Helper()
	user := map[keyring.Use]string{keyring.UseP1: "alice", keyring.UseP2: "pump", keyring.UseP3: "press"}[rec.Use]
	prefix := []byte("\x00\x04MQTT\x04")
	c := &protect.Connect{Level: 4, ClientID: "dev", HasUsername: true, Username: user, Server: serverName, HasBinding: true, Binding: sha256.Sum256(prefix)}
	cfg := protect.CredentialConfig{Record: rec, Number: number, Clock: time.Now}
	if rec.Use == keyring.UseP1 {
		cfg.Password = keyring.NewSecret([]byte("right"))
	}
	if change != nil {
		change(&cfg, c)
	}
	b, err := protect.SealCredential(cfg, c)
	if err != nil {
		t.Fatal(err)
	}
	return &identity.Credentials{
		ClientID: c.ClientID, Level: c.Level, HasUsername: c.HasUsername, Username: c.Username, HasPassword: true, Password: b, Prefix: prefix,
	}
}

func (s *site) ask(cr *identity.Credentials) identity.Verdict {
	return s.login.Authenticate(context.Background(), local(), cr)
}

var credentialNames = map[keyring.Use]string{keyring.UseP1: "alice", keyring.UseP2: "pump", keyring.UseP3: "press"}

// TestCredentialLogin: each form logs in under its own method, once, on every protocol level.
func TestCredentialLogin(t *testing.T) {
	for use, name := range credentialNames {
		for level := byte(3); level <= 5; level++ {
			t.Run(fmt.Sprint(use, level), func(t *testing.T) {
				s := newSite(t, nil)
				cr := s.attempt(t, s.recs[use], 7, func(_ *protect.CredentialConfig, c *protect.Connect) { c.Level = level })
				want := identity.Principal{Method: use.String(), Name: name}
				if v := s.ask(cr); v.Outcome != identity.Accepted || v.Principal != want {
					t.Fatalf("got %+v: %v", v.Principal, v.Cause)
				}
				for _, number := range []uint64{7, 6} {
					again := cr
					if number != 7 {
						again = s.attempt(t, s.recs[use], number, func(_ *protect.CredentialConfig, c *protect.Connect) { c.Level = level })
					}
					v := s.ask(again)
					if v.Outcome != identity.Rejected || v.Failure != identity.NotAuthenticated || !strings.Contains(v.Cause.Error(), "stale") {
						t.Errorf("number %d again: %+v, %v", number, v, v.Cause)
					}
				}
				next := s.attempt(t, s.recs[use], 8, func(_ *protect.CredentialConfig, c *protect.Connect) { c.Level = level })
				if v := s.ask(next); v.Outcome != identity.Accepted {
					t.Errorf("next number: %v", v.Cause)
				}
			})
		}
	}
}

// TestCredentialRefused: whatever differs from what was sealed is refused in one class, and uses nothing up.
func TestCredentialRefused(t *testing.T) {
	type change struct {
		name, cause string
		seal        func(*protect.CredentialConfig, *protect.Connect)
		sent        func(*identity.Credentials)
	}
	for _, c := range []change{
		{"another client identifier", "verify", nil, func(cr *identity.Credentials) { cr.ClientID = "dev2" }},
		{"another user name", "verify", nil, func(cr *identity.Credentials) { cr.Username = "root" }},
		{"no user name", "verify", nil, func(cr *identity.Credentials) { cr.HasUsername, cr.Username = false, "" }},
		{"another level", "verify", nil, func(cr *identity.Credentials) { cr.Level = 5 }},
		{"empty client identifier", "sender", nil, func(cr *identity.Credentials) { cr.ClientID = "" }},
		{"another server", "verify", func(_ *protect.CredentialConfig, c *protect.Connect) { c.Server = "other" }, nil},
		{"a bit of it", "", nil, func(cr *identity.Credentials) { cr.Password[len(cr.Password)-1] ^= 1 }},
		{"a byte more", "malformed", nil, func(cr *identity.Credentials) { cr.Password = append(bytes.Clone(cr.Password), 0) }},
		{"too old", "time", func(cfg *protect.CredentialConfig, _ *protect.Connect) {
			cfg.Clock = func() time.Time { return time.Now().Add(-125 * time.Second) }
		}, nil},
		{"from the future", "time", func(cfg *protect.CredentialConfig, _ *protect.Connect) {
			cfg.Clock = func() time.Time { return time.Now().Add(125 * time.Second) }
		}, nil},
		{"a key of somebody else", "unknown-key", func(cfg *protect.CredentialConfig, _ *protect.Connect) {
			cfg.Record = credentialRecord(t, cfg.Record.Use, "stranger", nil)
		}, nil},
	} {
		for use := range credentialNames {
			t.Run(fmt.Sprint(c.name, " ", use), func(t *testing.T) {
				s := newSite(t, nil)
				cr := s.attempt(t, s.recs[use], 7, c.seal)
				if c.sent != nil {
					c.sent(cr)
				}
				v := s.ask(cr)
				if v.Outcome != identity.Rejected || v.Failure != identity.NotAuthenticated || v.Principal != (identity.Principal{}) {
					t.Fatalf("got %+v", v)
				}
				var why *Refusal
				if !errors.As(v.Cause, &why) || why.Method != "credential" || !strings.Contains(v.Cause.Error(), c.cause) {
					t.Errorf("cause %v, want %s", v.Cause, c.cause)
				}
				if good := s.ask(s.attempt(t, s.recs[use], 7, nil)); good.Outcome != identity.Accepted {
					t.Errorf("afterwards the same number: %v", good.Cause)
				}
			})
		}
	}
}

// TestCredentialPassword: the password in P1 is checked as any other, before the number counts.
func TestCredentialPassword(t *testing.T) {
	s := newSite(t, nil)
	p1 := s.recs[keyring.UseP1]
	for _, c := range []struct{ user, password, cause string }{
		{"alice", "wrong", "password in p1"},
		{"mallory", "right", "user name in p1"},
		{"carl", "", "password in p1"},
	} {
		v := s.ask(s.attempt(t, p1, 9, func(cfg *protect.CredentialConfig, con *protect.Connect) {
			cfg.Password, con.Username = keyring.NewSecret([]byte(c.password)), c.user
		}))
		if v.Outcome != identity.Rejected || v.Failure != identity.NotAuthenticated || !strings.Contains(fmt.Sprint(v.Cause), c.cause) {
			t.Errorf("%s %q: %+v", c.user, c.password, v)
		}
		if strings.Contains(fmt.Sprint(v.Cause), "right") {
			t.Errorf("the cause shows the password: %v", v.Cause)
		}
	}
	if v := s.ask(s.attempt(t, p1, 9, nil)); v.Outcome != identity.Accepted {
		t.Errorf("the number of refused passwords was used up: %v", v.Cause)
	}
}

// TestCredentialKeyOwner: a key speaks for its own user and client only.
func TestCredentialKeyOwner(t *testing.T) {
	bound := credentialRecord(t, keyring.UseP2, "pump", func(r *keyring.Record) { r.ClientID, r.KID = "dev", []byte("bound\x00\x01") })
	s := newSite(t, func(o *Options) {
		o.Credential.Keyring = brokerKeyring(t, bound)
		o.Credential.Identity = "d-{client_id}"
	})
	as := func(client, user string) func(*protect.CredentialConfig, *protect.Connect) {
		return func(_ *protect.CredentialConfig, c *protect.Connect) { c.ClientID, c.Username = client, user }
	}
	if v := s.ask(s.attempt(t, bound, 1, as("dev", "pump"))); v.Outcome != identity.Rejected || !strings.Contains(fmt.Sprint(v.Cause), "user name of CONNECT") {
		t.Errorf("another user name: %v", v.Cause)
	}
	for i, user := range []string{"d-dev", ""} {
		v := s.ask(s.attempt(t, bound, uint64(i+1), as("dev", user)))
		if v.Outcome != identity.Accepted || v.Principal.Name != "d-dev" {
			t.Errorf("%q: %+v %v", user, v.Principal, v.Cause)
		}
	}
	unbound := bound.Clone()
	unbound.ClientID = "dev2"
	if v := s.ask(s.attempt(t, unbound, 9, as("dev2", "d-dev2"))); v.Outcome != identity.Rejected || !strings.Contains(fmt.Sprint(v.Cause), "another client") {
		t.Errorf("another client: %v", v.Cause)
	}
}

// TestCredentialBinding: a key that covers the CONNECT refuses one that differs anywhere.
func TestCredentialBinding(t *testing.T) {
	rec := credentialRecord(t, keyring.UseP3, "press", func(r *keyring.Record) { r.Binding = true })
	s := newSite(t, func(o *Options) { o.Credential.Keyring = brokerKeyring(t, rec) })
	cr := s.attempt(t, rec, 1, nil)
	changed := *cr
	changed.Prefix = append(bytes.Clone(cr.Prefix), 'x')
	if v := s.ask(&changed); v.Outcome != identity.Rejected || v.Failure != identity.NotAuthenticated {
		t.Errorf("got %+v", v)
	}
	changed.Prefix = nil
	if v := s.ask(&changed); v.Outcome != identity.Rejected {
		t.Error("accepted without the bytes it covers")
	}
	if v := s.ask(cr); v.Outcome != identity.Accepted {
		t.Error(v.Cause)
	}
}

// TestCredentialClockless: without a time only a record that allows it logs in.
func TestCredentialClockless(t *testing.T) {
	less := credentialRecord(t, keyring.UseP2, "pump", func(r *keyring.Record) { r.Clockless = true })
	s := newSite(t, func(o *Options) { o.Credential.Keyring = brokerKeyring(t, less) })
	noClock := func(cfg *protect.CredentialConfig, _ *protect.Connect) { cfg.Clock = nil }
	if v := s.ask(s.attempt(t, less, 1, noClock)); v.Outcome != identity.Accepted {
		t.Error(v.Cause)
	}
	strict := less.Clone()
	strict.Clockless = false
	s = newSite(t, func(o *Options) { o.Credential.Keyring = brokerKeyring(t, strict) })
	if v := s.ask(s.attempt(t, less, 1, noClock)); v.Outcome != identity.Rejected || !strings.Contains(fmt.Sprint(v.Cause), "without iat") {
		t.Errorf("got %v", v.Cause)
	}
}

// TestCredentialDiskFull: what cannot be remembered is refused, and asks the client to come again.
func TestCredentialDiskFull(t *testing.T) {
	s := newSite(t, nil)
	s.store.full = true
	for use := range credentialNames {
		v := s.ask(s.attempt(t, s.recs[use], 1, nil))
		if v.Outcome != identity.Rejected || v.Failure != identity.Busy || v.Principal != (identity.Principal{}) {
			t.Errorf("%v: got %+v", use, v)
		}
	}
}

// TestCredentialOnPlaintextListener: a credential crosses a network in the clear, a password does not.
func TestCredentialOnPlaintextListener(t *testing.T) {
	s := newSite(t, nil)
	ev := &identity.Evidence{Listener: "open", Transport: "tcp", Remote: netip.MustParseAddrPort("192.0.2.1:1000")}
	for use := range credentialNames {
		if v := s.login.Authenticate(context.Background(), ev, s.attempt(t, s.recs[use], 1, nil)); v.Outcome != identity.Accepted {
			t.Errorf("%v: %v", use, v.Cause)
		}
	}
	clear := &identity.Credentials{ClientID: "c", Level: 4, HasUsername: true, Username: "alice", HasPassword: true, Password: []byte("right")}
	v := s.login.Authenticate(context.Background(), ev, clear)
	if v.Outcome != identity.Rejected || v.Failure != identity.NotPermitted {
		t.Errorf("password in the clear: %+v", v)
	}
}

// TestCredentialLockout: failures count like those of every login.
func TestCredentialLockout(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Lockout.Failures = 3 })
	for range 3 {
		cr := s.attempt(t, s.recs[keyring.UseP2], 1, nil)
		cr.Password[len(cr.Password)-1] ^= 1
		s.ask(cr)
	}
	if v := s.ask(s.attempt(t, s.recs[keyring.UseP2], 1, nil)); v.Failure != identity.Banned {
		t.Errorf("got %+v", v)
	}
}

// TestCredentialRecognition: passwords that people type are not taken for credentials, whatever they begin with.
func TestCredentialRecognition(t *testing.T) {
	s := newSite(t, nil)
	for use := range credentialNames {
		if !protect.IsCredential(s.attempt(t, s.recs[use], 1, nil).Password) {
			t.Errorf("%v is not recognised", use)
		}
	}
	for _, p := range []string{"", "right", "фX", "фыва", "ф" + strings.Repeat("X", 100), "҄Xй", "҄\x1b", "д\x44пароль"} {
		if protect.IsCredential([]byte(p)) {
			t.Errorf("%q is taken for a credential", p)
		}
	}
}

// TestCredentialReload: a key that is gone logs in no more, and what was used stays used.
func TestCredentialReload(t *testing.T) {
	s := newSite(t, nil)
	p2, p3 := s.recs[keyring.UseP2], s.recs[keyring.UseP3]
	used := s.attempt(t, p2, 5, nil)
	if v := s.ask(used); v.Outcome != identity.Accepted {
		t.Fatal(v.Cause)
	}
	o := options()
	marks, err := protect.NewMarks(nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Credential = &CredentialOptions{Keyring: brokerKeyring(t, p2), Server: serverName, Forms: []string{"p2"}, Marks: marks}
	o.Credential.Marks = s.login.current.Load().methods[0].(*credential).verifier.Marks
	apply, err := s.login.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	apply()
	if v := s.ask(used); v.Outcome != identity.Rejected {
		t.Error("used once more after a reload")
	}
	if v := s.ask(s.attempt(t, p3, 6, nil)); v.Outcome != identity.Rejected || !strings.Contains(fmt.Sprint(v.Cause), "unknown-key") {
		t.Errorf("removed key: %v", v.Cause)
	}
	if v := s.ask(s.attempt(t, p2, 6, nil)); v.Outcome != identity.Accepted {
		t.Error(v.Cause)
	}
}
