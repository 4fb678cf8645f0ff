package message

import (
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// Arrival is a PUBLISH or a Will on its way in, as a payload policy sees it.
type Arrival struct {
	Topic   string
	Payload []byte
	Retain  bool
	Will    bool
	// ClientID is the Client Identifier that the client sent; empty when the server assigned one.
	ClientID string
	Author   *identity.Principal
	// Encrypted: the connection is under TLS, or the message is a Will that was judged when its client connected.
	Encrypted bool
}

// Fate is what becomes of an arrival.
type Fate uint8

// The fates. The zero value refuses.
const (
	Refused   Fate = iota
	Forwarded      // goes on
	Swallowed      // acknowledged as a success and not delivered: a duplicate, or an empty payload that says nothing
)

// Judgement is what a payload policy says about an arrival. It is used by one goroutine, and its texts and slices may
// alias the arrival.
type Judgement struct {
	Fate Fate

	// Replaced: Payload is what is stored and forwarded instead of what arrived.
	Replaced bool
	Payload  []byte
	// Sealed: Payload is sealed by the policy for itself. Plain is what it holds: for receivers whose connection is
	// encrypted, and for nobody else.
	Sealed bool
	Plain  []byte

	// Mark remembers the message; nil when there is nothing to remember.
	Mark Mark

	Refusal PayloadRefusal // with Refused
}

// PayloadRefusal says why an arrival was refused, and what its client may know of it.
type PayloadRefusal struct {
	Code     mqtt.ReasonCode
	Word     string // for MQTT 5: value of the User Property cose-err; empty for none
	Check    string // one of a fixed set of words
	Expected string
	Found    string
	Rule     identity.Rule
	// Retry: the fault is the broker's, and the same message may be accepted later.
	Retry bool
	// Quarantine is the topic that gets a copy; empty for none.
	Quarantine string
}

// Mark remembers that a message was seen. Between Take and Done a second copy of the message waits in its own Take, so
// that it is not told to be a duplicate of one that is then refused.
type Mark interface {
	// Take judges the message once more and remembers it. It returns nil when the message may go on, or the judgement
	// that holds instead. row gets what has to be stored together with the message, also for a duplicate.
	Take(row func(key string, value []byte)) *Judgement
	// Done ends what Take began, whatever Take returned; accepted false forgets the message again. Once.
	Done(accepted bool)
}
