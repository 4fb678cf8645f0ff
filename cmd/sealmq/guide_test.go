package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestGuide runs the commands of docs/guide/protect.md in their order, with the output that it shows. In a shown line
// … stands for anything.
func TestGuide(t *testing.T) {
	b, err := os.ReadFile("../../docs/guide/protect.md")
	if err != nil {
		t.Fatal(err)
	}
	script := strings.Builder{}
	script.WriteString("node\nenv SEALMQ_PORT=$PORT\nenv SEALMQ_HOST=127.0.0.1\n")
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
		Setup: func(e *testscript.Env) error {
			e.Values[nodeKey{}] = new(scripted)
			return nil
		},
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
