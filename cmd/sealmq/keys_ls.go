package main

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

// keysLsCommand lists keys.
type keysLsCommand struct {
	keyringFlags `embed:""`
	JSON         bool `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*keysLsCommand) Example() string { return "sealmq keys ls" }

// Run prints one line for each key.
func (c *keysLsCommand) Run(a *app) error {
	keys, err := c.open(a)
	if err != nil {
		return err
	}
	out := newKeysReport()
	for _, rec := range keys.Ring().Records() {
		out.Keys = append(out.Keys, describeKey(rec))
	}
	for _, rec := range keys.Descriptions() { // known, and not held
		line := describeKey(rec)
		line.Flags = append(line.Flags, "described")
		out.Keys = append(out.Keys, line)
	}
	out.Did = fmt.Sprintf("%d keys in %s", len(out.Keys), keys.Path())
	if !keys.Sealed() {
		out.Did += ", not sealed by a passphrase"
	}
	return out.print(a, c.JSON)
}

// keysShowCommand shows one key.
type keysShowCommand struct {
	Name string `arg:"" name:"NAME" help:"Name or kid of the key."`

	keyringFlags `embed:""`
	JSON         bool `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*keysShowCommand) Example() string { return "sealmq keys show plant" }

// Run prints all epochs of the key.
func (c *keysShowCommand) Run(a *app) error {
	_, recs, err := c.openNamed(a, c.Name)
	if err != nil {
		return err
	}
	out := newKeysReport()
	out.Did = c.Name
	for _, rec := range recs {
		out.Keys = append(out.Keys, describeKey(rec))
	}
	if c.JSON {
		return out.print(a, true)
	}
	for _, k := range out.Keys {
		for _, f := range []struct{ name, value string }{
			{"name", k.Name},
			{"kid", k.KID},
			{"type", k.Type},
			{"state", k.State},
			{"algorithm", strings.TrimSpace(k.Algorithm + " " + k.Content)},
			{"sender", strings.TrimSpace(k.Sender + sizeOf(k.SenderSize) + " " + k.SenderID)},
			{"topics", strings.Join(k.Topics, " ")},
			{"client id", k.ClientID},
			{"max age", k.MaxAge},
			{"flags", strings.Join(k.Flags, " ")},
			{"thumbprint", k.Thumbprint},
		} {
			if f.value != "" {
				writef(a.stdout, "%-11s %s\n", f.name, oneLine(f.value))
			}
		}
		half := "only the public half is here"
		if k.Private {
			half = "the secret is here"
		}
		writef(a.stdout, "%-11s %s\n\n", "holds", half)
	}
	return nil
}

// sizeOf shows the length of the sender id in each message.
func sizeOf(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" of %d bytes", n)
}

// keysVerifyCommand checks a keyring.
type keysVerifyCommand struct {
	keyringFlags `embed:""`
	JSON         bool `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*keysVerifyCommand) Example() string { return "sealmq keys verify" }

// Run opens the keyring, which checks files, permissions and records, and uses each key once.
func (c *keysVerifyCommand) Run(a *app) error {
	keys, err := c.open(a)
	if err != nil {
		return err
	}
	out := newKeysReport()
	bad := 0
	for _, rec := range keys.Ring().Records() {
		line := describeKey(rec)
		line.Finding = "ok"
		if err := tryKey(rec); err != nil {
			line.Finding = "does not work: " + err.Error()
			bad++
		} else if rec.Seals() && rec.Use.Symmetric() {
			used, limit, err := keys.Used(rec)
			switch {
			case err != nil:
				line.Finding = "its counter cannot be read: " + err.Error()
				bad++
			case used >= limit-limit/10:
				line.Finding = fmt.Sprintf("rotate it: %d of %d messages are used", used, limit)
			}
		}
		out.Keys = append(out.Keys, line)
	}
	out.Did = fmt.Sprintf("verified %d keys in %s, %d do not work", len(out.Keys), keys.Path(), bad)
	if err := out.print(a, c.JSON); err != nil {
		return err
	}
	if bad > 0 {
		return &failure{exitProtection, fmt.Sprintf("%d keys do not work", bad), "", "restore the keyring from a backup, or make new keys", nil}
	}
	return nil
}

// tryKey uses the secret of a key and its other half together.
func tryKey(rec *keyring.Record) error {
	if rec.Key == nil || !rec.Key.Private() {
		return nil
	}
	test := []byte("sealmq keys verify")
	switch rec.Use {
	case keyring.UseSign, keyring.UseP3:
		sig, err := rec.Key.Sign(rec.Alg, test)
		if err != nil {
			return err
		}
		return rec.Key.Public().Verify(rec.Alg, test, sig)
	case keyring.UseEnc, keyring.UseP1:
		m := cose.Encrypt{Headers: cose.Headers{
			Protected:   cose.Header{Labels: cose.HasAlg, Alg: rec.ContentAlg},
			Unprotected: cose.Header{Labels: cose.HasIV, IV: make([]byte, 12)}, // the content key is fresh and thrown away
		}}
		sealed, err := m.Seal(nil, nil, []cose.RecipientKey{{Alg: rec.Alg, KID: rec.KID, Key: rec.Key.Public()}}, test, nil)
		if err != nil {
			return err
		}
		var got cose.Encrypt
		if err := got.Parse(sealed); err != nil {
			return err
		}
		_, err = got.Open(nil, 0, rec.Key, nil)
		return err
	case keyring.UseR, keyring.UseS:
		_, err := rec.Key.AEAD(rec.Alg)
		return err
	}
	return nil // a MAC key has one half, and Validate has checked its size
}
