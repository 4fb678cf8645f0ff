package broker

import (
	"log/slog"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/session"
)

// OnFull says what happens to a message for a session at its queue limit.
type OnFull uint8

// The policies for full queues. None of them drops what a session has accepted.
const (
	StopAccepting OnFull = iota // the session takes no new messages; the publisher is acknowledged
	RefusePublish               // the publisher gets Quota exceeded (0x97), and nobody gets the message
	EndSession                  // the session is ended
)

// Settings are the broker's limits and behaviour: complete, validated values that never change while in use. A reload
// replaces them as a whole.
type Settings struct {
	MaxClients       int                       // Network Connections at once
	MaxPerAddress    int                       // of them from one address (IPv6: one /64), loopback excepted; 0: no limit
	ConnectTimeout   time.Duration             // from accept to a complete CONNECT
	MaxConnectPacket int                       // bytes of the first packet
	PacketTimeout    time.Duration             // from the first byte of a packet to its last
	MaxPacket        int                       // bytes of any later packet, fixed header included [MQTT-3.2.2-15]
	Listeners        map[string]ListenerLimits // by name; what is missing has the limits above
	WriteTimeout     time.Duration             // without progress in writing to a client, before it is disconnected
	OutBuffer        int                       // bytes that may wait for one slow connection

	TopicLevels             int
	SubscriptionsPerSession int
	FiltersPerSubscribe     int
	ReceiveMaximum          uint16  // QoS 1 and 2 messages a client may have open [MQTT-3.2.2-21]
	UnackedMessagesV3       int     // the same for MQTT 3 clients, which know no Receive Maximum
	UnackedBytes            int64   // bytes that may wait for their acknowledgement, per client
	SendQuota               int     // messages in flight to a client, whatever its Receive Maximum
	TopicAliasMaximum       uint16  // inbound, and at most as many outbound
	PublishRate             float64 // messages per second and client; 0: no limit
	PublishBurst            int
	PublishBytesRate        float64 // bytes of PUBLISH packets per second and client; 0: no limit
	PublishBytesBurst       float64

	Queue            session.Limits // of one session
	QueueTotalBytes  int64          // of all sessions
	OnFull           OnFull
	QueueQoS0        bool          // keep QoS 0 messages for offline sessions
	AckWait          time.Duration // longest time an acknowledgement waits for a slow online subscriber
	RetainedMessages int
	RetainedBytes    int64

	RetainedMessagesPerOwner int // of one principal
	RetainedBytesPerOwner    int64

	SessionsPerOwner int           // durable sessions of one principal
	SessionExpiryMax uint32        // seconds; cap on what MQTT 5 clients ask for
	SessionExpiryV3  uint32        // seconds; MQTT 3 sessions with Clean Session 0
	WillDelayMax     uint32        // seconds
	MessageExpiryMax uint32        // seconds; cap, and default, of Message Expiry Intervals; 0xFFFFFFFF: none
	KeepAliveMax     uint16        // seconds; MQTT 5 clients that ask for more, or for none, are told this [MQTT-3.2.2-21]
	AnonymousDurable bool          // anonymous principals may keep sessions (development)
	SysInterval      time.Duration // $SYS updates; 0: no $SYS

	// Rule finds the place of the configuration that a check belongs to, for explanations. Nil: none is known. It must be
	// safe for concurrent use.
	Rule func(layer Layer, listener, check string) identity.Rule
}

func (s *Settings) rule(layer Layer, listener, check string) identity.Rule {
	if s.Rule != nil {
		if r := s.Rule(layer, listener, check); r.Name != "" {
			return r
		}
	}
	return identity.Rule{Name: check}
}

// ListenerLimits bound the connections of one listener, below the limits of all.
type ListenerLimits struct {
	MaxClients int
	MaxPacket  int // bytes
}

// Options are the parts a Broker is built from. Settings, Store, Authenticator and Authorizer must be set.
type Options struct {
	Settings      Settings
	Store         Store
	Reader        StoreReader
	Authenticator Authenticator
	Authorizer    Authorizer
	Payload       PayloadPolicy // nil: payloads are forwarded as they are
	Log           *slog.Logger
	Clock         Clock
	Recorder      Recorder // nil: nothing is recorded
	Version       string   // shown in $SYS/broker/version
}
