package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v4"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/explain"
	"github.com/sealmq/sealmq/internal/node"
)

// maxExpectations bounds a table, in bytes.
const maxExpectations = 1 << 20

type aclTestCommand struct {
	File   string `arg:"" name:"FILE" help:"Table of expectations: a YAML list of {user, client, do, topic, expect: allow or deny}."`
	Config string `placeholder:"FILE" env:"SEALMQ_CONFIG" help:"Configuration file with the rules; without one, what serve uses without one."`
}

// Example is the first line of the command's help.
func (*aclTestCommand) Example() string {
	return "sealmq acl test expectations.yaml --config sealmq.yaml"
}

// expectation is one line of the table. Without user the client is anonymous.
type expectation struct {
	User   string `yaml:"user"`
	Method string `yaml:"method"` // password unless given
	Issuer string `yaml:"issuer"`
	Client string `yaml:"client"`
	Do     string `yaml:"do"`
	Topic  string `yaml:"topic"`
	Expect string `yaml:"expect"`
}

// Run asks every question of the table. Everything that differs is shown with its explanation.
func (c *aclTestCommand) Run(a *app) error {
	plan, err := config.FromFlags(config.Flags{Config: c.Config})
	if err != nil {
		return configError(c.Config, err)
	}
	policy, err := plan.Config.Policy()
	if err != nil {
		return err
	}
	lines, err := readExpectations(c.File)
	if err != nil {
		return err
	}
	wrong := 0
	for i := range lines {
		l := &lines[i]
		v := &l.value
		q, err := node.NewQuestion(control.Question{User: v.User, Method: v.Method, Issuer: v.Issuer, ClientID: v.Client, Do: v.Do, Topic: v.Topic})
		if err == nil && l.value.Expect != "allow" && l.value.Expect != "deny" {
			err = fmt.Errorf("expect is %q, not allow or deny", l.value.Expect)
		}
		if err != nil {
			return &failure{exitUsage, fmt.Sprintf("%s:%d cannot be asked", c.File, l.number), err.Error(), "", err}
		}
		if e := explain.Ask(policy, &q.Query); e.Allowed != (l.value.Expect == "allow") {
			wrong++
			writef(a.stdout, "%s:%d: expected %s\n%s", c.File, l.number, l.value.Expect, e.Text())
		}
	}
	if wrong > 0 {
		return &failure{exitFailed, fmt.Sprintf("%d of %d expectations are not met", wrong, len(lines)), "", "", nil}
	}
	writef(a.stdout, "%d expectations, all met\n", len(lines))
	return nil
}

// expectationLine is an expectation with its place.
type expectationLine struct {
	number int
	value  expectation
}

// readExpectations reads a table; an empty one is an error, because it would always be met.
func readExpectations(file string) ([]expectationLine, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxExpectations+1))
	if err != nil {
		return nil, err
	}
	bad := func(err error) error {
		return &failure{exitUsage, file + " is not a table of expectations", err.Error(), "write each as: - {user: alice, do: publish, topic: a/b, expect: allow}", err}
	}
	if len(data) > maxExpectations {
		return nil, bad(fmt.Errorf("it has more than %d bytes", maxExpectations))
	}
	var nodes []yaml.Node
	if err := yaml.Load(data, &nodes); err != nil {
		return nil, bad(err)
	}
	lines := make([]expectationLine, len(nodes))
	for i := range nodes {
		lines[i].number = nodes[i].Line
	}
	var values []expectation
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&values); err != nil {
		return nil, bad(err)
	}
	if len(values) == 0 || len(values) != len(lines) {
		return nil, bad(fmt.Errorf("it has no expectations"))
	}
	for i := range values {
		lines[i].value = values[i]
	}
	return lines, nil
}
