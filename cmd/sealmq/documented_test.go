package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mentioned is a sealmq command in the running text of a page.
var mentioned = regexp.MustCompile("`sealmq ([^`]+)`")

// TestMentionedCommands looks at the commands in the running text of all pages: what is no placeholder there must be a command
// and its flags. Those in console blocks are run, by test/docs.
func TestMentionedCommands(t *testing.T) {
	root, err := (&app{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}).modelTree()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range mentioned.FindAllStringSubmatch(strings.ReplaceAll(string(b), "\n", " "), -1) {
			found++
			if err := root.mention(m[1]); err != nil {
				t.Errorf("%s: sealmq %s: %v", path, m[1], err)
			}
		}
		return err
	})
	if err != nil || found < 100 {
		t.Errorf("%d commands found: %v", found, err)
	}
	for _, wrong := range []string{"publish", "admin session", "acl test|lnit", "pub --protekt", "sub -t T [--opened raw]", "keys ls -Z"} {
		if root.mention(wrong) == nil {
			t.Errorf("sealmq %s passes", wrong)
		}
	}
}

// mention says what is no command or flag in a text such as "admin sessions [--prefix TEXT]" or "acl test|lint".
func (c *modelCommand) mention(text string) error {
	for _, word := range strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(text)) {
		switch {
		case word == "--":
			return nil
		case strings.HasPrefix(word, "-") && word != "-":
			if !slices.ContainsFunc(c.flags, func(f modelFlag) bool { return word == "--"+f.long || word == "-"+string(f.short) }) {
				return fmt.Errorf("no flag %s", word)
			}
		case len(c.children) > 0:
			var next *modelCommand
			for name := range strings.SplitSeq(word, "|") {
				i := slices.IndexFunc(c.children, func(child *modelCommand) bool { return child.path[len(child.path)-1] == name })
				if i < 0 {
					return fmt.Errorf("no command %s", name)
				}
				next = c.children[i]
			}
			c = next
		}
	}
	return nil
}
