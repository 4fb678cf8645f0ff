package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/repotree"
)

// bannedNames are package names that say nothing, or that force every importer to rename.
var bannedNames = []string{
	"base", "common", "core", "errors", "helper", "helpers", "log", "manager", "misc", "net", "pkg", "types", "util", "utils",
}

// pureNet are the parts of net that only hold and parse values.
var pureNet = []string{"net/netip", "net/url"}

// impureClock are the parts of time that read or wait for the clock.
var impureClock = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}

// telemetry are import path prefixes of libraries that report somewhere. Our files never import them; what a
// dependency brings along is watched by the test of the built program.
var telemetry = []string{
	"github.com/DataDog/datadog-go", "github.com/DataDog/dd-trace-go", "github.com/bugsnag/", "github.com/getsentry/",
	"github.com/honeycombio/", "github.com/newrelic/", "github.com/posthog/", "github.com/rollbar/",
	"github.com/segmentio/analytics-go", "go.opentelemetry.io/",
}

// rows indexes a layout by folder.
func rows(layout []Package) map[string]Package {
	m := make(map[string]Package, len(layout))
	for _, p := range layout {
		m[p.Dir] = p
	}
	return m
}

// own strips the module path from an import path; ok is false for other people's packages.
func own(module, importPath string) (dir string, ok bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// checkMap compares the folders that hold Go files with the rows of the layout, in both directions.
func checkMap(tree *repotree.Tree, layout []Package) []string {
	present := map[string]bool{}
	for _, f := range tree.Files {
		present[f.Dir] = true
	}
	known := rows(layout)
	var problems []string
	for dir := range present {
		row, ok := known[dir]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s: package has no row in the layout", dir))
		case row.Planned:
			problems = append(problems, fmt.Sprintf("%s: package exists, so its row is no longer planned", dir))
		}
	}
	for _, row := range layout {
		if !present[row.Dir] && !row.Planned {
			problems = append(problems, fmt.Sprintf("%s: row has no package and is not marked as planned", row.Dir))
		}
	}
	sort.Strings(problems)
	return problems
}

// checkLayout looks at the table itself: no folder twice, no unknown folder in a row, and every import points
// from a later layer to an earlier one or to a neighbour.
func checkLayout(layout []Package) []string {
	known := rows(layout)
	var problems []string
	if len(known) != len(layout) {
		problems = append(problems, "a folder has two rows")
	}
	for _, row := range layout {
		for _, dir := range append(slices.Clone(row.May), row.Tests...) {
			if _, ok := known[dir]; !ok {
				problems = append(problems, fmt.Sprintf("%s: may import %s, which has no row", row.Dir, dir))
			}
		}
		for _, dir := range row.May {
			if known[dir].Layer > row.Layer {
				problems = append(problems, fmt.Sprintf("%s: %s may not import %s, which is %s", row.Dir, row.Layer, dir, known[dir].Layer))
			}
			if row.Layer == Adapter && known[dir].Layer == Engine {
				problems = append(problems, fmt.Sprintf("%s: an adapter may not import the engine's %s", row.Dir, dir))
			}
			if dir == brokerDir && row.Layer != Wiring && row.Layer != Evidence {
				problems = append(problems, fmt.Sprintf("%s: only wiring and tests may import %s", row.Dir, dir))
			}
		}
	}
	return problems
}

// checkImports compares every import of an own package with the row of the importing one.
func checkImports(tree *repotree.Tree, module string, layout []Package) []string {
	known := rows(layout)
	var problems []string
	for _, f := range tree.Files {
		row := known[f.Dir]
		for _, p := range f.Imports() {
			if slices.ContainsFunc(telemetry, func(prefix string) bool { return strings.HasPrefix(p, prefix) }) {
				problems = append(problems, fmt.Sprintf("%s: imports %s, which reports to somewhere else", f.Path, p))
			}
			dir, ok := own(module, p)
			if !ok || dir == f.Dir || slices.Contains(row.May, dir) {
				continue
			}
			if f.Test && (slices.Contains(row.Tests, dir) || slices.Contains(testSupport, dir)) {
				continue
			}
			problems = append(problems, fmt.Sprintf("%s: %s may not import %s", f.Path, f.Dir, dir))
		}
	}
	return problems
}

// checkNames refuses banned package names.
func checkNames(tree *repotree.Tree) []string {
	var problems []string
	for _, f := range tree.Files {
		for _, name := range []string{f.Package(), path.Base(f.Dir)} {
			if slices.Contains(bannedNames, name) {
				problems = append(problems, fmt.Sprintf("%s: a package is not called %s", f.Path, name))
				break
			}
		}
	}
	return problems
}

// checkPure looks for sockets, files, clocks and chance in the pure layers, and for what no product file may use:
// cgo, the old math/rand, the testing package outside of test support, and registration in init.
func checkPure(tree *repotree.Tree, layout []Package) []string {
	known := rows(layout)
	used := map[string]bool{}
	var problems []string
	for _, f := range tree.Files {
		row := known[f.Dir]
		if f.Test || row.Layer == Evidence {
			continue
		}
		for _, found := range impurities(tree, f, row.Layer.pure()) {
			if _, ok := row.Except[found.what]; ok {
				used[f.Dir+" "+found.what] = true
				continue
			}
			problems = append(problems, fmt.Sprintf("%s:%d: %s in %s", f.Path, found.line, found.what, row.Layer))
		}
	}
	for _, row := range layout {
		for what := range row.Except {
			if !row.Planned && !used[row.Dir+" "+what] {
				problems = append(problems, fmt.Sprintf("%s: the exception for %s is not needed", row.Dir, what))
			}
		}
	}
	return problems
}

// An impurity is one forbidden import, selector or declaration.
type impurity struct {
	what string
	line int
}

func impurities(tree *repotree.Tree, f *repotree.File, pure bool) []impurity {
	var found []impurity
	clock := ""
	for _, spec := range f.AST.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if p == "time" {
			clock = "time"
			if spec.Name != nil {
				clock = spec.Name.Name
			}
		}
		if forbiddenImport(f.Dir, p, pure) {
			found = append(found, impurity{p, tree.Line(spec)})
		}
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				found = append(found, impurity{"init function", tree.Line(n)})
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && pure && clock != "" && x.Name == clock && slices.Contains(impureClock, n.Sel.Name) {
				found = append(found, impurity{"time." + n.Sel.Name, tree.Line(n)})
			}
		}
		return true
	})
	return found
}

// forbiddenImport says whether product code in dir may not import p. The store's contract suite is called by
// tests and therefore speaks testing.
func forbiddenImport(dir, p string, pure bool) bool {
	switch {
	case p == "C" || p == "math/rand" || p == "log":
		return true
	case p == "testing" || strings.HasPrefix(p, "testing/"):
		return dir != "internal/store/storetest"
	case !pure || slices.Contains(pureNet, p):
		return false
	}
	return p == "math/rand/v2" || p == "syscall" || under(p, "net") || under(p, "os") || under(p, "crypto/tls")
}

func under(p, parent string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }
