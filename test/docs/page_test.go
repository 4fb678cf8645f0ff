//go:build unix && !race

package docs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// step is a command of a page with what it prints, or, if file is set, a file that the page shows.
type step struct {
	line    int // where it stands in the page
	command string
	exit    int
	shown   []string // nil: anything may be printed
	file    string   // file: lines of shown
}

// looksLikeCommand are lines that belong into a console block.
var looksLikeCommand = regexp.MustCompile(`^(\$ |(sealmq|mosquitto_pub|mosquitto_sub|systemctl|make|go (run|build|test)) )`)

// steps are the commands and files of a page in Markdown, in their order.
func steps(text string) ([]step, error) {
	var found []step
	info, inside, continued := "", false, false
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "```") {
			if inside = !inside; !inside {
				if len(found) > 0 { // empty lines before the end of a block are not printed
					last := &found[len(found)-1]
					for n := len(last.shown); n > 0 && last.shown[n-1] == ""; n-- {
						last.shown = last.shown[:n-1]
					}
				}
				continue
			}
			info = strings.TrimPrefix(line, "```")
			if _, file, ok := strings.Cut(info, " "); ok {
				found = append(found, step{line: number, file: file})
			}
			continue
		}
		if !inside {
			continue
		}
		language, file, _ := strings.Cut(info, " ")
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case language == "console" && continued:
			last := &found[len(found)-1]
			last.command += "\n" + line
			continued = strings.HasSuffix(line, `\`)
		case language == "console" && isCommand:
			s := step{line: number, command: command}
			if before, code, ok := strings.Cut(command, "  # exits "); ok {
				n, err := strconv.Atoi(code)
				if err != nil {
					return nil, fmt.Errorf("line %d: %q is no exit code", number, code)
				}
				s.command, s.exit = before, n
			}
			found = append(found, s)
			continued = strings.HasSuffix(line, `\`)
		case file != "", language == "console" && len(found) > 0 && found[len(found)-1].file == "":
			last := &found[len(found)-1]
			last.shown = append(last.shown, line)
		case language == "console":
			return nil, fmt.Errorf("line %d: a console block begins with a command", number)
		case looksLikeCommand.MatchString(line):
			return nil, fmt.Errorf("line %d: %q stands outside a console block, so nothing runs it", number, line)
		}
	}
	return found, nil
}

// mentioned is a command for this tree in the running text of a page.
var mentioned = regexp.MustCompile("`((?:make|go test) [^`]+)`")

// mentions are the commands for this tree in the running text. Nothing runs them here; that what they name exists is looked up.
func mentions(text string) []step {
	var found []step
	for _, m := range mentioned.FindAllStringSubmatchIndex(text, -1) {
		command := strings.ReplaceAll(text[m[2]:m[3]], "\n", " ")
		found = append(found, step{line: 1 + strings.Count(text[:m[0]], "\n"), command: command})
	}
	return found
}

// commented is a command in the comments of a Go file, a container file or a unit.
var commented = regexp.MustCompile(`^(?://\t|#   )(\S.*)`)

// commentSteps are the commands in the comments of a file that is no Markdown.
func commentSteps(text string) []step {
	var found []step
	number := 0
	for line := range strings.Lines(text) {
		number++
		if m := commented.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			found = append(found, step{line: number, command: m[1]})
		}
	}
	return found
}

// compare says where what was printed is not what is shown.
func compare(shown []string, printed string) error {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range shown {
		if line == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + `\n`)
	}
	pattern.WriteString(`\z`)
	printed = strings.TrimRight(printed, "\n")
	if printed != "" {
		printed += "\n"
	}
	if regexp.MustCompile(pattern.String()).MatchString(printed) {
		return nil
	}
	return fmt.Errorf("prints\n%s\nand the page shows\n%s", indent(printed), indent(strings.Join(shown, "\n")))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}
