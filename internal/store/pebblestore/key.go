package pebblestore

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// Every row is a Pebble key whose first byte names its table. Numbers are big-endian, so that keys sort by them.
const (
	tableBody         = 'M' // body u64 → message
	tableQueue        = 'Q' // session u64, ord u64 → pointer
	tableInflight     = 'I' // session u64, packet identifier u16 → in-flight state
	tableInbound      = 'J' // session u64, packet identifier u16 → nothing
	tableSession      = 'S' // session u64 → metadata
	tableSubscription = 'U' // session u64, filter → options
	tableRetained     = 'R' // topic → message
	tableWill         = 'W' // session u64 → will
	tableMeta         = 'Z' // 0, name: the store's own; 1, name: the broker's
)

// The two halves of tableMeta.
const (
	metaOwn    = 0
	metaBroker = 1
)

// tables lists all of them, for scans over everything.
var tables = [...]byte{
	tableInflight, tableInbound, tableBody, tableQueue, tableRetained, tableSession, tableSubscription, tableWill,
	tableMeta,
}

// tableNames are the words used in messages to the operator.
var tableNames = map[byte]string{
	tableBody: "body", tableQueue: "queue", tableInflight: "in-flight", tableInbound: "inbound", tableSession: "session",
	tableSubscription: "subscription", tableRetained: "retained", tableWill: "will", tableMeta: "metadata",
}

// keyNumber builds a key of one number: body, session, will, or the start of a session's rows in another table.
func keyNumber(dst []byte, table byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, table), n)
}

func keyQueue(dst []byte, id store.SessionID, ord store.Ord) []byte {
	return binary.BigEndian.AppendUint64(keyNumber(dst, tableQueue, uint64(id)), uint64(ord))
}

func keyPacket(dst []byte, table byte, id store.SessionID, pid mqtt.PacketID) []byte {
	return binary.BigEndian.AppendUint16(keyNumber(dst, table, uint64(id)), uint16(pid))
}

func keySubscription(dst []byte, id store.SessionID, filter string) []byte {
	return append(keyNumber(dst, tableSubscription, uint64(id)), filter...)
}

func keyRetained(dst []byte, topic string) []byte {
	return append(append(dst, tableRetained), topic...)
}

func keyMeta(dst []byte, half byte, name string) []byte {
	return append(append(dst, tableMeta, half), name...)
}

// ofSession returns the bounds of a session's rows in one table.
func ofSession(table byte, id store.SessionID) (lower, upper []byte) {
	if id == math.MaxUint64 {
		return keyNumber(nil, table, uint64(id)), []byte{table + 1}
	}
	return keyNumber(nil, table, uint64(id)), keyNumber(nil, table, uint64(id)+1)
}

// number reads the number behind the table byte. ok is false when the key is too short to have one.
func number(key []byte) (n uint64, ok bool) {
	if len(key) < 9 {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[1:]), true
}

// queueOrd reads the place out of a queue key.
func queueOrd(key []byte) (store.Ord, bool) {
	if len(key) != 17 {
		return 0, false
	}
	return store.Ord(binary.BigEndian.Uint64(key[9:])), true
}

// packetID reads the Packet Identifier out of an in-flight or inbound key.
func packetID(key []byte) (mqtt.PacketID, bool) {
	if len(key) != 11 {
		return 0, false
	}
	return mqtt.PacketID(binary.BigEndian.Uint16(key[9:])), true
}

// keyName describes a key for messages to the operator. Names of topics and filters are quoted.
func keyName(key []byte) string {
	if len(key) == 0 {
		return "empty key"
	}
	name, known := tableNames[key[0]]
	n, numbered := number(key)
	switch {
	case !known:
		return fmt.Sprintf("unknown row %q", key)
	case key[0] == tableRetained || key[0] == tableMeta:
		return fmt.Sprintf("%s row %q", name, key[1:])
	case !numbered:
		return fmt.Sprintf("%s row %x", name, key[1:])
	case len(key) == 9:
		return fmt.Sprintf("%s row %d", name, n)
	case key[0] == tableSubscription:
		return fmt.Sprintf("%s row %q of session %d", name, key[9:], n)
	}
	rest := uint64(0)
	for _, b := range key[9:min(len(key), 17)] {
		rest = rest<<8 | uint64(b)
	}
	return fmt.Sprintf("%s row %d of session %d", name, rest, n)
}
