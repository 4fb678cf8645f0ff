package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/demo"
	"github.com/sealmq/sealmq/internal/transport"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sealmq": main,
		// sealmq-plan is sealmq with a broker that says what it was told to do.
		"sealmq-plan": func() {
			a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, serve: printPlan}
			os.Exit(int(a.main(os.Args[1:])))
		},
		// sealmq-planted FAULT ARGS... is sealmq with a defect in what the demo sets up.
		"sealmq-planted": func() {
			plantedFault = demo.Fault(os.Args[1])
			a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
			os.Exit(int(a.main(os.Args[2:])))
		},
	})
}

// printPlan opens the listeners of a plan, prints the plan and ends.
func printPlan(_ context.Context, p *config.Plan, log *slog.Logger, _ *slog.LevelVar) error {
	for _, l := range p.Config.Listeners {
		open, err := net.Listen("tcp", l.Bind.String())
		if err != nil {
			return transport.Busy(l.Bind, err)
		}
		defer open.Close() //nolint:errcheck // test
		writef(os.Stdout, "listen %s %v\n", l.Name, l.Bind)
	}
	writef(os.Stdout, "dev %v\nanonymous %v\nengine %s\ndata %s\n",
		p.Dev, p.Config.Auth.Anonymous, p.Config.Storage.Engine, p.Config.Node.DataDir)
	log.Info("planned", "packet", p.Config.Limits.Packet)
	return nil
}

// TestScripts runs the commands as a user types them. exits CODE COMMAND... checks the exact exit code; hold NAME
// listens on a free port of loopback and puts its address into the variable NAME.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values[nodeKey{}] = new(scripted)
			// With the race detector every command would sleep for a second when it ends.
			e.Setenv("GORACE", "atexit_sleep_ms=10")
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "race" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return slowdown > 1, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  scriptExits,
			"hold":   scriptHold,
			"broker": scriptBroker,
			"node":   scriptNode,
			"edit":   scriptEdit,
			"cut":    scriptCut,
		},
	})
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptEdit is the script command edit: the first OLD in FILE, which must be there, becomes NEW.
func scriptEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// scriptCut is the script command cut: FILE keeps its first LINES.
func scriptCut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut FILE LINES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	lines := strings.SplitAfterN(ts.ReadFile(args[0]), "\n", n+1)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines[:n], "")), 0o600))
}

func scriptHold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hold NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() }) //nolint:errcheck // test
	ts.Setenv(args[0], l.Addr().String())
}

// TestEveryCommandHasAWorkingExample: the first line of each help page parses.
func TestEveryCommandHasAWorkingExample(t *testing.T) {
	a := &app{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
	k, err := a.parser(new(tree))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = kong.Visit(k.Model, func(v kong.Visitable, next kong.Next) error {
		var node *kong.Node
		switch v := v.(type) {
		case *kong.Application:
			node = v.Node
		case *kong.Node:
			node = v
		default:
			return next(nil)
		}
		seen++
		words := strings.Fields(exampleOf(node))
		if len(words) < 2 || words[0] != "sealmq" {
			t.Errorf("%s: example %q", node.FullPath(), exampleOf(node))
		} else if _, err := a.parse(words[1:]); err != nil {
			t.Errorf("%s: %v", node.FullPath(), err)
		}
		return next(nil)
	})
	if err != nil || seen < 5 {
		t.Errorf("%d commands seen: %v", seen, err)
	}
}

// TestNoGlobalShortFlags: pub and sub need all letters of mosquitto_pub, -h for the host among them.
func TestNoGlobalShortFlags(t *testing.T) {
	k, err := (&app{}).parser(new(tree))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range k.Model.Flags {
		if f.Short != 0 {
			t.Errorf("--%s takes the letter %c", f.Name, f.Short)
		}
	}
}

// TestExitTable: every code of the table is there once and has words.
func TestExitTable(t *testing.T) {
	seen := map[exitCode]bool{}
	for _, e := range exits {
		if seen[e.code] || e.meaning == "" {
			t.Errorf("%d %q", e.code, e.meaning)
		}
		seen[e.code] = true
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		code exitCode
		what string
	}{
		{errors.New("x"), exitFailed, "x"},
		{context.Canceled, exitInterrupted, "interrupted"},
		{&failure{code: exitLogin, what: "login refused"}, exitLogin, "login refused"},
		{&config.FlagError{Flag: "--dev", Why: "w"}, exitUsage, "cannot use --dev"},
		{&os.PathError{Op: "open", Path: "p", Err: os.ErrPermission}, exitFailed, "cannot open p"},
		{&transport.BusyError{}, exitFailed, "cannot listen on invalid AddrPort"},
	} {
		if f := failureOf(c.err); f.code != c.code || f.what != c.what {
			t.Errorf("%v: got %d %q", c.err, f.code, f.what)
		}
	}
}

// TestErrorsStayOnTheirLines: whatever an error holds, the report has at most three lines and no control characters.
func TestErrorsStayOnTheirLines(t *testing.T) {
	var out strings.Builder
	a := &app{stderr: &out, getenv: os.Getenv}
	a.report(&failure{exitFailed, "a\nb\x1b[2J", "c\r\nd \"quoted\"", "e\u2028f", nil})
	want := `sealmq: error: a\nb\x1b[2J` + "\n" + `why: c\r\nd "quoted"` + "\n" + `hint: e\u2028f` + "\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

// TestInterrupt: the first interrupt asks serve to stop; a stop in order is no failure, an aborted command is one.
func TestInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: a process cannot interrupt itself on Windows")
	}
	for _, want := range []exitCode{exitOK, exitInterrupted} {
		a := &app{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
		a.serve = func(ctx context.Context, _ *config.Plan, _ *slog.Logger, _ *slog.LevelVar) error {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Signal(os.Interrupt)
			}
			if err != nil {
				return err
			}
			<-ctx.Done()
			if want == exitInterrupted {
				return ctx.Err()
			}
			return nil
		}
		if got := a.main([]string{"serve", "--dev"}); got != want {
			t.Errorf("exit code %d, want %d", got, want)
		}
	}
}

// startUp runs the command in a process of its own and returns the processor time it took.
func startUp(tb testing.TB) time.Duration {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), exe, "--help")
	cmd.Args[0] = "sealmq" // TestMain runs the command of that name
	if err := cmd.Run(); err != nil {
		tb.Fatal(err)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// TestStartUpTime: the best of five starts takes less than 50 ms of processor time, which unlike the clock on the wall
// does not depend on what else the machine does. The race detector multiplies it.
func TestStartUpTime(t *testing.T) {
	budget := 50 * time.Millisecond * slowdown
	best := startUp(t)
	for range 4 {
		best = min(best, startUp(t))
	}
	t.Logf("best of five: %v", best)
	if best >= budget {
		t.Errorf("start-up takes %v of processor time, the budget is %v", best, budget)
	}
}

// BenchmarkStartUp is the time from exec to the end of help.
func BenchmarkStartUp(b *testing.B) {
	for b.Loop() {
		startUp(b)
	}
}
