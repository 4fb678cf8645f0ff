package session

import (
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// EventKind names what happened to a session.
type EventKind uint8

// The events of a session and the fields they use.
const (
	_ EventKind = iota
	// Attach binds a connection. Quota is the client's Receive Maximum [MQTT-3.3.4-9].
	Attach
	// Detach unbinds it; the rest of the state stays [MQTT-4.1.0-1].
	Detach
	// Enqueue offers Entry for delivery. Outcome: Accepted, Held or Full.
	Enqueue
	// Ready releases the entry with place Ord for sending, once its commit is in the store's hands. Sole says that no
	// other session refers to its body.
	Ready
	// Puback, Pubrec and Pubcomp are the client's acknowledgements, with PacketID and Code. Outcome: Accepted, Unknown
	// or WrongFlow.
	Puback
	Pubrec
	Pubcomp
	// Stored says that what Effects.Stored asked for is on disk: PacketID, and Released for a PUBREL.
	Stored
	// Publish is an inbound QoS 2 PUBLISH with PacketID. Outcome: Accepted or Duplicate.
	Publish
	// Release is an inbound PUBREL. Outcome: Accepted or Unknown.
	Release
	// Refuse undoes Publish for a message that was then refused: PUBREC carries an error and frees PacketID.
	Refuse
	// Fetched hands in rows that Effects.Fetch asked for, in Rows; Last says that the store had no more. Without rows
	// and Last it says that the read failed; the next event that could send asks again.
	Fetched
	// Pause and Resume tell whether the connection's buffer takes more.
	Pause
	Resume
	// Discard ends the delivery of PacketID, which was in Send, without the client: the packet exceeds its Maximum Packet
	// Size [MQTT-3.1.2-25]. More may follow, and a PUBREL at the end of Send.
	Discard
	// Sweep drops expired messages that wait in memory.
	Sweep
)

// Event is one thing that happened.
type Event struct {
	Kind     EventKind
	PacketID mqtt.PacketID
	Code     mqtt.ReasonCode
	Released bool
	Sole     bool
	Last     bool
	Quota    int
	Ord      store.Ord
	Entry    *Entry  // copied
	Rows     []Entry // copied; Ord, Body and Msg set
}

// Outcome answers an event.
type Outcome uint8

// The outcomes; which events have which is said at the events.
const (
	Accepted  Outcome = iota
	Held              // accepted above the limit because the client is online: acknowledge the sender later
	Full              // not accepted
	Duplicate         // Packet Identifier in use: the same message again
	Unknown           // no such Packet Identifier
	WrongFlow         // the acknowledgement of the other QoS
)

// SendKind names a packet to send.
type SendKind uint8

// The packets a session sends by itself.
const (
	SendPublish SendKind = iota
	SendPubrel
)

// Send is one packet to put into the connection's buffer, before the next Step. Entry is the session's own and valid
// until then.
type Send struct {
	Kind     SendKind
	Dup      bool
	PacketID mqtt.PacketID
	Code     mqtt.ReasonCode
	Entry    *Entry
}

// Write is a packet that waits for the batch: feed it back as a Stored event from the commit's done.
type Write struct {
	PacketID mqtt.PacketID
	Released bool
}

// Effects is what an event leads to. The caller resets it before a Step and carries it out afterwards: Send at once,
// then commit Batch.
type Effects struct {
	Outcome Outcome
	Send    []Send
	Batch   *store.Batch // changes are added here; never nil when the session is durable
	Stored  []Write      // packets that wait for Batch, which then has Sync set
	Ord     store.Ord    // place given by Enqueue
	// More asks for another Resume event once Send is in the buffer: there may be more to send.
	More bool
	// Fetch asks to read up to FetchLimit queue rows from FetchFrom on, and to answer with Fetched. The read must see
	// every batch that was handed to the store before, so it begins after the done of a batch committed now.
	Fetch      bool
	FetchFrom  store.Ord
	FetchLimit int
	// Opened and Closed count inbound QoS 2 messages against the Receive Maximum of the connection.
	Opened, Closed bool
	Expired        int // messages dropped because their Message Expiry Interval had passed

	own []Entry // of QoS 0 messages in Send, which leave the session at once
}

// Reset empties fx and keeps its memory and its Batch.
func (fx *Effects) Reset() {
	clear(fx.Send)
	clear(fx.own)
	*fx = Effects{Send: fx.Send[:0], Stored: fx.Stored[:0], own: fx.own[:0], Batch: fx.Batch}
}

// Step applies one event at the time now (Unix nanoseconds). It never blocks and never fails; what the client did wrong
// is the Outcome.
func (s *Session) Step(ev Event, now int64, fx *Effects) {
	s.wake()
	switch ev.Kind {
	case Attach:
		s.attach(ev.Quota, fx)
		s.pump(now, fx)
	case Detach:
		s.attached, s.paused = false, false
		if s.inbound.len() == 0 {
			s.inbound = nil
		}
		s.doze()
	case Enqueue:
		s.enqueue(ev.Entry, fx)
		if ev.Entry.Ready {
			s.pump(now, fx)
		}
	case Ready:
		s.ready(ev.Ord, ev.Sole)
		s.pump(now, fx)
	case Puback:
		s.puback(ev.PacketID, fx)
		s.pump(now, fx)
	case Pubrec:
		s.pubrec(ev.PacketID, ev.Code, fx)
		s.pump(now, fx)
	case Pubcomp:
		s.pubcomp(ev.PacketID, fx)
		s.pump(now, fx)
	case Stored:
		s.stored(ev.PacketID, ev.Released, fx)
	case Publish:
		s.publish(ev.PacketID, fx)
	case Release, Refuse:
		s.forgetInbound(ev.PacketID, fx)
	case Fetched:
		s.fetched(ev.Rows, ev.Last)
		if len(ev.Rows) > 0 || ev.Last {
			s.pump(now, fx)
		}
	case Pause:
		s.paused = true
	case Resume:
		s.paused = false
		s.pump(now, fx)
	case Discard:
		s.discard(ev.PacketID, fx)
	case Sweep:
		s.sweep(now, fx)
	}
}
