package main

import (
	"context"

	"github.com/sealmq/sealmq/internal/control"
)

type kickCommand struct {
	controlFlags `embed:""`

	Client string `arg:"" name:"CLIENT" help:"Client Identifier."`
	DryRun bool   `name:"dry-run" help:"Only say what would happen."`
}

// Example is the first line of the command's help.
func (*kickCommand) Example() string { return "sealmq admin kick sensor-7" }

// sessionChange is the JSON form of what was done to a session.
type sessionChange struct {
	Schema  string          `json:"schema"`
	DryRun  bool            `json:"dry_run"`
	Session control.Session `json:"session"` // as it was before
}

// Run disconnects the client with Administrative action (0x98).
func (c *kickCommand) Run(ctx context.Context, a *app) error {
	var was control.Session
	err := c.ask("cannot kick "+c.Client, func(cl *control.Client) (err error) {
		was, err = cl.Kick(ctx, c.Client, c.DryRun)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.printLine(sessionChange{"sealmq.kicked/1", c.DryRun, was})
	}
	verb := "disconnected"
	if c.DryRun {
		verb = "would disconnect"
	}
	writef(a.stdout, "%s %s at %s\n", verb, cell(was.ClientID), cell(was.Address))
	return nil
}
