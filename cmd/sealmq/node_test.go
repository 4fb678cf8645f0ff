package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
)

// startNode starts a whole broker on a free port of loopback.
func startNode(ctx context.Context) (n *node.Node, port string, err error) {
	plan, err := config.FromFlags(config.Flags{Dev: true, Listen: []string{"mqtt://127.0.0.1:0"}})
	if err != nil {
		return nil, "", err
	}
	n, err = node.Start(ctx, plan, slog.New(slog.NewTextHandler(io.Discard, nil)), "test")
	if err != nil {
		return nil, "", err
	}
	_, port, err = net.SplitHostPort(n.Addrs()[0].String())
	return n, port, err
}

// scriptNode is the script command node: it starts the real broker in the test's process and tells pub and sub its port.
func scriptNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: node")
	}
	n, port, err := startNode(context.Background())
	ts.Check(err)
	ts.Defer(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ts.Check(n.Stop(ctx))
	})
	ts.Setenv("SEALMQ_PORT", port)
	ts.Setenv("SEALMQ_HOST", "127.0.0.1")
}

// TestGuide runs the commands of docs/guide/protect.md in their order, with the output that it shows. In a shown line
// … stands for anything.
func TestGuide(t *testing.T) {
	b, err := os.ReadFile("../../docs/guide/protect.md")
	if err != nil {
		t.Fatal(err)
	}
	script := strings.Builder{}
	script.WriteString("node\n")
	block, commands := false, 0
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			block = line == "```console"
		case !block || line == "":
		case strings.HasPrefix(line, "$ sealmq "):
			script.WriteString(strings.ReplaceAll(guideCommand(line[2:]), `"`, "'") + "\n")
			commands++
		default:
			shown := strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*")
			stream := "stdout"
			if strings.HasPrefix(line, "sealmq: ") || strings.HasPrefix(line, "why: ") || strings.HasPrefix(line, "hint: ") {
				stream = "stderr"
			}
			script.WriteString(stream + " '" + strings.ReplaceAll(shown, "'", "''") + "'\n")
		}
	}
	if commands < 10 {
		t.Fatalf("%d commands found in the guide", commands)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/guide.txtar", []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: dir, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"node": scriptNode, "exits": scriptExits},
	})
}

// guideCommand turns a line of the guide into one of a script: "# exits N" behind a command is its exit code.
func guideCommand(line string) string {
	command, code, ok := strings.Cut(line, "  # exits ")
	if ok {
		return "exits " + code + " " + command
	}
	return "exec " + command
}
