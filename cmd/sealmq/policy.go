package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/payload"
	"github.com/sealmq/sealmq/topic"
)

type policyCommand struct {
	Show     policyShowCommand     `cmd:"" help:"Say what a topic can count on: confidentiality, integrity, availability."`
	Test     policyTestCommand     `cmd:"" help:"Compare the payload rules of a configuration with a table of expectations."`
	Coverage policyCoverageCommand `cmd:"" help:"Say how many publishers comply, who does not, and what enforcing would refuse now."`
}

// Example is the first line of the command's help.
func (*policyCommand) Example() string {
	return "sealmq policy show plant/7/cmd/start --config sealmq.yaml"
}

type policyShowCommand struct {
	Topic  string `arg:"" name:"TOPIC" help:"Topic Name."`
	Config string `placeholder:"FILE" env:"SEALMQ_CONFIG" help:"Configuration file with the rules."`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*policyShowCommand) Example() string {
	return "sealmq policy show plant/7/cmd/start --config sealmq.yaml"
}

// Run prints a line each.
func (c *policyShowCommand) Run(a *app) error {
	if _, err := topic.ParseName(c.Topic); err != nil {
		return usageError("cannot show "+c.Topic, err.Error(), "name a topic, without wildcards")
	}
	plan, err := config.FromFlags(config.Flags{Config: c.Config})
	if err != nil {
		return configError(c.Config, err)
	}
	p := payload.Show(plan.Config.PayloadSettings(), plan.Config.ACL.Groups, c.Topic)
	if c.JSON {
		return printJSON(a.stdout, struct {
			Schema string `json:"schema"`
			payload.Posture
		}{"sealmq.policy-show/1", p})
	}
	writef(a.stdout, "topic            %s\nconfidentiality  %s\nintegrity        %s\navailability     %s\n", p.Topic, p.Confidentiality, p.Integrity, p.Availability)
	for _, r := range p.Rules {
		writef(a.stdout, "rule             %s\n", r)
	}
	return nil
}

type policyTestCommand struct {
	File   string `arg:"" name:"FILE" help:"Table of expectations: lines of topic, form and expected (accept, refuse, warn or observe)."`
	Config string `placeholder:"FILE" env:"SEALMQ_CONFIG" help:"Configuration file with the rules."`
}

// Example is the first line of the command's help.
func (*policyTestCommand) Example() string {
	return "sealmq policy test expectations.txt --config sealmq.yaml"
}

// policyLine is one expectation with its place.
type policyLine struct {
	number              int
	topic, form, expect string
}

// Run tries every line. What differs is shown with the reason.
func (c *policyTestCommand) Run(a *app) error {
	plan, err := config.FromFlags(config.Flags{Config: c.Config})
	if err != nil {
		return configError(c.Config, err)
	}
	lines, err := readPolicyLines(c.File)
	if err != nil {
		return err
	}
	settings, wrong := plan.Config.PayloadSettings(), 0
	for _, l := range lines {
		fate, why, err := payload.Try(settings, l.topic, l.form)
		if err != nil {
			return err // readPolicyLines has checked the form
		}
		if fate != l.expect {
			wrong++
			writef(a.stdout, "%s:%d: %s on %s: expected %s, got %s: %s\n", c.File, l.number, l.form, l.topic, l.expect, fate, why)
		}
	}
	if wrong > 0 {
		return &failure{exitFailed, fmt.Sprintf("%d of %d expectations are not met", wrong, len(lines)), "", "sealmq policy show TOPIC names the rules", nil}
	}
	writef(a.stdout, "%d expectations, all met\n", len(lines))
	return nil
}

// policyForms are the words for the form of a message.
func policyForms() []string {
	out := make([]string, len(payload.TestForms))
	for i := range payload.TestForms {
		out[i] = payload.TestForms[i].Word
	}
	return out
}

