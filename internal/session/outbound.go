package session

import (
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// attach starts a connection: what was in flight is sent again in its original order [MQTT-4.4.0-1] [MQTT-4.6.0-1].
func (s *Session) attach(quota int) {
	s.attached, s.paused = true, false
	s.quota = min(quota, pids)
	s.resend = s.ring.head
	for pos := s.ring.head; pos < s.sent; pos++ {
		s.ring.at(pos).counted = false
	}
	for pid := range s.inbound {
		s.inbound[pid] = false
	}
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
	stored := s.durable && e.QoS > mqtt.AtMostOnce
	if stored {
		fx.Batch.Add(store.Op{Kind: store.PutQueue, Session: s.id, Ord: e.Ord, Pointer: e.Row()})
		fx.Batch.Sync = true
		if s.disk > 0 || int(s.ring.tail-s.sent) >= s.limits.Memory {
			if s.disk == 0 {
				s.diskFrom = e.Ord
			}
			s.disk++
			return
		}
	}
	s.ring.push(*e)
}

// ready marks the entry at ord, searching from the new end, where it is.
func (s *Session) ready(ord store.Ord, sole bool) {
	for pos := s.ring.tail; pos > s.sent; pos-- {
		e := s.ring.at(pos - 1)
		if e.Ord == ord {
			e.Ready, e.Sole = true, sole
			return
		}
		if e.Ord < ord {
			return // it went to the store only
		}
	}
}

// pump sends what may be sent: first again what was in flight, then new messages while the client's Receive Maximum
// lasts [MQTT-3.3.4-9].
func (s *Session) pump(now int64, fx *Effects) {
	if !s.attached || s.paused {
		return
	}
	for s.resend < s.sent && s.quota > 0 {
		if len(fx.Send) >= burst {
			fx.More = true
			return
		}
		s.sendAgain(s.resend, fx)
		s.resend++
	}
	for s.resend == s.sent && s.sent < s.ring.tail && s.quota > 0 && s.sent-s.ring.head < pids {
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
			s.queued -= int64(e.Msg.Size())
			s.drop(e, fx)
			fx.Expired++
		default:
			s.queued -= int64(e.Msg.Size())
			s.sendNew(s.sent, e, fx)
		}
		s.sent++
		s.resend = s.sent
		s.retire()
	}
	s.fetchMore(fx)
}

// sendNew gives the entry at pos a Packet Identifier. A QoS 2 message of a durable session leaves only when that is on
// disk, or a crash could deliver it twice.
func (s *Session) sendNew(pos uint64, e *Entry, fx *Effects) {
	if e.QoS == mqtt.AtMostOnce {
		e.state = done
		fx.Send = append(fx.Send, Send{Kind: SendPublish, Entry: &Entry{Msg: e.Msg, SubscriptionIDs: e.SubscriptionIDs, Retain: e.Retain}})
		return
	}
	s.quota--
	e.counted = true
	pid := packetID(pos)
	e.state = published
	if s.durable {
		fx.Batch.Add(s.inflightOp(pos, e))
		if e.QoS == mqtt.ExactlyOnce {
			e.state = claimed
			fx.Batch.Sync = true
			fx.Stored = append(fx.Stored, Write{PacketID: pid})
			return
		}
	}
	e.tried = true
	fx.Send = append(fx.Send, Send{Kind: SendPublish, PacketID: pid, Entry: e})
}

func (s *Session) sendAgain(pos uint64, fx *Effects) {
	switch e := s.ring.at(pos); e.state {
	case published:
		if e.counted {
			return // its commit finished after the reconnect, so it was sent on this connection
		}
		s.quota--
		e.counted = true
		fx.Send = append(fx.Send, Send{Kind: SendPublish, Dup: e.tried, PacketID: packetID(pos), Entry: e})
		e.tried = true
	case released:
		fx.Send = append(fx.Send, Send{Kind: SendPubrel, PacketID: packetID(pos)})
	}
}

