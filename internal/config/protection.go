package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/payload"
	"github.com/sealmq/sealmq/protect"
)

// Keyring is what the broker holds of the keys of messages; without Dir nothing.
type Keyring struct {
	Dir        string // absolute
	Passphrase string // file, absolute; "": the keyring has none
}

// Protection is what payloads must be.
type Protection struct {
	Mode       ProtectionMode // of rules that name none
	StorageKey string
	Signer     string
	Quarantine string
	Rules      []payload.Rule // Mode is set in each
}

// ProtectionMode is what happens to a message that does not meet a rule.
type ProtectionMode string

// The values of protection.mode.
const (
	ModeEnforce ProtectionMode = "enforce"
	ModeWarn    ProtectionMode = "warn"
	ModeObserve ProtectionMode = "observe"
)

var protectionModes = map[ProtectionMode]payload.Mode{
	ModeEnforce: payload.Enforce, ModeWarn: payload.Warn, ModeObserve: payload.Observe,
}

// protectionPath is the list of the rules.
const protectionPath = "protection.rules"

var protectionKeys = []field[Config]{
	optionalPath("keys.dir", func(c *Config) *string { return &c.Keys.Dir },
		"Keyring with the keys of messages that the broker needs, made with sealmq keys: public keys of signers, its own key pairs, keys of "+
			"groups that are not end-to-end, and descriptions of those that are. Only the broker's user may have access. It is read again at "+
			"a reload. A key of an end-to-end group in it is refused.", restart),
	optionalPath("keys.passphrase_file", func(c *Config) *string { return &c.Keys.Passphrase },
		"File with the passphrase of that keyring in its first line.", restart),
	choice("protection.mode", func(c *Config) *ProtectionMode { return &c.Protection.Mode },
		"What happens to a message that does not meet a rule: enforce refuses it, warn lets it pass with a line in the log, observe lets it "+
			"pass and counts it (sealmq policy coverage). A rule can have its own.",
		[]ProtectionMode{ModeEnforce, ModeWarn, ModeObserve}),
	checked("protection.storage_key", "name of a key", func(c *Config) *string { return &c.Protection.StorageKey }, nameRange, checkName,
		"Key under which messages rest that are handed on in plaintext over TLS (redistribute: plaintext-to-tls): an encryption key of keys.dir "+
			"with the sender rule redistribution."),
	checked("protection.signer", "name of a key", func(c *Config) *string { return &c.Protection.Signer }, nameRange, checkName,
		"Signature key of keys.dir, marked broker, with which the broker signs what it seals again where a rule asks for integrity source."),
	checked("protection.quarantine", "topic", func(c *Config) *string { return &c.Protection.Quarantine }, "begins with $, without wildcards", checkQuarantine,
		"Topic that gets a copy of what a rule with quarantine: true refuses, default "+payload.DefaultQuarantine+". Copies are never stored; MQTT 5 "+
			"subscribers see the topic and the reason as User Properties. No wildcard covers the topic: reading it takes an acl rule that names it."),
	protectionRules(protectionPath, func(c *Config) *[]payload.Rule { return &c.Protection.Rules },
		"Rules {topic, require, integrity, relax, checksum, mode, max_age, clear, redistribute, group, quarantine, accept_unknown_keys}. A message "+
			"has to meet all rules whose topic matches; see payload-policy.md. What no rule matches is delivered as it came."),
}

func checkName(s string) string {
	if !nameForm.MatchString(s) {
		return "not a name: " + nameRange
	}
	return ""
}

func checkQuarantine(s string) string {
	switch {
	case len(s) < 2 || len(s) > 256 || s[0] != '$' || strings.ContainsAny(s, "+#") || strings.ContainsFunc(s, isControl):
		return "not a topic that begins with $ and has no wildcards"
	case strings.HasPrefix(s, "$SYS/"), strings.HasPrefix(s, "$share/"), strings.HasPrefix(s, "$queue/"):
		return "topics below " + s[:strings.IndexByte(s, '/')] + " have another meaning"
	}
	return ""
}

