package client

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/sealmq/sealmq/mqtt"
)

// Errors a caller may want to tell apart.
var (
	// ErrClosed: the client was closed by its owner, or has stopped for good; Client.Err has the reason.
	ErrClosed = errors.New("client is closed")
	// ErrConnectionLost: the Network Connection ended before a QoS 0 message was written. It may have been sent.
	ErrConnectionLost = errors.New("connection lost before the message was written")
	// ErrSessionLost: the server no longer has the Session in which a QoS 2 message was sent, so that nobody can say
	// whether it was published. The caller decides whether a possible second copy does less harm than a lost one.
	ErrSessionLost = errors.New("server lost the session: delivery of a qos 2 message is unknown")
	// ErrExpired: the Message Expiry Interval passed while the message waited in the client.
	ErrExpired = errors.New("message expired before it was sent")
	// ErrQueueFull: the outbound queue had no room before the context ended, or the message is larger than the queue.
	ErrQueueFull = errors.New("outbound queue is full")
	// ErrPlaintextPassword: a password would have crossed a network unencrypted. Nothing was sent.
	ErrPlaintextPassword = errors.New("refusing to send the password without encryption off this machine")
	// ErrKeepAlive: the server did not answer a PINGREQ in time.
	ErrKeepAlive = errors.New("no answer to pingreq within the keep alive time")
)

// ConnectError says that no connection was made: the server could not be reached, the TLS handshake did not succeed,
// or the peer did not speak MQTT. It unwraps to the cause, so that errors.As finds a *net.OpError or an x509 error.
type ConnectError struct {
	Server string // as configured
	Step   string // "dial", "tls handshake", "mqtt handshake"
	Err    error
}

func (e *ConnectError) Error() string {
	return "connect to " + e.Server + ": " + e.Step + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// ConnackError is a CONNACK (or a DISCONNECT in its place) that refuses the connection.
type ConnackError struct {
	Code            mqtt.ReasonCode // return codes of MQTT 3.1 and 3.1.1 are shown as their MQTT 5 counterparts
	ReasonString    string          // text of the server, untrusted
	ServerReference string          // another server to use, with codes 0x9C and 0x9D; untrusted
}

func (e *ConnackError) Error() string {
	return reasonText("server refused the connection", e.Code, e.ReasonString)
}

// DisconnectError is a DISCONNECT of the server, which ended the connection.
type DisconnectError struct {
	Code            mqtt.ReasonCode
	ReasonString    string // text of the server, untrusted
	ServerReference string // untrusted
}

func (e *DisconnectError) Error() string {
	return reasonText("server closed the connection", e.Code, e.ReasonString)
}

// PublishError says why a message was not published.
type PublishError struct {
	Topic        string
	Code         mqtt.ReasonCode
	ReasonString string // text of the server, untrusted
	// Local is true when nothing was sent, because the server's CONNACK rules the message out.
	Local bool
}

func (e *PublishError) Error() string {
	if e.Local {
		return reasonText("publish to "+strconv.Quote(e.Topic)+": the server's limits rule it out", e.Code, "")
	}
	return reasonText("publish to "+strconv.Quote(e.Topic)+": refused", e.Code, e.ReasonString)
}

// SubscribeError says that the server refused a Topic Filter.
type SubscribeError struct {
	Filter       string
	Code         mqtt.ReasonCode
	ReasonString string // text of the server, untrusted
}

func (e *SubscribeError) Error() string {
	return reasonText("subscribe to "+strconv.Quote(e.Filter)+": refused", e.Code, e.ReasonString)
}

// reasonText quotes the server's text, so that it cannot forge a line of a log or a terminal.
func reasonText(what string, code mqtt.ReasonCode, reason string) string {
	s := fmt.Sprintf("%s: %s (0x%02X)", what, code, uint8(code))
	if reason != "" {
		s += " " + strconv.Quote(reason)
	}
	return s
}

// Final reports whether trying again cannot help until a human has changed something: the server refuses these
// credentials, this Client Identifier or this protocol version, or another client took over the Session (reconnecting
// would take it back, and so on for ever). It is the default of Backoff.Stop.
func Final(err error) bool {
	var ack *ConnackError
	if errors.As(err, &ack) {
		switch ack.Code {
		case mqtt.UnsupportedProtocolVersion, mqtt.ClientIdentifierNotValid, mqtt.BadUserNameOrPassword,
			mqtt.NotAuthorized, mqtt.Banned, mqtt.BadAuthenticationMethod, mqtt.TopicNameInvalid,
			mqtt.PacketTooLarge, mqtt.RetainNotSupported, mqtt.QoSNotSupported, mqtt.UseAnotherServer, mqtt.ServerMoved:
			return true
		}
		return false
	}
	var disc *DisconnectError
	if errors.As(err, &disc) {
		switch disc.Code {
		case mqtt.SessionTakenOver, mqtt.NotAuthorized, mqtt.UseAnotherServer, mqtt.ServerMoved:
			return true
		}
		return false
	}
	return errors.Is(err, ErrPlaintextPassword)
}
