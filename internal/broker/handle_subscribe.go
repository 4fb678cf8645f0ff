package broker

import (
	"errors"

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
		return refuse(errTooManyFilters, "", "too many filters in one subscribe")
	}
	ack := mqtt.Suback{PacketID: p.PacketID}
	batch := getBatch()
	var replays []replay
	var id uint32
	if len(p.Properties.SubscriptionIDs) == 1 {
		id = p.Properties.SubscriptionIDs[0]
	}
	for i := range p.Subscriptions {
		code, r, err := c.subscribe(&p.Subscriptions[i], id, batch)
		if err != nil {
			return err
		}
		ack.ReasonCodes = append(ack.ReasonCodes, code)
		if r != nil {
			replays = append(replays, *r)
		}
	}
	// A durable session's subscriptions are on disk before the SUBACK says so.
	if err := c.b.commitAndWait(batch); err != nil {
		return err
	}
	c.sendPacket(w, &ack) // [MQTT-3.8.4-1] [MQTT-3.8.4-2]
	c.b.replayRetained(w, c, replays)
	c.b.groups.joined(w, c.session)
	return nil
}

// subscribe takes one filter. An error ends the connection; a refusal of this filter only is a reason code.
func (c *conn) subscribe(sub *mqtt.Subscription, id uint32, batch *store.Batch) (mqtt.ReasonCode, *replay, error) {
	set := c.b.settings()
	share, filter, err := topic.ParseSubscription(sub.Filter)
	if err == nil && topic.Levels(string(filter)) > set.TopicLevels {
		err = errTooDeep
	}
	if err != nil {
		if c.version < mqtt.V5 {
			return 0, nil, err // [MQTT311-4.7.1-2] [MQTT311-4.7.1-3]: MQTT 3 knows no reason per filter
		}
		return filterReason(err), nil, nil
	}
	if share != "" && sub.NoLocal {
		return 0, nil, refuse(errProtocol, "MQTT-3.8.3-4", "no local on a shared subscription")
	}
	if d := c.b.authz.Authorize(c.principal, c.clientID, identity.Subscribe, string(filter)); !d.Allowed {
		return reasonOf(c.b.denied(c, identity.Subscribe, sub.Filter, d)), nil, nil
	}
	row := store.Subscription{
		Filter: cloneString(sub.Filter), QoS: sub.QoS, NoLocal: sub.NoLocal, RetainAsPublished: sub.RetainAsPublished,
		RetainHandling: sub.RetainHandling, SubscriptionID: id,
	}
	s := c.session
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	s.mu.Lock()
	if s.conn != c {
		s.mu.Unlock()
		return 0, nil, errSessionTaken // nothing may be added to a session that ended, or that another connection has now
	}
	_, replaced := s.subs[row.Filter]
	if !replaced && len(s.subs) >= set.SubscriptionsPerSession {
		s.mu.Unlock()
		return mqtt.QuotaExceeded, nil, nil
	}
	if s.subs == nil {
		s.subs = make(map[string]store.Subscription)
	}
	s.subs[row.Filter] = row
	if s.state.Durable() {
		batch.Add(store.Op{Kind: store.PutSubscription, Session: s.id, Subscription: &row})
		batch.Sync = true
	}
	s.mu.Unlock()
	c.b.subscribe(s, &row)
	granted := mqtt.ReasonCode(sub.QoS) // Granted QoS 0, 1 and 2 are the codes 0, 1 and 2
	if share != "" || sub.RetainHandling == 2 || sub.RetainHandling == 1 && replaced {
		return granted, nil, nil // [MQTT-3.3.1-10] [MQTT-3.3.1-11]: shared ones get no retained messages
	}
	return granted, &replay{filter: topic.Filter(cloneString(string(filter))), sub: row}, nil
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
		return refuse(errTooManyFilters, "", "too many filters in one unsubscribe")
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
		return filterReason(err), nil
	}
	s := c.session
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	s.mu.Lock()
	if s.conn != c {
		s.mu.Unlock()
		return 0, errSessionTaken
	}
	_, existed := s.subs[f]
	delete(s.subs, f)
	if existed && s.state.Durable() {
		batch.Add(store.Op{Kind: store.DeleteSubscription, Session: s.id, Key: cloneString(f)})
		batch.Sync = true
	}
	s.mu.Unlock()
	if !existed {
		return mqtt.NoSubscriptionExisted, nil
	}
	c.b.unsubscribe(s, f)
	return mqtt.Success, nil
}
