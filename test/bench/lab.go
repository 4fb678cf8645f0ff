package main

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/ca"
	"github.com/sealmq/sealmq/keyring"
)

// password is that of all accounts.
const password = "correct horse battery staple"

// signers is how many publishers have a signature key.
const signers = 50

// lab is the files that all runs share: certificates, accounts and keys, made anew for each comparison.
type lab struct {
	authority, cert, key string // PEM
	passwd               string // accounts
	psk                  string // pre-shared keys
	signing, verifying   string // keyrings of publishers and of the broker
}

func newLab(dir string) (*lab, error) {
	l := &lab{passwd: filepath.Join(dir, "passwd"), psk: filepath.Join(dir, "psk.txt"), signing: filepath.Join(dir, "signing"), verifying: filepath.Join(dir, "verifying")}
	for _, step := range []func(dir string) error{l.makeCertificates, l.makeAccounts, l.makeKeys} {
		if err := step(dir); err != nil {
			return nil, fmt.Errorf("set up: %w", err)
		}
	}
	return l, nil
}

func (l *lab) makeCertificates(dir string) error {
	pki, now := filepath.Join(dir, "pki"), time.Now()
	authority, err := ca.Init(pki, ca.Options{Name: "SealMQ bench"}, now)
	if err != nil {
		return err
	}
	issued, err := authority.Issue(ca.Request{Name: "localhost", Profile: ca.Server, SANs: []string{"127.0.0.1"}}, now)
	if err != nil {
		return err
	}
	l.authority, l.cert, l.key = filepath.Join(pki, ca.CertFile), issued.CertFile, issued.KeyFile
	return nil
}

// makeAccounts makes every login that a rule names. All have one password, and one of two verifiers, so that making them is
// quick; the broker checks each for itself.
func (l *lab) makeAccounts(string) error {
	v, err := authn.NewVerifier(authn.Argon2id, []byte(password))
	if err != nil {
		return err
	}
	quick, err := quickVerifier()
	if err != nil {
		return err
	}
	var accounts, keys strings.Builder
	seen := map[string]bool{}
	for i := range cases {
		verifier := v.Encode()
		if len(cases[i].rules) > maxRules {
			verifier = quick
		}
		for _, r := range cases[i].rules {
			if seen[r.login] {
				continue
			}
			seen[r.login] = true
			fmt.Fprintf(&accounts, "%s:%s\n", r.login, verifier)
			key := make([]byte, 32)
			_, _ = rand.Read(key) // never fails
			fmt.Fprintf(&keys, "%s:%s\n", r.login, hex.EncodeToString(key))
		}
	}
	if err := os.WriteFile(l.passwd, []byte(accounts.String()), 0o600); err != nil {
		return err
	}
	return os.WriteFile(l.psk, []byte(keys.String()), 0o600)
}

// quickVerifier is what mosquitto_passwd of Mosquitto 2.0 makes: PBKDF2 with 101 rounds. It is for thousands of accounts
// that all log in before anything is measured, which would take minutes with argon2id.
func quickVerifier() (string, error) {
	const rounds = 101
	salt := make([]byte, 12)
	_, _ = rand.Read(salt) // never fails
	key, err := pbkdf2.Key(sha512.New, password, salt, rounds, sha512.Size)
	return fmt.Sprintf("$7$%d$%s$%s", rounds, base64.StdEncoding.EncodeToString(salt), base64.StdEncoding.EncodeToString(key)), err
}

// makeKeys makes a signature key for each publisher, of which the broker gets the public half.
func (l *lab) makeKeys(string) error {
	own, err := keyring.Create(l.signing, keyring.Secret{})
	if err != nil {
		return err
	}
	public, err := keyring.Create(l.verifying, keyring.Secret{})
	if err != nil {
		return err
	}
	for i := range signers {
		rec := &keyring.Record{
			Use: keyring.UseSign, Alg: cose.AlgEdDSA, State: keyring.StateActive, Group: fmt.Sprintf("p%d", i),
			ClientID: fmt.Sprintf("%s-p%d", prefix, i), Topics: []string{prefix + "/#"},
		}
		if rec.Key, err = cose.GenerateKey(cose.AlgEdDSA); err != nil {
			return err
		}
		thumbprint := rec.Thumbprint()
		rec.KID = thumbprint[:keyring.MinPublicKID]
		rec.Sender = keyring.SenderRule{Kind: keyring.SenderFixed, ID: rec.KID}
		if err := own.Add(rec); err != nil {
			return err
		}
		if err := public.Add(rec.Public()); err != nil {
			return err
		}
	}
	return nil
}
