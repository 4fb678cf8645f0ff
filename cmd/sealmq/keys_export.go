package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
)

// keysExportCommand writes keys for others.
type keysExportCommand struct {
	Names    []string `arg:"" name:"NAME" help:"Names or kids of the keys; more than one only in a bundle."`
	Out      string   `name:"out" placeholder:"FILE" help:"File to write; it must not exist. Default NAME with .pub, .jwk, .pem, .bundle or .public; a secret needs a name."`
	Format   string   `name:"format" enum:"cose,jwk,pem" default:"cose" help:"Form of a single key: COSE_Key, JWK or PEM."`
	To       string   `name:"to" placeholder:"FILE" help:"Public key of the recipient: writes a bundle that only its owner can open."`
	From     string   `name:"from" placeholder:"NAME" help:"Exporter that signs the bundle; default the one of this keyring."`
	Broker   bool     `name:"to-broker" help:"The recipient is a broker: an end-to-end key is refused."`
	Secret   bool     `name:"export-secret-key" help:"Write the secret itself. Whoever reads the file has the key."`
	Describe bool     `name:"describe" help:"Write what a broker may know of a shared key that it must not hold: all but the key."`
	DryRun   bool     `name:"dry-run" help:"Check everything, and write nothing."`

	keyringFlags `embed:""`
	JSON         bool `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*keysExportCommand) Example() string { return "sealmq keys export press-7 --out press-7.pub" }

// Run writes one key, or a bundle.
func (c *keysExportCommand) Run(a *app) error {
	if c.Out == "" {
		if c.Secret && c.To == "" {
			return usageError("cannot export a secret without --out", "whoever reads the file has the key, so it has to be named", "add --out FILE")
		}
		c.Out = c.Names[0] + c.ending()
	}
	if _, err := os.Lstat(c.Out); err == nil {
		return usageError("cannot write "+c.Out, "the file exists", "choose another --out, or remove the file")
	}
	keys, err := c.open(a)
	if err != nil {
		return err
	}
	if c.To != "" {
		return c.bundle(a, keys)
	}
	if c.From != "" || c.Broker {
		return usageError("cannot use --from or --to-broker", "they belong to a bundle", "add --to RECIPIENT.pub")
	}
	if len(c.Names) != 1 {
		return usageError("cannot export several keys in one file", "", "name one, or make a bundle with --to RECIPIENT.pub")
	}
	return c.single(a, keys)
}

func (c *keysExportCommand) single(a *app, keys *protecting.Keys) error {
	rec, err := newest(keys, c.Names[0])
	if err != nil {
		return err
	}
	if c.Describe {
		return c.describe(a, rec)
	}
	if rec.Use.Symmetric() && !c.Secret {
		return usageError("cannot export "+c.Names[0], "a shared key has no public half", "send it in a bundle: --to RECIPIENT.pub --from EXPORTER")
	}
	b, err := c.encode(rec)
	if err != nil {
		return &failure{exitFailed, "cannot export " + c.Names[0], err.Error(), "", err}
	}
	defer clear(b)
	out := newKeysReport()
	shown := rec
	if !c.Secret {
		shown = rec.Public()
	}
	out.Did, out.DryRun, out.Keys = "exported the public half of "+c.Names[0], c.DryRun, []keyLine{describeKey(shown)}
	if c.Secret {
		out.Did = "exported the secret of " + c.Names[0]
		a.warn("whoever reads " + c.Out + " has the key")
	}
	if !c.DryRun {
		if err := writeNew(c.Out, b, c.Secret); err != nil {
			return err
		}
		out.wrote(c.Out)
	}
	if !c.Secret {
		out.next("give " + c.Out + " to others by a way on which nobody can exchange it; they run: sealmq keys import " + c.Out +
			" --name " + rec.Group + " --type " + strings.TrimSuffix(typeOf(rec), "-s") + policyArgs(rec))
	}
	return out.print(a, c.JSON)
}

// describe writes the description of a shared key.
func (c *keysExportCommand) describe(a *app, rec *keyring.Record) error {
	if c.Secret {
		return usageError("cannot use --describe and --export-secret-key", "a description has no secret", "")
	}
	b, err := rec.MarshalDescription()
	if err != nil {
		return usageError("cannot describe "+c.Names[0], "only shared keys of messages are described; of key pairs export the public half", "")
	}
	out := newKeysReport()
	out.Did, out.DryRun, out.Keys = "described "+c.Names[0], c.DryRun, []keyLine{describeKey(rec)}
	if !c.DryRun {
		if err := writeNew(c.Out, b, false); err != nil {
			return err
		}
		out.wrote(c.Out)
	}
	out.next("at the broker: sealmq keys import " + c.Out + " --keyring DIR, and reload")
	return out.print(a, c.JSON)
}

// policyArgs are the flags that give another holder of a key the same record.
func policyArgs(rec *keyring.Record) string {
	if protecting.IsExporter(rec) {
		return ""
	}
	var b strings.Builder
	for _, t := range rec.Topics {
		writef(&b, " --topics '%s'", t)
	}
	if rec.ClientID != "" {
		writef(&b, " --client-id '%s'", rec.ClientID)
	}
	if rec.Sender.Kind == keyring.SenderFixed && !bytes.Equal(rec.Sender.ID, rec.KID) {
		writef(&b, " --sender fixed:0x%x", rec.Sender.ID)
	}
	if rec.Use == keyring.UseEnc && rec.Sender.Kind == keyring.SenderClientID {
		writef(&b, " --sender client-id")
	}
	if rec.Sender.Kind == keyring.SenderAnonymous && (rec.Use == keyring.UseSign || rec.Use == keyring.UseP3) {
		writef(&b, " --sender anonymous")
	}
	if rec.MaxAge != 0 {
		writef(&b, " --max-age %d", rec.MaxAgeSeconds())
	}
	for _, f := range []struct {
		on   bool
		flag string
	}{
		{rec.Unordered, "allow-unordered"},
		{rec.Clockless, "allow-clockless"},
		{rec.Broker, "signer-is-broker"},
		{rec.Binding, "bind-connect"},
		{rec.Use == keyring.UseEnc && !rec.E2E && rec.Sender.Kind != keyring.SenderClientID, "broker-may-hold"},
	} {
		if f.on {
			writef(&b, " --%s", f.flag)
		}
	}
	return b.String()
}

// newest returns the epoch to give away: the one that waits, or else the one that seals.
func newest(keys *protecting.Keys, name string) (*keyring.Record, error) {
	if rec, err := only(keys, name, keyring.StatePreActive); err == nil {
		return rec, nil
	}
	return only(keys, name, keyring.StateActive)
}

func (c *keysExportCommand) encode(rec *keyring.Record) ([]byte, error) {
	var s keyring.Secret
	var err error
	switch c.Format {
	case "jwk":
		s, err = keyring.MarshalJWK(rec.Key, fmt.Sprintf("%x", rec.KID), c.Secret)
	case "pem":
		s, err = keyring.MarshalPEM(rec.Key, c.Secret)
	default:
		info := cose.KeyInfo{KID: rec.KID, Alg: rec.Alg}
		if rec.Use == keyring.UseP2 {
			info.Alg = 0
		}
		return cose.AppendKey(nil, rec.Key, info, c.Secret)
	}
	if err != nil {
		return nil, err
	}
	defer s.Destroy()
	return s.Reveal(), nil
}

// bundle writes records, signed by the exporter and sealed to the recipient. Of key pairs it holds the public half.
func (c *keysExportCommand) bundle(a *app, keys *protecting.Keys) error {
	if own := ownExporters(keys); c.From == "" && len(own) == 1 {
		c.From = hex.EncodeToString(own[0].KID)
	}
	if c.From == "" {
		return usageError("cannot make a bundle without --from", "somebody has to sign it", "sealmq keys new NAME --type exporter"+keyringArg(keys))
	}
	exporter, err := keys.Sealing(c.From, keyring.UseSign)
	if err != nil {
		return keyFailure(err)
	}
	if !protecting.IsExporter(exporter) || !exporter.Key.Private() {
		return usageError("cannot sign a bundle with "+c.From, "it is not an exporter's secret key", "sealmq keys new NAME --type exporter"+keyringArg(keys))
	}
	recipient, err := c.recipient(a)
	if err != nil {
		return err
	}
	bundle := &keyring.Bundle{Issued: now()}
	out := newKeysReport()
	for _, name := range c.Names {
		recs, err := named(keys, name)
		if err != nil {
			return err
		}
		for _, rec := range recs {
			if rec.State == keyring.StateDestroyed {
				continue
			}
			if !c.Secret {
				rec = rec.Public()
			}
			bundle.Records = append(bundle.Records, rec)
			out.Keys = append(out.Keys, describeKey(rec))
		}
	}
	bundle.Serial = 1
	if !c.DryRun {
		if bundle.Serial, err = keys.NewSerial(exporter, now()); err != nil {
			return keyFailure(err)
		}
	}
	b, err := bundle.Seal(exporter, recipient, c.Broker)
	if err != nil {
		return keyFailure(err)
	}
	out.Did, out.DryRun = fmt.Sprintf("exported %d keys, signed by %s, sealed to %x", len(bundle.Records), exporter.Group, recipient.KID), c.DryRun
	if !c.DryRun {
		if err := writeNew(c.Out, b, true); err != nil {
			return err
		}
		out.wrote(c.Out)
	}
	out.next("at the recipient: sealmq keys import " + c.Out)
	return out.print(a, c.JSON)
}

// ending is what the name of a file ends with if none is given.
func (c *keysExportCommand) ending() string {
	switch {
	case c.To != "":
		return ".bundle"
	case c.Describe:
		return ".public"
	}
	return map[string]string{"cose": ".pub", "jwk": ".jwk", "pem": ".pem"}[c.Format]
}

// ownExporters are the exporters whose secret is here.
func ownExporters(keys *protecting.Keys) []*keyring.Record {
	var own []*keyring.Record
	for _, rec := range keys.Exporters() {
		if rec.Seals() && rec.Key.Private() {
			own = append(own, rec)
		}
	}
	return own
}

// recipient reads the public key that --to names.
func (c *keysExportCommand) recipient(a *app) (*keyring.Record, error) {
	b, err := a.readInput(c.To, maxKeyFile)
	if err != nil {
		return nil, err
	}
	key, info, err := parseKey(b)
	if err != nil {
		return nil, &failure{exitFailed, "cannot read the recipient's key " + c.To, err.Error(), "sealmq keys export NAME --out NAME.pub makes it", err}
	}
	t, alg := keyTypes["recipient"], ""
	if info.Alg != 0 {
		alg = info.Alg.String()
	}
	if t, err = t.with(alg); err != nil {
		return nil, err
	}
	if key.Type() != cose.KeyEC2 {
		return nil, &failure{exitFailed, "cannot seal to " + c.To, "it is not the key of a recipient", "", nil}
	}
	rec := &keyring.Record{
		KID: protecting.PublicKID(key.Thumbprint()), Key: key, Use: t.use, Alg: t.alg, ContentAlg: t.content, State: keyring.StateActive,
		Sender: keyring.SenderRule{Kind: keyring.SenderAnonymous}, Topics: []string{protecting.ExporterTopic},
	}
	return rec, keyFailure(rec.Validate())
}

// writeNew writes a file that does not exist, durably, for the owner alone if it is private.
func writeNew(name string, b []byte, private bool) (err error) {
	mode := os.FileMode(0o644)
	if private {
		mode = 0o600
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // named by the user
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}
