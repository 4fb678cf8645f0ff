package acl

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// rule reads "WHO allow|deny WORD[,WORD] TOPIC".
func rule(t testing.TB, line int, text string) Rule {
	t.Helper()
	words := strings.Fields(text)
	if len(words) != 4 {
		t.Fatalf("rule %q", text)
	}
	who, err := ParseSelector(words[0])
	if err != nil {
		t.Fatal(err)
	}
	r := Rule{Who: who, Deny: words[1] == "deny", Topic: words[3], Place: identity.Rule{File: "sealmq.yaml", Line: line}}
	for w := range strings.SplitSeq(words[2], ",") {
		a, err := ParseAction(w)
		if err != nil {
			t.Fatal(err)
		}
		r.Do |= a
	}
	return r
}

// policy makes a Policy of one rule a line.
func policy(t testing.TB, text string, groups map[string][]Selector) *Policy {
	t.Helper()
	var rules []Rule
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		rules = append(rules, rule(t, i+1, line))
	}
	p, err := New(rules, groups)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func user(name string) *identity.Principal {
	return &identity.Principal{Method: "password", Name: name}
}

var sensors = map[string][]Selector{"sensors": {{Kind: User, Name: "alice"}, {Kind: OfMethod, Method: "psk", Name: "pump"}}}

func TestFirstMatchWins(t *testing.T) {
	p := policy(t, `
user:alice deny publish plant/secret
user:alice allow publish plant/#
group:sensors allow publish plant/%u/#
anyone deny receive plant/private/#
authenticated allow subscribe plant/#
anyone allow subscribe $SYS/broker/+
client:c9 allow will last/%c
jwt:alice allow publish jwt/%u
anyone deny retain open/#
anyone allow publish open/#
certificate:pump allow publish cert/%i/%u
`, sensors)
	psk := &identity.Principal{Method: "psk", Name: "pump"}
	jwt := &identity.Principal{Method: "jwt", Issuer: "https://id", Name: "alice"}
	for _, c := range []struct {
		who    *identity.Principal
		client string
		do     identity.Action
		on     string
		rule   int // line of the deciding rule, negative when it denies, 0 for the default
	}{
		{user("alice"), "c", identity.Subscribe, "$SYS/broker/+", 6},
		{user("alice"), "c", identity.Subscribe, "$SYS/broker/#", 0}, // wider, although + also matches a level that is called #
		{user("alice"), "c", identity.Publish, "plant/secret", -1},
		{user("alice"), "c", identity.Will, "plant/secret", -1},
		{user("alice"), "c", identity.Publish, "plant/x", 2},
		{user("bob"), "c", identity.Publish, "plant/bob/x", 0},
		{psk, "c", identity.Publish, "plant/pump/x", 3},
		{psk, "c", identity.Publish, "plant/alice/x", 0},
		{jwt, "c", identity.Publish, "plant/x", 0}, // not the local account
		{jwt, "c", identity.Publish, "jwt/alice", 8},
		{user("bob"), "c", identity.Subscribe, "plant/#", 5},
		{user("bob"), "c", identity.Subscribe, "#", 0},
		{user("bob"), "c", identity.Subscribe, "plant/private/x", 5}, // receive alone is denied
		{user("bob"), "c", identity.Receive, "plant/private/x", -4},
		{user("bob"), "c", identity.Receive, "plant/x", 5},
		{&identity.Anonymous, "c", identity.Receive, "plant/x", 0},
		{&identity.Anonymous, "c", identity.Subscribe, "$SYS/broker/+", 6},
		{&identity.Anonymous, "c", identity.Subscribe, "$SYS/#", 0},
		{user("bob"), "c9", identity.Will, "last/c9", 7},
		{user("bob"), "c9", identity.Publish, "last/c9", 0},
		{user("bob"), "c", identity.Retain, "open/x", -9},
		{user("bob"), "c", identity.Publish, "open/x", 10},
		{&identity.Principal{Method: "certificate", Issuer: "CN=ca", Name: "pump"}, "c", identity.Publish, "cert/CN=ca/pump", 11},
		{user("alice"), "c", 0, "plant/x", 0},
		{user("alice"), "c", 200, "plant/x", 0},
		{nil, "", identity.Publish, "plant/x", 0},
		{user("alice"), "c", identity.Subscribe, "", 0},
	} {
		d := p.Authorize(c.who, c.client, c.do, c.on)
		line := d.Rule.Line
		if !d.Allowed {
			line = -line
		}
		if line != c.rule || d.Allowed != (d.Why == "") {
			t.Errorf("%v %q %v %s: %+v, want rule %d", c.who, c.client, c.do, c.on, d, c.rule)
		}
	}
	if d := p.Authorize(nil, "x", identity.Connect, ""); !d.Allowed {
		t.Errorf("connect: %+v", d)
	}
	for _, a := range []identity.Action{identity.Publish, identity.Retain, identity.Will} {
		if d := policy(t, "anyone allow all $SYS/#", nil).Authorize(nil, "", a, "$SYS/x"); d.Allowed || d.Rule != Reserved {
			t.Errorf("%v to $SYS: %+v", a, d)
		}
	}
}

