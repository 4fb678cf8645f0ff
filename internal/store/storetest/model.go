package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// State is all that a store shows, in a form that compares.
type State struct {
	Sessions []store.SessionRow
	Queues   map[store.SessionID][]store.QueueRow
	Bodies   map[store.BodyID]string
	Retained map[string]string
	Wills    map[store.SessionID]string
	Meta     map[string]string
}

// Diff returns what differs between two states, "" when nothing does.
func Diff(want, got State) string {
	if want.key() == got.key() {
		return ""
	}
	return gocmp.Diff(want, got, cmpopts.EquateEmpty())
}

// key is equal for equal states: package fmt prints maps in key order, and nil like empty.
func (st State) key() string { return fmt.Sprintf("%+v", st) }

// describe renders every field of a message.
func describe(m *message.Message) string {
	data, topicLen, propsLen := m.Data()
	return fmt.Sprintf("%x %d %d %d %d %+v %q %d %v %v", data, topicLen, propsLen, m.ExpiresAt, m.ReceivedAt, m.Author,
		m.ClientID, m.QoS, m.Retain, m.Sealed)
}

func describeWill(w store.Will) string {
	return fmt.Sprintf("%q %v %d %d %s", w.ClientID, w.Principal, w.Delay, w.Due, describe(w.Message))
}

// Read reads everything out of a store. Bodies are looked for up to the number last, metadata under the keys given.
func Read(s Store, last store.BodyID, keys []string) (State, error) {
	st := State{
		Queues: map[store.SessionID][]store.QueueRow{}, Bodies: map[store.BodyID]string{},
		Retained: map[string]string{}, Wills: map[store.SessionID]string{}, Meta: map[string]string{},
	}
	err := s.Sessions(func(row store.SessionRow) error {
		st.Sessions = append(st.Sessions, row)
		return nil
	})
	for _, row := range st.Sessions {
		rows, queueErr := s.Queue(row.ID, 1, 1<<20)
		err = errors.Join(err, queueErr)
		if len(rows) > 0 {
			st.Queues[row.ID] = rows
		}
	}
	for id := store.BodyID(1); id <= last; id++ {
		m, bodyErr := s.Body(id)
		if bodyErr == nil {
			st.Bodies[id] = describe(m)
		} else if !errors.Is(bodyErr, store.ErrNotFound) {
			err = errors.Join(err, bodyErr)
		}
	}
	err = errors.Join(err, s.Retained(func(m *message.Message) error {
		st.Retained[m.Topic()] = describe(m)
		return nil
	}))
	err = errors.Join(err, s.Wills(func(id store.SessionID, w store.Will) error {
		st.Wills[id] = describeWill(w)
		return nil
	}))
	for _, key := range keys {
		value, metaErr := s.Meta(key)
		err = errors.Join(err, metaErr)
		if value != nil {
			st.Meta[key] = string(value)
		}
	}
	return st, err
}

// Model is the plainest store there is: it looks through everything where engines keep counts and indexes.
type Model struct {
	sessions map[store.SessionID]*modelSession
	bodies   map[store.BodyID]*message.Message
	retained map[string]*message.Message
	wills    map[store.SessionID]store.Will
	meta     map[string]string
}

type modelSession struct {
	meta          store.Session
	queue         map[store.Ord]store.Pointer
	inflight      map[mqtt.PacketID]store.Inflight
	inbound       map[mqtt.PacketID]bool
	subscriptions map[string]store.Subscription
}

// NewModel returns an empty Model.
func NewModel() *Model {
	return &Model{
		sessions: map[store.SessionID]*modelSession{}, bodies: map[store.BodyID]*message.Message{},
		retained: map[string]*message.Message{}, wills: map[store.SessionID]store.Will{}, meta: map[string]string{},
	}
}

// Apply makes the changes of a batch.
func (m *Model) Apply(b *store.Batch) {
	for i := range b.Ops {
		op := &b.Ops[i]
		switch op.Kind {
		case store.PutBody:
			m.bodies[op.Body] = op.Message
		case store.DeleteBody:
			delete(m.bodies, op.Body)
		case store.PutRetained:
			m.retained[op.Message.Topic()] = op.Message
		case store.DeleteRetained:
			delete(m.retained, op.Key)
		case store.PutWill:
			m.wills[op.Session] = *op.Will
		case store.DeleteWill:
			delete(m.wills, op.Session)
		case store.PutMeta:
			m.meta[op.Key] = string(op.Value)
		case store.DeleteMeta:
			delete(m.meta, op.Key)
		case store.PutSession:
			m.session(op.Session).meta = *op.Meta
		case store.DeleteSession:
			m.deleteSession(op.Session)
		default:
			if s := m.sessions[op.Session]; s != nil {
				m.applyTo(s, op)
			}
		}
	}
}

