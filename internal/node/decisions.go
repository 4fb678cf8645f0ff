package node

import (
	"strings"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/explain"
	"github.com/sealmq/sealmq/internal/identity"
)

// Refusal implements control.Decisions: what was decided then, and the explanation by the rules in force. When a text was
// too long to be kept there is no second look, because it could have another answer.
func (o operator) Refusal(q control.RefusalQuery) (control.Refusal, error) {
	var (
		r  broker.Refusal
		ok bool
	)
	if q.ID != "" {
		r, ok = o.n.broker.Refusal(q.ID)
	} else {
		r, ok = o.n.broker.LastRefusal(q.ClientID)
	}
	if !ok {
		return control.Refusal{}, &control.Error{Code: control.NotFound, Message: "no such decision is kept: the last ones are, until the broker stops"}
	}
	rules := o.n.rules.current.Load()
	out := control.Refusal{
		ID: r.ID, At: r.At, Last: r.Last, Times: r.Times, Layer: r.Layer.String(), ClientID: r.ClientID, Username: r.Username,
		Remote: r.Remote, Listener: r.Listener, Topic: r.Topic, Check: r.Check, Expected: r.Expected, Found: r.Found,
		Rule: r.Decision.Rule.String(), Why: r.Decision.Why,
	}
	if r.Action != 0 {
		out.Action = r.Action.String()
	}
	if r.Principal != (identity.Principal{}) {
		out.Principal = r.Principal.String()
	}
	if r.Layer != broker.LayerAccess || !asksRules(&r) {
		e := incident(&r).Explain()
		out.Text, out.ClientSees, out.ToAllow = e.Text(), e.ClientSees, e.ToAllow
		return out, nil
	}
	out.Changed = r.Generation != rules.generation
	var text strings.Builder
	if out.Changed || r.Cut {
		text.WriteString("decided then by " + out.Rule + ": " + out.Why + "\n")
	}
	switch {
	case r.Cut:
		text.WriteString("the texts were too long to be kept whole, so there is nothing more to say\n")
	default:
		if out.Changed {
			text.WriteString("the rules have changed since; now:\n")
		}
		e := explain.Explain(rules.policy, &explain.Query{Principal: r.Principal, ClientID: r.ClientID, Action: r.Action, Topic: r.Topic})
		text.WriteString(e.Text())
		out.ClientSees, out.ToAllow = e.ClientSees, e.ToAllow
	}
	out.Text = text.String()
	return out, nil
}

// asksRules reports whether the rules in force can be asked the same question again.
func asksRules(r *broker.Refusal) bool {
	return r.Action != identity.Connect && r.Topic != ""
}

// incident is a refusal in the words of explain.
func incident(r *broker.Refusal) *explain.Incident {
	i := &explain.Incident{
		Layer: r.Layer.String(), ClientID: r.ClientID, Username: r.Username, Remote: r.Remote, Listener: r.Listener,
		Version: r.Version, Check: r.Check, Expected: r.Expected, Found: r.Found, Rule: r.Decision.Rule.String(),
		Why: r.Decision.Why, Code: r.Code,
	}
	switch {
	case r.Action == identity.Connect:
		i.Doing = "use this client identifier"
	case r.Action != 0:
		i.Doing = acl.Verb(r.Action) + " " + r.Topic
	}
	return i
}

// Ask implements control.Decisions.
func (o operator) Ask(q control.Question) (explain.Answer, error) {
	question, err := NewQuestion(q)
	if err != nil {
		return explain.Answer{}, &control.Error{Code: control.Invalid, Message: err.Error()}
	}
	a, err := o.n.Ask(question)
	if err != nil {
		return a, &control.Error{Code: control.Invalid, Message: err.Error()}
	}
	return a, nil
}