// readPolicyLines reads a table. An empty one is an error, because it would always be met.
func readPolicyLines(file string) ([]policyLine, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	bad := func(number int, why string) error {
		return &failure{
			exitUsage, fmt.Sprintf("%s:%d is not an expectation", file, number), why,
			"write each as: TOPIC FORM EXPECTED, such as: plant/7/cmd sign+encrypt accept", nil,
		}
	}
	var lines []policyLine
	in := bufio.NewScanner(io.LimitReader(f, maxExpectations))
	in.Buffer(nil, 1<<17)
	for number := 1; in.Scan(); number++ {
		text := strings.TrimSpace(in.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		words := strings.Fields(text)
		if len(words) < 3 {
			return nil, bad(number, "it has fewer than three words")
		}
		l := policyLine{number: number, topic: strings.Join(words[:len(words)-2], " "), form: words[len(words)-2], expect: words[len(words)-1]}
		if _, err := topic.ParseName(l.topic); err != nil {
			return nil, bad(number, fmt.Sprintf("%q is not a topic: %v", l.topic, err))
		}
		if !slices.Contains(policyForms(), l.form) {
			return nil, bad(number, fmt.Sprintf("the form %q is none of %s", l.form, strings.Join(policyForms(), ", ")))
		}
		if !slices.Contains(payload.Fates, l.expect) {
			return nil, bad(number, fmt.Sprintf("expected is %q and none of %s", l.expect, strings.Join(payload.Fates, ", ")))
		}
		lines = append(lines, l)
	}
	if err := in.Err(); err != nil {
		return nil, bad(len(lines)+1, err.Error())
	}
	if len(lines) == 0 {
		return nil, bad(1, "the table is empty")
	}
	return lines, nil
}

type policyCoverageCommand struct {
	controlFlags `embed:""`
	All          bool `help:"Show complying publishers, too."`
	FailOn       bool `name:"fail-on-gaps" help:"Exit with 20 when enforcing all rules would refuse somebody now."`
}

// Example is the first line of the command's help.
func (*policyCoverageCommand) Example() string { return "sealmq policy coverage --config sealmq.yaml" }

// errGaps is the exit status 20: somebody would be refused.
var errGaps = errors.New("publishers would be refused")

// Run asks the running broker.
func (c *policyCoverageCommand) Run(ctx context.Context, a *app) error {
	gaps := 0
	err := c.ask("cannot tell who complies", func(ctl *control.Client) error {
		r, err := ctl.Coverage(ctx)
		if err != nil {
			return err
		}
		for i := range r.Rules {
			rule := &r.Rules[i]
			failing := len(rule.Publishers) - rule.Complying()
			gaps += failing
			if c.JSON {
				if !c.All {
					rule.Publishers = rule.Publishers[:failing]
				}
				if err := a.printLine(struct {
					Schema    string `json:"schema"`
					Complying int    `json:"complying"`
					Failing   int    `json:"failing"`
					*payload.RuleCoverage
				}{"sealmq.policy-coverage/1", rule.Complying(), failing, rule}); err != nil {
					return err
				}
				continue
			}
			c.print(a, rule, failing)
		}
		if len(r.Rules) == 0 && !c.JSON {
			writef(a.stdout, "there are no payload rules\n")
		}
		return nil
	})
	if err == nil && gaps > 0 && c.FailOn {
		return &failure{exitFindings, fmt.Sprintf("%d publishers would be refused", gaps), "", "", errGaps}
	}
	return err
}

// print shows one rule.
func (c *policyCoverageCommand) print(a *app, r *payload.RuleCoverage, failing int) {
	writef(a.stdout, "%s  requires %s, %s", cell(r.Topic), r.Demand, r.Mode)
	if r.Rule != "" {
		writef(a.stdout, "  (%s)", cell(r.Rule))
	}
	writef(a.stdout, "\n  %d of %d publishers comply; %d messages passed, %d did not\n", r.Complying(), len(r.Publishers), r.Passed, r.Failed)
	if len(r.Reasons) > 0 {
		var reasons []string
		for name, n := range r.Reasons {
			reasons = append(reasons, fmt.Sprintf("%s %d", name, n))
		}
		sort.Strings(reasons)
		writef(a.stdout, "  reasons: %s\n", strings.Join(reasons, ", "))
	}
	verb := "enforcing would refuse now"
	if r.Mode == payload.Enforce.String() {
		verb = "refused"
	}
	for i := range r.Publishers {
		p := &r.Publishers[i]
		switch {
		case !p.Complies():
			writef(a.stdout, "  %s: %s, %s on %s, last seen %s\n", verb, cell(p.Client), p.Reason, cell(p.Topic), timeText(&p.LastSeen))
		case c.All:
			writef(a.stdout, "  complies: %s, last seen %s\n", cell(p.Client), timeText(&p.LastSeen))
		}
	}
	if r.Uncounted > 0 {
		writef(a.stdout, "  %d messages of further publishers are not counted by name\n", r.Uncounted)
	}
}
