package acl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealmq/sealmq/internal/identity"
)

// Kind is what a Selector looks at.
type Kind uint8

// The kinds of selectors.
const (
	_             Kind = iota
	Anyone             // every client, anonymous ones included
	Authenticated      // every client that proved who it is
	User               // a local account: the principal of a password file or of SCRAM
	Named              // a principal of that name, whatever the login method
	ByMethod           // everybody who logged in with the method
	OfMethod           // a principal of that name that logged in with the method
	ClientID           // what the client calls itself, which proves nothing
	Group              // the members of a group
)

// methods are the login methods that a selector can name.
var methods = []string{"anonymous", "password", "scram", "certificate", "psk", "jwt", "p1", "p2", "p3"}

// Selector says whom a rule is about. The zero value matches nobody. Selectors are comparable.
type Selector struct {
	Kind   Kind
	Method string // with ByMethod and OfMethod
	Name   string // name, Client Identifier or group
}

// maxSelector bounds the text of a selector, in bytes.
const maxSelector = 1024

// ParseSelector reads "anyone", "authenticated", "user:NAME", "name:NAME", "group:NAME", "client:ID", "method:METHOD" or
// "METHOD:NAME", for example "certificate:pump-7". The text after the first colon is taken literally.
func ParseSelector(s string) (Selector, error) {
	if len(s) > maxSelector || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return Selector{}, fmt.Errorf("longer than %d bytes, or with control characters", maxSelector)
	}
	switch s {
	case "anyone":
		return Selector{Kind: Anyone}, nil
	case "authenticated":
		return Selector{Kind: Authenticated}, nil
	}
	kind, name, _ := strings.Cut(s, ":")
	if name == "" {
		return Selector{}, fmt.Errorf("%q is not anyone, authenticated, or KIND:NAME such as user:alice or group:sensors", s)
	}
	switch kind {
	case "user":
		return Selector{Kind: User, Name: name}, nil
	case "name":
		return Selector{Kind: Named, Name: name}, nil
	case "group":
		return Selector{Kind: Group, Name: name}, nil
	case "client":
		return Selector{Kind: ClientID, Name: name}, nil
	case "method":
		if !slices.Contains(methods, name) {
			return Selector{}, fmt.Errorf("%q is not a login method (%s)", name, strings.Join(methods, ", "))
		}
		return Selector{Kind: ByMethod, Method: name}, nil
	}
	if i := slices.Index(methods, kind); i > 0 { // nobody anonymous has a name
		return Selector{Kind: OfMethod, Method: kind, Name: name}, nil
	}
	return Selector{}, fmt.Errorf("%q is not a kind of selector: write user, name, group, client, method or a login method", kind)
}

// String is the selector as ParseSelector reads it.
func (s Selector) String() string {
	switch s.Kind {
	case Anyone:
		return "anyone"
	case Authenticated:
		return "authenticated"
	case User:
		return "user:" + s.Name
	case Named:
		return "name:" + s.Name
	case ByMethod:
		return "method:" + s.Method
	case OfMethod:
		return s.Method + ":" + s.Name
	case ClientID:
		return "client:" + s.Name
	case Group:
		return "group:" + s.Name
	}
	return "nobody"
}

// local reports whether p is an account of this broker. A P1 credential carries the password of one.
func local(p *identity.Principal) bool {
	return p.Issuer == "" && (p.Method == "password" || p.Method == "scram" || p.Method == "p1")
}

// matches decides for one client. groups holds the members of every group.
func (s Selector) matches(p *identity.Principal, clientID string, groups map[string]map[Selector]struct{}) bool {
	switch s.Kind {
	case Anyone:
		return true
	case Authenticated:
		return !p.IsAnonymous()
	case User:
		return local(p) && p.Name == s.Name
	case Named:
		return !p.IsAnonymous() && p.Name == s.Name
	case ByMethod:
		return p.Method == s.Method || p.IsAnonymous() && s.Method == "anonymous"
	case OfMethod:
		return p.Method == s.Method && p.Name == s.Name
	case ClientID:
		return clientID == s.Name
	case Group:
		return member(groups[s.Name], p, clientID)
	}
	return false
}

// member looks a client up under everything that can be said about it, so that a large group costs no more than a small
// one.
func member(list map[Selector]struct{}, p *identity.Principal, clientID string) bool {
	if len(list) == 0 {
		return false
	}
	has := func(s Selector) bool { _, ok := list[s]; return ok }
	if has(Selector{Kind: Anyone}) || has(Selector{Kind: ClientID, Name: clientID}) {
		return true
	}
	if p.IsAnonymous() {
		return has(Selector{Kind: ByMethod, Method: "anonymous"})
	}
	return has(Selector{Kind: Authenticated}) || local(p) && has(Selector{Kind: User, Name: p.Name}) ||
		has(Selector{Kind: Named, Name: p.Name}) || has(Selector{Kind: ByMethod, Method: p.Method}) ||
		has(Selector{Kind: OfMethod, Method: p.Method, Name: p.Name})
}

// Set is a list of selectors with the groups they name. It is immutable and safe for concurrent use.
type Set struct {
	selectors []Selector
	groups    map[string]map[Selector]struct{}
}

// NewSet makes a Set; groups are those of the configuration.
func NewSet(selectors []Selector, groups map[string][]Selector) *Set {
	s := &Set{selectors: slices.Clone(selectors), groups: map[string]map[Selector]struct{}{}}
	for _, sel := range selectors {
		if sel.Kind != Group {
			continue
		}
		members := map[Selector]struct{}{}
		for _, m := range groups[sel.Name] {
			members[m] = struct{}{}
		}
		s.groups[sel.Name] = members
	}
	return s
}

// Has reports whether a selector of the set is about the client.
func (s *Set) Has(p *identity.Principal, clientID string) bool {
	if s == nil || p == nil {
		return false
	}
	for _, sel := range s.selectors {
		if sel.matches(p, clientID, s.groups) {
			return true
		}
	}
	return false
}
