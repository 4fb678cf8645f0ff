package main

import (
	"context"

	"github.com/sealmq/sealmq/internal/control"
)

type clearCommand struct {
	controlFlags `embed:""`

	Client string `arg:"" name:"CLIENT" help:"Client Identifier."`
	DryRun bool   `name:"dry-run" help:"Only say what would be lost."`
}

// Example is the first line of the command's help.
func (*clearCommand) Example() string { return "sealmq admin clear sensor-7 --dry-run" }

// Run ends the session: subscriptions, queued messages and messages in flight are gone.
func (c *clearCommand) Run(ctx context.Context, a *app) error {
	var was control.Session
	err := c.ask("cannot clear "+c.Client, func(cl *control.Client) (err error) {
		was, err = cl.Clear(ctx, c.Client, c.DryRun)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.printLine(sessionChange{"sealmq.cleared/1", c.DryRun, was})
	}
	verb := "ended"
	if c.DryRun {
		verb = "would end"
	}
	writef(a.stdout, "%s the session of %s: %d subscriptions, %d queued messages (%s), %d in flight\n",
		verb, cell(was.ClientID), was.Subscriptions, was.QueuedMessages, bytesText(was.QueuedBytes), was.Inflight)
	return nil
}
