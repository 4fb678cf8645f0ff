package main

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// TestSurvivors: of a package whose tests know some of its checks, exactly those are printed that they do not know.
func TestSurvivors(t *testing.T) {
	b, err := build(t.Context(), t.TempDir(), "./testdata/guarded", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.trace(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := b.survivors(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b *Mutant) int { return a.ID - b.ID })
	var got []string
	for _, m := range list {
		got = append(got, m.String())
	}
	want := []string{
		"guarded.go:22: without this operand: !admin",
		"guarded.go:25: bound moved by one: age >= 18",
		"guarded.go:30: never true: err != nil",
		"guarded.go:31: error forgotten: err",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(b.mutants) != 16 {
		t.Errorf("%d mutants", len(b.mutants))
	}
}

// TestInstrument: each kind of condition has its mutants, the text stays Go, and lines keep their numbers.
func TestInstrument(t *testing.T) {
	const text = `package p

func f(a, b int, err error) bool {
	if err != nil {
		return false
	}
	for a < b {
		a++
	}
	ok := a > 1 || b <= 2
	switch {
	case ok, !(a == b && b != 3):
		return true
	}
	g := func() error { return err }
	return g() == nil
}

var h = func(a int) error {
	if a >= 0 {
		return nil
	}
	return errX
}
`
	out, mutants, err := instrument("p.go", []byte(text), 5)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, m := range mutants {
		if m.ID != 5+i {
			t.Errorf("number %d of %v", m.ID, &m)
		}
		got = append(got, m.String())
	}
	slices.Sort(got)
	want := []string{
		"p.go:10: bound moved by one: a > 1", "p.go:10: bound moved by one: b <= 2", "p.go:10: without this operand: a > 1", "p.go:10: without this operand: b <= 2",
		"p.go:12: always true: !(a == b && b != 3)", "p.go:12: always true: ok", "p.go:12: never true: !(a == b && b != 3)", "p.go:12: never true: ok",
		"p.go:12: without this operand: a == b", "p.go:12: without this operand: b != 3",
		"p.go:15: error forgotten: err", "p.go:16: always true: g() == nil", "p.go:16: never true: g() == nil",
		"p.go:20: always true: a >= 0", "p.go:20: bound moved by one: a >= 0", "p.go:20: never true: a >= 0", "p.go:23: error forgotten: errX",
		"p.go:4: never true: err != nil",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "p.go", out, 0); err != nil || strings.Count(out, "\n") != strings.Count(text, "\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "for a < b {") {
		t.Error("a loop was changed")
	}
	if _, _, err := instrument("p.go", []byte("package"), 1); err == nil {
		t.Error("what is no Go was taken")
	}
}

// TestBuildErrors: what cannot be built says why.
func TestBuildErrors(t *testing.T) {
	for pkg, want := range map[string]string{"./testdata/missing": "go list", "./testdata/guarded": "nothing to change"} {
		if _, err := build(t.Context(), t.TempDir(), pkg, []string{"absent.go"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", pkg, err, want)
		}
	}
	if err := run(t.Context(), nil, 1, false); err == nil {
		t.Error("no package")
	}
}
