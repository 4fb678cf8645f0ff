package pebblestore

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
)

// view runs a read of the database while it is kept open. Reads may be nested.
func (s *Store) view(read func() error) error {
	s.viewMu.Lock()
	if s.gone {
		s.viewMu.Unlock()
		return fmt.Errorf("read %q: %w", s.dir, store.ErrClosed)
	}
	s.views.Add(1)
	s.viewMu.Unlock()
	defer s.views.Done()
	return read()
}

// get reads one row's record, nil when it is absent. The record is the caller's.
func (s *Store) get(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, s.engineError("read "+keyName(key), err)
	}
	defer closer.Close()
	record, err := unseal(key, value)
	if err != nil {
		return nil, s.damaged(key, err)
	}
	return append(make([]byte, 0, len(record)), record...), nil
}

func (s *Store) ownMeta(name string) ([]byte, error) { return s.get(keyMeta(nil, metaOwn, name)) }

// Meta returns a metadata value, nil when it is absent.
func (s *Store) Meta(key string) (value []byte, err error) {
	err = s.view(func() error {
		value, err = s.get(keyMeta(nil, metaBroker, key))
		return err
	})
	return value, err
}

// MetaRows yields the metadata whose names begin with prefix, ascending by name, from one moment in time. yield may read
// and commit, and keep the value.
func (s *Store) MetaRows(prefix string, yield func(key string, value []byte) error) error {
	return s.view(func() error {
		lower := keyMeta(nil, metaBroker, prefix)
		r, err := s.rows(s.db, lower, []byte{tableMeta, metaBroker + 1})
		if err != nil {
			return err
		}
		for r.next() && bytes.HasPrefix(r.key, lower) {
			name, value := string(r.key[len(keyMeta(nil, metaBroker, "")):]), bytes.Clone(r.record)
			if err := yield(name, value); err != nil {
				return errors.Join(err, r.close())
			}
		}
		return r.close()
	})
}

// Body returns a stored message, or an error that wraps store.ErrNotFound. With LoseDamagedRecords a damaged one is
// not found either.
func (s *Store) Body(id store.BodyID) (m *message.Message, err error) {
	err = s.view(func() error {
		key := keyNumber(nil, tableBody, uint64(id))
		value, closer, err := s.db.Get(key)
		if errors.Is(err, pebble.ErrNotFound) {
			return fmt.Errorf("body %d: %w", id, store.ErrNotFound)
		}
		if err == nil {
			defer closer.Close()
			var record []byte
			if record, err = unseal(key, value); err == nil {
				m, err = parseMessage(record, &authors{})
			}
			if err != nil {
				err = s.damaged(key, err)
			}
		}
		if err != nil && s.opts.LoseDamagedRecords {
			s.opts.Logger.Error("store: damaged row dropped", "dir", s.dir, "row", keyName(key), "error", err)
			return fmt.Errorf("body %d: %w: %w", id, store.ErrNotFound, err)
		}
		return s.engineError("read "+keyName(key), err)
	})
	return m, err
}

// Queue returns up to limit queue rows of a session that exists, ascending from the place from on.
func (s *Store) Queue(id store.SessionID, from store.Ord, limit int) (page []store.QueueRow, err error) {
	err = s.view(func() error {
		_, closer, err := s.db.Get(keyNumber(nil, tableSession, uint64(id)))
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err != nil {
			return s.engineError("read session", err)
		}
		closer.Close()
		_, upper := ofSession(tableQueue, id)
		r, err := s.rows(s.db, keyQueue(nil, id, from), upper)
		if err != nil {
			return err
		}
		for len(page) < limit && r.next() {
			ord, ok := queueOrd(r.key)
			p, err := parsePointer(r.record)
			if err != nil || !ok {
				r.drop(r.key, cmp.Or(err, errRecord))
				continue
			}
			page = append(page, store.QueueRow{Ord: ord, Pointer: p})
		}
		return r.close()
	})
	return page, err
}

// Retained yields every retained message, ascending by topic, from one moment in time. yield may read and commit.
func (s *Store) Retained(yield func(*message.Message) error) error {
	var shared authors
	return s.each(tableRetained, func(r *rows) error {
		m, err := parseMessage(r.record, &shared)
		if err != nil || m.Topic() != string(r.key[1:]) {
			r.drop(r.key, cmp.Or(err, errRecord))
			return nil
		}
		return yield(m)
	})
}

