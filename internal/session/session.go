// Package session is the state machine of one MQTT session: the queue of messages on their way to the client, their
// Packet Identifiers and acknowledgements (QoS 1 and 2), and the Packet Identifiers of QoS 2 messages on their way in.
//
// It is pure: it touches no socket, clock, store or goroutine. Step takes an Event and fills in Effects; the caller
// puts Effects.Send on the wire, commits Effects.Batch and feeds Stored back when the commit is on disk. Inbound and
// outbound are from the server's point of view.
//
// A Session is not safe for concurrent use; its owner holds one lock around every call. It is a value, so that an owner
// with a million of them has it inside, and must not be copied once it is in use.
package session

import (
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// pids is how many Packet Identifiers there are: 1 to 65535.
const pids = 65535

// burst bounds how many packets one Step may ask to send, so that a long queue cannot flood the connection's buffer.
const burst = 128

// Limits bound what one session may hold. They are shared by all sessions and never change while in use.
type Limits struct {
	Messages int   // queued and not yet sent, at most
	Bytes    int64 // of those
	// Memory is how many unsent entries of a durable session are kept in memory; later ones stay in the store until
	// their turn comes.
	Memory int
}

// state is how far an entry has come.
type state uint8

const (
	queued    state = iota
	claimed         // has a Packet Identifier; PUBLISH waits for the store (QoS 2 of a durable session)
	cleared         // stored; PUBLISH waits for room in the connection's buffer
	published       // PUBLISH sent; PUBACK or PUBREC awaited
	orphaned        // in flight before a crash, but its message is gone: attach ends it
	releasing       // PUBREC received; PUBREL waits for the store
	released        // PUBREL sent; PUBCOMP awaited
	done            // acknowledged, expired or refused: leaves when it becomes the oldest
)

// Entry is one message on its way to the client.
type Entry struct {
	Msg             *message.Message
	Body            store.BodyID // 0: not stored
	Ord             store.Ord    // place in the session's queue; set by Step
	SubscriptionIDs []uint32
	QoS             mqtt.QoS
	Retain          bool // RETAIN flag to send
	Sole            bool // no other session refers to Body
	// Ready is set by the caller when the entry may be sent at once; otherwise Ready events release it.
	Ready bool

	state   state
	counted bool // took one of this connection's send quota; when published, it was sent on this connection
	tried   bool // PUBLISH was sent before: the next one has DUP 1 [MQTT-3.3.1-1]
	dup     bool // the last one had it
}

// Session is the state. Create it with New or Restore.
type Session struct {
	id      store.SessionID
	limits  *Limits
	queued  int64 // bytes of unsent entries, in memory and in the store
	lastOrd store.Ord

	// Rows of the store that follow the ring. While there are any, new entries go to the store only.
	diskFrom store.Ord // the first of them is at or after this place
	disk     int32     // how many

	durable bool
	*active // never nil
}

// active is what a session needs while it has a connection or something under way. Most sessions of a large fleet wait
// for their clients with nothing but rows in the store, and have none of it.
type active struct {
	ring   ring
	sent   uint64 // position of the oldest entry without a Packet Identifier
	rerel  uint64 // next entry whose PUBREL may have to be sent again; equal to sent when there is none
	resend uint64 // the same for PUBLISH; new messages wait until both have reached sent
	holes  int    // unsent entries that expired in place

	unready    []store.Ord // rows whose batch is not in the store's hands yet, ascending
	fetching   bool
	fetchUntil store.Ord // the read that was asked for speaks for the places before this one

	attached bool
	paused   bool // the connection's buffer is full
	quota    int  // PUBLISH packets with QoS > 0 that may still be sent [MQTT-3.3.4-9]

	inbound *idSet // nil until there was one: received, not yet released; marked: counted against this connection
}

// asleep stands for the active state of all sessions that have none. It is read only.
var asleep active

// wake gives the session an active state of its own, before anything in it changes.
func (s *Session) wake() {
	if s.active == &asleep {
		s.active = new(active)
	}
}

// doze gives the active state back when nothing is in it.
func (s *Session) doze() {
	if !s.attached && !s.fetching && s.ring.len() == 0 && s.inbound.len() == 0 && len(s.unready) == 0 {
		s.active = &asleep
	}
}

// New returns the state of a session that begins now. durable says whether its rows are written to the store under
// id.
func New(id store.SessionID, durable bool, limits *Limits) Session {
	return Session{id: id, durable: durable, limits: limits, active: &asleep}
}

// Restore returns the state of a durable session as the store knows it. The bodies of messages in flight are missing
// until they are handed in by Fill, which must be done before Attach; until then these messages count as waiting.
// Queued ones are fetched when their turn comes.
func Restore(row *store.SessionRow, limits *Limits) Session {
	s := New(row.ID, true, limits)
	s.lastOrd, s.queued, s.disk = row.QueueLast, row.QueueBytes, int32(row.QueueCount)
	if len(row.Inflight)+len(row.Inbound) == 0 {
		s.diskFrom = row.QueueFirst
		return s
	}
	s.wake()
	for _, f := range row.Inflight {
		if !s.restoreInflight(f) {
			break // not what a session writes; the queue row, if any, is delivered as a new message
		}
	}
	s.diskFrom = max(s.diskFrom, row.QueueFirst)
	s.settle()
	for _, pid := range row.Inbound {
		s.receive(pid, false)
	}
	return s
}

// restoreInflight puts an in-flight row at the place that its Packet Identifier tells. They were given in order of Ord,
// so each is found by counting on from the one before; what lies between was acknowledged.
func (s *Session) restoreInflight(f store.InflightRow) bool {
	if f.PacketID == 0 {
		return false
	}
	index := uint64(f.PacketID) - 1
	if s.ring.len() == 0 {
		s.ring.head, s.ring.tail = index, index
	}
	pos := s.ring.head + (index+pids-s.ring.head%pids)%pids
	if pos < s.ring.tail {
		return false
	}
	for s.ring.tail < pos {
		s.ring.push(Entry{Ready: true, state: done})
	}
	e := Entry{Ord: f.Ord, QoS: f.QoS, Ready: true, state: published, tried: true}
	if f.State == store.Released {
		e.state = released
	}
	s.ring.push(e)
	s.lastOrd = max(s.lastOrd, f.Ord)
	s.diskFrom = f.Ord + 1
	return true
}

// Missing lists the in-flight messages whose bodies were not read yet, by their place in the queue.
func (s *Session) Missing() []store.Ord {
	var ords []store.Ord
	for pos := s.ring.head; pos < s.sent; pos++ {
		if e := s.ring.at(pos); e.state == published && e.Msg == nil {
			ords = append(ords, e.Ord)
		}
	}
	return ords
}

// Fill hands in the body of an in-flight message that Missing named. A nil message says that it has no queue row: the
// store had refused it, or it is gone. The client may know its Packet Identifier all the same, so Attach ends it.
func (s *Session) Fill(ord store.Ord, p store.Pointer, m *message.Message) {
	for pos := s.ring.head; pos < s.sent; pos++ {
		e := s.ring.at(pos)
		if e.Ord != ord || e.state != published || e.Msg != nil {
			continue
		}
		if m == nil {
			e.state = orphaned
			return
		}
		s.disk--
		s.queued -= int64(p.Size)
		e.Msg, e.Body, e.Sole = m, p.Body, p.Sole
		e.Retain, e.SubscriptionIDs = p.Retain, p.SubscriptionIDs
		return
	}
}

// ID returns the number the session's rows have in the store.
func (s *Session) ID() store.SessionID { return s.id }

// Durable reports whether the session's rows are written to the store.
func (s *Session) Durable() bool { return s.durable }

// Len returns how many messages wait to be sent, in memory and in the store.
func (s *Session) Len() int { return int(s.ring.tail-s.sent) - s.holes + int(s.disk) }

// Bytes returns the size of the messages that wait to be sent.
func (s *Session) Bytes() int64 { return s.queued }

// Inflight returns how many messages have a Packet Identifier and are not fully acknowledged.
func (s *Session) Inflight() int {
	n := 0
	for pos := s.ring.head; pos < s.sent; pos++ {
		if s.ring.at(pos).state != done {
			n++
		}
	}
	return n
}

// Inbound returns how many QoS 2 messages were received and not yet released.
func (s *Session) Inbound() int { return s.inbound.len() }

// Full reports whether one more message of size bytes would exceed the limits.
func (s *Session) Full(size int) bool {
	return s.Len() >= s.limits.Messages || s.queued+int64(size) > s.limits.Bytes
}

// Attached reports whether a connection is bound to the session.
func (s *Session) Attached() bool { return s.attached }

// MakeDurable turns a session whose rows were not stored into one whose rows are, and adds the rows it has to the
// batch. It serves a DISCONNECT or CONNECT that raises the Session Expiry Interval from 0; the caller commits
// metadata and subscriptions in the same batch. newBody gives numbers to bodies.
func (s *Session) MakeDurable(b *store.Batch, newBody func() store.BodyID) {
	if s.durable {
		return
	}
	s.durable = true
	for pos := s.ring.head; pos < s.ring.tail; pos++ {
		e := s.ring.at(pos)
		if e.state == done || e.QoS == mqtt.AtMostOnce {
			continue
		}
		if e.state != releasing && e.state != released {
			e.Body, e.Sole = newBody(), true
			b.Add(store.Op{Kind: store.PutBody, Body: e.Body, Message: e.Msg})
			b.Add(store.Op{Kind: store.PutQueue, Session: s.id, Ord: e.Ord, Pointer: e.Row()})
		}
		if pos < s.sent {
			b.Add(s.inflightOp(pos, e))
		}
	}
	s.inbound.each(func(pid mqtt.PacketID) {
		b.Add(store.Op{Kind: store.PutInbound, Session: s.id, PacketID: pid})
	})
	b.Sync = true
}

// Row is the entry as the store keeps it.
func (e *Entry) Row() store.Pointer {
	return store.Pointer{
		Body: e.Body, QoS: e.QoS, Retain: e.Retain, Sole: e.Sole, SubscriptionIDs: e.SubscriptionIDs,
		ExpiresAt: e.Msg.ExpiresAt, Size: uint32(e.Msg.Size()),
	}
}

func (s *Session) inflightOp(pos uint64, e *Entry) store.Op {
	f := store.Inflight{Ord: e.Ord, QoS: e.QoS, State: store.Published}
	if e.state == releasing || e.state == released {
		f.State = store.Released
	}
	return store.Op{Kind: store.PutInflight, Session: s.id, PacketID: packetID(pos), Inflight: f}
}

// packetID is the Packet Identifier of the entry at pos.
func packetID(pos uint64) mqtt.PacketID { return mqtt.PacketID(pos%pids) + 1 }

// position finds the in-flight entry with a Packet Identifier; ok is false when there is none.
func (s *Session) position(pid mqtt.PacketID) (pos uint64, ok bool) {
	if pid == 0 {
		return 0, false
	}
	delta := (uint64(pid) - 1 + pids - s.ring.head%pids) % pids
	pos = s.ring.head + delta
	return pos, pos < s.sent && s.ring.at(pos).state != done
}

// retire drops finished entries from the old end.
func (s *Session) retire() {
	for s.ring.head < s.sent && s.ring.at(s.ring.head).state == done {
		s.ring.pop()
	}
	s.rerel, s.resend = max(s.rerel, s.ring.head), max(s.resend, s.ring.head)
}

// settle says that every entry in the ring has had its turn, and that none waits to be sent again.
func (s *Session) settle() {
	s.sent, s.rerel, s.resend = s.ring.tail, s.ring.tail, s.ring.tail
}
