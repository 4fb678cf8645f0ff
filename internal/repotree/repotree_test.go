package repotree

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadLeavesOutWhatTheGoCommandLeavesOut(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"go.mod":              "module example.test\n",
		"a/a.go":              "package a\n\nimport \"io\"\n\nvar _ io.Reader\n",
		"a/a_test.go":         "package a_test\n",
		"a/testdata/bad.go":   "not go",
		"a/_old/bad.go":       "not go",
		".hidden/bad.go":      "not go",
		"vendor/x/bad.go":     "not go",
		"nested/go.mod":       "module example.test/nested\n",
		"nested/inner/bad.go": "not go",
		"docs/readme.md":      "text",
	})
	tree, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range tree.Files {
		paths = append(paths, f.Path)
	}
	if diff := cmp.Diff([]string{"a/a.go", "a/a_test.go"}, paths); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	a, external := tree.Files[0], tree.Files[1]
	if a.Dir != "a" || a.Test || a.Lines != 5 || a.Package() != "a" {
		t.Errorf("a.go: dir %q, test %v, lines %d, package %q", a.Dir, a.Test, a.Lines, a.Package())
	}
	if diff := cmp.Diff([]string{"io"}, a.Imports()); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}
	if !external.Test || external.Package() != "a" {
		t.Errorf("a_test.go: test %v, package %q", external.Test, external.Package())
	}
}

func TestReadRefusesAFileThatDoesNotParse(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a/a.go": "package a\n\nfunc {"})
	if _, err := Read(root); err == nil {
		t.Fatal("a file with a syntax error was read without an error")
	}
}

func TestRootIsTheModule(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "internal", "repotree", "repotree.go")); err != nil {
		t.Fatalf("%s is not the repository's root: %v", root, err)
	}
}
