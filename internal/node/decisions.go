package node

import (
	"strings"

	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/explain"
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
		ID: r.ID, At: r.At, Last: r.Last, Times: r.Times, ClientID: r.ClientID, Principal: r.Principal.String(), Remote: r.Remote,
		Listener: r.Listener, Action: r.Action.String(), Topic: r.Topic, Rule: r.Decision.Rule.String(), Why: r.Decision.Why,
		Changed: r.Generation != rules.generation,
	}
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
	}
	out.Text = text.String()
	return out, nil
}
