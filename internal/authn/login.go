package authn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/sealmq/sealmq/internal/identity"
)

// Options are everything a Login is made of. A method whose options are nil is not offered.
type Options struct {
	Anonymous   bool // clients that bring nothing, on loopback
	Order       []string
	Password    *PasswordOptions
	SCRAM       *SCRAMOptions
	JWT         *JWTOptions
	Certificate *CertificateOptions
	PSK         bool
	Credential  *CredentialOptions
	Lockout     LockoutOptions
	HashSlots   int // passwords hashed at once; a reload does not change it
	HashQueue   int // logins that may wait for a slot; a reload does not change it
	// ClearPassword names the listeners that take secrets in clear text from other machines.
	ClearPassword map[string]bool
	// Secret makes what is answered for unknown names stable over restarts and unpredictable to others.
	Secret []byte
	Log    *slog.Logger
}

// Methods in the order in which they are asked when the configuration gives none: what the transport proved first, what
// needs no secret on the wire next, and passwords, which recognise the most, last.
var Methods = []string{"certificate", "psk", "scram", "credential", "jwt", "password"}

// method is one way to log in. All its functions are safe for concurrent use.
type method interface {
	name() string
	// recognises reports whether the client brought what this method checks. It looks at the kind, never at validity.
	recognises(ev *identity.Evidence, cr *identity.Credentials) bool
	// claimed is the user name that the client says it has, before anything is proved; it may be empty.
	claimed(cr *identity.Credentials) string
	// sendsSecret reports whether whoever reads the wire has learned what logs in.
	sendsSecret(cr *identity.Credentials) bool
	authenticate(ctx context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict
}

// Login is the broker's authenticator. It is safe for concurrent use.
type Login struct {
	current atomic.Pointer[chain]
	lockout *lockout
	queue   *hashQueue
}

// chain is what a reload replaces as a whole.
type chain struct {
	anonymous bool
	clear     map[string]bool
	methods   []method
}

// New loads all files and makes a Login of them. An error names the file.
func New(o Options) (*Login, error) {
	l := &Login{lockout: newLockout(o.Lockout), queue: newHashQueue(o.HashSlots, o.HashQueue)}
	c, err := newChain(&o, l.queue)
	if err != nil {
		return nil, err
	}
	l.current.Store(c)
	return l, nil
}

// Prepare loads everything again and returns what puts it in force, or an error, after which nothing has changed. Put in
// force, it forgets every remembered password check; locks and counts stay.
func (l *Login) Prepare(o Options) (apply func(), err error) {
	c, err := newChain(&o, l.queue)
	if err != nil {
		return nil, err
	}
	return func() {
		l.lockout.configure(o.Lockout)
		l.current.Store(c)
	}, nil
}

func newChain(o *Options, queue *hashQueue) (*chain, error) {
	c := &chain{anonymous: o.Anonymous, clear: o.ClearPassword}
	made, err := o.methods(queue)
	if err != nil {
		return nil, err
	}
	order := o.Order
	if len(order) == 0 {
		order = Methods
	}
	for _, name := range order {
		if m := made[name]; m != nil {
			c.methods = append(c.methods, m)
			delete(made, name)
		}
	}
	for name := range made {
		return nil, fmt.Errorf("the login method %s has no place in the order", name)
	}
	return c, nil
}

// methods makes those that are configured. All of them are tried, so that one start shows every problem.
func (o *Options) methods(queue *hashQueue) (map[string]method, error) {
	made := map[string]method{}
	var problems []error
	keep := func(m method, err error) {
		if err != nil {
			problems = append(problems, err)
			return
		}
		made[m.name()] = m
	}
	if o.Password != nil {
		m, err := newPassword(o.Password, queue, o.Secret, o.Log)
		keep(m, err)
	}
	if o.SCRAM != nil {
		m, err := newSCRAM(o.SCRAM, o.Secret)
		keep(m, err)
	}
	if o.JWT != nil {
		m, err := newJWT(o.JWT, o.Log)
		keep(m, err)
	}
	if o.Certificate != nil {
		m, err := newCertificate(o.Certificate)
		keep(m, err)
	}
	if o.PSK {
		keep(psk{}, nil)
	}
	if o.Credential != nil {
		passwords, _ := made["password"].(*password)
		if passwords == nil && o.Password != nil {
			return nil, errors.Join(problems...) // P1 has nothing to be checked with, and that has been said
		}
		m, err := newCredential(o.Credential, passwords, o.Log)
		keep(m, err)
	}
	return made, errors.Join(problems...)
}

// Authenticate implements the broker's seam.
func (l *Login) Authenticate(ctx context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	c := l.current.Load()
	m := c.choose(ev, cr)
	if m == nil {
		return c.unrecognised(ev, cr)
	}
	at, refused := l.gate(c, m, ev, cr)
	if refused != nil {
		return *refused
	}
	return at.counted(m.authenticate(ctx, ev, cr))
}

// choose finds the method that decides; nil when none recognises what the client brought.
func (c *chain) choose(ev *identity.Evidence, cr *identity.Credentials) method {
	for _, m := range c.methods {
		if m.recognises(ev, cr) {
			return m
		}
	}
	return nil
}

// gate is what stands in front of every method: no secret crosses a network in clear text, and who failed too often
// waits. The Verdict is nil when the method may decide.
func (l *Login) gate(c *chain, m method, ev *identity.Evidence, cr *identity.Credentials) (attempt, *identity.Verdict) {
	if m.sendsSecret(cr) && !ev.Encrypted() && !ev.Loopback && !c.clear[ev.Listener] {
		v := reject(identity.NotPermitted, m.name(), "encryption of the connection",
			"TLS, loopback, or a listener with allow_plaintext and allow_clear_password", "a secret in clear text", nil)
		return attempt{}, &v
	}
	at := l.lockout.attempt(ev, m.claimed(cr))
	if err := at.locked(); err != nil {
		return at, &identity.Verdict{Failure: identity.Banned, Cause: err}
	}
	return at, nil
}

// counted tells the lockout how a login ended, also when that takes further packets.
func (a attempt) counted(v identity.Verdict) identity.Verdict {
	switch {
	case v.Outcome == identity.Accepted:
		a.succeeded()
	case v.Outcome == identity.Continued:
		next := v.Next
		v.Next = func(data []byte) identity.Verdict { return a.counted(next(data)) }
	case v.Failure == identity.NotAuthenticated:
		a.failed()
	}
	return v
}

// unrecognised decides about clients that brought nothing that a method of the chain checks.
func (c *chain) unrecognised(ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	const method = "anonymous"
	switch {
	case cr.Method != "":
		return reject(identity.BadMethod, method, "authentication method", "one that is offered", quote(cr.Method), nil)
	case !c.anonymous:
		return reject(identity.NotPermitted, method, "auth.anonymous", "true", "false, and nothing that a configured method checks", nil)
	case !ev.Loopback:
		return reject(identity.NotPermitted, method, "address", "loopback, where alone anonymous clients are accepted", ev.Remote.Addr().String(), nil)
	}
	return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Anonymous}
}
