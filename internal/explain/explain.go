// Package explain puts an access decision into words: what was asked, what decided, which rule came nearest and why it did
// not match, what the client gets to see, and what would have to change. It decides nothing itself: the answer is that of
// the policy which decides about packets.
package explain

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// Query is one question. For Subscribe, Topic may be a Shared Subscription: rules are about its inner filter.
type Query struct {
	Principal identity.Principal
	ClientID  string
	Action    identity.Action
	Topic     string
}

// Explanation is the answer. Texts are empty where there is nothing to say.
type Explanation struct {
	Allowed    bool   `json:"allowed"`
	Layer      string `json:"layer"`
	Question   string `json:"question"` // "user alice may publish to a/b?", as a statement of what was asked
	Rule       string `json:"rule"`     // what decided, with file and line
	Why        string `json:"why,omitempty"`
	Check      string `json:"check,omitempty"`
	Expected   string `json:"expected,omitempty"`
	Found      string `json:"found,omitempty"`
	Nearest    string `json:"nearest_rule,omitempty"`
	WhyNot     string `json:"why_not,omitempty"`
	ClientSees string `json:"client_sees,omitempty"`
	ToAllow    string `json:"to_allow,omitempty"`
}

// Answer is what a dry run says: about the access, and about the login before it when a listener was named. It is allowed
// when both are.
type Answer struct {
	Explanation
	Login *Explanation `json:"login,omitempty"`
	// Payload are the rules that what is published must satisfy besides. Whether it does only the message itself can say.
	Payload []string `json:"payload,omitempty"`
}

// Text is the answer for a terminal.
func (a *Answer) Text() string {
	text := a.Explanation.Text()
	if a.Login != nil {
		text = a.Login.Text() + text
	}
	for _, rule := range a.Payload {
		text += "  payload        must satisfy " + rule + "\n"
	}
	return text
}

// Granted reports whether everything that was asked about is allowed.
func (a *Answer) Granted() bool { return a.Allowed && (a.Login == nil || a.Login.Allowed) }

// Ask answers a question as a packet would be: a retained message is a PUBLISH, too.
func Ask(p *acl.Policy, q *Query) Explanation {
	if q.Action == identity.Retain {
		also := *q
		also.Action = identity.Publish
		if e := Explain(p, &also); !e.Allowed {
			return e
		}
	}
	return Explain(p, q)
}

// AccessLayer is the Layer of a decision by access rules.
const AccessLayer = "access"

// Check says why a question cannot be asked.
func (q *Query) Check() error {
	var err error
	switch q.Action {
	case identity.Connect:
	case identity.Subscribe:
		_, _, err = topic.ParseSubscription(q.Topic)
	case identity.Publish, identity.Retain, identity.Will, identity.Receive:
		_, err = topic.ParseName(q.Topic)
	default:
		err = fmt.Errorf("unknown action")
	}
	return err
}

// Explain answers a question that passed Check. What did not pass is denied.
func Explain(p *acl.Policy, q *Query) Explanation {
	on := q.Topic
	if q.Action == identity.Subscribe {
		_, inner, err := topic.ParseSubscription(q.Topic)
		if err != nil {
			return Explanation{Layer: AccessLayer, Question: q.question(), Why: err.Error()}
		}
		on = string(inner)
	}
	t := p.Trace(&q.Principal, q.ClientID, q.Action, on)
	e := Explanation{Allowed: t.Allowed, Layer: AccessLayer, Question: q.question(), Rule: t.Rule.String(), Why: t.Why}
	if t.Allowed {
		return e
	}
	e.ClientSees = clientSees(q.Action)
	if n := t.Nearest; n != nil {
		e.Nearest, e.WhyNot = n.Rule.Place.String(), n.Why
	}
	if p.Mosquitto() {
		e.ToAllow = q.toAllowMosquitto(&t, on)
		return e
	}
	e.ToAllow = q.toAllow(&t, on)
	return e
}

func (q *Query) question() string {
	return who(&q.Principal, q.ClientID) + " may " + acl.Verb(q.Action) + " " + printable(q.Topic)
}

// who names the client shortly.
func who(p *identity.Principal, clientID string) string {
	s := p.String()
	if clientID != "" {
		s += " (client " + printable(clientID) + ")"
	}
	return s
}

