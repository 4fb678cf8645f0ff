package main

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// protectFlags say how messages are sealed before they leave.
type protectFlags struct {
	Protect     string   `name:"protect" enum:"none,checksum,mac,sign,encrypt,sign+encrypt" default:"none" group:"Protection" help:"How the payload is protected: none, checksum, mac, sign, encrypt or sign+encrypt."`
	KeyNames    []string `name:"key-name" sep:"none" placeholder:"NAME" group:"Protection" help:"Key of the level; for sign+encrypt the signature key, and the shared key if there is no --to. Can be repeated. Without --cert, --key means the same."`
	To          []string `name:"to" sep:"none" placeholder:"NAME" group:"Protection" help:"Recipient to encrypt to. Can be repeated."`
	TTL         duration `name:"ttl" placeholder:"SECONDS" group:"Protection" help:"The message is refused after this time."`
	SenderID    string   `name:"sender-id" placeholder:"0xHEX" group:"Protection" help:"Sender id in each message, for keys of --sender wire:N; default that of the keyring."`
	Format      *uint16  `name:"content-format" placeholder:"N" group:"Protection" help:"CoAP Content-Format of the payload, in the protected header."`
	WillProtect string   `name:"will-protect" placeholder:"LEVEL" group:"Protection" help:"How the will is protected; default as --protect."`
	Envelope    bool     `name:"show-envelope" group:"Protection" help:"Print on stderr what leaves, in hexadecimal."`
}

// sealing sets the client's Protector, before anything is connected.
func (f *protectFlags) sealing(a *app, keys *protecting.Keys, cfg *client.Config, form protect.ChecksumForm) (*protecting.Protector, error) {
	p := &protecting.Protector{}
	options := protecting.SealOptions{
		Level: protecting.Level(f.Protect), Keys: f.KeyNames, To: f.To, Checksum: form, ClientID: cfg.ClientID,
		TTL: secondsOf(f.TTL), Clock: now, ContentFormat: f.Format,
	}
	if f.SenderID != "" {
		var err error
		if options.Sender, err = senderID(f.SenderID); err != nil {
			return nil, err
		}
	}
	if options.Level == protecting.LevelNone && (len(f.KeyNames)+len(f.To) > 0 || f.TTL != 0) && f.WillProtect == "" {
		return nil, usageError("cannot use a key without --protect", "the message would leave as it is", "add --protect mac, sign, encrypt or sign+encrypt")
	}
	options.Shared = f.WillProtect != ""
	will := options
	will.Will = true
	if f.WillProtect != "" {
		will.Level = protecting.Level(f.WillProtect)
		if cfg.Will == nil {
			return nil, usageError("cannot use --will-protect", "there is no will", "add --will-topic TOPIC")
		}
	}
	var err error
	if options.Level != protecting.LevelNone {
		if p.Publish, err = protecting.NewSealing(keys, options); err != nil {
			return nil, keyFailure(err)
		}
	}
	if cfg.Will != nil && will.Level != protecting.LevelNone {
		if p.Will, err = protecting.NewSealing(keys, will); err == nil {
			// A will that cannot be sealed is found now, not by the broker's silence later.
			_, err = p.Will.Seal(cfg.Will.Topic, cfg.Will.Payload, true)
		}
		if err != nil {
			return nil, keyFailure(err)
		}
	}
	if f.Envelope {
		p.Sealed = func(kind client.Kind, topic string, envelope []byte) {
			what := "message"
			if kind == client.KindWill {
				what = "will"
			}
			writef(a.stderr, "sealmq: envelope: %s for %s, %d bytes: %s\n", what, oneLine(topic), len(envelope), hex.EncodeToString(envelope))
		}
	}
	return p, nil
}

// checksumForm reads --checksum.
func checksumForm(s string) protect.ChecksumForm {
	switch s {
	case "prefix":
		return protect.ChecksumPrefix
	case "raw":
		return protect.ChecksumRaw
	}
	return protect.ChecksumNone
}

// credentialFlags replace the password by a proof.
type credentialFlags struct {
	Credential    string `name:"credential" placeholder:"FORM" group:"Login" help:"Prove who we are: p1 (password sealed to the broker's key), p2 (shared secret) or p3 (signature)."`
	CredentialKey string `name:"credential-key" placeholder:"NAME" group:"Login" help:"Key of --credential; default the one of its kind in the keyring."`
	ServerName    string `name:"server-name" placeholder:"TEXT" group:"Login" help:"Name of the broker that the proof is for, as in its configuration."`
}

// credentialUses are the uses by the words of --credential.
var credentialUses = map[string]keyring.Use{"p1": keyring.UseP1, "p2": keyring.UseP2, "p3": keyring.UseP3}

// apply puts the credential in the place of the password.
func (f *credentialFlags) apply(keys *protecting.Keys, cfg *client.Config) error {
	if f.Credential == "" {
		if f.CredentialKey != "" || f.ServerName != "" {
			return usageError("cannot use --credential-key or --server-name", "there is no --credential", "add --credential p1, p2 or p3")
		}
		return nil
	}
	use, ok := credentialUses[f.Credential]
	switch {
	case !ok:
		return usageError("cannot use --credential "+f.Credential, "there are p1, p2 and p3", "")
	case f.ServerName == "":
		return usageError("cannot make a credential", "it is made for one broker, by its name", "add --server-name TEXT, as in auth.credential.server of the broker")
	case cfg.Version != mqtt.V5 && cfg.Username == "":
		return usageError("cannot make a credential", "before MQTT 5 a password needs a user name", "add -u NAME")
	case cfg.ClientID == "":
		return usageError("cannot make a credential", "it is bound to the client identifier", "add -i NAME")
	case (use == keyring.UseP1) != (cfg.Password != nil):
		return usageError("cannot use --credential "+f.Credential+" so", "p1 seals a password, p2 and p3 have none", "p1: add --password-file FILE; p2, p3: leave the password out")
	}
	if f.CredentialKey == "" {
		if f.CredentialKey = onlyOf(keys, use); f.CredentialKey == "" {
			return usageError("cannot make a credential", "the keyring does not have exactly one active key of type "+f.Credential, "add --credential-key NAME; sealmq keys ls shows the names")
		}
	}
	rec, err := keys.Sealing(f.CredentialKey, use)
	if err != nil {
		return keyFailure(err)
	}
	c := &protecting.Credential{Keys: keys, Record: rec, Server: f.ServerName, Clock: now}
	if cfg.Password != nil {
		c.Password = keyring.NewSecret(cfg.Password)
		clear(cfg.Password)
		cfg.Password = nil
	}
	cfg.Credential = c
	return nil
}

// onlyOf is the kid of the one key of a use that is active, "" if there is none or another.
func onlyOf(keys *protecting.Keys, use keyring.Use) string {
	found := ""
	for _, rec := range keys.Ring().Records() {
		if rec.Use != use || !rec.Seals() {
			continue
		}
		if found != "" {
			return ""
		}
		found = hex.EncodeToString(rec.KID)
	}
	return found
}

// protectionFailure gives the errors of sealing their words.
func protectionFailure(err error) error {
	switch {
	case errors.Is(err, context.Canceled), err == nil:
		return err
	case errors.Is(err, protect.ErrSeal), errors.Is(err, keyring.ErrExhausted):
		return keyFailure(err)
	}
	return err
}
