package config

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/identity"
)

const ruleSample = `version: 1
auth: {anonymous: true}
groups:
  sensors: [alice, "psk:pump-7"]
  operators: [bob]
acl:
  - {who: "group:sensors", allow: publish, topic: "plant/+/%u/telemetry/#"}
  - {who: "group:operators", deny: [receive, will], topic: "plant/secret/#"}
  - {who: "group:operators", allow: [publish, subscribe], topic: "plant/#"}
  - {who: "group:operators", allow: subscribe, topic: "$SYS/#"}
`

func TestRuleList(t *testing.T) {
	c := parse(t, ruleSample)
	if n := len(c.ACL.Rules); n != 4 || c.ACL.Publish.Allow != nil || len(c.ACL.Groups["sensors"]) != 2 {
		t.Fatalf("%+v", c.ACL)
	}
	p, err := c.Policy()
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := &identity.Principal{Method: "password", Name: "alice"}, &identity.Principal{Method: "scram", Name: "bob"}
	for _, q := range []struct {
		who  *identity.Principal
		do   identity.Action
		on   string
		want int // line, negative when denied, 0 for the default
	}{
		{alice, identity.Publish, "plant/2/alice/telemetry/t", 7},
		{alice, identity.Publish, "plant/2/bob/telemetry/t", 0},
		{bob, identity.Receive, "plant/secret/x", -8},
		{bob, identity.Publish, "plant/secret/x", 9},
		{bob, identity.Subscribe, "plant/#", 9},
		{bob, identity.Subscribe, "$SYS/#", 10},
		{alice, identity.Subscribe, "#", 0},
	} {
		d := p.Authorize(q.who, "c", q.do, q.on)
		line := d.Rule.Line
		if !d.Allowed {
			line = -line
		}
		if line != q.want || line != 0 && d.Rule.File != "/etc/sealmq/sealmq.yaml" {
			t.Errorf("%v %v %s: %+v", q.who, q.do, q.on, d)
		}
	}
}

func TestRuleListReadsBack(t *testing.T) {
	first := parse(t, ruleSample)
	for _, origin := range []bool{false, true} {
		if changes := Diff(first, parse(t, first.YAML(origin))); len(changes) != 0 {
			t.Errorf("%v\n%s", changes, first.YAML(origin))
		}
	}
	none := parse(t, "version: 1\nacl: []\n")
	if p, err := none.Policy(); err != nil || p.Authorize(nil, "", identity.Publish, "a").Allowed || none.ACL.Rules == nil {
		t.Errorf("an empty list: %+v %v", none.ACL, err)
	}
	if changes := Diff(none, parse(t, none.YAML(false))); len(changes) != 0 {
		t.Error(changes)
	}
}

// TestListsAndRulesAgree: the two lists are rules, denials first.
func TestListsAndRulesAgree(t *testing.T) {
	c := parse(t, "version: 1\nacl:\n  publish: {allow: [\"a/#\", \"100%\"], deny: [\"a/x\"]}\n  subscribe: {allow: [\"a/#\"]}\n")
	p, err := c.Policy()
	if err != nil {
		t.Fatal(err)
	}
	for on, want := range map[string]bool{"a/b": true, "a/x": false, "b": false, "100%": true} {
		if d := p.Authorize(nil, "", identity.Publish, on); d.Allowed != want {
			t.Errorf("%s: %+v", on, d)
		}
	}
	if d := p.Authorize(nil, "", identity.Publish, "a/x"); d.Rule.Name != "deny a/x" || d.Rule.Line != 3 {
		t.Errorf("%+v", d)
	}
	if len(p.Rules()) != 4 || p.Rules()[0].Do != acl.WordPublish {
		t.Errorf("%v", p.Rules())
	}
}

