//go:build unix && !race

package docs

import (
	"strings"
	"testing"
)

// TestPlanted: pages with one fault each, and what is reported of it.
func TestPlanted(t *testing.T) {
	const fence = "```"
	block := func(lines ...string) string {
		return "# A page\n\n" + fence + "console\n" + strings.Join(lines, "\n") + "\n" + fence + "\n"
	}
	broker := page{before: []string{devBroker}}
	for _, c := range []struct {
		name, text string
		presumed   page
		want       string // "" for nothing
	}{
		{"as it should be", block("$ sealmq version", "…", "$ sealmq pub -t a -m 1", "$ sealmq pub -t a -m 1 --nonsense  # exits 2"), broker, ""},
		{"a file", fence + "text note.txt\nhello\n" + fence + "\n" + block("$ cat note.txt", "hello"), page{}, ""},
		{"a command with two lines", block(`$ printf '%s\n' \`, "  one", "one"), page{}, ""},
		{"unknown command", block("$ sealmq publish -t a"), page{}, "line 4: sealmq publish -t a: ends with exit code 2"},
		{"unknown flag", block("$ sealmq pub -t a -m 1 --nonsense"), broker, "exit code 2, the page says 0"},
		{"exit code", block("$ sealmq version  # exits 3"), page{}, "exit code 0, the page says 3"},
		{"no broker", block("$ sealmq pub -p 1 -t a -m 1"), page{}, "exit code 3, the page says 0"},
		{"output", block("$ echo one", "two"), page{}, "prints\n    one\nand the page shows\n    two"},
		{"output that is left out", block("$ printf 'one\\ntwo\\n'", "one"), page{}, "prints\n    one\n    two"},
		{"output of a broker", block("$ sealmq serve --dev --listen nonsense", "listening …"), page{}, "the broker ended"},
		{"a file that is not there", block("$ sealmq config check sealmq.yaml"), page{}, "exit code"},
		{"outside a console block", fence + "\nsealmq version\n" + fence + "\n", page{}, "line 2: \"sealmq version\" stands outside a console block"},
		{"with a prompt, outside", fence + "sh\n$ ls\n" + fence + "\n", page{}, "stands outside a console block"},
		{"output without a command", block("two"), page{}, "begins with a command"},
		{"set-up", block("$ true"), page{before: []string{"false"}}, "set-up: false: ends with exit code 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, err := steps(c.text)
			if err == nil {
				err = runPage(t.Context(), t.TempDir(), c.presumed, found, t.Logf)
			}
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("reported is %v, want %q", err, c.want)
			}
		})
	}
}
