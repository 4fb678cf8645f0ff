package payload

import (
	"strings"

	"github.com/sealmq/sealmq/protect"
)

// The results of a check, for counters.
const (
	checkMet     = iota // the message is what all rules require
	checkPassed         // it is not, and what it does not meet is not enforced
	checkRefused        // it was refused
	checkResults
)

// requirements is how many different demands there are: three that are made or not, and four levels of integrity.
const requirements = 2 * 2 * 2 * 4

// indexOf numbers a requirement.
func indexOf(q protect.Requirement) int {
	i := int(min(q.Integrity, protect.IntegritySource))
	for _, on := range [...]bool{q.Confidential, q.EndToEnd, q.Fresh} {
		i *= 2
		if on {
			i++
		}
	}
	return i
}

// requirementAt is the inverse of indexOf.
func requirementAt(i int) protect.Requirement {
	return protect.Requirement{Fresh: i&1 != 0, EndToEnd: i&2 != 0, Confidential: i&4 != 0, Integrity: protect.Integrity(i >> 3)}
}

func (p *Policy) checked(c *concern, result int) { p.checks[indexOf(c.wanted.req)][result].Add(1) }

// Check is how often messages of topics with one demand came out one way.
type Check struct {
	Require string // the demand in words, joined by +
	Result  string // "met", "passed" (not met, and not enforced) or "refused"
	Times   int64
}

// Checks counts what was judged since the start. Demands that no message has met with yet are left out, but for none.
func (p *Policy) Checks() []Check {
	var out []Check
	for i := range p.checks {
		require := strings.Join(RequirementWords(requirementAt(i)), "+")
		var counts [checkResults]int64
		total := int64(0)
		for r := range counts {
			counts[r] = p.checks[i][r].Load()
			total += counts[r]
		}
		if total == 0 && i > 0 {
			continue
		}
		for r, name := range [...]string{"met", "passed", "refused"} {
			out = append(out, Check{require, name, counts[r]})
		}
	}
	return out
}
