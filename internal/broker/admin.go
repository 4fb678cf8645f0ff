package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// The refusals of administration.
var (
	ErrNoSession    = errors.New("no such session")
	ErrNotConnected = errors.New("the client is not connected")
	ErrReserved     = errors.New("topics that begin with $ belong to the server")
)

// maxAdminPage bounds one page of a list, and with it the time a lock is held for it.
const maxAdminPage = 10_000

// SessionInfo is one session as it was at some moment.
type SessionInfo struct {
	ClientID  string
	Principal identity.Principal
	Version   mqtt.Version
	Online    bool
	Remote    string    // address of the client; "" while offline
	Listener  string    // name of the listener it came through; "" while offline
	Created   time.Time // when the session began
	Expiry    uint32    // Session Expiry Interval, seconds; 0xFFFFFFFF: never
	ExpiresAt time.Time // when the session ends; zero while online or when it never ends
	Durable   bool      // survives a restart of the broker

	Subscriptions  int
	QueuedMessages int   // not yet sent
	QueuedBytes    int64 // of them
	Inflight       int   // sent and not fully acknowledged
}

// Sessions lists sessions whose Client Identifier begins with prefix, in the order of the identifiers, those behind the
// cursor after; after is empty for the first page. next is the cursor for the following page, empty when there is none.
// A limit outside 1 to 10000 is brought into that range. Sessions that come or go between pages may be missed; none is
// listed twice.
func (b *Broker) Sessions(prefix, after string, limit int) (page []SessionInfo, next string) {
	limit = min(max(limit, 1), maxAdminPage)
	list, more := b.sessions.page(prefix, after, limit)
	page = make([]SessionInfo, 0, len(list))
	for _, s := range list {
		s.mu.Lock()
		if !s.ended {
			page = append(page, s.info())
		}
		s.mu.Unlock()
	}
	if more {
		next = list[len(list)-1].clientID
	}
	return page, next
}

// page returns the first limit sessions, in the order of their identifiers, that begin with prefix and come behind
// after, and whether there are more. It looks at every session once and keeps at most two pages.
func (r *registry) page(prefix, after string, limit int) (list []*clientSession, more bool) {
	order := func(a, b *clientSession) int { return cmp.Compare(a.clientID, b.clientID) }
	r.each(func(s *clientSession) {
		if !strings.HasPrefix(s.clientID, prefix) || s.clientID <= after {
			return
		}
		if list = append(list, s); len(list) > 2*limit {
			slices.SortFunc(list, order)
			list, more = list[:limit], true
		}
	})
	slices.SortFunc(list, order)
	if len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more
}

// info describes the session. mu is held.
func (s *clientSession) info() SessionInfo {
	i := SessionInfo{
		ClientID: s.clientID, Principal: *s.principal, Version: s.version, Created: time.Unix(0, s.created),
		Expiry: s.expiry, Durable: s.state.Durable(), Subscriptions: s.subs.len(),
		QueuedMessages: s.state.Len(), QueuedBytes: s.state.Bytes(), Inflight: s.state.Inflight(),
	}
	if s.expiresAt != 0 {
		i.ExpiresAt = time.Unix(0, s.expiresAt)
	}
	if c := s.conn; c != nil {
		i.Online, i.Remote, i.Listener = true, c.remote(), c.listener
	}
	return i
}

// Session describes one session, or fails with ErrNoSession.
func (b *Broker) Session(clientID string) (SessionInfo, error) {
	s := b.sessions.get(clientID)
	if s == nil {
		return SessionInfo{}, ErrNoSession
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return SessionInfo{}, ErrNoSession
	}
	return s.info(), nil
}

// Kick ends the Network Connection of a client with Administrative action (0x98) and returns its session as it was. The
// session stays as long as its Session Expiry Interval says, and the Will is published as after any other loss of the
// connection [MQTT-3.1.2-8]. The client may come back at once.
func (b *Broker) Kick(clientID string) (SessionInfo, error) {
	s := b.sessions.get(clientID)
	if s == nil {
		return SessionInfo{}, ErrNoSession
	}
	s.mu.Lock()
	c, was, ended := s.conn, s.info(), s.ended
	s.mu.Unlock()
	switch {
	case ended:
		return SessionInfo{}, ErrNoSession
	case c == nil:
		return was, ErrNotConnected
	}
	c.disconnect(errAdministrative)
	return was, nil
}

