package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// keyringFlags say where the keys are.
type keyringFlags struct {
	Keyring        string `name:"keyring" placeholder:"DIR" env:"SEALMQ_KEYRING" group:"Keyring" help:"Folder of the keys; default sealmq/keyring in the user's configuration folder."`
	PassphraseFile string `name:"passphrase-file" placeholder:"FILE" env:"SEALMQ_PASSPHRASE_FILE" group:"Keyring" help:"File with the keyring's passphrase in its first line."`
	AskPassphrase  bool   `name:"ask-passphrase" group:"Keyring" help:"Ask for the keyring's passphrase on the terminal."`
}

// path is where the keyring is.
func (f *keyringFlags) path() (string, error) {
	if f.Keyring != "" {
		return f.Keyring, nil
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "", usageError("cannot find the keyring", err.Error(), "add --keyring DIR")
	}
	return filepath.Join(base, "sealmq", "keyring"), nil
}

func (f *keyringFlags) passphrase(a *app) (keyring.Secret, error) {
	var b []byte
	var err error
	switch {
	case f.PassphraseFile != "" && f.AskPassphrase:
		return keyring.Secret{}, usageError("cannot use more than one passphrase", "--passphrase-file and --ask-passphrase exclude each other", "")
	case f.PassphraseFile != "":
		b, err = readSecretFile(f.PassphraseFile, a)
	case f.AskPassphrase:
		b, err = askSecret(a, "Passphrase of the keyring: ")
	}
	defer clear(b)
	return keyring.NewSecret(b), err
}

// open opens an existing keyring.
func (f *keyringFlags) open(a *app) (*protecting.Keys, error) {
	path, err := f.path()
	if err != nil {
		return nil, err
	}
	if !protecting.Exists(path) {
		return nil, &failure{exitFailed, "there is no keyring in " + path, "", "make a key: sealmq keys new NAME --type encrypt --topics FILTER --keyring " + path, nil}
	}
	secret, err := f.passphrase(a)
	if err != nil {
		return nil, err
	}
	defer secret.Destroy()
	k, err := protecting.Open(path, secret)
	return k, keyFailure(err)
}

// openOrCreate makes the keyring if there is none, and says so.
func (f *keyringFlags) openOrCreate(a *app, out *keysReport) (*protecting.Keys, error) {
	path, err := f.path()
	if err != nil {
		return nil, err
	}
	if protecting.Exists(path) {
		return f.open(a)
	}
	secret, err := f.passphrase(a)
	if err != nil {
		return nil, err
	}
	defer secret.Destroy()
	if f.AskPassphrase {
		again, err := f.passphrase(a)
		if err != nil {
			return nil, err
		}
		defer again.Destroy()
		if !again.Equal(secret) {
			return nil, &failure{exitFailed, "the passphrases differ", "", "", nil}
		}
	}
	k, err := protecting.Create(path, secret)
	if err == nil {
		out.wrote(filepath.Join(path, "keyring.json"), filepath.Join(path, "sender-id"))
	}
	return k, keyFailure(err)
}

// keyFailure finds the words and the exit code for an error about keys.
func keyFailure(err error) error {
	var known *failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.Is(err, keyring.ErrPassphrase):
		return &failure{exitFailed, "cannot open the keyring", err.Error(), "give the passphrase with --passphrase-file FILE or --ask-passphrase", err}
	case errors.Is(err, keyring.ErrExposed):
		return &failure{exitFailed, "the keyring is not safe", err.Error(), "chmod 700 the folder and 600 the files, and make new keys if others could have read them", err}
	case errors.Is(err, keyring.ErrBundle):
		return &failure{exitProtection, "the bundle is refused, nothing was installed", err.Error(), "sealmq keys ls shows the exporters that this keyring trusts", err}
	case errors.Is(err, keyring.ErrExhausted):
		return &failure{exitProtection, "the key has reached its limit", err.Error(), "sealmq keys rotate NAME", err}
	case errors.Is(err, protecting.ErrName):
		return &failure{exitProtection, "cannot use the key", err.Error(), "sealmq keys ls shows what there is", err}
	case errors.Is(err, protect.ErrSeal), errors.Is(err, protecting.ErrOptions):
		return &failure{exitProtection, "cannot protect the message, nothing was sent", err.Error(), "sealmq keys show NAME says what a key may be used for", err}
	case errors.Is(err, keyring.ErrRecord):
		return &failure{exitUsage, "such a key is not possible", err.Error(), "", err}
	}
	return err
}

// keysReport is what a keys command has done: one JSON object, or lines for people.
type keysReport struct {
	Schema string    `json:"schema"`
	Did    string    `json:"did"`
	DryRun bool      `json:"dry_run,omitempty"`
	Keys   []keyLine `json:"keys,omitempty"`
	Wrote  []string  `json:"wrote,omitempty"`
	Next   []string  `json:"next,omitempty"`
}

