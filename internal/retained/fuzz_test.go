package retained

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/topic"
)

// FuzzMatch retains the lines of a text, those that are Topic Names, and compares what a filter finds, page by page,
// with topic.Filter.Matches.
func FuzzMatch(f *testing.F) {
	f.Add("a\na/b\na-b/c\na/b/c\n$SYS/x\n/\n//", "+/#", 2)
	f.Add("a/b/c\na/b/d\nab/b/c\nb/b/c", "+/b/c", 1)
	f.Add("\x01/a\n/a\n~/a", "+/a", 1)
	f.Fuzz(func(t *testing.T, text, filter string, limit int) {
		wanted, err := topic.ParseFilter(filter)
		if err != nil || strings.Count(text, "\n") > 200 {
			return
		}
		tree, m := New(), map[string]*message.Message{}
		for _, name := range strings.Split(text, "\n") {
			if _, err := topic.ParseName(name); err == nil {
				m[name] = newMessage(name, "x")
				tree.Put(m[name])
			}
		}
		if diff := cmp.Diff(matching(m, wanted), pages(tree, wanted, limit)); diff != "" {
			t.Fatalf("MatchPage(%q): -want +got\n%s", filter, diff)
		}
		for name := range m {
			tree.Delete(name)
			delete(m, name)
		}
		checkSizes(t, tree, m)
	})
}
