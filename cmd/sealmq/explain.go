package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/explain"
	"github.com/sealmq/sealmq/internal/node"
)

type explainCommand struct {
	controlFlags `embed:""`

	ID       string `arg:"" optional:"" name:"ID" help:"Decision of a running broker: the id in its log."`
	Last     bool   `help:"The last refusal of a running broker, of --client if given."`
	User     string `placeholder:"NAME" help:"With --do: name of the client's login; without one the client is anonymous."`
	Method   string `placeholder:"METHOD" help:"With --do: how it logs in: password, certificate, psk, jwt and others."`
	Issuer   string `placeholder:"TEXT" help:"With --do: who vouches for the name, such as a token's issuer."`
	Client   string `placeholder:"ID" help:"Client Identifier."`
	Do       string `placeholder:"ACTION" help:"Dry run: publish, retain, will, subscribe or receive. By the file of --config, or without one by what a running broker has in force."`
	Topic    string `placeholder:"TOPIC" help:"With --do: topic, or topic filter."`
	Listener string `placeholder:"NAME" help:"With --do: also say whether the client could log in on this listener."`
	From     string `placeholder:"ADDRESS" help:"With --listener: address of the client. Without one it is on another machine, unless the listener is for this machine only."`
}

// Example is the first line of the command's help.
func (*explainCommand) Example() string {
	return "sealmq explain --config sealmq.yaml --user alice --do publish --topic plant/1/t"
}

// Run explains one decision. A dry run that denies ends with the exit code of a refused publish or subscribe, or of a
// refused login.
func (c *explainCommand) Run(ctx context.Context, a *app) error {
	live := c.ID != "" || c.Last
	question := c.Do != "" || c.Topic != "" || c.User != "" || c.Method != "" || c.Issuer != "" || c.Listener != "" || c.From != ""
	switch {
	case c.ID != "" && (c.Last || c.Client != ""), live && question:
		return &failure{exitUsage, "sealmq explain takes an ID, or --last, or a question", "", "sealmq explain --help shows what can be written", nil}
	case live:
		return c.live(ctx, a)
	case c.Do == "" || c.Topic == "":
		return &failure{exitUsage, "sealmq explain needs a decision or a question", "", "give an ID, or --last, or --do and --topic", nil}
	case c.From != "" && c.Listener == "":
		return &failure{exitUsage, "--from is about a login", "", "name the listener with --listener", nil}
	}
	return c.dryRun(ctx, a)
}

// explanationLine is the JSON form of an answer.
type explanationLine struct {
	Schema string `json:"schema"`
	explain.Answer
}

// dryRun asks the file of --config; without one, or with --data, it asks the running broker. When none runs and none was
// named, it asks the configuration that serve would use.
func (c *explainCommand) dryRun(ctx context.Context, a *app) error {
	words := control.Question{
		User: c.User, Method: c.Method, Issuer: c.Issuer, ClientID: c.Client, Do: c.Do, Topic: c.Topic, Listener: c.Listener, From: c.From,
	}
	q, err := node.NewQuestion(words)
	if err != nil {
		return cannotAsk(err)
	}
	var answer explain.Answer
	if c.Config != "" && c.Data == "" {
		answer, err = c.byFile(q)
	} else {
		err = c.ask("cannot explain", func(cl *control.Client) (err error) {
			answer, err = cl.Ask(ctx, words)
			return err
		})
		var stopped *failure
		if errors.As(err, &stopped) && stopped.code == exitConnect && c.Data == "" {
			writef(a.stderr, "no broker runs here: the answer is that of its configuration\n")
			answer, err = c.byFile(q)
		}
		var refused *control.Error
		if errors.As(err, &refused) && refused.Code == control.Invalid {
			err = cannotAsk(refused)
		}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = a.printLine(explanationLine{"sealmq.explanation/1", answer})
	} else {
		writef(a.stdout, "%s", answer.Text())
	}
	switch {
	case err != nil:
		return err
	case answer.Login != nil && !answer.Login.Allowed:
		return &failure{exitLogin, "login refused", "", "", nil}
	case !answer.Allowed:
		return &failure{exitNotAllowed, "denied", "", "", nil}
	}
	return nil
}

func cannotAsk(err error) error {
	return &failure{exitUsage, "the question cannot be asked", err.Error(), "", err}
}

func (c *explainCommand) byFile(q *node.Question) (explain.Answer, error) {
	plan, err := config.FromFlags(config.Flags{Config: c.Config})
	if err != nil {
		return explain.Answer{}, configError(c.Config, err)
	}
	if q.Listener != "" && !slices.ContainsFunc(plan.Config.Listeners, func(l config.Listener) bool { return l.Name == q.Listener }) {
		return explain.Answer{}, cannotAsk(fmt.Errorf("there is no listener %q in %s", q.Listener, c.Config))
	}
	return node.Ask(plan, q)
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
