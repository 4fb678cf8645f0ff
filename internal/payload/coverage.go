package payload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/protect"
)

// Bounds of what coverage remembers.
const (
	maxPublishers   = 1000   // of one rule
	maxAllCounted   = 20_000 // of all rules
	maxNameCounted  = 256    // bytes of a publisher's name
	coverageVersion = 1
)

// RuleCoverage is how far the publishers of one rule comply.
type RuleCoverage struct {
	Topic  string `json:"topic"`
	Demand string `json:"demand"` // what the rule requires
	Mode   string `json:"mode"`
	Rule   string `json:"rule,omitempty"` // file and line
	// Passed and Failed count messages, since the counters were begun.
	Passed  int64            `json:"passed"`
	Failed  int64            `json:"failed"`
	Reasons map[string]int64 `json:"reasons,omitempty"`
	// Publishers are at most 1000 for each rule; those that do not comply are kept first.
	Publishers []PublisherCoverage `json:"publishers,omitempty"`
	// Uncounted messages came from publishers beyond that.
	Uncounted int64 `json:"uncounted,omitempty"`
}

// Complying counts the publishers whose last message met the rule.
func (r *RuleCoverage) Complying() int {
	n := 0
	for i := range r.Publishers {
		if r.Publishers[i].Complies() {
			n++
		}
	}
	return n
}

// PublisherCoverage is one publisher under one rule.
type PublisherCoverage struct {
	Client   string    `json:"client"`
	Passed   int64     `json:"passed"`
	Failed   int64     `json:"failed"`
	Reason   string    `json:"reason,omitempty"` // of the last message, if it failed
	Topic    string    `json:"topic,omitempty"`  // of the last message that failed
	LastSeen time.Time `json:"last_seen"`
}

// Complies reports whether the last message met the rule. Enforcing refuses the others now.
func (p *PublisherCoverage) Complies() bool { return p.Reason == "" }

// coverage counts. Its memory is bounded, and it can be written down and read back.
type coverage struct {
	mu     sync.Mutex
	rules  map[string]*ruleCount // by filter and demand, so that a changed rule begins anew
	order  []string              // of the rules in force
	total  int
	dirty  bool
	warned map[string]struct{}
}

type ruleCount struct {
	RuleCoverage
	byName map[string]*PublisherCoverage
}

func (c *coverage) init() {
	c.rules, c.warned = map[string]*ruleCount{}, map[string]struct{}{}
}

func coverageKey(r *Rule) string {
	return r.Topic + "\x00" + strings.Join(RequirementWords(r.effective()), "+") + "\x00" + fmt.Sprint(r.MaxAge, r.Checksum, r.Redistribute)
}

// keep makes the rules those that are counted. What is known of a rule that stays is kept.
func (c *coverage) keep(rules []Rule) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.rules
	c.rules, c.order, c.total, c.dirty = map[string]*ruleCount{}, nil, 0, true
	clear(c.warned)
	for i := range rules {
		r := &rules[i]
		key := coverageKey(r)
		n := old[key]
		if n == nil {
			n = &ruleCount{byName: map[string]*PublisherCoverage{}}
			n.Reasons = map[string]int64{}
		}
		n.Topic, n.Demand, n.Mode = r.Topic, strings.Join(RequirementWords(r.effective()), "+"), r.Mode.String()
		if r.Place.File != "" {
			n.Rule = fmt.Sprintf("%s:%d", r.Place.File, r.Place.Line)
		}
		c.rules[key] = n
		c.order = append(c.order, key)
		c.total += len(n.byName)
	}
}

func (c *coverage) passed(con *concern, a *message.Arrival, now time.Time) {
	c.count(con, a, now, func(int) string { return "" })
}

// failed counts a message that does not meet all rules together; unmet says which of them it does not meet.
func (c *coverage) failed(con *concern, a *message.Arrival, why protect.Reason, unmet func(rule int) bool, now time.Time) {
	c.count(con, a, now, func(rule int) string {
		if unmet(rule) {
			return why.String()
		}
		return ""
	})
}

func (c *coverage) count(con *concern, a *message.Arrival, now time.Time, reason func(rule int) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
	for _, i := range con.rules {
		if i >= len(c.order) {
			continue // a message judged by rules that have just been replaced
		}
		c.rules[c.order[i]].count(c, a, now, reason(i))
	}
}

