package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

type manCommand struct {
	Dir string `arg:"" optional:"" name:"DIR" help:"Folder that gets one page for each command; without it the page of sealmq is printed."`
}

// Example is the first line of the command's help.
func (*manCommand) Example() string { return "sealmq man man1" }

// Run writes the manual pages.
func (c *manCommand) Run(a *app) error {
	root, err := a.modelTree()
	if err != nil {
		return err
	}
	version := readBuild(false).Version
	if c.Dir == "" {
		writef(a.stdout, "%s", manPage(root, root, version))
		return nil
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	count := 0
	root.all(func(m *modelCommand) {
		if err == nil {
			err = os.WriteFile(filepath.Join(c.Dir, m.name("-")+".1"), []byte(manPage(root, m, version)), 0o644)
			count++
		}
	})
	if err != nil {
		return err
	}
	writef(a.stderr, "%d pages in %s; read one with: man -l %s\n", count, c.Dir, filepath.Join(c.Dir, "sealmq.1"))
	return nil
}

// manPage is one page in the language of man(7).
func manPage(root, c *modelCommand, version string) string {
	var b strings.Builder
	title := c.name("-")
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"sealmq %s\" \"SealMQ manual\"\n", roff(strings.ToUpper(title)), roff(version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(title), roff(strings.TrimSuffix(c.help, ".")))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.name(" ")))
	if len(c.children) > 0 {
		b.WriteString(".I COMMAND\n")
	}
	for i := range c.args {
		b.WriteString(roffArg(&c.args[i]) + "\n")
	}
	b.WriteString(".RI [ FLAGS ]\n")
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(c.help))
	if len(c.children) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, child := range c.children {
			fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(child.name("-")), roff(child.help))
		}
	}
	if len(c.args) > 0 {
		b.WriteString(".SH ARGUMENTS\n")
		for i := range c.args {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(c.args[i].name), roff(c.args[i].help))
		}
	}
	b.WriteString(".SH FLAGS\n")
	for i := range c.flags {
		b.WriteString(roffFlag(&c.flags[i]))
	}
	fmt.Fprintf(&b, ".SH EXAMPLE\n.nf\n%s\n.fi\n", roff(c.example))
	b.WriteString(".SH EXIT STATUS\n")
	for _, e := range exits {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", e.code, roff(e.meaning))
	}
	if c != root {
		b.WriteString(".SH SEE ALSO\n.BR sealmq (1)\n")
	}
	return b.String()
}

func roffArg(a *modelArg) string {
	dots := ""
	if a.repeats {
		dots = " ..."
	}
	if a.optional {
		return ".RI [ " + roff(a.name) + dots + " ]"
	}
	return ".I " + roff(a.name+dots)
}

func roffFlag(f *modelFlag) string {
	names := f.names()
	line := ".TP\n.B " + roff(strings.Join(names, ", "))
	if f.value != "" {
		line = ".TP\n.BI " + roff(`"`+strings.Join(names, ", ")+` "`) + " " + roff(f.value)
	}
	text := f.help
	if len(f.words) > 0 {
		text += " One of " + strings.Join(f.words, ", ") + "."
	}
	if f.standard != "" && len(f.words) > 0 {
		text += " Default: " + f.standard + "."
	}
	if f.repeats {
		text += " Can be repeated."
	}
	if len(f.env) > 0 {
		text += " Environment: " + strings.Join(f.env, ", ") + "."
	}
	return line + "\n" + roff(text) + "\n"
}

// roff keeps a text from being read as instructions: backslashes and hyphens are written out, a leading dot or quote
// has no meaning.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ", "…", "...").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		return `\&` + s
	}
	return s
}
