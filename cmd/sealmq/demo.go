package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"github.com/sealmq/sealmq/internal/demo"
	"github.com/sealmq/sealmq/internal/observe"
)

// demoCommand shows what is stopped and what is not.
type demoCommand struct {
	Speed string `enum:"normal,fast" default:"normal" help:"normal pauses, so that a person can follow; fast does not."`
	All   bool   `help:"Try everything: all circumstances of the matrix, TLS, mTLS, PSK, and the logins P1 to P3."`
	JSON  bool   `name:"json" help:"One JSON object instead of text; implies --all."`
	Keep  string `placeholder:"DIR" help:"Leave the set-up in DIR, which must be empty or not there."`
}

// Example is the first line of the command's help.
func (*demoCommand) Example() string { return "sealmq demo" }

// pauseNormal is how long a reading stays before the next line.
const pauseNormal = 4 * time.Second

// Run implements the command. It fails when anything ends otherwise than declared.
func (c *demoCommand) Run(ctx context.Context, a *app) error {
	o := demo.Options{Keep: c.Keep, All: c.All || c.JSON, Fault: plantedFault}
	p := &demo.Printer{Out: a.stdout, Colour: a.paint, Width: 80}
	if c.Speed == "normal" {
		p.Pause = pauseNormal
	}
	if observe.IsTerminal(a.stderr) {
		p.Status = a.stderr
	}
	if f, ok := a.stdout.(*os.File); ok && observe.IsTerminal(a.stdout) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.Width = min(width, 100)
		}
	}
	if !c.JSON {
		o.Watch = p
	}
	r, err := demo.Run(ctx, o)
	switch {
	case errors.Is(err, demo.ErrNotEmpty):
		return &failure{exitUsage, "cannot use --keep " + c.Keep, "the folder is not empty", "name one that is not there", err}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &failure{exitFailed, "the demo did not come to its end", err.Error(), "", err}
	case c.JSON:
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	default:
		p.Finish(r, nextAfterDemo(c.Keep, r))
	}
	if !r.OK {
		what := fmt.Sprintf("%d trials did not end as declared", len(r.Wrong))
		if len(r.Wrong) == 1 {
			what = "one trial did not end as declared"
		}
		return &failure{exitFailed, what, r.Wrong[0], "", nil}
	}
	return nil
}

// plantedFault is a defect that the tests of this package plant. Nothing outside of them sets it.
var plantedFault demo.Fault

// nextAfterDemo are three commands: for a home, for a plant, for an auditor.
func nextAfterDemo(keep string, r *demo.Result) []string {
	if keep == "" {
		return []string{
			"home     sealmq serve --dev",
			"plant    sealmq demo --speed fast --keep plant",
			"auditor  sealmq demo --speed fast --json",
		}
	}
	in := func(elem ...string) string { return shellWord(filepath.Join(append([]string{keep}, elem...)...)) }
	return []string{
		"home     sealmq serve --config " + in("sealmq.yaml"),
		"plant    sealmq pub -h localhost -p " + r.Ports["tls"] + " --cafile " + in("pki", "ca.crt") + " -u maria --password-file " + in("maria.password") +
			" -t plant/press-7/cmd/stop -m now -q 1 --protect sign --key maria --keyring " + in("keys", "maria"),
		"auditor  sealmq explain --config " + in("sealmq.yaml") + " --user press-8 --do publish --topic plant/press-7/temp",
	}
}
