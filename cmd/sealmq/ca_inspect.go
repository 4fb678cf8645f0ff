package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/ca"
)

type caInspectCommand struct {
	Target string `arg:"" name:"TARGET" help:"File (certificate, chain, key, revocation list, request), or HOST:PORT."`
	Host   string `placeholder:"NAME" help:"Name that clients use; default the host of HOST:PORT."`
	CA     string `name:"ca" placeholder:"FILE" help:"Trusted authorities; default ca.crt beside a file, else those of the system."`
	CRL    string `name:"crl" placeholder:"FILE" help:"Revocation list; default ca.crl beside ca.crt."`
	Key    string `placeholder:"FILE" help:"Private key of the certificate; default the .key beside it."`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*caInspectCommand) Example() string {
	return "sealmq ca inspect broker.example:8883 --ca pki/ca.crt"
}

// inspectionDocument is the JSON form.
type inspectionDocument struct {
	Schema string `json:"schema"`
	*ca.Report
}

// Run reports; the exit code is that of a wrong TLS identity when there is a problem.
func (c *caInspectCommand) Run(ctx context.Context, a *app) error {
	report, err := c.inspect(ctx)
	if err != nil {
		return c.unreadable(err)
	}
	if c.JSON {
		if err := printJSON(a.stdout, inspectionDocument{"sealmq.certificate/1", report}); err != nil {
			return err
		}
	} else {
		printInspection(a, report)
	}
	n := 0
	for _, f := range report.Findings {
		if f.Problem {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	what := "1 problem"
	if n > 1 {
		what = fmt.Sprintf("%d problems", n)
	}
	return &failure{exitTLSIdentity, c.Target + " has " + what, "", "", nil}
}

func (c *caInspectCommand) inspect(ctx context.Context) (*ca.Report, error) {
	against := ca.Against{Host: c.Host, CA: c.CA, CRL: c.CRL, Key: c.Key, Now: time.Now()}
	_, err := os.Stat(c.Target)
	if _, _, notAddress := net.SplitHostPort(c.Target); err == nil || notAddress != nil {
		return ca.InspectFile(c.Target, against)
	}
	ctx, cancel := context.WithTimeout(ctx, ca.PeerTimeout)
	defer cancel()
	return ca.InspectPeer(ctx, c.Target, against)
}

func (c *caInspectCommand) unreadable(err error) error {
	var peer *ca.PeerError
	var path *fs.PathError
	switch {
	case errors.As(err, &peer):
		return &failure{exitConnect, "cannot inspect " + c.Target, peer.Why, peer.Hint, err}
	case errors.As(err, &path):
		return err
	}
	return &failure{exitFailed, "cannot inspect " + c.Target, err.Error(), "it takes PEM or DER: certificates, private keys, revocation lists and requests", err}
}

func printInspection(a *app, r *ca.Report) {
	if r.TLS != "" {
		writef(a.stdout, "%s speaks %s\n", oneLine(r.Target), r.TLS)
	}
	for i := range r.Items {
		it := &r.Items[i]
		writef(a.stdout, "%s\n", it.Kind)
		for _, line := range [][2]string{
			{"subject", it.Subject},
			{"names", strings.Join(it.Names, ", ")},
			{"issuer", it.Issuer},
			{"purpose", strings.Join(it.Purposes, ", ")},
			{"key", it.Key},
			{"serial", it.Serial},
			{"number", it.Number},
			{"valid", validity(it)},
			{"sha256", it.Fingerprint},
		} {
			if line[1] != "" {
				writef(a.stdout, "  %-8s %s\n", line[0], oneLine(line[1]))
			}
		}
		if it.Kind == "revocation list" {
			writef(a.stdout, "  %-8s %d\n", "revoked", it.Revoked)
		}
	}
	if len(r.Findings) == 0 {
		writef(a.stdout, "nothing is wrong with it\n")
	}
	for _, f := range r.Findings {
		label := "note"
		if f.Problem {
			label = "PROBLEM"
		}
		writef(a.stdout, "%s: %s\n", label, oneLine(f.Text))
		for _, line := range [][2]string{{"expected", f.Expected}, {"found", f.Found}, {"to do", f.Fix}} {
			if line[1] != "" {
				writef(a.stdout, "  %-8s %s\n", line[0], oneLine(line[1]))
			}
		}
	}
}

func validity(it *ca.Item) string {
	if it.From == "" {
		return ""
	}
	return it.From + " to " + it.To + ", " + it.When
}
