package payload

import (
	"strings"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// answers are what a client learns of a refusal. A message that does not parse and one that does not verify have one
// answer.
var answers = map[protect.Reason]struct {
	code mqtt.ReasonCode
	word string
}{
	protect.ReasonMalformed:   {mqtt.PayloadFormatInvalid, ""},
	protect.ReasonVerify:      {mqtt.PayloadFormatInvalid, ""},
	protect.ReasonUnprotected: {mqtt.PayloadFormatInvalid, ""},
	protect.ReasonRecord:      {mqtt.NotAuthorized, ""},
	protect.ReasonSender:      {mqtt.NotAuthorized, ""},
	protect.ReasonSigner:      {mqtt.NotAuthorized, ""},
	protect.ReasonClear:       {mqtt.NotAuthorized, ""},
	protect.ReasonUnknownKey:  {mqtt.ImplementationSpecificError, "kid"},
	protect.ReasonTime:        {mqtt.ImplementationSpecificError, "stale"},
	protect.ReasonStale:       {mqtt.ImplementationSpecificError, "stale"},
	protect.ReasonRollback:    {mqtt.ImplementationSpecificError, "stale"},
	protect.ReasonClone:       {mqtt.ImplementationSpecificError, "stale"},
	protect.ReasonLimit:       {mqtt.ImplementationSpecificError, "limit"},
	protect.ReasonState:       {mqtt.ImplementationSpecificError, "limit"},
}

// refused makes the judgement about an arrival that does not pass.
func (p *Policy) refused(cur *policy, c *concern, a *message.Arrival, r *protect.Refusal) *message.Judgement {
	answer, ok := answers[r.Reason]
	if !ok {
		answer.code = mqtt.PayloadFormatInvalid
	}
	enforcing := make([]int, 0, len(c.rules))
	for _, i := range c.rules {
		if cur.table.rules[i].Mode == Enforce {
			enforcing = append(enforcing, i)
		}
	}
	if len(enforcing) == 0 { // redistribution failed
		enforcing = c.rules
	}
	j := &message.Judgement{Refusal: message.PayloadRefusal{
		Code: answer.code, Word: answer.word, Check: r.Reason.String(), Expected: cur.expected(c), Found: r.Detail,
		Rule: cur.decider(c, enforcing, a, r), Retry: r.Reason == protect.ReasonState,
	}}
	if c.traps && !a.Will {
		j.Refusal.Quarantine = cur.quarantine
	}
	return j
}

// expected is the demand in words.
func (cur *policy) expected(c *concern) string {
	d := &c.enforced
	if !c.enforces {
		d = &c.wanted
	}
	s := strings.Join(RequirementWords(d.req), "+")
	if d.maxAge != 0 {
		s += ", no older than " + d.maxAge.String()
	}
	return s
}

// decider finds the rule that a refusal is due to: for missing protection the first one that the message does not meet,
// and otherwise the most particular one.
func (cur *policy) decider(c *concern, among []int, a *message.Arrival, r *protect.Refusal) identity.Rule {
	best := among[0]
	if r.Reason == protect.ReasonUnprotected {
		unmet := cur.unmet(c, a, r)
		for _, i := range among {
			if unmet(i) {
				return cur.table.rules[i].place()
			}
		}
	}
	for _, i := range among {
		if rule := &cur.table.rules[i]; rule.demands() && len(rule.Topic) > len(cur.table.rules[best].Topic) {
			best = i
		}
	}
	return cur.table.rules[best].place()
}

// unmet says of each rule whether a refused message does not meet it by itself: all of them, unless the message is what it
// says and only less than was asked for.
func (cur *policy) unmet(c *concern, a *message.Arrival, r *protect.Refusal) func(rule int) bool {
	if r.Reason != protect.ReasonUnprotected {
		return func(int) bool { return true }
	}
	d := protect.Delivery{Topic: a.Topic, Payload: a.Payload, Retain: a.Retain, ClientID: a.ClientID, TLS: a.Encrypted, FormOnly: true, AnyKey: true}
	res, _, err := cur.opener.Begin(nil, &d, protect.Requirement{}, c.wanted.form)
	if err != nil {
		res = protect.Result{Form: protect.FormPlain}
	}
	return func(rule int) bool { return cur.table.rules[rule].effective().Check(&res) != nil }
}

// place is the rule as refusals name it.
func (r *Rule) place() identity.Rule {
	p := r.Place
	if p.Name == "" {
		p.Name = r.String()
	}
	return p
}
