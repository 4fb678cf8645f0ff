package acl

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// mosquittoSays decides as Mosquitto 2.0 does, written down once more and on its own: by going through the lines.
func mosquittoSays(text, user, client string, write bool, name string) bool {
	type line struct {
		pattern, deny bool
		read, write   bool
		user, filter  string
	}
	var lines []line
	current := ""
	for _, s := range strings.Split(text, "\n") {
		f := strings.Fields(s)
		if len(f) == 0 || strings.HasPrefix(s, "#") {
			continue
		}
		if f[0] == "user" {
			current = f[1]
			continue
		}
		l := line{pattern: f[0] == "pattern", user: current, read: true, write: true, filter: f[len(f)-1]}
		if len(f) == 3 {
			l.read, l.write, l.deny = f[1] != "write", f[1] != "read", f[1] == "deny"
		}
		lines = append(lines, l)
	}
	matches := func(filter string) bool { return topic.Filter(filter).Matches(topic.Name(name)) }
	for _, pattern := range []bool{false, true} {
		if pattern && strings.ContainsAny(user+client, "+#") {
			return false
		}
		for _, deny := range []bool{true, false} {
			for _, l := range lines {
				filter := l.filter
				if l.pattern != pattern || l.deny != deny || !pattern && l.user != user {
					continue
				}
				if pattern {
					if strings.Contains(filter, "%u") && user == "" {
						continue
					}
					filter = strings.NewReplacer("%c", client, "%u", user).Replace(filter)
				}
				if matches(filter) && (deny || write && l.write || !write && l.read) {
					return !deny
				}
			}
		}
	}
	return false
}

// TestMosquittoModel: for random files and clients the rules decide as Mosquitto, and never allow more. They may allow less
// where a value has a / or begins with $, and what a client publishes to topics that begin with $.
func TestMosquittoModel(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		text := drawMosquitto(rt)
		rules, err := ParseMosquitto("acl", text)
		if err != nil {
			rt.Fatalf("%v\n%s", err, text)
		}
		p, err := New(rules, nil)
		if err != nil {
			rt.Fatal(err)
		}
		user := rapid.SampledFrom([]string{"", "alice", "bob", "a/b", "u+", "$SYS"}).Draw(rt, "user")
		client := rapid.SampledFrom([]string{"c1", "a", "a/b", "x#", "$SYS"}).Draw(rt, "client")
		name := rapid.SampledFrom([]string{"a", "a/b", "a/b/c", "b/alice", "b/a/b", "c1/x", "$SYS/x", "b/c1", "100%/u"}).Draw(rt, "topic")
		who := identity.Anonymous
		if user != "" {
			who = identity.Principal{Method: "psk", Name: user}
		}
		for _, write := range []bool{true, false} {
			action := identity.Receive
			if write {
				action = identity.Publish
			}
			ours, theirs := p.Authorize(&who, client, action, name), mosquittoSays(text, user, client, write, name)
			stricter := strings.ContainsAny(user+client, "/$") || write && name[0] == '$'
			if ours.Allowed && !theirs || theirs && !ours.Allowed && !stricter {
				rt.Fatalf("user %q client %q %v %q: ours %+v, theirs %v\n%s", user, client, action, name, ours, theirs, text)
			}
			if ours.Allowed && ours.Rule.Line == 0 {
				rt.Fatalf("no line: %+v", ours)
			}
			seen[fmt.Sprint(ours.Allowed, theirs)]++
		}
		if d := p.Authorize(&who, client, identity.Subscribe, "#"); !d.Allowed {
			rt.Fatalf("a subscription is refused: %+v", d)
		}
	})
	if seen["true true"] < 10 || seen["false false"] < 10 {
		t.Errorf("the files say too little: %v", seen)
	}
}

func drawMosquitto(t *rapid.T) string {
	word := rapid.SampledFrom([]string{"read ", "write ", "readwrite ", "deny ", ""})
	filter := rapid.SampledFrom([]string{"a", "a/#", "a/+", "#", "b/alice", "$SYS/#", "100%/u", "+/x"})
	pattern := rapid.SampledFrom([]string{"b/%u", "%c/#", "b/%c", "%u/#", "a/#", "%%u/x", "b/%u/b", "#"})
	line := rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return "user " + rapid.SampledFrom([]string{"alice", "bob", "a/b", "u+", "$SYS"}).Draw(t, "user")
		case 1, 2:
			return "pattern " + word.Draw(t, "word") + pattern.Draw(t, "pattern")
		case 3:
			return "# a comment"
		}
		return "topic " + word.Draw(t, "word") + filter.Draw(t, "filter")
	})
	return strings.Join(rapid.SliceOfN(line, 1, 12).Draw(t, "lines"), "\n")
}

