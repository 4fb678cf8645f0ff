package broker

import (
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/topic"
)

// RecheckSubscriptions asks the authorizer again about every subscription there is and removes those that are no longer allowed; it
// returns how many. Whoever replaces the rules calls it afterwards. Until it comes to a session, the check of each delivery
// holds back what may not be received. Clients are not told, because MQTT has no packet for it; a client that
// subscribes again gets its refusal.
func (b *Broker) RecheckSubscriptions() int {
	removed := 0
	for _, s := range b.sessions.all() {
		removed += b.recheckSubscriptions(s)
	}
	return removed
}

func (b *Broker) recheckSubscriptions(s *clientSession) int {
	s.subscribing.Lock()
	defer s.subscribing.Unlock()
	s.mu.Lock()
	owner := s.principal
	filters := make([]string, 0, s.subs.len())
	for i := range s.subs.rows {
		filters = append(filters, s.subs.rows[i].Filter)
	}
	s.mu.Unlock()
	removed := 0
	for _, f := range filters {
		_, inner, err := topic.ParseSubscription(f)
		if err != nil {
			continue // rows come from checked packets only
		}
		d := b.authz.Authorize(owner, s.clientID, identity.Subscribe, string(inner))
		if d.Allowed {
			continue
		}
		removed++
		b.withdrawn(owner, s.clientID, identity.Subscribe, f, d)
		b.dropSubscription(s, f)
	}
	return removed
}

// dropSubscription takes one out of the session, the store and the router. s.subscribing is held.
func (b *Broker) dropSubscription(s *clientSession, f string) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.subs.remove(f)
	if s.state.Durable() {
		batch := getBatch()
		batch.Add(store.Op{Kind: store.DeleteSubscription, Session: s.id(), Key: f})
		batch.Sync = true
		b.store.Commit(batch, func(err error) {
			putBatch(batch)
			if err != nil {
				b.storeFailed(err)
			}
		})
	}
	s.mu.Unlock()
	b.unsubscribe(s, f)
}
