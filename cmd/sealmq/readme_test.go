package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// readmeElsewhere are the commands of the README that are not sealmq: the tests themselves, and targets of the Makefile,
// which .ci/run calls.
var readmeElsewhere = regexp.MustCompile(`^(go test \./\.\.\.|make ([a-z-]+))$`)

// TestReadme runs every command of the README, in its order and in an empty folder that has somebody's mosquitto.conf.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	commands := 0
	for _, line := range consoleLines(string(text)) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			t.Errorf("%q: console blocks of the README hold commands only; put output into a block of its own", line)
			continue
		}
		commands++
		if m := readmeElsewhere.FindStringSubmatch(command); m != nil {
			if m[2] != "" && !strings.Contains(string(makefile), "\n"+m[2]+":") {
				t.Errorf("%q: the Makefile has no target %s", command, m[2])
			}
			continue
		}
		if command == "go run ./cmd/sealmq serve" {
			// The ports of a first start may be taken here; test/interop starts it whole and pastes what it prints.
			command = "sealmq-plan serve --listen mqtt://127.0.0.1:0"
		}
		if !strings.HasPrefix(command, "sealmq") {
			t.Errorf("%q: not run by any test", command)
			continue
		}
		script.WriteString(guideCommand(command) + "\n")
	}
	if commands < 10 {
		t.Fatalf("%d commands found", commands)
	}
	script.WriteString("-- mosquitto.conf --\nlistener 1883 127.0.0.1\nallow_anonymous false\npassword_file passwd\n-- passwd --\n" +
		"eve:$7$1000$c2FsdHNhbHRzYWx0$" + strings.Repeat("A", 86) + "==\n")
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/readme.txtar", []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: dir, RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir) // the keyring of a user who names none
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": scriptExits},
	})
}

// consoleLines are the lines of the console blocks of a Markdown text.
func consoleLines(text string) []string {
	var lines []string
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside && line == "```console"
		case inside && line != "":
			lines = append(lines, line)
		}
	}
	return slices.Clip(lines)
}

// documented is a sealmq command in a block of a page, without what a shell does with it.
var documented = regexp.MustCompile(`^(?:\$ )?sealmq ([^#|>&]*)`)

// TestDocumentedCommands parses the sealmq commands in the blocks of all pages: names of commands and flags, and the values
// that have a form. TestReadme, TestGuide and TestLoginGuide run those of their pages.
func TestDocumentedCommands(t *testing.T) {
	a := &app{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
	quoted := regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
	commands := 0
	err := filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		inside := false
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "```") {
				inside = !inside
			}
			m := documented.FindStringSubmatch(strings.TrimSpace(quotedHash.ReplaceAllString(line, "_")))
			if !inside || m == nil {
				continue
			}
			commands++
			words := quoted.FindAllString(m[1], -1)
			for i := range words {
				words[i] = strings.Trim(words[i], `'"`)
			}
			if _, err := a.parse(words); err != nil {
				t.Errorf("%s: sealmq %s: %v", path, m[1], err)
			}
		}
		return err
	})
	if err != nil || commands < 60 {
		t.Errorf("%d commands found: %v", commands, err)
	}
}

// quotedHash is the wildcard of a Topic Filter, which begins no comment.
var quotedHash = regexp.MustCompile(`/#`)
