package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// model is the command line as kong has it, not as the pages see it: every command with its flags and their words.
func kongCommands(t *testing.T) map[string][]*kong.Flag {
	t.Helper()
	a := &app{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
	k, err := a.parser(new(tree))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*kong.Flag{}
	err = kong.Visit(k.Model, func(v kong.Visitable, next kong.Next) error {
		node, ok := v.(*kong.Node)
		if application, is := v.(*kong.Application); is {
			node, ok = application.Node, true
		}
		if ok && !node.Hidden {
			name := strings.TrimSpace(strings.TrimPrefix(node.FullPath(), "sealmq"))
			for _, group := range node.AllFlags(true) {
				all[name] = append(all[name], group...)
			}
		}
		return next(nil)
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("%d commands: %v", len(all), err)
	}
	return all
}

func modelRoot(t *testing.T) *modelCommand {
	t.Helper()
	root, err := (&app{getenv: func(string) string { return "" }}).modelTree()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestManPagesDoNotDrift: there is one page for each command, with every flag, and no page for anything else.
func TestManPagesDoNotDrift(t *testing.T) {
	commands := kongCommands(t)
	root := modelRoot(t)
	pages := map[string]string{}
	root.all(func(c *modelCommand) { pages[c.key()] = strings.ReplaceAll(manPage(root, c, "test"), `\-`, "-") })
	if len(pages) != len(commands) {
		t.Errorf("%d pages for %d commands", len(pages), len(commands))
	}
	for name, flags := range commands {
		page, ok := pages[name]
		if !ok {
			t.Errorf("no page for %q", name)
		}
		for _, f := range flags {
			if !strings.Contains(page, "--"+f.Name) || !strings.Contains(page, strings.TrimSpace(strings.ReplaceAll(f.Help, "\n", " "))) && !strings.ContainsAny(f.Help, `\…`) {
				t.Errorf("page of %q: --%s or its help is missing", name, f.Name)
			}
		}
	}
}

// TestManPagesAreWellFormed asks mandoc, which complains about what man would show wrongly.
func TestManPagesAreWellFormed(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skip("skipped: mandoc is not installed (Debian package mandoc)")
	}
	root := modelRoot(t)
	root.all(func(c *modelCommand) {
		cmd := exec.CommandContext(t.Context(), "mandoc", "-T", "lint", "-W", "warning")
		cmd.Stdin = strings.NewReader(manPage(root, c, "test"))
		out, _ := cmd.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "missing date") {
				t.Errorf("%s: %s", c.name("-"), line)
			}
		}
	})
}

// TestCompletionsDoNotDrift: every script knows every command, every flag and every word that a flag allows.
func TestCompletionsDoNotDrift(t *testing.T) {
	commands := kongCommands(t)
	root := modelRoot(t)
	for shell, script := range completions {
		text := script(root)
		for name, flags := range commands {
			if !strings.Contains(text, name) {
				t.Errorf("%s: the command %q is missing", shell, name)
			}
			for _, f := range flags {
				if !strings.Contains(text, f.Name) {
					t.Errorf("%s: --%s of %q is missing", shell, f.Name, name)
				}
				for _, w := range strings.Split(f.Enum, ",") {
					if !strings.Contains(text, strings.TrimSpace(w)) {
						t.Errorf("%s: the word %s of --%s is missing", shell, w, f.Name)
					}
				}
			}
		}
	}
}

// completionCases are lines, the last word being completed, and something that must and something that must not be offered.
var completionCases = []struct{ line, want, not string }{
	{"sealmq sta", "status", "serve"},
	{"sealmq admin ki", "kick", "status"},
	{"sealmq status --ch", "--check", "--listen"},
	{"sealmq --color al", "always", "status"},
	{"sealmq admin kick --", "--data", "--listen"},
	{"sealmq completion ", "", "status"},
}

// TestCompletionInShells completes lines in the shells themselves.
func TestCompletionInShells(t *testing.T) {
	run := map[string]func(script string) []string{
		"bash": func(script string) []string {
			return []string{"-c", `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sealmq; printf '%s\n' "${COMPREPLY[@]}"`, script}
		},
		"zsh": func(script string) []string {
			return []string{"-f", "-c", `compdef() { :; }; _files() { :; }
				_describe() { local n=${@[-1]}; print -l -- ${(P)n%%:*} }
				compadd() { shift; print -l -- "$@" }
				source "$0"; words=("$@"); CURRENT=$#
				_sealmq`, script}
		},
		"fish": func(script string) []string {
			return []string{"--no-config", "-c", `source $argv[1]; complete -C (string join ' ' -- $argv[2..-1])`, script}
		},
	}
	root := modelRoot(t)
	for shell, args := range run {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("skipped: %s is not installed", shell)
			}
			script := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(script, []byte(completions[shell](root)), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, c := range completionCases {
				words := strings.Split(c.line, " ")
				cmd := exec.CommandContext(t.Context(), shell, append(args(script), words...)...)
				out, err := cmd.CombinedOutput()
				if err != nil && c.want != "" {
					t.Errorf("%s: %v: %s", c.line, err, out)
				}
				var offered []string
				for line := range strings.Lines(string(out)) {
					word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
					if strings.HasPrefix(word, words[len(words)-1]) { // zsh itself filters what is described
						offered = append(offered, word)
					}
				}
				if c.want != "" && !slices.Contains(offered, c.want) || slices.Contains(offered, c.not) {
					t.Errorf("%s: offered %q, want %s and not %s", c.line, offered, c.want, c.not)
				}
			}
		})
	}
}

// TestCommandNamesAreSafe: what goes into scripts is made of plain characters.
func TestCommandNamesAreSafe(t *testing.T) {
	modelRoot(t).all(func(c *modelCommand) {
		if strings.Trim(c.key(), "abcdefghijklmnopqrstuvwxyz- ") != "" {
			t.Errorf("the command %q", c.key())
		}
	})
}
