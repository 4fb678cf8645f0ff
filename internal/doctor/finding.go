package doctor

import (
	"cmp"
	"io/fs"
	"slices"
)

// Severity says how bad a finding is.
type Severity uint8

// The severities.
const (
	_      Severity = iota
	Low             // worth knowing
	Medium          // a second mistake away from harm
	High            // somebody can do harm now
)

var severityWords = [...]string{"", "low", "medium", "high"}

// String returns the word.
func (s Severity) String() string { return severityWords[min(int(s), len(severityWords)-1)] }

// MarshalText is the word, for JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseSeverity reads the word.
func ParseSeverity(word string) (Severity, bool) {
	i := slices.Index(severityWords[1:], word)
	return Severity(i + 1), i >= 0
}

// Evidence is one place where a finding shows, with the change to make there.
type Evidence struct {
	Place  Place   `json:"place"`
	Found  string  `json:"found"`
	Change string  `json:"change"`
	Repair *Repair `json:"repair,omitempty"` // a mechanical change that breaks nothing that works
}

// Repair is a change that a program can make. Exactly one of its parts is set.
type Repair struct {
	Chmod  *Chmod `json:"chmod,omitempty"`
	Delete *Place `json:"delete_line,omitempty"`
}

// Chmod takes permissions away.
type Chmod struct {
	Path string      `json:"path"`
	From fs.FileMode `json:"from"`
	To   fs.FileMode `json:"to"`
}

// Finding is one thing that is not as it should be.
type Finding struct {
	ID       string     `json:"id"` // stable; docs/operate/doctor.md has a section of this name
	Severity Severity   `json:"severity"`
	Title    string     `json:"title"`
	Why      string     `json:"why"` // two sentences
	Evidence []Evidence `json:"evidence"`
}

// Report is the judgement about one set-up.
type Report struct {
	Subject  string    `json:"subject"`
	Dialect  Dialect   `json:"kind"`
	Grade    string    `json:"grade"`
	Findings []Finding `json:"findings"` // the worst first
}

// Count is the number of findings of a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Severity == s {
			n++
		}
	}
	return n
}

// Examine judges a model. only, if not empty, names the ids to look for; the grade is then that of what was looked for.
func Examine(m *Model, only ...string) *Report {
	r := &Report{Subject: m.Subject, Dialect: m.Dialect, Findings: []Finding{}}
	for _, c := range checks {
		if len(only) > 0 && !slices.Contains(only, c.ID) {
			continue
		}
		var s sheet
		c.look(m, &s)
		if len(s.evidence) == 0 {
			continue
		}
		severity := c.Severity
		if s.severity != 0 {
			severity = s.severity
		}
		r.Findings = append(r.Findings, Finding{c.ID, severity, c.Title, c.Why, s.evidence})
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	r.Grade = r.grade()
	return r
}

// grade is A without findings, B with low ones only, C with medium ones, D with one high, F with more.
func (r *Report) grade() string {
	switch high := r.Count(High); {
	case high > 1:
		return "F"
	case high == 1:
		return "D"
	case r.Count(Medium) > 0:
		return "C"
	case r.Count(Low) > 0:
		return "B"
	}
	return "A"
}

// Entry describes one check of the catalogue.
type Entry struct {
	ID       string
	Severity Severity
	Title    string
	Why      string
}

// check is an entry with the code that looks.
type check struct {
	Entry
	look func(*Model, *sheet)
}

// sheet is what one check writes down.
type sheet struct {
	evidence []Evidence
	severity Severity // 0: that of the catalogue
}

func (s *sheet) add(p Place, found, change string) {
	s.evidence = append(s.evidence, Evidence{Place: p, Found: found, Change: change})
}

func (s *sheet) repair(p Place, found, change string, r *Repair) {
	s.evidence = append(s.evidence, Evidence{p, found, change, r})
}

// atLeast raises the severity of the finding.
func (s *sheet) atLeast(v Severity) { s.severity = max(s.severity, v) }

// Catalogue lists every check, in a fixed order.
func Catalogue() []Entry {
	out := make([]Entry, len(checks))
	for i, c := range checks {
		out[i] = c.Entry
	}
	return out
}

// say picks the words of a dialect.
func (m *Model) say(sealmq, mosquitto, observed string) string {
	switch m.Dialect {
	case SealMQ:
		return sealmq
	case Mosquitto:
		return mosquitto
	}
	return observed
}
