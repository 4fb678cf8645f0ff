package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/audit"
)

type auditQueryCommand struct {
	auditFlags `embed:""`

	Kind   string `placeholder:"KIND" help:"login, refused, admin, reload, start, stop, checkpoint, suppressed, lost or repaired."`
	ID     string `name:"id" placeholder:"ID" help:"Decision id of a refusal."`
	Layer  string `placeholder:"LAYER" help:"transport, protocol, login, access, payload or limit."`
	Client string `placeholder:"ID" help:"Client Identifier."`
	User   string `placeholder:"NAME" help:"Name that a client claimed or proved."`
	Remote string `placeholder:"ADDRESS" help:"Address of the client, with or without port."`
	Since  string `placeholder:"TIME" help:"From this time on: RFC 3339, or a duration before now such as 2h."`
	Until  string `placeholder:"TIME" help:"Before this time."`
	JSON   bool   `name:"json" help:"The lines as they are in the file."`
}

// Example is the first line of the command's help.
func (*auditQueryCommand) Example() string {
	return "sealmq audit query --data sealmq-data --kind refused --layer login --since 24h"
}

// Run shows the entries that have everything that was asked for.
func (c *auditQueryCommand) Run(a *app) error {
	file, err := c.path()
	if err != nil {
		return err
	}
	since, err := moment(c.Since)
	if err != nil {
		return err
	}
	until, err := moment(c.Until)
	if err != nil {
		return err
	}
	found := 0
	err = audit.Each(file, func(e *audit.Entry, line []byte) bool {
		if !c.matches(e) || e.Time.Before(since) || !until.IsZero() && !e.Time.Before(until) {
			return true
		}
		found++
		if c.JSON {
			writef(a.stdout, "%s\n", line)
		} else {
			writef(a.stdout, "%s\n", entryLine(e))
		}
		return true
	})
	if err == nil && found == 0 {
		return &failure{exitFailed, "no entry has all of that", "", "", nil}
	}
	return err
}

func (c *auditQueryCommand) matches(e *audit.Entry) bool {
	is := func(want, has string) bool { return want == "" || want == has }
	host := e.Remote
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = strings.Trim(host[:i], "[]")
	}
	return is(c.Kind, string(e.Kind)) && is(c.ID, e.ID) && is(c.Layer, e.Layer) && is(c.Client, e.Client) &&
		(is(c.User, e.User) || strings.HasSuffix(e.Principal, strconv.Quote(c.User))) && (is(c.Remote, e.Remote) || is(c.Remote, host))
}

// moment reads a time, or a duration before now; "" is the zero time.
func moment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usageError("cannot use the time "+s, "it is no time of RFC 3339 and no duration", "write 2026-01-31T08:00:00Z, or 2h for two hours ago")
	}
	return t, nil
}
