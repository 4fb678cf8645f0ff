package client

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"

	"github.com/sealmq/sealmq/mqtt"
)

// DialFunc opens the byte stream that MQTT runs over: TCP, TLS, TLS-PSK, WebSocket. Whatever encryption the server's
// URL promises is the function's work. It must return soon after ctx ends.
type DialFunc func(ctx context.Context, server *url.URL) (net.Conn, error)

// Kind says what a Protector works on.
type Kind uint8

// The kinds of messages a client sends.
const (
	_ Kind = iota
	// KindPublish is an ordinary PUBLISH.
	KindPublish
	// KindWill is the Will Message of a CONNECT.
	KindWill
)

// Protector seals payloads before they leave and opens them when they arrive. Both methods may replace Payload and
// Properties of the message in place, and nothing else; slices must be replaced, not written into. Both may be called
// by several goroutines at once.
type Protector interface {
	// Seal is called once for each message given to Publish, before it is queued or stored, so that a repeated
	// transmission carries the same bytes, and once for the Will of each CONNECT. An error refuses the message: nothing is
	// sent.
	Seal(kind Kind, m *Message) error
	// Open is called for each inbound message before it is handed over. With an error the message is dropped, reported to
	// Hooks.Rejected, and acknowledged like any other: the answer must not tell the sender which check failed.
	Open(m *Message) error
}

// CredentialSealer makes the Password of a CONNECT, in place of a fixed one.
type CredentialSealer interface {
	// SealPassword returns the Password for one connection attempt. prefix is the CONNECT from the first byte of its
	// variable header up to, not including, the two length bytes of the Password; it is valid during the call.
	SealPassword(prefix []byte, connect *mqtt.Connect) ([]byte, error)
}

// AuthExchange is one exchange of an enhanced authentication (MQTT 5 section 4.12). Its methods are called one after the other.
type AuthExchange interface {
	// Method returns the Authentication Method.
	Method() string
	// Start returns the first Authentication Data; nil sends none.
	Start() ([]byte, error)
	// Continue answers an AUTH of the server with reason 0x18.
	Continue(data []byte) ([]byte, error)
	// Finish checks the data of the CONNACK or AUTH that ends the exchange with success, such as a proof that the server
	// knows the secret too; nil data means that there was none. With an error the connection is closed.
	Finish(data []byte) error
}

// AuthInfo is what an authentication may be bound to.
type AuthInfo struct {
	Server   *url.URL
	ClientID string
	Remote   net.Addr
	TLS      *tls.ConnectionState // nil without crypto/tls
}

// Store keeps the client's half of the Session where it outlives the process [MQTT-4.1.0-1]. What is in it was
// acknowledged to nobody yet. The client calls Load once, before the first connection attempt, and the other methods
// afterwards, by several goroutines at once but never two for one Key at a time.
type Store interface {
	// Save writes a record, replacing one with the same Key. After it returned nil the record must survive what the store
	// is meant to survive. Packet is valid during the call. An error refuses the message (outbound) or ends the connection
	// (inbound, and state changes).
	Save(r Record) error
	// Delete removes a record; an absent one is not an error.
	Delete(k Key) error
	// Load yields every record, in any order, until yield returns an error, which it returns. Packet is valid during the
	// call of yield.
	Load(yield func(Record) error) error
}

// Direction is which way a stored message goes, seen from the client.
type Direction uint8

// The directions of stored messages.
const (
	_ Direction = iota
	// Sent: a QoS 1 or 2 PUBLISH of this client that is not completely acknowledged.
	Sent
	// Received: a QoS 2 Packet Identifier that the server has not released yet.
	Received
)

// Key names a record.
type Key struct {
	Direction Direction
	PacketID  mqtt.PacketID
}

// Record is one stored message.
type Record struct {
	Key
	// Sequence orders records of one direction: messages are sent again in this order [MQTT-4.6.0-1].
	Sequence uint64
	// Released: PUBREC has come and PUBREL is due (Sent only); Packet is empty then.
	Released bool
	// Packet is the PUBLISH in the wire form of MQTT 5, without DUP; empty for Received.
	Packet []byte
}
