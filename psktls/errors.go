package psktls

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Check names the check that refused a connection. It is an error itself, so
// that callers can write errors.Is(err, psktls.CheckIdentity).
type Check string

// The checks. Towards the peer CheckIdentity, CheckKeyLookup and CheckKey are
// one and the same alert at the same point of the handshake; only the local
// side can tell them apart.
const (
	CheckConfig      Check = "configuration"
	CheckRecord      Check = "record"
	CheckMessage     Check = "handshake message"
	CheckVersion     Check = "protocol version"
	CheckFallback    Check = "version fallback"
	CheckDowngrade   Check = "downgrade protection"
	CheckSuite       Check = "cipher suite"
	CheckGroup       Check = "key exchange group"
	CheckKeyShare    Check = "key share"
	CheckKEMode      Check = "psk key exchange mode"
	CheckEMS         Check = "extended master secret"
	CheckRenego      Check = "renegotiation"
	CheckExtension   Check = "extension"
	CheckALPN        Check = "application protocol"
	CheckPSKOffer    Check = "pre-shared key offer"
	CheckIdentity    Check = "psk identity"
	CheckKeyLookup   Check = "key lookup"
	CheckKey         Check = "pre-shared key"
	CheckFlood       Check = "flood limit"
	CheckKeyLimit    Check = "key usage limit"
	CheckTimeout     Check = "handshake timeout"
	CheckCanceled    Check = "handshake canceled"
	CheckPeerAlert   Check = "alert from the peer"
	CheckTransport   Check = "transport"
	CheckInternal    Check = "internal"
	CheckNotFinished Check = "handshake not finished"
)

// Error makes a Check usable as the target of errors.Is.
func (c Check) Error() string { return "psktls: " + string(c) }

// Error says which check refused a connection and why. It is for the local
// side only: the peer sees nothing but the alert. It never holds key material.
type Error struct {
	Check    Check
	Alert    Alert  // sent to the peer, or received from it if Remote; AlertNone if there was none
	Remote   bool   // the peer refused, we did not
	Expected string // what the check accepts, in words; may be empty
	Found    string // what was seen, with any text from the peer quoted and cut; may be empty
	Err      error  // cause, may be nil
}

// Error describes the failure in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("psktls: ")
	b.WriteString(string(e.Check))
	sep := ": "
	if e.Expected != "" {
		b.WriteString(sep + "expected " + e.Expected)
		sep = ", "
	}
	if e.Found != "" {
		b.WriteString(sep + "found " + e.Found)
		sep = ", "
	}
	if e.Err != nil {
		b.WriteString(sep + e.Err.Error())
	}
	if e.Alert != AlertNone && !e.Remote {
		b.WriteString(" (alert " + e.Alert.String() + ")")
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the Check of e.
func (e *Error) Is(target error) bool {
	c, ok := target.(Check)
	return ok && c == e.Check
}

// Timeout reports whether time ran out: the handshake's or a deadline of the
// transport.
func (e *Error) Timeout() bool {
	var cause net.Error
	return e.Check == CheckTimeout || errors.As(e.Err, &cause) && cause.Timeout()
}

// Temporary is always false; together with Timeout it makes *Error a net.Error.
func (*Error) Temporary() bool { return false }

// PanicError is a panic of the key callback, or of this package, that was kept
// inside its connection.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

// Error gives the panic value without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// refuse builds the error of a local refusal.
func refuse(check Check, alert Alert, expected, found string) *Error {
	return &Error{Check: check, Alert: alert, Expected: expected, Found: found}
}

// malformed is the refusal of a handshake message that does not parse.
func malformed(what string) *Error {
	return refuse(CheckMessage, AlertDecodeError, "a well-formed "+what, "")
}

// quotePeer renders octets chosen by the peer for a log line: quoted, every
// control and non-ASCII character escaped, at most 64 octets of the original.
func quotePeer(b []byte) string {
	const limit = 64
	if len(b) <= limit {
		return strconv.QuoteToASCII(string(b))
	}
	return strconv.QuoteToASCII(string(b[:limit])) + "... (" + strconv.Itoa(len(b)) + " octets)"
}

// internal wraps an error that no input can cause; nil stays nil.
func internal(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Check: CheckInternal, Alert: AlertInternalError, Err: err}
}
