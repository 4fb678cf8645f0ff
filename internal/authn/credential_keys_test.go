package authn

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// TestCredentialConfiguration: what would refuse every login, or weaken one, is an error at the start.
func TestCredentialConfiguration(t *testing.T) {
	marks, err := protect.NewMarks(nil)
	if err != nil {
		t.Fatal(err)
	}
	p1, p3 := credentialRecord(t, keyring.UseP1, "broker", nil), credentialRecord(t, keyring.UseP3, "press", nil)
	endToEnd := &keyring.Record{
		KID: []byte("e2e\x00\x01"), Use: keyring.UseR, Alg: cose.AlgA128GCM, Key: symmetric(t), State: keyring.StateActive, E2E: true,
		Sender: keyring.SenderRule{Kind: keyring.SenderWire, Size: 8}, Topics: []string{"#"},
	}
	for _, c := range []struct {
		name, want string
		keys       string
		change     func(*CredentialOptions)
	}{
		{"no keyring", "no such file", filepath.Join(t.TempDir(), "none"), nil},
		{"no key of the forms", "no key of p2 is in it", brokerKeyring(t, p3), func(o *CredentialOptions) { o.Forms = []string{"p2"} }},
		{"public half of p1", "only the public half", brokerKeyring(t, p1.Public()), func(o *CredentialOptions) { o.Forms = []string{"p1"} }},
		{"end-to-end key", "end-to-end", brokerKeyring(t, p3, endToEnd), nil},
		{"key without a client", "{client_id}", brokerKeyring(t, p3), func(o *CredentialOptions) { o.Identity = "{client_id}" }},
		{"no field", "there is no field", brokerKeyring(t, p3), func(o *CredentialOptions) { o.Identity = "device" }},
		{"nowhere to remember", "remember", brokerKeyring(t, p3), func(o *CredentialOptions) { o.Marks = nil }},
	} {
		o := options()
		o.Log = slog.New(slog.DiscardHandler)
		o.Password = &PasswordOptions{File: accountFile(t, "alice:"+cheap(t, "right").Encode())}
		o.Credential = &CredentialOptions{Keyring: c.keys, Server: serverName, Forms: []string{"p1", "p2", "p3"}, Marks: marks}
		if c.change != nil {
			c.change(o.Credential)
		}
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	o := options()
	o.Credential = &CredentialOptions{Keyring: brokerKeyring(t, p1), Server: serverName, Forms: []string{"p1"}, Marks: marks}
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "account file") {
		t.Errorf("p1 without passwords: %v", err)
	}
}

// TestCredentialPassphrase: a sealed keyring opens with the first line of a private file.
func TestCredentialPassphrase(t *testing.T) {
	marks, err := protect.NewMarks(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys")
	dir, err := keyring.Create(path, keyring.NewSecret([]byte("open sesame")))
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Add(credentialRecord(t, keyring.UseP2, "pump", nil)); err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{"open sesame\nsecond": "", "wrong\n": "passphrase", "\n": "empty"} {
		file := filepath.Join(t.TempDir(), "passphrase")
		if err := privfile.Write(file, []byte(content)); err != nil {
			t.Fatal(err)
		}
		o := options()
		o.Credential = &CredentialOptions{Keyring: path, Passphrase: file, Server: serverName, Forms: []string{"p2"}, Marks: marks}
		_, err := New(o)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", content, err)
		}
		if err != nil && (strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "wrong\n")) {
			t.Errorf("the error shows the passphrase: %v", err)
		}
	}
}

