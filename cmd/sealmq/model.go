package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// modelCommand is one command as completion and man pages show it, made of the same model as --help.
type modelCommand struct {
	path     []string // behind sealmq; empty for the root
	help     string
	example  string
	children []*modelCommand
	flags    []modelFlag // its own and those of its parents
	args     []modelArg
}

type modelFlag struct {
	long     string // without dashes
	short    rune   // 0 without
	help     string
	value    string   // placeholder; "" for a flag without a value
	words    []string // allowed values
	env      []string
	standard string // default
	repeats  bool
}

type modelArg struct {
	name     string
	help     string
	optional bool
	repeats  bool
}

// modelTree is the whole command line.
func (a *app) modelTree() (*modelCommand, error) {
	k, err := a.parser(new(tree))
	if err != nil {
		return nil, err
	}
	return modelOf(k.Model.Node, nil, k.Model.Help), nil
}

func modelOf(n *kong.Node, path []string, help string) *modelCommand {
	c := &modelCommand{path: path, help: help, example: exampleOf(n)}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			c.flags = append(c.flags, modelFlagOf(f))
		}
	}
	for _, p := range n.Positional {
		c.args = append(c.args, modelArg{p.Name, p.Help, !p.Required, p.IsCumulative()})
	}
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			c.children = append(c.children, modelOf(child, append(path[:len(path):len(path)], child.Name), child.Help))
		}
	}
	return c
}

func modelFlagOf(f *kong.Flag) modelFlag {
	m := modelFlag{long: f.Name, short: f.Short, help: f.Help, env: f.Envs, repeats: f.IsCumulative()}
	if !f.IsBool() && !f.IsCounter() {
		m.value = f.PlaceHolder
		if m.value == "" {
			m.value = strings.ToUpper(f.Name)
		}
		m.standard = f.Default
	}
	if f.Enum != "" {
		for _, w := range strings.Split(f.Enum, ",") {
			if w = strings.TrimSpace(w); w != "" {
				m.words = append(m.words, w)
			}
		}
	}
	return m
}

// all calls f with the command and everything below it.
func (c *modelCommand) all(f func(*modelCommand)) {
	f(c)
	for _, child := range c.children {
		child.all(f)
	}
}

// name is the full name with sep between its words.
func (c *modelCommand) name(sep string) string {
	return strings.Join(append([]string{"sealmq"}, c.path...), sep)
}

// names are the spellings of the flag on the command line.
func (f *modelFlag) names() []string {
	if f.short != 0 {
		return []string{"-" + string(f.short), "--" + f.long}
	}
	return []string{"--" + f.long}
}

// takesPath reports whether the value is a file or a folder.
func (f *modelFlag) takesPath() bool {
	return strings.Contains(f.value, "FILE") || strings.Contains(f.value, "DIR") || strings.Contains(f.value, "PATH")
}

// takesPath reports whether the argument is a file or a folder.
func (a *modelArg) takesPath() bool {
	n := strings.ToUpper(a.name)
	return strings.Contains(n, "FILE") || strings.Contains(n, "DIR") || strings.Contains(n, "PATH") || strings.Contains(n, "CONFIG")
}

// paths reports whether an argument of the command is a file or a folder.
func (c *modelCommand) paths() bool {
	for i := range c.args {
		if c.args[i].takesPath() {
			return true
		}
	}
	return false
}
