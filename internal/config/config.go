// Package config turns one YAML file, or a few flags, into a validated, complete and immutable Config. After Load
// nobody asks whether a value is set: every field holds its effective value. All problems of a file are found in one
// run, each with its place, an excerpt and, where one is likely, the word that was meant.
//
// Every key is described once, in keys.go. Decoding, defaults, ranges, the reference in docs/operate, the output of
// "config show" and the comparison at a reload are all derived from that description.
package config

import (
	"net/netip"
	"time"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/topic"
)

// Config is the effective configuration. It is complete and consistent when Parse, Load or a Plan hands it out; nobody
// changes it afterwards, so it is safe for concurrent use. Slices must not be modified.
type Config struct {
	Version     int // format version of the file, always 1
	Node        Node
	Listeners   []Listener // at least one, names unique
	Auth        Auth
	ACL         ACL
	Keys        Keyring
	Protection  Protection
	Limits      Limits
	SysInterval time.Duration // time between two publications of the $SYS topics
	Log         Log
	Storage     Storage
	Audit       Audit
	Ops         Ops

	origins map[string]Origin // of every key and section that was set
}

// Node names this broker and its place on disk.
type Node struct {
	Name    string
	DataDir string // absolute, except in Default
}

// Listener is one address on which the broker accepts Network Connections.
type Listener struct {
	Name               string
	Bind               netip.AddrPort // an unspecified address means all of that family; port 0 picks a free one
	Unix               string         // path of a Unix socket; then Bind is zero
	AllowPlaintext     bool
	AllowClearPassword bool // passwords and tokens in clear text from other machines; needs AllowPlaintext
	TLS                TLS
	ClientCert         ClientCert
	PSK                PSK
	WebSocket          WebSocket
	MaxClients         int
	MaxPacket          Size
}

// TLS is how a listener proves who it is; without Cert there are no certificates.
type TLS struct {
	Cert, Key  string // PEM files, absolute
	MinVersion TLSVersion
}

// TLSVersion is a version of TLS.
type TLSVersion string

// The values of listeners[].tls.min_version.
const (
	TLS13 TLSVersion = "1.3"
	TLS12 TLSVersion = "1.2"
)

// ClientCert is what a listener asks of clients; without CA nothing.
type ClientCert struct {
	Mode ClientCertMode
	CA   string // PEM file, absolute
	CRL  string // PEM or DER file, absolute; "" for none
}

// ClientCertMode says whether a client certificate must be shown.
type ClientCertMode string

// The values of listeners[].client_cert.mode.
const (
	RequireCert ClientCertMode = "require"
	RequestCert ClientCertMode = "request"
)

// PSK is a listener's file of pre-shared keys; without File there are none.
type PSK struct {
	File                  string // absolute
	AllowNoForwardSecrecy bool
}

// WebSocket is how browsers connect; without Path they cannot.
type WebSocket struct {
	Path    string
	Origins []string // pages that may connect
}

// Loopback reports whether only this machine can reach the listener.
func (l *Listener) Loopback() bool { return l.Unix != "" || l.Bind.Addr().Unmap().IsLoopback() }

// Encrypted reports whether the listener speaks TLS.
func (l *Listener) Encrypted() bool { return l.TLS.Cert != "" || l.PSK.File != "" }

// Address is where the listener is bound, as written in a file.
func (l *Listener) Address() string {
	if l.Unix != "" {
		return unixPrefix + l.Unix
	}
	return l.Bind.String()
}

// ACL says who may do what. Its file has one of two forms: rules in order, or two lists that hold for everybody.
type ACL struct {
	// Rules decide in their order; the first that matches wins. Nil with the other form.
	Rules []acl.Rule
	// Publish and Subscribe are the lists: an action is allowed when a filter of Allow and none of Deny matches the
	// topic. Publish also decides about Will and Retained Messages, Subscribe also about what is delivered.
	Publish   Rules
	Subscribe Rules
	// Mosquitto is a Mosquitto access file, absolute, that takes the place of all rules; "" for none.
	Mosquitto string
	// Groups are the names that Rules can use for several clients.
	Groups map[string][]acl.Selector
}

// Rules are the filters of one action. Deny wins; what neither list matches is denied.
type Rules struct {
	Allow []Rule
	Deny  []Rule
}

// Rule is one Topic Filter together with its place, so that a refusal can name what decided.
type Rule struct {
	Filter topic.Filter
	File   string // as named by the user; "" for a built-in rule
	Line   int    // 1-based; 0 for a built-in rule
}