// TestCredentialKeys: only what a record needs for its own form is asked of it.
func TestCredentialKeys(t *testing.T) {
	marks, err := protect.NewMarks(nil)
	if err != nil {
		t.Fatal(err)
	}
	p1, p3 := credentialRecord(t, keyring.UseP1, "broker", nil), credentialRecord(t, keyring.UseP3, "press", nil)
	p2 := credentialRecord(t, keyring.UseP2, "pump", func(r *keyring.Record) { r.ClientID = strings.Repeat("c", MaxName/2) })
	destroyed := credentialRecord(t, keyring.UseP3, "old", nil)
	destroyed.State, destroyed.Key = keyring.StateDestroyed, nil
	destroyed.E2E = true
	public := credentialRecord(t, keyring.UseP3, "public", func(r *keyring.Record) { r.E2E = true })
	private := filepath.Join(t.TempDir(), "private")
	dir, err := keyring.Create(private, keyring.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Add(p3); err != nil {
		t.Fatal(err)
	}
	var log warnings
	for _, c := range []struct {
		name, keys, identity string
		names                string // of the keys; "": refused
		warnings             warnings
	}{
		{"the name", brokerKeyring(t, p1, p2, p3), "", "broker pump press", 0},
		{"the kid", brokerKeyring(t, p2), "k-{kid}", "k-70756d700001", 0},
		{"p1 has no client, and needs none", brokerKeyring(t, p1), "{client_id}", "-", 0},
		{"p3 has no client", brokerKeyring(t, p3), "{client_id}", "", 0},
		{"a destroyed key has no client, and needs none", brokerKeyring(t, p2, destroyed), "{client_id}", p2.ClientID + " -", 0},
		{"the longest name", brokerKeyring(t, p2), "{client_id}{client_id}", p2.ClientID + p2.ClientID, 0},
		{"a longer one", brokerKeyring(t, p2), "{client_id}-{client_id}", "", 0},
		{"the public half of an end-to-end key", brokerKeyring(t, public), "", "public", 0},
		{"the secret half of p3", private, "", "press", 1},
	} {
		o := options()
		log = 0
		o.Log = slog.New(&log)
		o.Password = &PasswordOptions{File: accountFile(t, "alice:"+cheap(t, "right").Encode())}
		o.Credential = &CredentialOptions{Keyring: c.keys, Server: serverName, Forms: []string{"p1", "p2", "p3"}, Marks: marks, Identity: c.identity}
		made, err := o.methods(newHashQueue(1, 1))
		if templateErr := CheckCredentialTemplate(c.identity); templateErr != nil {
			t.Errorf("%s: %v", c.name, templateErr)
		}
		if c.names == "" {
			if err == nil {
				t.Errorf("%s: taken", c.name)
			}
			continue
		}
		if err != nil || log != c.warnings {
			t.Errorf("%s: %v, %d warnings", c.name, err, log)
			continue
		}
		method := made["credential"].(*credential)
		want := map[string]bool{}
		for _, n := range strings.Fields(c.names) {
			want[n] = true
		}
		for _, rec := range method.verifier.Keys.Records() {
			name, err := method.identity.of(rec)
			if err != nil {
				name = "-"
			}
			if !want[name] {
				t.Errorf("%s: a key gives %q", c.name, name)
			}
			delete(want, name)
		}
		if len(want) > 0 {
			t.Errorf("%s: no key gives %v", c.name, want)
		}
	}
	if CheckCredentialTemplate("device") == nil {
		t.Error("a template without a field is taken")
	}
	o := options() // without a log nothing is said
	o.Credential = &CredentialOptions{Keyring: private, Server: serverName, Forms: []string{"p3"}, Marks: marks}
	o.Log = nil
	if _, err := New(o); err != nil {
		t.Error(err)
	}
	o.Password = &PasswordOptions{File: filepath.Join(t.TempDir(), "missing")}
	o.Credential.Forms = []string{"p1"}
	if _, err := New(o); err == nil || strings.Contains(err.Error(), "p1") {
		t.Errorf("a missing account file is said to be something else: %v", err)
	}
	o.Credential.Forms = []string{"p3"}
	o.Password, o.Credential.Passphrase = nil, filepath.Join(t.TempDir(), "missing")
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "passphrase file") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing passphrase: %v", err)
	}
}

// TestCredentialClaims: failures count for the user name, and without one for the client, so that devices behind one
// address do not lock each other out.
func TestCredentialClaims(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Lockout.Failures = 3 })
	p2 := s.recs[keyring.UseP2]
	as := func(client, user string) *identity.Credentials {
		return s.attempt(t, p2, 1, func(_ *protect.CredentialConfig, c *protect.Connect) {
			c.ClientID, c.HasUsername, c.Username = client, user != "", user
		})
	}
	for range 3 {
		for _, cr := range []*identity.Credentials{as("dev1", ""), as("dev1", "pump")} {
			cr.Password[len(cr.Password)-1] ^= 1
			wantRefused(t, s.ask(cr), identity.NotAuthenticated)
		}
	}
	wantRefused(t, s.ask(as("dev1", "")), identity.Banned)
	wantRefused(t, s.ask(as("dev2", "pump")), identity.Banned)
	if v := s.ask(as("dev2", "")); v.Outcome != identity.Accepted {
		t.Errorf("another client: %v", v.Cause)
	}
}

func symmetric(t testing.TB) *cose.Key {
	t.Helper()
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	k, err := cose.NewSymmetricKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
