package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealmq/sealmq/internal/outcomes"
)

// Printer shows a demo to a person. Write errors end nothing: who has stopped reading is not told.
type Printer struct {
	Out    io.Writer
	Status io.Writer // progress of the matrix; nil for none
	Colour bool
	Width  int // columns, at least 80
	// Pause is waited after each reading, and half of it after each attack, so that a person can follow. 0 does not wait.
	Pause time.Duration

	last                    string // attack whose heading was printed
	readings, operatorReads int
}

// Styles, as parameters of the escape sequence.
const (
	bold  = "1"
	dim   = "2"
	red   = "1;31"
	green = "32"
	amber = "33"
)

func (p *Printer) style(s, text string) string {
	if !p.Colour {
		return text
	}
	return "\x1b[" + s + "m" + text + "\x1b[0m"
}

func (p *Printer) printf(format string, args ...any) {
	fmt.Fprintf(p.Out, format, args...) //nolint:errcheck // see Printer
}

func (p *Printer) width() int { return max(p.Width, 80) }

// Ready implements Watcher.
func (p *Printer) Ready(urls []string) {
	p.printf("%s\n", p.style(bold, "SealMQ demo: a broker, its clients and their attackers, all on this machine"))
	p.row("", dim, strings.Join(urls, " "))
	p.heading("ONE READING, SENT THREE WAYS")
	p.printf("  %s%s%s\n", pad("sent", 11), pad("seen on the wire and by the broker's operator", p.width()-24), "received")
	p.printf("  %s\n", p.style(dim, strings.Repeat("─", p.width()-4)))
}

func (p *Printer) heading(text string) { p.printf("\n%s\n\n", p.style(bold, text)) }

// Reading implements Watcher.
func (p *Printer) Reading(r *Reading) {
	between := p.width() - 24 - 10
	p.printf("  %s\n", p.style(bold, r.Way))
	see := func(readable bool, text string, width int) string {
		text = pad(cut(text, between-1), width)
		if readable {
			return p.style(amber, text)
		}
		return p.style(dim, text)
	}
	p.printf("  %s%s%s%s\n", pad(r.Sent, 11), pad("wire", 10), see(r.WireReads, r.Wire, between), p.style(green, r.Received))
	p.printf("  %s%s%s\n", pad("", 11), pad("operator", 10), see(r.OperatorReads, r.Operator, 0))
	p.readings++
	if r.OperatorReads {
		p.operatorReads++
	}
	if !r.OperatorReads && r.Label != "" {
		p.row("  "+pad("", 11), dim, "the receiver knows: "+r.Label)
	}
	if p.readings == 3 {
		p.printf("\n  %s\n", p.style(bold, fmt.Sprintf("The operator reads %s of three.", []string{"none", "one", "two", "three"}[p.operatorReads])))
	}
	p.wait(p.Pause)
}

// Attack implements Watcher.
func (p *Printer) Attack(l *Line) {
	if p.last == "" {
		p.heading("ATTACKS, CARRIED OUT")
	}
	p.line(l, l.Attack)
}

// Login implements Watcher.
func (p *Printer) Login(l *Line) {
	if !strings.HasPrefix(p.last, "login ") {
		p.heading("CONNECTIONS AND LOGINS")
	}
	p.line(l, "login "+l.Mechanism)
}

func (p *Printer) line(l *Line, group string) {
	if p.last != group {
		p.printf("  %s\n", p.style(bold, strings.TrimPrefix(group, "login ")))
		p.last = group
	}
	state := p.style(green, "✓ stopped    ")
	switch {
	case !l.OK:
		state = p.style(red, "✗ NOT AS DECLARED  ")
	case l.Outcome == outcomes.Succeeds:
		state = p.style(amber, "! not stopped")
	}
	p.printf("    %s  %s\n", state, l.Tried)
	const indent = "                   "
	if l.Layer != "" {
		evidence := "layer " + l.Layer + " · rule " + l.Rule
		if l.Decision != "" {
			evidence += " · decision " + l.Decision
		}
		if l.Check != "" {
			evidence += " · check " + l.Check
		}
		p.row(indent, "", evidence)
		p.row(indent, dim, l.Why)
	} else {
		p.row(indent, dim, l.Mechanism+": "+l.Why)
	}
	p.wait(p.Pause / 3)
}

