package node

import (
	"fmt"
	"sync/atomic"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/identity"
)

// rules is the broker's authorizer, replaced as a whole at a reload.
type rules struct {
	current atomic.Pointer[ruleSet]
	counts  decisionCounts
}

type ruleSet struct {
	policy     *acl.Policy
	generation uint64
}

// prepare compiles the rules of c; commit puts them in force.
func (r *rules) prepare(c *config.Config) (commit func(), err error) {
	policy, err := c.Policy()
	if err != nil {
		return nil, fmt.Errorf("access rules: %w", err)
	}
	return func() {
		next := &ruleSet{policy: policy}
		if old := r.current.Load(); old != nil {
			next.generation = old.generation + 1
		}
		r.current.Store(next)
	}, nil
}

// Authorize implements broker.Authorizer.
func (r *rules) Authorize(p *identity.Principal, clientID string, a identity.Action, name string) identity.Decision {
	d := r.current.Load().policy.Authorize(p, clientID, a, name)
	r.counts.add(a, d.Allowed)
	return d
}

// Generation implements broker.Authorizer.
func (r *rules) Generation() uint64 { return r.current.Load().generation }
