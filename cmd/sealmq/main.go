// Command sealmq is the broker, the client tools and everything around them. This package holds the command tree and
// the wiring, nothing else: one file per command, each a struct of flags with a Run method.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sealmq/sealmq/internal/observe"
)

// app is what commands get from the outside, so that tests can give them something else.
type app struct {
	stdin  io.Reader
	stdout io.Writer // results only
	stderr io.Writer // everything else
	getenv func(string) string
	serve  serveFunc // runs a plan of the serve command
	colour bool      // colours on stderr; set once --color is known
	paint  bool      // the same on stdout
}

func main() {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	a.serve = a.runBroker
	os.Exit(int(a.main(os.Args[1:])))
}

// main parses, runs and reports: the whole life of a process except its exit.
func (a *app) main(args []string) exitCode {
	// The first interrupt asks the command to stop; stop() gives the second its usual effect.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	a.colour = observe.Colour("auto", a.stderr, a.getenv)
	command, err := a.parse(args)
	if err == nil {
		err = command.Run(ctx)
	}
	return a.report(err)
}
