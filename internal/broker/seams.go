package broker

import (
	"context"
	"net"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
)

// Authenticator decides who a client is.
//
// Authenticate is called once for each CONNECT, from the connection's goroutine, and may block until ctx ends (the
// CONNECT deadline); the same authenticator serves many connections at once. It must not keep credentials. The broker
// treats every Verdict but Accepted and Continued as a refusal, and nothing happens to any session before Accepted.
type Authenticator interface {
	Authenticate(ctx context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict
}

// Authorizer decides what a principal may do.
//
// Authorize is called for every CONNECT, PUBLISH, SUBSCRIBE and Will, and for every delivery of a concrete topic unless
// the answer is cached under the same Generation. It must not block and must be safe for concurrent use. The zero
// Decision denies; topic is a Topic Name, or for identity.Subscribe a Topic Filter without $share part, or empty for
// identity.Connect.
type Authorizer interface {
	Authorize(p *identity.Principal, clientID string, a identity.Action, topic string) identity.Decision
	// Generation changes whenever earlier answers may no longer hold.
	Generation() uint64
}

// PayloadPolicy decides whether the payload of a message is what its topic demands, and what of it goes on.
//
// Judge is called for every PUBLISH after the Authorizer, from the connection's goroutine, for every Will at CONNECT, and
// again when a Will is published. It must not block, not keep the Arrival beyond the Judgement's use, and be safe for
// concurrent use; nil means that no rule concerns the topic. When it refuses, nothing is stored or delivered. The
// Judgement's Mark is taken just before the message is stored, its rows go into the same batch, and Done says whether the
// message was accepted: so an accepted message and the memory of it are durable together or not at all. The Mark of a Will
// is not taken at CONNECT.
//
// Reveal opens a message that Judge sealed for the policy itself; the broker asks for connections that are encrypted, and
// withholds the message on an error. Renew returns what a stored message has to be replaced by after a change of keys. A
// broker without a policy forwards payloads as they are.
type PayloadPolicy interface {
	Judge(a *message.Arrival) *message.Judgement
	Reveal(m *message.Message) ([]byte, error)
	Renew(m *message.Message) (payload []byte, ok bool)
}

// Store keeps what must survive a restart.
//
// Commit takes the batch over; it never blocks and never calls done itself. Batches become durable in the order of the
// Commit calls. done, which may be nil, is called exactly once, in that order, from a goroutine of the store, after the
// batch is on disk (with Sync) or written (without). It must not block. An error means that nothing of the batch was
// written; a failed fsync is not reported but stops the process.
type Store interface {
	Commit(b *store.Batch, done func(error))
	// Accepting returns nil while new messages are taken, or why not (the disk is nearly full). Batches without
	// PutBody and PutRetained are always taken.
	Accepting() error
}

// StoreReader reads what the store holds. Its calls may block on the disk; the broker never holds a lock around them.
// They see every batch whose done was called before.
type StoreReader interface {
	Sessions(yield func(store.SessionRow) error) error
	Queue(id store.SessionID, from store.Ord, limit int) ([]store.QueueRow, error)
	Body(id store.BodyID) (*message.Message, error) // store.ErrNotFound when absent
	Retained(yield func(*message.Message) error) error
	Wills(yield func(store.SessionID, store.Will) error) error
	Counters() (store.SessionID, store.BodyID) // the highest numbers ever given
}

// Listener accepts Network Connections and says what was proved about each.
//
// Accept blocks until a connection arrives or the listener is closed (net.ErrClosed). It never performs a handshake;
// a connection that needs one performs it on first use.
type Listener interface {
	Accept() (net.Conn, error)
	Close() error
	Addr() net.Addr
}

// Prover is implemented by connections that know more than their addresses. Prove finishes the transport's handshake,
// bounded by ctx, and returns its Evidence. A connection without it is plain TCP.
type Prover interface {
	Prove(ctx context.Context) (*identity.Evidence, error)
}

// Wire is implemented by connections that move bytes without blocking a goroutine or holding a buffer while idle. The
// broker wraps other connections, at the price of a goroutine for each write.
type Wire interface {
	net.Conn
	// ReadEach calls f with every batch of bytes that arrives, until f returns false (nil) or reading fails. The
	// bytes are valid during the call.
	ReadEach(f func(b []byte) bool) error
	// TryWrite writes what the kernel takes without waiting. n < len(b) with a nil error means it would block; the next
	// TryWrite or Write must then begin with b[n:], which may be encrypted already.
	TryWrite(b []byte) (n int, err error)
}

// Recorder keeps what an auditor wants to read. Both methods are called from connections' goroutines, sometimes under the
// lock of a session: they must not block and must be safe for concurrent use.
type Recorder interface {
	// Refused is told of a refusal, and of the same one again when it happened 10, 100, 1000 … times.
	Refused(r *Refusal)
	// LoggedIn is told of a client that is about to be let in, before it has any effect on a session. An error refuses
	// it with Server unavailable: who wants a record of every login has none without it.
	LoggedIn(l *Admission) error
}

// Clock tells the time. Tests use a fake through testing/synctest, so the real one is enough for them, too.
type Clock interface {
	Now() time.Time
}
