package broker

import (
	"errors"
	"strconv"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/router"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// handleSubscribe answers each filter on its own [MQTT-3.8.4-5] and sends retained messages after the SUBACK.
func (c *conn) handleSubscribe(w *work, h mqtt.Header, body []byte) error {
	var p mqtt.Subscribe
	if err := p.Parse(c.version, h.Flags, body); err != nil {
		return err
	}
	if len(p.Subscriptions) > c.b.settings().FiltersPerSubscribe {
		return c.tooManyFilters(len(p.Subscriptions))
	}
	asked, err := c.checkFilters(p.Subscriptions)
	if err != nil {
		return err
	}
	if len(p.Properties.SubscriptionIDs) == 1 {
		for i := range asked {
			asked[i].row.SubscriptionID = p.Properties.SubscriptionIDs[0]
		}
	}
	ack := mqtt.Suback{PacketID: p.PacketID}
	batch := getBatch()
	var replays []replay
	for i := range asked {
		code, send := c.subscribe(&asked[i], batch)
		ack.ReasonCodes = append(ack.ReasonCodes, code)
		if send {
			replays = append(replays, replay{filter: asked[i].filter, sub: asked[i].row})
		}
	}
	// A durable session's subscriptions are on disk before the SUBACK says so.
	if err := c.b.commitAndWait(batch); err != nil {
		return err
	}
	c.sendPacket(w, &ack) // [MQTT-3.8.4-1] [MQTT-3.8.4-2]
	if err := c.b.replayRetained(w, c, replays); err != nil {
		return err
	}
	c.b.groups.joined(w, c.session)
	return nil
}

func (c *conn) tooManyFilters(n int) error {
	return overLimit(errTooManyFilters, "limits.filters_per_subscribe", c.b.settings().FiltersPerSubscribe, strconv.Itoa(n))
}

// wanted is one checked filter of a SUBSCRIBE.
type wanted struct {
	row     store.Subscription
	filter  topic.Filter // without $share/NAME/
	shared  bool
	refused error // why this one is not granted
}

// checkFilters judges all filters before any takes effect. An error ends the connection.
func (c *conn) checkFilters(subs []mqtt.Subscription) ([]wanted, error) {
	list := make([]wanted, len(subs))
	for i := range subs {
		sub := &subs[i]
		row := store.Subscription{
			Filter: cloneString(sub.Filter), QoS: sub.QoS, NoLocal: sub.NoLocal, RetainAsPublished: sub.RetainAsPublished,
			RetainHandling: sub.RetainHandling,
		}
		share, filter, err := topic.ParseSubscription(row.Filter)
		if err == nil && topic.Levels(string(filter)) > c.b.settings().TopicLevels {
			err = errTooDeep
		}
		if err != nil && c.version < mqtt.V5 {
			return nil, err // [MQTT311-4.7.1-2] [MQTT311-4.7.1-3]: MQTT 3 knows no reason per filter
		}
		if err == nil && share != "" && sub.NoLocal {
			return nil, refuse(errProtocol, "MQTT-3.8.3-4", "no local on a shared subscription")
		}
		list[i] = wanted{row: row, filter: filter, shared: share != "", refused: err}
	}
	return list, nil
}

// subscribe takes one filter, or refuses it with a code. send says that its Retained Messages are wanted.
func (c *conn) subscribe(sub *wanted, batch *store.Batch) (code mqtt.ReasonCode, send bool) {
	if sub.refused != nil {
		c.refuseErr(sub.refused, identity.Subscribe, sub.row.Filter)
		return filterReason(sub.refused), false
	}
	s := c.session
	s.subscribing.Lock() // before the question, so that RecheckSubscriptions meets either the new rules' answer or the row
	defer s.subscribing.Unlock()
	if d := c.b.authz.Authorize(c.principal, c.clientID, identity.Subscribe, string(sub.filter)); !d.Allowed {
		return reasonOf(c.b.denied(c, identity.Subscribe, sub.row.Filter, d)), false
	}
	s.mu.Lock()
	replaced := s.subs.has(sub.row.Filter)
	switch {
	case s.conn != c: // taken over, or ended
		s.mu.Unlock()
		return mqtt.UnspecifiedError, false
	case !replaced && s.subs.len() >= c.b.settings().SubscriptionsPerSession:
		s.mu.Unlock()
		full := overLimit(errQuota, "limits.subscriptions_per_client", c.b.settings().SubscriptionsPerSession, "as many")
		c.refuseErr(full, identity.Subscribe, sub.row.Filter)
		return reasonOf(full), false
	}
	s.subs.put(sub.row)
	if s.state.Durable() {
		batch.Add(store.Op{Kind: store.PutSubscription, Session: s.id(), Subscription: &sub.row})
		batch.Sync = true
	}
	s.mu.Unlock()
	c.b.subscribe(s, &sub.row)
	// Shared ones get no retained messages [MQTT-3.3.1-10] [MQTT-3.3.1-11].
	send = !sub.shared && (sub.row.RetainHandling == 0 || sub.row.RetainHandling == 1 && !replaced)
	return mqtt.ReasonCode(sub.row.QoS), send // Granted QoS 0, 1 and 2 are the codes 0, 1 and 2
}

// filterReason is the code of one refused filter.
func filterReason(err error) mqtt.ReasonCode {
	if errors.Is(err, errTooDeep) {
		return mqtt.QuotaExceeded
	}
	return reasonOf(err)
}

// subscribe enters a session's subscription into the router.
func (b *Broker) subscribe(s *clientSession, row *store.Subscription) {
	share, filter, err := topic.ParseSubscription(row.Filter)
	if err != nil {
		return // rows come from checked packets only
	}
	if share != "" {
		b.groups.subscribe(b, s, share, filter, row)
		return
	}
	b.router.Subscribe("", filter, s, router.Options{
		QoS: row.QoS, NoLocal: row.NoLocal, RetainAsPublished: row.RetainAsPublished, SubscriptionID: row.SubscriptionID,
	})
}

// unsubscribe takes it out again.
func (b *Broker) unsubscribe(s *clientSession, subscribed string) {
	share, filter, err := topic.ParseSubscription(subscribed)
	if err != nil {
		return
	}
	if share != "" {
		b.groups.unsubscribe(b, s, share, filter)
		return
	}
	b.router.Unsubscribe("", filter, s)
}

// handleUnsubscribe answers each filter on its own [MQTT-3.10.4-4]. Messages under way are still delivered.
func (c *conn) handleUnsubscribe(w *work, h mqtt.Header, body []byte) error {
	var p mqtt.Unsubscribe
	if err := p.Parse(c.version, h.Flags, body); err != nil {
		return err
	}
	if len(p.Filters) > c.b.settings().FiltersPerSubscribe {
		return c.tooManyFilters(len(p.Filters))
	}
	ack := mqtt.Unsuback{PacketID: p.PacketID}
	batch := getBatch()
	for _, f := range p.Filters {
		code, err := c.unsubscribe(f, batch)
		if err != nil {
			return err
		}
		ack.ReasonCodes = append(ack.ReasonCodes, code)
	}
	if err := c.b.commitAndWait(batch); err != nil {
		return err
	}
	c.sendPacket(w, &ack)
	return nil
}

func (c *conn) unsubscribe(f string, batch *store.Batch) (mqtt.ReasonCode, error) {
	if _, _, err := topic.ParseSubscription(f); err != nil {
		if c.version < mqtt.V5 {
			return 0, err
		}
		return mqtt.TopicFilterInvalid, nil // UNSUBACK has no code for too many levels
	}
	s := c.session
	s.subscribing.Lock()
	defer s.subscribing.Unlock()
	s.mu.Lock()
	if s.conn != c {
		s.mu.Unlock()
		return 0, errSessionTaken
	}
	existed := s.subs.remove(f)
	if existed && s.state.Durable() {
		batch.Add(store.Op{Kind: store.DeleteSubscription, Session: s.id(), Key: cloneString(f)})
		batch.Sync = true
	}
	s.mu.Unlock()
	if !existed {
		return mqtt.NoSubscriptionExisted, nil
	}
	c.b.unsubscribe(s, f)
	return mqtt.Success, nil
}