// Clear ends a session with all its state, as the end of its Session Expiry Interval would, and returns it as it was: its
// client is disconnected with Administrative action (0x98), subscriptions, queue and messages in flight are gone, a Will
// that waits is published. The removal is on disk when Clear returns.
func (b *Broker) Clear(clientID string) (SessionInfo, error) {
	lock := b.sessions.locks.of(clientID)
	lock.Lock()
	defer lock.Unlock()
	s := b.sessions.get(clientID)
	if s == nil {
		return SessionInfo{}, ErrNoSession
	}
	w := b.getWork()
	defer w.release()
	s.mu.Lock()
	c, was := s.conn, s.info()
	if c != nil {
		s.detach(w)
	}
	s.mu.Unlock()
	batch := getBatch()
	b.endSession(w, s, batch)
	err := b.commitAndWait(batch)
	if c != nil {
		// It is parted from its session: its end touches neither the session nor the lock held here.
		c.disconnect(errAdministrative)
	}
	return was, err
}

// RetainedInfo is one Retained Message.
type RetainedInfo struct {
	Topic        string
	QoS          mqtt.QoS
	PayloadBytes int
	Bytes        int // all it counts for against the limit
	ClientID     string
	Author       identity.Principal
	ReceivedAt   time.Time
	ExpiresAt    time.Time // zero: never
	Preview      []byte    // begin of the payload, as long as was asked for
}

// RetainedMessages lists Retained Messages that f matches, those behind the cursor after; after is empty for the first page.
// next is the cursor for the following page, empty when there is none; a page may be empty and still have a next one.
// preview is how many bytes of each payload to show. As for subscriptions, a filter that begins with a wildcard does not
// match $SYS [MQTT-4.7.2-1].
func (b *Broker) RetainedMessages(f topic.Filter, after string, limit, preview int) (page []RetainedInfo, next string) {
	list, next := b.retained.MatchPage(f, after, min(max(limit, 1), maxAdminPage))
	now := b.now()
	for _, m := range list {
		if !m.Expired(now) {
			page = append(page, retainedInfo(m, preview))
		}
	}
	return page, next
}

func retainedInfo(m *message.Message, preview int) RetainedInfo {
	i := RetainedInfo{
		Topic: m.Topic(), QoS: m.QoS, PayloadBytes: len(m.Payload()), Bytes: m.Size(),
		ClientID: m.ClientID, ReceivedAt: time.Unix(0, m.ReceivedAt),
	}
	if m.Author != nil {
		i.Author = *m.Author
	}
	if m.ExpiresAt != 0 {
		i.ExpiresAt = time.Unix(0, m.ExpiresAt)
	}
	if preview > 0 {
		i.Preview = m.Payload()[:min(preview, len(m.Payload()))]
	}
	return i
}

// RemoveRetained removes the Retained Messages that f matches, and returns how many they were and what they counted for.
// What was removed is on disk when it returns; ctx ends it between pages. Subscribers are not told: nothing was
// published. With dryRun it only counts.
func (b *Broker) RemoveRetained(ctx context.Context, f topic.Filter, dryRun bool) (count int, bytes int64, err error) {
	if f != "" && f[0] == '$' {
		return 0, 0, ErrReserved
	}
	for after, more := "", true; more; more = after != "" {
		if err := ctx.Err(); err != nil {
			return count, bytes, err
		}
		var page []*message.Message
		page, after = b.retained.MatchPage(f, after, replayPage)
		for _, m := range page {
			if dryRun || b.removeRetained(m.Topic()) {
				count++
				bytes += int64(m.Size())
			}
		}
		if dryRun || len(page) == 0 {
			continue
		}
		if err := b.syncStore(); err != nil {
			return count, bytes, err
		}
	}
	return count, bytes, nil
}

// removeRetained removes the Retained Message of one topic, whatever it is by now.
func (b *Broker) removeRetained(name string) bool {
	lock := b.retainLocks.of(name)
	lock.Lock()
	defer lock.Unlock()
	if b.retained.Delete(name) == nil {
		return false
	}
	batch := getBatch()
	batch.Add(store.Op{Kind: store.DeleteRetained, Key: cloneString(name)})
	b.store.Commit(batch, func(err error) {
		putBatch(batch)
		if err != nil {
			b.storeFailed(err)
		}
	})
	return true
}

// syncStore returns when everything that was committed before is on disk.
func (b *Broker) syncStore() error {
	batch := getBatch()
	batch.Sync = true
	result := make(chan error, 1)
	b.store.Commit(batch, func(err error) {
		putBatch(batch)
		result <- err
	})
	return <-result
}

// Ready returns nil while the broker takes connections and messages, or why it does not.
func (b *Broker) Ready() error {
	if b.closed() {
		return errShuttingDown
	}
	return b.store.Accepting()
}

// Started is when Start was called.
func (b *Broker) Started() time.Time { return b.started }
