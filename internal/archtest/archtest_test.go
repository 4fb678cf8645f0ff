package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/repotree"
)

const module = "github.com/sealmq/sealmq"

func repository(t *testing.T) *repotree.Tree {
	t.Helper()
	root, err := repotree.Root()
	if err != nil {
		t.Fatal(err)
	}
	return readTree(t, root)
}

func readTree(t *testing.T, root string) *repotree.Tree {
	t.Helper()
	tree, err := repotree.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Files) == 0 {
		t.Fatalf("no Go file below %s", root)
	}
	return tree
}

func readText(t *testing.T, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

func TestLayoutPointsOneWay(t *testing.T) { report(t, checkLayout(layout)) }

func TestMapIsComplete(t *testing.T) { report(t, checkMap(repository(t), layout)) }

func TestImportsFollowTheMap(t *testing.T) { report(t, checkImports(repository(t), module, layout)) }

func TestPackageNames(t *testing.T) { report(t, checkNames(repository(t))) }

func TestPureCore(t *testing.T) { report(t, checkPure(repository(t), layout)) }

func TestSizes(t *testing.T) { report(t, checkSizes(repository(t), longFunctions, wideInterfaces)) }

func TestDependenciesHaveReasons(t *testing.T) {
	tree := repository(t)
	deps, err := parseDependencies(readText(t, tree.Root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	modules := parseModules(readText(t, tree.Root, "go.mod"))
	if len(modules) == 0 {
		t.Fatal("go.mod requires nothing")
	}
	report(t, checkDependencies(deps, modules, imported(tree, layout, modules)))
}

// The remaining tests are the negative controls: each plants violations and wants them reported, all of them and
// nothing else.

func planted(t *testing.T, name string) *repotree.Tree {
	t.Helper()
	return readTree(t, filepath.Join("testdata", name))
}

func wantProblems(t *testing.T, got []string, want ...string) {
	t.Helper()
	rest := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(rest, func(p string) bool { return strings.Contains(p, w) })
		if i < 0 {
			t.Errorf("not reported: %s", w)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	for _, p := range rest {
		t.Errorf("reported without a reason: %s", p)
	}
}

func TestPlantedImports(t *testing.T) {
	rows := []Package{
		{Dir: "vocab", Layer: Vocabulary},
		{Dir: brokerDir, Layer: Engine, May: []string{"vocab"}},
		{Dir: "adapter", Layer: Adapter, May: []string{"vocab"}},
		{Dir: "gone", Layer: Adapter},
		{Dir: "later", Layer: Adapter, Planned: true},
		{Dir: "arrived", Layer: Adapter, Planned: true},
	}
	tree := planted(t, "imports")
	wantProblems(t, checkImports(tree, "example.test/planted", rows),
		"vocab/vocab.go: vocab may not import adapter",
		"adapter/adapter.go: adapter may not import internal/broker",
		"adapter/adapter.go: imports github.com/getsentry/sentry-go",
		"adapter/adapter_test.go: adapter may not import internal/broker",
	)
	wantProblems(t, checkMap(tree, rows),
		"arrived: package exists, so its row is no longer planned",
		"gone: row has no package",
		"internal/util: package has no row",
	)
	wantProblems(t, checkNames(tree), "internal/util/util.go: a package is not called util")
}

func TestPlantedLayout(t *testing.T) {
	wantProblems(t, checkLayout([]Package{
		{Dir: "vocab", Layer: Vocabulary, May: []string{"logic"}},
		{Dir: "logic", Layer: Logic, May: []string{"nowhere"}},
		{Dir: "logic", Layer: Logic},
		{Dir: brokerDir, Layer: Engine},
		{Dir: "adapter", Layer: Adapter, May: []string{brokerDir}},
	}),
		"a folder has two rows",
		"vocab: vocabulary may not import logic",
		"logic: may import nowhere, which has no row",
		"adapter: an adapter may not import the engine's internal/broker",
		"adapter: only wiring and tests may import internal/broker",
	)
}

func TestPlantedImpurity(t *testing.T) {
	rows := []Package{
		{Dir: "logic", Layer: Logic, Except: map[string]string{"os": "planted", "time.Until": "planted and not used"}},
		{Dir: "adapter", Layer: Adapter},
		{Dir: "tests", Layer: Evidence},
	}
	wantProblems(t, checkPure(planted(t, "impure"), rows),
		"net in logic", "math/rand/v2 in logic", "time.Now in logic", "time.Sleep in logic", "init function in logic",
		"log in adapter", "testing in adapter", "math/rand in adapter", "C in adapter",
		"logic: the exception for time.Until is not needed",
	)
}

func TestPlantedSizes(t *testing.T) {
	root := t.TempDir()
	long := "package long\n\nfunc F() {\n" + strings.Repeat("\t_ = 1\n", 79) + "}\n\n" +
		"type T[P any] struct{}\n\nfunc (t *T[P]) M() {\n" + strings.Repeat("\t_ = 1\n", 79) + "}\n\n" +
		"func Short() {\n" + strings.Repeat("\t_ = 1\n", 78) + "}\n\n" +
		"type Small interface{ A(); B(); C() }\n\ntype Six interface {\n\tSmall\n\tD()\n\tE()\n\tF()\n}\n\ntype Seven interface {\n\tSix\n\tG()\n}\n"
	files := map[string]string{
		"go.mod":       "module example.test/sizes\n",
		"long/long.go": long,
		"file/file.go": "package file\n" + strings.Repeat("\n// line\n", 400),
	}
	for name, content := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree := readTree(t, root)
	wantProblems(t, checkSizes(tree, nil, nil),
		"file/file.go: 801 lines", "long.F has 81 lines", "long.T.M has 81 lines", "interface Seven has 7 methods")
	wantProblems(t, checkSizes(tree, map[string]string{"long.F": "a table", "long.T.M": "a table", "long.Short": "a table"},
		map[string]string{"long.Seven": "a sum", "long.Six": "a sum"}),
		"file/file.go: 801 lines", "long.Short is listed as a long function and is not one",
		"long.Six is listed as a wide interface and is not one")
}

func TestPlantedDependencies(t *testing.T) {
	deps, err := parseDependencies(strings.Join([]string{
		"| module | used by | licence | reason |",
		"| `example.test/good` | product | MIT | does the good thing |",
		"| `example.test/copyleft` | product | GPL-3.0 | does the other thing |",
		"| `example.test/silent` | tests | MPL-2.0 | because |",
		"| `example.test/stale` | tests | MIT | was used in the past |",
		"| `example.test/moved` | along | MIT | comes along with good |",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	modules := parseModules("module m\n\nrequire example.test/good v1.0.0\n\nrequire (\n\texample.test/copyleft v1.0.0 // indirect\n" +
		"\texample.test/silent v1.0.0\n\texample.test/moved v1.0.0\n\texample.test/unlisted v1.0.0\n)\n")
	wantProblems(t, checkDependencies(deps, modules, map[string]string{"example.test/moved": "product", "example.test/good": "tests"}),
		"example.test/copyleft: licence GPL-3.0 is not allowed in product",
		"example.test/silent: has no reason",
		"example.test/stale: listed, but go.mod does not require it",
		"example.test/unlisted: required by go.mod, but not listed",
		"example.test/moved: listed for along, imported by product",
	)
	for _, bad := range []string{"| `m` | product | MIT |", "| `m` | somewhere | MIT | a good reason |"} {
		if _, err := parseDependencies(bad); err == nil {
			t.Errorf("%s: read without an error", bad)
		}
	}
}