// row prints a text as one or more lines behind an indentation.
func (p *Printer) row(indent, style, text string) {
	for _, r := range wrap(text, p.width()-utf8.RuneCountInString(indent)-1) {
		if style != "" {
			r = p.style(style, r)
		}
		p.printf("%s%s\n", indent, r)
	}
}

func (p *Printer) wait(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}

// Trials implements Watcher.
func (p *Printer) Trials(done, all int) {
	if p.Status == nil || done%64 != 0 && done != all {
		return
	}
	text := fmt.Sprintf("\r  %d of %d trials", done, all)
	if done == all {
		text = "\r\x1b[K"
	}
	fmt.Fprint(p.Status, text) //nolint:errcheck // see Printer
}

// columns of the matrix, in the order of the attacks.
var columns = [][2]string{
	{"read", "wire"},
	{"read", "oper."},
	{"flip", "bit"},
	{"flip,", "sum"},
	{"other", "topic"},
	{"other", "from"},
	{"mem-", "ber"},
	{"re-", "play"},
	{"down-", "grade"},
	{"strip", ""},
}

// matrix prints one line for each mechanism.
func (p *Printer) matrix(r *Result) {
	p.heading("WHAT PROTECTS A PAYLOAD AGAINST WHAT")
	p.printf("  %s", p.style(dim, pad("", 17)))
	for row := range 2 {
		if row > 0 {
			p.printf("\n  %s", pad("", 17))
		}
		var head strings.Builder
		for _, c := range columns {
			head.WriteString(pad(c[row], 6))
		}
		p.printf("%s", p.style(dim, strings.TrimRight(head.String(), " ")))
	}
	p.printf("\n")
	exceptions := false
	for i, pair := range r.Matrix {
		if i%len(outcomes.Attacks) == 0 {
			if i > 0 {
				p.printf("\n")
			}
			p.printf("  %s", pad(pair.Mechanism, 17))
		}
		sign, style := "✓", green
		switch {
		case !pair.OK:
			sign, style = "✗", red
		case pair.Outcome == outcomes.Succeeds:
			sign, style = "!", amber
		}
		if pair.differs {
			sign, exceptions = sign+"*", true
		}
		width := 6
		if (i+1)%len(outcomes.Attacks) == 0 {
			width = 0
		}
		p.printf("%s", p.style(style, pad(sign, width)))
	}
	p.printf("\n\n  %s stopped   %s not stopped", p.style(green, "✓"), p.style(amber, "!"))
	if exceptions {
		p.printf("   * not for retained messages")
	}
	p.printf("\n")
	p.row("  ", dim, fmt.Sprintf("%d trials, each with a publisher, a broker, a subscriber and an attacker between them. ", r.Cells)+
		"Under all of these mechanisms topic names, sizes and times can be seen, and messages can be kept back.")
}

// Finish prints what is left: who reads what, the matrix, and what to type next.
func (p *Printer) Finish(r *Result, next []string) {
	if len(r.Matrix) > 0 {
		p.matrix(r)
	}
	p.printf("\n")
	if len(r.Wrong) > 0 {
		for _, w := range r.Wrong[:min(len(r.Wrong), 10)] {
			for i, row := range wrap(w, p.width()-6) {
				p.printf("  %s %s\n", p.style(red, []string{"✗", " "}[min(i, 1)]), row)
			}
		}
		return
	}
	p.printf("  %s in %.1f s\n", p.style(green, "Everything ended as declared"), r.Seconds)
	p.heading("NEXT")
	for _, n := range next {
		p.printf("  %s\n", n)
	}
}

// pad fills a text with blanks, counting what is seen.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}

// cut shortens a text in its middle.
func cut(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	half := (width - 1) / 2
	return string(r[:half]) + "…" + string(r[len(r)-(width-1-half):])
}

// wrap breaks a text at blanks and at its line ends.
func wrap(s string, width int) []string {
	var out []string
	for _, part := range strings.Split(s, "\n") {
		row := ""
		for _, word := range strings.Fields(part) {
			if row != "" && utf8.RuneCountInString(row)+1+utf8.RuneCountInString(word) > width {
				out = append(out, row)
				row = ""
			}
			if row != "" {
				row += " "
			}
			row += word
		}
		if row != "" {
			out = append(out, row)
		}
	}
	return out
}