// TestAttack32_SubstitutionIsLiteral: what a client calls itself never widens its rights, and never frees it from a rule that
// denies (attack 32).
func TestAttack32_SubstitutionIsLiteral(t *testing.T) {
	p := policy(t, `
anyone deny publish all/%u/secret
anyone allow publish all/#
anyone allow publish u/%u/#
anyone allow publish c/%c
anyone allow subscribe %u/status
anyone allow receive dev-%c
`, nil)
	for _, name := range []string{"", "#", "+", "a/b", "a#", "+a", "x\x00", "/", "a/#"} {
		who := user(name)
		for _, on := range []string{"u/a/x", "u//x", "u/a/b/x", "u/" + name, "u/" + name + "/x", "c/" + name, "c/a"} {
			if d := p.Authorize(who, name, identity.Publish, on); d.Allowed {
				t.Errorf("%q may publish to %q by %v", name, on, d.Rule)
			}
		}
		if d := p.Authorize(who, name, identity.Publish, "all/a/secret"); d.Allowed {
			t.Errorf("%q escapes the rule that denies", name)
		}
		if d := p.Authorize(who, name, identity.Publish, "all/a/open"); !d.Allowed {
			t.Errorf("%q: %+v", name, d)
		}
		if d := p.Authorize(who, name, identity.Receive, "dev-a"); d.Allowed {
			t.Errorf("%q receives dev-a", name)
		}
	}
	if !p.Authorize(user("a"), "7", identity.Receive, "dev-7").Allowed || !p.Authorize(user("a"), "a", identity.Publish, "c/a").Allowed {
		t.Error("an ordinary name does not get its own")
	}
	for _, name := range []string{"$SYS", "$share", "$"} { // topics with $ only by a rule that names them
		if d := p.Authorize(user(name), "c", identity.Subscribe, name+"/status"); d.Allowed {
			t.Errorf("%q gets %s/status", name, name)
		}
	}
	for _, who := range []*identity.Principal{&identity.Anonymous, {Method: "anonymous", Name: "x"}, {Name: "x"}} { // a name that nobody proved is none
		if d := p.Authorize(who, "c", identity.Publish, "u/x/y"); d.Allowed {
			t.Errorf("%+v has a name", *who)
		}
	}
}

