package authn

import (
	"testing"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// TestEntitled: everybody of a login is entitled; after a reload that removes accounts, keys and methods those who hung on
// them are not, and nobody else is affected.
func TestEntitled(t *testing.T) {
	var scramLine string
	v, _, err := NewSCRAMVerifier(SCRAMSHA256, "bob", []byte("p"), MinSCRAMIterations)
	if err != nil {
		t.Fatal(err)
	}
	scramLine = "bob:" + v.Encode()
	s := newSite(t, func(o *Options) {
		o.SCRAM = &SCRAMOptions{File: accountFile(t, scramLine), Mechanisms: []Mechanism{SCRAMSHA256}}
		o.Certificate = &CertificateOptions{Identity: "{cn}"}
		o.PSK, o.Anonymous = true, true
	})
	everybody := []identity.Principal{
		{Method: "password", Name: "alice"},
		{Method: "password", Name: "carl"},
		{Method: "scram", Name: "bob"},
		{Method: "certificate", Issuer: "CN=x", Name: "pump"},
		{Method: "psk", Name: "pump"},
		{Method: "anonymous"},
		{Method: "p1", Name: "alice"},
		{Method: "p2", Name: "pump"},
		{Method: "p3", Name: "press"},
	}
	for _, p := range everybody {
		if err := s.login.Entitled(p); err != nil {
			t.Errorf("%v: %v", p, err)
		}
	}
	for _, p := range []identity.Principal{
		{Method: "password", Name: "bob"},
		{Method: "password", Name: ""},
		{Method: "scram", Name: "alice"},
		{Method: "jwt", Name: "alice"},
		{Method: "p1", Name: "bob"},
		{Method: "p2", Name: "press"},
		{Method: "p3", Name: "pump"},
		{Method: "other", Name: "x"},
	} {
		if s.login.Entitled(p) == nil {
			t.Errorf("%v is entitled", p)
		}
	}
	marks, err := protect.NewMarks(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Password = &PasswordOptions{File: accountFile(t, "carl:passwordless", scramLine)}
	o.Credential = &CredentialOptions{
		Keyring: brokerKeyring(t, s.recs[keyring.UseP1], s.recs[keyring.UseP3]), Server: serverName, Forms: []string{"p1", "p3"}, Marks: marks,
	}
	apply, err := s.login.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.login.Entitled(everybody[0]); err != nil {
		t.Errorf("before it is in force: %v", err)
	}
	apply()
	left := map[identity.Principal]bool{{Method: "password", Name: "carl"}: true, {Method: "p3", Name: "press"}: true}
	for _, p := range everybody {
		if err := s.login.Entitled(p); (err == nil) != left[p] {
			t.Errorf("%v after the reload: %v", p, err)
		}
	}
}

// TestEntitledToTheMethod: an account entitles to the methods that it has something for, a key only while it may open and
// gives the name.
func TestEntitledToTheMethod(t *testing.T) {
	v, _, err := NewSCRAMVerifier(SCRAMSHA256, "bob", []byte("p"), MinSCRAMIterations)
	if err != nil {
		t.Fatal(err)
	}
	file := accountFile(t, "alice:"+cheap(t, "right").Encode(), "bob:"+v.Encode())
	gone := credentialRecord(t, keyring.UseP2, "gone", nil)
	named := credentialRecord(t, keyring.UseP2, "named", nil)
	s := newSite(t, func(o *Options) {
		o.Password = &PasswordOptions{File: file}
		o.SCRAM = &SCRAMOptions{File: file, Mechanisms: []Mechanism{SCRAMSHA512, SCRAMSHA256}}
		o.Credential.Keyring, o.Credential.Forms = brokerKeyring(t, gone, named), []string{"p2"}
	})
	for p, want := range map[identity.Principal]bool{
		{Method: "password", Name: "alice"}: true,
		{Method: "password", Name: "bob"}:   false,
		{Method: "scram", Name: "alice"}:    false,
		{Method: "scram", Name: "bob"}:      true,
		{Method: "p1", Name: "alice"}:       false, // the form is not offered
		{Method: "p2", Name: "gone"}:        true,
		{Method: "p2", Name: "named"}:       true,
		{Method: "p2", Name: ""}:            false,
	} {
		if err := s.login.Entitled(p); (err == nil) != want {
			t.Errorf("%v: %v", p, err)
		}
	}
	for _, m := range s.login.current.Load().methods {
		c, ok := m.(*credential)
		if !ok {
			continue
		}
		for _, rec := range c.verifier.Keys.Records() {
			if rec.Group == "gone" {
				rec.State = keyring.StateDestroyed
			} else {
				rec.Group = "#"
			}
		}
		for _, name := range []string{"gone", "#", ""} {
			if c.keeps(identity.Principal{Method: "p2", Name: name}) {
				t.Errorf("%q is kept", name)
			}
		}
	}
}