// printable keeps a text inside its line.
func printable(s string) string {
	quoted := fmt.Sprintf("%q", s)
	if inner := quoted[1 : len(quoted)-1]; inner == s && !strings.Contains(s, " ") && s != "" {
		return s
	}
	return quoted
}

// clientSees is what each version of the protocol can say about a refusal.
func clientSees(a identity.Action) string {
	switch a {
	case identity.Publish, identity.Retain:
		return "MQTT 5: reason 135 Not authorized (QoS 0: nothing). MQTT 3: nothing (QoS 0) or a normal acknowledgement, so check the log"
	case identity.Subscribe:
		return "MQTT 5: reason 135 in SUBACK. MQTT 3.1.1: 128 in SUBACK"
	case identity.Receive:
		return "nothing: the message does not arrive"
	case identity.Will:
		return "MQTT 5: CONNACK 135 Not authorized. MQTT 3: CONNACK 5. When rights went later, nothing: the will is not published"
	case identity.Connect:
		return "MQTT 5: CONNACK 135 Not authorized. MQTT 3: CONNACK 5"
	}
	return ""
}

// toAllow proposes a change. A rule is proposed for this client and topic alone: widening it is a decision for people.
func (q *Query) toAllow(t *acl.Trace, on string) string {
	switch {
	case t.Rule == acl.Reserved:
		return "nothing: topics that begin with $ are written by the server only"
	case t.Nearest == nil && t.Rule.Line > 0:
		return "remove " + t.Rule.String() + ", or put this before it: " + q.rule(on)
	case t.Nearest != nil && t.Nearest.Field == "%u":
		return fmt.Sprintf("log in as %q, or add the rule: %s", t.Nearest.Has, q.rule(on))
	case t.Nearest != nil && t.Nearest.Miss == acl.OtherPeople && t.Nearest.Rule.Who.Kind == acl.Group:
		return "add the client to the group " + t.Nearest.Rule.Who.Name + ", or add the rule: " + q.rule(on)
	}
	return "add the rule: " + q.rule(on)
}

// toAllowMosquitto proposes a line for a Mosquitto access file.
func (q *Query) toAllowMosquitto(t *acl.Trace, on string) string {
	word := "write"
	if q.Action == identity.Receive || q.Action == identity.Subscribe {
		word = "read"
	}
	line := "topic " + word + " " + on
	switch {
	case t.Rule == acl.Reserved:
		return "nothing: topics that begin with $ are written by the server only"
	case t.Rule.Line > 0:
		return "remove " + t.Rule.String()
	case q.Principal.IsAnonymous():
		return "add above the first user line: " + line
	}
	return "add below the line user " + q.Principal.Name + ": " + line
}

// rule is the narrowest rule that would allow what was asked.
func (q *Query) rule(on string) string {
	p := &q.Principal
	s := p.Method + ":" + p.Name
	switch {
	case p.IsAnonymous():
		s = "method:anonymous"
	case p.Issuer == "" && (p.Method == "password" || p.Method == "scram"):
		s = "user:" + p.Name
	}
	word := q.Action.String()
	return fmt.Sprintf("- {who: %q, allow: %s, topic: %q}", s, word, strings.ReplaceAll(on, "%", "%%"))
}

// layerLine leaves out the layer that most questions are about.
func layerLine(layer string) string {
	if layer == AccessLayer {
		return ""
	}
	return layer
}

// Text is the answer for a terminal.
func (e *Explanation) Text() string {
	var b strings.Builder
	subject, rest, _ := strings.Cut(e.Question, " may ")
	if e.Allowed {
		fmt.Fprintf(&b, "ALLOWED  %s may %s\n", subject, rest)
	} else {
		fmt.Fprintf(&b, "DENIED  %s may not %s\n", subject, rest)
	}
	for _, line := range []struct{ name, text string }{
		{"layer", layerLine(e.Layer)},
		{"check", e.Check},
		{"expected", e.Expected},
		{"found", e.Found},
		{"rule", e.Rule},
		{"why", e.Why},
		{"nearest rule", e.Nearest},
		{"why not", e.WhyNot},
		{"client sees", e.ClientSees},
		{"to allow it", e.ToAllow},
	} {
		if line.text != "" {
			fmt.Fprintf(&b, "  %-14s %s\n", line.name, line.text)
		}
	}
	return b.String()
}
