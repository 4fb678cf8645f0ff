package control

import (
	"context"
	"time"

	"github.com/sealmq/sealmq/internal/explain"
	"github.com/sealmq/sealmq/internal/payload"
	"github.com/sealmq/sealmq/topic"
)

// Broker is what the socket gives access to. All methods may be called by several goroutines at once. An *Error reaches
// the client as it is; any other error is reported as Internal. With dryRun nothing is changed and the same is returned.
type Broker interface {
	Status() Status
	// Sessions lists a page; the query's limit is in 1 to MaxPage.
	Sessions(q SessionQuery) SessionPage
	// Kick disconnects a client: NotFound without session, Conflict when it is not connected.
	Kick(clientID string, dryRun bool) (Session, error)
	// Clear ends a session with its state, durably: NotFound without session.
	Clear(clientID string, dryRun bool) (Session, error)
	// Retained lists a page; the query's limit is in 1 to MaxPage, its preview in 0 to MaxPreview.
	Retained(q RetainedQuery) RetainedPage
	// RemoveRetained removes what matches, durably; ctx ends it between topics.
	RemoveRetained(ctx context.Context, f topic.Filter, dryRun bool) (Removed, error)
}

// Store makes backups of the broker's state.
type Store interface {
	// Backup writes a consistent copy into dir, an absolute path that does not exist yet: Conflict when it does,
	// Unsupported when there is nothing on disk.
	Backup(ctx context.Context, dir string, dryRun bool) (Backup, error)
}

// Coverage says who complies with the payload rules.
type Coverage interface {
	// Coverage returns the rules in force in their order.
	Coverage() []payload.RuleCoverage
}

// CoverageReport is the answer about them.
type CoverageReport struct {
	Rules []payload.RuleCoverage `json:"rules"`
}

// Decisions explains what the broker refused.
type Decisions interface {
	// Refusal finds one: NotFound when there is none, or none any more.
	Refusal(q RefusalQuery) (Refusal, error)
	// Ask is a dry run by what is in force: Invalid for a question that cannot be asked.
	Ask(q Question) (explain.Answer, error)
}

// Recorder is told of everything that changed something, or tried to. It must not block.
type Recorder interface {
	Acted(a *Act)
}

// Act is one request that changes something.
type Act struct {
	Operation string
	By        string // user and process that asked, as the kernel says
	Details   []string
	Err       error // nil when it was done
}

// Question is a dry run. Do is a word of identity.Action; without User the client is anonymous.
type Question struct {
	User     string
	Method   string
	Issuer   string
	ClientID string
	Do       string
	Topic    string
	Listener string // "" leaves the login out
	From     string // address of the client; may be empty
}

// RefusalQuery asks for one refusal: by its id, or the last one, of a client if ClientID is given.
type RefusalQuery struct {
	ID       string
	ClientID string
}

// Refusal is one decision against a client.
type Refusal struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Last      time.Time `json:"last"`
	Times     int       `json:"times"`
	Layer     string    `json:"layer"` // "transport", "protocol", "login", "access", "payload" or "limit"
	ClientID  string    `json:"client_id,omitempty"`
	Username  string    `json:"username,omitempty"` // what a refused login claimed
	Principal string    `json:"principal,omitempty"`
	Remote    string    `json:"remote,omitempty"`
	Listener  string    `json:"listener,omitempty"`
	Action    string    `json:"action,omitempty"`
	Topic     string    `json:"topic,omitempty"`
	Check     string    `json:"check"`
	Expected  string    `json:"expected,omitempty"`
	Found     string    `json:"found,omitempty"`
	Rule      string    `json:"rule"`
	Why       string    `json:"why"`
	// ClientSees and ToAllow are empty when the texts were too long to be kept.
	ClientSees string `json:"client_sees,omitempty"`
	ToAllow    string `json:"to_allow,omitempty"`
	// Changed says that the rules are not those of then: Text is the answer that they give now.
	Changed bool   `json:"changed"`
	Text    string `json:"text"` // the explanation, several lines
}

// Bounds of a page.
const (
	MaxPage    = 1000 // items
	MaxPreview = 1024 // bytes of a payload
)

