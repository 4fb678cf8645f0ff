package client

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// Secret is a password. It prints as a placeholder, so that a Config in a log or an error gives nothing away.
type Secret []byte

// String implements fmt.Stringer.
func (Secret) String() string { return "[secret]" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return "[secret]" }

// Format implements fmt.Formatter, so that no verb shows the bytes.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Overflow says what happens with an inbound QoS 0 message when the inbound buffer is full.
type Overflow uint8

// The ways to treat QoS 0 messages that find no room.
const (
	// OverflowBlock stops reading until there is room, so that the server sees the slowness. A Handler that waits inside
	// for an answer of the server (Publish with QoS 1 or 2, Subscribe) must not use it: the answer is behind the messages.
	OverflowBlock Overflow = iota
	// OverflowDrop drops the message and counts it in Stats.
	OverflowDrop
)

// Config says how a Client behaves. New copies and validates it; the zero value of a field means its default.
type Config struct {
	// Server is mqtt://host[:1883], mqtts://host[:8883] or unix:///path. With Dial, any scheme is allowed; one that begins
	// with mqtts or wss, or ends with +psk, promises encryption.
	Server string
	// Dial replaces the built-in dialler, TLS included.
	Dial DialFunc
	// TLS is used for mqtts; nil means the system's roots. ServerName defaults to the host, MinVersion to TLS 1.2.
	TLS *tls.Config
	// Version of the protocol; default mqtt.V5.
	Version mqtt.Version
	// ClientID is the Client Identifier. Empty lets the server choose one, or makes a random one where the version or a
	// kept Session needs one.
	ClientID string
	// Username and HasUsername: an empty User Name is sent only if HasUsername is true.
	Username    string
	HasUsername bool
	// Password is sent if not nil. MQTT 3.1 and 3.1.1 allow it only with a User Name [MQTT-3.1.2-22].
	Password Secret
	// Credential makes the Password of each attempt instead.
	Credential CredentialSealer
	// AllowPlaintextPassword lets Password cross a network without encryption.
	AllowPlaintextPassword bool
	// Auth begins an enhanced authentication (MQTT 5) for each attempt. Nil means none.
	Auth func(AuthInfo) (AuthExchange, error)

	// CleanStart discards the Session the server may have, at the first connection. In MQTT 3.1 and 3.1.1 it is Clean
	// Session: no Session is kept at all.
	CleanStart bool
	// Properties are further CONNECT properties of MQTT 5: Session Expiry Interval, User Properties, Request Response and
	// Request Problem Information. Receive Maximum, Maximum Packet Size, Topic Alias Maximum and those of authentication are
	// set from the other fields.
	Properties mqtt.Properties
	// Will is published by the server when the connection ends without a DISCONNECT. Will.Properties may hold a Will Delay
	// Interval.
	Will *Message

	// KeepAlive is in whole seconds, up to 65,535 s; default 60 s; negative turns it off. The server may choose another in
	// MQTT 5.
	KeepAlive time.Duration
	// ConnectTimeout bounds one attempt, from dialling to CONNACK; default 30 s.
	ConnectTimeout time.Duration
	// Reconnect is the delay between attempts.
	Reconnect Backoff
	// NoReconnect stops the client when the first connection ends.
	NoReconnect bool

	// ReceiveMaximum is how many inbound QoS 1 and 2 messages may be unacknowledged at once; default 256. It is told to
	// the server in MQTT 5.
	ReceiveMaximum uint16
	// MaximumPacketSize is the largest packet accepted, in bytes; default 16 MiB. It is told to the server in MQTT 5.
	MaximumPacketSize uint32
	// TopicAliasMaximum is how many Topic Aliases the server may use (MQTT 5); default 16, negative none.
	TopicAliasMaximum int
	// TopicAliases makes the client use as many Topic Aliases as the server allows, for the first topics published.
	TopicAliases bool
	// MaxInflight bounds the QoS 1 and 2 messages sent and not completely acknowledged; default what the server allows in
	// MQTT 5, 20 in 3.1 and 3.1.1.
	MaxInflight uint16
	// QueueMessages and QueueBytes bound the outbound messages that wait or are in flight; defaults 10,000 (at most 32,768)
	// and 64 MiB.
	QueueMessages int
	QueueBytes    int64

	// Handler receives inbound messages, one at a time, in the order in which they came. With nil they are taken with
	// Receive or Messages.
	Handler func(*Message)
	// InboundBuffer is how many inbound messages wait for the program; default 1,024.
	InboundBuffer int
	// Overflow is for QoS 0 messages when InboundBuffer is full.
	Overflow Overflow
	// ManualAcks leaves it to the program to call Message.Ack.
	ManualAcks bool

	// Protector seals and opens payloads; nil leaves them as they are.
	Protector Protector
	// Store keeps the Session state beyond the Client; nil keeps it in the Client only.
	Store Store
	// Hooks report what happens.
	Hooks Hooks
}

