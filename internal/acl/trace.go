package acl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// Miss says why a rule did not match.
type Miss uint8

// The misses, in the order in which they are looked for.
const (
	NoMiss      Miss = iota
	OtherPeople      // the rule is about somebody else
	OtherAction      // the rule is about something else
	NoValue          // a field of the rule has no usable value for this client
	OtherTopic       // the rule's filter does not match
)

// Near is the rule that came nearest to allowing what was denied.
type Near struct {
	Rule  Rule
	Miss  Miss
	Why   string // in words
	Field string // with OtherTopic: the field that filled the level that differs, "" when it is literal
	Has   string // with OtherTopic: the text of the topic's level
}

// Trace is a Decision with how it came about.
type Trace struct {
	identity.Decision
	Nearest *Near // nil when the decision allows, when a rule denies, and when there is no rule that allows anything
}

// Trace decides as Authorize does, by the same rules and the same comparison, and looks for the nearest rule when no rule
// matched. It is for people: its time grows with the number of rules.
func (p *Policy) Trace(who *identity.Principal, clientID string, action identity.Action, on string) Trace {
	if who == nil {
		who = &nobody
	}
	if d, fixed := builtIn(action, on); fixed {
		return Trace{Decision: d}
	}
	e := first(p.compile(who, clientID), setOf(action), on)
	t := Trace{Decision: p.conclude(e, action, on)}
	if e == nil {
		t.Nearest = p.nearest(who, clientID, action, on)
	}
	return t
}

// nearest prefers rules about the same client, then about the same action, then those that agree with most of the topic.
func (p *Policy) nearest(who *identity.Principal, clientID string, action identity.Action, on string) *Near {
	var best *Near
	bestScore := -1
	for i := range p.rules {
		r := &p.rules[i]
		if r.Deny {
			continue
		}
		n := Near{Rule: *r}
		score := 0
		if r.Who.matches(who, clientID, p.groups) {
			score += 4 * topic.MaxLevels
		} else {
			n.Miss, n.Why = OtherPeople, otherPeople(r.Who, who, clientID)
		}
		if r.Do&setOf(action) != 0 {
			score += 2 * topic.MaxLevels
		} else if n.Miss == NoMiss {
			n.Miss, n.Why = OtherAction, "the rule is about "+strings.Join(r.Do.Words(), " and ")+", not about "+action.String()
		}
		score += p.compare(i, who, clientID, action, on, &n)
		if score > bestScore {
			best, bestScore = &n, score
		}
	}
	return best
}

// compare says how many levels agree, and why the others do not if nothing else was missed before.
func (p *Policy) compare(i int, who *identity.Principal, clientID string, action identity.Action, on string, n *Near) int {
	t := &p.templates[i]
	f, bad := t.fill(who, clientID)
	whole := p.rules[i].Whole && wild(who, clientID)
	if bad != "" || whole {
		if n.Miss == NoMiss {
			n.Miss, n.Why = NoValue, noValue(bad, who, clientID)
		}
		return 0
	}
	same, why := agree(string(f), on, action == identity.Subscribe)
	if why == "" {
		return topic.MaxLevels
	}
	if n.Miss == NoMiss {
		n.Miss, n.Why = OtherTopic, why
		if levels := t.levels(); same < len(levels) {
			for _, field := range fields {
				if levels[same] == field {
					n.Field = field
					n.Has = level(on, same)
					n.Why = fmt.Sprintf("level %d must be %q (from %s), the topic has %q", same+1, valueOf(field, who, clientID), field, n.Has)
				}
			}
		}
	}
	return same
}

// agree counts the leading levels of on that f matches; why is "" when f matches all of it.
func agree(f, on string, subscription bool) (same int, why string) {
	if subscription && topic.Filter(f).Covers(topic.Filter(on)) || !subscription && topic.Filter(f).Matches(topic.Name(on)) {
		return 0, ""
	}
	if on != "" && on[0] == '$' && f[0] != '$' {
		return 0, "topics that begin with $ are matched only by rules that name them"
	}
	want, have := strings.Split(f, "/"), strings.Split(on, "/")
	for i, w := range want {
		switch {
		case i >= len(have):
			return i, fmt.Sprintf("the topic ends after level %d, the rule begins below it", i)
		case w == "+" && have[i] != "#", w == have[i]:
			continue
		case have[i] == "+" || have[i] == "#":
			return i, fmt.Sprintf("level %d of the filter is %s, which is wider than %q in the rule", i+1, have[i], w)
		}
		return i, fmt.Sprintf("level %d must be %q, the topic has %q", i+1, w, have[i])
	}
	return len(want), fmt.Sprintf("the rule ends after level %d, the topic goes on", len(want))
}

func level(s string, i int) string {
	levels := strings.Split(s, "/")
	if i < len(levels) {
		return levels[i]
	}
	return ""
}

func otherPeople(s Selector, who *identity.Principal, clientID string) string {
	switch s.Kind {
	case Group:
		return who.String() + " is not in the group " + s.Name
	case ClientID:
		return "the client is called " + strconv.Quote(clientID) + ", not " + strconv.Quote(s.Name)
	}
	return "the rule is for " + s.String() + ", the client is " + who.String()
}

func noValue(field string, who *identity.Principal, clientID string) string {
	if field == "" {
		return "the name or the client identifier has a wildcard in it"
	}
	v := valueOf(field, who, clientID)
	if v == "" {
		return field + " has no value for this client"
	}
	return fmt.Sprintf("%s is %q, which cannot stand in a filter", field, v)
}
