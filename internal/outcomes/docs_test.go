package outcomes

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated documents")

const (
	page  = "../../docs/outcomes.md"
	begin = "<!-- outcomes: begin -->"
	end   = "<!-- outcomes: end -->"
)

// sections are the documents that have the table between the marks.
var sections = []string{"../../docs/threat-model.md", "../../README.md"}

const pageHead = `# What each protection stops

Generated from [vectors/outcomes.tsv](../vectors/outcomes.tsv); ` + "`go test ./internal/outcomes -run Documents -update`" + ` writes it again.

Nothing here is an opinion: ` + "`go test ./internal/outcomes`" + ` carries every attack out, for PUBLISH and Will, MQTT 3.1.1 and 5, QoS 0, 1
and 2, delivered live, as a retained message, to a session that was away, and to a shared subscription, through a publisher,
a broker and a subscriber, once with a rule of the broker that demands the mechanism and once with none. It fails when an attack that is declared refused succeeds, and also when one that is declared to
succeed does not. ` + "`sealmq demo --all`" + ` does the same on your machine.

*Refused* means: reading finds no plain text in the recorded bytes, in what the operator sees or in the broker's files; for
everything else, the application is handed nothing, and the report of the subscriber, or of the broker where it was faster, is
the one in the tables below. *Succeeds*
means that the mechanism does not stop it. Topic names, sizes and times can be seen under every mechanism, and whoever
carries messages can drop them.

`

const reasonsHead = `
## Why

Reports: *unreadable*, the text is not there; *unverified*, it does not parse or does not verify; *policy*, it is not what the
topic demands, or not fresh; *duplicate*, it was delivered before, and is acknowledged; *unsent*, the publisher refuses to send.
`

// TestDocuments: docs/outcomes.md, and what stands between the marks in other documents, are what the table says.
func TestDocuments(t *testing.T) {
	table, err := Declared()
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, got, want string) {
		switch {
		case got == want:
		case *update:
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s is not what vectors/outcomes.tsv says: go test ./internal/outcomes -run Documents -update", name)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil && !*update {
		t.Fatal(err)
	}
	check(page, string(text), pageHead+table.Markdown()+reasonsHead+table.Reasons())
	for _, name := range sections {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(text), begin+"\n")
		if !ok {
			continue
		}
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			t.Fatalf("%s: %s without %s", name, begin, end)
		}
		check(name, string(text), before+begin+"\n"+table.Markdown()+end+after)
	}
}