func TestWrongRules(t *testing.T) {
	for text, want := range map[string]string{
		"acl: 7":                         "neither a list of rules nor a section",
		"acl: [x]":                       "where keys belong",
		"acl: [{who: anyone, topic: a}]": "either allow or deny",

		"acl: [{who: anyone, allow: publish, deny: publish, topic: a}]":                              "either allow or deny",
		"acl: [{allow: publish, topic: a}]":                                                          "says who and topic",
		"acl: [{who: anyone, allow: publish}]":                                                       "says who and topic",
		"acl: [{who: anyone, allow: publsh, topic: a}]":                                              "is not an action",
		"acl: [{who: anyone, allow: [], topic: a}]":                                                  "no action",
		"acl: [{who: alice, allow: publish, topic: a}]":                                              "is not anyone",
		"acl: [{who: anyone, allow: publish, topic: \"a/#/b\"}]":                                     "is not a topic filter",
		"acl: [{who: anyone, allow: publish, topic: \"a/%z\"}]":                                      "is not a field",
		"acl: [{who: anyone, allow: subscribe, topic: \"$share/g/a\"}]":                              "shared subscription",
		"acl: [{who: anyone, allow: publish, topic: a, tpic: b}]":                                    "unknown key",
		"acl: [{who: \"group:x\", allow: publish, topic: a}]":                                        "there is no group",
		"groups: {x: [\"group:y\"]}":                                                                 "cannot be a member",
		"groups: {x: alice}":                                                                         "not a list",
		"groups: {\"a b\": [alice]}":                                                                 "is not a name",
		"acl: [{who: anyone, allow: all, topic: \"#\"}, {who: \"user:x\", deny: publish, topic: a}]": "can never decide",

		"acl: [{who: anyone, allow: publish, topic: \"a/%u\"}, {who: \"user:x\", allow: [will, retain], topic: \"a/%u\"}]": "can never decide",
		"limits: {topic_levels: 2}\nacl: [{who: anyone, allow: publish, topic: \"a/b/c\"}]":                                "at most 2 levels",
	} {
		_, err := Parse("x.yaml", []byte("version: 1\n"+text+"\n"))
		var invalid *Invalid
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Report(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestRuleBounds: as many rules, groups and members as there may be, and one more.
func TestRuleBounds(t *testing.T) {
	many := func(n int, form string) string {
		list := make([]string, n)
		for i := range list {
			list[i] = strings.ReplaceAll(form, "N", strconv.Itoa(i))
		}
		return strings.Join(list, ", ")
	}
	for name, c := range map[string]struct {
		most int
		text func(n int) string
		want string
	}{
		"rules":   {maxRules, func(n int) string { return "acl: [" + many(n, `{who: "user:uN", allow: publish, topic: a}`) + "]" }, "more than 1000 rules"},
		"groups":  {maxGroups, func(n int) string { return "groups: {" + many(n, "gN: [alice]") + "}" }, "more than 1000 groups"},
		"members": {maxMembers, func(n int) string { return "groups: {g: [" + many(n, "uN") + "]}" }, "at most 10000 members"},
	} {
		if _, err := Parse("x.yaml", []byte("version: 1\n"+c.text(c.most)+"\n")); err != nil && strings.Contains(err.Error(), c.want) {
			t.Errorf("%d %s: %v", c.most, name, err)
		}
		_, err := Parse("x.yaml", []byte("version: 1\n"+c.text(c.most+1)+"\n"))
		var invalid *Invalid
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Report(), c.want) {
			t.Errorf("%d %s: %v", c.most+1, name, err)
		}
	}
}

// TestACLNotes: what nobody can do is said, in each form of the rules.
func TestACLNotes(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "acl: []": "nobody can publish|nobody receives anything",
		`acl: [{who: anyone, deny: all, topic: "#"}]`:      "nobody can publish|nobody receives anything",
		`acl: [{who: anyone, allow: publish, topic: a}]`:   "nobody receives anything",
		`acl: [{who: anyone, allow: subscribe, topic: a}]`: "nobody can publish",
		`acl: [{who: anyone, allow: all, topic: a}]`:       "",
		"acl: {publish: {allow: [a]}}":                     "nobody can subscribe",
		"acl: {subscribe: {allow: [a]}}":                   "nobody can publish",
		"acl: {mosquitto: file}":                           "",
	} {
		c := parse(t, "version: 1\n"+text+"\n")
		notes := strings.Join(c.ACL.notes(), "\n")
		for part := range strings.SplitSeq(want, "|") {
			if !strings.Contains(notes, part) || want == "" && notes != "" || strings.Count(notes, "nobody") != strings.Count(want, "nobody") {
				t.Errorf("%s: %q, want %q", text, notes, want)
			}
		}
	}
	c := parse(t, "version: 1\nacl: {mosquitto: absent}\n")
	if p, err := c.Policy(); err == nil {
		t.Errorf("rules that are not there: %v", p.Rules())
	}
}
