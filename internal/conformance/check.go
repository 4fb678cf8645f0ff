package conformance

import (
	"fmt"
	"slices"
	"sort"
)

// Check compares the rows of both tables with the evidence and returns what is wrong, sorted. With allowOpen, rows may
// be open and evidence may be missing from a row; a row never claims more than it has.
func Check(rows []Row, e Evidence, allowOpen bool) []string {
	problems := slices.Clone(e.Problems)
	known := map[string]bool{}
	for _, r := range rows {
		known[r.ID] = true
		problems = append(problems, checkRow(r, e, allowOpen)...)
	}
	for _, m := range []map[string][]string{e.Tests, e.Code} {
		for id, places := range m {
			if !known[id] {
				problems = append(problems, fmt.Sprintf("%s: no such statement, named by %v", id, places))
			}
		}
	}
	sort.Strings(problems)
	return problems
}

func checkRow(r Row, e Evidence, allowOpen bool) []string {
	var problems []string
	add := func(format string, args ...any) {
		problems = append(problems, r.ID+": "+fmt.Sprintf(format, args...))
	}
	for _, t := range r.Tests {
		if !slices.Contains(e.Tests[r.ID], t) {
			add("lists %s, which does not exist or does not declare it", t)
		}
	}
	for _, c := range r.Code {
		if !slices.Contains(e.Code[r.ID], c) {
			add("lists %s, which does not exist or does not cite it", c)
		}
	}
	if !allowOpen {
		for _, t := range e.Tests[r.ID] {
			if !slices.Contains(r.Tests, t) {
				add("does not list %s", t)
			}
		}
	}
	switch r.Status {
	case Open:
		if !allowOpen {
			add("is open")
		}
	case Tested:
		if len(r.Tests) == 0 {
			add("is tested, but lists no test")
		}
	case ByConstruction:
		if len(r.Code) == 0 {
			add("holds by construction, but lists no code that cites it")
		}
	case NotApplicable:
		if len(e.Tests[r.ID]) > 0 {
			add("is not applicable, but %v declares it", e.Tests[r.ID])
		}
		if r.Note == "" {
			add("is not applicable without a note")
		}
	case Deviation:
		if r.Note == "" {
			add("deviates without a note")
		}
	}
	return problems
}

// Update fills the columns code and tests from the evidence. A row that was open becomes tested if a test declares it,
// and a tested row without a test becomes open; the other statuses are judgements and stay.
func Update(rows []Row, e Evidence) []Row {
	updated := slices.Clone(rows)
	for i := range updated {
		r := &updated[i]
		r.Tests, r.Code = e.Tests[r.ID], e.Code[r.ID]
		switch {
		case r.Status == Open && len(r.Tests) > 0:
			r.Status = Tested
		case r.Status == Tested && len(r.Tests) == 0:
			r.Status = Open
		}
	}
	return updated
}
