package gather

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/internal/payload"
	"github.com/sealmq/sealmq/protect"
)

// oldKey is the age at which a key should have been replaced.
const oldKey = 400 * 24 * time.Hour

// protection gathers what is demanded of payloads.
func (g *gatherer) protection() {
	k := &g.c.Keys
	g.file(doctor.SecretFolder, "keys.dir", k.Dir)
	g.file(doctor.SecretFile, "keys.passphrase_file", k.Passphrase)
	rules := g.c.Protection.Rules
	p := &doctor.Protection{Place: g.at("protection.rules"), None: len(rules) == 0}
	if p.None {
		p.Place = doctor.Place{File: g.m.Subject}
	}
	for i := range rules {
		r := &rules[i]
		place := doctor.Place{File: r.Place.File, Line: r.Place.Line}
		if r.Mode == payload.Observe {
			p.Observe = append(p.Observe, place)
		}
		if authentic(r.Require) && !g.fresh(r) {
			p.NoReplay = append(p.NoReplay, doctor.ProtectionRule{Place: place, Topic: r.Topic})
		}
	}
	if !p.None {
		p.Uncovered = g.uncovered()
	}
	p.NoExpiry = oldKeys(k.Dir, g.at("keys.dir"), g.m.Now)
	g.m.Protection = p
}

// authentic reports whether a rule wants to know who sent a message: only then is a message that is sent again a lie.
func authentic(q protect.Requirement) bool {
	return q.Integrity == protect.IntegrityGroup || q.Integrity == protect.IntegritySource
}

// fresh reports whether a rule, or another about the same topics, refuses messages that were recorded; a rule that relaxes
// it says so knowingly.
func (g *gatherer) fresh(r *payload.Rule) bool {
	if slices.Contains(r.Relax, protect.RelaxFresh) {
		return true
	}
	for i := range g.c.Protection.Rules {
		o := &g.c.Protection.Rules[i]
		if (o.Require.Fresh || o.MaxAge > 0) && payload.Overlap(o.Topic, r.Topic) {
			return true
		}
	}
	return false
}

// uncovered are the topics that clients may publish to and that no rule is about.
func (g *gatherer) uncovered() []string {
	var out []string
	consider := func(filter string) {
		covered := slices.ContainsFunc(g.c.Protection.Rules, func(r payload.Rule) bool { return payload.Overlap(r.Topic, filter) })
		if !covered && !strings.HasPrefix(filter, "$") && !slices.Contains(out, filter) {
			out = append(out, filter)
		}
	}
	for i := range g.c.ACL.Rules {
		if r := &g.c.ACL.Rules[i]; !r.Deny && r.Do&acl.OnPublish != 0 {
			consider(widened(r.Topic))
		}
	}
	if g.c.ACL.Rules == nil {
		for _, r := range g.c.ACL.Publish.Allow {
			consider(string(r.Filter))
		}
	}
	return out
}

// widened is the filter of a rule with any client's name in the place of fields.
func widened(filter string) string {
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		if strings.Contains(l, "%") {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// oldKeys are the keys of a keyring that have not been touched for long. Their files are not opened.
func oldKeys(dir string, place doctor.Place, now time.Time) []doctor.ProtectionKey {
	if dir == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.key"))
	if err != nil {
		return nil
	}
	var out []doctor.ProtectionKey
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || now.Sub(info.ModTime()) < oldKey {
			continue
		}
		out = append(out, doctor.ProtectionKey{Place: place, Name: f, Why: fmt.Sprintf("in use since %s and never replaced", info.ModTime().UTC().Format(time.DateOnly))})
	}
	return out
}
