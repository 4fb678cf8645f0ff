package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// inspectCommand takes an envelope apart.
type inspectCommand struct {
	File       string `arg:"" optional:"" default:"-" name:"FILE" help:"File with the payload; - or nothing reads standard input."`
	Encoding   string `name:"encoding" enum:"auto,hex,base64,raw" default:"auto" help:"Of the input: hex, base64 or raw."`
	Topic      string `name:"topic" placeholder:"TOPIC" help:"Topic that the message came on; with a keyring, it is verified."`
	Retain     bool   `name:"retain" help:"It came as a retained message."`
	Checksum   string `name:"checksum" enum:",prefix,raw" default:"" help:"Form of a checksum."`
	Credential bool   `name:"credential" help:"It is the password of a CONNECT."`

	ClientID string  `name:"client-id" placeholder:"ID" group:"Connection" help:"Client Identifier of the connection that it came on, as a broker knows it."`
	TLS      bool    `name:"tls" group:"Connection" help:"The connection was under TLS."`
	Username *string `name:"username" short:"u" group:"Connection" help:"User name in the CONNECT of a credential."`
	Server   string  `name:"server" placeholder:"TEXT" group:"Connection" help:"Name of the broker that a credential is for; with a keyring, it is verified."`
	Level    string  `name:"protocol-version" short:"V" enum:"5,311,31" default:"5" group:"Connection" help:"Of the CONNECT of a credential: 5, 311 or 31."`

	keyringFlags `embed:""`
	JSON         bool `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*inspectCommand) Example() string { return "sealmq inspect message.bin" }

// inspection is the JSON form.
type inspection struct {
	Schema string `json:"schema"`
	*protecting.Envelope
	Name     string `json:"key_name,omitempty"`
	Verified *bool  `json:"verified,omitempty"`
	Label    string `json:"label,omitempty"`
	Content  string `json:"payload,omitempty"` // hexadecimal; what is readable, or was opened
}

// Run decodes, and verifies if there is a topic and a keyring.
func (c *inspectCommand) Run(a *app) error {
	in, err := a.readInput(c.File, 2*maxPayload)
	if err != nil {
		return err
	}
	b, err := c.decode(in)
	if err != nil {
		return err
	}
	e, err := protecting.Inspect(b)
	if err != nil {
		return &failure{exitFailed, "this is no envelope that sealmq knows", err.Error(), "is it complete, and in the encoding that --encoding says?", err}
	}
	if c.Credential {
		e.AsCredential()
	}
	out := &inspection{Schema: "sealmq.envelope/1", Envelope: e, Content: hex.EncodeToString(e.Content())}
	failed := c.verify(a, out, b)
	if c.JSON {
		if err := printJSON(a.stdout, out); err != nil {
			return err
		}
	} else {
		out.print(a)
	}
	return failed
}

// decode finds the encoding: an envelope itself never reads as hexadecimal or base64 text, because of its first byte.
func (c *inspectCommand) decode(in []byte) ([]byte, error) {
	text := bytes.TrimSpace(in)
	compact := strings.Join(strings.Fields(string(text)), "")
	if c.Encoding == "hex" || c.Encoding == "auto" && utf8.Valid(text) {
		if b, err := hex.DecodeString(compact); err == nil && len(b) > 0 {
			return b, nil
		} else if c.Encoding == "hex" {
			return nil, usageError("cannot read the input", "it is not hexadecimal", "")
		}
	}
	if c.Encoding == "base64" || c.Encoding == "auto" && utf8.Valid(text) {
		compact = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(compact), "=")
		if b, err := base64.RawStdEncoding.DecodeString(compact); err == nil && len(b) > 0 {
			return b, nil
		} else if c.Encoding == "base64" {
			return nil, usageError("cannot read the input", "it is not base64", "")
		}
	}
	return in, nil
}

// verify names the key, and opens the message if it is known where it came from.
func (c *inspectCommand) verify(a *app, out *inspection, b []byte) error {
	var keys *protecting.Keys
	if c.Keyring != "" {
		var err error
		if keys, err = c.open(a); err != nil {
			return err
		}
		out.Name = keyNameOf(keys, out.Envelope)
	}
	if c.Credential {
		return c.verifyCredential(keys, out, b)
	}
	if c.Topic == "" || keys == nil && c.Checksum == "" && out.Matches == nil {
		return nil
	}
	form := checksumForm(c.Checksum)
	if out.Matches != nil {
		form = protect.ChecksumPrefix
	}
	opening, err := protecting.NewOpening(keys, protecting.OpenOptions{Checksum: form, Clock: now, ClientID: c.ClientID, TLS: c.TLS})
	if err != nil {
		return err
	}
	res, err := opening.Open(c.Topic, b, c.Retain)
	ok := err == nil && res.Form != protect.FormPlain
	out.Verified = &ok
	switch {
	case err != nil:
		out.Label = protecting.WhyNot(err)
	default:
		out.Label = opening.Label(&res, b)
		out.Content = hex.EncodeToString(res.Payload)
	}
	if !ok {
		return &failure{exitProtection, "the message does not verify", out.Label, "", err}
	}
	return nil
}

// verifyCredential checks a credential as a broker does, but for what was used before. Of a P1 it shows that there is a
// password, and not which.
func (c *inspectCommand) verifyCredential(keys *protecting.Keys, out *inspection, b []byte) error {
	if keys == nil || c.Server == "" {
		return nil
	}
	marks, err := protect.NewMarks(nil)
	if err != nil {
		return err
	}
	p := &protect.Connect{Level: byte(protocolLevels[c.Level]), ClientID: c.ClientID, Server: c.Server}
	if c.Username != nil {
		p.HasUsername, p.Username = true, *c.Username
	}
	v := protect.Verifier{Keys: keys.Ring(), Marks: marks, Clock: now}
	cred, err := v.Verify(b, p)
	ok := err == nil
	out.Verified = &ok
	if err != nil {
		out.Label = protecting.WhyNot(err)
		return &failure{exitProtection, "the credential does not verify", out.Label, "client id, user name, version and server name must be those that it was made for", err}
	}
	defer cred.Password.Destroy()
	out.Label = "credential of " + protecting.Name(keys.Ring(), cred.Record.KID)
	if cred.Record.Use == keyring.UseP1 {
		out.Label = fmt.Sprintf("password of %d bytes, sealed to %s", cred.Password.Len(), protecting.Name(keys.Ring(), cred.Record.KID))
	}
	return nil
}

// keyNameOf is the name that the keyring has for the key of an envelope.
func keyNameOf(keys *protecting.Keys, e *protecting.Envelope) string {
	kids := []string{e.KID}
	for _, r := range e.Recipients {
		kids = append(kids, r.KID)
	}
	for _, k := range kids {
		kid, err := hex.DecodeString(k)
		if err != nil || len(kid) == 0 {
			continue
		}
		rec := keys.Ring().Lookup(kid)
		if rec == nil {
			rec = keys.Ring().LookupThumbprint(kid)
		}
		if rec != nil {
			return rec.Group
		}
	}
	return ""
}

// print writes the envelope for people.
func (v *inspection) print(a *app) {
	e := v.Envelope
	line := func(name, format string, args ...any) {
		writef(a.stdout, "%-12s %s\n", name, oneLine(fmt.Sprintf(format, args...)))
	}
	text := func(name, s string) {
		if s != "" {
			line(name, "%s", s)
		}
	}
	text("structure", e.Structure)
	text("algorithm", e.Algorithm)
	if e.Mode != "" {
		line("mode", "%s", e.Mode)
	}
	text("kind", e.Kind)
	text("kid", e.KID)
	text("key", v.Name)
	for _, r := range e.Recipients {
		line("recipient", "%s, %s", r.KID, r.Algorithm)
	}
	if e.Nested {
		line("inside", "a signature (COSE_Sign1)")
	}
	text("sender", e.Sender)
	if e.Boot != 0 || e.Sequence != 0 {
		line("sequence", "boot %d, message %d", e.Boot, e.Sequence)
	}
	text("salt", e.Salt)
	text("unordered", e.Unordered)
	if e.Attempt != 0 {
		line("attempt", "%d", e.Attempt)
	}
	text("issued at", e.IssuedAt)
	text("expires", e.Expires)
	text("iv", e.IV)
	line("size", "%d bytes: %d payload or ciphertext, %d envelope", e.Size, e.Payload, e.Overhead)
	text("bound to", e.AAD)
	if e.Matches != nil {
		line("checksum", "%s", map[bool]string{true: "matches (not tamper-proof)", false: "DOES NOT MATCH"}[*e.Matches])
	}
	switch {
	case v.Verified != nil:
		line("verified", "%s", v.Label)
	default:
		line("verified", "nothing: anybody could have made these bytes")
	}
	if e.Readable || v.Verified != nil && *v.Verified {
		if b, err := hex.DecodeString(v.Content); err == nil && utf8.Valid(b) {
			text("payload", string(b))
		} else {
			text("payload", "0x"+v.Content)
		}
	}
}

// protocolLevels are the words of --protocol-version.
var protocolLevels = map[string]mqtt.Version{"5": mqtt.V5, "311": mqtt.V311, "31": mqtt.V31}

// credentialCommand prints the Password of a CONNECT.
type credentialCommand struct {
	Type     string  `name:"type" required:"" enum:"p1,p2,p3" help:"p1: password sealed to the broker's key. p2: shared secret. p3: signature."`
	KeyName  string  `name:"key" required:"" placeholder:"NAME" help:"Key of the credential."`
	ClientID string  `name:"client-id" required:"" placeholder:"ID" help:"Client Identifier that the client will send."`
	Username *string `name:"username" short:"u" help:"User name that the client will send; leave it out if it sends none."`
	Server   string  `name:"server" required:"" placeholder:"TEXT" help:"Name of the broker, as in its configuration."`
	Level    string  `name:"protocol-version" short:"V" enum:"5,311,31" default:"5" help:"5, 311 or 31."`
	Password string  `name:"password-file" placeholder:"FILE" help:"Password for p1, in the first line of a file."`
	Format   string  `name:"format" enum:"hex,base64,raw" default:"hex" help:"hex, base64 or raw."`

	keyringFlags `embed:""`
}

// Example is the first line of the command's help.
func (*credentialCommand) Example() string {
	return "sealmq credential --type p3 --key press-7-login --client-id press-7 --server plant"
}

// Run makes one credential, good for one attempt within two minutes.
func (c *credentialCommand) Run(a *app) error {
	if (c.Type == "p1") != (c.Password != "") {
		return usageError("cannot make a "+c.Type, "p1 seals a password, p2 and p3 have none", "p1: add --password-file FILE")
	}
	keys, err := c.open(a)
	if err != nil {
		return err
	}
	rec, err := keys.Sealing(c.KeyName, credentialUses[c.Type])
	if err != nil {
		return keyFailure(err)
	}
	if rec.Binding {
		return usageError("cannot make this credential apart from its CONNECT", "the key covers the whole packet", "let the client make it: sealmq pub --credential "+c.Type)
	}
	cred := &protecting.Credential{Keys: keys, Record: rec, Server: c.Server, Clock: now}
	if c.Password != "" {
		word, err := readSecretFile(c.Password, a)
		if err != nil {
			return err
		}
		defer clear(word)
		cred.Password = keyring.NewSecret(word)
	}
	p := &protect.Connect{Level: byte(protocolLevels[c.Level]), ClientID: c.ClientID, Server: c.Server}
	if c.Username != nil {
		p.HasUsername, p.Username = true, *c.Username
	}
	b, err := cred.Seal(p)
	if err != nil {
		return keyFailure(err)
	}
	switch c.Format {
	case "raw":
		_, err = a.stdout.Write(b)
		return err
	case "base64":
		writef(a.stdout, "%s\n", base64.StdEncoding.EncodeToString(b))
	default:
		writef(a.stdout, "%x\n", b)
	}
	return nil
}
