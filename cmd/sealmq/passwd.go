package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/sealmq/sealmq/internal/authn"
)

type passwdCommand struct {
	Add     passwdAddCommand     `cmd:"" help:"Add an account, or give one a new password."`
	Rm      passwdRmCommand      `cmd:"" help:"Remove an account."`
	Ls      passwdLsCommand      `cmd:"" help:"List the accounts of a file and what they can do."`
	Check   passwdCheckCommand   `cmd:"" help:"Check a password against a file."`
	Convert passwdConvertCommand `cmd:"" help:"Take over a password file of Mosquitto and report what is weak in it."`
}

// Example is the first line of the command's help.
func (*passwdCommand) Example() string { return "sealmq passwd add passwd alice" }

// secretFlags are the ways to give a password; without one the terminal is asked.
type secretFlags struct {
	Stdin    bool   `name:"stdin" xor:"secret" help:"Read the password from the first line of standard input."`
	FromFile string `name:"password-file" xor:"secret" placeholder:"FILE" help:"Read the password from the first line of a file."`
	Password text   `name:"password" xor:"secret" placeholder:"PASSWORD" help:"The password. The process list shows it: prefer --stdin."`
}

// read returns the password; twice asks the terminal a second time.
func (f *secretFlags) read(a *app, twice bool) ([]byte, error) {
	switch {
	case f.Stdin:
		return readSecretLine(a.stdin, "standard input")
	case f.FromFile != "":
		return readSecretFile(f.FromFile, a)
	case f.Password != "":
		a.warn("--password: the process list shows the password; prefer --stdin")
		return []byte(f.Password), nil
	}
	password, err := askSecret(a, "Password: ")
	if err != nil || !twice {
		return password, err
	}
	again, err := askSecret(a, "Password: ")
	if err == nil && string(again) != string(password) {
		return nil, &failure{exitFailed, "the passwords differ", "", "", nil}
	}
	return password, err
}

type passwdAddCommand struct {
	File         string `arg:"" name:"FILE" help:"Account file; it is made if it is not there."`
	Name         string `arg:"" name:"NAME" help:"User name."`
	Format       string `enum:"argon2id,mosquitto7,scram" default:"argon2id" help:"argon2id, mosquitto7 (PBKDF2, which Mosquitto reads too) or scram."`
	Iterations   int    `default:"${scramIterations}" placeholder:"N" help:"Iterations of scram, done by the client; default ${scramIterations}."`
	Passwordless bool   `xor:"secret" help:"Let the account log in with its name alone."`
	secretFlags  `embed:""`
}

// Example is the first line of the command's help.
func (*passwdAddCommand) Example() string { return "sealmq passwd add passwd alice" }

// Run changes the file, all of it or nothing.
func (c *passwdAddCommand) Run(a *app) error {
	if err := authn.CheckName(c.Name); err != nil {
		return usageError("cannot use the user name", err.Error(), "")
	}
	set := func(acc *authn.Accounts) error { return acc.SetPasswordless(c.Name) }
	if !c.Passwordless {
		password, err := c.read(a, true)
		if err != nil {
			return err
		}
		if set, err = c.verifiers(password); err != nil {
			return &failure{exitUsage, "cannot use the password", err.Error(), "", err}
		}
	}
	if err := authn.EditAccounts(c.File, true, set); err != nil {
		return accountError(c.File, err)
	}
	a.note("a running broker takes the change over by itself within a second")
	return nil
}

