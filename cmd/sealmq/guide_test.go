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
	runGuide(t, "../../docs/guide/protect.md", "", func(string) string { return "node\n" })
}

// TestLoginGuide runs the example of docs/operate/login.md against a broker with the configuration that stands in it.
func TestLoginGuide(t *testing.T) {
	runGuide(t, "../../docs/operate/login.md", "## Without TLS", func(yaml string) string {
		return "exec sealmq config check sealmq.yaml\nnode config sealmq.yaml\n"
	})
}

// runGuide makes a script of the commands of a document, from a heading to the next of its kind. start gives the lines
// that start the broker: at the beginning, or where the document shows a configuration, which is written to sealmq.yaml.
func runGuide(t *testing.T, path, heading string, start func(yaml string) string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if heading != "" {
		_, rest, found := strings.Cut(text, "\n"+heading)
		if !found {
			t.Fatalf("%s has no heading %q", path, heading)
		}
		text, _, _ = strings.Cut(rest, "\n## ")
	}
	script, yaml := strings.Builder{}, strings.Builder{}
	script.WriteString("env SEALMQ_HOST=127.0.0.1\nchmod 600 password.txt\n")
	broker := func() { script.WriteString(start(yaml.String()) + "env SEALMQ_PORT=$PORT\n") }
	if heading == "" {
		broker()
	}
	block, commands := "", 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			if block == "yaml" {
				broker()
			}
			block = strings.TrimPrefix(line, "```")
		case block == "yaml":
			yaml.WriteString(line + "\n")
		case block != "console" || line == "":
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
		t.Fatalf("%d commands found in %s", commands, path)
	}
	script.WriteString("-- password.txt --\ncorrect horse battery\n-- sealmq.yaml --\n" + yaml.String())
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