func (m *Model) session(id store.SessionID) *modelSession {
	s := m.sessions[id]
	if s == nil {
		s = &modelSession{
			queue: map[store.Ord]store.Pointer{}, inflight: map[mqtt.PacketID]store.Inflight{},
			inbound: map[mqtt.PacketID]bool{}, subscriptions: map[string]store.Subscription{},
		}
		m.sessions[id] = s
	}
	return s
}

func (m *Model) applyTo(s *modelSession, op *store.Op) {
	switch op.Kind {
	case store.PutQueue:
		s.queue[op.Ord] = op.Pointer
	case store.DeleteQueue:
		m.deleteQueue(s, op.Ord, op.Pointer.Sole, op.Body)
	case store.PutInflight:
		s.inflight[op.PacketID] = op.Inflight
	case store.DeleteInflight:
		delete(s.inflight, op.PacketID)
	case store.PutInbound:
		s.inbound[op.PacketID] = true
	case store.DeleteInbound:
		delete(s.inbound, op.PacketID)
	case store.PutSubscription:
		s.subscriptions[op.Subscription.Filter] = *op.Subscription
	case store.DeleteSubscription:
		delete(s.subscriptions, op.Key)
	}
}

func (m *Model) deleteQueue(s *modelSession, ord store.Ord, sole bool, body store.BodyID) {
	row, ok := s.queue[ord]
	delete(s.queue, ord)
	if sole {
		delete(m.bodies, body)
	} else if ok && !row.Sole && !m.pointed(row.Body) {
		delete(m.bodies, row.Body)
	}
}

func (m *Model) pointed(body store.BodyID) bool {
	for _, s := range m.sessions {
		for _, p := range s.queue {
			if p.Body == body {
				return true
			}
		}
	}
	return false
}

func (m *Model) deleteSession(id store.SessionID) {
	delete(m.wills, id)
	if s := m.sessions[id]; s != nil {
		for ord, p := range s.queue {
			m.deleteQueue(s, ord, p.Sole, p.Body)
		}
		delete(m.sessions, id)
	}
}

// State returns what a store should show.
func (m *Model) State() State {
	st := State{
		Queues: map[store.SessionID][]store.QueueRow{}, Bodies: map[store.BodyID]string{},
		Retained: map[string]string{}, Wills: map[store.SessionID]string{}, Meta: maps.Clone(m.meta),
	}
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		s := m.sessions[id]
		row := store.SessionRow{ID: id, Session: s.meta, QueueCount: len(s.queue)}
		for _, filter := range slices.Sorted(maps.Keys(s.subscriptions)) {
			row.Subscriptions = append(row.Subscriptions, s.subscriptions[filter])
		}
		for pid, in := range s.inflight {
			row.Inflight = append(row.Inflight, store.InflightRow{PacketID: pid, Inflight: in})
		}
		slices.SortFunc(row.Inflight, func(a, b store.InflightRow) int {
			return cmp.Or(cmp.Compare(a.Ord, b.Ord), cmp.Compare(a.PacketID, b.PacketID))
		})
		row.Inbound = slices.Sorted(maps.Keys(s.inbound))
		for _, ord := range slices.Sorted(maps.Keys(s.queue)) {
			p := s.queue[ord]
			st.Queues[id] = append(st.Queues[id], store.QueueRow{Ord: ord, Pointer: p})
			row.QueueFirst = cmp.Or(row.QueueFirst, ord)
			row.QueueLast = ord
			row.QueueBytes += int64(p.Size)
		}
		st.Sessions = append(st.Sessions, row)
	}
	for id, b := range m.bodies {
		st.Bodies[id] = describe(b)
	}
	for topic, b := range m.retained {
		st.Retained[topic] = describe(b)
	}
	for id, w := range m.wills {
		st.Wills[id] = describeWill(w)
	}
	return st
}
