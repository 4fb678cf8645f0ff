// Package acl decides what a principal may do on which topic. What no rule allows is denied.
package acl

import (
	"fmt"
	"strconv"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// Entry is one filter of a list, with its place for the Decision it leads to.
type Entry struct {
	Filter topic.Filter
	Rule   identity.Rule
}

// Lists are the filters of one direction. A topic is allowed when a filter of Allow and none of Deny matches it.
type Lists struct {
	Allow []Entry
	Deny  []Entry
}

// Static gives every principal the same rights, out of two lists: Publish decides about PUBLISH, retained messages and
// Wills, Subscribe about subscriptions and about each delivered message. Client Identifiers are not its business. It
// is immutable and safe for concurrent use.
type Static struct {
	Publish   Lists
	Subscribe Lists
}

var (
	defaultDeny = identity.Rule{Name: "default deny"}
	anyClient   = identity.Rule{Name: "no rule about client identifiers"}
)

// Authorize decides. on is a Topic Name, except for Subscribe, where it is a Topic Filter without $share/NAME/. It is
// quick enough for every packet: it allocates nothing when it allows.
func (s *Static) Authorize(_ *identity.Principal, _ string, action identity.Action, on string) identity.Decision {
	switch action {
	case identity.Connect:
		return identity.Allow(anyClient)
	case identity.Publish, identity.Retain, identity.Will:
		return s.Publish.name(topic.Name(on))
	case identity.Receive:
		return s.Subscribe.name(topic.Name(on))
	case identity.Subscribe:
		return s.Subscribe.filter(topic.Filter(on))
	}
	return identity.Deny(defaultDeny, "unknown action "+strconv.Itoa(int(action)))
}

// name decides about one Topic Name.
func (l *Lists) name(n topic.Name) identity.Decision {
	for i := range l.Deny {
		if l.Deny[i].Filter.Matches(n) {
			return identity.Deny(l.Deny[i].Rule, fmt.Sprintf("the topic %q matches the denied filter %q", n, l.Deny[i].Filter))
		}
	}
	for i := range l.Allow {
		if l.Allow[i].Filter.Matches(n) {
			return identity.Allow(l.Allow[i].Rule)
		}
	}
	return identity.Deny(defaultDeny, fmt.Sprintf("no allowed filter matches the topic %q", n))
}

// filter decides about a subscription: it must lie within an allowed filter and not within a denied one. A wider one,
// such as # over a denied secret/#, is granted, and the denied part is held back at delivery, where name decides.
func (l *Lists) filter(f topic.Filter) identity.Decision {
	for i := range l.Deny {
		if l.Deny[i].Filter.Covers(f) {
			return identity.Deny(l.Deny[i].Rule, fmt.Sprintf("the filter %q lies within the denied filter %q", f, l.Deny[i].Filter))
		}
	}
	for i := range l.Allow {
		if l.Allow[i].Filter.Covers(f) {
			return identity.Allow(l.Allow[i].Rule)
		}
	}
	return identity.Deny(defaultDeny, fmt.Sprintf("the filter %q does not lie within an allowed one", f))
}
