package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/repotree"
)

// link is a Markdown link without its text; an address of another site has a colon.
var link = regexp.MustCompile(`\]\(([^):#\s]+)(#[^)\s]*)?\)`)

// brokenLinks lists the links of a page that lead to no file of the repository.
func brokenLinks(page, text string) []string {
	var broken []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))); err != nil {
			broken = append(broken, fmt.Sprintf("%s: nothing at %s", page, m[1]))
		}
	}
	return broken
}

// TestLinks follows every link between the pages, and from the pages to tests and sources.
func TestLinks(t *testing.T) {
	root, err := repotree.Root()
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"bin", "dist", "sealmq-data", "node_modules"}, d.Name())) {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		pages++
		text, err := os.ReadFile(path)
		for _, b := range brokenLinks(path, string(text)) {
			t.Error(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 20 {
		t.Errorf("%d pages found", pages)
	}
	if got := brokenLinks(filepath.Join(root, "x.md"), "[a](README.md) [b](https://plant.example) [c](#here) [d](no/such.md#part)"); len(got) != 1 {
		t.Errorf("planted links: %q", got)
	}
}

// TestMap finds every package of the layout in the map of ARCHITECTURE.md: named, or below a folder that is.
func TestMap(t *testing.T) {
	root, err := repotree.Root()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), "\n## Packages\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for _, row := range layout {
		if row.Planned || strings.HasPrefix(row.Dir, "cmd/") || strings.HasPrefix(row.Dir, "examples/") || strings.HasPrefix(row.Dir, "vectors") {
			continue
		}
		named := false
		for dir := row.Dir; dir != "." && !named; dir = filepath.ToSlash(filepath.Dir(dir)) {
			named = strings.Contains(text, "`"+dir+"`")
		}
		if !named {
			t.Errorf("%s is not in the map of packages", row.Dir)
		}
	}
}
