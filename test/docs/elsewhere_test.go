//go:build unix && !race

package docs

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/repotree"
)

// row is a kind of command that is not run here.
type row struct {
	command *regexp.Regexp
	why     string
	interop bool // make interop runs it
}

// inCI is why steps of .ci/run are not run here. TestSteps looks them up.
const inCI = "a step of .ci/run"

// notHere are the commands that no test of this package runs without more than Go, or in the time of a test.
var notHere = []row{
	{command: regexp.MustCompile(`^systemctl `), why: "acts on the services of the machine; systemd-analyze looks at the unit in test/release"},
	{command: regexp.MustCompile(`^podman `), why: "needs a container engine; TestContainer in test/interop builds and runs the image with buildah"},
	{command: regexp.MustCompile(`^mosquitto_(pub|sub) `), why: "needs mosquitto-clients", interop: true},
	{command: regexp.MustCompile(`^make (interop|compare|growth|bench|conformance-update)\b`), why: "a suite of its own"},
	{command: regexp.MustCompile(`^(go test \./\.\.\.|make [a-z -]+)$`), why: inCI},
	{command: regexp.MustCompile(`go test .*-(run|bench) `), why: "a test of this tree, some of them for half an hour; TestNamedTests looks them up"},
	{command: regexp.MustCompile(`^go run \./test/bench load `), why: "loads the machine for some seconds", interop: true},
	{command: regexp.MustCompile(`^go run \./v[35] `), why: "fetches modules of its own", interop: true},
	{command: regexp.MustCompile(`^CGO_ENABLED=0 go build -trimpath`), why: "compiles everything once more", interop: true},
	{command: regexp.MustCompile(`^sealmq demo($| +#| .*--(all|json))`), why: "takes half a minute; the scripts of cmd/sealmq run it", interop: true},
	{command: regexp.MustCompile(`^sealmq bench `), why: "measures for half a minute and more", interop: true},
}

// elsewhere says why a command is not run here; "" if it is.
func elsewhere(command string) string {
	for _, r := range notHere {
		if r.command.MatchString(command) && !(interop && r.interop) {
			return r.why
		}
	}
	return ""
}

// TestElsewhereIsNeeded: a row without a command is removed.
func TestElsewhereIsNeeded(t *testing.T) {
	pages, err := allPages()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range notHere {
		needed := false
		for _, p := range pages {
			for _, s := range p.steps {
				needed = needed || r.command.MatchString(s.command)
			}
		}
		if !needed {
			t.Errorf("no page has a command %s", r.command)
		}
	}
}

// TestSteps: what a page calls a step of .ci/run is one, and the Makefile has it.
func TestSteps(t *testing.T) {
	root, err := repotree.Root()
	if err != nil {
		t.Fatal(err)
	}
	makefile, ci := read(t, root, "Makefile"), read(t, root, ".ci", "run")
	pages, err := allPages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		for _, s := range slices.Concat(p.steps, p.mentions) {
			targets, ok := strings.CutPrefix(s.command, "make ")
			if s.command == "go test ./..." {
				targets, ok = "test", true
			}
			if !ok {
				continue
			}
			for _, target := range strings.Fields(targets) {
				if strings.HasPrefix(target, "#") || strings.Contains(target, "=") { // a comment, or variables
					break
				}
				if !regexp.MustCompile(`(?m)^` + target + `:`).MatchString(makefile) {
					t.Errorf("%s:%d: the Makefile has no target %s", p.path, s.line, target)
				}
				if elsewhere(s.command) == inCI && !strings.Contains(ci, "make "+target) {
					t.Errorf("%s:%d: .ci/run has no step make %s", p.path, s.line, target)
				}
			}
		}
	}
}

// TestNamedTests: the tests and benchmarks that pages name are there.
func TestNamedTests(t *testing.T) {
	root, err := repotree.Root()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := repotree.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := allPages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		for _, s := range slices.Concat(p.steps, p.mentions) {
			for _, m := range namedTests(s.command) {
				if !m.in(tree) {
					t.Errorf("%s:%d: %s has no %s %s", p.path, s.line, m.dir, m.kind, m.name)
				}
			}
		}
	}
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// namedTest is a test or benchmark that a command runs, by the expression that selects it.
type namedTest struct{ dir, kind, name string }

func namedTests(command string) []namedTest {
	if !strings.Contains(command, "go test ") || strings.Contains(command, " ./...") {
		return nil
	}
	words := strings.Fields(strings.ReplaceAll(command, "'", ""))
	dir := ""
	for _, w := range words {
		if strings.HasPrefix(w, "./") {
			dir = strings.TrimPrefix(w, "./")
		}
	}
	found := []namedTest{{dir: strings.TrimSuffix(dir, "/"), kind: "Test"}} // a folder with tests at least
	for i, w := range words[:len(words)-1] {
		switch {
		case w == "-bench":
			found = append(found, namedTest{strings.TrimSuffix(dir, "/"), "Benchmark", words[i+1]})
		case w == "-run" && !strings.Contains(command, "-bench "):
			found = append(found, namedTest{strings.TrimSuffix(dir, "/"), "Test", words[i+1]})
		}
	}
	return found
}

// in says whether the folder has a test that the expression selects; what stands behind a slash selects subtests.
func (n namedTest) in(tree *repotree.Tree) bool {
	name, _, _ := strings.Cut(n.name, "/")
	expression, err := regexp.Compile(name)
	if err != nil {
		return false
	}
	for _, f := range tree.Files {
		if f.Dir != n.dir || !f.Test {
			continue
		}
		for _, d := range f.AST.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(d.Name.Name, n.kind) && expression.MatchString(d.Name.Name) {
				return true
			}
		}
	}
	return false
}
