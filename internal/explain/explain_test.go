package explain

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/identity"
)

func sample(t *testing.T) *acl.Policy {
	t.Helper()
	sensors := acl.Selector{Kind: acl.Group, Name: "sensors"}
	at := func(line int) identity.Rule { return identity.Rule{File: "sealmq.yaml", Line: line} }
	p, err := acl.New([]acl.Rule{
		{Who: acl.Selector{Kind: acl.Anyone}, Deny: true, Do: acl.WordAll, Topic: "plant/closed/#", Place: at(29)},
		{Who: sensors, Do: acl.WordPublish, Topic: "plant/+/%u/telemetry/#", Place: at(30)},
		{Who: sensors, Do: acl.WordSubscribe, Topic: "plant/+/%u/cmd/#", Place: at(31)},
		{Who: acl.Selector{Kind: acl.User, Name: "carol"}, Do: acl.WordAll, Topic: "office/#", Place: at(32)},
	}, map[string][]acl.Selector{"sensors": {{Kind: acl.User, Name: "alice"}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestText(t *testing.T) {
	p := sample(t)
	alice, bob := identity.Principal{Method: "password", Name: "alice"}, identity.Principal{Method: "password", Name: "bob"}
	for _, c := range []struct {
		name string
		q    Query
		want []string
	}{
		{"the sample", Query{alice, "", identity.Publish, "plant/2/bob/telemetry/t"}, []string{
			`DENIED  password:"alice" may not publish to plant/2/bob/telemetry/t`,
			`  nearest rule   sealmq.yaml:30 group:sensors allow publish plant/+/%u/telemetry/#`,
			`  why not        level 3 must be "alice" (from %u), the topic has "bob"`,
			`  client sees    MQTT 5: reason 135 Not authorized`,
			`  to allow it    log in as "bob", or add the rule: - {who: "user:alice", allow: publish, topic: "plant/2/bob/telemetry/t"}`,
		}},
		{"allowed", Query{alice, "c1", identity.Publish, "plant/2/alice/telemetry/t"}, []string{
			`ALLOWED  password:"alice" (client c1) may publish to plant/2/alice/telemetry/t`,
			`  rule           sealmq.yaml:30 group:sensors allow publish`,
		}},
		{"denied by a rule", Query{alice, "", identity.Publish, "plant/closed/x"}, []string{
			`  rule           sealmq.yaml:29`, `to allow it    remove sealmq.yaml:29`,
		}},
		{"not in the group", Query{bob, "", identity.Publish, "plant/2/bob/telemetry/t"}, []string{
			`why not        password:"bob" is not in the group sensors`, `add the client to the group sensors`,
		}},
		{"shared", Query{alice, "", identity.Subscribe, "$share/g/plant/+/alice/cmd/#"}, []string{"ALLOWED", "sealmq.yaml:31"}},
		{"wider", Query{alice, "", identity.Subscribe, "plant/#"}, []string{"DENIED", "wider than", "128 in SUBACK"}},
		{"reserved", Query{alice, "", identity.Publish, "$SYS/x"}, []string{"topics that begin with $ belong to the server", "nothing: topics"}},
		{"hostile", Query{alice, "", identity.Publish, "a\nDENIED b"}, []string{`publish to "a\nDENIED b"`}},
		{"other action", Query{alice, "", identity.Publish, "plant/2/alice/cmd/x"}, []string{"why not"}},
	} {
		e := Explain(p, &c.q)
		for _, w := range c.want {
			if !strings.Contains(e.Text(), w) {
				t.Errorf("%s: no %q in\n%s", c.name, w, e.Text())
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, q := range []Query{
		{Action: identity.Publish, Topic: "a/#"},
		{Action: identity.Publish},
		{Action: identity.Subscribe, Topic: "$share/g"},
		{Action: identity.Receive, Topic: "+"},
		{Action: 0, Topic: "a"},
	} {
		if q.Check() == nil || Explain(sample(t), &q).Allowed {
			t.Errorf("%+v is accepted", q)
		}
	}
}

// TestSameAnswer: the explained answer is the one that packets get, for random rules and questions.
func TestSameAnswer(t *testing.T) {
	filter := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "+", "%u", "%c"}), 1, 3).Draw(t, "levels"), "/") +
			rapid.SampledFrom([]string{"", "/#"}).Draw(t, "rest")
	})
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) acl.Rule {
			kind := rapid.SampledFrom([]acl.Selector{{Kind: acl.Anyone}, {Kind: acl.User, Name: "a"}, {Kind: acl.ClientID, Name: "b"}})
			return acl.Rule{
				Who: kind.Draw(t, "who"), Deny: rapid.Bool().Draw(t, "deny"),
				Do: acl.Actions(rapid.IntRange(1, int(acl.WordAll)).Draw(t, "do")), Topic: filter.Draw(t, "filter"),
			}
		}), 0, 5).Draw(t, "rules")
		p, err := acl.New(rules, nil)
		if err != nil {
			t.Fatal(err)
		}
		q := Query{
			Principal: identity.Principal{Method: "password", Name: rapid.SampledFrom([]string{"a", "b", "#"}).Draw(t, "user")},
			ClientID:  rapid.SampledFrom([]string{"a", "b", "x/y"}).Draw(t, "client"),
			Action:    identity.Action(rapid.IntRange(int(identity.Connect), int(identity.Will)).Draw(t, "action")),
			Topic:     strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "x"}), 1, 3).Draw(t, "topic"), "/"),
		}
		live := p.Authorize(&q.Principal, q.ClientID, q.Action, q.Topic)
		e := Explain(p, &q)
		if e.Allowed != live.Allowed || e.Rule != live.Rule.String() || e.Why != live.Why {
			t.Fatalf("live %+v, explained %+v", live, e)
		}
		if !e.Allowed && (e.ClientSees == "" || e.ToAllow == "") {
			t.Fatalf("nothing to learn from %+v", e)
		}
	})
}
