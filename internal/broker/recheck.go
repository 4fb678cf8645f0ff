package broker

import (
	"fmt"
	"sync"

	"github.com/sealmq/sealmq/internal/identity"
)

// recheck makes sure that no connection slips through while the evidence of all is judged again: one that proves itself
// meanwhile is judged by itself.
type recheck struct {
	mu       sync.Mutex
	count    uint64
	entitled Entitled
}

// Entitled says why a connection would not be let in any more, nil when it would: because of what its transport proved,
// or of who it logged in as. The principal is nil before the login.
type Entitled func(*identity.Evidence, *identity.Principal) error

func (r *recheck) generation() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// since judges a connection if there was a Recheck after generation before.
func (r *recheck) since(before uint64, ev *identity.Evidence, p *identity.Principal) error {
	r.mu.Lock()
	count, entitled := r.count, r.entitled
	r.mu.Unlock()
	if count == before {
		return nil
	}
	return notEntitled(entitled(ev, p))
}

func notEntitled(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errNotAuthorized, err)
}

// Recheck asks entitled about every connection, and ends those for which it returns an error with Not authorized (0x87).
// Connections that prove themselves or log in at the same time are asked about, too. entitled must not block and be safe
// for concurrent use. It returns how many connections were ended.
func (b *Broker) Recheck(entitled Entitled) int {
	b.recheck.mu.Lock()
	b.recheck.count++
	b.recheck.entitled = entitled
	b.recheck.mu.Unlock()
	b.mu.Lock()
	conns := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		conns = append(conns, c)
	}
	b.mu.Unlock()
	ended := 0
	for _, c := range conns {
		if !c.proved.Load() {
			continue
		}
		if err := notEntitled(entitled(&c.evidence, c.who.Load())); err != nil {
			c.disconnect(err)
			ended++
		}
	}
	return ended
}
