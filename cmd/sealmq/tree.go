package main

import (
	"context"
	"errors"
	"reflect"
	"strconv"

	"github.com/alecthomas/kong"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/observe"
)

// tree is every command. A new command is a field here and a file of its own: a struct with flags, Run and Example.
// No global flag takes a letter, because pub and sub have the letters of mosquitto_pub, -h for the host among them.
type tree struct {
	Help  helpFlag `name:"help" help:"Show help; with a command, the help of that command."`
	Color string   `enum:"auto,always,never" default:"auto" placeholder:"WHEN" help:"Colours on stderr: auto, always or never."`

	Demo    demoCommand       `cmd:"" help:"Show what is stopped and what is not, with real attacks on this machine."`
	Serve   serveCommand      `cmd:"" help:"Run the broker."`
	Init    initCommand       `cmd:"" help:"Make what a broker needs to start safely, after three questions."`
	Config  configCommand     `cmd:"" help:"Check a configuration, or show what is in force."`
	Pub     pubCommand        `cmd:"" help:"Publish messages; flags as of mosquitto_pub."`
	Sub     subCommand        `cmd:"" help:"Subscribe and print messages; flags as of mosquitto_sub."`
	Status  statusCommand     `cmd:"" help:"Say how a running broker is."`
	Probe   probeCommand      `cmd:"" help:"See a broker as an ordinary client would."`
	Doctor  doctorCommand     `cmd:"" help:"Find what is unsafe or fragile, and say what to change."`
	Admin   adminCommand      `cmd:"" help:"Look into a running broker and change what it holds."`
	ACL     aclCommand        `cmd:"" name:"acl" help:"Test and check access rules."`
	Policy  policyCommand     `cmd:"" help:"Show and test what payloads must be, and who complies."`
	Explain explainCommand    `cmd:"" help:"Say why something is allowed or denied."`
	Audit   auditCommand      `cmd:"" help:"Read and check the record of logins, refusals and administration."`
	Backup  backupCommand     `cmd:"" help:"Copy the state of a running broker."`
	Restore restoreCommand    `cmd:"" help:"Make a data folder out of a backup."`
	Passwd  passwdCommand     `cmd:"" help:"Manage the account files of the broker."`
	CA      caCommand         `cmd:"" name:"ca" help:"Make, renew, revoke, inspect and trust certificates."`
	Keys    keysCommand       `cmd:"" help:"Make, list, change and exchange keys."`
	Inspect inspectCommand    `cmd:"" help:"Take a protected payload apart, with or without keys."`
	Cred    credentialCommand `cmd:"" name:"credential" help:"Print a CONNECT credential for another client."`
	Bench   benchCommand      `cmd:"" help:"Measure what security costs, here."`
	Version versionCommand    `cmd:"" help:"Say which build this is."`

	Completion completionCommand `cmd:"" help:"Print the completion script of a shell."`
	Man        manCommand        `cmd:"" help:"Write the manual pages."`
}

// Example is the first line of the root's help.
func (*tree) Example() string { return "sealmq serve --dev" }

// command is a parsed command line, ready to run.
type command struct{ ctx *kong.Context }

// Run executes the selected command.
func (c command) Run(ctx context.Context) error {
	c.ctx.BindTo(ctx, (*context.Context)(nil))
	return c.ctx.Run()
}

// parser builds the command line's grammar.
func (a *app) parser(root *tree) (*kong.Kong, error) {
	return kong.New(root,
		kong.Name("sealmq"),
		kong.Description("MQTT broker and tools that secure every message."),
		kong.Writers(a.stdout, a.stderr),
		kong.NoDefaultHelp(),
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Vars{"scramIterations": strconv.Itoa(authn.DefaultSCRAMIterations)},
		kong.Bind(a),
	)
}

// parse turns the arguments into a command. The error is errHelpShown when help was asked for.
func (a *app) parse(args []string) (command, error) {
	var root tree
	k, err := a.parser(&root)
	if err != nil {
		return command{}, err
	}
	ctx, err := k.Parse(args)
	if err != nil {
		return command{}, usage(err)
	}
	a.colour = observe.Colour(root.Color, a.stderr, a.getenv)
	a.paint = observe.Colour(root.Color, a.stdout, a.getenv)
	return command{ctx}, nil
}

// helpFlag prints help as soon as it is parsed, before anything is missed or run.
type helpFlag bool

// errHelpShown stops the parse after help was printed. It is not a failure.
var errHelpShown = errors.New("help shown")

// BeforeReset is called by kong when the flag is on the command line.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	return errHelpShown
}

// printHelp puts a working example in front of the usual help, and the exit codes behind that of the root.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	node := ctx.Selected()
	if node == nil {
		node = ctx.Model.Node
	}
	if e := exampleOf(node); e != "" {
		writef(ctx.Stdout, "Example: %s\n\n", e)
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	if node == ctx.Model.Node {
		writef(ctx.Stdout, "\nExit codes:\n")
		for _, e := range exits {
			writef(ctx.Stdout, "  %3d    %s\n", e.code, e.meaning)
		}
		writef(ctx.Stdout, "\nRun \"sealmq COMMAND --help\" for the flags of a command.\n")
	}
	return nil
}

// exampleOf returns the example of a command; "" when it has none of its own.
func exampleOf(n *kong.Node) string {
	if n.Target.Kind() != reflect.Struct || !n.Target.CanAddr() {
		return ""
	}
	if e, ok := n.Target.Addr().Interface().(interface{ Example() string }); ok {
		return e.Example()
	}
	return ""
}
