package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/setup"
)

type initCommand struct {
	Dir            string   `arg:"" optional:"" name:"DIR" default:"sealmq-data" help:"Folder to make; default sealmq-data, where serve looks for it."`
	Profile        string   `enum:"home,plant,strict," default:"" placeholder:"WORD" help:"Who connects: home (passwords, and pre-shared keys for devices), plant (certificates, and pre-shared keys), strict (certificates only)."`
	Host           []string `placeholder:"NAME" help:"Name or address by which clients reach this machine, besides those that it knows. Can be repeated."`
	User           string   `placeholder:"NAME" help:"Name of the first user; default admin."`
	NonInteractive bool     `name:"non-interactive" help:"Ask nothing: what is not given has its default."`
}

// Example is the first line of the command's help.
func (*initCommand) Example() string {
	return "sealmq init --profile home --host broker.lan --non-interactive"
}

// Run asks for what was not given, and makes the folder.
func (c *initCommand) Run(ctx context.Context, a *app) error {
	if setup.Exists(c.Dir) {
		return &failure{exitFailed, "cannot make " + c.Dir, "it has a " + config.FolderFile + " already, and nothing is overwritten", "give another folder, or start it: " + serveWith(c.Dir), nil}
	}
	if !c.NonInteractive {
		if err := c.ask(a); err != nil {
			return err
		}
	}
	o := setup.Options{Dir: c.Dir, Profile: setup.Profile(c.Profile), Hosts: c.Host, User: c.User, Now: time.Now()}
	if err := a.makeHome(ctx, o); err != nil {
		return err
	}
	s := setup.Read(c.Dir)
	writef(a.stdout, "wrote %s\n", c.Dir)
	if s.PasswordFile != "" {
		writef(a.stdout, "user  %s, password in %s\n", s.User, s.PasswordFile)
	}
	if s.CertFile != "" {
		writef(a.stdout, "user  %s, certificate in %s with %s\n", s.User, s.CertFile, s.KeyFile)
	}
	if s.PSKIdentity != "" {
		writef(a.stdout, "device %s, key in %s\n", s.PSKIdentity, s.PSKFile)
	}
	writef(a.stdout, "next: %s\n", serveWith(c.Dir))
	return nil
}

// serveWith is the command that starts a folder.
func serveWith(dir string) string {
	if dir == config.Folder {
		return "sealmq serve"
	}
	return "sealmq serve --data " + shellWord(dir)
}

// ask asks three questions; an empty answer takes the default.
func (c *initCommand) ask(a *app) error {
	in := bufio.NewReader(a.stdin)
	for _, q := range []struct {
		given bool
		text  string
		take  func(answer string) error
	}{
		{c.Profile != "", "Who connects? home: people and devices with passwords and keys; plant: certificates and keys; strict: certificates only [home] ", func(s string) error {
			switch setup.Profile(s) {
			case "", setup.Home, setup.Plant, setup.Strict:
				c.Profile = s
				return nil
			}
			return errors.New("answer home, plant or strict")
		}},
		{len(c.Host) > 0, "Names or addresses by which clients reach this machine, besides its own [none] ", func(s string) error {
			c.Host = strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
			return nil
		}},
		{c.User != "", "Name of the first user, who may do everything [admin] ", func(s string) error {
			c.User = s
			return nil
		}},
	} {
		for !q.given {
			writef(a.stderr, "%s", q.text)
			line, err := in.ReadString('\n')
			if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
				writef(a.stderr, "\n")
				return usageError("cannot ask", "there is no answer on standard input", "give --profile, --host and --user, or --non-interactive")
			}
			if err := q.take(strings.TrimSpace(line)); err != nil {
				writef(a.stderr, "%v\n", err)
				continue
			}
			q.given = true
		}
	}
	return nil
}
