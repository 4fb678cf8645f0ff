package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/sealmq/sealmq/internal/control"
)

type backupCommand struct {
	controlFlags `embed:""`

	Dir    string `arg:"" name:"DIR" help:"Folder to write; it must not exist yet."`
	DryRun bool   `name:"dry-run" help:"Only check that a backup can begin."`
}

// Example is the first line of the command's help.
func (*backupCommand) Example() string { return "sealmq backup backup-1" }

// backupReport is the JSON form.
type backupReport struct {
	Schema string `json:"schema"`
	DryRun bool   `json:"dry_run"`
	control.Backup
}

// Run has the running broker write a consistent copy of its state.
func (c *backupCommand) Run(ctx context.Context, a *app) error {
	dir, err := filepath.Abs(c.Dir) // the broker's working folder is another one
	if err != nil {
		return fmt.Errorf("find the backup folder %s: %w", c.Dir, err)
	}
	var b control.Backup
	err = c.ask("cannot back up to "+dir, func(cl *control.Client) (err error) {
		b, err = cl.Backup(ctx, dir, c.DryRun)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.printLine(backupReport{"sealmq.backed-up/1", c.DryRun, b})
	}
	verb := "backed up"
	if c.DryRun {
		verb = "would back up"
	}
	writef(a.stdout, "%s to %s, epoch %d\n", verb, oneLine(b.Dir), b.Epoch)
	return nil
}
