package authn

import (
	"crypto/x509"
	"slices"

	"github.com/sealmq/sealmq/internal/identity"
)

// knower is implemented by methods that can say without a secret that somebody cannot log in.
type knower interface {
	// unknown returns why nobody logs in by that name over ev, nil when somebody with the right secret does.
	unknown(ev *identity.Evidence, name string) *Refusal
}

// Preview says what Authenticate would decide about a client that comes over ev and logs in as user by a method
// ("anonymous" for one that brings nothing), up to the point where a secret is looked at: Continued means that the right
// secret is accepted. It goes the way of Authenticate, through the same order, the same rule about clear text and the same
// lockout, and counts nothing. It is for whoever runs the broker: unlike Authenticate it says whether an account exists.
func (l *Login) Preview(ev *identity.Evidence, method, user string) identity.Verdict {
	c := l.current.Load()
	seen, cr := c.bring(ev, method, user)
	m := c.choose(seen, cr)
	if m == nil {
		v := c.unrecognised(seen, cr)
		if v.Outcome == identity.Accepted && method != Anonymous {
			return reject(identity.NotPermitted, method, "method", "one that is configured", quote(method), nil)
		}
		return v
	}
	if m.name() != methodOf(method) {
		return reject(identity.NotAuthenticated, m.name(), "order", m.name()+", which recognises this client first", quote(method), nil)
	}
	if _, v := l.gate(c, m, seen, cr); v != nil {
		return *v
	}
	if k, ok := m.(knower); ok {
		if r := k.unknown(seen, user); r != nil {
			return identity.Verdict{Failure: identity.NotAuthenticated, Cause: r}
		}
	}
	return identity.Verdict{Outcome: identity.Continued, Principal: identity.Principal{Method: method, Name: user}}
}

// Anonymous is the method of clients that bring nothing.
const Anonymous = "anonymous"

// SomeChain stands for a chain that a client would show, where only its presence matters.
func SomeChain() []*x509.Certificate { return []*x509.Certificate{{}} }

// What has the form of a token and of a credential (a COSE_Mac0), and is none.
var (
	sampleToken      = []byte("eyJ..")
	sampleCredential = []byte{0xd1, 0x84, 0x43, 0xa1, 0x01, 0x05, 0xa0, 0x40, 0x40}
)

// methodOf is the method that makes principals with a name of its own.
func methodOf(principal string) string {
	switch principal {
	case "p1", "p2", "p3":
		return "credential"
	}
	return principal
}

// bring is what a client of the method brings, with something in place of its secret.
func (c *chain) bring(ev *identity.Evidence, method, user string) (*identity.Evidence, *identity.Credentials) {
	seen, cr := *ev, &identity.Credentials{ClientID: "preview", Level: 5}
	switch method {
	case "password":
		cr.HasUsername, cr.Username, cr.HasPassword, cr.Password = true, user, true, []byte{0}
		for _, m := range c.methods {
			if p, ok := m.(*password); ok {
				if acc := p.account(user); acc != nil && acc.Passwordless {
					cr.HasPassword, cr.Password = false, nil // it has no secret to send
				}
			}
		}
	case "jwt":
		cr.HasPassword, cr.Password = true, sampleToken
	case "p1", "p2", "p3":
		cr.HasPassword, cr.Password = true, sampleCredential
	case "scram":
		cr.Method = string(SCRAMSHA256)
		for _, m := range c.methods {
			if s, ok := m.(*scramMethod); ok {
				cr.Method = string(s.options.Mechanisms[0])
			}
		}
		cr.Data = []byte("n,,n=" + user + ",r=preview")
	case "certificate":
		if seen.TLS != nil && len(seen.TLS.Chain) == 0 {
			proved := *seen.TLS
			proved.Chain = SomeChain()
			seen.TLS = &proved
		}
	case "psk":
		if seen.TLS != nil {
			proved := *seen.TLS
			proved.PSKIdentity = user
			seen.TLS = &proved
		}
	}
	return &seen, cr
}

// Offers are the configured methods in the order in which they are asked.
func (l *Login) Offers() []string {
	c := l.current.Load()
	var names []string
	for _, m := range c.methods {
		names = append(names, m.name())
	}
	if c.anonymous {
		names = append(names, Anonymous)
	}
	return slices.Clip(names)
}

func (p *password) unknown(_ *identity.Evidence, name string) *Refusal {
	acc := p.account(name)
	switch {
	case acc == nil:
		return &Refusal{Method: p.name(), Check: "user name", Expected: "an account of " + p.file, Found: quote(name)}
	case acc.Password == nil && !acc.Passwordless:
		return &Refusal{Method: p.name(), Check: "account", Expected: "one with a password in " + p.file, Found: quote(name) + ", which has none"}
	}
	return nil
}

func (s *scramMethod) unknown(ev *identity.Evidence, name string) *Refusal {
	if binding, err := s.binding(ev); err != nil || s.options.Binding == BindingRequired && binding == nil {
		return &Refusal{Method: s.name(), Check: "channel binding", Expected: "TLS with tls-exporter", Found: "a connection without", Err: err}
	}
	for _, m := range s.options.Mechanisms {
		if _, known := s.verifier(m, name); known {
			return nil
		}
	}
	return &Refusal{Method: s.name(), Check: "user name", Expected: "an account of " + s.options.File + " that has one of the mechanisms", Found: quote(name)}
}
