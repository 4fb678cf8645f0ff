package main

import (
	"fmt"
	"path/filepath"

	"github.com/sealmq/sealmq/internal/audit"
	"github.com/sealmq/sealmq/internal/config"
)

type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Check the hash chain and its signatures."`
	Tail   auditTailCommand   `cmd:"" help:"Show the last entries, and new ones as they come."`
	Query  auditQueryCommand  `cmd:"" help:"Find entries."`
}

// Example is the first line of the command's help.
func (*auditCommand) Example() string { return "sealmq audit verify --data sealmq-data" }

// auditFlags say which audit file is meant. It is read as it is: no broker needs to run.
type auditFlags struct {
	File   string `arg:"" optional:"" name:"FILE" help:"Audit file; rotated ones beside it are read, too. Without one it is that of --config or --data."`
	Config string `placeholder:"FILE" env:"SEALMQ_CONFIG" help:"Configuration file of the broker."`
	Data   string `placeholder:"DIR" env:"SEALMQ_DATA" help:"Its data folder."`
}

func (f *auditFlags) path() (string, error) {
	if f.File != "" {
		return filepath.Abs(f.File)
	}
	plan, err := config.FromFlags(config.Flags{Config: f.Config, Data: f.Data})
	if err != nil {
		return "", configError(f.Config, err)
	}
	if !plan.Config.Audit.On() {
		return "", &failure{exitUsage, "there is no audit file", "the configuration writes none", "name one: sealmq audit verify FILE", nil}
	}
	return plan.Config.Audit.File, nil
}

// entryLine is the text of one entry.
func entryLine(e *audit.Entry) string {
	s := fmt.Sprintf("%d %s %s", e.Seq, e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), e.Kind)
	add := func(name, value string) {
		if value != "" {
			s += " " + name + "=" + cell(value)
		}
	}
	add("id", e.ID)
	add("layer", e.Layer)
	add("operation", e.Operation)
	add("by", e.By)
	add("client", e.Client)
	add("user", e.User)
	add("principal", e.Principal)
	add("remote", e.Remote)
	add("listener", e.Listener)
	add("action", e.Action)
	add("topic", e.Topic)
	add("check", e.Check)
	add("rule", e.Rule)
	add("found", e.Found)
	add("why", e.Why)
	if e.Times > 0 {
		add("times", fmt.Sprint(e.Times))
	}
	for _, d := range e.Details {
		add("detail", d)
	}
	add("error", e.Error)
	return s
}
