package payload

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/protect"
	"github.com/sealmq/sealmq/topic"
)

// Finding is something wrong with a rule.
type Finding struct {
	Index int // of the rule
	Why   string
	Fix   string
}

// Lint finds rules that can never match, that change nothing, and that contradict themselves or others. levels is the
// deepest topic there can be.
func Lint(s *Settings, levels int) []Finding {
	var found []Finding
	add := func(i int, fix, format string, args ...any) {
		found = append(found, Finding{i, fmt.Sprintf(format, args...), fix})
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		switch least := leastLevels(r.Topic); {
		case strings.HasPrefix(r.Topic, "$"):
			add(i, "remove it", "it can never match: clients cannot publish to topics that begin with $")
			continue
		case least > levels:
			add(i, "remove it", "it can never match: topics have at most %d levels (limits.topic_levels)", levels)
			continue
		}
		if why, fix := r.contradiction(s); why != "" {
			add(i, fix, "%s", why)
			continue
		}
		if len(r.Relax) > 0 && s.relaxesNothing(i) {
			add(i, "remove relax, or what was meant to require it is missing", "relax has no effect: no rule that overlaps it requires what it relaxes")
			continue
		}
		if !r.demands() && len(r.Relax) == 0 {
			add(i, "remove it: what no rule matches is delivered as it came", "it changes nothing: it requires nothing")
			continue
		}
		if j, ok := s.coveredBy(i); ok {
			add(i, "remove it", "it changes nothing: %s already requires as much, on line %d", s.Rules[j].Topic, s.Rules[j].Place.Line)
			continue
		}
		for j := range i {
			o := &s.Rules[j]
			if !Overlap(r.Topic, o.Topic) {
				continue
			}
			if r.Checksum != protect.ChecksumNone && o.Checksum != protect.ChecksumNone && r.Checksum != o.Checksum {
				add(i, "use one form for both", "its checksum has another form than that of %s, on line %d", o.Topic, o.Place.Line)
			}
			if r.Redistribute != NoRedistribution && o.Redistribute != NoRedistribution &&
				(r.Redistribute != o.Redistribute || r.Group != o.Group) {
				add(i, "make the filters apart, or redistribute alike", "it redistributes in another way than %s, on line %d", o.Topic, o.Place.Line)
			}
			if (r.Require.EndToEnd && o.Redistribute != NoRedistribution || o.Require.EndToEnd && r.Redistribute != NoRedistribution) &&
				!relaxes(r, protect.RelaxEndToEnd) && !relaxes(o, protect.RelaxEndToEnd) {
				add(i, "make the filters apart", "with %s, on line %d, it asks for end-to-end and for redistribution by the broker: nothing can meet both", o.Topic, o.Place.Line)
			}
		}
	}
	return found
}

func leastLevels(filter string) int {
	n := topic.Levels(filter)
	if strings.HasSuffix(filter, "/#") {
		n-- // a/# matches a
	}
	return n
}

// contradiction says what a rule asks for that cannot be.
func (r *Rule) contradiction(s *Settings) (why, fix string) {
	switch {
	case r.Redistribute != NoRedistribution && r.Require.EndToEnd:
		return "end-to-end means that no broker opens the message, and redistribute means that this one does", "choose one"
	case r.Redistribute == SealedToGroup && r.Group == "":
		return "redistribute: sealed needs the key of the topic's subscribers", "add group: NAME, a key made with sealmq keys new NAME --type encrypt --mode S --sender redistribution"
	case r.Redistribute != SealedToGroup && r.Group != "":
		return "group has no effect without redistribute: sealed", "remove it"
	case r.Redistribute == PlaintextToTLS && s.StorageKey == "":
		return "redistribute: plaintext-to-tls needs protection.storage_key: what is stored must not rest in clear", "make one: sealmq keys new NAME --type encrypt --mode S --sender redistribution --topics '#'"
	case r.Redistribute == SealedToGroup && r.Require.Integrity == protect.IntegritySource && s.Signer == "":
		return "integrity source of redistributed messages needs protection.signer", "make one: sealmq keys new NAME --type sign --signer-is-broker"
	case r.Checksum != protect.ChecksumNone && (r.Require.Confidential || r.Require.Integrity > protect.IntegrityChecksum || r.Redistribute != NoRedistribution):
		return "a message with a checksum alone meets nothing of what the rule requires besides", "remove checksum: sealed and signed messages need none"
	case r.Checksum == protect.ChecksumNone && r.Require.Integrity == protect.IntegrityChecksum && !s.checksumFormFor(r.Topic):
		return "integrity checksum needs the form of the checksums on the topic", "add checksum: prefix, or checksum: raw"
	case r.Require.Fresh && r.Checksum != protect.ChecksumNone:
		return "no message with a checksum alone is fresh: nothing in it can be trusted to be new", "remove fresh or checksum"
	}
	return "", ""
}

