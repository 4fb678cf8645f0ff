package payload

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/protect"
	"github.com/sealmq/sealmq/topic"
)

// demand is what a set of rules asks of the messages of one topic together.
type demand struct {
	req    protect.Requirement
	form   protect.ChecksumForm
	maxAge time.Duration
	anyKey bool
	opens  bool // what is sealed has to be sealed to the broker
}

// concern is everything the policy knows about one topic. It is immutable.
type concern struct {
	rules    []int  // of all modes, in their order
	wanted   demand // by all of them
	enforced demand // by those in mode enforce
	enforces bool   // there is one
	warns    bool   // there is one in mode warn
	clear    []*acl.Set
	route    Redistribution
	group    string
	signed   bool // redistributed messages need a source
	traps    bool // a rule sends what is refused to the quarantine
}

// maxConcerns bounds the topics whose concern is remembered. Beyond it all are forgotten and found again.
const maxConcerns = 1 << 16

// table finds the concern of a topic. It is immutable but for what it remembers.
type table struct {
	rules []Rule
	clear []*acl.Set // by rule, nil without clear-rights
	first map[string]struct{}
	wild  bool // a rule begins with a wildcard

	known  sync.Map // topic → *concern, nil for none
	counts atomic.Int64
}

func newTable(rules []Rule, groups map[string][]acl.Selector) *table {
	t := &table{rules: rules, clear: make([]*acl.Set, len(rules)), first: map[string]struct{}{}}
	for i := range rules {
		if len(rules[i].Clear) > 0 {
			t.clear[i] = acl.NewSet(rules[i].Clear, groups)
		}
		level, _, _ := strings.Cut(rules[i].Topic, "/")
		if level == "#" || level == "+" {
			t.wild = true
			continue
		}
		t.first[level] = struct{}{}
	}
	return t
}

// concern returns nil when no rule matches the topic. The first level decides for most topics that have none.
func (t *table) concern(name string) *concern {
	if !t.wild {
		level := name
		if i := strings.IndexByte(name, '/'); i >= 0 {
			level = name[:i]
		}
		if _, ok := t.first[level]; !ok {
			return nil
		}
	}
	if c, ok := t.known.Load(name); ok {
		return c.(*concern)
	}
	c := t.find(name)
	if t.counts.Add(1) > maxConcerns {
		t.known.Clear()
		t.counts.Store(1)
	}
	t.known.Store(strings.Clone(name), c)
	return c
}

func (t *table) find(name string) *concern {
	var c *concern
	var relaxed, relaxedEnforced []protect.Relaxation
	for i := range t.rules {
		r := &t.rules[i]
		if !topic.Filter(r.Topic).Matches(topic.Name(name)) {
			continue
		}
		if c == nil {
			c = &concern{}
		}
		c.rules = append(c.rules, i)
		c.wanted.add(r)
		relaxed = append(relaxed, r.Relax...)
		if r.Mode == Enforce {
			c.enforces = true
			c.enforced.add(r)
			relaxedEnforced = append(relaxedEnforced, r.Relax...)
		}
		c.warns = c.warns || r.Mode == Warn
		if t.clear[i] != nil {
			c.clear = append(c.clear, t.clear[i])
		}
		if r.Redistribute != NoRedistribution {
			c.route, c.group = r.Redistribute, r.Group
		}
		c.traps = c.traps || r.Quarantine
	}
	if c == nil {
		return nil
	}
	c.wanted.relax(relaxed)
	c.enforced.relax(relaxedEnforced)
	c.wanted.anyKey = t.all(c.rules, false)
	c.enforced.anyKey = t.all(c.rules, true)
	c.signed = c.wanted.req.Integrity == protect.IntegritySource
	return c
}

// all reports whether every rule that requires something accepts unknown keys, and there is one.
func (t *table) all(rules []int, enforced bool) bool {
	some := false
	for _, i := range rules {
		r := &t.rules[i]
		if r.effective().IsZero() || enforced && r.Mode != Enforce {
			continue
		}
		if !r.AcceptUnknownKeys {
			return false
		}
		some = true
	}
	return some
}

// add takes the stricter of both in every respect.
func (d *demand) add(r *Rule) {
	d.req = d.req.Union(r.effective())
	d.form = max(d.form, r.Checksum) // Lint refuses two forms
	d.opens = d.opens || r.Redistribute != NoRedistribution
	if r.MaxAge != 0 && (d.maxAge == 0 || r.MaxAge < d.maxAge) {
		d.maxAge = r.MaxAge
	}
}

func (d *demand) relax(what []protect.Relaxation) {
	for _, x := range what {
		switch x {
		case protect.RelaxConfidential:
			d.req.Confidential = false
		case protect.RelaxEndToEnd:
			d.req.EndToEnd = false
		case protect.RelaxFresh:
			d.req.Fresh = false
		case protect.RelaxIntegrity:
			d.req.Integrity = protect.IntegrityNone
		}
	}
}

// mayClear reports whether a rule lets the client remove Retained Messages of the topic.
func (c *concern) mayClear(a *arrival) bool {
	for _, s := range c.clear {
		if s.Has(a.Author, a.ClientID) {
			return true
		}
	}
	return false
}
