package outcomes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealmq/sealmq/vectors"
)

// Outcome is how an attack ends.
type Outcome string

// The outcomes.
const (
	Refused  Outcome = "refused"  // the attacker learns nothing, or the application is handed nothing
	Succeeds Outcome = "succeeds" // the attacker reads it, or the application takes it
)

// Report says in which way an attack was refused.
type Report string

// The reports. Unverified, Policy and NotMine are the outcomes of package protect.
const (
	ReportNone   Report = "-"          // it was not
	Unreadable   Report = "unreadable" // the text was not among the bytes
	Unverified   Report = "unverified" // protect.ErrOpen
	Policy       Report = "policy"     // protect.ErrPolicy
	NotMine      Report = "not-mine"   // protect.ErrUnknownKey
	Duplicate    Report = "duplicate"  // verified and seen before: acknowledged, not delivered
	Unsent       Report = "unsent"     // the publisher refused to send
	ByBroker     Report = "broker"     // the broker refused it before it reached anybody
	reportFailed Report = "failed"     // the experiment did not come to an end
)

// Row is one line of the table. Where is a list of words that must all hold, or "all".
type Row struct {
	Mechanism, Attack string
	Where             []string
	Outcome           Outcome
	Report            Report
	Reason            string
}

// Table is the declaration: what each mechanism stops, and what it does not.
type Table []Row

// words of the column where.
var wheres = []string{"will", "publish", "live", "retained", "offline", "share", "v3.1.1", "v5", "qos0", "qos1", "qos2", "enforced"}

// Declared is the table of vectors/outcomes.tsv.
func Declared() (Table, error) { return ParseTable(vectors.Outcomes) }

const header = "mechanism\tattack\twhere\toutcome\treport\treason"

// ParseTable reads a table of tab-separated columns. Each pair of a known mechanism and a known attack has exactly one row
// for "all", and after it the exceptions.
func ParseTable(text string) (Table, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != header {
		return nil, fmt.Errorf("outcomes: line 1: the header is not %q", header)
	}
	var t Table
	seen := map[string]bool{}
	for i, line := range lines[1:] {
		r, err := parseRow(line)
		if err != nil {
			return nil, fmt.Errorf("outcomes: line %d: %w", i+2, err)
		}
		pair := r.Mechanism + " " + r.Attack
		name := pair + " " + strings.Join(r.Where, " ")
		if seen[name] || (len(r.Where) > 0) != seen[pair] {
			return nil, fmt.Errorf("outcomes: line %d: a pair has one row for all, and exceptions after it", i+2)
		}
		seen[name], seen[pair] = true, true
		t = append(t, r)
	}
	for _, m := range Mechanisms {
		for _, a := range Attacks {
			if !seen[m.Name+" "+a.Name] {
				return nil, fmt.Errorf("outcomes: no row for %s and %s", m.Name, a.Name)
			}
		}
	}
	return t, nil
}

func parseRow(line string) (Row, error) {
	f := strings.Split(line, "\t")
	if len(f) != 6 {
		return Row{}, fmt.Errorf("%d columns", len(f))
	}
	r := Row{Mechanism: f[0], Attack: f[1], Outcome: Outcome(f[3]), Report: Report(f[4]), Reason: f[5]}
	if f[2] != "all" {
		r.Where = strings.Fields(f[2])
	}
	known := []Report{Unreadable, Unverified, Policy, NotMine, Duplicate, Unsent, ByBroker}
	switch {
	case mechanism(r.Mechanism) == nil:
		return r, fmt.Errorf("unknown mechanism %q", r.Mechanism)
	case attack(r.Attack) == nil:
		return r, fmt.Errorf("unknown attack %q", r.Attack)
	case r.Outcome != Refused && r.Outcome != Succeeds:
		return r, fmt.Errorf("outcome %q", r.Outcome)
	case (r.Outcome == Succeeds) != (r.Report == ReportNone) || r.Outcome == Refused && !slices.Contains(known, r.Report):
		return r, fmt.Errorf("report %q of outcome %q", r.Report, r.Outcome)
	case r.Reason == "":
		return r, fmt.Errorf("no reason")
	}
	for _, w := range r.Where {
		if !slices.Contains(wheres, w) {
			return r, fmt.Errorf("where %q", w)
		}
	}
	return r, nil
}

// For returns what is declared about a cell: the last row that fits.
func (t Table) For(mechanism, attack string, c *Circumstances) Row {
	var found Row
	for _, r := range t {
		if r.Mechanism != mechanism || r.Attack != attack {
			continue
		}
		if !slices.ContainsFunc(r.Where, func(w string) bool { return !slices.Contains(c.words(), w) }) {
			found = r
		}
	}
	return found
}
