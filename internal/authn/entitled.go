package authn

import (
	"slices"

	"github.com/sealmq/sealmq/internal/identity"
)

// keeper is a method whose files say who has an account, so that a removed one ends.
type keeper interface {
	// keeps reports whether a principal of that name could still log in.
	keeps(name string) bool
}

// Entitled says why a principal would not be let in any more, nil when it would: its method is no longer offered, or its
// account is gone. A new password does not end the connections of an account. It does not block.
func (l *Login) Entitled(p identity.Principal) error {
	c := l.current.Load()
	if p.IsAnonymous() {
		if !c.anonymous {
			return &Refusal{Method: "anonymous", Check: "auth.anonymous", Expected: "true", Found: "false"}
		}
		return nil
	}
	i := slices.IndexFunc(c.methods, func(m method) bool { return m.name() == p.Method })
	if i < 0 {
		if !slices.Contains(Methods, p.Method) {
			return nil // principals of other kinds are judged by whoever made them
		}
		return &Refusal{Method: p.Method, Check: "login method", Expected: "one that is configured", Found: quote(p.Method)}
	}
	if k, ok := c.methods[i].(keeper); ok && !k.keeps(p.Name) {
		return &Refusal{Method: p.Method, Check: "account", Expected: "one in the account file", Found: "none for " + quote(p.Name)}
	}
	return nil
}

func (p *password) keeps(name string) bool {
	acc := p.account(name)
	return acc != nil && (acc.Passwordless || acc.Password != nil)
}

func (s *scramMethod) keeps(name string) bool {
	acc := s.accounts.Get(name)
	return acc != nil && slices.ContainsFunc(s.options.Mechanisms, func(m Mechanism) bool { return acc.SCRAM[m] != nil })
}
