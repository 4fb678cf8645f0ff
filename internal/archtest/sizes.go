package archtest

import (
	"fmt"
	"go/ast"
	"sort"

	"github.com/sealmq/sealmq/internal/repotree"
)

// Size limits. A file is better kept near half of its limit; the others are what a reader holds in the head.
const (
	maxFileLines        = 800
	maxFunctionLines    = 80
	maxInterfaceMethods = 6
)

// checkSizes measures files, functions and interfaces. allowed lists long functions and wide
// interfaces with a reason; an entry that nothing needs any more is a problem as well. Test functions may be long: a table is data.
func checkSizes(tree *repotree.Tree, allowed, wide map[string]string) []string {
	needed := map[string]bool{}
	var problems []string
	for _, f := range tree.Files {
		if f.Lines > maxFileLines {
			problems = append(problems, fmt.Sprintf("%s: %d lines, at most %d", f.Path, f.Lines, maxFileLines))
		}
		if f.Test {
			continue
		}
		for _, decl := range f.AST.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := tree.Fset.Position(fn.End()).Line - tree.Line(fn) + 1
			if lines <= maxFunctionLines {
				continue
			}
			name := functionName(f.Dir, fn)
			needed[name] = true
			if allowed[name] == "" {
				problems = append(problems, fmt.Sprintf("%s:%d: %s has %d lines, at most %d without a reason", f.Path, tree.Line(fn), name, lines, maxFunctionLines))
			}
		}
	}
	for name := range allowed {
		if !needed[name] {
			problems = append(problems, fmt.Sprintf("%s is listed as a long function and is not one", name))
		}
	}
	problems = append(problems, checkInterfaces(tree, wide)...)
	sort.Strings(problems)
	return problems
}

// functionName is "folder.Func" or "folder.Type.Method".
func functionName(dir string, fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return dir + "." + fn.Name.Name
	}
	recv := fn.Recv.List[0].Type
	for {
		switch t := recv.(type) {
		case *ast.StarExpr:
			recv = t.X
		case *ast.IndexExpr:
			recv = t.X
		case *ast.IndexListExpr:
			recv = t.X
		case *ast.Ident:
			return dir + "." + t.Name + "." + fn.Name.Name
		default:
			return dir + ".?." + fn.Name.Name
		}
	}
}

// checkInterfaces counts the methods of every declared interface, with those of interfaces of the same package
// that it embeds. An embedded interface of another package counts as one.
func checkInterfaces(tree *repotree.Tree, allowed map[string]string) []string {
	type place struct {
		dir, name, path string
		line            int
	}
	declared := map[string]*ast.InterfaceType{}
	var places []place
	for _, f := range tree.Files {
		ast.Inspect(f.AST, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if it, ok := spec.Type.(*ast.InterfaceType); ok {
				declared[f.Dir+"."+spec.Name.Name] = it
				places = append(places, place{f.Dir, spec.Name.Name, f.Path, tree.Line(spec)})
			}
			return true
		})
	}
	needed := map[string]bool{}
	var problems []string
	for _, p := range places {
		name := p.dir + "." + p.name
		n := methods(declared, p.dir, declared[name], 0)
		if n <= maxInterfaceMethods {
			continue
		}
		needed[name] = true
		if allowed[name] == "" {
			problems = append(problems, fmt.Sprintf("%s:%d: interface %s has %d methods, at most %d", p.path, p.line, p.name, n, maxInterfaceMethods))
		}
	}
	for name := range allowed {
		if !needed[name] {
			problems = append(problems, fmt.Sprintf("%s is listed as a wide interface and is not one", name))
		}
	}
	return problems
}

// methods counts what an implementer must write. depth ends the recursion of a package that embeds in a circle,
// which the compiler refuses anyway.
func methods(declared map[string]*ast.InterfaceType, dir string, it *ast.InterfaceType, depth int) int {
	n := 0
	for _, field := range it.Methods.List {
		if len(field.Names) > 0 {
			n += len(field.Names)
			continue
		}
		switch t := field.Type.(type) {
		case *ast.Ident:
			if embedded := declared[dir+"."+t.Name]; embedded != nil && depth < 8 {
				n += methods(declared, dir, embedded, depth+1)
			}
		case *ast.SelectorExpr:
			n++
		}
	}
	return n
}
