package broker

import (
	"fmt"
	"runtime/debug"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// restoreBatch is how many rows of sessions are handed over at once.
const restoreBatch = 256

// restore brings back what the store kept: sessions with their subscriptions, group queues, retained messages and
// wills. Queued messages stay in the store until their session comes online.
func (b *Broker) restore() error {
	defer relaxCollector()()
	w := b.getWork()
	defer w.release()
	var wills []storedWill
	err := b.reader.Wills(func(id store.SessionID, row store.Will) error {
		wills = append(wills, storedWill{id: id, row: row})
		return nil
	})
	if err != nil {
		return fmt.Errorf("restore wills: %w", err)
	}
	if err := b.restoreSessions(w.now, wills); err != nil {
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
	for i := range wills {
		b.restoreWill(w, wills[i].session, wills[i].id, &wills[i].row)
	}
	b.dropEmptyGroups()
	return nil
}

// storedWill is a Will as the store has it, and its session if that is there, too.
type storedWill struct {
	id      store.SessionID
	row     store.Will
	session *clientSession
}

// restoreSessions reads and parses rows in one goroutine, makes sessions of them in the second, and enters their
// subscriptions into the router in the third. wills ascends by session, as the rows do, and learns the sessions.
func (b *Broker) restoreSessions(now int64, wills []storedWill) error {
	type subscribed struct {
		session *clientSession
		rows    []store.Subscription
	}
	batches, subscribing := make(chan []store.SessionRow, 4), make(chan []subscribed, 4)
	read, routed := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(routed)
		for list := range subscribing {
			for i := range list {
				for j := range list[i].rows {
					b.subscribe(list[i].session, &list[i].rows[j])
				}
			}
		}
	}()
	go func() {
		defer close(batches)
		batch := make([]store.SessionRow, 0, restoreBatch)
		err := b.reader.Sessions(func(row store.SessionRow) error {
			if batch = append(batch, row); len(batch) == restoreBatch {
				batches <- batch
				batch = make([]store.SessionRow, 0, restoreBatch)
			}
			return nil
		})
		batches <- batch
		read <- err
	}()
	for batch := range batches {
		made := make([]subscribed, 0, len(batch))
		for i := range batch {
			row := &batch[i]
			if row.Session.Group != "" {
				b.restoreGroup(row, now)
				continue
			}
			s := b.restoreSession(row, now)
			made = append(made, subscribed{s, row.Subscriptions})
			for len(wills) > 0 && wills[0].id <= row.ID {
				if wills[0].id == row.ID {
					wills[0].session = s
				}
				wills = wills[1:]
			}
		}
		subscribing <- made
	}
	close(subscribing)
	<-routed
	return <-read
}

// While state is restored nearly nothing of it becomes garbage, and the collector would look through all of it again and
// again.
const relaxedCollector = 400 // percent of the live heap between collections, meanwhile

// relaxCollector makes the garbage collector's pace slower and returns what restores it. A memory limit of the process
// stays in force.
func relaxCollector() (restore func()) {
	before := debug.SetGCPercent(relaxedCollector)
	if before < 0 || before > relaxedCollector {
		debug.SetGCPercent(before)
		return func() {}
	}
	return func() { debug.SetGCPercent(before) }
}

// restoreSession makes a session of its row, all but its entries in the router.
func (b *Broker) restoreSession(row *store.SessionRow, now int64) *clientSession {
	principal := row.Session.Principal
	s := b.newClientSession(row.Session.ClientID, row.Session.Created, &principal)
	s.version, s.expiry = row.Session.Version, row.Session.Expiry
	s.rights = uncheckedRights // the rules may have changed while the broker was down
	s.state = session.Restore(row, &b.settings().Queue)
	s.durable.Store(true)
	s.account()
	b.owners.add(&principal, 1)
	s.subs.adopt(row.Subscriptions)
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
	queue := b.newGroupQueue(gr, now, session.Restore(row, &b.settings().Queue))
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
			batch.Add(store.Op{Kind: store.DeleteSession, Session: gr.queue.id()})
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
	s.own().will = wl
	s.schedule(timerWill, wl.due)
}