// TestMosquittoLines: what cannot be meant is an error with its line, and nothing of the file is used.
func TestMosquittoLines(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"topic read a\ntopics read b\n", `acl:2: "topics" is not topic, pattern or user`},
		{"topic", "acl:1: nothing follows topic"},
		{"user\n", "acl:1: nothing follows user"},
		{"user \n", "acl:1: the line ends with a space"},
		{"topic red a", `"red" is not read, write, readwrite or deny`},
		{"topic read a/#/b", `"a/#/b" is not a topic filter`},
		{"topic read a b", ""},
		{"topic a b", `"a" is not read`},
		{"topic read a ", "ends with a space"},
		{"topic read a\tb", "control character"},
		{"\xff", "not UTF-8"},
		{"topic read a\x7f", "control character"},
		{"topic read a\x1f", "control character"},
		{"topic read a~", ""},
		{"topic read " + strings.Repeat("a", maxMosquittoLine-11), ""},
		{"topic read " + strings.Repeat("a", maxMosquittoLine-10), "the line is too long"},
		{"#" + strings.Repeat("a", maxMosquittoLine), ""},
		{"topic read $share/g/a", "names a shared subscription"},
		{"pattern read +%u", "is not a topic filter"},
		{"# only\n\n   # comments\n", ""},
		{"topic read\r\n", ""},
		{"  user  two words\n topic  read   x\n", ""},
	} {
		rules, err := ParseMosquitto("acl", c.text)
		var at *LineError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &at) || !strings.Contains(err.Error(), c.want) || rules != nil) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	rules, err := ParseMosquitto("acl", "topic read\n  user  two words\n topic  read   x y\n")
	if err != nil || len(rules) != 4 || rules[0].Topic != "read" || rules[0].Do != WordPublish|OnReceive ||
		rules[1].Topic != "x y" || rules[1].Who != (Selector{Kind: Named, Name: "two words"}) || rules[1].Place.Line != 3 {
		t.Errorf("%+v %v", rules, err)
	}
	if _, err := ParseMosquitto("acl", strings.Repeat("#\n", MaxMosquittoFile)); err == nil {
		t.Error("a file without bounds")
	}
	if _, err := ParseMosquitto("acl", strings.Repeat("#\n", MaxMosquittoFile/2)); err != nil {
		t.Error(err)
	}
	if _, err := ParseMosquitto("acl", strings.Repeat("#\n", MaxMosquittoFile/2)+"#"); err == nil {
		t.Error("a byte beyond the bound")
	}
	if _, err := ParseMosquitto("acl", strings.Repeat("topic a\n", maxMosquittoRules)); err != nil {
		t.Error(err)
	}
	if _, err := ParseMosquitto("acl", strings.Repeat("topic a\n", maxMosquittoRules+1)); err == nil {
		t.Error("rules without bounds")
	}
}

// TestAttack32_MosquittoSubstitution: a name that looks like a filter, or like more than one level, gets nothing by a
// pattern, and loses nothing that a pattern denies.
func TestAttack32_MosquittoSubstitution(t *testing.T) {
	rules, err := ParseMosquitto("acl", "pattern readwrite home/%u/#\npattern readwrite dev/%c\npattern deny home/a/b\npattern read home/#\npattern deny top/%u\npattern read top/#\npattern read %u/x\n")
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, client string
		do           identity.Action
		name         string
		allowed      bool
	}{
		{"alice", "c", identity.Publish, "home/alice/x", true},
		{"alice", "c", identity.Publish, "home/bob/x", false},
		{"#", "c", identity.Publish, "home/bob/x", false},
		{"+", "c", identity.Publish, "home/bob/x", false},
		{"+", "c", identity.Receive, "home/bob/x", false}, // not even by a pattern without fields
		{"a/b", "c", identity.Publish, "home/a/b/x", false},
		{"a/b", "c", identity.Receive, "top/a/b", false}, // denied as it is
		{"a/b", "c", identity.Receive, "top/x", true},
		{"alice", "#", identity.Publish, "dev/x", false},
		{"alice", "c", identity.Publish, "dev/c", true},
		{"alice", "a.*", identity.Publish, "dev/abc", false},
		{"$SYS", "c", identity.Receive, "$SYS/x", false},
		{"", "c", identity.Receive, "top/x", true},
		{"", "c", identity.Receive, "top/", true}, // who has no name is not called ""
	} {
		who := identity.Principal{Method: "password", Name: c.user}
		if c.user == "" {
			who = identity.Anonymous
		}
		if d := p.Authorize(&who, c.client, c.do, c.name); d.Allowed != c.allowed {
			t.Errorf("%+v: %+v", c, d)
		}
	}
}

