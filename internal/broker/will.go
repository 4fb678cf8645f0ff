package broker

import (
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// will is the Will Message of a connection, or of a session whose Will Delay Interval runs. It is stored at CONNECT, so
// that a crash of the broker defers it instead of losing it.
type will struct {
	msg     *message.Message
	delay   uint32 // seconds
	due     int64  // Unix nanoseconds, once pending
	pending bool   // the connection is gone and the delay runs
}

// newWill checks and keeps the Will of a CONNECT. The rights are asked for now, and again when it is published.
func (b *Broker) newWill(c *conn, p *mqtt.Connect, now int64) (*will, error) {
	if d := b.mayWill(c.principal, c.clientID, p.Will.Topic, p.Will.Retain); !d.Allowed {
		return nil, b.denied(c, identity.Will, p.Will.Topic, d)
	}
	if err := c.judgeWill(p); err != nil {
		return nil, err
	}
	pub := mqtt.Publish{
		QoS: p.Will.QoS, Retain: p.Will.Retain, Topic: p.Will.Topic, Payload: p.Will.Payload, Properties: p.Will.Properties,
	}
	m := message.New(&pub, c.clientID, c.principal, now)
	expiry := b.settings().MessageExpiryMax
	limited := expiry != neverExpires
	if p.Will.Properties.Has(mqtt.PropMessageExpiry) {
		expiry, limited = min(expiry, p.Will.Properties.MessageExpiry), true
	}
	if limited {
		// The interval begins when the Will is published: until then it is kept as a length.
		m.ExpiresAt = max(int64(expiry)*1e9, 1)
	}
	delay := uint32(0)
	if p.Will.Properties.Has(mqtt.PropWillDelay) {
		delay = min(p.Will.Properties.WillDelay, b.settings().WillDelayMax)
	}
	return &will{msg: m, delay: delay}, nil
}

func (b *Broker) mayWill(p *identity.Principal, clientID, name string, retain bool) identity.Decision {
	if name == "" || name[0] == '$' {
		return identity.Deny(identity.Rule{Name: "topics that begin with $ belong to the server"}, "will on "+name)
	}
	d := b.authz.Authorize(p, clientID, identity.Will, name)
	if d.Allowed && retain {
		d = b.authz.Authorize(p, clientID, identity.Retain, name)
	}
	return d
}

func (w *will) row(s *clientSession) *store.Will {
	return &store.Will{ClientID: s.clientID, Principal: *s.principal, Delay: w.delay, Due: w.due, Message: w.msg}
}

// dropWill forgets the Will. s.mu is held.
func (s *clientSession) dropWill(batch *store.Batch) {
	s.own().will = nil
	batch.Add(store.Op{Kind: store.DeleteWill, Session: s.id()})
}

// publishWillOffline is publishWill for a Will that is due while no client is bound.
func (b *Broker) publishWillOffline(w *work, s *clientSession, wl *will) {
	lock := b.sessions.locks.of(s.clientID)
	lock.Lock()
	defer lock.Unlock()
	b.publishWill(w, s, wl)
}

// publishWill sends wl if it is still the session's: whoever comes first does. Its row goes in the batch that stores the
// message, so it is published exactly once whatever happens. The lock of the Client Identifier is held, so that the row
// of the next connection's Will comes after the removal of this one's; no other is.
func (b *Broker) publishWill(w *work, s *clientSession, wl *will) {
	s.mu.Lock()
	current := s.will == wl
	if current {
		s.own().will = nil
	}
	principal := s.principal
	s.mu.Unlock()
	if !current {
		return
	}
	batch := getBatch()
	batch.Add(store.Op{Kind: store.DeleteWill, Session: s.id()})
	b.publishStoredWill(w, s.clientID, principal, wl.msg, batch)
}

// publishStoredWill routes a Will Message after asking for the rights again: they may have been withdrawn since
// CONNECT. batch removes its row.
func (b *Broker) publishStoredWill(w *work, clientID string, principal *identity.Principal, m *message.Message, batch *store.Batch) {
	if d := b.mayWill(principal, clientID, m.Topic(), m.Retain); !d.Allowed {
		b.withdrawn(principal, clientID, identity.Will, m.Topic(), d)
		b.store.Commit(batch, func(error) { putBatch(batch) })
		return
	}
	p, err := publishOf(m)
	if err == nil {
		if m.ExpiresAt > 0 {
			p.Properties.SetMessageExpiry(uint32(m.ExpiresAt / 1e9))
		}
		err = b.routeWill(w, source{clientID: clientID, principal: principal}, p, batch)
	}
	if err != nil {
		b.log.Warn("will not published", "client", clientID, "topic", m.Topic(), "err", err)
		b.store.Commit(batch, func(error) { putBatch(batch) })
	}
	b.stats.wills.Add(1)
}

// publishOf turns a message back into the packet it came in.
func publishOf(m *message.Message) (*mqtt.Publish, error) {
	p := &mqtt.Publish{QoS: m.QoS, Retain: m.Retain, Topic: m.Topic(), Payload: m.Payload()}
	err := p.Properties.Parse(m.Properties(), mqtt.TypePublish)
	return p, err
}
