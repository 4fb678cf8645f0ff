package conformance

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A Status says how the product stands to a statement.
type Status string

// The statuses of a row.
const (
	Open           Status = "open"            // nothing shows it yet
	Tested         Status = "tested"          // at least one test declares it
	ByConstruction Status = "by-construction" // the code named in the row cannot do otherwise
	NotApplicable  Status = "not-applicable"  // the note says why it binds somebody else or a missing feature
	Deviation      Status = "deviation"       // deliberately otherwise; the note says how and why
)

var (
	statuses = []Status{Open, Tested, ByConstruction, NotApplicable, Deviation}
	levels   = []string{"MUST", "MUST NOT", "MAY"}
	roles    = []string{"both", "server", "client"}
	header   = []string{"id", "level", "applies_to", "summary", "status", "code", "tests", "note"}
)

// A Row is one normative statement. Summary is in our own words; the standard's text is in the standard.
type Row struct {
	ID      string
	Level   string // MUST, MUST NOT or MAY
	Role    string // whom it binds: server, client or both
	Summary string
	Status  Status
	Code    []string // files whose comments cite it
	Tests   []string // "folder.TestName" of the tests that declare it
	Note    string
}

// ReadTable reads a table of tab-separated rows. It refuses unknown words, empty cells where a word is needed,
// duplicates and the wrong number of cells, and reports all of that at once.
func ReadTable(name string) ([]Row, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if lines[0] != strings.Join(header, "\t") {
		return nil, fmt.Errorf("%s:1: header is %q", name, lines[0])
	}
	var rows []Row
	var problems []error
	seen := map[string]bool{}
	for i, line := range lines[1:] {
		row, err := parseRow(line)
		if err == nil && seen[row.ID] {
			err = fmt.Errorf("%s has two rows", row.ID)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", name, i+2, err))
			continue
		}
		seen[row.ID] = true
		rows = append(rows, row)
	}
	return rows, errors.Join(problems...)
}

func parseRow(line string) (Row, error) {
	cells := strings.Split(line, "\t")
	if len(cells) != len(header) {
		return Row{}, fmt.Errorf("%d cells, want %d", len(cells), len(header))
	}
	row := Row{
		ID: cells[0], Level: cells[1], Role: cells[2], Summary: cells[3], Status: Status(cells[4]),
		Code: strings.Fields(cells[5]), Tests: strings.Fields(cells[6]), Note: cells[7],
	}
	switch {
	case !idPattern.MatchString(row.ID):
		return row, fmt.Errorf("%q is not an identifier", row.ID)
	case !slices.Contains(levels, row.Level):
		return row, fmt.Errorf("%s: unknown level %q", row.ID, row.Level)
	case !slices.Contains(roles, row.Role):
		return row, fmt.Errorf("%s: unknown role %q", row.ID, row.Role)
	case !slices.Contains(statuses, row.Status):
		return row, fmt.Errorf("%s: unknown status %q", row.ID, row.Status)
	case row.Summary == "":
		return row, fmt.Errorf("%s: no summary", row.ID)
	}
	return row, nil
}

// FormatTable is the text that ReadTable reads.
func FormatTable(rows []Row) string {
	var b strings.Builder
	b.WriteString(strings.Join(header, "\t") + "\n")
	for _, r := range rows {
		b.WriteString(strings.Join([]string{
			r.ID, r.Level, r.Role, r.Summary, string(r.Status),
			strings.Join(r.Code, " "), strings.Join(r.Tests, " "), r.Note,
		}, "\t") + "\n")
	}
	return b.String()
}
