// Package repotree reads the repository's own Go files, for tests about the code itself.
//
// It parses files instead of asking the go command: the test cache sees which files and folders a test opens, but not
// what a child process reads, so a check built on "go list" would keep reporting an old pass.
package repotree

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// A File is one parsed Go file.
type File struct {
	Path  string // slash-separated, relative to the root
	Dir   string // slash-separated folder of Path; "." for the root
	Test  bool   // the name ends in _test.go
	Lines int
	AST   *ast.File
}

// Package is the package clause's name, without the _test of an external test package.
func (f *File) Package() string {
	if !f.Test {
		return f.AST.Name.Name
	}
	return strings.TrimSuffix(f.AST.Name.Name, "_test")
}

// Imports lists the import paths of the file in the order they are written.
func (f *File) Imports() []string {
	paths := make([]string, 0, len(f.AST.Imports))
	for _, spec := range f.AST.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// A Tree is every Go file of one module, sorted by path, build tags ignored.
type Tree struct {
	Root  string // the folder that was read
	Fset  *token.FileSet
	Files []*File
}

// Root finds the repository's root: the nearest folder with a go.mod, from the working folder of the test upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in this folder or above it")
		}
		dir = parent
	}
}

// Read parses every Go file below root. It leaves out what the go command leaves out: folders named testdata or
// vendor or beginning with "." or "_", and nested modules. A file that does not parse is an error.
func Read(root string) (*Tree, error) {
	t := &Tree{Root: root, Fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(root, name, d.Name())
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := t.parse(name)
		if err != nil {
			return err
		}
		t.Files = append(t.Files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read Go files below %s: %w", root, err)
	}
	sort.Slice(t.Files, func(i, j int) bool { return t.Files[i].Path < t.Files[j].Path })
	return t, nil
}

// enter decides whether the walk goes into a folder: nil to go in, fs.SkipDir to stay out.
func enter(root, name, base string) error {
	if name == root {
		return nil
	}
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (t *Tree) parse(name string) (*File, error) {
	source, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(t.Root, name)
	if err != nil {
		return nil, err
	}
	rel = filepath.ToSlash(rel)
	parsed, err := parser.ParseFile(t.Fset, rel, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &File{
		Path:  rel,
		Dir:   path.Dir(rel),
		Test:  strings.HasSuffix(rel, "_test.go"),
		Lines: t.Fset.File(parsed.FileStart).LineCount(),
		AST:   parsed,
	}, nil
}

// Line is the line on which a node of the tree begins.
func (t *Tree) Line(n ast.Node) int { return t.Fset.Position(n.Pos()).Line }
