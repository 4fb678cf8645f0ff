package session

import (
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// attach starts a connection: what was in flight is sent again in its original order [MQTT-4.4.0-1] [MQTT-4.6.0-1].
func (s *Session) attach(quota int, fx *Effects) {
	s.attached, s.paused = true, false
	s.quota = min(quota, pids)
	s.inbound.unmark()
	for pos := s.ring.head; pos < s.sent; pos++ {
		e := s.ring.at(pos)
		e.counted = false
		if e.state != orphaned {
			continue
		}
		if e.QoS == mqtt.ExactlyOnce {
			s.release(pos, e, fx) // the client may hold the identifier, and then only PUBREL frees it
			continue
		}
		fx.Batch.Add(store.Op{Kind: store.DeleteInflight, Session: s.id, PacketID: packetID(pos)})
		*e = Entry{Ord: e.Ord, Ready: true, state: done}
	}
	s.rerel, s.resend = s.ring.head, s.ring.head
	s.retire()
}

// enqueue takes an entry into the queue, or refuses it at the limit. A session that is online accepts up to twice its
// limit, and the sender's acknowledgement waits meanwhile: that is the back-pressure, and it costs nobody else.
func (s *Session) enqueue(e *Entry, fx *Effects) {
	size := e.Msg.Size()
	if s.Full(size) {
		if !s.attached || s.Len() >= 2*s.limits.Messages || s.queued+int64(size) > 2*s.limits.Bytes {
			fx.Outcome = Full
			return
		}
		fx.Outcome = Held
	}
	s.lastOrd++
	fx.Ord = s.lastOrd
	e.Ord = s.lastOrd
	s.queued += int64(size)
	if s.durable && e.QoS > mqtt.AtMostOnce {
		fx.Batch.Add(store.Op{Kind: store.PutQueue, Session: s.id, Ord: e.Ord, Pointer: e.Row()})
		fx.Batch.Sync = true
		if s.disk > 0 || int(s.ring.tail-s.sent) >= s.limits.Memory {
			s.toDisk(e)
			return
		}
	}
	s.ring.push(*e)
}

// pump sends what may be sent: first again what was in flight, then new messages while the client's Receive Maximum
// lasts [MQTT-3.3.4-9].
func (s *Session) pump(now int64, fx *Effects) {
	if !s.attached || s.paused || !s.pumpAgain(fx) {
		return
	}
	for s.sent < s.ring.tail && s.quota > 0 && s.sent-s.ring.head < pids {
		if len(fx.Send) >= burst {
			fx.More = true
			return
		}
		e := s.ring.at(s.sent)
		switch {
		case !e.Ready:
			return
		case e.state == done:
			s.holes--
		case e.Msg.Expired(now):
			s.expire(e, fx)
		default:
			s.queued -= int64(e.Msg.Size())
			s.sendNew(s.sent, e, fx)
		}
		s.passed()
	}
	s.fetchMore(fx)
}

// passed moves the border between waiting and sent over one entry.
func (s *Session) passed() {
	s.sent++
	s.rerel, s.resend = s.sent, s.sent
	s.retire()
}

// pumpAgain sends what was in flight before, and reports whether all of it has gone. PUBREL comes first because the
// client's Receive Maximum must not delay it [MQTT-3.3.4-10].
func (s *Session) pumpAgain(fx *Effects) bool {
	for ; s.rerel < s.sent; s.rerel++ {
		if s.ring.at(s.rerel).state != released {
			continue
		}
		if len(fx.Send) >= burst {
			fx.More = true
			return false
		}
		fx.Send = append(fx.Send, Send{Kind: SendPubrel, PacketID: packetID(s.rerel)})
	}
	for ; s.resend < s.sent; s.resend++ {
		e := s.ring.at(s.resend)
		due := e.state == cleared || e.state == published && !e.counted
		if !due && e.state != claimed {
			continue
		}
		if due && len(fx.Send) >= burst {
			fx.More = true
			return false
		}
		if !e.counted { // a claimed entry, too: Stored sends it without asking again
			if s.quota == 0 {
				return false
			}
			s.quota--
			e.counted = true
		}
		if due {
			s.publishAt(s.resend, e, fx)
		}
	}
	return true
}

// sendNew gives the entry at pos a Packet Identifier. A QoS 2 message of a durable session leaves only when that is on
// disk, or a crash could deliver it twice.
func (s *Session) sendNew(pos uint64, e *Entry, fx *Effects) {
	if e.QoS == mqtt.AtMostOnce {
		fx.own = append(fx.own, Entry{Msg: e.Msg, SubscriptionIDs: e.SubscriptionIDs, Retain: e.Retain})
		fx.Send = append(fx.Send, Send{Kind: SendPublish, Entry: &fx.own[len(fx.own)-1]})
		*e = Entry{Ord: e.Ord, Ready: true, state: done}
		return
	}
	s.quota--
	e.counted = true
	if s.durable {
		fx.Batch.Add(s.inflightOp(pos, e))
		if e.QoS == mqtt.ExactlyOnce {
			e.state = claimed
			fx.Batch.Sync = true
			fx.Stored = append(fx.Stored, Write{PacketID: packetID(pos)})
			return
		}
	}
	s.publishAt(pos, e, fx)
}

// publishAt sends the entry at pos, which is counted against the quota.
func (s *Session) publishAt(pos uint64, e *Entry, fx *Effects) {
	fx.Send = append(fx.Send, Send{Kind: SendPublish, Dup: e.tried, PacketID: packetID(pos), Entry: e})
	e.state, e.dup, e.tried = published, e.tried, true
}
