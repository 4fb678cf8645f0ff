package acl

import (
	"slices"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/identity"
)

// people are clients of every login method, with one name, another name and another issuer.
var people = map[string]identity.Principal{
	"nobody": {}, "anonymous": identity.Anonymous,
	"password:a": {Method: "password", Name: "a"}, "password:b": {Method: "password", Name: "b"},
	"scram:a": {Method: "scram", Name: "a"}, "p1:a": {Method: "p1", Name: "a"}, "p2:a": {Method: "p2", Name: "a"},
	"psk:a": {Method: "psk", Name: "a"}, "certificate:a": {Method: "certificate", Issuer: "CN=ca", Name: "a"},
	"jwt:a": {Method: "jwt", Issuer: "https://id", Name: "a"}, "jwt:b": {Method: "jwt", Issuer: "https://id", Name: "b"},
	"foreign password:a": {Method: "password", Issuer: "elsewhere", Name: "a"},
}

// TestSelectors: for each kind of selector, who of everybody it is about; alone, in a group and in a set it is the same.
func TestSelectors(t *testing.T) {
	const everybody, known = "everybody", "known"
	for text, who := range map[string]string{
		"anyone":             everybody,
		"authenticated":      known,
		"user:a":             "password:a scram:a p1:a",
		"user:b":             "password:b",
		"name:a":             "password:a scram:a p1:a p2:a psk:a certificate:a jwt:a foreign_password:a",
		"method:password":    "password:a password:b foreign_password:a",
		"method:jwt":         "jwt:a jwt:b",
		"method:certificate": "certificate:a",
		"method:anonymous":   "nobody anonymous",
		"jwt:a":              "jwt:a",
		"psk:a":              "psk:a",
		"psk:b":              "",
		"password:b":         "password:b",
		"client:c":           everybody,
		"client:d":           "",
	} {
		s, err := ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		groups := map[string][]Selector{"g": {{Kind: User, Name: "nobody of these"}, s}, "empty": {}}
		inGroup, err := New([]Rule{
			{Who: Selector{Kind: Group, Name: "empty"}, Do: OnPublish, Topic: "x"},
			{Who: Selector{Kind: Group, Name: "g"}, Do: OnPublish, Topic: "x"},
		}, groups)
		if err != nil {
			t.Fatal(err)
		}
		set := NewSet([]Selector{{Kind: User, Name: "nobody of these"}, s}, groups)
		setOfGroup := NewSet([]Selector{{Kind: Group, Name: "missing"}, {Kind: Group, Name: "g"}}, groups)
		for name, p := range people {
			want := who == everybody || who == known && name != "nobody" && name != "anonymous" ||
				slices.Contains(strings.Fields(who), strings.ReplaceAll(name, " ", "_"))
			got := []bool{
				s.matches(&p, "c", nil), inGroup.Authorize(&p, "c", identity.Publish, "x").Allowed, set.Has(&p, "c"), setOfGroup.Has(&p, "c"),
			}
			if !slices.Equal(got, []bool{want, want, want, want}) {
				t.Errorf("%s and %s: alone, in a group, in a set, in a group of a set %v, want %v", text, name, got, want)
			}
		}
	}
	var none *Set
	a := people["password:a"]
	if none.Has(&a, "c") || NewSet([]Selector{{Kind: Anyone}}, nil).Has(nil, "c") || NewSet(nil, nil).Has(&a, "c") {
		t.Error("nobody's set, or a set without anybody, has somebody")
	}
	if _, err := New(nil, map[string][]Selector{"g": {{}}}); err == nil {
		t.Error("a member that is nobody")
	}
	for text, good := range map[string]bool{
		"user:" + strings.Repeat("x", maxSelector-5): true, "user:" + strings.Repeat("x", maxSelector-4): false,
		"user: ": true, "user:a\x1f": false, "user:a\x7f": false, "user:~": true, "alice:": false, "alice": false, "user": false,
		"anonymous:": false, "method:": false, "method:p2": true, "p3:x": true,
	} {
		if _, err := ParseSelector(text); (err == nil) != good {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// TestLint: which rules never decide, and which are wider than was probably meant.
func TestLint(t *testing.T) {
	who := func(s string) Selector {
		sel, err := ParseSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		return sel
	}
	for text, want := range map[string]string{ // rules; findings as "number of the rule:ID"
		"anyone allow publish a; anyone allow publish a":                      "1:never-decides",
		"anyone allow publish a; user:x deny publish a":                       "1:never-decides",
		"anyone allow publish a; user:x deny publish b":                       "",
		"anyone allow publish a; anyone deny receive a":                       "",
		"anyone allow publish a; anyone allow subscribe a; anyone deny all a": "2:never-decides",
		"anyone allow publish a; anyone deny all a":                           "",
		"anyone allow publish a/#; anyone deny publish a/b":                   "1:never-decides",
		"anyone allow publish a/b; anyone deny publish a/#":                   "",
		"anyone allow publish a/#; anyone deny publish a/%u":                  "1:never-decides",
		"anyone allow publish a/%u; anyone deny publish a/b":                  "",
		"anyone allow publish a/%u; anyone allow publish a/%u":                "1:never-decides",
		"anyone allow publish a/%u; anyone deny publish a/%u":                 "", // denies to names that cannot be filled in
		"anyone deny publish a/%u; anyone deny publish a/%u":                  "1:never-decides",
		"anyone deny publish a/%u; anyone allow publish a/%u":                 "1:never-decides",
		"anyone allow publish a; anyone deny publish a":                       "1:never-decides",
		"authenticated allow publish a; anyone deny publish a":                "",
		"authenticated allow publish a; user:x deny publish a":                "1:never-decides",
		"authenticated allow publish a; name:x deny publish a":                "1:never-decides",
		"authenticated allow publish a; psk:x deny publish a":                 "1:never-decides",
		"authenticated allow publish a; method:psk deny publish a":            "1:never-decides",
		"authenticated allow publish a; method:anonymous deny publish a":      "",
		"authenticated allow publish a; client:x deny publish a":              "",
		"name:x allow publish a; user:x deny publish a":                       "1:never-decides",
		"name:x allow publish a; psk:x deny publish a":                        "1:never-decides",
		"name:x allow publish a; client:x deny publish a":                     "",
		"psk:y allow publish a; psk:x deny publish a":                         "",
		"user:x allow publish a; user:x deny publish a":                       "1:never-decides",
		"name:x allow publish a; psk:y deny publish a":                        "",
		"name:x allow publish a; method:psk deny publish a":                   "",
		"method:psk allow publish a; psk:x deny publish a":                    "1:never-decides",
		"method:psk allow publish a; jwt:x deny publish a":                    "",
		"method:psk allow publish a; user:x deny publish a":                   "",
		"user:x allow publish a; anyone deny publish a":                       "",
		"user:x allow publish a; psk:x deny publish a":                        "",
		"anyone allow publish 1/2/3":                                          "",
		"anyone allow publish 1/2/3/4":                                        "0:never-decides",
		"anyone allow publish 1/2/3/#":                                        "",
		"anyone allow publish 1/2/3/4/#":                                      "0:never-decides",
		"anyone allow publish #":                                              "0:wide every client may publish everywhere",
		"anyone allow all #":                                                  "0:wide every client may do everything everywhere",
		"authenticated allow receive +/#":                                     "0:wide every client with a login may receive everywhere",
		"method:psk allow publish #":                                          "0:wide every psk client may publish everywhere",
		"user:x allow publish #":                                              "",
		"user:x allow publish +/#":                                            "0:wide",
		"anyone deny publish #":                                               "",
		"user:x allow publish a/+/#":                                          "0:wide",
		"user:x allow publish a/+":                                            "",
		"client:x allow publish a":                                            "0:client-id",
		"anyone allow publish c/%c":                                           "0:client-id",
		"client:x deny publish a":                                             "",
	} {
		var rules []Rule
		for i, line := range strings.Split(text, "; ") {
			rules = append(rules, rule(t, i+1, line))
		}
		var got []string
		for _, f := range Lint(rules, 3) {
			got = append(got, string(rune('0'+f.Index))+":"+f.ID+" "+f.Why)
			if f.Why == "" || f.Fix == "" {
				t.Errorf("%s: %+v says nothing", text, f)
			}
		}
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], want)) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	subscribe := []Rule{{Who: who("anyone"), Do: OnSubscribe, Topic: "#"}}
	if got := Lint(subscribe, 3); len(got) > 0 {
		t.Errorf("a subscription alone gives nothing: %+v", got)
	}
	whole := []Rule{{Who: who("anyone"), Do: OnPublish, Topic: "a", Whole: true}, {Who: who("anyone"), Deny: true, Do: OnPublish, Topic: "a"}}
	if got := Lint(whole, 3); len(got) > 0 {
		t.Errorf("a pattern is not about clients with wildcards: %+v", got)
	}
	for want, first := range map[string]Rule{
		`last by anyone allow publish a`:             Literal(false, WordPublish, "a", identity.Rule{Name: "built in"}),
		`last by "anyone allow publish a" on line 7`: rule(t, 7, "anyone allow publish a"),
	} {
		if got := Lint([]Rule{first, rule(t, 9, "anyone allow publish a")}, 3); len(got) != 1 || !strings.Contains(got[0].Why, want) {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}
