package broker

import (
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/router"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// receivers returns which targets may receive the message, or nil when all may. Reading rights are checked at every
// delivery, because a filter like # says nothing about the topics it meets; the answer is kept with the router's result,
// which lives until subscriptions to the topic change, under the authorizer's generation.
func (b *Broker) receivers(res *router.Result[*clientSession], name string) []bool {
	if len(res.Targets) == 0 {
		return nil
	}
	generation := b.authz.Generation()
	allowed, ok := res.Verdict(generation)
	if !ok {
		allowed = b.decideReceivers(res, name)
		res.SetVerdict(generation, allowed)
	}
	return allowed
}

func (b *Broker) decideReceivers(res *router.Result[*clientSession], name string) []bool {
	var allowed []bool
	for i := range res.Targets {
		s := res.Targets[i].Subscriber
		owner := s.owner()
		d := b.authz.Authorize(owner, s.clientID, identity.Receive, name)
		if d.Allowed {
			continue
		}
		b.withheld(owner, s.clientID, name, d)
		if allowed == nil {
			allowed = make([]bool, len(res.Targets))
			for j := range allowed {
				allowed[j] = true
			}
		}
		allowed[i] = false
	}
	return allowed
}

// owner is the session's principal.
func (s *clientSession) owner() *identity.Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.principal
}

// uncheckedRights is no generation: nothing in the queue was allowed by the rules in force.
const uncheckedRights = ^uint64(0)

// mayStillReceive asks again about a message that was queued or sent under earlier rules. mu is held.
func (s *clientSession) mayStillReceive(p *session.Send) bool {
	name := p.Entry.Msg.Topic()
	d := s.b.authz.Authorize(s.principal, s.clientID, identity.Receive, name)
	if !d.Allowed {
		s.b.withheld(s.principal, s.clientID, name, d)
	}
	return d.Allowed
}

// mayTake asks whether a member may have a message from its group's queue: it went in for whoever comes.
func (b *Broker) mayTake(s *clientSession, e *session.Entry) bool {
	owner, name := s.owner(), e.Msg.Topic()
	if c := s.online.Load(); e.Msg.Sealed && c != nil && !c.mayHavePlain(name) {
		return false
	}
	d := b.authz.Authorize(owner, s.clientID, identity.Receive, name)
	if !d.Allowed {
		b.withheld(owner, s.clientID, name, d)
	}
	return d.Allowed
}

// authorMayRetain asks whether the author of a Retained Message could leave it now: rights that were withdrawn, or a user
// that is gone, also silence what was left before. The broker's own messages have no author.
func (b *Broker) authorMayRetain(m *message.Message) bool {
	if m.Author == nil || *m.Author == (identity.Principal{}) {
		return true
	}
	d := b.authz.Authorize(m.Author, m.ClientID, identity.Retain, m.Topic())
	if !d.Allowed {
		b.withheld(m.Author, m.ClientID, m.Topic(), d)
	}
	return d.Allowed
}

// mayReceive is the same question for a member of a Shared Subscription.
func (d *delivery) mayReceive(s *clientSession, c *conn) bool {
	return d.b.authz.Authorize(c.principal, s.clientID, identity.Receive, d.p.Topic).Allowed
}

// wouldRefuse asks every session before the message is given to any: with on_full refuse_publish it goes to all or to
// none.
func (d *delivery) wouldRefuse(res *router.Result[*clientSession], allowed []bool) error {
	size := d.message().Size()
	for i := range res.Targets {
		t := &res.Targets[i]
		if min(t.QoS, d.p.QoS) == mqtt.AtMostOnce || allowed != nil && !allowed[i] {
			continue
		}
		s := t.Subscriber
		s.mu.Lock()
		full := s.state.Full(size) || d.b.crowded(s, size)
		s.mu.Unlock()
		if full {
			d.b.stats.queueFull.Add(1)
			return limited(errQuota, "limits.queue.messages", "the queue of a subscriber is full")
		}
	}
	return nil
}

// sessionFull notes that a session took no more messages. mu of the session is held.
func (b *Broker) sessionFull(s *clientSession) {
	b.stats.queueFull.Add(1)
	if !s.fullLogged {
		s.fullLogged = true
		b.log.Warn("queue is full: the session takes no new messages and keeps what it has",
			"client", s.clientID, "messages", s.state.Len(), "bytes", s.state.Bytes())
	}
	if b.settings().OnFull != EndSession || s.group != nil {
		return
	}
	epoch := s.epoch
	b.wg.Go(func() { b.endFull(s, epoch) })
}

// endFull ends a session at its limit, by on_full end_session.
func (b *Broker) endFull(s *clientSession, epoch uint64) {
	s.mu.Lock()
	c := s.conn
	s.expiry = 0
	s.mu.Unlock()
	if c != nil {
		c.disconnect(errQuota)
		return
	}
	w := b.getWork()
	defer w.release()
	b.endIfOffline(w, s, epoch)
}

// topicReason is the code for a name or filter that is not valid.
func topicReason(e *topic.Error) mqtt.ReasonCode {
	switch e.Kind {
	case topic.InvalidName:
		return mqtt.TopicNameInvalid
	case topic.TooManyLevels:
		return mqtt.QuotaExceeded
	default:
		return mqtt.TopicFilterInvalid
	}
}

// storeFailed records that the store refused a batch. What could not be stored was not acknowledged.
func (b *Broker) storeFailed(err error) {
	b.stats.storeErrors.Add(1)
	b.log.Error("store", "err", err)
}

func (b *Broker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closing
}
