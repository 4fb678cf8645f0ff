package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/config"
)

// report prints an error and returns the exit code that belongs to it. nil is exitOK and prints nothing.
func (a *app) report(err error) exitCode {
	if err == nil || errors.Is(err, errHelpShown) {
		return exitOK
	}
	f := failureOf(err)
	var invalid *config.Invalid
	if errors.As(f.err, &invalid) {
		writef(a.stderr, "%s", invalid.Report())
	}
	red, plain := "", ""
	if a.colour {
		red, plain = "\x1b[31m", "\x1b[0m"
	}
	writef(a.stderr, "sealmq: %serror:%s %s\n", red, plain, oneLine(f.what))
	if f.why != "" {
		writef(a.stderr, "why: %s\n", oneLine(f.why))
	}
	if f.hint != "" {
		writef(a.stderr, "hint: %s\n", oneLine(f.hint))
	}
	return f.code
}

// note prints a sentence that is not an error.
func (a *app) note(text string) { writef(a.stderr, "sealmq: note: %s\n", oneLine(text)) }

// invalidConfig says how many problems the report above holds.
func invalidConfig(e *config.Invalid) *failure {
	n := len(e.Problems) + e.More
	what := e.File + " is not valid: 1 problem"
	if n > 1 {
		what = e.File + " is not valid: " + strconv.Itoa(n) + " problems"
	}
	return &failure{exitConfig, what, "", "every key is described in docs/operate/configuration.md", e}
}

// oneLine keeps an error inside its line and a terminal out of its reach.
func oneLine(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		q := strconv.Quote(s)
		return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	}
	return s
}

// writef prints to a stream of the process. A reader that went away ends the output, and there is nobody to tell.
func writef(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, format, args...) //nolint:errcheck // see above
}
