package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/ca"
)

type caRevokeCommand struct {
	What     []string `arg:"" name:"CERT" help:"File of the certificate, or its serial number in hexadecimal."`
	Reason   string   `default:"unspecified" placeholder:"WORD" help:"key-compromise, superseded, cessation-of-operation, privilege-withdrawn, affiliation-changed or unspecified."`
	Days     int      `placeholder:"N" help:"How long the new list is good; default 30."`
	DryRun   bool     `name:"dry-run" help:"Say what would be revoked, and change nothing."`
	caFolder `embed:""`
}

// Example is the first line of the command's help.
func (*caRevokeCommand) Example() string {
	return "sealmq ca revoke pki/pump-7.crt --reason key-compromise"
}

// Run puts the certificates on the list, all of them or none.
func (c *caRevokeCommand) Run(a *app) error {
	reason, ok := ca.Reasons[c.Reason]
	if !ok {
		return usageError("cannot use --reason "+c.Reason, "there are "+strings.Join(slices.Sorted(maps.Keys(ca.Reasons)), ", "), "")
	}
	authority, err := c.open()
	if err != nil {
		return err
	}
	var list []ca.Revocation
	for _, what := range c.What {
		serial, err := authority.Find(what)
		if err != nil {
			return caError("cannot revoke "+what, err)
		}
		list = append(list, ca.Revocation{Serial: serial, Reason: reason})
	}
	if c.DryRun {
		for i, r := range list {
			writef(a.stdout, "would revoke serial %x (%s)\n", r.Serial, oneLine(c.What[i]))
		}
		return nil
	}
	made, added, err := authority.Revoke(list, c.Days, time.Now())
	if err != nil {
		return caError("cannot revoke", err)
	}
	doc := listDocument(made)
	doc.Files[0].What = fmt.Sprintf("%d added, %s", added, doc.Files[0].What)
	doc.Next = append([]string{"a broker that reads this file ends their connections by itself within a second; copy it to those that do not"}, doc.Next...)
	return a.printMade(c.JSON, doc)
}

// listDocument describes a revocation list, and when to come back.
func listDocument(l *ca.List) caDocument {
	return caDocument{
		Files: []caFile{{l.File, fmt.Sprintf("revocation list number %v, certificates on it: %d", l.Number, l.Revoked)}},
		Next: []string{fmt.Sprintf("sealmq ca crl before %s (in %s): a list that is out of date denies everybody",
			l.NextUpdate.UTC().Format(time.RFC3339), remaining(l.NextUpdate))},
	}
}

type caListCommand struct {
	Days     int `placeholder:"N" help:"How long the list is good; default 30."`
	caFolder `embed:""`
}

// Example is the first line of the command's help.
func (*caListCommand) Example() string { return "sealmq ca crl --days 30" }

// Run signs the list again.
func (c *caListCommand) Run(a *app) error {
	authority, err := c.open()
	if err != nil {
		return err
	}
	made, err := authority.Relist(c.Days, time.Now())
	if err != nil {
		return caError("cannot sign the revocation list", err)
	}
	return a.printMade(c.JSON, listDocument(made))
}
