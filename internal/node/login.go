package node

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/protect"
)

// secretFile holds, within node.data_dir, what makes the answers for unknown user names the same after a restart.
const (
	secretFile = "login.key"
	secretSize = 32 // bytes
)

// loginSecret reads the secret of the data folder, or makes it. Without a folder on disk it lives as long as the process.
func loginSecret(c *config.Config) ([]byte, error) {
	fresh := make([]byte, secretSize)
	_, _ = rand.Read(fresh) // never fails since Go 1.24
	if c.Storage.Engine == config.EngineMemory {
		return fresh, nil
	}
	if err := os.MkdirAll(c.Node.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	path := filepath.Join(c.Node.DataDir, secretFile)
	secret, err := privfile.Read(path, secretSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := privfile.Write(path, fresh); err != nil {
			return nil, fmt.Errorf("login secret: %w", err)
		}
		return fresh, nil
	case err != nil:
		return nil, fmt.Errorf("login secret: %w", err)
	case len(secret) != secretSize:
		return nil, fmt.Errorf("login secret: %s has %d bytes, expected %d: remove it, and a new one is made", path, len(secret), secretSize)
	}
	return secret, nil
}

// marksFile holds, within node.data_dir, which credentials were used. It is on disk whatever the storage engine: without it
// a recorded login could be repeated after a restart.
const marksFile = "credentials.state"

// usedCredentials is the file of marks, opened with the first configuration that needs it and kept until the broker ends.
type usedCredentials struct {
	mu    sync.Mutex // guards the fields
	file  *protect.StateFile
	marks *protect.Marks
}

// open returns the marks, nil when no credentials are accepted.
func (u *usedCredentials) open(c *config.Config) (*protect.Marks, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.marks != nil || !c.Auth.Offers(config.AuthByCredential) {
		return u.marks, nil
	}
	if err := os.MkdirAll(c.Node.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	file, err := protect.OpenStateFile(filepath.Join(c.Node.DataDir, marksFile))
	if err != nil {
		return nil, fmt.Errorf("used credentials: %w", err)
	}
	marks, err := protect.NewMarks(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("used credentials: %w", err), file.Close())
	}
	u.file, u.marks = file, marks
	return marks, nil
}

// copy writes the marks to a new file and returns its SHA-256; without credentials there is neither.
func (u *usedCredentials) copy(path string) (sum string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file == nil {
		return "", nil
	}
	if err := u.file.Copy(path); err != nil {
		return "", err
	}
	_, sum, err = readMarks(path)
	return sum, err
}

// readMarks returns a file of marks that nobody writes to, and its SHA-256.
func readMarks(path string) (text []byte, sum string, err error) {
	text, err = privfile.Read(path, maxMarks)
	return text, fmt.Sprintf("%x", sha256.Sum256(text)), err
}

func (u *usedCredentials) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file == nil {
		return nil
	}
	return u.file.Close()
}

// loginOptions translates a configuration into the terms of the login.
func loginOptions(c *config.Config, secret []byte, marks *protect.Marks, log *slog.Logger) authn.Options {
	a := &c.Auth
	o := authn.Options{
		Anonymous: a.Anonymous, PSK: a.PSK, Secret: secret, Log: log, Order: texts[string](a.Order),
		HashSlots: a.Password.MaxParallelHashes, HashQueue: a.Password.HashQueue, ClearPassword: map[string]bool{},
		Lockout: authn.LockoutOptions{
			Failures: a.Lockout.Failures, AddressFailures: a.Lockout.AddressFailures, Within: a.Lockout.Within, For: a.Lockout.For,
		},
	}
	if p := &a.Password; a.Offers(config.AuthByPassword) {
		o.Password = &authn.PasswordOptions{File: p.File, Upgrade: p.Upgrade}
	}
	if s := &a.SCRAM; a.Offers(config.AuthBySCRAM) {
		o.SCRAM = &authn.SCRAMOptions{File: s.File, Mechanisms: texts[authn.Mechanism](s.Mechanisms), Binding: authn.Binding(s.ChannelBinding)}
	}
	if j := &a.JWT; a.Offers(config.AuthByJWT) {
		o.JWT = &authn.JWTOptions{
			File: j.Keys, URL: j.KeysURL, CA: j.KeysCA, Refresh: j.Refresh, Issuer: j.Issuer, Audience: j.Audience,
			Algorithms: texts[authn.Algorithm](j.Algorithms), NameClaim: j.NameClaim,
		}
	}
	if t := &a.Certificate; a.Offers(config.AuthByCertificate) {
		o.Certificate = &authn.CertificateOptions{Identity: t.Identity, ClientID: t.ClientID}
	}
	if k := &a.Credential; a.Offers(config.AuthByCredential) {
		o.Credential = &authn.CredentialOptions{
			Keyring: k.Keyring, Passphrase: k.Passphrase, Server: k.Server, Forms: texts[string](k.Forms), Identity: k.Identity, Marks: marks,
		}
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.AllowPlaintext && l.AllowClearPassword {
			o.ClearPassword[l.Name] = true
		}
	}
	return o
}

// texts turns the words of one type into those of another.
func texts[To, From ~string](in []From) []To {
	out := make([]To, len(in))
	for i, w := range in {
		out[i] = To(w)
	}
	return out
}
