package pebblestore

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// While the disk syncs one group, the next one collects. A message to a client that is online is often acknowledged
// within that time, so that one group would write its body, its queue row and its in-flight row, and delete all three.
// Such rows are held back until the group is written. What was deleted by then is never written: the publisher is
// acknowledged with the group all the same, when every target has the message or has it on disk.
//
// Only rows that cannot be on disk already are held back: a body and a queue row have numbers of their own, and a QoS 1
// in-flight row follows the deletion of the one that had its Packet Identifier before.

// heldRows are the rows of one message for one session, which are new in this group.
type heldRows struct {
	at       place
	msg      *message.Message // nil when the rows are deleted, or written already
	pointer  store.Pointer
	packetID mqtt.PacketID // of the in-flight row; 0: none
}

// heldOverhead is what one message's rows take in a group beside the message, in bytes, about.
const heldOverhead = 96

func (h *heldRows) size() int64 {
	data, _, _ := h.msg.Data()
	return int64(len(data)) + heldOverhead
}

// holdBack takes the ops at the front of list that belong to rows it holds back, or makes go away, and returns how many.
// An op that names held rows in another way has them written before it.
func (s *Store) holdBack(g *group, list []store.Op) int {
	op := &list[0]
	switch op.Kind {
	case store.PutBody:
		if len(list) > 1 && list[1].Kind == store.PutQueue && list[1].Pointer.Sole && list[1].Pointer.Body == op.Body {
			g.hold(&list[1], op.Message)
			return 2
		}
	case store.PutInflight:
		h := g.heldAt(place{op.Session, op.Inflight.Ord})
		if h != nil && h.packetID == 0 && op.Inflight.QoS == mqtt.AtLeastOnce && op.Inflight.State == store.Published {
			h.packetID = op.PacketID
			return 1
		}
		s.unhold(g, h)
	case store.DeleteInflight:
		if len(list) > 1 && list[1].Kind == store.DeleteQueue && list[1].Session == op.Session && g.drop(&list[1], op.PacketID) {
			return 2
		}
		s.unholdEach(g, func(h *heldRows) bool { return h.at.session == op.Session && h.packetID == op.PacketID })
	case store.DeleteQueue:
		if g.drop(op, 0) {
			return 1
		}
		s.unhold(g, g.heldAt(place{op.Session, op.Ord}))
	case store.PutQueue:
		s.unhold(g, g.heldAt(place{op.Session, op.Ord}))
	case store.DeleteBody:
		s.unholdEach(g, func(h *heldRows) bool { return h.pointer.Body == op.Body })
	}
	return 0
}

func (g *group) hold(queue *store.Op, m *message.Message) {
	if g.heldIndex == nil {
		g.heldIndex = map[place]int32{}
	}
	at := place{queue.Session, queue.Ord}
	g.heldIndex[at] = int32(len(g.held))
	g.held = append(g.held, heldRows{at: at, msg: m, pointer: queue.Pointer})
	g.size += g.held[len(g.held)-1].size()
}

func (g *group) heldAt(at place) *heldRows {
	if i, ok := g.heldIndex[at]; ok {
		return &g.held[i]
	}
	return nil
}

// drop deletes held rows, if they are exactly what op and the Packet Identifier name.
func (g *group) drop(op *store.Op, pid mqtt.PacketID) bool {
	at := place{op.Session, op.Ord}
	h := g.heldAt(at)
	if h == nil || h.packetID != pid || !op.Pointer.Sole || op.Body != h.pointer.Body {
		return false
	}
	g.size -= h.size()
	h.msg = nil
	delete(g.heldIndex, at)
	g.elided++
	return true
}

// unhold writes held rows at once; nil are none.
func (s *Store) unhold(g *group, h *heldRows) {
	if h == nil {
		return
	}
	s.key, s.value = h.write(g.batch, s.key, s.value)
	g.size -= h.size()
	h.msg = nil
	delete(g.heldIndex, h.at)
}

// unholdEach does so for all rows that match. O(held rows): no client makes these ops come in its flow of messages.
func (s *Store) unholdEach(g *group, match func(*heldRows) bool) {
	for i := range g.held {
		if h := &g.held[i]; h.msg != nil && match(h) {
			s.unhold(g, h)
		}
	}
}

// writeHeld writes what is left of the held rows. The group belongs to the committer by now.
func (s *Store) writeHeld(g *group) {
	for i := range g.held {
		if h := &g.held[i]; h.msg != nil {
			s.heldKey, s.heldValue = h.write(g.batch, s.heldKey, s.heldValue)
		}
	}
	s.total.elided.Add(g.elided)
}

// write adds the rows to the batch. key and value are scratch, and are returned for the next time.
func (h *heldRows) write(b *pebble.Batch, key, value []byte) (k, v []byte) {
	key = keyNumber(key[:0], tableBody, uint64(h.pointer.Body))
	value = appendMessageHead(value[:0], h.msg)
	setMessage(b, key, value, h.msg)
	key = keyQueue(key[:0], h.at.session, h.at.ord)
	value = appendPointer(append(value[:0], 0, 0, 0, 0), &h.pointer)
	set(b, key, value)
	if h.packetID != 0 {
		key = keyPacket(key[:0], tableInflight, h.at.session, h.packetID)
		in := store.Inflight{Ord: h.at.ord, QoS: mqtt.AtLeastOnce, State: store.Published}
		value = appendInflight(append(value[:0], 0, 0, 0, 0), &in)
		set(b, key, value)
	}
	return key, value
}
