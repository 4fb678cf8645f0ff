package broker

import (
	"fmt"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// restore brings back what the store kept: sessions with their subscriptions, group queues, retained messages and
// wills. Queued messages stay in the store until their session comes online.
func (b *Broker) restore() error {
	w := b.getWork()
	defer w.release()
	byID := make(map[store.SessionID]*clientSession)
	err := b.reader.Sessions(func(row store.SessionRow) error {
		if row.Session.Group != "" {
			b.restoreGroup(&row, w.now)
			return nil
		}
		byID[row.ID] = b.restoreSession(&row, w.now)
		return nil
	})
	if err != nil {
		return fmt.Errorf("restore sessions: %w", err)
	}
	err = b.reader.Retained(func(m *message.Message) error {
		if !m.Expired(w.now) {
			b.retained.Put(m)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("restore retained messages: %w", err)
	}
	err = b.reader.Wills(func(id store.SessionID, row store.Will) error {
		b.restoreWill(w, byID[id], id, &row)
		return nil
	})
	if err != nil {
		return fmt.Errorf("restore wills: %w", err)
	}
	b.dropEmptyGroups()
	return nil
}

func (b *Broker) restoreSession(row *store.SessionRow, now int64) *clientSession {
	principal := row.Session.Principal
	s := &clientSession{
		b: b, clientID: row.Session.ClientID, id: row.ID, created: row.Session.Created,
		principal: &principal, version: row.Session.Version, expiry: row.Session.Expiry,
		rights: uncheckedRights, // the rules may have changed while the broker was down
	}
	s.state = session.Restore(row, &b.settings().Queue)
	s.durable.Store(true)
	s.account()
	b.owners.add(principal, 1)
	for i := range row.Subscriptions {
		s.subs.put(row.Subscriptions[i])
		b.subscribe(s, &row.Subscriptions[i])
	}
	b.sessions.put(s)
	b.restoreTimers(s, &row.Session, now)
	return s
}

// restoreGroup brings back the queue of a shared group. Its members follow with their sessions.
func (b *Broker) restoreGroup(row *store.SessionRow, now int64) {
	g := &b.groups
	g.mu.Lock()
	defer g.mu.Unlock()
	gr := g.byKey[row.Session.Group]
	if gr == nil {
		gr = &group{key: row.Session.Group, members: make(map[*clientSession]mqtt.QoS)}
		g.byKey[gr.key] = gr
	}
	queue := b.newGroupQueue(gr, row.ID, now)
	queue.state = session.Restore(row, &b.settings().Queue)
	queue.durable.Store(true)
	queue.account()
}

// dropEmptyGroups ends the queues of groups that have no member any more.
func (b *Broker) dropEmptyGroups() {
	g := &b.groups
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, gr := range g.byKey {
		if len(gr.members) > 0 {
			continue
		}
		delete(g.byKey, key)
		if gr.queue != nil {
			batch := getBatch()
			batch.Add(store.Op{Kind: store.DeleteSession, Session: gr.queue.id})
			b.store.Commit(batch, func(error) { putBatch(batch) })
		}
	}
}

// restoreWill schedules a Will: its delay goes on, or begins now for a client that was online when the broker stopped.
// The Will of a session that ended with its connection is published at once.
func (b *Broker) restoreWill(w *work, s *clientSession, id store.SessionID, row *store.Will) {
	principal := row.Principal
	if s == nil {
		batch := getBatch()
		batch.Add(store.Op{Kind: store.DeleteWill, Session: id})
		b.publishStoredWill(w, row.ClientID, &principal, row.Message, batch)
		return
	}
	wl := &will{msg: row.Message, delay: row.Delay, due: row.Due, pending: true}
	if wl.due == 0 {
		wl.due = w.now + int64(min(row.Delay, s.expiry))*1e9
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.will = wl
	s.schedule(timerWill, wl.due)
}
