package authn

import (
	"slices"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/keyring"
)

// keeper is a method whose files say who may log in, so that whoever is removed ends.
type keeper interface {
	// keeps reports whether a principal of the method could still log in.
	keeps(p identity.Principal) bool
}

// Entitled says why a principal would not be let in any more, nil when it would: its method is no longer offered, or its
// account or key is gone. A new password does not end the connections of an account. It does not block.
func (l *Login) Entitled(p identity.Principal) error {
	c := l.current.Load()
	if p.IsAnonymous() {
		if !c.anonymous {
			return &Refusal{Method: "anonymous", Check: "auth.anonymous", Expected: "true", Found: "false"}
		}
		return nil
	}
	name := p.Method
	if _, is := credentialForms[name]; is {
		name = "credential"
	}
	i := slices.IndexFunc(c.methods, func(m method) bool { return m.name() == name })
	if i < 0 {
		return &Refusal{Method: p.Method, Check: "login method", Expected: "one that is configured", Found: quote(p.Method)}
	}
	if k, ok := c.methods[i].(keeper); ok && !k.keeps(p) {
		return &Refusal{Method: p.Method, Check: "account or key", Expected: "one in the files of the method", Found: "none for " + quote(p.Name)}
	}
	return nil
}

func (p *password) keeps(who identity.Principal) bool {
	acc := p.account(who.Name)
	return acc != nil && (acc.Passwordless || acc.Password != nil)
}

func (s *scramMethod) keeps(who identity.Principal) bool {
	acc := s.accounts.Get(who.Name)
	return acc != nil && slices.ContainsFunc(s.options.Mechanisms, func(m Mechanism) bool { return acc.SCRAM[m] != nil })
}

// keeps asks for the account of p1, and otherwise for a key that gives the name.
func (c *credential) keeps(who identity.Principal) bool {
	form := credentialForms[who.Method]
	if form == keyring.UseP1 {
		return c.passwords != nil && c.passwords.keeps(who)
	}
	return slices.ContainsFunc(c.verifier.Keys.Records(), func(rec *keyring.Record) bool {
		if rec.Use != form || !rec.Opens() {
			return false
		}
		name, err := c.identity.of(rec)
		return err == nil && name == who.Name
	})
}
