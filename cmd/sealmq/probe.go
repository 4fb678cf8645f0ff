package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/probe"
)

type probeCommand struct {
	Target       string   `arg:"" name:"HOST" help:"HOST, HOST:PORT, or mqtt(s)://HOST[:PORT]. A bare host is looked at on 1883 and 8883."`
	CAFile       string   `name:"cafile" placeholder:"FILE" help:"Authorities to verify the certificate with, instead of those of the system."`
	Username     string   `short:"u" env:"SEALMQ_USERNAME" help:"Log in, to see what this account may. Sent over verified TLS or on loopback only."`
	PasswordFile string   `name:"password-file" placeholder:"FILE" env:"SEALMQ_PASSWORD_FILE" help:"File with the password in its first line; - reads standard input."`
	Timeout      duration `name:"timeout" default:"5" placeholder:"SECONDS" help:"Time for one connection."`
	JSON         bool     `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*probeCommand) Example() string { return "sealmq probe broker.example" }

// probeReport is the JSON form.
type probeReport struct {
	Schema string `json:"schema"`
	*probe.Report
}

// Run looks and prints. Without a broker the exit code is that of a failed connection; with one whose certificate a client
// would refuse, and nothing else, that of a TLS identity.
func (c *probeCommand) Run(ctx context.Context, a *app) error {
	r, err := c.look(ctx, a)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(a.stdout, probeReport{"sealmq.probe/1", r})
	} else {
		for i := range r.Endpoints {
			printEndpoint(a, &r.Endpoints[i])
		}
	}
	if err != nil {
		return err
	}
	return c.verdict(r)
}

func (c *probeCommand) look(ctx context.Context, a *app) (*probe.Report, error) {
	o := probe.Options{Target: c.Target, Username: c.Username, Timeout: time.Duration(c.Timeout)}
	if c.CAFile != "" {
		roots, err := rootsOf(c.CAFile)
		if err != nil {
			return nil, err
		}
		o.Roots = roots
	}
	if c.PasswordFile != "" {
		password, err := readSecretFile(c.PasswordFile, a)
		if err != nil {
			return nil, err
		}
		defer clear(password)
		o.Password = password
	}
	r, err := probe.Run(ctx, o)
	if errors.Is(err, probe.ErrTarget) {
		return nil, &failure{exitUsage, "cannot probe " + c.Target, probe.ErrTarget.Error(), "such as: sealmq probe broker.example", err}
	}
	return r, err
}

// rootsOf reads the authorities of --cafile.
func rootsOf(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, &failure{exitUsage, "--cafile " + file + " holds no certificate", "", "give a PEM file", nil}
	}
	return roots, nil
}

func (c *probeCommand) verdict(r *probe.Report) error {
	reached, distrusted := false, ""
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		reached = reached || e.Reachable
		if e.TLS != nil && !e.TLS.Certificate.Verified {
			distrusted = e.TLS.Certificate.Problem
		}
	}
	switch {
	case !reached:
		return &failure{exitConnect, "no broker answers at " + c.Target, "", "check the name and the port; sealmq probe HOST:PORT looks at one port", nil}
	case distrusted != "":
		return &failure{exitTLSIdentity, "a client would refuse the certificate", distrusted, "give your authority with --cafile, or see sealmq ca inspect HOST:PORT", nil}
	}
	return nil
}

func printEndpoint(a *app, e *probe.Endpoint) {
	out := func(name, format string, args ...any) {
		writef(a.stdout, "  %-14s %s\n", name, oneLine(fmt.Sprintf(format, args...)))
	}
	writef(a.stdout, "%s\n", oneLine(e.URL))
	if !e.Reachable {
		out("answer", "none: %s", e.Error)
		return
	}
	if t := e.TLS; t != nil {
		out("TLS", "%s with %s", strings.Join(t.Versions, ", "), t.Cipher)
		c := &t.Certificate
		out("certificate", "of %s, by %s", orDash(c.Subject), orDash(c.Issuer))
		out("", "for %s", orDash(strings.Join(c.Names, ", ")))
		out("", "valid from %s to %s (%s)", c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly), daysLeft(c.NotAfter))
		if c.Verified {
			out("", "a client with these authorities accepts it")
		} else {
			out("", "a client would REFUSE it: %s", c.Problem)
		}
		if t.ClientCertificate {
			out("client cert", "asked for")
		}
	} else {
		out("TLS", "none: whoever is on the way reads everything")
	}
	for _, v := range e.Versions {
		out("MQTT "+v.Name, "%s", v.Answer)
	}
	switch {
	case e.Anonymous:
		out("login", "NOT NEEDED: anyone is let in")
	case e.AsksLogin:
		out("login", "needed")
	}
	if e.LoginClear {
		out("", "the given login was not sent: the connection is not encrypted, or its certificate not trusted")
	}
	printAllowed(a, e, out)
}

// printAllowed says what was possible once inside.
func printAllowed(_ *app, e *probe.Endpoint, out func(string, string, ...any)) {
	who := "anyone"
	if e.LoggedIn {
		who = "this account"
	}
	for _, g := range e.Granted {
		out("subscribe", "%s to %s: %s", who, g.Filter, g.Answer)
	}
	l := e.Limits
	if l == nil {
		return
	}
	size := "none told"
	if l.MaximumPacketSize > 0 {
		size = bytesText(l.MaximumPacketSize)
	}
	out("limits", "packet %s, %d messages in flight, %d topic aliases, QoS up to %d", size, l.ReceiveMaximum, l.TopicAliasMaximum, l.MaximumQoS)
	var lacks []string
	for name, has := range map[string]bool{"retained messages": l.Retain, "wildcard subscriptions": l.Wildcards, "shared subscriptions": l.Shared, "subscription identifiers": l.SubscriptionIDs} {
		if !has {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) == 0 {
		out("features", "retained messages, wildcards, shared subscriptions, subscription identifiers")
		return
	}
	slices.Sort(lacks)
	out("features", "without %s", strings.Join(lacks, ", "))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// daysLeft is the time until then in words.
func daysLeft(end time.Time) string {
	left := time.Until(end)
	if left < 0 {
		return fmt.Sprintf("expired %d days ago", int(-left.Hours()/24))
	}
	return fmt.Sprintf("%d days left", int(left.Hours()/24))
}
