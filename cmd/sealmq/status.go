package main

import (
	"context"
	"time"

	"github.com/sealmq/sealmq/internal/control"
)

type statusCommand struct {
	controlFlags `embed:""`

	Check bool `help:"Print one line; the exit code is 0 when the broker is ready, 1 when it is not, 3 when none runs."`
}

// Example is the first line of the command's help.
func (*statusCommand) Example() string { return "sealmq status --check" }

// statusReport is the JSON form.
type statusReport struct {
	Schema string `json:"schema"`
	control.Status
}

// Run asks the running broker how it is.
func (c *statusCommand) Run(ctx context.Context, a *app) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var s control.Status
	err := c.ask("cannot ask for the status", func(cl *control.Client) (err error) {
		s, err = cl.Status(ctx)
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case c.JSON:
		err = a.printLine(statusReport{"sealmq.status/1", s})
	case c.Check && s.Ready:
		writef(a.stdout, "ready\n")
	case !c.Check:
		printStatus(a, &s)
	}
	if err == nil && c.Check && !s.Ready {
		return &failure{exitFailed, "the broker is not ready", s.Reason, "", nil}
	}
	return err
}

// statusTimeout is the longest a healthy broker takes to answer, by far.
const statusTimeout = 10 * time.Second

func printStatus(a *app, s *control.Status) {
	ready := "ready"
	if !s.Ready {
		ready = "NOT READY: " + oneLine(s.Reason)
	}
	writef(a.stdout, "%s: %s\n", s.Name, ready)
	writef(a.stdout, "process        %d, sealmq %s, since %s\n", s.PID, s.Version, timeText(&s.Started))
	for _, l := range s.Listeners {
		writef(a.stdout, "listener       %s on %s\n", l.Name, l.Address)
	}
	writef(a.stdout, "storage        %s\n", s.Storage)
	writef(a.stdout, "connections    %d\n", s.Connections)
	writef(a.stdout, "sessions       %d with %d subscriptions, %s queued\n", s.Sessions, s.Subscriptions, bytesText(s.QueuedBytes))
	writef(a.stdout, "retained       %d messages, %s\n", s.Retained, bytesText(s.RetainedBytes))
	writef(a.stdout, "messages       %d received, %d sent, %d dropped\n", s.Received, s.Sent, s.Dropped)
	writef(a.stdout, "refused        %d logins, %d actions, %d times a queue was full\n", s.LoginsRefused, s.Denied, s.QueueFull)
}