// verifiers hashes the password and returns how to put it into a file.
func (c *passwdAddCommand) verifiers(password []byte) (func(*authn.Accounts) error, error) {
	if c.Format != "scram" {
		v, err := authn.NewVerifier(authn.Format(c.Format), password)
		return func(acc *authn.Accounts) error { return acc.SetPassword(c.Name, v) }, err
	}
	var all []*authn.SCRAMVerifier
	name := c.Name
	for _, m := range authn.Mechanisms {
		v, prepared, err := authn.NewSCRAMVerifier(m, c.Name, password, c.Iterations)
		if err != nil {
			return nil, err
		}
		all, name = append(all, v), prepared
	}
	return func(acc *authn.Accounts) error {
		for _, v := range all {
			if err := acc.SetSCRAM(name, v); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// accountError points at the file.
func accountError(file string, err error) error {
	var lines *authn.LineErrors
	if errors.As(err, &lines) {
		return &failure{exitConfig, "cannot use the account file " + file, err.Error(), "", err}
	}
	return &failure{exitFailed, "cannot use the account file " + file, err.Error(), "", err}
}

type passwdRmCommand struct {
	File string `arg:"" name:"FILE" help:"Account file."`
	Name string `arg:"" name:"NAME" help:"User name."`
}

// Example is the first line of the command's help.
func (*passwdRmCommand) Example() string { return "sealmq passwd rm passwd alice" }

// Run removes all lines of the name.
func (c *passwdRmCommand) Run(a *app) error {
	err := authn.EditAccounts(c.File, false, func(acc *authn.Accounts) error {
		if !acc.Remove(c.Name) {
			return fmt.Errorf("there is no account %q", c.Name)
		}
		return nil
	})
	if err != nil {
		return accountError(c.File, err)
	}
	a.note("a running broker takes the change over by itself within a second")
	return nil
}

type passwdLsCommand struct {
	File string `arg:"" name:"FILE" help:"Account file."`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*passwdLsCommand) Example() string { return "sealmq passwd ls passwd" }

// accountsDocument is the JSON form of passwd ls.
type accountsDocument struct {
	Schema   string        `json:"schema"`
	Accounts []accountLine `json:"accounts"`
}

type accountLine struct {
	Name string   `json:"name"`
	Has  []string `json:"has"`
	Weak string   `json:"weak,omitempty"`
}

// Run prints the accounts without their verifiers.
func (c *passwdLsCommand) Run(a *app) error {
	acc, err := authn.LoadAccounts(c.File)
	if err != nil {
		return accountError(c.File, err)
	}
	doc := accountsDocument{Schema: "sealmq.accounts/1", Accounts: describeAccounts(acc)}
	if c.JSON {
		return printJSON(a.stdout, doc)
	}
	printAccounts(a.stdout, doc.Accounts)
	return nil
}

func describeAccounts(acc *authn.Accounts) []accountLine {
	out := []accountLine{}
	for _, x := range acc.All() {
		l := accountLine{Name: x.Name}
		if x.Passwordless {
			l.Has, l.Weak = append(l.Has, "passwordless"), "whoever knows the name logs in"
		}
		if x.Password != nil {
			l.Has, l.Weak = append(l.Has, x.Password.String()), x.Password.Weak()
		}
		for _, m := range authn.Mechanisms {
			if v := x.SCRAM[m]; v != nil {
				l.Has = append(l.Has, v.String())
			}
		}
		out = append(out, l)
	}
	return out
}

func printAccounts(w io.Writer, lines []accountLine) {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, l := range lines {
		weak := ""
		if l.Weak != "" {
			weak = "weak: " + l.Weak
		}
		writef(table, "%s\n", strings.TrimRight(strings.Join([]string{oneLine(l.Name), strings.Join(l.Has, ", "), weak}, "\t"), "\t"))
	}
	table.Flush() //nolint:errcheck // as writef
}

type passwdCheckCommand struct {
	File        string `arg:"" name:"FILE" help:"Account file."`
	Name        string `arg:"" name:"NAME" help:"User name."`
	secretFlags `embed:""`
}

// Example is the first line of the command's help.
func (*passwdCheckCommand) Example() string { return "sealmq passwd check passwd alice" }

// Run fails with the exit code of a refused login when the password is not the account's.
func (c *passwdCheckCommand) Run(a *app) error {
	accounts, err := authn.LoadAccounts(c.File)
	if err != nil {
		return accountError(c.File, err)
	}
	acc := accounts.Get(c.Name)
	if acc == nil || acc.Password == nil {
		return &failure{exitLogin, "there is no account with a password for " + c.Name, "", "sealmq passwd ls " + c.File + " lists the accounts", nil}
	}
	password, err := c.read(a, false)
	if err != nil {
		return err
	}
	if len(password) > authn.MaxPassword || !acc.Password.Matches(password) {
		return &failure{exitLogin, "the password is not that of " + c.Name, "", "", nil}
	}
	writef(a.stdout, "the password is that of %s\n", oneLine(c.Name))
	return nil
}

type passwdConvertCommand struct {
	From string `arg:"" name:"FROM" help:"Password file of Mosquitto."`
	To   string `arg:"" name:"TO" help:"Account file to make; it must not be there yet."`
}

// Example is the first line of the command's help.
func (*passwdConvertCommand) Example() string {
	return "sealmq passwd convert /etc/mosquitto/passwd passwd"
}

// Run copies the accounts into a private file. Their verifiers stay as they are: nobody knows the passwords.
func (c *passwdConvertCommand) Run(a *app) error {
	f, err := os.Open(c.From)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o007 != 0 {
		a.warn(c.From + " can be read by everybody on this machine: its passwords may have been guessed")
	}
	data, err := io.ReadAll(io.LimitReader(f, authn.MaxAccountFile+1))
	if err != nil {
		return err
	}
	if len(data) > authn.MaxAccountFile {
		return accountError(c.From, fmt.Errorf("it is longer than %d bytes", authn.MaxAccountFile))
	}
	from, err := authn.ParseAccounts(c.From, data)
	if err != nil {
		return accountError(c.From, err)
	}
	if _, err := os.Lstat(c.To); err == nil {
		return &failure{exitFailed, "cannot write " + c.To, "it is there already", "give another name", nil}
	}
	err = authn.EditAccounts(c.To, true, func(acc *authn.Accounts) error {
		*acc = *from
		return nil
	})
	if err != nil {
		return accountError(c.To, err)
	}
	weak := 0
	lines := describeAccounts(from)
	for _, l := range lines {
		if l.Weak != "" {
			weak++
		}
	}
	printAccounts(a.stdout, lines)
	if weak > 0 {
		a.note(fmt.Sprintf("%d of %d accounts are weak: auth.password.upgrade replaces them when their owners log in, sealmq passwd add at once", weak, len(lines)))
	}
	return nil
}
