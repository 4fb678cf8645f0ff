package acl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// Actions is a set of what a rule speaks about.
type Actions uint8

// The members of Actions, and the sets that words stand for.
const (
	OnPublish   Actions = 1 << iota // PUBLISH
	OnRetain                        // PUBLISH with RETAIN 1, a Will with Will Retain 1
	OnWill                          // a Will
	OnSubscribe                     // a Topic Filter
	OnReceive                       // delivery of a concrete topic

	WordPublish   = OnPublish | OnRetain | OnWill
	WordSubscribe = OnSubscribe | OnReceive
	WordAll       = WordPublish | WordSubscribe
)

// words are the texts of the configuration, widest first.
var words = []struct {
	text string
	set  Actions
}{
	{"all", WordAll},
	{"publish", WordPublish},
	{"subscribe", WordSubscribe},
	{"retain", OnRetain},
	{"will", OnWill},
	{"receive", OnReceive},
}

// Words are the texts that ParseAction understands.
func Words() []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}

// ParseAction reads one word: "publish" is a PUBLISH, retained or not, and a Will; "subscribe" is a subscription and what
// is delivered by it; "retain", "will" and "receive" are those parts alone; "all" is everything.
func ParseAction(s string) (Actions, error) {
	for _, w := range words {
		if w.text == s {
			return w.set, nil
		}
	}
	return 0, fmt.Errorf("%q is not an action: write %s", s, strings.Join(Words(), ", "))
}

// Words returns the fewest words for the set.
func (a Actions) Words() []string {
	var out []string
	for _, w := range words {
		if a&w.set == w.set {
			out = append(out, w.text)
			a &^= w.set
		}
	}
	if a&OnPublish != 0 {
		out = append(out, "publish alone")
	}
	if a&OnSubscribe != 0 {
		out = append(out, "subscribe alone")
	}
	return out
}

// setOf is the Actions of one action.
func setOf(a identity.Action) Actions {
	switch a {
	case identity.Publish:
		return OnPublish
	case identity.Retain:
		return OnRetain
	case identity.Will:
		return OnWill
	case identity.Subscribe:
		return OnSubscribe
	case identity.Receive:
		return OnReceive
	}
	return 0
}

// Rule is one line of policy.
type Rule struct {
	Who   Selector
	Deny  bool
	Do    Actions
	Topic string // a Topic Filter with fields, see Check
	Place identity.Rule
	// Whole marks a pattern of Mosquitto: it matches nobody whose name or Client Identifier has a wildcard in it, nobody
	// without a value for one of its fields, and if it denies, it does so for the value as it is.
	Whole bool
}

// Check says why the rule cannot be used.
func (r *Rule) Check() error {
	if r.Who.Kind == 0 || r.Do == 0 {
		return fmt.Errorf("a rule needs somebody and an action")
	}
	_, err := parseTemplate(r.Topic)
	return err
}

// verb is the word before the actions.
func (r *Rule) verb() string {
	if r.Deny {
		return "deny"
	}
	return "allow"
}

// String is the rule in one line, without its place.
func (r *Rule) String() string {
	return r.Who.String() + " " + r.verb() + " " + strings.Join(r.Do.Words(), ",") + " " + r.Topic
}

// Literal is a rule for everybody about one filter without fields.
func Literal(deny bool, do Actions, f topic.Filter, place identity.Rule) Rule {
	return Rule{Who: Selector{Kind: Anyone}, Deny: deny, Do: do, Topic: escape(f), Place: place}
}

// Policy decides by the first rule that matches. It never changes and is safe for concurrent use. The zero Policy denies.
type Policy struct {
	rules     []Rule
	templates []template
	groups    map[string]map[Selector]struct{}
	common    []entry // for every client, when no rule depends on who the client is; nil otherwise
	cache     cache
	mosquitto bool // the rules are those of a Mosquitto access file
}

// NewMosquitto makes a Policy of what ParseMosquitto read.
func NewMosquitto(rules []Rule) (*Policy, error) {
	p, err := New(rules, nil)
	if err == nil {
		p.mosquitto = true
	}
	return p, err
}

// Mosquitto reports whether the rules are lines of a Mosquitto access file.
func (p *Policy) Mosquitto() bool { return p.mosquitto }

// New makes a Policy. It fails for a rule that cannot be used, for a group that is not there, and for a group within a
// group.
func New(rules []Rule, groups map[string][]Selector) (*Policy, error) {
	p := &Policy{rules: slices.Clone(rules), groups: make(map[string]map[Selector]struct{}, len(groups))}
	for name, members := range groups {
		set := make(map[Selector]struct{}, len(members))
		for _, m := range members {
			if m.Kind == Group || m.Kind == 0 {
				return nil, fmt.Errorf("group %q: %v cannot be a member", name, m)
			}
			set[m] = struct{}{}
		}
		p.groups[name] = set
	}
	for i := range p.rules {
		r := &p.rules[i]
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("rule %v: %w", r.Place, err)
		}
		if _, ok := p.groups[r.Who.Name]; r.Who.Kind == Group && !ok {
			return nil, fmt.Errorf("rule %v: there is no group %q", r.Place, r.Who.Name)
		}
		if r.Place.Name == "" {
			r.Place.Name = r.String()
		}
		t, err := parseTemplate(r.Topic)
		if err != nil {
			return nil, fmt.Errorf("rule %v: %w", r.Place, err)
		}
		p.templates = append(p.templates, t)
	}
	if p.impersonal() {
		p.common = p.compile(&nobody, "")
	}
	return p, nil
}

