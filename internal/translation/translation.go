// Package translation turns a configuration of Mosquitto 2.0 or 2.1 into one of SealMQ. Every line is kept, tightened or
// refused, with the reason. Nobody gets in, or gets a right, that Mosquitto would not have given: where that cannot be
// told, a listener is left out or nothing is allowed.
package translation

import (
	"slices"
	"strings"

	"github.com/sealmq/sealmq/internal/mosquittoconf"
)

// Verdict is what became of a line.
type Verdict string

// The verdicts.
const (
	Kept      Verdict = "kept"      // means the same here
	Tightened Verdict = "tightened" // here less is allowed
	Refused   Verdict = "refused"   // not taken over
)

// Line is one directive and what became of it.
type Line struct {
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Text    string  `json:"text"` // without what may be secret
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
}

// Copy is a file that the new configuration needs beside it.
type Copy struct {
	From string // of Mosquitto
	To   string // name in the new folder
	Kind Kind
}

// Kind is what a copied file holds.
type Kind string

// The kinds.
const (
	Accounts Kind = "accounts"
	Rules    Kind = "rules"
	Keys     Kind = "keys"
)

// The names of the files that are copied.
const (
	accountsFile = "passwd"
	rulesFile    = "acl"
	keysFile     = "psk.txt"
)

// Options are what a user decides.
type Options struct {
	// AllowPlaintext keeps listeners without encryption reachable from other machines. Passwords cross the network in
	// clear text then.
	AllowPlaintext bool
	// Usable reports why a file cannot be taken over, nil when it can. Accounts that cannot be read let nobody in, and
	// rules that cannot be read allow nothing.
	Usable func(Copy) error
}

// Result is the translation.
type Result struct {
	YAML   string
	Copies []Copy
	Lines  []Line   // in the order of the files
	Notes  []string // sentences about what no line says
}

// Count returns how many lines have a verdict.
func (r *Result) Count(v Verdict) int {
	n := 0
	for _, l := range r.Lines {
		if l.Verdict == v {
			n++
		}
	}
	return n
}

// translator collects the new configuration.
type translator struct {
	c         *mosquittoconf.Config
	o         Options
	result    Result
	said      map[place]Line
	values    map[string]string // keys outside lists, as they are written
	listeners []*listener
	anonymous bool
	lost      bool     // there were, or may have been, accounts that could not be taken over
	blocked   []string // why nothing is allowed
}

type place struct {
	file string
	line int
}

// Translate never fails: what cannot be translated is refused.
func Translate(c *mosquittoconf.Config, o Options) *Result {
	t := &translator{c: c, o: o, said: map[place]Line{}, values: map[string]string{}}
	t.blockers()
	for i := range c.Global.Directives {
		t.broker(&c.Global.Directives[i])
	}
	t.collect()
	t.security()
	t.exposure()
	t.overlaps()
	t.plugins()
	t.leftOut()
	for i := range c.Bridges {
		t.bridge(&c.Bridges[i])
	}
	t.leftovers()
	t.notes()
	t.result.YAML = t.yaml()
	return &t.result
}

// say records what became of a directive. The first word counts, except that a refusal always does.
func (t *translator) say(d *mosquittoconf.Directive, v Verdict, why string) {
	if d == nil {
		return
	}
	at := place{d.File, d.Line}
	if old, there := t.said[at]; there && (old.Verdict == Refused || v != Refused) && (old.Verdict != Kept || v == Kept) {
		return
	}
	t.said[at] = Line{File: d.File, Line: d.Line, Text: text(d), Verdict: v, Why: why}
}

// secretWords are parts of names whose arguments are not shown.
var secretWords = []string{"password", "psk", "kpass", "_opt_", "username", "identity"}

// text is a directive without what may be secret.
func text(d *mosquittoconf.Directive) string {
	const limit = 100
	switch d.Name {
	case "password_file", "psk_file", "psk_hint", "use_identity_as_username", "use_subject_as_username", "use_username_as_clientid", "plugin_opt_password_file", "plugin_opt_acl_file":
	default:
		if slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(d.Name, w) }) {
			return d.Name + " …"
		}
	}
	s := strings.TrimSpace(d.Name + " " + d.Args)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// blockers finds what decides about access and cannot be taken over: then nothing is allowed.