// Status describes the broker as a whole.
type Status struct {
	Name      string     `json:"name"` // node.name
	Version   string     `json:"version"`
	PID       int        `json:"pid"`
	Started   time.Time  `json:"started"`
	Ready     bool       `json:"ready"`            // takes connections and messages
	Reason    string     `json:"reason,omitempty"` // why it is not ready
	Storage   string     `json:"storage"`          // storage.engine
	Listeners []Listener `json:"listeners"`
	Config    string     `json:"config,omitempty"` // absolute path of the configuration file; "" when there is none

	MaxClients    int   `json:"max_connections"` // limits.clients
	Connections   int   `json:"connections"`
	Sessions      int   `json:"sessions"`
	Subscriptions int   `json:"subscriptions"`
	Retained      int   `json:"retained"`
	RetainedBytes int64 `json:"retained_bytes"`
	QueuedBytes   int64 `json:"queued_bytes"`
	Received      int64 `json:"publish_received"` // PUBLISH packets since the start
	Sent          int64 `json:"publish_sent"`
	Dropped       int64 `json:"dropped"`
	QueueFull     int64 `json:"queue_full"`
	Denied        int64 `json:"denied"`
	LoginsRefused int64 `json:"logins_refused"`
}

// Listener is one address the broker listens on.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// SessionQuery asks for one page of sessions, in the order of their Client Identifiers.
type SessionQuery struct {
	Prefix string // of the Client Identifier
	After  string // cursor, "" for the first page
	Limit  int
}

// SessionPage is one page; Next is the cursor for the following one, "" when there is none.
type SessionPage struct {
	Sessions []Session `json:"sessions"`
	Next     string    `json:"next,omitempty"`
}

// Session is one session as it was at some moment.
type Session struct {
	ClientID       string     `json:"client_id"`
	Principal      string     `json:"principal"`
	Version        string     `json:"protocol_version"`
	Online         bool       `json:"online"`
	Address        string     `json:"address,omitempty"`
	Listener       string     `json:"listener,omitempty"`
	Created        time.Time  `json:"created"`
	Durable        bool       `json:"durable"`
	ExpirySeconds  uint32     `json:"session_expiry_interval"` // 4294967295: never
	ExpiresAt      *time.Time `json:"expires_at,omitempty"`    // only while offline
	Subscriptions  int        `json:"subscriptions"`
	QueuedMessages int        `json:"queued_messages"`
	QueuedBytes    int64      `json:"queued_bytes"`
	Inflight       int        `json:"inflight"`
}

// RetainedQuery asks for one page of Retained Messages.
type RetainedQuery struct {
	Filter  topic.Filter
	After   string // cursor, "" for the first page
	Limit   int
	Preview int // bytes of each payload to show
}

// RetainedPage is one page, which may be empty; Next is the cursor for the following one, "" when there is none.
type RetainedPage struct {
	Messages []Retained `json:"messages"`
	Next     string     `json:"next,omitempty"`
}

// Retained is one Retained Message.
type Retained struct {
	Topic        string     `json:"topic"`
	QoS          int        `json:"qos"`
	PayloadBytes int        `json:"payload_bytes"`
	Bytes        int        `json:"bytes"` // counted against limits.retained.bytes
	ClientID     string     `json:"client_id,omitempty"`
	Author       string     `json:"author,omitempty"`
	ReceivedAt   time.Time  `json:"received_at"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	Preview      []byte     `json:"preview,omitempty"` // base64 in JSON
}

// Removed says what RemoveRetained did.
type Removed struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

// Backup says what was written.
type Backup struct {
	Dir   string `json:"dir"`
	Epoch uint64 `json:"epoch"` // of the store at that moment; a restore raises it
}

// Code is the class of an Error.
type Code string

// The classes.
const (
	Invalid     Code = "invalid"     // the request is wrong
	NotFound    Code = "not_found"   // what it names does not exist
	Conflict    Code = "conflict"    // the state does not allow it
	Unsupported Code = "unsupported" // this broker cannot do it
	Internal    Code = "internal"    // it failed
)

// Error is a refusal that the client gets to see.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }
