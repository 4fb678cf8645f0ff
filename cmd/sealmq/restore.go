package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/store"
)

type restoreCommand struct {
	Backup string `arg:"" name:"BACKUP" help:"Folder that backup wrote."`
	Data   string `required:"" placeholder:"DIR" help:"Data folder to make; it must be absent or empty."`
	DryRun bool   `name:"dry-run" help:"Only check backup note and target; rows are not read."`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*restoreCommand) Example() string { return "sealmq restore backup-1 --data sealmq-data" }

// restoreReport is the JSON form.
type restoreReport struct {
	Schema  string    `json:"schema"`
	DryRun  bool      `json:"dry_run"`
	From    string    `json:"from"`
	Data    string    `json:"data"`
	Node    string    `json:"node"`
	Created time.Time `json:"created"`
	Epoch   uint64    `json:"epoch"`
}

// Run makes a data folder out of a backup while no broker runs in it.
func (c *restoreCommand) Run(a *app) error {
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return fmt.Errorf("find the data folder %s: %w", c.Data, err)
	}
	log, _ := a.logger(config.Log{Level: config.LevelWarn, Format: config.FormatAuto})
	r, err := node.Restore(c.Backup, data, log, c.DryRun)
	if err != nil {
		return restoreError(c.Backup, data, err)
	}
	if c.JSON {
		return a.printLine(restoreReport{"sealmq.restored/1", c.DryRun, r.From, r.Data, r.Node, r.Created, r.Epoch})
	}
	verb := "restored"
	if c.DryRun {
		verb = "would restore"
	}
	writef(a.stdout, "%s %s of %s (%s) to %s, epoch %d\n", verb, cell(r.From), cell(r.Node), timeText(&r.Created), oneLine(r.Data), r.Epoch)
	return nil
}

// restoreError says in the form of the command line why nothing was restored.
func restoreError(from, data string, err error) error {
	f := &failure{code: exitFailed, what: "cannot restore " + from + " to " + data, why: err.Error(), err: err}
	var (
		used    *store.InUseError
		full    *node.NotEmptyError
		none    *node.NoBackupError
		corrupt *store.CorruptError
	)
	switch {
	case errors.As(err, &used):
		f.hint = "stop that broker first, or restore into another folder"
		f.why = used.Error()
	case errors.As(err, &full):
		f.hint = "name a new folder, or move the old one away: nothing is overwritten"
	case errors.As(err, &none):
		f.hint = "sealmq backup DIR makes one of a running broker"
	case errors.As(err, &corrupt):
		f.hint = "the backup is damaged: take another one"
	}
	return f
}
