package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// aclPath is the one key with two forms: a list of rules, or a section with lists of filters.
const aclPath = "acl"

const (
	maxGroups  = 1000   // elements of groups
	maxMembers = 10_000 // of one group
)

// ruleList is the list of rules.
func ruleList[T any](path string, at func(*T) *[]acl.Rule, doc string) field[T] {
	f := field[T]{Key: Key{Path: path, Kind: "list of rules", Range: "at most " + strconv.Itoa(maxRules), Default: "(acl.publish, acl.subscribe)", Doc: doc}}
	f.reset = func(t *T) { *at(t) = nil }
	f.show = func(t *T) string {
		texts := make([]string, len(*at(t)))
		for i, r := range *at(t) {
			verb := "allow"
			if r.Deny {
				verb = "deny"
			}
			texts[i] = fmt.Sprintf("{who: %s, %s: %s, topic: %s}", quoteYAML(r.Who.String()), verb, flow(r.Do.Words()), quoteYAML(r.Topic))
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	f.decode = func(t *T, d *decoder, n *yaml.Node) { *at(t) = d.ruleList(n, f.Path) }
	return f
}

// groups is a mapping of names to lists of selectors.
func groups[T any](path string, at func(*T) *map[string][]acl.Selector, doc string) field[T] {
	f := field[T]{Key: Key{
		Path: path, Kind: "group names with lists of members", Default: "{}", Doc: doc,
		Range: fmt.Sprintf("at most %d groups of %d members", maxGroups, maxMembers),
	}}
	f.reset = func(t *T) { *at(t) = nil }
	f.show = func(t *T) string {
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(*at(t))) {
			var members []string
			for _, m := range (*at(t))[name] {
				members = append(members, m.String())
			}
			texts = append(texts, name+": "+flow(members))
		}
		return "{" + strings.Join(texts, ", ") + "}"
	}
	f.decode = func(t *T, d *decoder, n *yaml.Node) { *at(t) = d.groups(n, f.Path) }
	return f
}

// ruleList reads the rules. What cannot be read is reported; the result is never nil.
func (d *decoder) ruleList(n *yaml.Node, path string) []acl.Rule {
	list := []acl.Rule{}
	switch {
	case !d.plain(n, path):
		return list
	case n.Kind != yaml.SequenceNode:
		d.report(n, path, "neither a list of rules nor a section", `write each rule as: - {who: "user:alice", allow: publish, topic: "plant/#"}`)
		return list
	case len(n.Content) > maxRules:
		d.report(n, path, fmt.Sprintf("more than %d rules", maxRules), "")
		return list
	}
	for _, e := range n.Content {
		if r, ok := d.rule(e, path); ok {
			list = append(list, r)
			d.rules[path] = append(d.rules[path], e)
		}
	}
	d.origin(path, n)
	return list
}

// ruleKeys are the keys of one rule.
var ruleKeys = []string{"who", "allow", "deny", "topic"}

func (d *decoder) rule(n *yaml.Node, path string) (acl.Rule, bool) {
	if !d.section(n, path) {
		return acl.Rule{}, false
	}
	r := acl.Rule{Place: identity.Rule{File: d.name, Line: n.Line}}
	ok := true
	given := map[string]bool{}
	for _, p := range d.pairs(n, path) {
		key := p.key.Value
		given[key] = true
		switch key {
		case "who":
			ok = d.selector(p.value, path+".who", &r.Who, false) && ok
		case "allow", "deny":
			r.Deny = key == "deny"
			ok = d.actions(p.value, path+"."+key, &r.Do) && ok
		case "topic":
			ok = d.ruleTopic(p.value, path+".topic", &r.Topic) && ok
		default:
			d.addKey(p.key, path, "unknown key "+bounded64(path+"."+key), didYouMean(key, ruleKeys))
			ok = false
		}
	}
	switch {
	case given["allow"] == given["deny"]:
		d.report(n, path, "a rule has either allow or deny", `such as: - {who: "user:alice", allow: publish, topic: "plant/#"}`)
		return r, false
	case !given["who"] || !given["topic"]:
		d.report(n, path, "a rule says who and topic", `such as: - {who: "user:alice", allow: publish, topic: "plant/#"}`)
		return r, false
	}
	return r, ok
}

// selector reads one; with bare, a word without colon is a local account.
func (d *decoder) selector(n *yaml.Node, path string, to *acl.Selector, bare bool) bool {
	s, ok := d.text(n, path)
	if !ok {
		return false
	}
	if bare && !strings.Contains(s, ":") && s != "" {
		s = "user:" + s
	}
	var err error
	if *to, err = acl.ParseSelector(s); err != nil {
		d.report(n, path, err.Error(), "write anyone, authenticated, user:NAME, group:NAME, METHOD:NAME, method:METHOD or client:ID")
		return false
	}
	return true
}

func (d *decoder) actions(n *yaml.Node, path string, to *acl.Actions) bool {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode && d.plain(n, path) {
		nodes = n.Content
	}
	for _, e := range nodes {
		s, ok := d.scalar(e, path)
		if !ok {
			return false
		}
		a, err := acl.ParseAction(s)
		if err != nil {
			d.report(e, path, err.Error(), didYouMean(s, acl.Words()))
			return false
		}
		*to |= a
	}
	if *to == 0 {
		d.report(n, path, "no action", "")
		return false
	}
	return true
}

func (d *decoder) ruleTopic(n *yaml.Node, path string, to *string) bool {
	s, ok := d.text(n, path)
	if !ok {
		return false
	}
	if strings.ContainsFunc(s, isControl) {
		d.report(n, path, quote(s)+" contains a control character", "")
		return false
	}
	if strings.HasPrefix(s, "$share/") {
		d.report(n, path, quote(s)+" names a shared subscription", "write the filter behind $share/NAME/: rules hold for shared subscriptions, too")
		return false
	}
	probe := acl.Rule{Who: acl.Selector{Kind: acl.Anyone}, Do: acl.WordAll, Topic: s}
	if err := probe.Check(); err != nil {
		d.report(n, path, fmt.Sprintf("%s is not a topic filter: %v", quote(s), err), "")
		return false
	}
	*to = s
	return true
}

func (d *decoder) groups(n *yaml.Node, path string) map[string][]acl.Selector {
	if !d.section(n, path) {
		return nil
	}
	if len(n.Content)/2 > maxGroups {
		d.report(n, path, fmt.Sprintf("more than %d groups", maxGroups), "")
		return nil
	}
	out := map[string][]acl.Selector{}
	for _, p := range d.pairs(n, path) {
		name := p.key.Value
		full := join(path, name)
		switch {
		case !nameForm.MatchString(name):
			d.addKey(p.key, path, path+": "+bounded64(name)+" is not a name: "+nameRange, "")
			continue
		case !d.plain(p.value, full):
			continue
		case p.value.Kind != yaml.SequenceNode || len(p.value.Content) > maxMembers:
			d.report(p.value, full, fmt.Sprintf("not a list of at most %d members", maxMembers), `write it as: [alice, "psk:pump-7"]`)
			continue
		}
		out[name] = make([]acl.Selector, 0, len(p.value.Content))
		for _, e := range p.value.Content {
			var s acl.Selector
			if !d.selector(e, full, &s, true) {
				continue
			}
			if s.Kind == acl.Group {
				d.report(e, full, "a group cannot be a member of a group", "name its members")
				continue
			}
			out[name] = append(out[name], s)
		}
		d.origin(full, p.value)
	}
	d.origin(path, n)
	return out
}

// checkRules refuses rules about groups that are not there, and rules that can never decide.
func (c *Config) checkRules(d *decoder) {
	if len(d.rules[aclPath]) != len(c.ACL.Rules) {
		return // something was reported
	}
	for i := range c.ACL.Rules {
		r := &c.ACL.Rules[i]
		if _, ok := c.ACL.Groups[r.Who.Name]; r.Who.Kind == acl.Group && !ok {
			d.ruleProblem(i, "there is no group "+quote(r.Who.Name), didYouMean(r.Who.Name, slices.Sorted(maps.Keys(c.ACL.Groups))))
		}
	}
	for _, f := range acl.Unreachable(c.ACL.Rules, c.Limits.TopicLevels) {
		d.ruleProblem(f.Index, "this rule can never decide: "+f.Why, "remove it, or put it earlier")
	}
}

func (d *decoder) ruleProblem(i int, message, hint string) {
	n := d.rules[aclPath][i]
	d.add(n.Line, n.Column, aclPath, aclPath+": "+message, hint)
}

// otherForm lists the keys of the form of acl that is not used.
func (c *Config) otherForm() []pointless {
	var out []pointless
	if c.ACL.Rules == nil {
		out = append(out, pointless{path: aclPath})
		if c.ACL.Mosquitto == "" {
			return out
		}
	}
	for _, f := range topKeys {
		if strings.HasPrefix(f.Path, aclPath+".") && (c.ACL.Rules != nil || f.Path != "acl.mosquitto") {
			out = append(out, pointless{path: f.Path})
		}
	}
	return out
}

// Policy compiles the rules. It fails for a Mosquitto access file that cannot be used, with the line, and otherwise only for
// a Config that was not validated.
func (c *Config) Policy() (*acl.Policy, error) {
	if c.ACL.Mosquitto != "" {
		rules, err := mosquittoRules(c.ACL.Mosquitto)
		if err != nil {
			return nil, err
		}
		return acl.NewMosquitto(rules)
	}
	if c.ACL.Rules != nil {
		return acl.New(c.ACL.Rules, c.ACL.Groups)
	}
	var rules []acl.Rule
	add := func(deny bool, verb string, do acl.Actions, list []Rule) {
		for _, r := range list {
			place := identity.Rule{Name: verb + " " + string(r.Filter), File: r.File, Line: r.Line}
			rules = append(rules, acl.Literal(deny, do, topic.Filter(r.Filter), place))
		}
	}
	add(true, "deny", acl.WordPublish, c.ACL.Publish.Deny)
	add(false, "allow", acl.WordPublish, c.ACL.Publish.Allow)
	add(true, "deny", acl.WordSubscribe, c.ACL.Subscribe.Deny)
	add(false, "allow", acl.WordSubscribe, c.ACL.Subscribe.Allow)
	return acl.New(rules, nil)
}

// notes says what nobody can do.
func (a *ACL) notes() []string {
	var notes []string
	if a.Mosquitto != "" {
		return nil
	}
	if a.Rules != nil {
		can := acl.Actions(0)
		for _, r := range a.Rules {
			if !r.Deny {
				can |= r.Do
			}
		}
		if can&acl.OnPublish == 0 {
			notes = append(notes, "nobody can publish: no rule of acl allows it")
		}
		if can&acl.OnReceive == 0 {
			notes = append(notes, "nobody receives anything: no rule of acl allows subscribe")
		}
		return notes
	}
	if len(a.Publish.Allow) == 0 {
		notes = append(notes, "nobody can publish: acl.publish.allow is empty")
	}
	if len(a.Subscribe.Allow) == 0 {
		notes = append(notes, "nobody can subscribe: acl.subscribe.allow is empty")
	}
	return notes
}