// protectionRules is the list of payload rules.
func protectionRules[T any](path string, at func(*T) *[]payload.Rule, doc string) field[T] {
	f := field[T]{Key: Key{Path: path, Kind: "list of rules", Range: "at most " + strconv.Itoa(maxRules), Default: "[]", Doc: doc}}
	f.reset = func(t *T) { *at(t) = nil }
	f.show = func(t *T) string {
		if len(*at(t)) == 0 {
			return ""
		}
		texts := make([]string, len(*at(t)))
		for i := range *at(t) {
			texts[i] = showRule(&(*at(t))[i])
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	f.decode = func(t *T, d *decoder, n *yaml.Node) { *at(t) = d.protectionRules(n, f.Path) }
	return f
}

// showRule writes a rule as it is read. Its mode is always written, so that the line says what holds.
func showRule(r *payload.Rule) string {
	parts := []string{"topic: " + quoteYAML(r.Topic)}
	add := func(key, value string) { parts = append(parts, key+": "+value) }
	if !r.Require.IsZero() {
		add("require", flow(payload.RequirementWords(r.Require)))
	}
	if len(r.Relax) > 0 {
		words := make([]string, len(r.Relax))
		for i, x := range r.Relax {
			words[i] = string(x)
		}
		add("relax", flow(words))
	}
	switch r.Checksum {
	case protect.ChecksumPrefix:
		add("checksum", "prefix")
	case protect.ChecksumRaw:
		add("checksum", "raw")
	}
	if r.Mode != 0 {
		add("mode", r.Mode.String())
	}
	if r.MaxAge != 0 {
		add("max_age", formatDuration(r.MaxAge))
	}
	if len(r.Clear) > 0 {
		who := make([]string, len(r.Clear))
		for i, s := range r.Clear {
			who[i] = s.String()
		}
		add("clear", flow(who))
	}
	if r.Redistribute != payload.NoRedistribution {
		add("redistribute", r.Redistribute.String())
	}
	if r.Group != "" {
		add("group", quoteYAML(r.Group))
	}
	if r.Quarantine {
		add("quarantine", "true")
	}
	if r.AcceptUnknownKeys {
		add("accept_unknown_keys", "true")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// protectionRuleHint is what a rule looks like.
const protectionRuleHint = `write each rule as: - {topic: "plant/#", require: [confidential, fresh]}`

func (d *decoder) protectionRules(n *yaml.Node, path string) []payload.Rule {
	list := []payload.Rule{}
	switch {
	case !d.plain(n, path):
		return list
	case n.Kind != yaml.SequenceNode:
		d.report(n, path, "not a list of rules", protectionRuleHint)
		return list
	case len(n.Content) > maxRules:
		d.report(n, path, fmt.Sprintf("more than %d rules", maxRules), "")
		return list
	}
	for _, e := range n.Content {
		if r, ok := d.protectionRule(e, path); ok {
			list = append(list, r)
			d.rules[path] = append(d.rules[path], e)
		}
	}
	d.origin(path, n)
	return list
}

// protectionReaders read the keys of one rule.
var protectionReaders = []struct {
	key  string
	read func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool
}{
	{"topic", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		s, ok := d.text(n, path)
		if !ok {
			return false
		}
		if _, why := parseFilter(s); why != "" {
			d.report(n, path, fmt.Sprintf("%s is not a topic filter: %s", quote(s), why), "")
			return false
		}
		r.Topic = s
		return true
	}},
	{"require", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		return d.eachWord(n, path, payload.Words(), func(s string) {
			q, _ := payload.ParseRequirement(s) // one of the words
			r.Require = r.Require.Union(q)
		})
	}},
	{"integrity", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		words := []string{"checksum", "group", "source"}
		return d.oneWord(n, path, words, func(i int) {
			r.Require.Integrity = max(r.Require.Integrity, protect.IntegrityChecksum+protect.Integrity(i))
		})
	}},
	{"relax", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		words := make([]string, len(payload.Relaxations))
		for i, x := range payload.Relaxations {
			words[i] = string(x)
		}
		return d.eachWord(n, path, words, func(s string) { r.Relax = append(r.Relax, protect.Relaxation(s)) })
	}},
	{"checksum", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		return d.oneWord(n, path, []string{"prefix", "raw"}, func(i int) { r.Checksum = protect.ChecksumPrefix + protect.ChecksumForm(i) })
	}},
	{"mode", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		return d.oneWord(n, path, []string{"observe", "warn", "enforce"}, func(i int) { r.Mode = payload.Observe + payload.Mode(i) })
	}},
	{"max_age", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		s, ok := d.scalar(n, path)
		if !ok {
			return false
		}
		v, err := parseDuration(s)
		switch {
		case err != nil:
			d.report(n, path, fmt.Sprintf("%s is not %v", quote(s), err), numberHint(s, durations.name))
			return false
		case v < time.Second || v > 366*day:
			d.report(n, path, s+" is outside 1s to 366d", "")
			return false
		}
		r.MaxAge = v
		return true
	}},
	{"clear", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		nodes := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode && d.plain(n, path) {
			nodes = n.Content
		}
		for _, e := range nodes {
			var s acl.Selector
			if !d.selector(e, path, &s, false) {
				return false
			}
			r.Clear = append(r.Clear, s)
		}
		return true
	}},
	{"redistribute", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		words := []string{payload.PlaintextToTLS.String(), payload.SealedToGroup.String()}
		return d.oneWord(n, path, words, func(i int) { r.Redistribute = payload.PlaintextToTLS + payload.Redistribution(i) })
	}},
	{"group", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		s, ok := d.text(n, path)
		if ok && !nameForm.MatchString(s) {
			d.report(n, path, quote(s)+" is not a name: "+nameRange, "")
			return false
		}
		r.Group = s
		return ok
	}},
	{"quarantine", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		return d.yes(n, path, &r.Quarantine)
	}},
	{"accept_unknown_keys", func(d *decoder, n *yaml.Node, path string, r *payload.Rule) bool {
		return d.yes(n, path, &r.AcceptUnknownKeys)
	}},
}

