package memstore

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// state is everything the store knows. It has no lock of its own.
type state struct {
	sessions map[store.SessionID]*session
	bodies   map[store.BodyID]*message.Message
	shared   map[store.BodyID]int // pointers without Sole to a body; no entry for other bodies
	retained map[string]*message.Message
	wills    map[store.SessionID]*store.Will
	meta     map[string][]byte
	bytes    int64 // message.Size of bodies and retained

	lastSession store.SessionID
	lastBody    store.BodyID
}

// session is a session that exists. Its maps are made when first needed: most sessions need none of them.
type session struct {
	meta          store.Session
	queue         queue
	inflight      map[mqtt.PacketID]store.Inflight
	inbound       map[mqtt.PacketID]struct{}
	subscriptions map[string]store.Subscription
}

func newState() state {
	return state{
		sessions: map[store.SessionID]*session{},
		bodies:   map[store.BodyID]*message.Message{},
		shared:   map[store.BodyID]int{},
		retained: map[string]*message.Message{},
		wills:    map[store.SessionID]*store.Will{},
		meta:     map[string][]byte{store.MetaEpoch: binary.BigEndian.AppendUint64(nil, 1)},
	}
}

// apply makes the changes of a checked batch.
func (st *state) apply(b *store.Batch) {
	for i := range b.Ops {
		op := &b.Ops[i]
		st.lastSession = max(st.lastSession, op.Session)
		switch op.Kind {
		case store.PutBody:
			st.lastBody = max(st.lastBody, op.Body)
			st.putBody(op.Body, op.Message)
		case store.DeleteBody:
			st.deleteBody(op.Body)
		case store.PutRetained:
			st.deleteRetained(op.Message.Topic())
			st.retained[op.Message.Topic()] = op.Message
			st.bytes += int64(op.Message.Size())
		case store.DeleteRetained:
			st.deleteRetained(op.Key)
		case store.PutWill:
			w := *op.Will
			st.wills[op.Session] = &w
		case store.DeleteWill:
			delete(st.wills, op.Session)
		case store.PutMeta:
			st.meta[op.Key] = append([]byte{}, op.Value...)
		case store.DeleteMeta:
			delete(st.meta, op.Key)
		case store.PutSession:
			ses := st.sessions[op.Session]
			if ses == nil {
				ses = &session{}
				st.sessions[op.Session] = ses
			}
			ses.meta = *op.Meta
		case store.DeleteSession:
			st.deleteSession(op.Session)
		default:
			if ses := st.sessions[op.Session]; ses != nil {
				st.applyTo(ses, op)
			}
		}
	}
}

// applyTo changes a row of a session that exists.
func (st *state) applyTo(ses *session, op *store.Op) {
	switch op.Kind {
	case store.PutQueue:
		if ses.queue.put(store.QueueRow{Ord: op.Ord, Pointer: op.Pointer}) && !op.Pointer.Sole {
			st.shared[op.Pointer.Body]++
		}
	case store.DeleteQueue:
		row, ok := ses.queue.remove(op.Ord)
		if op.Pointer.Sole {
			st.deleteBody(op.Body)
		} else if ok {
			st.release(row.Pointer)
		}
	case store.PutInflight:
		if ses.inflight == nil {
			ses.inflight = map[mqtt.PacketID]store.Inflight{}
		}
		ses.inflight[op.PacketID] = op.Inflight
	case store.DeleteInflight:
		delete(ses.inflight, op.PacketID)
	case store.PutInbound:
		if ses.inbound == nil {
			ses.inbound = map[mqtt.PacketID]struct{}{}
		}
		ses.inbound[op.PacketID] = struct{}{}
	case store.DeleteInbound:
		delete(ses.inbound, op.PacketID)
	case store.PutSubscription:
		if ses.subscriptions == nil {
			ses.subscriptions = map[string]store.Subscription{}
		}
		ses.subscriptions[op.Subscription.Filter] = *op.Subscription
	case store.DeleteSubscription:
		delete(ses.subscriptions, op.Key)
	}
}

func (st *state) putBody(id store.BodyID, m *message.Message) {
	st.deleteBody(id)
	st.bodies[id] = m
	st.bytes += int64(m.Size())
}

func (st *state) deleteBody(id store.BodyID) {
	if m := st.bodies[id]; m != nil {
		st.bytes -= int64(m.Size())
		delete(st.bodies, id)
	}
}

// release drops one shared claim; the last one removes the body. A row that was put as sole has no claim to drop: it
// was moved.
func (st *state) release(p store.Pointer) {
	if p.Sole {
		return
	}
	if n := st.shared[p.Body]; n > 1 {
		st.shared[p.Body] = n - 1
		return
	}
	delete(st.shared, p.Body)
	st.deleteBody(p.Body)
}

func (st *state) deleteRetained(topic string) {
	if m := st.retained[topic]; m != nil {
		st.bytes -= int64(m.Size())
		delete(st.retained, topic)
	}
}

func (st *state) deleteSession(id store.SessionID) {
	delete(st.wills, id)
	ses := st.sessions[id]
	if ses == nil {
		return
	}
	for _, row := range ses.queue.rows {
		if row.Sole {
			st.deleteBody(row.Body)
		} else {
			st.release(row.Pointer)
		}
	}
	delete(st.sessions, id)
}

func (ses *session) inflightRows() []store.InflightRow {
	var rows []store.InflightRow
	for pid, in := range ses.inflight {
		rows = append(rows, store.InflightRow{PacketID: pid, Inflight: in})
	}
	slices.SortFunc(rows, func(a, b store.InflightRow) int {
		return cmp.Or(cmp.Compare(a.Ord, b.Ord), cmp.Compare(a.PacketID, b.PacketID))
	})
	return rows
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
