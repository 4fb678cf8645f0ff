package archtest

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/sealmq/sealmq/internal/repotree"
)

// maxProductModules bounds the modules that the product imports directly.
const maxProductModules = 20

// Licences that a dependency may have. The weaker copyleft ones stay in tests and never reach the binary.
var (
	productLicences = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}
	testLicences    = append([]string{"EPL-2.0", "MPL-2.0"}, productLicences...)
)

// A dependency is one row of docs/dependencies.md: | module | used by | licence | reason |.
type dependency struct {
	module  string
	usedBy  string // product, tests, or along: brought by another module
	licence string
	reason  string
}

// parseDependencies reads the rows whose first cell is a module path in backquotes; other lines are prose.
func parseDependencies(text string) ([]dependency, error) {
	var deps []dependency
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			return nil, fmt.Errorf("row with %d cells, want 4: %s", len(cells), line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		d := dependency{strings.Trim(cells[0], "`"), cells[1], cells[2], cells[3]}
		if !slices.Contains([]string{"product", "tests", "along"}, d.usedBy) {
			return nil, fmt.Errorf("%s: used by %q, want product, tests or along", d.module, d.usedBy)
		}
		deps = append(deps, d)
	}
	return deps, nil
}

// parseModules lists the module paths that a go.mod requires, direct and indirect.
func parseModules(text string) []string {
	var modules []string
	block := false
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] == "require" && len(fields) == 2 && fields[1] == "(":
			block = true
		case fields[0] == ")":
			block = false
		case fields[0] == "require" && len(fields) == 3:
			modules = append(modules, fields[1])
		case block && len(fields) == 2:
			modules = append(modules, fields[0])
		}
	}
	return modules
}

// imported maps each required module that our files import to "product" or, if only tests do, "tests".
func imported(tree *repotree.Tree, layout []Package, modules []string) map[string]string {
	known := rows(layout)
	by := map[string]string{}
	for _, f := range tree.Files {
		use := "product"
		if f.Test || known[f.Dir].Layer == Evidence || f.Dir == "internal/store/storetest" {
			use = "tests"
		}
		for _, p := range f.Imports() {
			module := owner(modules, p)
			if module != "" && by[module] != "product" {
				by[module] = use
			}
		}
	}
	return by
}

// owner is the longest module path that is a prefix of an import path.
func owner(modules []string, importPath string) string {
	best := ""
	for _, m := range modules {
		if under(importPath, m) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

// checkDependencies compares go.mod, the imports and docs/dependencies.md.
func checkDependencies(deps []dependency, modules []string, by map[string]string) []string {
	listed := map[string]dependency{}
	var problems []string
	product := 0
	for _, d := range deps {
		if _, twice := listed[d.module]; twice {
			problems = append(problems, d.module+": listed twice")
		}
		listed[d.module] = d
		allowed := productLicences
		if d.usedBy == "tests" {
			allowed = testLicences
		}
		if !slices.Contains(allowed, d.licence) {
			problems = append(problems, fmt.Sprintf("%s: licence %s is not allowed in %s", d.module, d.licence, d.usedBy))
		}
		if len(strings.Fields(d.reason)) < 3 {
			problems = append(problems, d.module+": has no reason")
		}
		if !slices.Contains(modules, d.module) {
			problems = append(problems, d.module+": listed, but go.mod does not require it")
		}
		if d.usedBy == "product" {
			product++
		}
	}
	for _, m := range modules {
		if _, ok := listed[m]; !ok {
			problems = append(problems, m+": required by go.mod, but not listed with a reason")
		}
	}
	for m, use := range by {
		if d, ok := listed[m]; ok && d.usedBy != use && !(use == "tests" && d.usedBy == "product") {
			problems = append(problems, fmt.Sprintf("%s: listed for %s, imported by %s", m, d.usedBy, use))
		}
	}
	if product > maxProductModules {
		problems = append(problems, fmt.Sprintf("%d modules in the product, at most %d", product, maxProductModules))
	}
	sort.Strings(problems)
	return problems
}
