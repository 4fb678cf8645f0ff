package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// CredentialOptions are the settings of the credential method.
type CredentialOptions struct {
	Keyring    string   // folder with the records of the credentials
	Passphrase string   // file with the keyring's passphrase; "": it has none
	Server     string   // name of this broker that credentials are bound to
	Forms      []string // of "p1", "p2", "p3"
	Identity   string   // template of the user name that a p2 or p3 key proves
	// Marks are the numbers that were used. They must be on disk, and the same after a reload.
	Marks *protect.Marks
}

// credential logs in with P1, P2 or P3 of the profile MQTT1 (docs/spec/mqtt1.md, section 7) in the Password: nobody who
// reads the connection learns what logs in, and each one is good for one attempt.
type credential struct {
	verifier  protect.Verifier
	server    string
	identity  recordTemplate
	passwords *password // checks what P1 carries; nil: P1 is not offered
}

// maxPassphraseFile bounds the passphrase file in bytes.
const maxPassphraseFile = 64 << 10

var credentialForms = map[string]keyring.Use{"p1": keyring.UseP1, "p2": keyring.UseP2, "p3": keyring.UseP3}

func newCredential(o *CredentialOptions, passwords *password, log *slog.Logger) (*credential, error) {
	c := &credential{server: o.Server}
	if slices.Contains(o.Forms, "p1") {
		if passwords == nil {
			return nil, errors.New("credential p1 carries a password, and there is no account file to check it with")
		}
		c.passwords = passwords
	}
	if o.Marks == nil {
		return nil, errors.New("credentials need a place to remember which were used")
	}
	var err error
	if c.identity, err = parseRecordTemplate(o.Identity); err != nil {
		return nil, err
	}
	ring, err := o.load(c.identity, log)
	if err != nil {
		return nil, fmt.Errorf("keyring %s: %w", o.Keyring, err)
	}
	c.verifier = protect.Verifier{Keys: ring, Marks: o.Marks, Clock: time.Now}
	return c, nil
}

// load reads the records of the forms that are offered and no others: a key for something else does not log in.
func (o *CredentialOptions) load(name recordTemplate, log *slog.Logger) (*keyring.Ring, error) {
	passphrase, err := readPassphrase(o.Passphrase)
	if err != nil {
		return nil, err
	}
	defer passphrase.Destroy()
	dir, err := keyring.Open(o.Keyring, passphrase)
	if err != nil {
		return nil, err
	}
	var recs []*keyring.Record
	for _, rec := range dir.Ring().Records() {
		if rec.E2E && rec.Key != nil && rec.Key.Private() {
			return nil, fmt.Errorf("key %q (%x) is end-to-end: a broker must not hold it; give the broker a keyring of its own", rec.Group, rec.KID)
		}
		if !slices.ContainsFunc(o.Forms, func(form string) bool { return credentialForms[form] == rec.Use }) {
			continue
		}
		if err := o.checkRecord(rec, name, log); err != nil {
			return nil, err
		}
		recs = append(recs, rec)
	}
	if len(recs) == 0 {
		return nil, fmt.Errorf("no key of %s is in it", strings.Join(o.Forms, ", "))
	}
	ring := new(keyring.Ring)
	return ring, ring.Add(recs...)
}

// checkRecord finds at the start what would refuse every login with a key.
func (o *CredentialOptions) checkRecord(rec *keyring.Record, name recordTemplate, log *slog.Logger) error {
	if !rec.Opens() {
		return nil
	}
	private := rec.Key.Private()
	switch {
	case rec.Use == keyring.UseP1 && !private:
		return fmt.Errorf("p1 key %q (%x) is only the public half: passwords sealed to it cannot be opened here", rec.Group, rec.KID)
	case rec.Use == keyring.UseP1:
		return nil
	case rec.Use == keyring.UseP3 && private && log != nil:
		log.Warn("the broker holds the secret half of a p3 key and needs the public one only", "key", rec.Group, "keyring", o.Keyring)
	}
	if _, err := name.of(rec); err != nil {
		return fmt.Errorf("%v key %x: %w", rec.Use, rec.KID, err)
	}
	return nil
}

func readPassphrase(path string) (keyring.Secret, error) {
	if path == "" {
		return keyring.Secret{}, nil
	}
	return readSecretLine(path, maxPassphraseFile)
}