// Hooks are told what happens. They are called by the client's goroutines and must return soon, without calling methods
// of the Client that wait. Any may be nil.
type Hooks struct {
	// Connected is called after each CONNACK that accepts, before anything else is sent. It must not keep c.
	Connected func(c *mqtt.Connack)
	// Disconnected is called when a connection ended or an attempt did not succeed, with the delay until the next.
	Disconnected func(err error, retryIn time.Duration)
	// SubscriptionLost is called when the server refused a Topic Filter that was subscribed before, after a reconnect
	// without Session.
	SubscriptionLost func(*SubscribeError)
	// Rejected is called with a message that Protector.Open refused, as it came.
	Rejected func(m *Message, err error)
	// Trace is called for each packet sent (true) or received: for debugging.
	Trace func(sent bool, t mqtt.PacketType, size int)
}

const (
	defaultKeepAlive      = 60 * time.Second
	defaultConnectTimeout = 30 * time.Second
	defaultReceiveMaximum = 256
	defaultPacketSize     = 16 << 20
	defaultAliasMaximum   = 16
	defaultQueueMessages  = 10_000
	maxQueueMessages      = 32_768 // leaves half of the Packet Identifiers to everything else
	defaultQueueBytes     = 64 << 20
	defaultInboundBuffer  = 1024
	defaultInflightV3     = 20 // what common brokers hold for a 3.1.1 session without being asked
)

// settings is a complete Config: every field has its final value.
type settings struct {
	Config
	server    *url.URL
	encrypted bool // the server's URL promises encryption
	keepAlive uint16
}

// complete validates the configuration and fills in the defaults.
func (cfg Config) complete() (*settings, error) {
	s := &settings{Config: cfg}
	s.Properties = cfg.Properties.Clone()
	if s.Version == 0 {
		s.Version = mqtt.V5
	}
	if s.Version < mqtt.V31 || s.Version > mqtt.V5 {
		return nil, fmt.Errorf("client: unknown protocol version %d", byte(s.Version))
	}
	for _, step := range []func() error{s.checkServer, s.checkIdentity, s.checkWill, s.checkTimes, s.checkBounds} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
	}
	return s, nil
}

func (s *settings) checkServer() error {
	u, err := url.Parse(s.Server)
	if err != nil {
		return errors.New("server is not a url") // the cause would repeat a password that stands in it
	}
	if u.User != nil {
		return errors.New("server must not contain user or password")
	}
	s.server = u
	s.encrypted = strings.HasPrefix(u.Scheme, "mqtts") || strings.HasPrefix(u.Scheme, "wss") || strings.HasSuffix(u.Scheme, "+psk")
	if s.Dial != nil {
		return nil
	}
	switch u.Scheme {
	case "mqtt", "mqtts":
		if u.Hostname() == "" {
			return fmt.Errorf("server %q has no host", s.Server)
		}
	case "unix":
		if u.Path == "" {
			return fmt.Errorf("server %q has no path", s.Server)
		}
	default:
		return fmt.Errorf("server %q: scheme must be mqtt, mqtts or unix", s.Server)
	}
	return nil
}

