package doctor

import (
	"fmt"
	"strings"
	"time"
)

// What a lockout should at least be.
const (
	maxFailures = 20
	minLock     = time.Minute
)

// rulesOf adds the rules of one kind.
func rulesOf(m *Model, s *sheet, kind RuleKind) {
	for _, r := range m.Rules {
		if r.Kind == kind {
			s.add(r.Place, r.Text+": "+r.Why, r.Fix)
		}
	}
}

func aclOpen(m *Model, s *sheet) {
	rulesOf(m, s, Open)
	for _, p := range m.NoRules {
		s.add(p, "there are no access rules", m.say(
			`add acl: [{who: authenticated, allow: [publish, subscribe], topic: "devices/%u/#"}], and rules for those who need more`,
			"write: acl_file with one pattern line such as: pattern readwrite devices/%u/#", "",
		))
	}
}

func aclWide(m *Model, s *sheet)     { rulesOf(m, s, Wide) }
func aclClientID(m *Model, s *sheet) { rulesOf(m, s, ByClient) }

func aclSys(m *Model, s *sheet) {
	rulesOf(m, s, SysOpen)
	for _, l := range m.Listeners {
		if l.ReadsSys {
			s.add(l.Place, "a client without login may read $SYS", "allow $SYS to operators only")
		}
	}
}

func aclNever(m *Model, s *sheet) {
	for _, p := range m.Problems {
		if p.Kind == NeverMatches {
			addProblem(s, p)
		}
	}
	rulesOf(m, s, NoMember)
}

func addProblem(s *sheet, p Problem) {
	if p.Delete {
		at := p.Place
		s.repair(p.Place, p.Text, p.Change, &Repair{Delete: &at})
		return
	}
	s.add(p.Place, p.Text, p.Change)
}

func problemsOf(kind ProblemKind) func(*Model, *sheet) {
	return func(m *Model, s *sheet) {
		for _, p := range m.Problems {
			if p.Kind == kind {
				addProblem(s, p)
			}
		}
	}
}

func deprecated(m *Model, s *sheet) {
	for _, d := range m.Deprecated {
		text := d.Name + " is " + d.Why
		if d.NoEffect {
			at := d.Place
			s.repair(d.Place, d.Name+" is "+d.Why, "remove the line", &Repair{Delete: &at})
			continue
		}
		s.add(d.Place, text, "plan the change: sealmq config import shows what each line becomes")
	}
}

func protectionMissing(m *Model, s *sheet) {
	p := m.Protection
	if p == nil {
		return
	}
	if p.None {
		s.add(p.Place, "no topic has a rule for the protection of its payload", "add protection.rules, beginning with commands; see docs/operate/payload-policy.md")
		return
	}
	if len(p.Uncovered) > 0 {
		s.atLeast(Medium)
		s.add(p.Place, "no rule of protection covers "+strings.Join(p.Uncovered, ", "), "add a rule for each, or one that says what is meant to be open")
	}
}

func protectionObserve(m *Model, s *sheet) {
	if m.Protection == nil {
		return
	}
	for _, p := range m.Protection.Observe {
		s.add(p, "a rule looks at messages and refuses none", "set its mode to enforce once the counters show no failures")
	}
}

func replayOff(m *Model, s *sheet) {
	if m.Protection == nil {
		return
	}
	for _, r := range m.Protection.NoReplay {
		s.add(r.Place, "messages on "+r.Topic+" may be recorded and sent again", "add fresh to its require, and a max_age")
	}
}

func keyNoExpiry(m *Model, s *sheet) {
	for _, k := range m.OldKeys {
		s.add(k.Place, "the key "+k.Name+" is in use since "+k.Since.UTC().Format(time.DateOnly), "replace it: sealmq keys rotate, give the next one to those who need it, sealmq keys activate")
	}
}

func limitUnbounded(m *Model, s *sheet) {
	for _, l := range m.Limits {
		s.add(l.Place, fmt.Sprintf("%s is %s: %s", l.Key, l.Value, l.Why), l.Change)
	}
}

func ackBeforeSync(m *Model, s *sheet) {
	if st := m.Storage; st != nil && st.AckBeforeSync {
		s.add(st.AckPlace, "messages are acknowledged before they are on the disk", "remove storage.ack_before_sync")
	}
}

func stateNotKept(m *Model, s *sheet) {
	if st := m.Storage; st != nil && st.Memory {
		s.add(st.MemoryPlace, "sessions, queues and retained messages end with the broker", m.say("set storage.engine: disk", "write: persistence true", ""))
	}
}

func auditBroken(m *Model, s *sheet) {
	if a := m.Audit; a != nil && a.Broken != "" {
		s.add(a.Place, a.Path+": "+a.Broken, "keep the file as it is, find out who changed it, and begin a new one")
	}
}