func (c *credential) name() string { return "credential" }

func (c *credential) recognises(_ *identity.Evidence, cr *identity.Credentials) bool {
	return cr.Method == "" && protect.IsCredential(cr.Password)
}

// claimed falls back to the Client Identifier: devices behind one address without user names are not one.
func (c *credential) claimed(cr *identity.Credentials) string {
	if cr.Username != "" {
		return cr.Username
	}
	return "\x00" + cr.ClientID // no user name begins so
}

func (c *credential) sendsSecret(*identity.Credentials) bool { return false }

// authenticate verifies, checks who it is, and only then remembers the number, durably: an attempt that somebody else
// makes with wrong bytes uses nothing up, and one that succeeds cannot be made again, whatever crashes.
func (c *credential) authenticate(ctx context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	proof, err := c.verifier.Verify(cr.Password, &protect.Connect{
		Level: cr.Level, ClientID: cr.ClientID, HasUsername: cr.HasUsername, Username: cr.Username, Server: c.server,
		HasBinding: len(cr.Prefix) > 0, Binding: sha256.Sum256(cr.Prefix),
	})
	if err != nil {
		return c.refused(err)
	}
	defer proof.Password.Destroy()
	v := c.owner(ctx, ev, cr, proof)
	if v.Outcome != identity.Accepted {
		return v
	}
	if err := proof.Accept(); err != nil {
		return c.refused(err)
	}
	return v
}

// owner says whose login a verified credential is.
func (c *credential) owner(ctx context.Context, ev *identity.Evidence, cr *identity.Credentials, proof *protect.Credential) identity.Verdict {
	if proof.Record.Use == keyring.UseP1 {
		return c.sealedPassword(ctx, ev, cr, proof)
	}
	name, err := c.identity.of(proof.Record)
	if err != nil { // checkRecord refuses such a key at the start; this stays should a key ever come another way
		return reject(identity.NotPermitted, c.name(), "name of the key", "one for "+c.identity.text, "", err)
	}
	if cr.Username != "" && cr.Username != name {
		return reject(identity.NotAuthenticated, c.name(), "user name of CONNECT", quote(name)+" as of the key, or none", quote(cr.Username), nil)
	}
	return accept(proof.Record.Use.String(), "", name)
}

// sealedPassword has the password method check what P1 carried, within its queue.
func (c *credential) sealedPassword(ctx context.Context, ev *identity.Evidence, cr *identity.Credentials, proof *protect.Credential) identity.Verdict {
	inner := *cr
	inner.HasPassword, inner.Password = true, proof.Password.Reveal()
	defer clear(inner.Password)
	if len(inner.Password) == 0 {
		return reject(identity.NotAuthenticated, c.name(), "password in p1", "one", "none", nil)
	}
	v := c.passwords.authenticate(ctx, ev, &inner)
	if v.Outcome != identity.Accepted {
		var cause *Refusal
		if errors.As(v.Cause, &cause) {
			cause.Method, cause.Check = c.name(), cause.Check+" in p1"
		}
		return v
	}
	return accept("p1", "", v.Principal.Name)
}

// expected says for each reason what a credential would have needed.
var expected = map[protect.Reason]string{
	protect.ReasonMalformed:  "a credential of MQTT1",
	protect.ReasonUnknownKey: "a key of the keyring that is in use",
	protect.ReasonRecord:     "use, algorithm and binding of the key",
	protect.ReasonSender:     "the client that the key belongs to",
	protect.ReasonVerify:     "what the key makes for this user name, client identifier, protocol version and server name",
	protect.ReasonTime:       "a time within 2 minutes of the clock here",
	protect.ReasonStale:      "a number above all that were used with this key and client identifier",
}

// refused is one class for everything that the client did, so that it learns nothing about keys; what is wrong here
// asks it to come again.
func (c *credential) refused(err error) identity.Verdict {
	var why *protect.Refusal
	if !errors.As(err, &why) { // no such error is known; without this line it would be a panic
		return reject(identity.Busy, c.name(), "credential", "a result", "", err)
	}
	if want := expected[why.Reason]; want != "" {
		return reject(identity.NotAuthenticated, c.name(), why.Reason.String(), want, why.Detail, nil)
	}
	return reject(identity.Busy, c.name(), why.Reason.String(), "room and a disk that can be written", why.Detail, nil)
}