func (d *decoder) protectionRule(n *yaml.Node, path string) (payload.Rule, bool) {
	if !d.section(n, path) {
		return payload.Rule{}, false
	}
	r := payload.Rule{Place: identity.Rule{File: d.name, Line: n.Line}}
	ok := true
	keys := make([]string, len(protectionReaders))
	for i := range protectionReaders {
		keys[i] = protectionReaders[i].key
	}
	for _, p := range d.pairs(n, path) {
		i := slices.Index(keys, p.key.Value)
		if i < 0 {
			d.addKey(p.key, path, "unknown key "+bounded64(path+"."+p.key.Value), didYouMean(p.key.Value, keys))
			ok = false
			continue
		}
		ok = protectionReaders[i].read(d, p.value, path+"."+keys[i], &r) && ok
	}
	if ok && r.Topic == "" {
		d.report(n, path, "a rule says which topic it is about", protectionRuleHint)
		return r, false
	}
	return r, ok
}

// eachWord reads one word, or a list of them.
func (d *decoder) eachWord(n *yaml.Node, path string, allowed []string, take func(string)) bool {
	if n.Kind == yaml.SequenceNode {
		list, ok := d.words(n, path, allowed)
		for _, s := range list {
			take(s)
		}
		return ok
	}
	return d.oneWord(n, path, allowed, func(i int) { take(allowed[i]) })
}

func (d *decoder) oneWord(n *yaml.Node, path string, allowed []string, take func(int)) bool {
	s, ok := d.scalar(n, path)
	if !ok {
		return false
	}
	i := slices.Index(allowed, s)
	if i < 0 {
		d.report(n, path, quote(s)+" is not one of "+strings.Join(allowed, ", "), didYouMean(s, allowed))
		return false
	}
	take(i)
	return true
}

func (d *decoder) yes(n *yaml.Node, path string, to *bool) bool {
	s, ok := d.scalar(n, path)
	if !ok {
		return false
	}
	if s != "true" && s != "false" || n.Style&quotedStyles != 0 {
		d.report(n, path, quote(s)+" is not true or false", boolHint(s))
		return false
	}
	*to = s == "true"
	return true
}

// completeProtection gives rules without a mode the one of all.
func (c *Config) completeProtection() {
	for i := range c.Protection.Rules {
		if r := &c.Protection.Rules[i]; r.Mode == 0 {
			r.Mode = protectionModes[c.Protection.Mode]
		}
	}
}

// PayloadSettings are the rules in the terms of the policy.
func (c *Config) PayloadSettings() *payload.Settings {
	p := &c.Protection
	return &payload.Settings{Rules: p.Rules, StorageKey: p.StorageKey, Signer: p.Signer, Quarantine: p.Quarantine}
}

// pointlessProtection lists the keys that have no effect.
func (c *Config) pointlessProtection() []pointless {
	var all []pointless
	add := func(useless bool, path, because string) {
		if useless {
			all = append(all, pointless{path, because})
		}
	}
	p := &c.Protection
	uses := func(f func(*payload.Rule) bool) bool {
		return slices.ContainsFunc(p.Rules, func(r payload.Rule) bool { return f(&r) })
	}
	add(c.Keys.Dir == "", "keys.passphrase_file", "keys.dir is not given")
	add(len(p.Rules) == 0, "protection.mode", "there are no protection.rules")
	add(!uses(func(r *payload.Rule) bool { return r.Redistribute == payload.PlaintextToTLS }), "protection.storage_key", "no rule has redistribute: plaintext-to-tls")
	add(!uses(func(r *payload.Rule) bool { return r.Redistribute == payload.SealedToGroup }), "protection.signer", "no rule has redistribute: sealed")
	add(!uses(func(r *payload.Rule) bool { return r.Quarantine }), "protection.quarantine", "no rule has quarantine: true")
	return all
}

// checkProtection refuses rules that can never match or change nothing, and contradictions.
func (c *Config) checkProtection(d *decoder) {
	p := &c.Protection
	if len(d.rules[protectionPath]) != len(p.Rules) {
		return // something was reported
	}
	at := func(i int, message, hint string) {
		n := d.rules[protectionPath][i]
		d.add(n.Line, n.Column, protectionPath, protectionPath+": "+message, hint)
	}
	for i := range p.Rules {
		for _, s := range p.Rules[i].Clear {
			if _, ok := c.ACL.Groups[s.Name]; s.Kind == acl.Group && !ok {
				at(i, "there is no group "+quote(s.Name), "")
			}
		}
		if p.Rules[i].Redistribute != payload.NoRedistribution && c.Keys.Dir == "" {
			at(i, "redistribute needs keys.dir: the broker has no keys", "add keys: {dir: FOLDER}")
		}
	}
	for _, f := range payload.Lint(c.PayloadSettings(), c.Limits.TopicLevels) {
		at(f.Index, f.Why, f.Fix)
	}
}
