package acl

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// Bounds of a Mosquitto access file.
const (
	MaxMosquittoFile  = 8 << 20 // bytes
	maxMosquittoRules = 100_000
	maxMosquittoLine  = 65_535 // bytes: no topic is longer
)

// LineError says which line of a file cannot be used, and why.
type LineError struct {
	File string
	Line int
	Why  string
}

// Error names the place.
func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Why) }

// ParseMosquitto reads a Mosquitto access file (acl_file) into rules that decide as Mosquitto does, but never allow more:
//
//   - topic lines above the first user line are for clients that proved nothing, those below for principals of that name,
//     whatever the login method; pattern lines are for everybody;
//   - a client's own deny lines decide first, then its own other lines, then deny patterns, then other patterns; what no
//     line matches is denied;
//   - SUBSCRIBE is granted, and each delivery is checked;
//   - a pattern matches nobody whose name or Client Identifier has + or #, and with %u nobody without a name;
//   - other than in Mosquitto, an allowing pattern with a name or Client Identifier that has a / in it, or begins with $ where
//     the pattern begins with it, matches nothing.
//
// Lines that Mosquitto would misread are errors: a *LineError. file is the name for places and errors.
func ParseMosquitto(file, text string) ([]Rule, error) {
	p := mosquittoFile{file: file}
	if len(text) > MaxMosquittoFile {
		return nil, fmt.Errorf("%s has more than %d bytes", file, MaxMosquittoFile)
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if err := p.line(number, strings.TrimRight(line, "\r\n")); err != nil {
			return nil, err
		}
	}
	rules := make([]Rule, 0, len(p.own)+len(p.deny)+len(p.patterns)+2)
	rules = append(append(rules, p.deny...), p.own...)
	rules = append(append(rules, p.denyPatterns...), p.patterns...)
	for _, f := range []string{"#", "$SYS/#"} {
		rules = append(rules, Rule{
			Who: Selector{Kind: Anyone}, Do: OnSubscribe, Topic: f,
			Place: identity.Rule{Name: "subscriptions are granted, and each delivery is checked, as by Mosquitto", File: file},
		})
	}
	return rules, nil
}

type mosquittoFile struct {
	file         string
	user         string // "" above the first user line
	deny, own    []Rule
	denyPatterns []Rule
	patterns     []Rule
}

var mosquittoWords = map[string]struct {
	deny bool
	do   Actions
}{
	"read": {false, OnReceive}, "write": {false, WordPublish}, "readwrite": {false, WordPublish | OnReceive},
	"deny": {true, WordPublish | OnReceive},
}

func (p *mosquittoFile) line(number int, line string) error {
	bad := func(format string, args ...any) error {
		return &LineError{p.file, number, fmt.Sprintf(format, args...)}
	}
	rest := strings.TrimLeft(line, " ")
	switch {
	case rest == "" || rest[0] == '#':
		return nil
	case len(line) > maxMosquittoLine:
		return bad("the line is too long")
	case !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return bad("the line has a control character, or is not UTF-8")
	case strings.HasSuffix(line, " "):
		return bad("the line ends with a space, which would be part of the name")
	}
	keyword, rest, _ := strings.Cut(rest, " ")
	rest = strings.TrimLeft(rest, " ")
	switch {
	case keyword != "topic" && keyword != "pattern" && keyword != "user":
		return bad("%q is not topic, pattern or user", keyword)
	case rest == "":
		return bad("nothing follows %s", keyword)
	case keyword == "user":
		p.user = rest
		return nil
	}
	word, filter, two := strings.Cut(rest, " ")
	if filter = strings.TrimLeft(filter, " "); !two {
		word, filter = "readwrite", rest
	}
	access, known := mosquittoWords[word]
	if !known {
		return bad("%q is not read, write, readwrite or deny", word)
	}
	if len(p.own)+len(p.deny)+len(p.patterns)+len(p.denyPatterns) >= maxMosquittoRules {
		return bad("more than %d rules", maxMosquittoRules)
	}
	r := Rule{Deny: access.deny, Do: access.do, Place: identity.Rule{File: p.file, Line: number}}
	r.Place.Name = keyword + " " + word + " " + filter
	if keyword == "pattern" {
		r.Who, r.Whole, r.Topic = Selector{Kind: Anyone}, true, escapePattern(filter)
	} else {
		r.Who, r.Topic = p.who(), escape(topic.Filter(filter))
		if p.user != "" {
			r.Place.Name = "user " + p.user + ": " + r.Place.Name
		}
	}
	if strings.HasPrefix(filter, "$share/") {
		return bad("%q names a shared subscription: write the filter behind $share/NAME/", filter)
	}
	if err := r.Check(); err != nil {
		return bad("%q is not a topic filter: %v", filter, err)
	}
	p.add(r)
	return nil
}

func (p *mosquittoFile) who() Selector {
	if p.user == "" {
		return Selector{Kind: ByMethod, Method: "anonymous"}
	}
	return Selector{Kind: Named, Name: p.user}
}

func (p *mosquittoFile) add(r Rule) {
	list := &p.own
	switch {
	case r.Whole && r.Deny:
		list = &p.denyPatterns
	case r.Whole:
		list = &p.patterns
	case r.Deny:
		list = &p.deny
	}
	*list = append(*list, r)
}

// escapePattern keeps %u and %c and makes every other percent sign literal, as Mosquitto reads it.
func escapePattern(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '%':
			b.WriteByte(s[i])
		case i+1 < len(s) && (s[i+1] == 'u' || s[i+1] == 'c'):
			b.WriteString(s[i : i+2])
			i++
		default:
			b.WriteString("%%")
		}
	}
	return b.String()
}