// checksumFormFor reports whether a rule that covers the filter names a form.
func (s *Settings) checksumFormFor(filter string) bool {
	for i := range s.Rules {
		if s.Rules[i].Checksum != protect.ChecksumNone && topic.Filter(s.Rules[i].Topic).Covers(topic.Filter(filter)) {
			return true
		}
	}
	return false
}

func relaxes(r *Rule, what protect.Relaxation) bool {
	for _, x := range r.Relax {
		if x == what {
			return true
		}
	}
	return false
}

func (s *Settings) relaxesNothing(i int) bool {
	r := &s.Rules[i]
	for _, x := range r.Relax {
		for j := range s.Rules {
			o := &s.Rules[j]
			q := o.effective()
			has := map[protect.Relaxation]bool{
				protect.RelaxConfidential: q.Confidential, protect.RelaxEndToEnd: q.EndToEnd, protect.RelaxFresh: q.Fresh,
				protect.RelaxIntegrity: q.Integrity != protect.IntegrityNone,
			}[x]
			if j != i && has && Overlap(r.Topic, o.Topic) {
				return false
			}
		}
	}
	return true
}

// coveredBy finds a rule that matches all that rule i matches and asks for at least as much, at least as strictly.
func (s *Settings) coveredBy(i int) (int, bool) {
	r := &s.Rules[i]
	if len(r.Relax) > 0 || r.Checksum != protect.ChecksumNone || r.Redistribute != NoRedistribution || len(r.Clear) > 0 || r.Quarantine || r.AcceptUnknownKeys {
		return 0, false
	}
	for j := range s.Rules {
		o := &s.Rules[j]
		if j == i || o.AcceptUnknownKeys || o.Mode < r.Mode || !topic.Filter(o.Topic).Covers(topic.Filter(r.Topic)) ||
			r.MaxAge != 0 && (o.MaxAge == 0 || o.MaxAge > r.MaxAge) || o.effective().Union(r.effective()) != o.effective() {
			continue
		}
		if j > i && r.Topic == o.Topic && r.Mode == o.Mode && r.MaxAge == o.MaxAge && r.effective() == o.effective() {
			continue // equal: the later one is reported
		}
		return j, true
	}
	return 0, false
}

// Overlap reports whether some topic matches both filters.
func Overlap(a, b string) bool {
	if (strings.HasPrefix(a, "$") || strings.HasPrefix(b, "$")) && a[:1] != b[:1] {
		return false // wildcards at the first level do not match $
	}
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for i := 0; ; i++ {
		switch {
		case i < len(as) && as[i] == "#", i < len(bs) && bs[i] == "#":
			return true
		case i == len(as) && i == len(bs):
			return true
		case i == len(as):
			return i+1 == len(bs) && bs[i] == "#"
		case i == len(bs):
			return i+1 == len(as) && as[i] == "#"
		case as[i] != bs[i] && as[i] != "+" && bs[i] != "+":
			return false
		}
	}
}