// TestMosquittoOrder: a client's own deny lines decide first, then its own other lines, then deny patterns, then other
// patterns, wherever they stand; the place of the line that decided is told.
func TestMosquittoOrder(t *testing.T) {
	for _, c := range []struct {
		text string
		line int // that decides about receiving a; negative when it denies, 0 for the default
	}{
		{"user u\ntopic read a\ntopic deny a", -3},
		{"user u\ntopic deny a\ntopic read a", -2},
		{"pattern deny a\nuser u\ntopic read a", 3},
		{"pattern read a\nuser u\ntopic deny a", -3},
		{"pattern read a\npattern deny a", -2},
		{"pattern deny a\npattern read a", -1},
		{"user u\npattern read a", 2},
		{"topic read a", 0},
		{"topic read a\nuser u\ntopic write a", 0},
		{"user other\ntopic deny a\nuser u\ntopic a", 4},
		{"user other\ntopic a\npattern read %u", 0},
	} {
		rules, err := ParseMosquitto("acl", c.text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewMosquitto(rules)
		if err != nil || !p.Mosquitto() {
			t.Fatal(err)
		}
		d := p.Authorize(user("u"), "c", identity.Receive, "a")
		line := d.Rule.Line
		if !d.Allowed {
			line = -line
		}
		if line != c.line || c.line != 0 && !strings.Contains(d.Rule.Name, "topic ") && !strings.Contains(d.Rule.Name, "pattern ") { // as written
			t.Errorf("%q: %+v, want line %d", c.text, d, c.line)
		}
	}
	for _, text := range []string{"pattern read home/#", "pattern read home/#\ntopic read a"} {
		rules, err := ParseMosquitto("acl", text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewMosquitto(rules)
		if err != nil {
			t.Fatal(err)
		}
		if d := p.Authorize(user("+"), "c", identity.Receive, "home/x"); d.Allowed {
			t.Errorf("%q is for a client that is called +: %+v", text, d)
		}
		if d := p.Authorize(user("u"), "c", identity.Receive, "home/x"); !d.Allowed {
			t.Errorf("%q: %+v", text, d)
		}
	}
	if p, err := New(nil, nil); err != nil || p.Mosquitto() {
		t.Errorf("rules of our own are those of Mosquitto: %v", err)
	}
	if _, err := NewMosquitto([]Rule{{}}); err == nil {
		t.Error("a rule that cannot be used")
	}
	for text, want := range map[string]string{
		"topic read a": "topic read a", "topic a": "topic readwrite a", "pattern deny b/%u": "pattern deny b/%u", "user u\ntopic write x  y": "user u: topic write x  y",
	} {
		rules, err := ParseMosquitto("acl", text)
		if err != nil || rules[0].Place.Name != want || rules[0].Place.File != "acl" {
			t.Errorf("%q: %+v, %v", text, rules, err)
		}
	}
}

// TestMosquittoPercent: %u and %c stand for the client, and every other percent sign for itself.
func TestMosquittoPercent(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a": "a", "%u": "%u", "%c/%u": "%c/%u", "%": "%%", "100%": "100%%", "%%": "%%%%", "%%u": "%%%u", "%x/%u": "%%x/%u", "%{cn}": "%%{cn}",
	} {
		if got := escapePattern(text); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
	rules, err := ParseMosquitto("acl", "pattern read 100%/%u/%i\ntopic read 50%u")
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"100%/u/%i": true, "100%/u/": false, "100%/%u/%i": false} {
		if d := p.Authorize(user("u"), "c", identity.Receive, name); d.Allowed != want {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := p.Authorize(&identity.Anonymous, "c", identity.Receive, "50%u"); !d.Allowed {
		t.Errorf("%+v", d)
	}
}

// FuzzMosquitto: whatever is in a file, it is an error or rules that make a policy.
func FuzzMosquitto(f *testing.F) {
	f.Add("user a\ntopic read b/%u\npattern write c/%u\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := ParseMosquitto("acl", text)
		if err != nil {
			return
		}
		if _, err := New(rules, nil); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