func newKeysReport() *keysReport { return &keysReport{Schema: "sealmq.keys/1"} }

func (r *keysReport) wrote(files ...string) { r.Wrote = append(r.Wrote, files...) }

func (r *keysReport) next(command string) { r.Next = append(r.Next, command) }

// print writes the report.
func (r *keysReport) print(a *app, json bool) error {
	if json {
		return printJSON(a.stdout, r)
	}
	did := r.Did
	if r.DryRun {
		did = "would have " + did + " (--dry-run: nothing was changed)"
	}
	writef(a.stdout, "%s\n", oneLine(did))
	for _, k := range r.Keys {
		writef(a.stdout, "  %s\n", oneLine(k.String()))
	}
	for _, f := range r.Wrote {
		writef(a.stdout, "wrote: %s\n", oneLine(f))
	}
	for _, n := range r.Next {
		writef(a.stdout, "next:  %s\n", oneLine(n))
	}
	return nil
}

// keyLine is a key as every keys command shows it: everything but the key.
type keyLine struct {
	Name        string   `json:"name,omitempty"`
	KID         string   `json:"kid"`
	Type        string   `json:"type"`
	State       string   `json:"state"`
	Algorithm   string   `json:"algorithm"`
	Content     string   `json:"content_algorithm,omitempty"`
	Private     bool     `json:"private"` // the secret half is here
	Sender      string   `json:"sender"`
	SenderSize  int      `json:"sender_size,omitempty"` // of wire, in bytes
	SenderID    string   `json:"sender_id,omitempty"`   // hexadecimal
	Topics      []string `json:"topics,omitempty"`
	ClientID    string   `json:"client_id,omitempty"`
	MaxAge      string   `json:"max_age,omitempty"`
	MaxMessages uint64   `json:"max_messages,omitempty"`
	Flags       []string `json:"flags,omitempty"`
	Thumbprint  string   `json:"thumbprint,omitempty"` // public keys only
	Finding     string   `json:"finding,omitempty"`
}

func describeKey(rec *keyring.Record) keyLine {
	l := keyLine{
		Name: rec.Group, KID: hex.EncodeToString(rec.KID), Type: typeOf(rec), State: rec.State.String(), Algorithm: rec.Alg.String(),
		Private: rec.Key != nil && rec.Key.Private(), Sender: rec.Sender.Kind.String(), SenderSize: rec.Sender.Size, SenderID: hex.EncodeToString(rec.Sender.ID),
		Topics: rec.Topics, ClientID: rec.ClientID, MaxMessages: rec.MaxMessages,
	}
	if rec.ContentAlg != 0 {
		l.Content = rec.ContentAlg.String()
	}
	if rec.MaxAge != 0 {
		l.MaxAge = rec.MaxAge.String()
	}
	for _, f := range []struct {
		on   bool
		name string
	}{
		{rec.Unordered, "unordered"},
		{rec.Clockless, "clockless"},
		{rec.E2E, "end-to-end"},
		{rec.Pairwise, "pairwise"},
		{rec.Broker, "broker"},
		{rec.Binding, "binding"},
	} {
		if f.on {
			l.Flags = append(l.Flags, f.name)
		}
	}
	if rec.Key != nil && !rec.Use.Symmetric() { // of a symmetric key it depends on the secret
		tp := rec.Thumbprint()
		l.Thumbprint = hex.EncodeToString(tp[:])
	}
	return l
}

// String is one line of keys ls.
func (l keyLine) String() string {
	var b bytes.Buffer
	half := "public half"
	if l.Private {
		half = "secret"
	}
	if l.State == keyring.StateDestroyed.String() {
		half = "erased"
	}
	writef(&b, "%-16s %-20s %-12s %-12s %-11s", l.Name, l.KID, l.Type, l.State, half)
	for _, t := range l.Topics {
		writef(&b, " %s", t)
	}
	if l.Finding != "" {
		writef(&b, "  %s", l.Finding)
	}
	return string(bytes.TrimRight(b.Bytes(), " "))
}

// typeOf is the word of --type for a record.
func typeOf(rec *keyring.Record) string {
	switch {
	case protecting.IsExporter(rec):
		return "exporter"
	case rec.Use == keyring.UseR:
		return "encrypt"
	case rec.Use == keyring.UseS:
		return "encrypt-s"
	case rec.Use == keyring.UseEnc:
		return "recipient"
	}
	return rec.Use.String()
}

// readInput reads a small file, or standard input for -.
func (a *app) readInput(name string, limit int64) ([]byte, error) {
	in := a.stdin
	if name != "-" && name != "" {
		f, err := os.Open(name) //nolint:gosec // named by the user
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // only read
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &failure{exitFailed, "cannot read " + name, "it is larger than what is expected there", "", nil}
	}
	return b, err
}

// now is the clock of everything that seals and opens.
func now() time.Time { return time.Now() }