func (n *ruleCount) count(c *coverage, a *message.Arrival, now time.Time, reason string) {
	if reason == "" {
		n.Passed++
	} else {
		n.Failed++
		n.Reasons[reason]++
	}
	name := publisher(a)
	p := n.byName[name]
	if p == nil {
		if p = n.room(c, name, reason != ""); p == nil {
			n.Uncounted++
			return
		}
	}
	p.LastSeen, p.Reason = now, reason
	if reason == "" {
		p.Passed++
		return
	}
	p.Failed++
	if p.Topic != a.Topic {
		p.Topic = cutName(a.Topic)
	}
}

// room adds a publisher. When there is no place left, one that does not comply takes that of one that does.
func (n *ruleCount) room(c *coverage, name string, failing bool) *PublisherCoverage {
	if len(n.byName) >= maxPublishers || c.total >= maxAllCounted {
		victim := ""
		if failing {
			for other, p := range n.byName {
				if p.Complies() {
					victim = other
					break
				}
			}
		}
		if victim == "" {
			return nil
		}
		delete(n.byName, victim)
		c.total--
	}
	p := &PublisherCoverage{Client: cutName(name)}
	n.byName[p.Client] = p
	c.total++
	return p
}

// publisher is how coverage calls who sent an arrival.
func publisher(a *message.Arrival) string {
	switch {
	case a.ClientID != "":
		return cutName(a.ClientID)
	case a.Author != nil:
		return cutName(a.Author.String())
	}
	return "unknown"
}

// cutName bounds a text that a client chose, and frees it from the buffer it came in.
func cutName(s string) string {
	if len(s) > maxNameCounted {
		s = s[:maxNameCounted]
	}
	return strings.ToValidUTF8(strings.Clone(s), "?")
}

// firstWarning reports whether nobody was warned about this publisher and reason yet.
func (c *coverage) firstWarning(con *concern, a *message.Arrival, why protect.Reason) bool {
	key := publisher(a) + "\x00" + why.String()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.warned[key]; ok || len(c.warned) >= maxAllCounted {
		return false
	}
	c.warned[key] = struct{}{}
	return true
}

// Coverage returns what was counted for the rules in force, in their order. Publishers that do not comply come first.
func (p *Policy) Coverage() []RuleCoverage {
	c := &p.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]RuleCoverage, 0, len(c.order))
	for _, key := range c.order {
		out = append(out, c.rules[key].snapshot())
	}
	return out
}

func (n *ruleCount) snapshot() RuleCoverage {
	r := n.RuleCoverage
	r.Reasons = maps.Clone(r.Reasons)
	r.Publishers = make([]PublisherCoverage, 0, len(n.byName))
	for _, p := range n.byName {
		r.Publishers = append(r.Publishers, *p)
	}
	slices.SortFunc(r.Publishers, func(a, b PublisherCoverage) int {
		if a.Complies() != b.Complies() {
			if b.Complies() {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Client, b.Client)
	})
	return r
}

// coverageFile is the counters as they are kept.
type coverageFile struct {
	Version int            `json:"version"`
	Rules   []keptCoverage `json:"rules"`
}

type keptCoverage struct {
	Key string `json:"key"`
	RuleCoverage
}

// SaveCoverage returns the counters for the next start, nil when nothing has changed since the last call.
func (p *Policy) SaveCoverage() ([]byte, error) {
	c := &p.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil, nil
	}
	f := coverageFile{Version: coverageVersion, Rules: []keptCoverage{}}
	for _, key := range c.order {
		f.Rules = append(f.Rules, keptCoverage{key, c.rules[key].snapshot()})
	}
	b, err := json.Marshal(&f)
	if err == nil {
		c.dirty = false
	}
	return b, err
}

// LoadCoverage brings back what SaveCoverage returned, before the first commit. What does not fit the bounds is refused
// whole: counters are no reason to trust a file.
func (p *Policy) LoadCoverage(b []byte) error {
	var f coverageFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return fmt.Errorf("coverage: %w", err)
	}
	if _, err := d.Token(); err != io.EOF || f.Version != coverageVersion {
		return fmt.Errorf("coverage: not of version %d", coverageVersion)
	}
	c := &p.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	rules := map[string]*ruleCount{}
	for i := range f.Rules {
		r := &f.Rules[i]
		total += len(r.Publishers)
		if len(r.Publishers) > maxPublishers || total > maxAllCounted {
			return fmt.Errorf("coverage: more publishers than are counted")
		}
		n := &ruleCount{RuleCoverage: r.RuleCoverage, byName: map[string]*PublisherCoverage{}}
		n.Publishers = nil
		if n.Reasons == nil {
			n.Reasons = map[string]int64{}
		}
		for j := range r.Publishers {
			n.byName[r.Publishers[j].Client] = &r.Publishers[j]
		}
		rules[r.Key] = n
	}
	c.rules = rules
	return nil
}
