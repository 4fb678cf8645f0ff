package main

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/topic"
)

type keysCommand struct {
	New      keysNewCommand      `cmd:"" help:"Make a key, and the keyring if there is none."`
	Derive   keysDeriveCommand   `cmd:"" help:"Derive a message key from a pre-shared key."`
	Ls       keysLsCommand       `cmd:"" help:"List the keys."`
	Show     keysShowCommand     `cmd:"" help:"Show everything about a key but the key."`
	Bind     keysBindCommand     `cmd:"" help:"Change the topics or the client that a key belongs to."`
	Rotate   keysRotateCommand   `cmd:"" help:"Make the next epoch of a key; it opens at once and seals after activate."`
	Activate keysActivateCommand `cmd:"" help:"Let the newest epoch seal; the one before only opens from then on."`
	Revoke   keysRevokeCommand   `cmd:"" help:"Erase a key. What was sealed under it cannot be opened here any more."`
	Verify   keysVerifyCommand   `cmd:"" help:"Check files, permissions, records and keys."`
	Import   keysImportCommand   `cmd:"" help:"Install a key (COSE_Key, JWK, PEM) or a bundle of a trusted exporter."`
	Export   keysExportCommand   `cmd:"" help:"Write a public key, or a bundle sealed to a recipient."`
}

// Example is the first line of the command's help.
func (*keysCommand) Example() string { return "sealmq keys ls" }

// policyFlags are the fields of a record that its holder chooses.
type policyFlags struct {
	Topics      []string `name:"topics" sep:"none" placeholder:"FILTER" group:"Policy" help:"Topic filter on which the key may be used. Can be repeated; default # (all topics)."`
	Sender      string   `name:"sender" placeholder:"RULE" group:"Policy" help:"Where the sender's id stands: wire (8 bytes in each message) or wire:N, fixed:ID or fixed:0xHEX, client-id, redistribution (sealed again by a broker) or anonymous. Default: wire for shared keys, the key's own id for signatures, anonymous for recipients, client-id for credentials."`
	ClientID    string   `name:"client-id" placeholder:"ID" group:"Policy" help:"Client Identifier that the key belongs to."`
	MaxAge      duration `name:"max-age" placeholder:"SECONDS" group:"Policy" help:"Messages older than this are refused."`
	MaxMessages uint64   `name:"max-messages" placeholder:"N" group:"Policy" help:"Messages before the key must be rotated; default what the algorithm allows."`
	Unordered   bool     `name:"allow-unordered" group:"Policy" help:"Accept messages without an order, within 5 minutes or --max-age."`
	Clockless   bool     `name:"allow-clockless" group:"Policy" help:"For senders without clock and counter: mode S with boot 0, or credentials without time."`
	Pairwise    bool     `name:"pairwise" group:"Policy" help:"Exactly one sender and one receiver hold the key, so that it names its source."`
	BrokerHolds bool     `name:"broker-may-hold" group:"Policy" help:"A broker may get the key: then it is not end-to-end."`
	EndToEnd    bool     `name:"end-to-end" group:"Policy" help:"No broker ever holds the key; the default for keys that encrypt."`
	Broker      bool     `name:"signer-is-broker" group:"Policy" help:"The signature key belongs to a broker: it vouches for the senders of what the broker seals again."`
	Binding     bool     `name:"bind-connect" group:"Policy" help:"A credential covers the whole CONNECT."`
}

// apply sets the policy of a new record whose kid, key and use are known.
func (f *policyFlags) apply(rec *keyring.Record) error {
	rec.Topics, rec.ClientID, rec.MaxMessages = f.Topics, f.ClientID, f.MaxMessages
	rec.MaxAge = secondsOf(f.MaxAge)
	rec.Unordered, rec.Clockless, rec.Pairwise, rec.Binding = f.Unordered, f.Clockless, f.Pairwise, f.Binding
	rec.Broker = f.Broker
	credential := rec.Use == keyring.UseP1 || rec.Use == keyring.UseP2 || rec.Use == keyring.UseP3
	if len(f.Topics) == 0 && !credential {
		rec.Topics = []string{"#"}
	}
	for _, t := range f.Topics {
		if _, err := topic.ParseFilter(t); err != nil {
			return usageError("cannot use --topics", err.Error(), "")
		}
	}
	if err := f.sender(rec); err != nil {
		return err
	}
	if f.EndToEnd && f.BrokerHolds {
		return usageError("cannot use --end-to-end with --broker-may-hold", "an end-to-end key is one that no broker holds", "")
	}
	sealing := rec.Use == keyring.UseR || rec.Use == keyring.UseS || rec.Use == keyring.UseEnc
	toBroker := rec.Sender.Kind == keyring.SenderClientID || rec.Sender.Kind == keyring.SenderRedistribution
	rec.E2E = f.EndToEnd || sealing && !f.BrokerHolds && !toBroker
	return keyFailure(rec.Validate())
}

