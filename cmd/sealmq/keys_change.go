package main

import (
	"fmt"

	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/topic"
)

// changeFlags are what the commands that change a key share.
type changeFlags struct {
	Name   string `arg:"" name:"NAME" help:"Name or kid of the key."`
	DryRun bool   `name:"dry-run" help:"Say what would be done, and change nothing."`

	keyringFlags `embed:""`
	JSON         bool `name:"json" help:"Print one JSON object."`
}

// keysBindCommand changes what a key may be used for.
type keysBindCommand struct {
	changeFlags `embed:""`
	Topics      []string `name:"topics" sep:"none" placeholder:"FILTER" help:"Topic filters in place of the present ones. Can be repeated."`
	For         *string  `name:"for" placeholder:"ID" help:"Client Identifier that the key belongs to; empty for none."`
}

// Example is the first line of the command's help.
func (*keysBindCommand) Example() string { return "sealmq keys bind press-7 --topics plant/7/#" }

// Run changes all epochs of the key that are alive.
func (c *keysBindCommand) Run(a *app) error {
	if len(c.Topics) == 0 && c.For == nil {
		return usageError("nothing to bind to", "", "add --topics FILTER or --for CLIENT-ID")
	}
	for _, t := range c.Topics {
		if _, err := topic.ParseFilter(t); err != nil {
			return usageError("cannot use --topics", err.Error(), "")
		}
	}
	keys, recs, err := c.openNamed(a, c.Name)
	if err != nil {
		return err
	}
	out := newKeysReport()
	out.Did, out.DryRun = "bound "+c.Name, c.DryRun
	for _, rec := range recs {
		if rec.State == keyring.StateDestroyed {
			continue
		}
		if !c.DryRun {
			if err := keys.Bind(rec.KID, c.Topics, c.For); err != nil {
				return keyFailure(err)
			}
			out.wrote(keys.File(rec))
		}
		out.Keys = append(out.Keys, describeKey(keys.Ring().Lookup(rec.KID)))
	}
	out.next("sealmq keys show " + c.Name + keyringArg(keys))
	return out.print(a, c.JSON)
}

// keysRotateCommand makes the next epoch.
type keysRotateCommand struct {
	changeFlags `embed:""`
}

// Example is the first line of the command's help.
func (*keysRotateCommand) Example() string { return "sealmq keys rotate plant" }

// Run makes a key of fresh material beside the old one.
func (c *keysRotateCommand) Run(a *app) error {
	keys, old, err := c.openOnly(a, c.Name, keyring.StateActive)
	if err != nil {
		return err
	}
	if waiting, err := only(keys, c.Name, keyring.StatePreActive); err == nil {
		return &failure{
			exitFailed, fmt.Sprintf("%s has been rotated: %x waits to be activated", c.Name, waiting.KID), "",
			"sealmq keys activate " + c.Name + keyringArg(keys), nil,
		}
	}
	next, err := old.Successor()
	if err != nil {
		return keyFailure(err)
	}
	if !old.Use.Symmetric() && old.Sender.Kind == keyring.SenderFixed && string(old.Sender.ID) == string(old.KID) {
		next.Sender.ID = next.KID // a signer that is named by its key
	}
	out := newKeysReport()
	out.Did, out.DryRun = "made the next epoch of "+c.Name, c.DryRun
	out.Keys = []keyLine{describeKey(old), describeKey(next)}
	if !c.DryRun {
		if err := keys.Add(next); err != nil {
			return keyFailure(err)
		}
		out.wrote(keys.File(next))
	}
	if next.Use.Symmetric() {
		out.next("sealmq keys export " + c.Name + " --from EXPORTER --to MEMBER.pub --out MEMBER.bundle" + keyringArg(keys))
	} else {
		out.next("sealmq keys export " + c.Name + " --out " + c.Name + ".pub" + keyringArg(keys))
	}
	out.next("sealmq keys activate " + c.Name + keyringArg(keys))
	return out.print(a, c.JSON)
}

// keysActivateCommand lets the next epoch seal.
type keysActivateCommand struct {
	changeFlags `embed:""`
}

// Example is the first line of the command's help.
func (*keysActivateCommand) Example() string { return "sealmq keys activate plant" }

// Run activates the one pre-active epoch of the key.
func (c *keysActivateCommand) Run(a *app) error {
	keys, rec, err := c.openOnly(a, c.Name, keyring.StatePreActive)
	if err != nil {
		return err
	}
	out := newKeysReport()
	out.Did, out.DryRun = fmt.Sprintf("activated %x of %s", rec.KID, c.Name), c.DryRun
	if !c.DryRun {
		before := map[string]keyring.State{}
		for _, r := range keys.Ring().Records() {
			before[string(r.KID)] = r.State
		}
		if err := keys.Activate(rec.KID); err != nil {
			return keyFailure(err)
		}
		for _, r := range keys.Ring().Records() {
			if before[string(r.KID)] != r.State {
				out.Keys = append(out.Keys, describeKey(r))
				out.wrote(keys.File(r))
			}
		}
	}
	out.next("sealmq keys revoke OLD-KID, when nothing sealed under it is needed any more" + keyringArg(keys))
	return out.print(a, c.JSON)
}

// keysRevokeCommand erases keys.
type keysRevokeCommand struct {
	changeFlags `embed:""`
	All         bool `name:"all-epochs" help:"Erase all epochs of the name."`
}

// Example is the first line of the command's help.
func (*keysRevokeCommand) Example() string { return "sealmq keys revoke plant --dry-run" }

// Run erases one epoch, or all.
func (c *keysRevokeCommand) Run(a *app) error {
	keys, recs, err := c.openNamed(a, c.Name)
	if err != nil {
		return err
	}
	live := recs[:0]
	for _, rec := range recs {
		if rec.State != keyring.StateDestroyed {
			live = append(live, rec)
		}
	}
	switch {
	case len(live) == 0:
		return &failure{exitFailed, c.Name + " has been revoked", "", "", nil}
	case len(live) > 1 && !c.All:
		return &failure{
			exitFailed, fmt.Sprintf("%s has %d epochs", c.Name, len(live)), "one is erased at a time",
			"name it by its kid, or add --all-epochs; sealmq keys show " + c.Name, nil,
		}
	}
	out := newKeysReport()
	out.Did, out.DryRun = "erased "+c.Name, c.DryRun
	for _, rec := range live {
		if !c.DryRun {
			if err := keys.Destroy(rec.KID); err != nil {
				return keyFailure(err)
			}
			out.wrote(keys.File(rec))
		}
		out.Keys = append(out.Keys, describeKey(keys.Ring().Lookup(rec.KID)))
	}
	out.next("sealmq keys ls" + keyringArg(keys))
	return out.print(a, c.JSON)
}
