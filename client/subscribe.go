package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// subscription is a Topic Filter that the server granted, kept to ask for it again where the server lost the Session.
type subscription struct {
	mqtt.Subscription
	properties mqtt.Properties
	order      uint64 // of the first request
}

// Subscribe asks for messages and waits for SUBACK. The reason codes are those of the filters, in order. If the server
// refused any, the error is the *SubscribeError of the first; the others are in force. Granted filters are asked for
// again after a reconnect for which the server has no Session.
func (c *Client) Subscribe(ctx context.Context, filters ...mqtt.Subscription) ([]mqtt.ReasonCode, error) {
	return c.SubscribeWith(ctx, mqtt.Properties{}, filters...)
}

// SubscribeWith is Subscribe with properties: a Subscription Identifier, User Properties (MQTT 5).
func (c *Client) SubscribeWith(ctx context.Context, props mqtt.Properties, filters ...mqtt.Subscription) ([]mqtt.ReasonCode, error) {
	if len(filters) == 0 {
		return nil, errors.New("subscribe: no topic filter")
	}
	for _, f := range filters {
		if _, _, err := topic.ParseSubscription(f.Filter); err != nil {
			return nil, fmt.Errorf("subscribe: %w", err)
		}
	}
	p := newPending()
	p.request = &mqtt.Subscribe{Properties: props.Clone(), Subscriptions: append([]mqtt.Subscription(nil), filters...)}
	codes, ack, err := c.request(ctx, p)
	if err != nil {
		return codes, fmt.Errorf("subscribe to %q: %w", filters[0].Filter, err)
	}
	for i, code := range codes {
		if code.IsError() {
			return codes, &SubscribeError{Filter: filters[i].Filter, Code: code, ReasonString: ack.ReasonString}
		}
	}
	return codes, nil
}

// Unsubscribe ends subscriptions and waits for UNSUBACK. The reason codes are those of the filters, in order; there
// are none before MQTT 5. NoSubscriptionExisted is not an error.
func (c *Client) Unsubscribe(ctx context.Context, filters ...string) ([]mqtt.ReasonCode, error) {
	return c.UnsubscribeWith(ctx, mqtt.Properties{}, filters...)
}

// UnsubscribeWith is Unsubscribe with User Properties (MQTT 5).
func (c *Client) UnsubscribeWith(ctx context.Context, props mqtt.Properties, filters ...string) ([]mqtt.ReasonCode, error) {
	if len(filters) == 0 {
		return nil, errors.New("unsubscribe: no topic filter")
	}
	for _, f := range filters {
		if _, _, err := topic.ParseSubscription(f); err != nil {
			return nil, fmt.Errorf("unsubscribe: %w", err)
		}
	}
	p := newPending()
	p.request = &mqtt.Unsubscribe{Properties: props.Clone(), Filters: append([]string(nil), filters...)}
	codes, ack, err := c.request(ctx, p)
	if err != nil {
		return codes, fmt.Errorf("unsubscribe from %q: %w", filters[0], err)
	}
	for i, code := range codes {
		if code.IsError() {
			return codes, &SubscribeError{Filter: filters[i], Code: code, ReasonString: ack.ReasonString}
		}
	}
	return codes, nil
}

// request sends a SUBSCRIBE or UNSUBSCRIBE and waits for the answer.
func (c *Client) request(ctx context.Context, p *pending) ([]mqtt.ReasonCode, Ack, error) {
	p.waiting = true
	c.mu.Lock()
	err := c.begin(p)
	c.unlock()
	if err != nil {
		p.release()
		return nil, Ack{}, err
	}
	select {
	case <-p.ready:
		codes, ack, err := p.codes, p.ack, p.err
		p.release()
		return codes, ack, err
	case <-ctx.Done():
		c.abandon(p)
		return nil, Ack{}, context.Cause(ctx)
	}
}

// begin gives a request its Packet Identifier and sends it if there is a connection. mu is held.
func (c *Client) begin(p *pending) error {
	if c.over {
		return c.closedError()
	}
	if err := c.out.allocate(p); err != nil {
		return err
	}
	p.stage = stageQueued
	switch q := p.request.(type) {
	case *mqtt.Subscribe:
		q.PacketID = p.id
	case *mqtt.Unsubscribe:
		q.PacketID = p.id
	}
	if c.link == nil {
		return nil // resume sends it
	}
	if err := c.transmitRequest(c.link, p); err != nil {
		c.out.remove(p)
		return err
	}
	return nil
}

