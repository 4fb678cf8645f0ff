package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/explain"
	"github.com/sealmq/sealmq/internal/identity"
)

type explainCommand struct {
	controlFlags `embed:""`

	ID     string `arg:"" optional:"" name:"ID" help:"Decision of a running broker: the id in its log."`
	Last   bool   `help:"The last refusal of a running broker, of --client if given."`
	User   string `placeholder:"NAME" help:"With --do: name of the client's login; without one the client is anonymous."`
	Method string `placeholder:"METHOD" help:"With --do: how it logged in: password, certificate, psk, jwt and others."`
	Issuer string `placeholder:"TEXT" help:"With --do: who vouches for the name, such as a token's issuer."`
	Client string `placeholder:"ID" help:"Client Identifier."`
	Do     string `placeholder:"ACTION" help:"Dry run on the configuration file: publish, retain, will, subscribe or receive."`
	Topic  string `placeholder:"TOPIC" help:"With --do: topic, or topic filter."`
}

// Example is the first line of the command's help.
func (*explainCommand) Example() string {
	return "sealmq explain --config sealmq.yaml --user alice --do publish --topic plant/1/t"
}

// Run explains one decision. A dry run that denies ends with the exit code of a refused publish or subscribe.
func (c *explainCommand) Run(ctx context.Context, a *app) error {
	live := c.ID != "" || c.Last
	switch {
	case c.ID != "" && (c.Last || c.Client != ""), live && (c.Do != "" || c.Topic != "" || c.User != "" || c.Method != "" || c.Issuer != ""):
		return &failure{exitUsage, "sealmq explain takes an ID, or --last, or a question", "", "sealmq explain --help shows what can be written", nil}
	case live:
		return c.live(ctx, a)
	case c.Do == "" || c.Topic == "":
		return &failure{exitUsage, "sealmq explain needs a decision or a question", "", "give an ID, or --last, or --do and --topic", nil}
	}
	return c.dryRun(a)
}

// explanationLine is the JSON form of an answer.
type explanationLine struct {
	Schema string `json:"schema"`
	explain.Explanation
}

func (c *explainCommand) dryRun(a *app) error {
	q, err := question(c.User, c.Method, c.Issuer, c.Client, c.Do, c.Topic)
	if err != nil {
		return &failure{exitUsage, "the question cannot be asked", err.Error(), "", err}
	}
	plan, err := config.FromFlags(config.Flags{Config: c.Config})
	if err != nil {
		return configError(c.Config, err)
	}
	policy, err := plan.Config.Policy()
	if err != nil {
		return err
	}
	e := explain.Explain(policy, q)
	if e.Allowed && q.Action == identity.Retain { // a retained message is a PUBLISH, too
		also := *q
		also.Action = identity.Publish
		if first := explain.Explain(policy, &also); !first.Allowed {
			e = first
		}
	}
	if c.JSON {
		err = a.printLine(explanationLine{"sealmq.explanation/1", e})
	} else {
		writef(a.stdout, "%s", e.Text())
	}
	if err == nil && !e.Allowed {
		return &failure{exitNotAllowed, "denied", "", "", nil}
	}
	return err
}

// question makes a Query out of words.
func question(user, method, issuer, client, do, topicText string) (*explain.Query, error) {
	q := &explain.Query{Principal: identity.Anonymous, ClientID: client, Topic: topicText}
	switch {
	case user != "":
		q.Principal = identity.Principal{Method: "password", Issuer: issuer, Name: user}
		if method != "" {
			q.Principal.Method = method
		}
	case method != "" || issuer != "":
		return nil, fmt.Errorf("a method or issuer without a user name")
	}
	for a := identity.Publish; a <= identity.Will; a++ {
		if a.String() == do {
			q.Action = a
		}
	}
	if q.Action == 0 {
		return nil, fmt.Errorf("%q is not publish, retain, will, subscribe or receive", do)
	}
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("topic %q: %w", topicText, err)
	}
	return q, nil
}

func (c *explainCommand) live(ctx context.Context, a *app) error {
	var r control.Refusal
	err := c.ask("cannot explain", func(cl *control.Client) (err error) {
		r, err = cl.Refusal(ctx, control.RefusalQuery{ID: c.ID, ClientID: c.Client})
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.printLine(struct {
			Schema string `json:"schema"`
			control.Refusal
		}{"sealmq.refusal/1", r})
	}
	writef(a.stdout, "decision %s  %s", r.ID, r.At.UTC().Format(time.RFC3339))
	if r.Times > 1 {
		writef(a.stdout, ", %d times until %s", r.Times, r.Last.UTC().Format(time.RFC3339))
	}
	if r.Remote != "" {
		writef(a.stdout, ", from %s on %s", cell(r.Remote), cell(r.Listener))
	}
	writef(a.stdout, "\n%s", r.Text)
	return nil
}
