// Package acl decides what a principal may do. Static is the simplest set of rules: the same for every client.
package acl

import (
	"fmt"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// Rule is one Topic Filter with the place where it is written.
type Rule struct {
	Filter string
	File   string
	Line   int
}

// Lists are the rules of one action. A topic is allowed when a filter of Allow and none of Deny matches it.
type Lists struct {
	Allow []Rule
	Deny  []Rule
}

// Static authorizes every client by the same two pairs of lists: publishing (with Retained and Will Messages) and
// subscribing (with every delivery). What no list names is denied. It is immutable, and safe for concurrent use.
type Static struct {
	publish, subscribe rules
	generation         uint64
}

type rules struct{ allow, deny []rule }

type rule struct {
	filter topic.Filter
	place  identity.Rule
}

// NewStatic compiles the lists. generation must differ from that of any Static whose answers may still be cached.
func NewStatic(publish, subscribe Lists, generation uint64) (*Static, error) {
	s := &Static{generation: generation}
	var err error
	if s.publish, err = compile(publish); err != nil {
		return nil, fmt.Errorf("acl publish: %w", err)
	}
	if s.subscribe, err = compile(subscribe); err != nil {
		return nil, fmt.Errorf("acl subscribe: %w", err)
	}
	return s, nil
}

func compile(l Lists) (r rules, err error) {
	if r.allow, err = compileList(l.Allow, "allow "); err != nil {
		return r, err
	}
	r.deny, err = compileList(l.Deny, "deny ")
	return r, err
}

func compileList(list []Rule, verb string) ([]rule, error) {
	out := make([]rule, 0, len(list))
	for _, r := range list {
		f, err := topic.ParseFilter(r.Filter)
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", verb, r.Filter, err)
		}
		out = append(out, rule{f, identity.Rule{Name: verb + r.Filter, File: r.File, Line: r.Line}})
	}
	return out, nil
}

var (
	defaultDeny  = identity.Rule{Name: "default deny"}
	allowConnect = identity.Rule{Name: "every authenticated client may connect"}
)

// Authorize implements the broker's seam. A subscription is allowed when its whole filter lies in an allowed one and
// not in a denied one; what it then meets is decided again, topic by topic, at delivery.
func (s *Static) Authorize(_ *identity.Principal, _ string, a identity.Action, name string) identity.Decision {
	switch a {
	case identity.Connect:
		return identity.Allow(allowConnect)
	case identity.Publish, identity.Retain, identity.Will:
		return s.publish.decide(a, name, matches)
	case identity.Receive:
		return s.subscribe.decide(a, name, matches)
	case identity.Subscribe:
		return s.subscribe.decide(a, name, covers)
	default:
		return identity.Deny(defaultDeny, "unknown action")
	}
}

// Generation implements the broker's seam.
func (s *Static) Generation() uint64 { return s.generation }

func matches(f topic.Filter, name string) bool { return f.Matches(topic.Name(name)) }

func covers(f topic.Filter, filter string) bool { return f.Covers(topic.Filter(filter)) }

func (r *rules) decide(a identity.Action, name string, hits func(topic.Filter, string) bool) identity.Decision {
	for i := range r.deny {
		if hits(r.deny[i].filter, name) {
			return identity.Deny(r.deny[i].place, a.String()+" "+name)
		}
	}
	for i := range r.allow {
		if hits(r.allow[i].filter, name) {
			return identity.Allow(r.allow[i].place)
		}
	}
	return identity.Deny(defaultDeny, "no rule allows "+a.String()+" "+name)
}
