// Package store is the vocabulary of the broker's durable state: the rows, the atomic batch that changes them and the
// views in which they are read back. It holds no engine; memstore and pebblestore implement it, storetest is the
// contract suite that both pass. DESIGN.md explains the rules.
//
// # Rules
//
// A session exists from PutSession to DeleteSession. Its queue, in-flight, inbound and subscription rows are seen only
// while it exists, so PutSession comes first. What is left of a session that does not exist is removed in the
// background or at the next open. A Will is independent of PutSession, so that the Will of a session that ends with its
// connection can be stored.
//
// A body lives while a queue row points to it. The last DeleteQueue of a shared body removes it, and so does the end of
// the sessions that wait for it. A body without any queue row may be removed at any later open.
//
// A queue row is put once. To move a row with Sole to another session, put it there and delete it here with
// Pointer.Sole false in one batch: then the body stays.
package store

import (
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/mqtt"
)

// SessionID numbers a durable session, or the queue of a shared group. It is given once and never reused, so rows of
// a deleted session can never be taken for rows of a later one. 0 is invalid.
type SessionID uint64

// BodyID numbers a stored message body. It is given once and never reused. 0 is invalid.
type BodyID uint64

// Ord is the place of an entry in one session's queue; it only grows. 0 is invalid.
type Ord uint64

// Pointer is one session's claim on a message body.
type Pointer struct {
	Body            BodyID
	QoS             mqtt.QoS // granted: the lower of publish and subscription
	Retain          bool     // RETAIN flag to send
	Sole            bool     // no other pointer refers to Body: deleting this one deletes the body
	SubscriptionIDs []uint32
	ExpiresAt       int64  // copy of the message's, Unix nanoseconds, so that a queue is expired without its bodies
	Size            uint32 // message.Size, so that a queue is measured without its bodies
}

// InflightState is how far the delivery of an outbound QoS 1 or 2 message has come.
type InflightState uint8

// The states of an outbound message that has a Packet Identifier.
const (
	_         InflightState = iota
	Published               // PUBLISH sent, PUBACK or PUBREC awaited
	Released                // PUBREC received: PUBREL sent, PUBCOMP awaited; the body is no longer needed
)

// Inflight is an outbound message that has a Packet Identifier. While Published, the queue row at Ord still exists.
type Inflight struct {
	Ord   Ord
	State InflightState
	QoS   mqtt.QoS
}

// MetaEpoch is the metadata row that counts the lives of the store's content: 8 bytes, big-endian, 1 for a new store and
// raised when a backup is restored, so that whoever compares numbers across a restore notices it.
const MetaEpoch = "broker-epoch"

// Session is the metadata of a durable session.
type Session struct {
	ClientID  string // "" for the queue of a shared group
	Group     string // "$share/NAME/FILTER" for the queue of a shared group
	Principal identity.Principal
	Version   mqtt.Version
	// Expiry is the Session Expiry Interval in seconds, 0xFFFFFFFF for never [MQTT-3.1.2-23].
	Expiry uint32
	// ExpiresAt is when the session ends, in Unix nanoseconds; 0 while connected or when it never ends. After a crash
	// a session that was connected counts its interval from the restart.
	ExpiresAt int64
	Created   int64
}

// Subscription is one row of a session.
type Subscription struct {
	Filter            string // as subscribed, with $share/NAME/ in front when shared
	QoS               mqtt.QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
	SubscriptionID    uint32 // 0: none
}

// Will is a Will Message that waits: for the end of its Network Connection (Due 0) or for its Will Delay Interval.
type Will struct {
	ClientID  string
	Principal identity.Principal
	Delay     uint32 // Will Delay Interval, seconds
	Due       int64  // Unix nanoseconds; 0 while the client is connected
	Message   *message.Message
}

// QueueRow is a queue entry read back.
type QueueRow struct {
	Ord Ord
	Pointer
}

// InflightRow is an in-flight row read back.
type InflightRow struct {
	PacketID mqtt.PacketID
	Inflight
}

// SessionRow is a session read back whole, but without its queue's bodies and pointers.
type SessionRow struct {
	ID            SessionID
	Session       Session
	Subscriptions []Subscription  // ordered by Filter
	Inflight      []InflightRow   // ordered by Ord
	Inbound       []mqtt.PacketID // QoS 2 Packet Identifiers received and not yet released, ascending
	QueueFirst    Ord             // first queued Ord, 0 when the queue is empty
	QueueLast     Ord             // last queued Ord, 0 when the queue is empty
	QueueCount    int
	QueueBytes    int64 // sum of Pointer.Size
}

// Op is one change. Only the fields its kind names are used.
type Op struct {
	Kind         OpKind
	Session      SessionID
	Ord          Ord
	PacketID     mqtt.PacketID
	Body         BodyID
	Pointer      Pointer          // PutQueue
	Inflight     Inflight         // PutInflight
	Meta         *Session         // PutSession
	Subscription *Subscription    // PutSubscription
	Will         *Will            // PutWill
	Message      *message.Message // PutBody, PutRetained
	Key          string           // filter, topic or metadata name
	Value        []byte           // PutMeta
}

// OpKind says what an Op does.
type OpKind uint8

// The changes a Batch can hold. Deletes of absent rows are not errors.
const (
	_                  OpKind = iota
	PutBody                   // Body, Message
	DeleteBody                // Body
	PutQueue                  // Session, Ord, Pointer
	DeleteQueue               // Session, Ord, Body, Pointer.Sole: removes the pointer, and the body when sole or last
	PutInflight               // Session, PacketID, Inflight
	DeleteInflight            // Session, PacketID
	PutInbound                // Session, PacketID
	DeleteInbound             // Session, PacketID
	PutSession                // Session, Meta
	DeleteSession             // Session: metadata, queue, in-flight, inbound, subscriptions and will of it
	PutSubscription           // Session, Subscription
	DeleteSubscription        // Session, Key (the filter as subscribed)
	PutRetained               // Message (its topic is the key)
	DeleteRetained            // Key (the topic)
	PutWill                   // Session, Will
	DeleteWill                // Session
	PutMeta                   // Key, Value: small named values, such as counters and replay marks
	DeleteMeta                // Key
)

// Batch is a set of changes that becomes visible and durable as one. The zero value is an empty batch. A Batch is
// filled by one goroutine; from Commit until done it belongs to the store, which keeps no reference afterwards.
type Batch struct {
	Ops []Op
	// Sync asks that done waits until the batch is on stable storage (class D). Without it the batch is written in
	// order with all others, and only a suffix of such batches can be lost in a crash (class L).
	Sync bool
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Ops)
	b.Ops = b.Ops[:0]
	b.Sync = false
}

// Add appends one change.
func (b *Batch) Add(op Op) { b.Ops = append(b.Ops, op) }
