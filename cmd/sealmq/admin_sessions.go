package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/sealmq/sealmq/internal/control"
)

type sessionsCommand struct {
	controlFlags `embed:""`

	Prefix string `placeholder:"TEXT" help:"Only Client Identifiers that begin with this."`
	After  string `placeholder:"ID" help:"Begin behind this Client Identifier."`
	Limit  int    `default:"100" placeholder:"N" help:"Sessions to show; 0 shows all."`
}

// Example is the first line of the command's help.
func (*sessionsCommand) Example() string { return "sealmq admin sessions --prefix sensor-" }

// sessionLine is the JSON form of one session.
type sessionLine struct {
	Schema string `json:"schema"`
	control.Session
}

const sessionSchema = "sealmq.session/1"

// Run prints the sessions in the order of their Client Identifiers.
func (c *sessionsCommand) Run(ctx context.Context, a *app) error {
	if c.Limit < 0 {
		return usageError(fmt.Sprint("cannot use --limit ", c.Limit), "it must be 0 or more", "")
	}
	return c.ask("cannot list sessions", func(cl *control.Client) error {
		after := c.After
		for left := c.Limit; ; {
			size := control.MaxPage
			if left > 0 {
				size = min(size, left)
			}
			page, err := cl.Sessions(ctx, control.SessionQuery{Prefix: c.Prefix, After: after, Limit: size})
			if err != nil {
				return err
			}
			if err := c.print(a, page.Sessions, after == c.After); err != nil {
				return err
			}
			after = page.Next
			if left -= len(page.Sessions); after == "" {
				return nil
			}
			if c.Limit > 0 && left <= 0 {
				a.note("there are more sessions: go on with --after " + after + ", or show all with --limit 0")
				return nil
			}
		}
	})
}

func (c *sessionsCommand) print(a *app, list []control.Session, first bool) error {
	if c.JSON {
		for i := range list {
			if err := a.printLine(sessionLine{sessionSchema, list[i]}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if first {
		writef(w, "CLIENT\tPRINCIPAL\tVERSION\tADDRESS\tSUBSCRIPTIONS\tQUEUED\tBYTES\tIN FLIGHT\tENDS\n")
	}
	for i := range list {
		s := &list[i]
		where := "offline"
		if s.Online {
			where = cell(s.Address)
		}
		writef(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%d\t%s\n", cell(s.ClientID), cell(s.Principal), s.Version, where,
			s.Subscriptions, s.QueuedMessages, bytesText(s.QueuedBytes), s.Inflight, endOf(s))
	}
	return w.Flush()
}

// endOf says when a session ends.
func endOf(s *control.Session) string {
	const never = 0xFFFFFFFF
	switch {
	case s.ExpirySeconds == 0:
		return "with connection"
	case s.ExpirySeconds == never:
		return "never"
	case s.Online:
		return fmt.Sprintf("%d s offline", s.ExpirySeconds)
	default:
		return timeText(s.ExpiresAt)
	}
}
