package outcomes

import (
	"fmt"
	"strings"
)

// Exceptions are the rows that differ from the one for all circumstances.
func (t Table) Exceptions(mechanism, attack string) []Row {
	var out []Row
	for _, r := range t {
		if r.Mechanism == mechanism && r.Attack == attack && len(r.Where) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// General returns the row for all circumstances.
func (t Table) General(mechanism, attack string) Row {
	return t.For(mechanism, attack, &Circumstances{})
}

// Markdown is the table for people: one line for each mechanism, one column for each attack. The numbers behind some cells
// are those of the notes below it.
func (t Table) Markdown() string {
	var b, notes strings.Builder
	b.WriteString("| protection |")
	for _, a := range Attacks {
		b.WriteString(" " + a.Title + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(Attacks)) + "\n")
	numbers := map[string]int{}
	for _, m := range Mechanisms {
		b.WriteString("| " + m.Title + " |")
		for _, a := range Attacks {
			b.WriteString(" " + mark(t.General(m.Name, a.Name).Outcome))
			for _, e := range t.Exceptions(m.Name, a.Name) {
				if e.Outcome == t.General(m.Name, a.Name).Outcome {
					continue
				}
				text := strings.Join(e.Where, " ") + ": " + string(e.Outcome) + "; " + e.Reason
				if numbers[text] == 0 {
					numbers[text] = len(numbers) + 1
					fmt.Fprintf(&notes, "%d. %s\n", numbers[text], text)
				}
				fmt.Fprintf(&b, " (%d)", numbers[text])
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n" + notes.String())
	return b.String()
}

func mark(o Outcome) string {
	if o == Refused {
		return "refused"
	}
	return "**succeeds**"
}

// Reasons is the whole table as Markdown, one line for each row.
func (t Table) Reasons() string {
	var b strings.Builder
	for _, m := range Mechanisms {
		fmt.Fprintf(&b, "\n### %s (`%s`)\n\n| attack | where | outcome | report | because |\n|---|---|---|---|---|\n", m.Title, m.Name)
		for _, r := range t {
			if r.Mechanism != m.Name {
				continue
			}
			where := "everywhere"
			if len(r.Where) > 0 {
				where = strings.Join(r.Where, ", ")
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", attack(r.Attack).Title, where, mark(r.Outcome), r.Report, r.Reason)
		}
	}
	return b.String()
}
