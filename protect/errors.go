package protect

import (
	"errors"
	"fmt"

	"github.com/sealmq/sealmq/cose"
)

// The outcomes of Open and VerifyCredential other than success.
var (
	// ErrUnknownKey: no live record has the kid; the message is not for us.
	ErrUnknownKey = errors.New("key is not known")
	// ErrPolicy: authentic or not, the message is not what the key record, the
	// topic policy, the replay state or the clock demands.
	ErrPolicy = errors.New("message does not meet the policy")
	// ErrOpen: the message does not parse or does not verify.
	ErrOpen = errors.New("message does not open")
)

// ErrSeal is wrapped by every error of a Sealer's configuration or input.
var ErrSeal = errors.New("cannot seal")

// Reason says locally why a message was refused. It is for logs, counters and
// the choice of a reason code; ReasonMalformed and ReasonVerify must look the
// same to a peer.
type Reason uint8

// Reasons of refusal.
const (
	ReasonMalformed   Reason = iota + 1 // not a message of the profile
	ReasonUnknownKey                    // no record with this kid, or destroyed
	ReasonRecord                        // use, algorithm, shape or topic is not the record's
	ReasonSender                        // sender missing, of another form, or not the connection's
	ReasonVerify                        // tag, signature or key wrap
	ReasonSigner                        // signer may not speak for this sender, kind or topic
	ReasonTime                          // expired, too old, from the future, or no clock
	ReasonUnprotected                   // the topic demands more protection
	ReasonStale                         // sequence already passed
	ReasonRollback                      // retained state older than the one known
	ReasonClone                         // two sessions of one sender with one boot number
	ReasonLimit                         // replay state is full
	ReasonState                         // replay state could not be stored
	ReasonClear                         // retained clear without the right
)

var reasonNames = [...]string{
	ReasonMalformed: "malformed", ReasonUnknownKey: "unknown-key", ReasonRecord: "record", ReasonSender: "sender",
	ReasonVerify: "verify", ReasonSigner: "signer", ReasonTime: "time", ReasonUnprotected: "unprotected", ReasonStale: "stale",
	ReasonRollback: "rollback", ReasonClone: "clone", ReasonLimit: "limit", ReasonState: "state", ReasonClear: "clear",
}

// String returns the word used in logs and counters.
func (r Reason) String() string {
	if r == 0 || int(r) >= len(reasonNames) {
		return "no reason"
	}
	return reasonNames[r]
}

// Alarm reports whether the reason points at an attack, a clone or a restored
// backup rather than at a mistake. Alarms are raised on verified messages only.
func (r Reason) Alarm() bool { return r == ReasonRollback || r == ReasonClone }

// Refusal is the error of Open and VerifyCredential.
type Refusal struct {
	Reason Reason
	// Detail is for local eyes: it may say which check failed.
	Detail string
}

// Error does not show Detail of an ErrOpen: whoever passes an error text on to
// a peer by mistake gives nothing away.
func (r *Refusal) Error() string {
	outcome := r.Unwrap()
	if outcome == ErrOpen {
		return outcome.Error()
	}
	return fmt.Sprintf("%v: %s", outcome, r.Detail)
}

// Unwrap returns the outcome: ErrUnknownKey, ErrPolicy or ErrOpen.
func (r *Refusal) Unwrap() error {
	switch r.Reason {
	case ReasonMalformed, ReasonVerify:
		return ErrOpen
	case ReasonUnknownKey:
		return ErrUnknownKey
	}
	return ErrPolicy
}

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// refuseCOSE classifies an error of package cose.
func refuseCOSE(err error) *Refusal {
	if errors.Is(err, cose.ErrVerify) {
		return refuse(ReasonVerify, "%v", err)
	}
	return refuse(ReasonMalformed, "%v", err)
}

func sealError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrSeal, fmt.Errorf(format, args...))
}
