package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
)

// keysNewCommand makes a key.
type keysNewCommand struct {
	Name string `arg:"" name:"NAME" help:"Name of the key: letters, digits, - _ and ."`
	Type string `name:"type" required:"" enum:"encrypt,mac,sign,recipient,exporter,p1,p2,p3" help:"encrypt and mac: a shared key. sign: a signature key. recipient: a key pair that others encrypt to. exporter: signs key bundles. p1, p2, p3: CONNECT credentials."`
	Mode string `name:"mode" enum:"R,S" default:"R" help:"Of encrypt: R, random nonces; S, a key per start of the sender, for more than 2^30 messages."`
	Alg  string `name:"alg" placeholder:"NAME" help:"A128GCM instead of A256GCM, ES256 instead of EdDSA, ECDH-ES+A128KW instead of ECDH-ES+A256KW."`

	policyFlags  `embed:""`
	keyringFlags `embed:""`
	JSON         bool `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*keysNewCommand) Example() string {
	return "sealmq keys new plant --type encrypt --topics plant/#"
}

// keyName is what a name may look like: it stands in commands and in labels.
var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func checkKeyName(name string) error {
	if !keyName.MatchString(name) {
		return usageError(fmt.Sprintf("cannot name a key %q", name), "names have 1 to 64 letters, digits and - _ .", "")
	}
	return nil
}

// Run makes the key and stores it, active.
func (c *keysNewCommand) Run(a *app) error {
	rec, err := c.record()
	if err != nil {
		return err
	}
	out := newKeysReport()
	keys, err := c.openOrCreate(a, out)
	if err != nil {
		return err
	}
	if len(protecting.Named(keys.Ring(), c.Name)) > 0 {
		return &failure{exitFailed, "there is a key named " + c.Name, "a name is given once", "sealmq keys rotate " + c.Name + keyringArg(keys), nil}
	}
	if err := keys.Add(rec); err != nil {
		return keyFailure(err)
	}
	out.Did = "made " + c.Name
	out.Keys = []keyLine{describeKey(rec)}
	out.wrote(keys.File(rec))
	for _, n := range nextAfterNew(rec, c.Name) {
		out.next(n + keyringArg(keys))
	}
	if len(rec.Topics) == 1 && rec.Topics[0] == "#" && len(c.Topics) == 0 {
		out.next("sealmq keys bind " + c.Name + " --topics FILTER" + keyringArg(keys) + ", since it may be used on all topics")
	}
	return out.print(a, c.JSON)
}

// record makes the record with fresh material.
func (c *keysNewCommand) record() (*keyring.Record, error) {
	if err := checkKeyName(c.Name); err != nil {
		return nil, err
	}
	if c.Mode == "S" && c.Type != "encrypt" {
		return nil, usageError("cannot use --mode S", "it is a mode of --type encrypt", "")
	}
	kind := c.Type
	if c.Mode == "S" {
		kind = "encrypt-s"
	}
	t, err := keyTypes[kind].with(c.Alg)
	if err != nil {
		return nil, err
	}
	if c.Type == "exporter" {
		if len(c.Topics) > 0 {
			return nil, usageError("cannot use --topics", "an exporter signs key bundles, no messages", "")
		}
		c.Topics = []string{protecting.ExporterTopic}
	}
	generate := t.alg
	if t.use == keyring.UseP2 {
		generate = cose.AlgA256GCM // 32 random bytes; the MAC key is derived
	}
	key, err := cose.GenerateKey(generate)
	if err != nil {
		return nil, err
	}
	return c.policyFlags.record(c.Name, t, key, nil)
}

// record puts a key under its policy. Without a kid it gets a new one, or the usual one of a public key.
func (f *policyFlags) record(name string, t keyType, key *cose.Key, kid []byte) (*keyring.Record, error) {
	rec := &keyring.Record{KID: kid, Key: key, Use: t.use, Alg: t.alg, ContentAlg: t.content, Group: name, State: keyring.StateActive}
	switch {
	case len(kid) > 0:
	case t.use.Symmetric():
		var err error
		if rec.KID, err = protecting.NewSymmetricKID(); err != nil {
			return nil, err
		}
	default:
		rec.KID = protecting.PublicKID(key.Thumbprint())
	}
	return rec, f.apply(rec)
}

// with replaces the algorithm of a type by another of the same kind.
func (t keyType) with(name string) (keyType, error) {
	if name == "" {
		return t, nil
	}
	alg, err := cose.ParseAlgorithm(name)
	same := err == nil && (alg == t.alg || alg.IsAEAD() && t.alg.IsAEAD() || alg.IsSignature() && t.alg.IsSignature() ||
		alg.IsKeyAgreement() && t.alg.IsKeyAgreement())
	if !same {
		return t, usageError("cannot use --alg "+name, "it does not fit --type", "sealmq keys new --help")
	}
	t.alg = alg
	if alg.IsKeyAgreement() {
		t.content = cose.AlgA256GCM
		if alg == cose.AlgECDHESA128KW {
			t.content = cose.AlgA128GCM
		}
	}
	return t, nil
}

// nextAfterNew are the commands that a person is likely to want next.
func nextAfterNew(rec *keyring.Record, name string) []string {
	where := "a/topic"
	if len(rec.Topics) > 0 {
		where = exampleTopic(rec.Topics[0])
	}
	switch rec.Use {
	case keyring.UseR, keyring.UseS:
		return []string{"sealmq pub -t " + where + " -m hello --protect encrypt --key " + name}
	case keyring.UseMAC:
		return []string{"sealmq pub -t " + where + " -m hello --protect mac --key " + name}
	case keyring.UseSign:
		if protecting.IsExporter(rec) {
			return []string{"sealmq keys export " + name + " --out " + name + ".pub"}
		}
		return []string{"sealmq pub -t " + where + " -m hello --protect sign --key " + name, "sealmq keys export " + name + " --out " + name + ".pub"}
	case keyring.UseEnc:
		return []string{"sealmq keys export " + name + " --out " + name + ".pub"}
	}
	return []string{"sealmq credential --type " + rec.Use.String() + " --key " + name + " --client-id ID --server NAME"}
}

// exampleTopic is a topic that a filter matches.
func exampleTopic(filter string) string {
	return strings.ReplaceAll(strings.ReplaceAll(filter, "#", "x"), "+", "x")
}

// secondsOf rounds a duration up to whole seconds.
func secondsOf(d duration) time.Duration {
	return (time.Duration(d) + time.Second - 1).Truncate(time.Second)
}

// sameKID compares kids.
func sameKID(a, b *keyring.Record) bool { return bytes.Equal(a.KID, b.KID) }
