package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/sealmq/sealmq/internal/audit"
)

type auditVerifyCommand struct {
	auditFlags `embed:""`

	Key  string   `placeholder:"FILE" help:"Public key that must have signed, kept elsewhere. Without one it is FILE.pub, which whoever changed the file may have changed, too."`
	Mark []string `placeholder:"NUMBER:HASH" help:"A checkpoint that was noted elsewhere and must be part of the chain."`
	JSON bool     `name:"json" help:"One JSON object."`
}

// Example is the first line of the command's help.
func (*auditVerifyCommand) Example() string {
	return "sealmq audit verify --data sealmq-data --key audit.pub"
}

// verifyLine is the JSON form of the result.
type verifyLine struct {
	Schema      string `json:"schema"`
	OK          bool   `json:"ok"`
	Files       int    `json:"files,omitempty"`
	First       uint64 `json:"first,omitempty"`
	Last        uint64 `json:"last,omitempty"`
	Checkpoints int    `json:"checkpoints,omitempty"`
	Signed      uint64 `json:"signed,omitempty"`
	Key         string `json:"key,omitempty"`
	Mark        string `json:"mark,omitempty"`
	File        string `json:"file,omitempty"`
	Line        int    `json:"line,omitempty"`
	Seq         uint64 `json:"seq,omitempty"`
	What        string `json:"what,omitempty"`
	Since       uint64 `json:"doubtful_after,omitempty"`
}

// Run checks everything that is there. What is wrong ends with the exit code of findings.
func (c *auditVerifyCommand) Run(a *app) error {
	file, err := c.path()
	if err != nil {
		return err
	}
	keyFile := c.Key
	if keyFile == "" {
		keyFile = audit.KeyFile(file)
	}
	key, err := audit.ReadKey(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return &failure{exitFailed, "cannot verify " + file, "the public key " + keyFile + " is missing", "give it with --key FILE", err}
	}
	if err != nil {
		return err
	}
	var marks []audit.Mark
	for _, text := range c.Mark {
		m, err := audit.ParseMark(text)
		if err != nil {
			return &failure{exitUsage, "cannot use --mark", err.Error(), "the broker's log and sealmq audit verify show marks", err}
		}
		marks = append(marks, m)
	}
	r, err := audit.Verify(file, key, marks...)
	var bad *audit.Bad
	switch {
	case errors.As(err, &bad):
		return c.bad(a, bad)
	case err != nil:
		return err
	}
	mark := fmt.Sprintf("%d:%s", r.Mark.Seq, r.Mark.Hash)
	if c.JSON {
		return a.printLine(verifyLine{
			Schema: "sealmq.audit-verify/1", OK: true, Files: r.Files, First: r.First, Last: r.Last, Checkpoints: r.Checkpoints,
			Signed: r.Signed, Key: r.Key, Mark: mark,
		})
	}
	writef(a.stdout, "in order: entries %d to %d in %d files, %d checkpoints signed by the key %s\n", r.First, r.Last, r.Files, r.Checkpoints, r.Key)
	if r.First > 1 {
		writef(a.stdout, "entries 1 to %d were removed when newer ones needed the room (audit.keep)\n", r.First-1)
	}
	if r.Signed < r.Last {
		writef(a.stdout, "entries %d to %d are chained and not signed yet\n", r.Signed+1, r.Last)
	}
	if r.Torn {
		writef(a.stdout, "the last line is not complete: a broker is writing it, or was stopped while it wrote\n")
	}
	if c.Key == "" {
		writef(a.stdout, "the key was taken from %s: keep a copy elsewhere and give it with --key\n", keyFile)
	}
	writef(a.stdout, "mark %s\n", mark)
	return nil
}

func (c *auditVerifyCommand) bad(a *app, b *audit.Bad) error {
	f := &failure{
		exitFindings, "the audit file is not in order", b.Error(),
		fmt.Sprintf("entries up to %d are vouched for by a signature, what comes after is in doubt", b.Since), b,
	}
	if !c.JSON {
		return f
	}
	return errors.Join(f, a.printLine(verifyLine{
		Schema: "sealmq.audit-verify/1", File: b.File, Line: b.Line, Seq: b.Seq, What: b.What, Since: b.Since,
	}))
}
