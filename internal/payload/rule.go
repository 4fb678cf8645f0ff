package payload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/protect"
)

// Mode says what happens to a message that does not meet a rule.
type Mode uint8

// The modes, mildest first.
const (
	Observe Mode = iota + 1 // it passes, and is counted
	Warn                    // it passes, is counted, and gets a line in the log
	Enforce                 // it is refused
)

var modeNames = [...]string{Observe: "observe", Warn: "warn", Enforce: "enforce"}

// String returns the word of the configuration.
func (m Mode) String() string {
	if m == 0 || int(m) >= len(modeNames) {
		return "no mode"
	}
	return modeNames[m]
}

// Redistribution says what becomes of a message that was sealed to the broker.
type Redistribution uint8

// The ways to hand it on.
const (
	NoRedistribution Redistribution = iota
	PlaintextToTLS                  // opened, for subscribers whose connection is encrypted; it rests under the storage key
	SealedToGroup                   // sealed once under the key of the topic's subscribers
)

var redistributionNames = [...]string{"none", "plaintext-to-tls", "sealed"}

// String returns the word of the configuration.
func (r Redistribution) String() string {
	if int(r) >= len(redistributionNames) {
		return "unknown"
	}
	return redistributionNames[r]
}

// Rule is one entry of the policy. A message has to meet the union of all rules whose filter matches its topic, less what
// those rules relax.
type Rule struct {
	Topic    string // filter
	Require  protect.Requirement
	Relax    []protect.Relaxation
	Checksum protect.ChecksumForm
	Mode     Mode
	MaxAge   time.Duration  // 0: none; messages that do not show their age are then refused
	Clear    []acl.Selector // who may remove Retained Messages with an empty payload
	// Redistribute opens what is sealed to the broker; Group is then the name of the key for SealedToGroup.
	Redistribute Redistribution
	Group        string
	// Quarantine: a copy of what the rule refuses goes to the quarantine topic.
	Quarantine bool
	// AcceptUnknownKeys lets messages pass whose key is neither held nor described: anyone can make such a message up.
	AcceptUnknownKeys bool
	Place             identity.Rule
}

// Settings are the rules with what they share.
type Settings struct {
	Rules      []Rule
	StorageKey string // name of the redistribution key under which messages of PlaintextToTLS rest
	Signer     string // name of the broker's signature key, for redistributed messages that need a source
	Quarantine string // topic, beginning with $
}

// DefaultQuarantine is the quarantine topic. It begins with $, so that no client can publish to it and no wildcard
// matches it: reading it takes a subscription and an access rule that name it.
const DefaultQuarantine = "$quarantine/payload"

// words are what require understands: the vocabulary of section 9 of the profile, and a word for each usual combination.
var words = []struct {
	word string
	req  protect.Requirement
}{
	{"none", protect.Requirement{}},
	{"confidential", protect.Requirement{Confidential: true}},
	{"end-to-end", protect.Requirement{EndToEnd: true}},
	{"fresh", protect.Requirement{Fresh: true}},
	{"checksum", protect.Requirement{Integrity: protect.IntegrityChecksum}},
	{"group", protect.Requirement{Integrity: protect.IntegrityGroup}},
	{"source", protect.Requirement{Integrity: protect.IntegritySource}},
	{"mac", protect.Requirement{Integrity: protect.IntegrityGroup}},
	{"sign", protect.Requirement{Integrity: protect.IntegritySource}},
	{"encrypt", protect.Requirement{Confidential: true}},
	{"sign+encrypt", protect.Requirement{Confidential: true, Integrity: protect.IntegritySource}},
}

// Words are the texts that ParseRequirement understands.
func Words() []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.word
	}
	return out
}

// ParseRequirement reads one word.
func ParseRequirement(s string) (protect.Requirement, error) {
	for _, w := range words {
		if w.word == s {
			return w.req, nil
		}
	}
	return protect.Requirement{}, fmt.Errorf("%q is not a requirement: write %s", s, strings.Join(Words(), ", "))
}

// RequirementWords are the fewest words for a requirement, "none" for no requirement.
func RequirementWords(q protect.Requirement) []string {
	var out []string
	if q.Confidential {
		out = append(out, "confidential")
	}
	if q.EndToEnd {
		out = append(out, "end-to-end")
	}
	if q.Fresh {
		out = append(out, "fresh")
	}
	switch q.Integrity {
	case protect.IntegrityChecksum, protect.IntegrityGroup, protect.IntegritySource:
		out = append(out, q.Integrity.String())
	}
	if len(out) == 0 {
		return []string{"none"}
	}
	return out
}

// Relaxations are the words that relax understands.
var Relaxations = []protect.Relaxation{protect.RelaxConfidential, protect.RelaxEndToEnd, protect.RelaxFresh, protect.RelaxIntegrity}

// effective is what the rule demands, with what redistribution implies: what the broker hands on sealed or to encrypted
// connections only must not have come in clear.
func (r *Rule) effective() protect.Requirement {
	q := r.Require
	if r.Redistribute != NoRedistribution {
		q.Confidential = true
	}
	return q
}

// demands reports whether the rule asks anything of a message.
func (r *Rule) demands() bool {
	return !r.effective().IsZero() || r.Checksum != protect.ChecksumNone || r.MaxAge != 0
}

// String is the rule in one line, as refusals name it.
func (r *Rule) String() string {
	s := r.Topic + " requires " + strings.Join(RequirementWords(r.effective()), "+")
	if len(r.Relax) > 0 {
		relaxed := make([]string, len(r.Relax))
		for i, x := range r.Relax {
			relaxed[i] = string(x)
		}
		s = r.Topic + " relaxes " + strings.Join(relaxed, "+")
		if !r.effective().IsZero() {
			s += ", requires " + strings.Join(RequirementWords(r.effective()), "+")
		}
	}
	return s
}

// Names returns the names of keys that the settings use, sorted and once each.
func (s *Settings) Names() []string {
	var out []string
	for i := range s.Rules {
		if s.Rules[i].Group != "" {
			out = append(out, s.Rules[i].Group)
		}
	}
	for _, n := range []string{s.StorageKey, s.Signer} {
		if n != "" {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
