package session

import (
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// acknowledgeable reports whether the client may know the entry's Packet Identifier, on this connection or from one
// before.
func (e *Entry) acknowledgeable() bool { return e.state == published || e.state == cleared && e.tried }

func (s *Session) puback(pid mqtt.PacketID, fx *Effects) {
	pos, ok := s.position(pid)
	if !ok {
		fx.Outcome = Unknown
		return
	}
	e := s.ring.at(pos)
	switch {
	case e.QoS != mqtt.AtLeastOnce:
		fx.Outcome = WrongFlow
	case e.acknowledgeable():
		s.finish(pos, e, fx)
	default:
		fx.Outcome = Unknown
	}
}

// pubrec answers with PUBREL, for an unknown identifier too: the client must be able to end its half [MQTT-4.3.3-4].
func (s *Session) pubrec(pid mqtt.PacketID, code mqtt.ReasonCode, fx *Effects) {
	pos, ok := s.position(pid)
	if !ok {
		fx.Outcome = Unknown
		if !code.IsError() {
			fx.Send = append(fx.Send, Send{Kind: SendPubrel, PacketID: pid, Code: mqtt.PacketIdentifierNotFound})
		}
		return
	}
	e := s.ring.at(pos)
	switch {
	case e.QoS != mqtt.ExactlyOnce:
		fx.Outcome = WrongFlow
	case e.acknowledgeable() && code.IsError():
		s.finish(pos, e, fx)
	case e.acknowledgeable():
		s.release(pos, e, fx)
	case e.state == released:
		fx.Send = append(fx.Send, Send{Kind: SendPubrel, PacketID: pid})
	case e.state == claimed || e.state == cleared:
		fx.Outcome = Unknown // the client cannot know this identifier yet
	}
}

// release lets go of the message at pos and goes on with PUBREL, in a durable session when that is on disk.
func (s *Session) release(pos uint64, e *Entry, fx *Effects) {
	pid := packetID(pos)
	if !s.durable {
		e.state, e.Msg, e.SubscriptionIDs = released, nil, nil
		fx.Send = append(fx.Send, Send{Kind: SendPubrel, PacketID: pid})
		return
	}
	if e.Body != 0 {
		fx.Batch.Add(s.deleteQueueOp(e))
	}
	e.state, e.Msg, e.Body, e.SubscriptionIDs = releasing, nil, 0, nil
	fx.Batch.Add(s.inflightOp(pos, e))
	fx.Batch.Sync = true
	fx.Stored = append(fx.Stored, Write{PacketID: pid, Released: true})
}

func (s *Session) pubcomp(pid mqtt.PacketID, fx *Effects) {
	pos, ok := s.position(pid)
	if !ok {
		fx.Outcome = Unknown
		return
	}
	e := s.ring.at(pos)
	switch {
	case e.QoS != mqtt.ExactlyOnce:
		fx.Outcome = WrongFlow
	case e.state == released:
		s.finish(pos, e, fx)
	default:
		fx.Outcome = Unknown
	}
}

// stored continues what waited for the disk. Without a connection it only changes the state; attach sends it then.
func (s *Session) stored(pid mqtt.PacketID, rel bool, fx *Effects) {
	pos, ok := s.position(pid)
	if !ok {
		return
	}
	e := s.ring.at(pos)
	switch {
	case rel && e.state == releasing:
		e.state = released
		if s.attached && pos < s.rerel {
			fx.Send = append(fx.Send, Send{Kind: SendPubrel, PacketID: pid})
		}
	case !rel && e.state == claimed:
		e.state = cleared
		if s.attached && !s.paused && pos < s.resend {
			s.publishAt(pos, e, fx)
		} else {
			s.resend = min(s.resend, pos) // pumpAgain will reach it
		}
	}
}

// discard ends the delivery of a message whose PUBLISH does not fit into a packet that the client takes. A QoS 2
// message that was sent before, on a connection that took it, must be released, or the client could take a later
// message with this identifier for this one.
func (s *Session) discard(pid mqtt.PacketID, fx *Effects) {
	pos, ok := s.position(pid)
	if !ok {
		return
	}
	e := s.ring.at(pos)
	if e.state != published {
		return
	}
	if e.QoS == mqtt.ExactlyOnce && e.dup {
		s.release(pos, e, fx)
	} else {
		s.finish(pos, e, fx)
	}
	// No acknowledgement will come for it, so nothing else would make the next message go.
	fx.More = s.attached
}

// finish ends an in-flight entry that the client has acknowledged, and gives its quota back.
func (s *Session) finish(pos uint64, e *Entry, fx *Effects) {
	if e.counted {
		s.quota++
	}
	if s.durable {
		fx.Batch.Add(store.Op{Kind: store.DeleteInflight, Session: s.id, PacketID: packetID(pos)})
	}
	s.drop(e, fx)
	s.retire()
}

// expire ends an unsent entry whose Message Expiry Interval has passed [MQTT-3.3.2-5].
func (s *Session) expire(e *Entry, fx *Effects) {
	s.queued -= int64(e.Msg.Size())
	s.drop(e, fx)
	fx.Expired++
}

// drop ends an unsent or in-flight entry; its place stays, empty.
func (s *Session) drop(e *Entry, fx *Effects) {
	if s.durable && e.Body != 0 {
		fx.Batch.Add(s.deleteQueueOp(e))
	}
	*e = Entry{Ord: e.Ord, Ready: true, state: done}
}

func (s *Session) deleteQueueOp(e *Entry) store.Op {
	return store.Op{Kind: store.DeleteQueue, Session: s.id, Ord: e.Ord, Body: e.Body, Pointer: store.Pointer{Sole: e.Sole}}
}
