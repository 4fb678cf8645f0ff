package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
)

const maxKeyFile = 64 << 20 // bytes; a bundle of 1024 records is far below

// keysImportCommand installs keys of others.
type keysImportCommand struct {
	File  string `arg:"" name:"FILE" help:"COSE_Key, JWK, PEM, the description of a key, or a bundle; - reads standard input."`
	Name  string `name:"name" placeholder:"NAME" help:"Name of the key in this keyring; not for a bundle."`
	Type  string `name:"type" placeholder:"TYPE" help:"What the key is for, as in keys new; not for a bundle."`
	Mode  string `name:"mode" enum:"R,S" default:"R" help:"Of encrypt: R or S, as in keys new."`
	KID   string `name:"kid" placeholder:"HEX" help:"Key id, the same at all holders. A COSE_Key carries it; that of a public key is the first 8 to 32 bytes of its thumbprint, 8 if not given."`
	State string `name:"state" enum:"active,pre-active,decrypt-only" default:"active" help:"active; pre-active, which opens and does not seal yet; or decrypt-only, which only opens."`
	From  string `name:"from" placeholder:"NAME" help:"Exporter whose bundle it must be; default any exporter in this keyring."`

	policyFlags  `embed:""`
	keyringFlags `embed:""`
	DryRun       bool `name:"dry-run" help:"Check everything, and change nothing."`
	JSON         bool `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*keysImportCommand) Example() string { return "sealmq keys import plant.bundle" }

// Run tells a bundle from a key by its first bytes.
func (c *keysImportCommand) Run(a *app) error {
	b, err := a.readInput(c.File, maxKeyFile)
	if err != nil {
		return err
	}
	defer clear(b)
	if cose.TagOf(b) == cose.TagEncrypt {
		return c.bundle(a, b)
	}
	if rec, err := keyring.ParseDescription(b); err == nil {
		return c.description(a, rec)
	}
	return c.key(a, b)
}

// description installs what somebody on the way of messages may know of their key.
func (c *keysImportCommand) description(a *app, rec *keyring.Record) error {
	out := newKeysReport()
	out.Did, out.DryRun, out.Keys = "imported the description of "+rec.Group, c.DryRun, []keyLine{describeKey(rec)}
	if c.DryRun {
		return out.print(a, c.JSON)
	}
	keys, err := c.openOrCreate(a, out)
	if err != nil {
		return err
	}
	if err := keys.AddDescription(rec); err != nil {
		return keyFailure(err)
	}
	return out.print(a, c.JSON)
}

func (c *keysImportCommand) key(a *app, b []byte) error {
	if c.Name == "" || c.Type == "" {
		return usageError("cannot import a key without --name and --type", "a key is bound to its use here, not by its file", "sealmq keys import "+c.File+" --name NAME --type recipient --topics FILTER")
	}
	if err := checkKeyName(c.Name); err != nil {
		return err
	}
	key, info, err := parseKey(b)
	if err != nil {
		return &failure{exitFailed, "cannot import " + c.File, err.Error(), "it may be a COSE_Key, a JWK, a PEM file or a bundle", err}
	}
	rec, err := c.record(key, info)
	if err != nil {
		return err
	}
	out := newKeysReport()
	out.Did, out.DryRun, out.Keys = "imported "+c.Name, c.DryRun, []keyLine{describeKey(rec)}
	if c.DryRun {
		return out.print(a, c.JSON)
	}
	keys, err := c.openOrCreate(a, out)
	if err != nil {
		return err
	}
	if len(protecting.Named(keys.Ring(), c.Name)) > 0 {
		return &failure{exitFailed, "there is a key named " + c.Name, "a name is given once", "choose another --name", nil}
	}
	if err := keys.Add(rec); err != nil {
		return keyFailure(err)
	}
	out.wrote(keys.File(rec))
	out.next("sealmq keys show " + c.Name + keyringArg(keys))
	return out.print(a, c.JSON)
}

// record gives an imported key its local meaning.
func (c *keysImportCommand) record(key *cose.Key, info cose.KeyInfo) (*keyring.Record, error) {
	kind := c.Type
	if kind == "encrypt" && c.Mode == "S" {
		kind = "encrypt-s"
	}
	t, ok := keyTypes[kind]
	if !ok {
		return nil, usageError("cannot use --type "+c.Type, "there are encrypt, mac, sign, recipient, exporter, p1, p2 and p3", "")
	}
	alg := ""
	switch {
	case info.Alg != 0:
		alg = info.Alg.String()
	case t.alg.IsSignature() && key.Type() == cose.KeyEC2:
		alg = cose.AlgES256.String()
	case t.alg.IsAEAD() && len(key.SymmetricBytes()) == cose.AlgA128GCM.KeySize():
		alg = cose.AlgA128GCM.String()
	}
	if t.use == keyring.UseP2 {
		alg = "" // the key of a P2 is no MAC key
	}
	t, err := t.with(alg)
	if err != nil {
		return nil, err
	}
	if c.Type == "exporter" {
		c.Topics = []string{protecting.ExporterTopic}
	}
	kid := info.KID
	if tp := key.Thumbprint(); !t.use.Symmetric() && (len(kid) < keyring.MinPublicKID || !bytes.HasPrefix(tp[:], kid)) {
		kid = nil // a name that another program gave the key; here it is its thumbprint
	}
	if c.KID != "" {
		if kid, err = hex.DecodeString(c.KID); err != nil || len(kid) == 0 {
			return nil, usageError("cannot use --kid", "it is not hexadecimal", "")
		}
	}
	if len(kid) == 0 && t.use.Symmetric() {
		return nil, usageError("cannot import a shared key without its kid", "all holders use the same", "add --kid HEX")
	}
	rec, err := c.policyFlags.record(c.Name, t, key, kid)
	if err != nil {
		return nil, err
	}
	for state := keyring.StatePreActive; state <= keyring.StateDecryptOnly; state++ {
		if state.String() == c.State {
			rec.State = state
		}
	}
	return rec, keyFailure(rec.Validate())
}

// parseKey reads a key in one of the forms that keys export writes.
func parseKey(b []byte) (*cose.Key, cose.KeyInfo, error) {
	text := bytes.TrimSpace(b)
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		k, err := keyring.ParseJWK(text)
		return k, cose.KeyInfo{}, err
	case bytes.HasPrefix(text, []byte("-----BEGIN")):
		k, err := keyring.ParsePEM(text)
		return k, cose.KeyInfo{}, err
	}
	return cose.ParseKey(b)
}

// bundle installs the keys of a bundle of an exporter that is known here.
func (c *keysImportCommand) bundle(a *app, b []byte) error {
	if c.Name != "" || c.Type != "" || len(c.Topics) > 0 {
		return usageError("cannot use --name, --type or --topics with a bundle", "it says what its keys are for", "")
	}
	keys, err := c.open(a)
	if err != nil {
		return err
	}
	var enc cose.Encrypt
	if err := enc.Parse(b); err != nil {
		return keyFailure(fmt.Errorf("%w: %w", keyring.ErrBundle, err))
	}
	recipient := keys.Ring().LookupThumbprint(enc.Recipients[0].Unprotected.KID)
	if recipient == nil || !recipient.Key.Private() {
		return keyFailure(fmt.Errorf("%w: it is sealed to a key that is not in this keyring", keyring.ErrBundle))
	}
	exporter, bundle, err := c.exporter(keys, b, recipient)
	if err != nil {
		return keyFailure(err)
	}
	out := newKeysReport()
	out.DryRun = c.DryRun
	out.Did = fmt.Sprintf("imported bundle %d of %s, sealed to %s", bundle.Serial, exporter.Group, recipient.Group)
	for _, rec := range bundle.Records {
		out.Keys = append(out.Keys, describeKey(rec))
	}
	if !c.DryRun {
		if _, err := keys.ImportBundle(b, recipient, exporter); err != nil {
			return keyFailure(err)
		}
		for _, rec := range bundle.Records {
			out.wrote(keys.File(rec))
		}
		out.next("sealmq keys ls" + keyringArg(keys))
	}
	return out.print(a, c.JSON)
}

// exporter finds whose bundle it is, among the exporters of this keyring and nobody else.
func (c *keysImportCommand) exporter(keys *protecting.Keys, b []byte, recipient *keyring.Record) (*keyring.Record, *keyring.Bundle, error) {
	var last error = fmt.Errorf("%w: this keyring trusts no exporter", keyring.ErrBundle)
	for _, rec := range keys.Exporters() {
		if c.From != "" && rec.Group != c.From && hex.EncodeToString(rec.KID) != c.From {
			continue
		}
		bundle, err := keyring.OpenBundle(b, recipient, rec)
		if err == nil {
			for _, r := range bundle.Records {
				if protecting.IsExporter(r) && !sameKID(r, rec) && keys.Ring().Lookup(r.KID) == nil {
					return nil, nil, fmt.Errorf("%w: it would make %x an exporter; import that key by itself", keyring.ErrBundle, r.KID)
				}
			}
			return rec, bundle, nil
		}
		if !errors.Is(err, keyring.ErrBundle) {
			err = fmt.Errorf("%w: %w", keyring.ErrBundle, err)
		}
		last = err
	}
	return nil, nil, last
}
