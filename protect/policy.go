package protect

import (
	"fmt"

	"github.com/sealmq/sealmq/topic"
)

// Requirement is what a topic demands of its messages.
type Requirement struct {
	Confidential bool
	EndToEnd     bool
	Fresh        bool
	Integrity    Integrity
}

// IsZero reports whether nothing is required.
func (q Requirement) IsZero() bool { return q == Requirement{} }

// Union returns the stricter of both in every respect.
func (q Requirement) Union(o Requirement) Requirement {
	return Requirement{
		Confidential: q.Confidential || o.Confidential,
		EndToEnd:     q.EndToEnd || o.EndToEnd,
		Fresh:        q.Fresh || o.Fresh,
		Integrity:    max(q.Integrity, o.Integrity),
	}
}

// Relaxation names a requirement that an entry removes after the union.
type Relaxation string

// Relaxations. An entry has to name what it gives up.
const (
	RelaxConfidential Relaxation = "confidential"
	RelaxEndToEnd     Relaxation = "end-to-end"
	RelaxFresh        Relaxation = "fresh"
	RelaxIntegrity    Relaxation = "integrity"
)

// ChecksumForm is how a topic carries checksums; it is never guessed.
type ChecksumForm uint8

// Checksum forms.
const (
	ChecksumNone   ChecksumForm = iota
	ChecksumPrefix              // CBOR [-16, hash] before the payload
	ChecksumRaw                 // 32 raw bytes before the payload
)

// Entry is one line of a topic policy.
type Entry struct {
	Filter   string // topic filter
	Require  Requirement
	Relax    []Relaxation
	Checksum ChecksumForm
}

// Policy is a set of entries. The requirements of a topic are the union of all
// entries whose filter matches it, less what those entries relax; order does
// not matter, and a longer filter does not win. A Policy is immutable and safe
// for concurrent use.
type Policy struct {
	entries []Entry
}

// maxPolicyEntries bounds a policy, which is searched linearly.
const maxPolicyEntries = 4096

// NewPolicy validates and copies the entries.
func NewPolicy(entries ...Entry) (*Policy, error) {
	if len(entries) > maxPolicyEntries {
		return nil, fmt.Errorf("topic policy of %d entries", len(entries))
	}
	p := &Policy{}
	for i, e := range entries {
		if _, err := topic.ParseFilter(e.Filter); err != nil {
			return nil, fmt.Errorf("topic policy entry %d: %w", i, err)
		}
		if e.Require.Integrity > IntegritySource || e.Checksum > ChecksumRaw {
			return nil, fmt.Errorf("topic policy entry %d (%s): integrity %d, checksum form %d", i, e.Filter, e.Require.Integrity, e.Checksum)
		}
		for _, relax := range e.Relax {
			switch relax {
			case RelaxConfidential, RelaxEndToEnd, RelaxFresh, RelaxIntegrity:
			default:
				return nil, fmt.Errorf("topic policy entry %d (%s): relax %q", i, e.Filter, relax)
			}
		}
		e.Relax = append([]Relaxation(nil), e.Relax...)
		p.entries = append(p.entries, e)
	}
	return p, nil
}

// For returns what a Topic Name requires and the form of its checksums. Two
// entries that name different forms contradict each other: the error says so,
// and nothing may be accepted on the topic without COSE.
func (p *Policy) For(name string) (Requirement, ChecksumForm, error) {
	var (
		req   Requirement
		relax [4]bool
		form  ChecksumForm
		err   error
	)
	if p == nil {
		return req, form, nil
	}
	for i := range p.entries {
		e := &p.entries[i]
		if !topic.Filter(e.Filter).Matches(topic.Name(name)) {
			continue
		}
		req = req.Union(e.Require)
		for _, r := range e.Relax {
			relax[relaxIndex(r)] = true
		}
		if e.Checksum != ChecksumNone && form != ChecksumNone && e.Checksum != form {
			err = fmt.Errorf("topic policy names two checksum forms for %q", name)
		}
		form = max(form, e.Checksum)
	}
	req.Confidential = req.Confidential && !relax[0]
	req.EndToEnd = req.EndToEnd && !relax[1]
	req.Fresh = req.Fresh && !relax[2]
	if relax[3] {
		req.Integrity = IntegrityNone
	}
	return req, form, err
}

func relaxIndex(r Relaxation) int {
	switch r {
	case RelaxConfidential:
		return 0
	case RelaxEndToEnd:
		return 1
	case RelaxFresh:
		return 2
	}
	return 3 // RelaxIntegrity: NewPolicy refuses others
}

// Check returns a *Refusal if a verified message does not meet the requirement, nil if it does. Whether a message is fresh
// is for the replay state to say; here plain and checksum messages fail it.
func (q Requirement) Check(r *Result) error {
	if refusal := q.check(r); refusal != nil {
		return refusal
	}
	return nil
}

// check compares a verified message with the requirement. Fresh is decided with
// the replay state; here plain and checksum messages fail it.
func (q Requirement) check(r *Result) *Refusal {
	switch {
	case q.Confidential && !r.Confidential:
		return refuse(ReasonUnprotected, "topic requires confidentiality")
	case q.EndToEnd && !r.EndToEnd:
		return refuse(ReasonUnprotected, "topic requires end-to-end protection")
	case r.Integrity < q.Integrity:
		return refuse(ReasonUnprotected, "topic requires integrity %v, message has %v", q.Integrity, r.Integrity)
	case q.Fresh && (r.Form == FormPlain || r.Form == FormChecksum):
		return refuse(ReasonUnprotected, "topic requires freshness")
	}
	return nil
}