// transmitRequest sends a request on a connection, if the server supports what it asks for. mu is held.
func (c *Client) transmitRequest(l *link, p *pending) error {
	if sub, ok := p.request.(*mqtt.Subscribe); ok {
		if err := l.limits.allow(sub); err != nil {
			return err
		}
	}
	if l.closed() {
		return nil // the next connection sends it
	}
	if err := l.append(p.request); err != nil {
		return err
	}
	p.stage = stageSent
	return nil
}

// allow refuses a SUBSCRIBE that the server said it would not accept.
func (lim *limits) allow(sub *mqtt.Subscribe) error {
	if sub.Properties.Has(mqtt.PropSubscriptionID) && !lim.subIDs {
		return &SubscribeError{Filter: sub.Subscriptions[0].Filter, Code: mqtt.SubscriptionIdentifiersNotSupported}
	}
	for _, s := range sub.Subscriptions {
		share, filter, err := topic.ParseSubscription(s.Filter)
		switch {
		case err != nil:
			return err
		case share != "" && !lim.shared:
			return &SubscribeError{Filter: s.Filter, Code: mqtt.SharedSubscriptionsNotSupported}
		case filter.HasWildcard() && !lim.wildcard:
			return &SubscribeError{Filter: s.Filter, Code: mqtt.WildcardSubscriptionsNotSupported}
		}
	}
	return nil
}

// abandon gives up waiting for a request. One that is on its way keeps its Packet Identifier until the answer comes or
// the connection ends, but is not sent again.
func (c *Client) abandon(p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p.stage {
	case stageQueued:
		p.stage = stageFinished
		c.out.remove(p)
	case stageSent:
		p.abandoned = true
	}
}

func awaitsSuback(p *pending) bool {
	_, ok := p.request.(*mqtt.Subscribe)
	return ok && p.stage == stageSent
}

func awaitsUnsuback(p *pending) bool {
	_, ok := p.request.(*mqtt.Unsubscribe)
	return ok && p.stage == stageSent
}

// onSuback ends a SUBSCRIBE.
func (c *Client) onSuback(ack *mqtt.Suback) error {
	c.mu.Lock()
	p := c.answered(ack.PacketID, awaitsSuback)
	if p == nil {
		c.mu.Unlock()
		return nil
	}
	sub := p.request.(*mqtt.Subscribe)
	if len(ack.ReasonCodes) != len(sub.Subscriptions) {
		c.mu.Unlock()
		return &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT-3.8.4-6"}
	}
	reason := string([]byte(ack.Properties.ReasonString))
	var lost []*SubscribeError
	for i, code := range ack.ReasonCodes {
		s := sub.Subscriptions[i]
		if !code.IsError() {
			c.remember(subscription{Subscription: s, properties: sub.Properties})
			continue
		}
		if p.again {
			lost = append(lost, &SubscribeError{Filter: s.Filter, Code: code, ReasonString: reason})
			delete(c.granted, s.Filter)
		}
	}
	c.answer(p, ack.ReasonCodes, reason)
	if hook := c.cfg.Hooks.SubscriptionLost; hook != nil {
		for _, err := range lost {
			hook(err)
		}
	}
	return nil
}

// onUnsuback ends an UNSUBSCRIBE.
func (c *Client) onUnsuback(l *link, ack *mqtt.Unsuback) error {
	c.mu.Lock()
	p := c.answered(ack.PacketID, awaitsUnsuback)
	if p == nil {
		c.mu.Unlock()
		return nil
	}
	filters := p.request.(*mqtt.Unsubscribe).Filters
	if l.v == mqtt.V5 && len(ack.ReasonCodes) != len(filters) {
		c.mu.Unlock()
		return &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT-3.11.3-1"}
	}
	for i, f := range filters {
		if len(ack.ReasonCodes) == 0 || !ack.ReasonCodes[i].IsError() {
			delete(c.granted, f)
		}
	}
	c.answer(p, ack.ReasonCodes, string([]byte(ack.Properties.ReasonString)))
	return nil
}

// answer ends a request and releases mu.
func (c *Client) answer(p *pending, codes []mqtt.ReasonCode, reason string) {
	p.stage = stageFinished
	p.codes = append([]mqtt.ReasonCode(nil), codes...)
	p.ack.ReasonString = reason
	c.out.remove(p)
	if p.again {
		c.renewals--
	}
	abandoned := p.abandoned
	c.unlock()
	if abandoned {
		return // the waiter has left; its channel must not be used again
	}
	p.complete()
}

// remember keeps a granted subscription, in the order of first requests. mu is held.
func (c *Client) remember(s subscription) {
	if old, ok := c.granted[s.Filter]; ok {
		s.order = old.order
	} else {
		c.grants++
		s.order = c.grants
	}
	c.granted[s.Filter] = s
}
