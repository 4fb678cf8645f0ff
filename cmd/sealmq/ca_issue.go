package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/ca"
)

type caIssueCommand struct {
	Name     string   `arg:"" name:"NAME" help:"Common name, and name of the files: host of a server, login of a device or operator."`
	Profile  string   `enum:"server,device,operator" default:"device" help:"What it is for: server, device (default) or operator."`
	SAN      []string `name:"san" placeholder:"NAME" help:"Host name, address, URI or mail address in the certificate; a server's has its NAME, too. Can be repeated."`
	Days     int      `placeholder:"N" help:"Lifetime; default 397 for a server, 365 for a device, 90 for an operator."`
	CSR      string   `name:"csr" placeholder:"FILE" help:"Certify the key of this certificate request instead of making one. Its names are not taken."`
	Out      string   `placeholder:"DIR" help:"Folder for the files; default that of the authority."`
	caFolder `embed:""`
}

// Example is the first line of the command's help.
func (*caIssueCommand) Example() string {
	return "sealmq ca issue broker.example --profile server --san broker.example --san 192.0.2.7"
}

// Run makes the certificate.
func (c *caIssueCommand) Run(a *app) error {
	authority, err := c.open()
	if err != nil {
		return err
	}
	made, err := authority.Issue(ca.Request{
		Name: c.Name, Profile: ca.Profile(c.Profile), SANs: c.SAN, Days: c.Days, CSR: c.CSR, Dir: c.Out,
	}, time.Now())
	if err != nil {
		return caError("cannot issue a certificate for "+c.Name, err)
	}
	return a.printMade(c.JSON, issuedDocument(authority, made, c.Profile == string(ca.Server)))
}

// issuedDocument describes a new certificate, and what to do with it.
func issuedDocument(authority *ca.Authority, made *ca.Issued, server bool) caDocument {
	what := "certificate of " + made.Cert.Subject.CommonName
	if names := ca.Names(made.Cert); len(names) > 0 {
		what += " (" + strings.Join(names, ", ") + ")"
	}
	doc := caDocument{Serial: fmt.Sprintf("%x", made.Cert.SerialNumber)}
	doc.Files = []caFile{{made.CertFile, what + ", expires in " + remaining(made.Cert.NotAfter)}}
	key := made.KeyFile
	if key != "" {
		doc.Files = append(doc.Files, caFile{key, "its private key, for its owner only"})
	} else {
		key = "KEY"
	}
	root := filepath.Join(authority.Dir, ca.CertFile)
	if server {
		doc.Next = []string{
			fmt.Sprintf(`put into a listener of sealmq.yaml: tls: {cert: %q, key: %q}`, made.CertFile, key),
			"clients trust it with: --cafile " + shellWord(root),
		}
	} else {
		doc.Next = []string{
			fmt.Sprintf("sealmq pub -h HOST -p 8883 --cafile %s --cert %s --key %s -t test/hello -m hello", shellWord(root), shellWord(made.CertFile), shellWord(key)),
			fmt.Sprintf(`the listener takes it with: client_cert: {ca: %q, crl: %q}`, root, filepath.Join(authority.Dir, ca.ListFile)),
		}
	}
	return doc
}

type caRenewCommand struct {
	Cert     string `arg:"" name:"CERT" help:"File of the certificate; it is replaced."`
	Days     int    `placeholder:"N" help:"Lifetime; default that of the old certificate."`
	NewKey   bool   `name:"new-key" help:"Replace the private key beside it as well."`
	caFolder `embed:""`
}

// Example is the first line of the command's help.
func (*caRenewCommand) Example() string { return "sealmq ca renew pki/broker.example.crt" }

// Run replaces the certificate.
func (c *caRenewCommand) Run(a *app) error {
	authority, err := c.open()
	if err != nil {
		return err
	}
	made, err := authority.Renew(c.Cert, c.Days, c.NewKey, time.Now())
	if err != nil {
		return caError("cannot renew "+c.Cert, err)
	}
	doc := issuedDocument(authority, made, false)
	doc.Next = []string{"a running broker takes the files over by itself; check with: sealmq ca inspect HOST:8883 --ca " + shellWord(filepath.Join(authority.Dir, ca.CertFile))}
	return a.printMade(c.JSON, doc)
}
