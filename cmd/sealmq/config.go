package main

import (
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
)

type configCommand struct {
	Check  configCheckCommand  `cmd:"" help:"Report every problem of a configuration file."`
	Show   configShowCommand   `cmd:"" help:"Print the complete configuration in force."`
	Import configImportCommand `cmd:"" help:"Take over a configuration of Mosquitto, line by line, and never wider than it was."`
}

// Example is the first line of the command's help.
func (*configCommand) Example() string { return "sealmq config check sealmq.yaml" }

type configCheckCommand struct {
	File string `arg:"" name:"FILE" help:"Configuration file."`
}

// Example is the first line of the command's help.
func (*configCheckCommand) Example() string { return "sealmq config check sealmq.yaml" }

// Run reads the file as serve would, and starts nothing.
func (c *configCheckCommand) Run(a *app) error {
	cfg, err := config.Load(c.File)
	if err != nil {
		return configError(c.File, err)
	}
	strengths, err := node.CheckPayload(cfg)
	if err != nil {
		return &failure{exitConfig, c.File + " is valid, and its keys are not", err.Error(), "correct the keyring of keys.dir, or the names of keys in protection", err}
	}
	for _, n := range cfg.Notes() {
		a.note(n)
	}
	for i := range strengths {
		a.note("protection: " + strengths[i].String())
	}
	writef(a.stdout, "%s is valid\n", c.File)
	return nil
}

type configShowCommand struct {
	File   string `arg:"" optional:"" name:"FILE" env:"SEALMQ_CONFIG" help:"Configuration file; without one, the one in ./sealmq-data."`
	Origin bool   `help:"Say for each value where it comes from."`
	JSON   bool   `name:"json" help:"Print one JSON object, origins included."`
}

// Example is the first line of the command's help.
func (*configShowCommand) Example() string { return "sealmq config show sealmq.yaml --origin" }

// Run prints the effective configuration.
func (c *configShowCommand) Run(a *app) error {
	plan, err := config.FromFlags(config.Flags{Config: c.File})
	if err != nil {
		return configError(c.File, err)
	}
	if !c.JSON {
		writef(a.stdout, "%s", plan.Config.YAML(c.Origin))
		return nil
	}
	return printJSON(a.stdout, configReport(c.File, plan.Config))
}

// configDocument is the JSON form of config show.
type configDocument struct {
	Schema string        `json:"schema"`
	File   string        `json:"file,omitempty"`
	Values []configValue `json:"values"`
}

type configValue struct {
	Key   string `json:"key"`
	Value string `json:"value"` // as written in a file
	From  string `json:"from"`  // "default", "file" or "flag"
	Place string `json:"place,omitempty"`
}

func configReport(file string, c *config.Config) configDocument {
	doc := configDocument{Schema: "sealmq.config/1", File: file}
	for _, v := range c.Values() {
		out := configValue{Key: v.Key, Value: v.Value, From: "default"}
		switch {
		case v.Origin.Flag != "":
			out.From, out.Place = "flag", v.Origin.Flag
		case v.Origin.File != "":
			out.From, out.Place = "file", v.Origin.String()
		}
		doc.Values = append(doc.Values, out)
	}
	return doc
}
