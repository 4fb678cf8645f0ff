package payload

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/protect"
)

// Posture is what a topic can count on, in a line each.
type Posture struct {
	Topic           string   `json:"topic"`
	Confidentiality string   `json:"confidentiality"`
	Integrity       string   `json:"integrity"`
	Availability    string   `json:"availability"`
	Rules           []string `json:"rules"` // in their order, with file, line and mode
}

// Show says what holds for a topic, naming the rules that say so.
func Show(s *Settings, groups map[string][]acl.Selector, name string) Posture {
	t := newTable(s.Rules, groups)
	c := t.concern(name)
	p := Posture{Topic: name, Rules: []string{}}
	if c == nil {
		p.Confidentiality = "none required: no rule matches"
		p.Integrity = "none required: no rule matches"
		p.Availability = "every message is delivered as it came"
		return p
	}
	for _, i := range c.rules {
		r := &s.Rules[i]
		p.Rules = append(p.Rules, fmt.Sprintf("%s (%v)", r.place(), r.Mode))
	}
	w := postureWriter{s: s, c: c}
	p.Confidentiality, p.Integrity, p.Availability = w.confidentiality(), w.integrity(), w.availability()
	return p
}

type postureWriter struct {
	s *Settings
	c *concern
}

// by names the rules for which f holds, with their lines.
func (w *postureWriter) by(f func(*Rule) bool) string {
	var places []string
	for _, i := range w.c.rules {
		if r := &w.s.Rules[i]; f(r) {
			place := "a rule"
			if r.Place.File != "" {
				place = fmt.Sprintf("%s:%d", r.Place.File, r.Place.Line)
			}
			if r.Mode != Enforce {
				place += ", " + r.Mode.String() + " only"
			}
			places = append(places, place)
		}
	}
	if len(places) == 0 {
		return ""
	}
	return " (" + strings.Join(places, "; ") + ")"
}

// relaxedBy says which rules took a demand away.
func (w *postureWriter) relaxedBy(what protect.Relaxation) string {
	return w.by(func(r *Rule) bool { return relaxes(r, what) })
}

func (w *postureWriter) confidentiality() string {
	q := &w.c.wanted.req
	if !q.Confidential && !q.EndToEnd {
		if relaxed := w.relaxedBy(protect.RelaxConfidential); relaxed != "" {
			return "relaxed" + relaxed + ": plaintext passes"
		}
		return "none required: plaintext passes"
	}
	out := "encryption required" + w.by(func(r *Rule) bool { return r.effective().Confidential || r.Require.EndToEnd })
	switch {
	case q.EndToEnd:
		out += ", end-to-end" + w.by(func(r *Rule) bool { return r.Require.EndToEnd }) + ": no broker can read it"
	case w.c.route == PlaintextToTLS:
		out += "; the broker reads it and hands it on in plaintext to encrypted connections only" + w.by(func(r *Rule) bool { return r.Redistribute == PlaintextToTLS })
	case w.c.route == SealedToGroup:
		out += "; the broker reads it and seals it again for " + w.c.group + w.by(func(r *Rule) bool { return r.Redistribute == SealedToGroup })
	default:
		out += "; a broker may hold the key"
	}
	return out + "; topic, size and time stay visible"
}

func (w *postureWriter) integrity() string {
	q := &w.c.wanted.req
	by := w.by(func(r *Rule) bool {
		return r.effective().Integrity == q.Integrity && q.Integrity != protect.IntegrityNone
	})
	var out string
	switch q.Integrity {
	case protect.IntegritySource:
		out = "signature or pairwise key required" + by + ": nobody but the sender can make or change it"
	case protect.IntegrityGroup:
		out = "MAC, signature or encryption under a shared key required" + by + ": nobody without the key can make or change it"
	case protect.IntegrityChecksum:
		out = "checksum required" + by + ": against accidents, not against anybody"
	default:
		out = "none required"
		if relaxed := w.relaxedBy(protect.RelaxIntegrity); relaxed != "" {
			out = "relaxed" + relaxed
		}
	}
	if any := w.by(func(r *Rule) bool { return r.AcceptUnknownKeys }); w.c.wanted.anyKey {
		out += "; keys that the broker does not know are accepted" + any
	}
	return out
}

