package acl

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/topic"
)

// Finding is something about a rule that its author should know.
type Finding struct {
	Index int    // of the rule
	ID    string // stable, for scripts: "never-decides", "wide", "client-id", "shadowed-action"
	Why   string
	Fix   string
}

// Unreachable finds the rules that can never decide: an earlier rule, for at least the same clients and actions, matches
// every topic that they match; or no topic is as deep. levels is the deepest topic there can be.
func Unreachable(rules []Rule, levels int) []Finding {
	var found []Finding
	for j := range rules {
		r := &rules[j]
		least := topic.Levels(r.Topic)
		if strings.HasSuffix(r.Topic, "/#") {
			least--
		}
		if least > levels {
			found = append(found, Finding{j, "never-decides", fmt.Sprintf("topics have at most %d levels", levels), "remove it"})
			continue
		}
		left := r.Do
		var by *Rule
		for i := range j {
			if e := &rules[i]; e.Do&left != 0 && widerWho(e.Who, r.Who) && !e.Whole && sameOrWider(e, r) {
				left &^= e.Do
				by = e
			}
		}
		if left == 0 && by != nil {
			found = append(found, Finding{j, "never-decides", "everything it matches is decided before, last by " + place(by), "remove it, or put it earlier"})
		}
	}
	return found
}

// widerWho reports whether a is certainly about everybody that b is about.
func widerWho(a, b Selector) bool {
	switch {
	case a == b, a.Kind == Anyone:
		return true
	case a.Kind == Authenticated:
		return b.Kind == User || b.Kind == Named || b.Kind == OfMethod || b.Kind == ByMethod && b.Method != "anonymous"
	case a.Kind == Named:
		return (b.Kind == User || b.Kind == OfMethod) && a.Name == b.Name
	case a.Kind == ByMethod:
		return b.Kind == OfMethod && a.Method == b.Method
	}
	return false
}

// sameOrWider reports whether e certainly matches every topic that r matches. A field only covers itself: for an allowing
// rule it may have no value, but then the later rule with the same field has none either, and that is all that is compared.
func sameOrWider(e, r *Rule) bool {
	if e.Topic == r.Topic {
		// With a field that has no value, a rule that allows is passed over and one that denies is not.
		return e.Deny || !r.Deny || !strings.Contains(e.Topic, "%")
	}
	et, err := parseTemplate(e.Topic)
	if err != nil || et.variable() {
		return false
	}
	rt, err := parseTemplate(r.Topic)
	if err != nil {
		return false
	}
	return topic.Filter(et.join(nil)).Covers(rt.widen())
}

func place(r *Rule) string {
	if r.Place.Line == 0 {
		return r.String()
	}
	return fmt.Sprintf("%q on line %d", r.String(), r.Place.Line)
}

// Lint finds rules that are valid and probably wider than meant, besides those of Unreachable.
func Lint(rules []Rule, levels int) []Finding {
	found := Unreachable(rules, levels)
	for i := range rules {
		r := &rules[i]
		if r.Deny || r.Do == OnSubscribe { // a subscription alone gives nothing: each delivery is decided by itself
			continue
		}
		broad := r.Topic == "#" || r.Topic == "+/#"
		switch {
		case broad && (r.Who.Kind == Anyone || r.Who.Kind == Authenticated || r.Who.Kind == ByMethod):
			found = append(found, Finding{
				i, "wide", everyClient(&r.Who) + " may " + everything(r.Do) + " everywhere",
				"give each kind of client its own branch, for example plant/%u/#",
			})
		case strings.HasSuffix(r.Topic, "+/#"):
			found = append(found, Finding{
				i, "wide", "the rule leaves more than one level open: " + r.Topic,
				"name the levels, or put %u where the client's own name belongs",
			})
		}
		if r.Who.Kind == ClientID || strings.Contains(r.Topic, "%c") {
			found = append(found, Finding{
				i, "client-id", "a client identifier is what a client calls itself, and proves nothing",
				"use user:, certificate: or psk:, and %u",
			})
		}
	}
	return found
}

// everyClient names clients of whom there are many.
func everyClient(w *Selector) string {
	switch w.Kind {
	case Anyone:
		return "every client"
	case Authenticated:
		return "every client with a login"
	}
	return "every " + strings.TrimPrefix(w.String(), "method:") + " client"
}

// everything is what a rule allows, as part of a sentence.
func everything(do Actions) string {
	if do&WordAll == WordAll {
		return "do everything"
	}
	return strings.Join(do.Words(), " and ")
}
