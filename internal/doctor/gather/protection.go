package gather

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/internal/payload"
	"github.com/sealmq/sealmq/keyring"
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
	g.keyring("keys.dir", k.Dir, k.Passphrase)
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

// keyring looks at the keys of a keyring: who else has them, and which were not replaced for long. A record has no time of its
// own; every change of it writes its file anew. Keys that were revoked are gone, and those that a rotation has replaced open
// what is old and seal nothing.
func (g *gatherer) keyring(key, dir, passphraseFile string) {
	if dir == "" {
		return
	}
	place := g.at(key)
	all := records(dir, passphraseFile)
	g.holders = append(g.holders, ringHolders(all, dir, place)...)
	for _, r := range all {
		if r.State != keyring.StateActive {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, hex.EncodeToString(r.KID)+".key"))
		if err != nil || g.m.Now.Sub(info.ModTime()) < oldKey {
			continue
		}
		g.m.OldKeys = append(g.m.OldKeys, doctor.OldKey{
			Place: place, Name: fmt.Sprintf("%s (%x) of %s", r.Group, r.KID, dir), Since: info.ModTime(),
		})
	}
}
