package conformance

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealmq/sealmq/internal/repotree"
)

var update = flag.Bool("update", false, "fill the tables from the source and generate the page")

// readAll reads both tables, in the order of the page.
func readAll(t *testing.T, root string) []Table {
	t.Helper()
	tables := []Table{{Title: "MQTT 5.0", File: "mqtt5.tsv"}, {Title: "MQTT 3.1.1", File: "mqtt311.tsv"}}
	for i := range tables {
		rows, err := ReadTable(filepath.Join(root, "docs", "conformance", tables[i].File))
		if err != nil {
			t.Fatal(err)
		}
		tables[i].Rows = rows
	}
	return tables
}

func repository(t *testing.T) *repotree.Tree {
	t.Helper()
	root, err := repotree.Root()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := repotree.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestTables holds the tables against the source. With -update it first fills them.
func TestTables(t *testing.T) {
	tree := repository(t)
	evidence := Collect(tree)
	tables := readAll(t, tree.Root)
	if *update {
		for i := range tables {
			tables[i].Rows = Update(tables[i].Rows, evidence)
			write(t, filepath.Join(tree.Root, "docs", "conformance", tables[i].File), FormatTable(tables[i].Rows))
		}
	}
	var rows []Row
	for _, table := range tables {
		rows = append(rows, table.Rows...)
	}
	for _, p := range Check(rows, evidence, AllowOpen) {
		t.Error(p)
	}
}

// TestPage holds the published page against the tables. With -update it generates the page.
func TestPage(t *testing.T) {
	root := repository(t).Root
	page := filepath.Join(root, "docs", "conformance", "README.md")
	want := Page(readAll(t, root))
	if *update {
		write(t, page, want)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the page is not what the tables give; run make conformance-update (-want +got):\n%s", diff)
	}
}

// TestTableSizes guards the tables against lost rows.
func TestTableSizes(t *testing.T) {
	want := map[string]int{"mqtt5.tsv": 251, "mqtt311.tsv": 141}
	for _, table := range readAll(t, repository(t).Root) {
		if len(table.Rows) != want[table.File] {
			t.Errorf("%s has %d rows, want %d", table.File, len(table.Rows), want[table.File])
		}
		prefix := "MQTT-"
		if table.File == "mqtt311.tsv" {
			prefix = "MQTT311-"
		}
		for _, r := range table.Rows {
			if !strings.HasPrefix(r.ID, prefix) {
				t.Errorf("%s: %s belongs to the other standard", table.File, r.ID)
			}
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// planted is a small tree with declarations and citations, good and bad.
func planted(t *testing.T) Evidence {
	t.Helper()
	tree, err := repotree.Read(filepath.Join("testdata", "planted"))
	if err != nil {
		t.Fatal(err)
	}
	return Collect(tree)
}

func TestCollect(t *testing.T) {
	e := planted(t)
	wantTests := map[string][]string{
		"MQTT-1.0.0-1":    {"p.FuzzFour", "p.TestOne"},
		"MQTT-1.0.0-2":    {"p.TestOne"},
		"MQTT311-1.0.0-1": {"p.TestTwo"},
		"MQTT-9.9.9-1":    {"p.TestTwo"},
		"MQTT-9.9.9-3":    nil,
	}
	if diff := cmp.Diff(wantTests, e.Tests); diff != "" {
		t.Errorf("tests (-want +got):\n%s", diff)
	}
	wantCode := map[string][]string{"MQTT-1.0.0-3": {"p/p.go"}, "MQTT-9.9.9-2": {"p/p.go"}}
	if diff := cmp.Diff(wantCode, e.Code); diff != "" {
		t.Errorf("code (-want +got):\n%s", diff)
	}
	wantProblems := []string{
		"p/p.go:7: [MQTT-1.0] is not the identifier of a statement",
		"p/p_test.go:24: Covers is called outside of a test function",
		"p/p_test.go:29: Covers takes string literals",
		"p/p_test.go:30: Covers names no statement",
	}
	slices.Sort(e.Problems)
	if diff := cmp.Diff(wantProblems, e.Problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestCheckFails plants every kind of false claim.
func TestCheckFails(t *testing.T) {
	e := planted(t)
	e.Problems = nil
	rows := []Row{
		{ID: "MQTT-1.0.0-1", Status: Tested, Tests: []string{"p.TestOne", "p.TestNobody"}},
		{ID: "MQTT-1.0.0-2", Status: NotApplicable},
		{ID: "MQTT-1.0.0-3", Status: ByConstruction, Code: []string{"p/q.go"}},
		{ID: "MQTT-1.0.0-4", Status: Tested},
		{ID: "MQTT-1.0.0-5", Status: Deviation},
		{ID: "MQTT-1.0.0-6", Status: ByConstruction},
		{ID: "MQTT311-1.0.0-1", Status: Open},
	}
	always := []string{
		"MQTT-1.0.0-1: lists p.TestNobody, which does not exist or does not declare it",
		"MQTT-1.0.0-2: is not applicable without a note",
		"MQTT-1.0.0-2: is not applicable, but [p.TestOne] declares it",
		"MQTT-1.0.0-3: lists p/q.go, which does not exist or does not cite it",
		"MQTT-1.0.0-4: is tested, but lists no test",
		"MQTT-1.0.0-5: deviates without a note",
		"MQTT-1.0.0-6: holds by construction, but lists no code that cites it",
		"MQTT-9.9.9-1: no such statement, named by [p.TestTwo]",
		"MQTT-9.9.9-2: no such statement, named by [p/p.go]",
		"MQTT-9.9.9-3: no such statement, named by []",
	}
	if diff := cmp.Diff(always, Check(rows, e, true)); diff != "" {
		t.Errorf("while building (-want +got):\n%s", diff)
	}
	finished := append(slices.Clone(always),
		"MQTT-1.0.0-1: does not list p.FuzzFour",
		"MQTT-1.0.0-2: does not list p.TestOne",
		"MQTT311-1.0.0-1: does not list p.TestTwo",
		"MQTT311-1.0.0-1: is open",
	)
	slices.Sort(finished)
	if diff := cmp.Diff(finished, Check(rows, e, false)); diff != "" {
		t.Errorf("finished (-want +got):\n%s", diff)
	}
}

func TestUpdate(t *testing.T) {
	e := planted(t)
	got := Update([]Row{
		{ID: "MQTT-1.0.0-1", Status: Open},
		{ID: "MQTT-1.0.0-3", Status: ByConstruction},
		{ID: "MQTT-1.0.0-4", Status: Tested, Tests: []string{"p.TestGone"}},
	}, e)
	want := []Row{
		{ID: "MQTT-1.0.0-1", Status: Tested, Tests: []string{"p.FuzzFour", "p.TestOne"}},
		{ID: "MQTT-1.0.0-3", Status: ByConstruction, Code: []string{"p/p.go"}},
		{ID: "MQTT-1.0.0-4", Status: Open},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestReadTableRefuses(t *testing.T) {
	good := "MQTT-1.0.0-1\tMUST\tboth\tshort\topen\t\t\t"
	head := strings.Join(header, "\t")
	for name, text := range map[string]string{
		"header":    "id\n" + good,
		"cells":     head + "\nMQTT-1.0.0-1\tMUST",
		"id":        head + "\n" + strings.Replace(good, "MQTT-1.0.0-1", "MQTT-1", 1),
		"level":     head + "\n" + strings.Replace(good, "MUST", "must", 1),
		"role":      head + "\n" + strings.Replace(good, "both", "nobody", 1),
		"status":    head + "\n" + strings.Replace(good, "open", "done", 1),
		"summary":   head + "\n" + strings.Replace(good, "short", "", 1),
		"duplicate": head + "\n" + good + "\n" + good,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "table.tsv")
			write(t, file, text+"\n")
			if _, err := ReadTable(file); err == nil {
				t.Error("read without an error")
			}
		})
	}
	file := filepath.Join(t.TempDir(), "table.tsv")
	write(t, file, head+"\n"+good+"\n")
	rows, err := ReadTable(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := FormatTable(rows); got != head+"\n"+good+"\n" {
		t.Errorf("a table does not survive reading and writing: %q", got)
	}
}

// recorder stands in for a test that gets a wrong identifier.
type recorder struct {
	testing.TB
	errors int
	attrs  []string
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.errors++ }
func (r *recorder) Attr(key, value string) {
	r.attrs = append(r.attrs, key+"="+value)
}

func TestCovers(t *testing.T) {
	r := &recorder{TB: t}
	Covers(r, "MQTT-3.1.0-1", "MQTT-3.1", "MQTT311-3.1.0-1")
	if r.errors != 1 {
		t.Errorf("%d errors, want 1 for the malformed identifier", r.errors)
	}
	if diff := cmp.Diff([]string{"conformance=MQTT-3.1.0-1", "conformance=MQTT311-3.1.0-1"}, r.attrs); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}
