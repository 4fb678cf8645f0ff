package main

import (
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/ca"
)

type caTrustCommand struct {
	File    string `arg:"" optional:"" name:"FILE" help:"Certificate of the authority; default ca.crt of --dir."`
	Yes     bool   `help:"Do it. Without this flag, and with --dry-run, it is only said what would be done."`
	DryRun  bool   `name:"dry-run" help:"Say what would be done, and change nothing."`
	Dir     string `name:"dir" placeholder:"DIR" env:"SEALMQ_CA_DIR" help:"Folder of the authority; default pki, or the one that serve made in sealmq-data."`
	Anchors string `hidden:"" default:"/usr/local/share/ca-certificates" help:"Folder of the system's own authorities."`
}

// Example is the first line of the command's help.
func (*caTrustCommand) Example() string { return "sealmq ca trust pki/ca.crt --dry-run" }

// Run says what trusting means, and does it when it is told to.
func (c *caTrustCommand) Run(a *app) error {
	if c.File == "" {
		f := caFolder{Dir: c.Dir}
		c.File = filepath.Join(f.folder(), ca.CertFile)
	}
	t, err := ca.PlanTrust(c.File, c.Anchors, time.Now())
	if errors.Is(err, ca.ErrNoAnchors) {
		return &failure{
			exitFailed, "cannot make this system trust " + c.File, err.Error(),
			"give programs the file itself (--cafile " + c.File + "), or use the system's own way to add an authority", err,
		}
	}
	if err != nil {
		return &failure{exitFailed, "cannot trust " + c.File, err.Error(), "", err}
	}
	writef(a.stdout, "authority  %s\nsha256     %s\n", oneLine(t.Cert.Subject.String()), ca.Fingerprint(t.Cert))
	writef(a.stdout, "meaning    every program on this machine that uses the system's list believes every certificate of this authority\n")
	if t.There {
		writef(a.stdout, "copy       %s is there already\n", t.To)
	} else {
		writef(a.stdout, "copy       %s to %s\n", t.From, t.To)
	}
	writef(a.stdout, "run        %s\n", strings.Join(t.Update, " "))
	writef(a.stdout, "undo       rm %s && update-ca-certificates --fresh\n", t.To)
	if c.DryRun || !c.Yes {
		writef(a.stdout, "nothing was changed; as root: sealmq ca trust %s --yes\n", shellWord(c.File))
		return nil
	}
	output, err := t.Do()
	if err != nil {
		return &failure{exitFailed, "cannot make this system trust " + c.File, err.Error(), "it takes the rights of root, and the package ca-certificates", err}
	}
	writef(a.stderr, "%s", output)
	writef(a.stdout, "done\n")
	return nil
}