func (s *settings) checkIdentity() error {
	if s.Username != "" {
		s.HasUsername = true
	}
	if len(s.ClientID) > 65535 || !mqtt.ValidString(s.ClientID) {
		return errors.New("client identifier is not a valid mqtt string")
	}
	if len(s.Username) > 65535 || !mqtt.ValidString(s.Username) {
		return errors.New("user name is not a valid mqtt string")
	}
	if len(s.Password) > 65535 {
		return errors.New("password is longer than 65535 bytes")
	}
	if s.Credential != nil && s.Password != nil {
		return errors.New("password and credential exclude each other")
	}
	if s.Version != mqtt.V5 {
		if s.Auth != nil {
			return errors.New("enhanced authentication needs mqtt 5")
		}
		if (s.Password != nil || s.Credential != nil) && !s.HasUsername {
			return errors.New("mqtt 3.1 and 3.1.1 allow a password only with a user name")
		}
	}
	if s.ClientID == "" && (s.Version == mqtt.V31 || s.Version == mqtt.V311 && !s.CleanStart || s.Credential != nil) {
		s.ClientID = "sealmq-" + rand.Text()[:16] // 23 characters, the most that 3.1 allows
	}
	return nil
}

func (s *settings) checkWill() error {
	w := s.Will
	if w == nil {
		return nil
	}
	if _, err := topic.ParseName(w.Topic); err != nil {
		return fmt.Errorf("will topic: %w", err)
	}
	if w.QoS > mqtt.ExactlyOnce {
		return fmt.Errorf("will qos %d", w.QoS)
	}
	if len(w.Payload) > 65535 {
		return errors.New("will payload is longer than 65535 bytes")
	}
	will := *w
	s.Will = &will
	return nil
}

func (s *settings) checkTimes() error {
	switch {
	case s.KeepAlive < 0:
	case s.KeepAlive == 0:
		s.keepAlive = uint16(defaultKeepAlive / time.Second)
	case s.KeepAlive%time.Second != 0 || s.KeepAlive > 65535*time.Second:
		return fmt.Errorf("keep alive %v is not a whole number of seconds up to 65535", s.KeepAlive)
	default:
		s.keepAlive = uint16(s.KeepAlive / time.Second)
	}
	s.ConnectTimeout = orDefault(s.ConnectTimeout, defaultConnectTimeout)
	s.Reconnect.Min = orDefault(s.Reconnect.Min, time.Second)
	s.Reconnect.Max = max(orDefault(s.Reconnect.Max, time.Minute), s.Reconnect.Min)
	if s.ConnectTimeout < 0 || s.Reconnect.Min < 0 {
		return errors.New("negative timeout")
	}
	if s.Reconnect.Stop == nil {
		s.Reconnect.Stop = Final
	}
	return nil
}

func (s *settings) checkBounds() error {
	if s.TopicAliasMaximum > 65535 || s.QueueMessages < 0 || s.QueueMessages > maxQueueMessages || s.QueueBytes < 0 ||
		s.InboundBuffer < 0 || s.Overflow > OverflowDrop || s.MaximumPacketSize > mqtt.MaxPacketSize {
		return errors.New("a bound is out of range")
	}
	s.ReceiveMaximum = orDefault(s.ReceiveMaximum, defaultReceiveMaximum)
	s.MaximumPacketSize = orDefault(s.MaximumPacketSize, defaultPacketSize)
	s.TopicAliasMaximum = max(0, orDefault(s.TopicAliasMaximum, defaultAliasMaximum))
	s.QueueMessages = orDefault(s.QueueMessages, defaultQueueMessages)
	s.QueueBytes = orDefault(s.QueueBytes, defaultQueueBytes)
	s.InboundBuffer = orDefault(s.InboundBuffer, defaultInboundBuffer)
	switch {
	case s.MaxInflight > 0:
	case s.Version == mqtt.V5:
		s.MaxInflight = 65535
	default:
		s.MaxInflight = defaultInflightV3
	}
	return nil
}

// orDefault returns v, or d when v is zero.
func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}