func (t *translator) blockers() {
	for i := range t.c.Problems {
		if p := &t.c.Problems[i]; p.Unread { // it may have named accounts and rules
			t.blocked, t.lost = append(t.blocked, "what could not be read"), true
			break
		}
	}
	for i := range t.c.Directives {
		d := &t.c.Directives[i]
		switch {
		case d.Name == "clientid_prefixes":
			t.block(d, "only some client identifiers were allowed, which rules here cannot say")
		case d.Name == "plugin_use" && len(t.c.Listeners) > 1:
			t.block(d, "it is not known which listeners use the plug-in")
		case isPlugin(d.Name) && !slices.ContainsFunc(knownPlugins, func(p string) bool { return strings.Contains(d.Args, p) }):
			t.block(d, "plug-ins are not run, and this one may have decided who may do what")
		case strings.HasPrefix(d.Name, "auth_opt_"):
			t.say(d, Refused, "options of plug-ins have no meaning here")
		}
	}
}

// isPlugin reports a directive that loads code.
func isPlugin(name string) bool {
	return name == "plugin" || name == "global_plugin" || name == "plugin_load" || name == "auth_plugin"
}

// knownPlugins are those of version 2.1 whose work is done here without a plug-in.
var knownPlugins = []string{"mosquitto_password_file", "mosquitto_acl_file", "mosquitto_persist_sqlite"}

func (t *translator) block(d *mosquittoconf.Directive, why string) {
	t.blocked = append(t.blocked, d.Place()+" "+d.Name)
	t.say(d, Refused, why+": nothing is allowed until you write rules")
}

// leftOut speaks about what belongs to listeners that are not there.
func (t *translator) leftOut() {
	for _, l := range t.listeners {
		if l.refused == "" {
			continue
		}
		for i := range l.section.Directives {
			if d := &l.section.Directives[i]; d.Name != "port" {
				t.say(d, Refused, "its listener is left out: "+l.refused)
			}
		}
	}
}

func (t *translator) bridge(s *mosquittoconf.Section) {
	t.say(s.Start, Refused, "bridges are not offered: let a client subscribe here and publish there")
	for i := range s.Directives {
		t.say(&s.Directives[i], Refused, "belongs to a bridge")
	}
}

// leftovers lists every line once, in order; what nobody spoke about is refused.
func (t *translator) leftovers() {
	seen := map[place]bool{}
	for i := range t.c.Unknown {
		t.say(&t.c.Unknown[i], Refused, "no version of Mosquitto that is known here has it")
	}
	for i := range t.c.Problems {
		p := &t.c.Problems[i]
		t.result.Notes = append(t.result.Notes, "left out: "+p.Error())
	}
	for i := range t.c.Directives {
		d := &t.c.Directives[i]
		at := place{d.File, d.Line}
		if _, spoken := t.said[at]; !spoken {
			t.say(d, Refused, "has no counterpart here")
		}
		if !seen[at] {
			seen[at] = true
			t.result.Lines = append(t.result.Lines, t.said[at])
		}
	}
}

// notes says what no line of the file says: where the defaults of the two differ.
func (t *translator) notes() {
	add := func(s string) { t.result.Notes = append(t.result.Notes, s) }
	if len(t.blocked) > 0 {
		add("nothing is allowed, because of " + strings.Join(t.blocked, ", ") + ": write rules under acl")
	}
	if !slices.ContainsFunc(t.listeners, func(l *listener) bool { return l.refused == "" }) {
		add("no listener could be taken over: one on loopback is there instead")
	}
	if t.values["limits.packet"] == "" {
		add("packets have at most 256 KiB here: limits.packet changes it")
	}
	if t.values["limits.session_expiry_v3"] == "" {
		add("sessions of MQTT 3 clients end after 7 days here, those of MQTT 5 after at most 30: limits.session_expiry_v3 and session_expiry_max change it")
	}
	add("topics that begin with $ are readable for those only whom a rule names; the database of Mosquitto (retained messages, sessions) is not taken over")
}
