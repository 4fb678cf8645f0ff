package conformance

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/repotree"
)

// importPath is what a test file imports to declare something.
const importPath = "github.com/sealmq/sealmq/internal/conformance"

// citation finds bracketed identifiers in comments; what it finds need not be a well-formed one.
var citation = regexp.MustCompile(`\[(MQTT(?:311)?-[^\]\s]*)\]`)

// Evidence is what the source says about statements.
type Evidence struct {
	Tests    map[string][]string // identifier → "folder.TestName", sorted
	Code     map[string][]string // identifier → files that are not tests, sorted
	Problems []string            // declarations and citations that cannot be read
}

// Collect reads declarations and citations of a tree.
func Collect(tree *repotree.Tree) Evidence {
	e := Evidence{Tests: map[string][]string{}, Code: map[string][]string{}}
	for _, f := range tree.Files {
		if f.Test {
			e.declarations(tree, f)
		}
		e.citations(tree, f)
	}
	for _, m := range []map[string][]string{e.Tests, e.Code} {
		for id := range m {
			slices.Sort(m[id])
			m[id] = slices.Compact(m[id])
		}
	}
	return e
}

func (e *Evidence) problem(format string, args ...any) {
	e.Problems = append(e.Problems, fmt.Sprintf(format, args...))
}

// citations collects bracketed identifiers. Those in test files are checked for their form only: a test's evidence is
// its declaration.
func (e *Evidence) citations(tree *repotree.Tree, f *repotree.File) {
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			for _, m := range citation.FindAllStringSubmatch(c.Text, -1) {
				switch {
				case !idPattern.MatchString(m[1]):
					e.problem("%s:%d: [%s] is not the identifier of a statement", f.Path, tree.Line(c), m[1])
				case f.Test:
					if _, ok := e.Tests[m[1]]; !ok {
						e.Tests[m[1]] = nil
					}
				default:
					e.Code[m[1]] = append(e.Code[m[1]], f.Path)
				}
			}
		}
	}
}

// declarations collects the calls of Covers in one test file.
func (e *Evidence) declarations(tree *repotree.Tree, f *repotree.File) {
	name := packageName(f)
	if name == "" {
		return
	}
	for _, decl := range f.AST.Decls {
		fn, _ := decl.(*ast.FuncDecl)
		ast.Inspect(decl, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isCovers(call, name) {
				return true
			}
			where := fmt.Sprintf("%s:%d", f.Path, tree.Line(call))
			if fn == nil || fn.Recv != nil || !isTestName(fn.Name.Name) {
				e.problem("%s: Covers is called outside of a test function", where)
				return true
			}
			if len(call.Args) < 2 {
				e.problem("%s: Covers names no statement", where)
			}
			for _, arg := range call.Args[min(1, len(call.Args)):] {
				id, ok := literal(arg)
				if !ok {
					e.problem("%s: Covers takes string literals", where)
					continue
				}
				e.Tests[id] = append(e.Tests[id], f.Dir+"."+fn.Name.Name)
			}
			return true
		})
	}
}

// packageName is the name under which a file knows this package, or "".
func packageName(f *repotree.File) string {
	for _, spec := range f.AST.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err != nil || p != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return "conformance"
	}
	return ""
}

func isCovers(call *ast.CallExpr, name string) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Covers" {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == name
}

func isTestName(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