// Wills yields every stored Will, ascending by session, from one moment in time. yield may read and commit.
func (s *Store) Wills(yield func(store.SessionID, store.Will) error) error {
	var shared authors
	return s.each(tableWill, func(r *rows) error {
		id, ok := number(r.key)
		w, err := parseWill(r.record, &shared)
		if err != nil || !ok {
			r.drop(r.key, cmp.Or(err, errRecord))
			return nil
		}
		return yield(store.SessionID(id), w)
	})
}

// each calls do for each row of a table until it returns an error.
func (s *Store) each(table byte, do func(r *rows) error) error {
	return s.view(func() error {
		r, err := s.table(s.db, table)
		if err != nil {
			return err
		}
		for r.next() {
			if err := do(r); err != nil {
				return errors.Join(err, r.it.Close())
			}
		}
		return r.close()
	})
}

// Sessions yields every session, ascending by number, from one moment in time. Queues are measured from their pointers;
// no body is read. yield may read and commit.
func (s *Store) Sessions(yield func(store.SessionRow) error) error {
	return s.view(func() error {
		snapshot := s.db.NewSnapshot()
		j, err := s.openJoin(snapshot)
		if err == nil {
			err = j.run(yield)
		}
		return errors.Join(err, j.close(), snapshot.Close())
	})
}

// join walks the tables of sessions side by side.
type join struct {
	sessions, queue, inflight, inbound, subscriptions *rows
	all                                               []*rows
	words                                             words
}

func (s *Store) openJoin(from pebble.Reader) (*join, error) {
	j := &join{}
	for _, t := range []struct {
		to    **rows
		table byte
	}{
		{&j.sessions, tableSession},
		{&j.queue, tableQueue},
		{&j.inflight, tableInflight},
		{&j.inbound, tableInbound},
		{&j.subscriptions, tableSubscription},
	} {
		r, err := s.table(from, t.table)
		if err != nil {
			return j, err
		}
		*t.to = r
		j.all = append(j.all, r)
		if r != j.sessions {
			r.next()
		}
	}
	return j, nil
}

// close ends all scans and returns their errors.
func (j *join) close() error {
	var errs []error
	for _, r := range j.all {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

func (j *join) run(yield func(store.SessionRow) error) error {
	for j.sessions.next() {
		r := j.sessions
		n, ok := number(r.key)
		meta, err := parseSession(r.record, &j.words)
		if err != nil || !ok {
			r.drop(r.key, cmp.Or(err, errRecord))
			continue
		}
		row := store.SessionRow{ID: store.SessionID(n), Session: meta}
		j.collect(&row)
		for _, r := range j.all {
			if r.err != nil {
				return nil // close returns it
			}
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

// collect reads what the other tables have of the session, and passes over rows of sessions that do not exist.
func (j *join) collect(row *store.SessionRow) {
	each(j.subscriptions, row.ID, func(r *rows) error {
		sub, err := parseSubscription(string(r.key[9:]), r.record)
		if err == nil {
			row.Subscriptions = append(row.Subscriptions, sub)
		}
		return err
	})
	each(j.inflight, row.ID, func(r *rows) error {
		pid, ok := packetID(r.key)
		in, err := parseInflight(r.record)
		if err != nil || !ok {
			return cmp.Or(err, errRecord)
		}
		row.Inflight = append(row.Inflight, store.InflightRow{PacketID: pid, Inflight: in})
		return nil
	})
	slices.SortStableFunc(row.Inflight, func(a, b store.InflightRow) int { return cmp.Compare(a.Ord, b.Ord) })
	each(j.inbound, row.ID, func(r *rows) error {
		pid, ok := packetID(r.key)
		if !ok {
			return errRecord
		}
		row.Inbound = append(row.Inbound, pid)
		return nil
	})
	each(j.queue, row.ID, func(r *rows) error {
		ord, ok := queueOrd(r.key)
		p, err := parsePointerHead(r.record)
		if err != nil || !ok {
			return cmp.Or(err, errRecord)
		}
		if row.QueueCount == 0 {
			row.QueueFirst = ord
		}
		row.QueueLast = ord
		row.QueueCount++
		row.QueueBytes += int64(p.Size)
		return nil
	})
}

// each passes the rows of one session to do, which returns what is wrong with a row, and stops before the next session.
func each(r *rows, id store.SessionID, do func(*rows) error) {
	for r.key != nil {
		n, ok := number(r.key)
		switch {
		case !ok:
			r.drop(r.key, errRecord)
		case n > uint64(id):
			return
		case n == uint64(id):
			if err := do(r); err != nil {
				r.drop(r.key, err)
			}
		}
		r.next()
	}
}
