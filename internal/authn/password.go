package authn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"

	"github.com/sealmq/sealmq/internal/identity"
)

// PasswordOptions are the settings of the password method.
type PasswordOptions struct {
	File    string // account file
	Upgrade bool   // rewrite weak verifiers of File at a successful login
}

// password logs in with user name and password. It recognises every CONNECT without Authentication Method that has
// either of them: whether an account exists is its secret.
type password struct {
	file    string
	upgrade bool
	log     *slog.Logger
	queue   *hashQueue
	cache   *verifiedCache
	secret  []byte

	mu       sync.RWMutex // guards the verifiers, which upgrades change
	accounts *Accounts
	decoys   []*Verifier // what checks of unknown names are made with; never empty, of constant length

	upgrading sync.Mutex      // one rewrite of the file at a time
	hashed    func(*Verifier) // called before each hash, for tests that count; may be nil
}

// decoyText is the verifier whose cost unknown names have while a file has no passwords. Nothing is accepted with it.
const decoyText = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func newPassword(o *PasswordOptions, queue *hashQueue, secret []byte, log *slog.Logger) (*password, error) {
	accounts, err := LoadAccounts(o.File)
	if err != nil {
		return nil, err
	}
	p := &password{
		file: o.File, upgrade: o.Upgrade, log: log, queue: queue, cache: newVerifiedCache(), secret: secret, accounts: accounts,
	}
	for _, a := range accounts.All() {
		if a.Password != nil {
			p.decoys = append(p.decoys, a.Password)
		}
	}
	if len(p.decoys) == 0 {
		v, err := ParseVerifier(decoyText)
		if err != nil {
			return nil, err
		}
		p.decoys = append(p.decoys, v)
	}
	return p, nil
}

func (p *password) name() string { return "password" }

func (p *password) recognises(_ *identity.Evidence, cr *identity.Credentials) bool {
	return cr.Method == "" && (cr.HasUsername || cr.HasPassword)
}

func (p *password) claimed(cr *identity.Credentials) string { return cr.Username }

// sendsSecret reports whether the client's secret itself is on the wire.
func (p *password) sendsSecret(cr *identity.Credentials) bool { return len(cr.Password) > 0 }

// Refusals below share one class: a client cannot tell them apart.
func (p *password) authenticate(ctx context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	deny := func(check, expected, found string) identity.Verdict {
		return reject(identity.NotAuthenticated, p.name(), check, expected, found, nil)
	}
	acc := p.account(cr.Username)
	switch {
	case cr.Username == "":
		return deny("user name", "one", "none")
	case len(cr.Password) == 0 && acc != nil && acc.Passwordless:
		return accept(p.name(), "", acc.Name)
	case len(cr.Password) == 0:
		return deny("password", "one, or an account marked passwordless in "+p.file, "none for "+quote(cr.Username))
	case len(cr.Password) > MaxPassword:
		return deny("password length", "at most "+strconv.Itoa(MaxPassword)+" bytes", strconv.Itoa(len(cr.Password)))
	}
	v, known := p.verifier(acc, cr.Username)
	matches, err := p.check(ctx, sourceOf(ev), cr.Username, v, known, cr.Password)
	switch {
	case errors.Is(err, errQueueFull):
		return reject(identity.Busy, p.name(), "queue of password checks", "room", "none", nil)
	case err != nil:
		return reject(identity.Busy, p.name(), "password check", "a result before the login's deadline", "", err)
	case !known && acc != nil:
		return deny("account", "one with a password in "+p.file, quote(cr.Username)+", which has none")
	case !known:
		return deny("user name", "an account of "+p.file, quote(cr.Username))
	case !matches:
		return deny("password", "that of "+quote(cr.Username), "another")
	}
	return accept(p.name(), "", acc.Name)
}

func (p *password) account(name string) *Account {
	p.mu.RLock()
	defer p.mu.RUnlock()
	acc := p.accounts.Get(name)
	if acc == nil {
		return nil
	}
	snapshot := *acc
	return &snapshot
}

// verifier returns what the password is checked against. Names without a password are checked against the verifier of
// an account that is picked by the name: the costs of unknown names are spread like those of known ones, and stay.
func (p *password) verifier(acc *Account, name string) (v *Verifier, known bool) {
	i := pick(p.secret, name, len(p.decoys)) // made for known names, too
	if acc != nil && acc.Password != nil {
		return acc.Password, true
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.decoys[i], false
}

// pick maps a name to 0..n-1 in a way that only this broker can predict.
func pick(secret []byte, name string, n int) int {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(name))
	return int(binary.BigEndian.Uint64(mac.Sum(nil)) % uint64(n))
}

// check hashes the password unless it was right a moment ago. It looks again once it has a slot, so that many clients
// with the same credentials cost one hash.
func (p *password) check(ctx context.Context, from addressKey, name string, v *Verifier, known bool, secret []byte) (bool, error) {
	key := p.cache.key(name, v, secret)
	if p.cache.has(key) {
		return known, nil
	}
	if err := p.queue.acquire(ctx, from); err != nil {
		return false, err
	}
	defer p.queue.release()
	if p.cache.has(key) {
		return known, nil
	}
	if p.hashed != nil {
		p.hashed(v)
	}
	matches := v.Matches(secret) && known
	p.queue.garbage.leave(v.Memory(), p.queue.slots)
	if matches {
		p.cache.add(key)
		p.improve(name, v, secret)
	}
	return matches, nil
}

// improve replaces a weak verifier by a new one, in the file first. What goes wrong is logged and changes nothing about
// the login; the next one tries again.
func (p *password) improve(name string, old *Verifier, secret []byte) {
	if !p.upgrade || old.Weak() == "" {
		return
	}
	p.upgrading.Lock()
	defer p.upgrading.Unlock()
	if p.account(name).Password.Encode() != old.Encode() {
		return // somebody was faster
	}
	next, err := NewVerifier(Argon2id, secret)
	if err != nil {
		p.log.Warn("weak password verifier not replaced", "user", name, "file", p.file, "err", err)
		return
	}
	var written *Accounts
	err = EditAccounts(p.file, false, func(a *Accounts) error {
		acc := a.Get(name)
		if acc == nil || acc.Password == nil || acc.Password.Encode() != old.Encode() {
			return errFileChanged
		}
		written = a
		return a.SetPassword(name, next)
	})
	if err != nil {
		p.log.Warn("weak password verifier not replaced", "user", name, "file", p.file, "err", err)
		return
	}
	p.replace(name, written.Get(name).Password)
	p.log.Info("weak password verifier replaced", "user", name, "file", p.file, "was", old.String(), "is", next.String())
}

var errFileChanged = errors.New("the account was changed in the file since it was loaded")

// replace puts a verifier in force, and among the costs that unknown names have.
func (p *password) replace(name string, v *Verifier) {
	p.mu.Lock()
	defer p.mu.Unlock()
	acc := p.accounts.byName[name]
	if i := slices.Index(p.decoys, acc.Password); i >= 0 { // it always is
		p.decoys[i] = v
	}
	acc.Password = v
}