// Limits bounds what clients can make the broker hold or do.
type Limits struct {
	Clients                int
	ConnectionsPerAddress  int
	ConnectTimeout         time.Duration
	ConnectPacket          Size
	PacketTimeout          time.Duration
	Packet                 Size
	TopicLevels            int
	SubscriptionsPerClient int
	FiltersPerSubscribe    int
	ReceiveMaximum         int
	Inflight               int
	UnackedV3              UnackedV3
	TopicAliasMaximum      int
	PublishRate            PublishRate
	PublishBytes           PublishBytes
	Queue                  Queue
	QueueTotal             Size
	Retained               Retained
	SessionsPerPrincipal   int
	SessionExpiryMax       time.Duration // Unlimited: no cap
	SessionExpiryV3        time.Duration // Unlimited: never
	MessageExpiryMax       time.Duration // Unlimited: no cap
	KeepAliveMax           time.Duration // Unlimited: no cap
	WillDelayMax           time.Duration // Unlimited: no cap
	AckWait                time.Duration
}

// UnackedV3 bounds the PUBLISH packets of an MQTT 3 client that are not acknowledged yet.
type UnackedV3 struct {
	Messages int
	Bytes    Size
}

// PublishRate bounds the messages of one client. UnlimitedRate: no bound.
type PublishRate struct {
	PerClient Rate
	Burst     int
}

// PublishBytes bounds the bytes of one client's PUBLISH packets. UnlimitedRate: no bound.
type PublishBytes struct {
	PerClient ByteRate
	Burst     Size
}

// Queue bounds what one session holds while its client is away or slow.
type Queue struct {
	Messages    int
	Bytes       Size
	OnFull      OnFull
	QoS0Offline bool
}

// Retained bounds all retained messages together, and those of one principal.
type Retained struct {
	Messages             int
	Bytes                Size
	MessagesPerPrincipal int
	BytesPerPrincipal    Size
}

// OnFull is what happens when a session's queue has no room.
type OnFull string

// The values of limits.queue.on_full.
const (
	StopAccepting OnFull = "stop_accepting" // keep what is queued, take nothing new for this session
	RefusePublish OnFull = "refuse_publish" // answer the publisher with Quota exceeded
	EndSession    OnFull = "end_session"    // delete the session
)

// Log says what is logged and how.
type Log struct {
	Level  LogLevel
	Format LogFormat
}

// LogLevel is the least severity that is logged.
type LogLevel string

// The values of log.level.
const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

// LogFormat is the form of log lines.
type LogFormat string

// The values of log.format.
const (
	FormatAuto LogFormat = "auto" // text on a terminal, JSON otherwise
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)

// Storage says where durable state is kept and what an acknowledgement promises.
type Storage struct {
	Engine        Engine
	Sync          Sync
	AckBeforeSync bool
}

// Engine is the kind of store.
type Engine string

// The values of storage.engine.
const (
	EngineDisk   Engine = "disk"
	EngineMemory Engine = "memory"
)

// Sync is how writes reach stable storage.
type Sync string

// SyncBatch writes what is waiting as one group and syncs it once. It is the only value of storage.sync.
const SyncBatch Sync = "batch"

// Ops is what machines that watch the broker ask: metrics and health. Without Bind nothing listens.
type Ops struct {
	Bind           netip.AddrPort // zero: off
	Metrics        string         // path of the metrics
	Health         bool           // /healthz, /readyz and /startupz
	MosquittoNames bool           // also the names that exporters for Mosquitto use
	Token          string         // file with the bearer token for Metrics, absolute; "": none
	TLS            OpsTLS
}

// OpsTLS is how the operations port proves who it is; without Cert it speaks plain HTTP, on loopback only.
type OpsTLS struct {
	Cert, Key string // PEM files, absolute
}

// Loopback reports whether only this machine can reach the port.
func (o *Ops) Loopback() bool { return o.Bind.Addr().Unmap().IsLoopback() }

// Origin is where an effective value came from. The zero value is the default.
type Origin struct {
	File string // the file as named by the user
	Line int    // 1-based
	Flag string // the flag that set it; wins over File
}

// String is "default", "file:line" or the flag.
func (o Origin) String() string {
	switch {
	case o.Flag != "":
		return o.Flag
	case o.File != "":
		return place(o.File, o.Line)
	default:
		return "default"
	}
}
