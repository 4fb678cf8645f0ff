package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxProblems     = 100 // shown and kept; the rest is counted
	excerptWidth    = 100 // runes of the file's line in an excerpt
	excerptLead     = 60  // runes before the caret that are kept when a line is longer
	excerptEllipsis = "…"
)

// Problem is one thing wrong in a file.
type Problem struct {
	File    string // as named by the user
	Line    int    // 1-based; 0 when the problem has no place
	Column  int    // 1-based, in characters
	Key     string // dotted path, "" when the problem is not about a key
	Message string
	Hint    string // what was probably meant or what to do; may be empty
	Excerpt string // the line, cut to a bounded width, control characters replaced; "" without a place
	Caret   int    // runes of Excerpt before the caret
}

// String is the problem as shown on a terminal: place and message, the line with a caret, the hint.
func (p *Problem) String() string {
	var b strings.Builder
	b.WriteString(place(p.File, p.Line))
	if p.Line > 0 {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(p.Column))
	}
	b.WriteString(": ")
	b.WriteString(p.Message)
	b.WriteByte('\n')
	if p.Line > 0 {
		fmt.Fprintf(&b, "%5d | %s\n", p.Line, p.Excerpt)
		fmt.Fprintf(&b, "      | %s^\n", strings.Repeat(" ", p.Caret))
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, "        %s\n", p.Hint)
	}
	return b.String()
}

// Invalid is the error for a file that cannot be used. It holds every problem, in the order of the file.
type Invalid struct {
	File     string
	Problems []Problem // never empty
	More     int       // problems beyond the ones kept
}

// Error is the number of problems and the first of them; Report shows all.
func (e *Invalid) Error() string {
	p := &e.Problems[0]
	first := place(p.File, p.Line) + ": " + p.Message
	if n := len(e.Problems) + e.More; n > 1 {
		return fmt.Sprintf("%s (and %d more)", first, n-1)
	}
	return first
}

// Report is every problem with its excerpt, one after the other.
func (e *Invalid) Report() string {
	var b strings.Builder
	for i := range e.Problems {
		b.WriteString(e.Problems[i].String())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "%s: %d more problems are not shown\n", e.File, e.More)
	}
	return b.String()
}

// place is file:line, or the file alone.
func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

// excerpt cuts a window of bounded width out of line so that the character at column (1-based) is inside, and returns
// how many characters of the window are before it. Control and invalid characters are replaced, so a file cannot send
// escape sequences to the terminal.
func excerpt(line string, column int) (window string, caret int) {
	runes := []rune(strings.TrimRight(line, "\r\n"))
	for i, r := range runes {
		switch {
		case r == '\t':
			runes[i] = ' '
		case r == utf8.RuneError || isControl(r) || r >= 0x80 && r < 0xA0 || r == 0x2028 || r == 0x2029 || isDirectional(r):
			runes[i] = '·'
		}
	}
	caret = min(max(column-1, 0), len(runes))
	if len(runes) <= excerptWidth {
		return string(runes), caret
	}
	from := max(0, caret-excerptLead)
	to := min(len(runes), from+excerptWidth)
	caret -= from
	window = string(runes[from:to])
	if from > 0 {
		window, caret = excerptEllipsis+window, caret+1
	}
	if to < len(runes) {
		window += excerptEllipsis
	}
	return window, caret
}

// isDirectional reports the characters that reorder what a terminal shows, so an excerpt cannot lie about its line.
func isDirectional(r rune) bool {
	return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0x200E || r == 0x200F
}

// didYouMean is a hint when one of the words is close to what was written, and "" otherwise.
func didYouMean(written string, words []string) string {
	if w := nearest(written, words); w != "" {
		return "did you mean " + strconv.Quote(w) + "?"
	}
	return ""
}

// nearest returns the word with the least edit distance to written, if that is small for its length.
func nearest(written string, words []string) string {
	const longest = 64 // longer words are never near: no key has as many letters
	if len(written) > longest {
		return ""
	}
	best, bestDistance := "", len(written)/3+2
	for _, w := range words {
		d := distance(strings.ToLower(written), strings.ToLower(w))
		if d < bestDistance && d < max(len(w), 2) {
			best, bestDistance = w, d
		}
	}
	return best
}

// distance is the Damerau-Levenshtein distance with adjacent transpositions: the number of letters to insert, delete,
// change or swap.
func distance(a, b string) int {
	previous, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := row[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			next[j] = min(row[j]+1, next[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], previous[j-2]+1)
			}
		}
		previous, row, next = row, next, previous
	}
	return row[len(b)]
}

// boolHint translates the other spellings of a boolean.
func boolHint(s string) string {
	switch lower := strings.ToLower(s); {
	case slices.Contains([]string{"yes", "on", "y", "1", "true", "enabled"}, lower):
		return "write true"
	case slices.Contains([]string{"no", "off", "n", "0", "false", "disabled"}, lower):
		return "write false"
	}
	return ""
}

// numberHint repairs the usual slips in numbers with units.
func numberHint(s, kind string) string {
	digits, word, rest := splitUnit(strings.TrimSpace(strings.ReplaceAll(s, "_", "")))
	if word == "" && strings.HasPrefix(rest, " ") {
		_, word, rest = splitUnit(strings.TrimSpace(rest))
	}
	if _, ok := parseDigits(digits); !ok || rest != "" {
		return ""
	}
	lower := strings.ToLower(word)
	switch kind {
	case sizes.name:
		if lower == "" {
			return fmt.Sprintf("did you mean %sB or %sKiB?", digits, digits)
		}
		for _, u := range sizeUnits {
			if n := strings.ToLower(u.name); lower == n && word != u.name || lower+"b" == n || lower == strings.ReplaceAll(n, "i", "") || lower+"ib" == n {
				return fmt.Sprintf("did you mean %s%s?", digits, u.name)
			}
		}
	case durations.name:
		if lower == "" {
			return fmt.Sprintf("did you mean %ss?", digits)
		}
		if lower != "" && strings.Contains("seconds minutes hours days", lower) || lower == "min" || lower == "sec" {
			return fmt.Sprintf("did you mean %s%c?", digits, lower[0])
		}
	case counts.name:
		if lower == "" && s != digits {
			return fmt.Sprintf("did you mean %s?", digits)
		}
	case rates.name:
		if word == "" {
			return fmt.Sprintf("did you mean %s/s?", digits)
		}
	}
	return ""
}
