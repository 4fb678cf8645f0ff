package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/transport"
)

// exitCode is how the process ends. The values are part of the interface: scripts depend on them.
type exitCode int

// The exit codes. 27 is what mosquitto_sub uses, 78 is EX_CONFIG of sysexits, 130 is 128 + SIGINT.
const (
	exitOK          exitCode = 0
	exitFailed      exitCode = 1
	exitUsage       exitCode = 2
	exitConnect     exitCode = 3
	exitLogin       exitCode = 4
	exitNotAllowed  exitCode = 5
	exitProtection  exitCode = 6
	exitTLSIdentity exitCode = 7
	exitFindings    exitCode = 20
	exitTimedOut    exitCode = 27
	exitConfig      exitCode = 78
	exitInterrupted exitCode = 130
)

// exits is the table of the root's help.
var exits = []struct {
	code    exitCode
	meaning string
}{
	{exitOK, "fine"},
	{exitFailed, "failed"},
	{exitUsage, "the command line is wrong"},
	{exitConnect, "cannot connect"},
	{exitLogin, "login refused"},
	{exitNotAllowed, "not allowed to publish or subscribe"},
	{exitProtection, "payload protection failed"},
	{exitTLSIdentity, "the peer's TLS identity is wrong"},
	{exitFindings, "findings at or above the asked severity"},
	{exitTimedOut, "sub -W timed out"},
	{exitConfig, "the configuration is invalid"},
	{exitInterrupted, "interrupted"},
}

// failure is an error as a person gets to see it: what, why, what to do next, one line each.
type failure struct {
	code exitCode
	what string
	why  string // may be empty
	hint string // may be empty
	err  error  // cause, may be nil
}

func (f *failure) Error() string {
	if f.why == "" {
		return f.what
	}
	return f.what + ": " + f.why
}

func (f *failure) Unwrap() error { return f.err }

// failureOf finds the words and the exit code for any error. What it does not know is exitFailed.
func failureOf(err error) *failure {
	var (
		known   *failure
		invalid *config.Invalid
		flag    *config.FlagError
		busy    *transport.BusyError
		path    *fs.PathError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &invalid):
		return invalidConfig(invalid)
	case errors.As(err, &flag):
		return &failure{exitUsage, "cannot use " + flag.Flag, flag.Why, flag.Hint, err}
	case errors.As(err, &busy):
		return &failure{exitFailed, "cannot listen on " + busy.Address.String(), busy.Why(), busy.Hint(), err}
	case errors.Is(err, context.Canceled):
		return &failure{exitInterrupted, "interrupted", "", "", err}
	case errors.As(err, &path):
		return &failure{exitFailed, "cannot " + path.Op + " " + path.Path, path.Err.Error(), "", err}
	}
	return &failure{exitFailed, err.Error(), "", "", err}
}

// usage puts the parser's words into the form of all errors.
func usage(err error) error {
	var parse *kong.ParseError
	if errors.Is(err, errHelpShown) || !errors.As(err, &parse) {
		return err
	}
	name := "sealmq"
	node := (*kong.Node)(nil)
	if parse.Context != nil {
		if node = parse.Context.Selected(); node != nil {
			name = "sealmq " + node.Path()
		}
	}
	f := &failure{code: exitUsage, hint: name + " --help shows what can be written", err: err}
	what, meant, found := strings.Cut(err.Error(), ", did you mean ")
	if found {
		f.hint = "did you mean " + meant
	}
	switch {
	case node == nil && strings.HasPrefix(what, "expected one of "):
		what = "no command given"
	case node == nil && strings.HasPrefix(what, "unexpected argument "):
		what = "unknown command " + strings.TrimPrefix(what, "unexpected argument ")
	case strings.HasPrefix(what, "expected one of "):
		f.why, what = what, name+" is not complete"
	case strings.HasPrefix(what, "expected "):
		f.why, what = "it needs "+strings.Trim(strings.TrimPrefix(what, "expected "), `"`), name+" is not complete"
	}
	f.what = what
	return f
}