func (w *postureWriter) availability() string {
	var parts []string
	demanding := func(r *Rule) bool { return r.demands() }
	switch {
	case w.c.enforces:
		parts = append(parts, "what does not comply is refused"+w.by(func(r *Rule) bool { return r.Mode == Enforce && demanding(r) }))
	default:
		parts = append(parts, "nothing is refused"+w.by(demanding))
	}
	if w.c.wanted.req.Fresh {
		parts = append(parts, "first messages must prove that they are new"+w.by(func(r *Rule) bool { return r.Require.Fresh }))
	}
	if w.c.wanted.maxAge != 0 {
		age := w.c.wanted.maxAge
		parts = append(parts, "older than "+age.String()+" is refused"+w.by(func(r *Rule) bool { return r.MaxAge == age }))
	}
	if len(w.c.clear) > 0 {
		parts = append(parts, "retained messages can be removed in clear"+w.by(func(r *Rule) bool { return len(r.Clear) > 0 }))
	}
	if w.c.route == PlaintextToTLS {
		parts = append(parts, "subscribers without TLS get nothing")
	}
	if w.c.traps {
		parts = append(parts, "copies of what is refused go to the quarantine"+w.by(func(r *Rule) bool { return r.Quarantine }))
	}
	return strings.Join(append(parts, "a message that is dropped on the way is noticed only by its gap"), "; ")
}

// TestForms are the messages that a table of expectations can name, with what they show when all about them is right.
var TestForms = []struct {
	Word string
	res  protect.Result
}{
	{"plain", protect.Result{Form: protect.FormPlain}},
	{"checksum", protect.Result{Form: protect.FormChecksum, Integrity: protect.IntegrityChecksum}},
	{"mac", protect.Result{Form: protect.FormMAC, Integrity: protect.IntegrityGroup}},
	{"sign", protect.Result{Form: protect.FormSigned, Integrity: protect.IntegritySource}},
	{"encrypt", protect.Result{Form: protect.FormSealed, Confidential: true, Integrity: protect.IntegrityGroup}},
	{"sign+encrypt", protect.Result{Form: protect.FormSealed, Confidential: true, Integrity: protect.IntegritySource}},
	{"encrypt-e2e", protect.Result{Form: protect.FormSealed, Confidential: true, EndToEnd: true, Integrity: protect.IntegrityGroup}},
	{"sign+encrypt-e2e", protect.Result{Form: protect.FormSealed, Confidential: true, EndToEnd: true, Integrity: protect.IntegritySource}},
	{"to-keys", protect.Result{Form: protect.FormSealedTo, Confidential: true, EndToEnd: true}},
	{"sign+to-keys", protect.Result{Form: protect.FormSealedTo, Confidential: true, EndToEnd: true, Integrity: protect.IntegritySource}},
	{"to-broker", protect.Result{Form: protect.FormSealed, Confidential: true, Integrity: protect.IntegrityGroup}},
	{"sign+to-broker", protect.Result{Form: protect.FormSealedTo, Confidential: true, Integrity: protect.IntegritySource}},
}

// Fates are what a table of expectations can expect.
var Fates = []string{"accept", "refuse", "warn", "observe"}

// Try says what becomes of a message of a form on a topic whose keys, sender, sequence and age are right, and why: one of
// Fates.
func Try(s *Settings, name, form string) (fate, why string, err error) {
	var res *protect.Result
	for i := range TestForms {
		if TestForms[i].Word == form {
			res = &TestForms[i].res
		}
	}
	if res == nil {
		return "", "", fmt.Errorf("%q is not a form of a message", form)
	}
	t := newTable(s.Rules, nil)
	c := t.concern(name)
	if c == nil {
		return "accept", "no rule matches", nil
	}
	failing := func(d *demand) string {
		toBroker := strings.HasSuffix(form, "to-broker")
		switch {
		case toBroker && c.route == NoRedistribution:
			return "it is sealed to the broker, and no rule redistributes it"
		case !toBroker && res.EndToEnd && c.route != NoRedistribution:
			return "the broker has to open it and cannot"
		case form == "checksum" && d.form == protect.ChecksumNone && d.req.Integrity != protect.IntegrityNone:
			return "the topic has no checksum form"
		case form == "plain" && d.form != protect.ChecksumNone:
			return "the topic carries checksums"
		case d.maxAge != 0 && (form == "plain" || form == "checksum"):
			return "it does not say how old it is"
		}
		if err := d.req.Check(res); err != nil {
			return err.Error()
		}
		return ""
	}
	why = failing(&c.wanted)
	switch {
	case why == "":
		return "accept", "all rules are met", nil
	case c.enforces && failing(&c.enforced) != "":
		return "refuse", failing(&c.enforced), nil
	case c.warns:
		return "warn", why, nil
	}
	return "observe", why, nil
}