// impersonal reports whether every client is under the same rules.
func (p *Policy) impersonal() bool {
	for i := range p.rules {
		if r := &p.rules[i]; r.Who.Kind != Anyone || r.Whole || p.templates[i].variable() {
			return false
		}
	}
	return true
}

// Rules returns the rules in their order; they must not be changed.
func (p *Policy) Rules() []Rule { return p.rules }

var (
	nobody      = identity.Principal{}
	defaultDeny = identity.Rule{Name: "default deny"}
	anyClient   = identity.Rule{Name: "no rule about client identifiers"}
	// Reserved is the rule that no policy can overrule.
	Reserved = identity.Rule{Name: "topics that begin with $ belong to the server"}
)

// entry is a rule that is about one client, with the filter filled in.
type entry struct {
	filter topic.Filter
	prefix string // what every topic that filter matches begins with: most rules are passed over by it alone
	rule   int32
	do     Actions
	deny   bool
}

// compile keeps the rules that are about one client.
func (p *Policy) compile(who *identity.Principal, clientID string) []entry {
	var list []entry
	for i := range p.rules {
		r := &p.rules[i]
		if !r.Who.matches(who, clientID, p.groups) || r.Whole && wild(who, clientID) {
			continue
		}
		f, bad := p.templates[i].fill(who, clientID)
		switch {
		case bad != "" && !r.Deny, bad != "" && r.Whole && valueOf(bad, who, clientID) == "":
			continue
		case bad != "" && !r.Whole:
			f = p.templates[i].widen()
		}
		list = append(list, entry{filter: f, prefix: prefix(f), rule: int32(i), do: r.Do, deny: r.Deny})
	}
	return list
}

// prefix is the literal begin of a filter, without the separator before a final #, because a/# matches a.
func prefix(f topic.Filter) string {
	if i := strings.IndexAny(string(f), "+#"); i >= 0 {
		f = f[:i]
		if i > 0 {
			f = f[:i-1]
		}
	}
	return string(f)
}

// wild reports whether what a client is called could be taken for a filter.
func wild(who *identity.Principal, clientID string) bool {
	return strings.ContainsAny(who.Name, "+#") || strings.ContainsAny(clientID, "+#")
}

// first returns the deciding entry, or nil. Topic Names are matched. A subscription is decided by the first rule whose
// filter covers it whole: one that is wider than a denied filter is granted, and the denied part is held back at each
// delivery, which is an action of its own.
func first(list []entry, do Actions, on string) *entry {
	for i := range list {
		e := &list[i]
		if e.do&do == 0 || !strings.HasPrefix(on, e.prefix) {
			continue
		}
		if do == OnSubscribe {
			if e.filter.Covers(topic.Filter(on)) {
				return e
			}
		} else if e.filter.Matches(topic.Name(on)) {
			return e
		}
	}
	return nil
}

// Authorize decides. on is a Topic Name, except for Subscribe, where it is a Topic Filter without $share/NAME/. It is
// quick enough for every packet: when it allows a client it has seen before, it allocates nothing.
func (p *Policy) Authorize(who *identity.Principal, clientID string, action identity.Action, on string) identity.Decision {
	if who == nil {
		who = &nobody
	}
	if d, fixed := builtIn(action, on); fixed {
		return d
	}
	return p.conclude(first(p.entries(who, clientID), setOf(action), on), action, on)
}

// builtIn is what no rule decides about.
func builtIn(action identity.Action, on string) (identity.Decision, bool) {
	switch action {
	case identity.Connect:
		return identity.Allow(anyClient), true
	case identity.Publish, identity.Retain, identity.Will:
		if on == "" || on[0] == '$' {
			return identity.Deny(Reserved, "a client may not "+Verb(action)+" "+strconv.Quote(on)), true
		}
	case identity.Subscribe, identity.Receive:
	default:
		return identity.Deny(defaultDeny, "unknown action "+strconv.Itoa(int(action))), true
	}
	return identity.Decision{}, false
}

// conclude makes the Decision of the entry that was found.
func (p *Policy) conclude(e *entry, action identity.Action, on string) identity.Decision {
	switch {
	case e == nil:
		return identity.Deny(defaultDeny, "no rule allows to "+Verb(action)+" "+strconv.Quote(on))
	case e.deny:
		what := "matches"
		if action == identity.Subscribe {
			what = "lies within"
		}
		return identity.Deny(p.rules[e.rule].Place, strconv.Quote(on)+" "+what+" the denied filter "+strconv.Quote(string(e.filter)))
	}
	return identity.Allow(p.rules[e.rule].Place)
}

// Verb is the action in a sentence, before a topic.
func Verb(a identity.Action) string {
	switch a {
	case identity.Publish:
		return "publish to"
	case identity.Retain:
		return "retain a message on"
	case identity.Will:
		return "leave a will on"
	case identity.Subscribe:
		return "subscribe to"
	case identity.Receive:
		return "receive from"
	}
	return a.String()
}
