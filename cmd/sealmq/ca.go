package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/ca"
	"github.com/sealmq/sealmq/internal/config"
)

type caCommand struct {
	Init    caInitCommand    `cmd:"" help:"Make an authority in a folder of its own."`
	Issue   caIssueCommand   `cmd:"" help:"Make a certificate and its key for a server, a device or an operator."`
	Renew   caRenewCommand   `cmd:"" help:"Replace a certificate before it expires."`
	Revoke  caRevokeCommand  `cmd:"" help:"Take certificates back: put them on the revocation list."`
	CRL     caListCommand    `cmd:"" name:"crl" help:"Sign the revocation list again, before it is out of date."`
	Inspect caInspectCommand `cmd:"" help:"Say what a file or a server holds, and in words what is wrong with it."`
	Trust   caTrustCommand   `cmd:"" help:"Make this system trust an authority."`
}

// Example is the first line of the command's help.
func (*caCommand) Example() string { return "sealmq ca init" }

// caFolder says where the authority is.
type caFolder struct {
	Dir  string `name:"dir" placeholder:"DIR" env:"SEALMQ_CA_DIR" help:"Folder of the authority; default pki, or the one that serve made in sealmq-data."`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// newCAFolder is where init makes an authority when nothing is said.
const newCAFolder = "pki"

// folder is the one that was named, or the one that is there.
func (f *caFolder) folder() string {
	if f.Dir != "" {
		return f.Dir
	}
	for _, dir := range []string{newCAFolder, config.Folder} {
		if _, err := os.Stat(filepath.Join(dir, ca.CertFile)); err == nil {
			return dir
		}
	}
	return newCAFolder
}

// open opens it.
func (f *caFolder) open() (*ca.Authority, error) {
	dir := f.folder()
	authority, err := ca.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &failure{exitFailed, "there is no authority in " + dir, err.Error(), "sealmq ca init makes one, --dir DIR names another folder", err}
	}
	if err != nil {
		return nil, &failure{exitFailed, "cannot use the authority in " + dir, err.Error(), "", err}
	}
	return authority, nil
}

// caDocument is the JSON form of what a command made.
type caDocument struct {
	Schema string   `json:"schema"`
	Files  []caFile `json:"files"`
	Serial string   `json:"serial,omitempty"`
	Next   []string `json:"next"`
}

// caFile is a file that was written.
type caFile struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// printMade names the files that were written and the next command.
func (a *app) printMade(json bool, doc caDocument) error {
	doc.Schema = "sealmq.ca/1"
	if json {
		return printJSON(a.stdout, doc)
	}
	width := 0
	for _, f := range doc.Files {
		width = max(width, len(f.Path))
	}
	for _, f := range doc.Files {
		writef(a.stdout, "wrote %-*s  %s\n", width, f.Path, f.What)
	}
	for i, n := range doc.Next {
		label := "next: "
		if i > 0 {
			label = "      "
		}
		writef(a.stdout, "%s%s\n", label, n)
	}
	return nil
}

// caError explains why an authority refused.
func caError(what string, err error) error {
	var exists *ca.ExistsError
	if errors.As(err, &exists) {
		return &failure{exitFailed, what, exists.Error(), "give another name or folder, or move the file away", err}
	}
	return &failure{exitFailed, what, err.Error(), "", err}
}

type caInitCommand struct {
	Dir  string   `arg:"" optional:"" name:"DIR" default:"pki" help:"Folder to make it in; default pki."`
	Name string   `placeholder:"TEXT" help:"Name of the authority; default SealMQ CA with a random number."`
	Days int      `placeholder:"N" help:"Lifetime; default 3650."`
	Only []string `name:"only" placeholder:"NAME" help:"Domain (plant.example) or network (10.0.0.0/8) that its certificates may be for, and no others. Can be repeated."`
	JSON bool     `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*caInitCommand) Example() string { return "sealmq ca init pki" }

// Run makes the authority.
func (c *caInitCommand) Run(a *app) error {
	authority, err := ca.Init(c.Dir, ca.Options{Name: c.Name, Days: c.Days, Only: c.Only}, time.Now())
	if err != nil {
		return caError("cannot make an authority in "+c.Dir, err)
	}
	next := "sealmq ca issue localhost --profile server --san 127.0.0.1"
	if c.Dir != newCAFolder {
		next += " --dir " + shellWord(c.Dir)
	}
	return a.printMade(c.JSON, caDocument{
		Files: []caFile{
			{filepath.Join(c.Dir, ca.CertFile), fmt.Sprintf("the certificate of %q, for everybody; expires in %s", authority.Cert.Subject.CommonName, remaining(authority.Cert.NotAfter))},
			{filepath.Join(c.Dir, ca.KeyFile), "its private key: whoever has it can be anybody"},
			{filepath.Join(c.Dir, ca.ListFile), fmt.Sprintf("the revocation list, good for %d days", ca.DefaultListDays)},
		},
		Next: []string{next},
	})
}

// shellWord quotes a word for a POSIX shell if it needs that.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-./:@%+=,", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// remaining is the time until a moment in words. What was made for nine days just now has nine days left.
func remaining(t time.Time) string { return ca.InWords(time.Until(t).Round(time.Hour)) }