func (f *policyFlags) sender(rec *keyring.Record) error {
	rule := f.Sender
	if rule == "" {
		switch rec.Use {
		case keyring.UseR, keyring.UseS, keyring.UseMAC:
			rule = "wire"
		case keyring.UseEnc:
			rule = "anonymous"
		case keyring.UseP1, keyring.UseP2:
			rule = "client-id"
		default: // the kid of a public key is its thumbprint: nobody else has it
			rec.Sender = keyring.SenderRule{Kind: keyring.SenderFixed, ID: rec.KID}
			return nil
		}
	}
	word, rest, parameter := strings.Cut(rule, ":")
	switch {
	case rule == "wire":
		rec.Sender = keyring.SenderRule{Kind: keyring.SenderWire, Size: protecting.SenderSize}
	case rule == "client-id":
		rec.Sender.Kind = keyring.SenderClientID
	case rule == "redistribution":
		rec.Sender.Kind = keyring.SenderRedistribution
	case rule == "anonymous":
		rec.Sender.Kind = keyring.SenderAnonymous
	case word == "wire" && parameter:
		size, err := strconv.Atoi(rest)
		if err != nil || size < 1 || size > keyring.MaxSenderID {
			return usageError("cannot use --sender "+rule, fmt.Sprintf("a sender id has 1 to %d bytes", keyring.MaxSenderID), "")
		}
		rec.Sender = keyring.SenderRule{Kind: keyring.SenderWire, Size: size}
	case word == "fixed" && rest != "":
		id, err := senderID(rest)
		if err != nil {
			return err
		}
		rec.Sender = keyring.SenderRule{Kind: keyring.SenderFixed, ID: id}
	default:
		return usageError("cannot use --sender "+rule, "there are wire, wire:N, fixed:ID, client-id, redistribution and anonymous", "")
	}
	return nil
}

// senderID reads an id: text as it is, or bytes in hexadecimal after 0x.
func senderID(s string) ([]byte, error) {
	digits, isHex := strings.CutPrefix(s, "0x")
	if !isHex {
		return []byte(s), nil
	}
	id, err := hex.DecodeString(digits)
	if err != nil || len(id) < 1 || len(id) > keyring.MaxSenderID {
		return nil, usageError("cannot use the sender id "+s, fmt.Sprintf("after 0x stand 1 to %d bytes in hexadecimal", keyring.MaxSenderID), "")
	}
	return id, nil
}

// keyType is a use with its algorithms.
type keyType struct {
	use          keyring.Use
	alg, content cose.Algorithm
}

// keyTypes are the words of --type.
var keyTypes = map[string]keyType{
	"encrypt":   {keyring.UseR, cose.AlgA256GCM, 0},
	"encrypt-s": {keyring.UseS, cose.AlgA256GCM, 0},
	"mac":       {keyring.UseMAC, cose.AlgHMAC256, 0},
	"sign":      {keyring.UseSign, cose.AlgEdDSA, 0},
	"exporter":  {keyring.UseSign, cose.AlgEdDSA, 0},
	"recipient": {keyring.UseEnc, cose.AlgECDHESA256KW, cose.AlgA256GCM},
	"p1":        {keyring.UseP1, cose.AlgECDHESA256KW, cose.AlgA256GCM},
	"p2":        {keyring.UseP2, cose.AlgHMAC256, 0},
	"p3":        {keyring.UseP3, cose.AlgEdDSA, 0},
}

// named returns the keys of a name, or says that there are none.
func named(keys *protecting.Keys, name string) ([]*keyring.Record, error) {
	recs := protecting.Named(keys.Ring(), name)
	if len(recs) == 0 {
		return nil, keyFailure(fmt.Errorf("%q: %w", name, protecting.ErrName))
	}
	return recs, nil
}

// openNamed opens the keyring and returns the keys of a name.
func (f *keyringFlags) openNamed(a *app, name string) (*protecting.Keys, []*keyring.Record, error) {
	keys, err := f.open(a)
	if err != nil {
		return nil, nil, err
	}
	recs, err := named(keys, name)
	return keys, recs, err
}

// openOnly opens the keyring and returns the one key of a name in one of the states.
func (f *keyringFlags) openOnly(a *app, name string, states ...keyring.State) (*protecting.Keys, *keyring.Record, error) {
	keys, err := f.open(a)
	if err != nil {
		return nil, nil, err
	}
	rec, err := only(keys, name, states...)
	return keys, rec, err
}

// only returns the one key of a name in one of the states.
func only(keys *protecting.Keys, name string, states ...keyring.State) (*keyring.Record, error) {
	recs, err := named(keys, name)
	if err != nil {
		return nil, err
	}
	var found []*keyring.Record
	for _, rec := range recs {
		for _, s := range states {
			if rec.State == s {
				found = append(found, rec)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, &failure{exitFailed, fmt.Sprintf("%q has no key in the state that this needs", name), "", "sealmq keys show " + name, nil}
	}
	return nil, &failure{exitFailed, fmt.Sprintf("%q has %d such keys", name, len(found)), "", "name one by its kid: sealmq keys show " + name, nil}
}

// keyringArg repeats --keyring in a command to type next.
func keyringArg(keys *protecting.Keys) string {
	path := keys.Path()
	if abs, err := filepath.Abs(path); err == nil && !filepath.IsAbs(path) {
		if rel, err := filepath.Rel(".", abs); err == nil {
			path = rel
		}
	}
	return " --keyring " + path
}
