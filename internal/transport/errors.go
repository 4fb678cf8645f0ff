package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/sealmq/sealmq/psktls"
)

// Check names the check of a handshake that refused a connection. It is an error itself, so that callers can write
// errors.Is(err, transport.CheckRevocation).
type Check string

// The checks. psktls has more of its own, which keep their names.
const (
	CheckRecord       Check = "tls record"
	CheckVersion      Check = "tls version"
	CheckHandshake    Check = "tls handshake"
	CheckPeerAlert    Check = "alert from the peer"
	CheckPeerLeft     Check = "peer left" // after it had seen the certificate, without an alert
	CheckTimeout      Check = "handshake timeout"
	CheckTransport    Check = "transport"
	CheckCertificate  Check = "client certificate"
	CheckValidity     Check = "certificate validity"
	CheckAuthority    Check = "certificate authority"
	CheckPurpose      Check = "certificate purpose"
	CheckRevocation   Check = "certificate revocation"
	CheckCRL          Check = "certificate revocation list"
	CheckIdentity     Check = "psk identity"
	CheckKey          Check = "pre-shared key"
	CheckHTTP         Check = "http request"
	CheckPath         Check = "websocket path"
	CheckOrigin       Check = "websocket origin"
	CheckSubprotocol  Check = "websocket sub-protocol"
	CheckMessageType  Check = "websocket message type"
	CheckWebSocket    Check = "websocket frame"
	CheckFile         Check = "file"
	CheckPermissions  Check = "file permissions"
	CheckConfig       Check = "listener configuration"
	CheckListenerKind Check = "listener"
)

// Error makes a Check usable as the target of errors.Is.
func (c Check) Error() string { return string(c) }

// Error says which check refused, what it wanted and what it saw. It is for the log on this side: the peer sees nothing
// but the alert or the HTTP status. It never holds key material; text chosen by the peer is quoted and bounded.
type Error struct {
	Check    Check
	Expected string // in words; may be empty
	Found    string // in words; may be empty
	Err      error  // cause; may be nil
}

// Error describes the refusal in one line.
func (e *Error) Error() string {
	var b strings.Builder
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
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Failed implements identity.Failed. A peer that left before it said anything was refused by nobody.
func (e *Error) Failed() (check, expected, found string) {
	if e.Check == CheckTransport {
		return "", "", ""
	}
	found = e.Found
	if e.Err != nil && found == "" {
		found = e.Err.Error()
	}
	return string(e.Check), e.Expected, found
}

// Is reports whether target is the Check of e.
func (e *Error) Is(target error) bool {
	c, ok := target.(Check)
	return ok && c == e.Check
}

func refuse(check Check, expected, found string) *Error {
	return &Error{Check: check, Expected: expected, Found: found}
}

// quotePeer shows text that the peer chose: quoted, escaped and bounded.
func quotePeer(s string) string {
	const limit = 64
	if len(s) > limit {
		return fmt.Sprintf("%+q...", s[:limit])
	}
	return fmt.Sprintf("%+q", s)
}

// handshakeError says in terms of checks why a handshake ended. ctx is the one that bounded it, hello what the client
// offered as far as that was seen.
func handshakeError(ctx context.Context, err error, hello *offer) error {
	var own *Error
	var psk *psktls.Error
	var notTLS tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &own):
		return own
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Check: CheckTimeout, Expected: "a complete handshake in time", Found: hello.progress(), Err: context.Cause(ctx)}
	case errors.As(err, &psk):
		return &Error{Check: Check(psk.Check), Expected: psk.Expected, Found: psk.Found, Err: psk}
	case errors.As(err, &notTLS):
		return refuse(CheckRecord, "TLS", firstBytes(notTLS.RecordHeader))
	case errors.As(err, &op) && op.Op == "remote error": // how crypto/tls marks alerts that were received
		return &Error{Check: CheckPeerAlert, Expected: hello.trust(), Found: op.Err.Error() + hello.asked(), Err: err}
	case hello != nil && hello.seen && !hello.version:
		return refuse(CheckVersion, hello.want(), hello.offered())
	case hello != nil && hello.seen && (errors.Is(err, io.EOF) || isNetError(err)):
		return &Error{Check: CheckPeerLeft, Expected: hello.trust(), Found: "the end of the connection" + hello.asked(), Err: err}
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), isNetError(err):
		return &Error{Check: CheckTransport, Found: hello.progress(), Err: err}
	default:
		return &Error{Check: CheckHandshake, Err: err}
	}
}

func isNetError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// firstBytes guesses what a client speaks that does not speak TLS.
func firstBytes(b [5]byte) string {
	switch {
	case b[0] == 0x10:
		return "an MQTT CONNECT without TLS"
	case string(b[:4]) == "GET ", string(b[:4]) == "POST":
		return "HTTP without TLS"
	default:
		return fmt.Sprintf("the bytes %x", b)
	}
}

// offer is what a ClientHello said, for errors.
type offer struct {
	seen     bool
	version  bool // one of the versions is allowed
	minimum  uint16
	versions []uint16
	name     string            // Server Name Indication; "" without
	own      *x509.Certificate // what the listener shows
}

// trust is what a client has to accept.
func (o *offer) trust() string {
	if o == nil || o.own == nil {
		return ""
	}
	names := slices.Clone(o.own.DNSNames)
	for _, ip := range o.own.IPAddresses {
		names = append(names, ip.String())
	}
	return fmt.Sprintf("a client that trusts %s and connects to one of %s", quotePeer(o.own.Issuer.String()), strings.Join(names, ", "))
}

// asked is the name that the client wanted; clients that connect to an address ask for none.
func (o *offer) asked() string {
	switch {
	case o == nil || !o.seen:
		return ""
	case o.name == "":
		return " from one that connected to an address"
	}
	return " from one that connected to " + quotePeer(o.name)
}

func (o *offer) take(hello *tls.ClientHelloInfo) {
	const most = 8
	o.seen, o.name = true, strings.Clone(hello.ServerName)
	for _, v := range hello.SupportedVersions {
		o.version = o.version || v >= o.minimum && v <= tls.VersionTLS13
		if len(o.versions) < most {
			o.versions = append(o.versions, v)
		}
	}
}

func (o *offer) want() string {
	if o.minimum >= tls.VersionTLS13 {
		return "TLS 1.3"
	}
	return tls.VersionName(o.minimum) + " or TLS 1.3"
}

func (o *offer) offered() string {
	names := make([]string, len(o.versions))
	for i, v := range o.versions {
		names[i] = tls.VersionName(v)
	}
	return "an offer of " + strings.Join(names, ", ")
}

func (o *offer) progress() string {
	switch {
	case o == nil:
		return ""
	case o.seen:
		return "a client that stopped after its ClientHello"
	default:
		return "a client that sent no complete ClientHello"
	}
}