func TestAttribute(t *testing.T) {
	for _, c := range []struct{ dn, key, want string }{
		{"CN=pump-7,OU=line 2,O=Plant", "cn", "pump-7"},
		{"CN=pump-7,OU=line 2,O=Plant", "ou", "line 2"},
		{"CN=pump-7,OU=line 2,O=Plant", "o", "Plant"},
		{`CN=x\,OU=admin,O=Plant`, "ou", ""},
		{`CN=x\,OU=admin,O=Plant`, "cn", "x,OU=admin"},
		{"OU=a,OU=b,CN=x", "ou", ""},
		{"OU=a+CN=x", "cn", "x"},
		{`CN=a\2Cb`, "cn", ""},
		{"CN=#0401", "cn", ""},
		{"pump-7", "cn", ""},
		{`CN=x\`, "cn", ""},
		{"", "cn", ""},
		{`a\,b=1,CN=root`, "cn", ""},
		{"CN=x,junk", "cn", ""},
	} {
		if got := attribute(c.dn, c.key); got != c.want {
			t.Errorf("%s of %q: %q, want %q", c.key, c.dn, got, c.want)
		}
	}
	p := policy(t, "method:certificate allow publish %{o}/%{cn}/#", nil)
	cert := &identity.Principal{Method: "certificate", Name: "CN=pump,O=Plant"}
	if !p.Authorize(cert, "", identity.Publish, "Plant/pump/x").Allowed {
		t.Error("the subject's fields are not filled in")
	}
	everybody := policy(t, "anyone allow publish %{o}/%{cn}/#", nil)
	if !everybody.Authorize(cert, "", identity.Publish, "Plant/pump/x").Allowed {
		t.Error("the subject's fields are not filled in for anyone")
	}
	for _, p := range []*Policy{p, everybody} {
		if p.Authorize(user("CN=pump,O=Plant"), "", identity.Publish, "Plant/pump/x").Allowed {
			t.Error("a password account has certificate fields")
		}
	}
}

func TestUnusable(t *testing.T) {
	anyone := Selector{Kind: Anyone}
	for name, rules := range map[string][]Rule{
		"nobody":       {{Do: OnPublish, Topic: "a"}},
		"no action":    {{Who: anyone, Topic: "a"}},
		"no topic":     {{Who: anyone, Do: OnPublish}},
		"field":        {{Who: anyone, Do: OnPublish, Topic: "a/%x"}},
		"lone percent": {{Who: anyone, Do: OnPublish, Topic: "100%"}},
		"wildcard":     {{Who: anyone, Do: OnPublish, Topic: "a+%u"}},
		"after rest":   {{Who: anyone, Do: OnPublish, Topic: "#/%u"}},
		"share":        {{Who: anyone, Do: OnSubscribe, Topic: "$share/g/a"}},
		"group":        {{Who: Selector{Kind: Group, Name: "none"}, Do: OnPublish, Topic: "a"}},
	} {
		if _, err := New(rules, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(nil, map[string][]Selector{"a": {{Kind: Group, Name: "b"}}}); err == nil {
		t.Error("a group within a group")
	}
	for _, s := range []string{"", "alice", "user:", "group:", "method:none", "anonymous:x", "who:x", "user:\x01", "user:" + strings.Repeat("x", 2000)} {
		if sel, err := ParseSelector(s); err == nil {
			t.Errorf("%q is %+v", s, sel)
		}
	}
	for _, s := range []string{"anyone", "authenticated", "user:alice", "name:a:b", "group:g", "client:c", "method:jwt", "psk:x"} {
		if sel, err := ParseSelector(s); err != nil || sel.String() != s {
			t.Errorf("%q is %v: %v", s, sel, err)
		}
	}
	if (Selector{}).matches(user("a"), "", nil) || (&Policy{}).Authorize(user("a"), "", identity.Publish, "a").Allowed {
		t.Error("a zero value allows")
	}
}

// drawn is a random policy in a small world, so that rules meet.
func drawn(t *rapid.T) *Policy {
	level := rapid.SampledFrom([]string{"a", "b", "+", "%u", "%c", "x-%u"})
	who := rapid.SampledFrom([]Selector{
		{Kind: Anyone},
		{Kind: Authenticated},
		{Kind: User, Name: "a"},
		{Kind: Named, Name: "b"},
		{Kind: Group, Name: "g"},
		{Kind: ClientID, Name: "b"},
		{Kind: ByMethod, Method: "jwt"},
	})
	rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Rule {
		f := strings.Join(rapid.SliceOfN(level, 1, 3).Draw(t, "levels"), "/") + rapid.SampledFrom([]string{"", "/#"}).Draw(t, "rest")
		return Rule{
			Who: who.Draw(t, "who"), Deny: rapid.Bool().Draw(t, "deny"), Do: Actions(rapid.IntRange(1, int(WordAll)).Draw(t, "do")), Topic: f,
		}
	}), 0, 6).Draw(t, "rules")
	p, err := New(rules, map[string][]Selector{"g": {{Kind: User, Name: "a"}, {Kind: ClientID, Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	drawnWho    = rapid.SampledFrom([]*identity.Principal{user("a"), user("b"), user("+"), user("a/b"), {Method: "jwt", Name: "a"}, {}})
	drawnClient = rapid.SampledFrom([]string{"a", "b", "#", ""})
)

func drawnName(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "x-a", "x-b"}), 1, 4).Draw(t, "topic"), "/")
}

// TestOneEvaluator: a dry run, a first and a repeated question have one answer, and it is the one of the rules as written.
func TestOneEvaluator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawn(t)
		who, client := drawnWho.Draw(t, "who"), drawnClient.Draw(t, "client")
		a := identity.Action(rapid.IntRange(int(identity.Publish), int(identity.Will)).Draw(t, "action"))
		on := drawnName(t)
		trace := p.Trace(who, client, a, on)
		for range 2 {
			if d := p.Authorize(who, client, a, on); d != trace.Decision {
				t.Fatalf("live %+v, dry run %+v", d, trace.Decision)
			}
		}
		if want := naive(p, who, client, a, on); trace.Allowed != want {
			t.Fatalf("got %+v, want %v", trace.Decision, want)
		}
		if trace.Nearest != nil && (trace.Allowed || trace.Nearest.Miss == NoMiss || trace.Nearest.Why == "") {
			t.Fatalf("nearest %+v", trace.Nearest)
		}
	})
}

// naive reads the rules without any of the machinery, for Topic Names (which are filters, too).
func naive(p *Policy, who *identity.Principal, client string, a identity.Action, on string) bool {
	usable := func(v string) bool { return v != "" && !strings.ContainsAny(v, "+#/") }
	for _, r := range p.rules {
		if r.Do&setOf(a) == 0 || !r.Who.matches(who, client, p.groups) {
			continue
		}
		var f []string
		ok := true
		for l := range strings.SplitSeq(r.Topic, "/") {
			bad := strings.Contains(l, "%u") && !usable(who.Name) || strings.Contains(l, "%c") && !usable(client)
			ok = ok && !bad
			if bad {
				l = "+"
			}
			f = append(f, strings.NewReplacer("%u", who.Name, "%c", client).Replace(l))
		}
		if (ok || r.Deny) && topic.Filter(strings.Join(f, "/")).Matches(topic.Name(on)) {
			return !r.Deny
		}
	}
	return false
}

// TestNothingBeyondReceive: whatever was subscribed, a message arrives only where receive is allowed; and a filter is
// granted only when every topic within it is allowed by the rule that granted it.
func TestNothingBeyondReceive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawn(t)
		who, client := drawnWho.Draw(t, "who"), drawnClient.Draw(t, "client")
		sub := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "+"}), 1, 3).Draw(t, "sub"), "/") +
			rapid.SampledFrom([]string{"", "/#"}).Draw(t, "rest")
		on := drawnName(t)
		e := first(p.compile(who, client), OnSubscribe, sub)
		if e != nil && topic.Filter(sub).Matches(topic.Name(on)) && !e.filter.Matches(topic.Name(on)) {
			t.Fatalf("%q was granted by %v, which does not match %q", sub, p.rules[e.rule], on)
		}
	})
}

// TestCacheIsBounded: clients without end do not make the cache grow without end, and get the right answers.
func TestCacheIsBounded(t *testing.T) {
	p := policy(t, "anyone allow publish u/%u\nanyone allow publish c/%c", nil)
	for i := range 3 * shardEntries {
		name := fmt.Sprintf("%d-same", i) // the same shard
		if !p.Authorize(user(name), "c", identity.Publish, "u/"+name).Allowed {
			t.Fatal(name)
		}
	}
	for i := range p.cache.shards {
		if s := &p.cache.shards[i]; s.cost > shardEntries || len(s.sets) > shardEntries {
			t.Errorf("shard %d: cost %d, %d clients", i, s.cost, len(s.sets))
		}
	}
}

// TestCacheKnowsWhoLoggedIn: clients that share a name and a Client Identifier, and differ in how they logged in, have
// each their own rights, in whatever order they ask.
func TestCacheKnowsWhoLoggedIn(t *testing.T) {
	p := policy(t, "certificate:a allow publish %i/x\nmethod:jwt allow publish jwt", nil)
	plant, office := &identity.Principal{Method: "certificate", Issuer: "plant", Name: "a"}, &identity.Principal{Method: "certificate", Issuer: "office", Name: "a"}
	jwt := &identity.Principal{Method: "jwt", Issuer: "plant", Name: "a"}
	for range 2 {
		for who, may := range map[*identity.Principal]string{plant: "plant/x", office: "office/x", jwt: "jwt", user("a"): ""} {
			for _, on := range []string{"plant/x", "office/x", "jwt"} {
				if d := p.Authorize(who, "c", identity.Publish, on); d.Allowed != (on == may) {
					t.Errorf("%v to %s: %+v", who, on, d)
				}
			}
		}
	}
	for i := range p.cache.shards {
		s := &p.cache.shards[i]
		entries := 0
		for _, c := range s.sets {
			entries += len(c.list) + 1
		}
		if s.cost != entries {
			t.Errorf("%d entries are counted as %d", entries, s.cost)
		}
	}
}

// TestFieldsOfRules: a percent sign that is written twice is one; a field's value may not begin a filter with $, and may
// stand behind other text with it; a rule that denies keeps its force.
func TestFieldsOfRules(t *testing.T) {
	p := policy(t, "anyone allow publish 100%%/%u\nanyone allow receive x/%u/y\nanyone deny receive deny-%u/y\nanyone allow receive +/y", nil)
	for _, c := range []struct {
		name    string
		do      identity.Action
		on      string
		allowed bool
	}{
		{"a", identity.Publish, "100%/a", true},
		{"a", identity.Publish, "100/a", false},
		{"$a", identity.Receive, "x/$a/y", true},
		{"a", identity.Receive, "deny-a/y", false},
		{"a", identity.Receive, "deny-b/y", true},
		{"+", identity.Receive, "deny-b/y", false},
		{"", identity.Receive, "deny-b/y", false},
	} {
		if d := p.Authorize(user(c.name), "c", c.do, c.on); d.Allowed != c.allowed {
			t.Errorf("%+v: %+v", c, d)
		}
	}
	for _, dn := range []string{`OU=x\,CN`, `a\,CN=x`, "a+CN=x", "CN", "OU=a,CN"} {
		if got := attribute(dn, "cn"); got != "" && dn != "a+CN=x" {
			t.Errorf("%s has the name %q", dn, got)
		}
	}
	if got := attribute(`CN=a\0Db`, "cn"); got != "" {
		t.Errorf("a value in hexadecimal: %q", got)
	}
}

// TestTraceSaysWhy: the nearest rule, and in words what it would have taken.
func TestTraceSaysWhy(t *testing.T) {
	whole := []Rule{{Who: Selector{Kind: Anyone}, Do: WordAll, Topic: "a", Whole: true, Place: identity.Rule{Line: 1}}}
	patterns, err := New(whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := policy(t, "user:alice allow publish a/b/c\nuser:alice allow subscribe s/+/%u\nclient:c allow publish c/#\ngroup:sensors allow publish g\nuser:carl allow publish %c/x", sensors)
	for _, c := range []struct {
		p      *Policy
		who    *identity.Principal
		client string
		do     identity.Action
		on     string
		miss   Miss
		words  string
	}{
		{p, user("alice"), "", identity.Publish, "a/b", OtherTopic, "the topic ends after level 2, the rule begins below it"},
		{p, user("alice"), "", identity.Publish, "a/b/c/d", OtherTopic, "the rule ends after level 3, the topic goes on"},
		{p, user("alice"), "", identity.Publish, "a/x/c", OtherTopic, `level 2 must be "b", the topic has "x"`},
		{p, user("alice"), "", identity.Subscribe, "s/x/bob", OtherTopic, `level 3 must be "alice" (from %u), the topic has "bob"`},
		{p, user("alice"), "", identity.Subscribe, "s/#", OtherTopic, "level 2 of the filter is #, which is wider"},
		{p, user("alice"), "", identity.Subscribe, "+/x/alice", OtherTopic, "level 1 of the filter is +, which is wider"},
		{p, user("alice"), "", identity.Receive, "$SYS/x", OtherTopic, "only by rules that name them"},
		{p, user("alice"), "", identity.Receive, "a/b/c", OtherTopic, `level 1 must be "s"`},
		{p, user("carl"), "", identity.Receive, "x", OtherAction, "not about receive"},
		{p, user("carl"), "", identity.Publish, "x", NoValue, "%c has no value for this client"},
		{p, user("carl"), "a/b", identity.Publish, "x", NoValue, `%c is "a/b", which cannot stand in a filter`},
		{p, user("bob"), "d", identity.Publish, "c/x", OtherPeople, `the client is called "d", not "c"`},
		{p, user("bob"), "d", identity.Publish, "g", OtherPeople, "is not in the group sensors"},
		{p, user("bob"), "d", identity.Publish, "a/b/c", OtherPeople, "the rule is for user:alice"},
		{p, nil, "d", identity.Publish, "a/b/c", OtherPeople, "the client is anonymous"},
		{patterns, user("+"), "d", identity.Publish, "a", NoValue, "has a wildcard in it"},
		{patterns, user("a"), "d", identity.Subscribe, "", OtherTopic, `level 1 must be "a"`},
	} {
		n := c.p.Trace(c.who, c.client, c.do, c.on).Nearest
		if n == nil || n.Miss != c.miss || !strings.Contains(n.Why, c.words) {
			t.Errorf("%v %v %s: %+v, want %d %s", c.who, c.do, c.on, n, c.miss, c.words)
		}
	}
	for action, want := range map[identity.Action]string{
		identity.Publish: `no rule allows to publish to "z"`, identity.Retain: `no rule allows to retain a message on "z"`,
		identity.Will: `no rule allows to leave a will on "z"`, identity.Subscribe: `no rule allows to subscribe to "z"`,
		identity.Receive: `no rule allows to receive from "z"`,
	} {
		if d := p.Authorize(nil, "", action, "z"); d.Allowed || d.Why != want {
			t.Errorf("%v: %+v", action, d)
		}
		if trace := p.Trace(nil, "", action, "z"); trace.Allowed || trace.Why != want {
			t.Errorf("%v in a dry run: %+v", action, trace)
		}
	}
	for _, a := range []identity.Action{identity.Publish, identity.Retain, identity.Will} {
		for _, on := range []string{"", "$SYS/x", "$"} {
			if d, trace := p.Authorize(user("alice"), "", a, on), p.Trace(user("alice"), "", a, on); d.Allowed || d.Rule != Reserved || trace.Decision != d || trace.Nearest != nil {
				t.Errorf("%v %q: %+v, %+v", a, on, d, trace)
			}
		}
	}
	denied := policy(t, "anyone deny all a/#", nil)
	for action, want := range map[identity.Action]string{identity.Receive: `"a/b" matches the denied filter "a/#"`, identity.Subscribe: `"a/b" lies within the denied filter "a/#"`} {
		if d := denied.Authorize(nil, "", action, "a/b"); d.Why != want || d.Rule.Name != "anyone deny all a/#" {
			t.Errorf("%v: %+v", action, d)
		}
	}
	for set, want := range map[Actions]string{
		WordAll: "all", WordPublish: "publish", WordSubscribe: "subscribe", OnRetain | OnWill: "retain will", WordPublish | OnReceive: "publish receive",
		OnPublish: "publish alone", OnSubscribe: "subscribe alone", OnPublish | OnSubscribe | OnWill: "will publish alone subscribe alone",
	} {
		if got := strings.Join(set.Words(), " "); got != want {
			t.Errorf("%b is %q, want %q", set, got, want)
		}
	}
	if got := strings.Join(Words(), " "); got != "all publish subscribe retain will receive" {
		t.Errorf("words %s", got)
	}
}

func ten(t testing.TB) *Policy {
	text := ""
	for i := range 9 {
		text += fmt.Sprintf("authenticated allow publish plant/%d/%%u/#\n", i)
	}
	return policy(t, text+"authenticated allow publish plant/+/%u/telemetry/#", nil)
}

func TestAllowDoesNotAllocate(t *testing.T) {
	p, who := ten(t), user("pump-17")
	if n := testing.AllocsPerRun(100, func() { p.Authorize(who, "client-17", identity.Publish, "plant/x/pump-17/telemetry/t") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAuthorizeTenRules(b *testing.B) {
	p, who := ten(b), user("pump-17")
	b.ReportAllocs()
	for b.Loop() {
		if !p.Authorize(who, "client-17", identity.Publish, "plant/x/pump-17/telemetry/t").Allowed {
			b.Fatal("denied")
		}
	}
}
