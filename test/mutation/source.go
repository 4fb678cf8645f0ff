package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// Change is what is done to a condition.
type Change string

// The changes.
const (
	Never   Change = "never true"
	Always  Change = "always true"
	Without Change = "without this operand"
	Shifted Change = "bound moved by one"
	NoError Change = "error forgotten"
)

// Mutant is one change of one condition, or of one error that is returned.
type Mutant struct {
	ID     int // from 1, in the order of the source
	File   string
	Line   int
	Change Change
	Text   string // of what is changed
}

// String is the mutant on one line.
func (m *Mutant) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", m.File, m.Line, m.Change, m.Text)
}

// The functions that switch a mutant on; the text of both is in switchText.
const (
	condition = "mutationOn"
	failure   = "mutationError"
)

// edit replaces a part of the source by what wrap makes of it, after the edits within it.
type edit struct {
	start, end int
	wrap       func(inner string) string
}

// source is one file with the mutants that were found in it.
type source struct {
	name    string
	text    []byte
	set     *token.FileSet
	first   int // number of the first mutant
	mutants []Mutant
	edits   []edit
	done    map[ast.Expr]bool // conditions that have their mutants
}

// instrument writes all mutants of a file into it, each behind a switch, so that one build serves all of them. Lines keep
// their numbers.
func instrument(name string, text []byte, first int) (string, []Mutant, error) {
	s := &source{name: name, text: text, set: token.NewFileSet(), first: first, done: map[ast.Expr]bool{}}
	file, err := parser.ParseFile(s.set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return "", nil, err
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			s.function(f.Type, f.Body)
		} else {
			ast.Inspect(d, s.literal)
		}
	}
	slices.SortStableFunc(s.edits, func(a, b edit) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	return s.render(0, len(text), s.edits), s.mutants, nil
}

// render applies edits, which are sorted, the outer ones first.
func (s *source) render(start, end int, edits []edit) string {
	var b strings.Builder
	for i := 0; i < len(edits); {
		e, next := edits[i], i+1
		for next < len(edits) && edits[next].start < e.end {
			next++
		}
		b.Write(s.text[start:e.start])
		b.WriteString(e.wrap(s.render(e.start, e.end, edits[i+1:next])))
		start, i = e.end, next
	}
	b.Write(s.text[start:end])
	return b.String()
}

func (s *source) at(p token.Pos) int { return s.set.Position(p).Offset }

func (s *source) textOf(n ast.Node) string { return string(s.text[s.at(n.Pos()):s.at(n.End())]) }

// add records a mutant of n; wrap makes its text of what is there.
func (s *source) add(n ast.Node, c Change, wrap func(inner string, id int) string) {
	id := s.first + len(s.mutants)
	text := strings.Join(strings.Fields(s.textOf(n)), " ")
	s.mutants = append(s.mutants, Mutant{ID: id, File: s.name, Line: s.set.Position(n.Pos()).Line, Change: c, Text: text})
	s.edits = append(s.edits, edit{s.at(n.Pos()), s.at(n.End()), func(inner string) string { return wrap(inner, id) }})
}

func (s *source) literal(n ast.Node) bool {
	f, ok := n.(*ast.FuncLit)
	if ok {
		s.function(f.Type, f.Body)
	}
	return !ok
}

// function finds the conditions of one function, and the errors that it returns.
func (s *source) function(t *ast.FuncType, body *ast.BlockStmt) {
	result := ""
	if t.Results != nil && len(t.Results.List) == 1 && len(t.Results.List[0].Names) < 2 {
		if name, ok := t.Results.List[0].Type.(*ast.Ident); ok {
			result = name.Name
		}
	}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return s.literal(n)
		case *ast.IfStmt:
			s.whole(n.Cond)
		case *ast.ForStmt: // one that never ends shows nothing
			ast.Inspect(n.Cond, func(n ast.Node) bool {
				if e, ok := n.(ast.Expr); ok {
					s.done[e] = true
				}
				return n != nil
			})
		case *ast.SwitchStmt:
			if n.Tag == nil {
				for _, c := range n.Body.List {
					for _, e := range c.(*ast.CaseClause).List {
						s.whole(e)
					}
				}
			}
		case *ast.ReturnStmt:
			if len(n.Results) == 1 {
				s.result(result, n.Results[0])
			}
		case *ast.BinaryExpr:
			s.operands(n)
		}
		return true
	})
}

// result is what a function with a single result returns.
func (s *source) result(kind string, e ast.Expr) {
	name, _ := e.(*ast.Ident)
	switch {
	case kind == "bool" && (name == nil || name.Name != "true" && name.Name != "false"):
		s.whole(e)
	case kind == "error" && (name == nil || name.Name != "nil"):
		s.add(e, NoError, func(inner string, id int) string { return fmt.Sprintf("%s(%d, %s)", failure, id, inner) })
	}
}

// whole makes a condition never and always true. An error that is always there would only show that something fails.
func (s *source) whole(e ast.Expr) {
	s.add(e, Never, func(inner string, id int) string { return fmt.Sprintf("(%s) && !%s(%d)", inner, condition, id) })
	if text := s.textOf(e); !strings.HasPrefix(text, "err") || !strings.HasSuffix(text, " != nil") {
		s.add(e, Always, func(inner string, id int) string { return fmt.Sprintf("((%s) || %s(%d))", inner, condition, id) })
	}
	s.operands(e)
}

// operands leaves out each side of && and ||, and moves bounds by one.
func (s *source) operands(e ast.Expr) {
	if s.done[e] {
		return
	}
	s.done[e] = true
	switch e := e.(type) {
	case *ast.ParenExpr:
		s.operands(e.X)
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			s.operands(e.X)
		}
	case *ast.BinaryExpr:
		s.binary(e)
	}
}

// moved are the comparisons on the other side of their bound.
var moved = map[token.Token]token.Token{token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR}

func (s *source) binary(e *ast.BinaryExpr) {
	switch other := moved[e.Op]; {
	case e.Op == token.LAND || e.Op == token.LOR:
		for _, side := range []ast.Expr{e.X, e.Y} {
			form := map[token.Token]string{token.LAND: "((%s) || %s(%d))", token.LOR: "((%s) && !%s(%d))"}[e.Op]
			s.add(side, Without, func(inner string, id int) string { return fmt.Sprintf(form, inner, condition, id) })
			s.operands(side)
		}
	case other != token.ILLEGAL:
		x, y := s.textOf(e.X), s.textOf(e.Y)
		s.add(e, Shifted, func(inner string, id int) string {
			return fmt.Sprintf("(%[1]s(%[2]d) && %[3]s %[4]v %[5]s || !%[1]s(%[2]d) && (%[6]s))", condition, id, x, other, y, inner)
		})
	}
}