// fetchMore asks for stored rows when half of the memory is free.
func (s *Session) fetchMore(fx *Effects) {
	unsent := int(s.ring.tail - s.sent)
	if s.disk > 0 && !s.fetching && unsent <= s.limits.Memory/2 {
		s.fetching = true
		fx.Fetch, fx.FetchFrom, fx.FetchLimit = true, s.diskFrom, max(s.limits.Memory-unsent, 1)
	}
}

func (s *Session) fetched(rows []Entry, last bool) {
	s.fetching = false
	for i := range rows {
		if rows[i].Ord < s.diskFrom {
			continue
		}
		e := rows[i]
		e.Ready, e.state = true, queued
		s.ring.push(e)
		s.diskFrom = e.Ord + 1
		s.disk--
	}
	if last && len(rows) == 0 && s.disk > 0 && s.diskFrom > s.lastOrd {
		s.disk = 0 // rows were counted that no longer exist
	}
}

// drop ends an unsent or in-flight entry without delivery.
func (s *Session) drop(e *Entry, fx *Effects) {
	if s.durable && e.Body != 0 {
		fx.Batch.Add(store.Op{Kind: store.DeleteQueue, Session: s.id, Ord: e.Ord, Body: e.Body, Pointer: store.Pointer{Sole: e.Sole}})
	}
	*e = Entry{Ord: e.Ord, Ready: true, state: done}
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
	case e.state == published:
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
	case code.IsError() && e.state == published:
		s.finish(pos, e, fx)
	case e.state == published && s.durable:
		fx.Batch.Add(store.Op{Kind: store.DeleteQueue, Session: s.id, Ord: e.Ord, Body: e.Body, Pointer: store.Pointer{Sole: e.Sole}})
		e.state, e.Msg, e.Body, e.SubscriptionIDs = releasing, nil, 0, nil
		fx.Batch.Add(s.inflightOp(pos, e))
		fx.Batch.Sync = true
		fx.Stored = append(fx.Stored, Write{PacketID: pid, Released: true})
	case e.state == published || e.state == released:
		e.state, e.Msg, e.SubscriptionIDs = released, nil, nil
		fx.Send = append(fx.Send, Send{Kind: SendPubrel, PacketID: pid})
	case e.state == claimed:
		fx.Outcome = Unknown // the client cannot know this identifier yet
	}
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
		if s.attached {
			fx.Send = append(fx.Send, Send{Kind: SendPubrel, PacketID: pid})
		}
	case !rel && e.state == claimed:
		e.state = published
		if !s.attached || pos >= s.resend && s.resend < s.sent {
			return // sendAgain will reach it
		}
		if !e.counted {
			s.quota--
			e.counted = true
		}
		e.tried = true
		fx.Send = append(fx.Send, Send{Kind: SendPublish, PacketID: pid, Entry: e})
	}
}

// sweep drops expired messages that wait in memory. Their places stay, empty, until their turn comes.
func (s *Session) sweep(now int64, fx *Effects) {
	for pos := s.sent; pos < s.ring.tail; pos++ {
		e := s.ring.at(pos)
		if e.state == queued && e.Ready && e.Msg.Expired(now) {
			s.queued -= int64(e.Msg.Size())
			s.drop(e, fx)
			s.holes++
			fx.Expired++
		}
	}
}

// Take removes up to n messages that wait and returns them, for a queue whose messages move to another session. Rows
// are deleted in fx.Batch, bodies with them: the caller stores the messages again in the same batch.
func (s *Session) Take(now int64, n int, fx *Effects) []Entry {
	var taken []Entry
	for len(taken) < n && s.sent < s.ring.tail {
		e := s.ring.at(s.sent)
		switch {
		case !e.Ready:
			return taken
		case e.state == done:
			s.holes--
		case e.Msg.Expired(now):
			s.queued -= int64(e.Msg.Size())
			s.drop(e, fx)
			fx.Expired++
		default:
			s.queued -= int64(e.Msg.Size())
			taken = append(taken, *e)
			s.drop(e, fx)
		}
		s.sent++
		s.resend = s.sent
		s.retire()
	}
	return taken
}

// Stored returns where the rows begin that are only in the store, and whether there are any.
func (s *Session) Stored() (from store.Ord, more bool) { return s.diskFrom, s.disk > 0 }
