package main

import (
	"encoding/hex"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
)

// keysDeriveCommand makes the message key of a device that holds one pre-shared key and nothing else.
type keysDeriveCommand struct {
	Name string `arg:"" name:"NAME" help:"Name of the new key."`
	From string `name:"from" required:"" placeholder:"NAME" help:"Pre-shared key, of type p2, that it is derived from."`
	KID  string `name:"kid" required:"" placeholder:"HEX" help:"Key id of the new key, the same on both sides: it is part of what is derived."`
	Mode string `name:"mode" enum:"R,S" default:"S" help:"R or S, as in keys new."`
	Alg  string `name:"alg" placeholder:"NAME" help:"A128GCM instead of A256GCM."`

	policyFlags  `embed:""`
	keyringFlags `embed:""`
	JSON         bool `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*keysDeriveCommand) Example() string {
	return "sealmq keys derive uplink --from pump-3 --kid 75706c696e6b0001 --sender client-id"
}

// Run derives L("c2b") of the pre-shared key, so that its one use and the new one have nothing in common.
func (c *keysDeriveCommand) Run(a *app) error {
	if err := checkKeyName(c.Name); err != nil {
		return err
	}
	kid, err := hex.DecodeString(c.KID)
	if err != nil || len(kid) == 0 {
		return usageError("cannot use --kid", "it is not hexadecimal", "")
	}
	kind := "encrypt"
	if c.Mode == "S" {
		kind = "encrypt-s"
	}
	t, err := keyTypes[kind].with(c.Alg)
	if err != nil {
		return err
	}
	keys, err := c.open(a)
	if err != nil {
		return err
	}
	psk, err := keys.Sealing(c.From, keyring.UseP2)
	if err != nil {
		return keyFailure(err)
	}
	if len(protecting.Named(keys.Ring(), c.Name)) > 0 {
		return &failure{exitFailed, "there is a key named " + c.Name, "a name is given once", "choose another one", nil}
	}
	rec, err := c.record(psk, t, kid)
	if err != nil {
		return err
	}
	if err := keys.Add(rec); err != nil {
		return keyFailure(err)
	}
	out := newKeysReport()
	out.Did, out.Keys = "derived "+c.Name+" from "+c.From, []keyLine{describeKey(rec)}
	out.wrote(keys.File(rec))
	for _, n := range nextAfterNew(rec, c.Name) {
		out.next(n + keyringArg(keys))
	}
	return out.print(a, c.JSON)
}

func (c *keysDeriveCommand) record(psk *keyring.Record, t keyType, kid []byte) (*keyring.Record, error) {
	secret, err := keyring.Derive(psk.Key, keyring.LabelC2B, kid, t.alg.KeySize())
	if err != nil {
		return nil, err
	}
	defer secret.Destroy()
	b := secret.Reveal()
	defer clear(b)
	key, err := cose.NewSymmetricKey(b)
	if err != nil {
		return nil, err
	}
	return c.policyFlags.record(c.Name, t, key, kid)
}
