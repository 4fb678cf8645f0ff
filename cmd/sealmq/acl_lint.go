package main

import (
	"fmt"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/config"
)

type aclLintCommand struct {
	File string `arg:"" name:"FILE" help:"Configuration file."`
	JSON bool   `name:"json" help:"One JSON object per line."`
}

// Example is the first line of the command's help.
func (*aclLintCommand) Example() string { return "sealmq acl lint sealmq.yaml" }

// lintFinding is the JSON form of one finding.
type lintFinding struct {
	Schema string `json:"schema"`
	ID     string `json:"id"`
	Rule   string `json:"rule"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Why    string `json:"why"`
	Fix    string `json:"fix"`
}

// Run reads the file as serve would. Rules that can never decide already make the file invalid.
func (c *aclLintCommand) Run(a *app) error {
	cfg, err := config.Load(c.File)
	if err != nil {
		return configError(c.File, err)
	}
	policy, err := cfg.Policy()
	if err != nil {
		return err
	}
	found := acl.Lint(policy.Rules(), cfg.Limits.TopicLevels)
	for _, f := range found {
		r := policy.Rules()[f.Index]
		if c.JSON {
			err := a.printLine(lintFinding{"sealmq.acl-lint/1", f.ID, r.Place.Name, r.Place.File, r.Place.Line, f.Why, f.Fix})
			if err != nil {
				return err
			}
			continue
		}
		writef(a.stdout, "%s\n  %-4s  %s: %s\n  %-4s  %s\n", r.Place, "what", f.ID, f.Why, "fix", f.Fix)
	}
	if len(found) > 0 {
		return &failure{exitFindings, fmt.Sprintf("%d findings in %d rules", len(found), len(policy.Rules())), "", "docs/operate/acl.md explains each", nil}
	}
	if !c.JSON {
		writef(a.stdout, "%d rules, nothing found\n", len(policy.Rules()))
	}
	return nil
}
