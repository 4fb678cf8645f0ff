// Package identity is the vocabulary in which transports, authenticators, authorizers and the broker speak about
// who a client is: what the transport proved (Evidence), who the client therefore is (Principal), and whether it may
// do something (Decision). It holds no policy.
package identity

import (
	"crypto/x509"
	"net/netip"
	"strconv"
	"time"
)

// Evidence is what a transport proved about a Network Connection before the first MQTT byte. It is fixed when the
// connection is accepted and never changes afterwards.
type Evidence struct {
	Listener  string         // name of the listener in the configuration
	Transport string         // "tcp", "tls", "psk", "ws", "wss", "unix"
	Remote    netip.AddrPort // zero for Unix sockets
	Local     netip.AddrPort // zero for Unix sockets
	Loopback  bool           // both ends are on this machine, as read from the real socket
	TLS       *TLS           // nil without TLS
}

// TLS is the part of Evidence that a TLS handshake adds.
type TLS struct {
	Version     uint16              // as in RFC 8446 §4.2.1
	CipherSuite uint16              // as in the IANA TLS cipher suite registry
	ServerName  string              // SNI, may be empty
	Chain       []*x509.Certificate // verified client chain, leaf first; empty without client certificate
	PSKIdentity string              // RFC 4279 identity; empty without PSK
	// PSKFingerprint names the key of PSKIdentity within this process and tells nothing about it. It shows that a key was
	// replaced.
	PSKFingerprint [16]byte
	// Exporter derives keying material bound to this TLS connection (RFC 5705, RFC 9266). Nil when the version or the
	// negotiated extensions do not allow a safe export.
	Exporter func(label string, context []byte, length int) ([]byte, error)
}

// Encrypted reports whether the bytes on the wire are confidential.
func (e *Evidence) Encrypted() bool { return e.TLS != nil }

// Principal is an authenticated identity. Two principals are the same only when all three fields are equal: a JWT
// subject "alice" and a PSK identity "alice" are different principals. The zero value is nobody.
type Principal struct {
	Method string // "anonymous", "password", "scram", "certificate", "psk", "jwt", "p1", "p2", "p3"
	Issuer string // authority that vouches for Name, such as a CA or token issuer; empty for local accounts
	Name   string // user name, subject or identity
}

// Anonymous is the principal of clients that proved nothing.
var Anonymous = Principal{Method: "anonymous"}

// IsAnonymous reports whether nothing was proved about the client.
func (p Principal) IsAnonymous() bool { return p.Method == "" || p.Method == "anonymous" }

// String is for logs: method, issuer and name, quoted so that a hostile name cannot forge a log line.
func (p Principal) String() string {
	if p.IsAnonymous() {
		return "anonymous"
	}
	s := p.Method + ":"
	if p.Issuer != "" {
		s += strconv.Quote(p.Issuer) + "/"
	}
	return s + strconv.Quote(p.Name)
}

// Action is something a principal asks to do.
type Action uint8

// The actions an Authorizer decides about.
const (
	_         Action = iota
	Connect          // use this Client Identifier
	Publish          // PUBLISH to a Topic Name
	Retain           // PUBLISH with RETAIN 1 to a Topic Name
	Subscribe        // SUBSCRIBE to a Topic Filter (the inner filter of a Shared Subscription)
	Receive          // be delivered a message of a concrete Topic Name
	Will             // register or publish a Will Message on a Topic Name
)

var actionNames = [...]string{"invalid", "connect", "publish", "retain", "subscribe", "receive", "will"}

// String returns the word the configuration and the logs use.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return actionNames[0]
}

// Rule names the place of policy that decided.
type Rule struct {
	Name string // the rule as written, or "default deny"
	File string // empty for built-in rules
	Line int    // 1-based; 0 for built-in rules
}

// String is file:line name, as shown in logs and by explain.
func (r Rule) String() string {
	if r.File == "" {
		return r.Name
	}
	return r.File + ":" + strconv.Itoa(r.Line) + " " + r.Name
}

// Decision is an Authorizer's answer. The zero value denies.
type Decision struct {
	Allowed bool
	Rule    Rule   // what decided
	Why     string // for the log and for explain; never sent to the client
}

// Allow is a Decision that permits because of rule.
func Allow(rule Rule) Decision { return Decision{Allowed: true, Rule: rule} }

// Deny is a Decision that refuses because of rule, with the reason in words.
func Deny(rule Rule, why string) Decision { return Decision{Rule: rule, Why: why} }

// Credentials is what a CONNECT, and the AUTH packets after it, say about the client.
type Credentials struct {
	ClientID    string
	Level       byte // MQTT protocol level: 3, 4 or 5
	HasUsername bool
	Username    string
	HasPassword bool
	Password    []byte // may be empty although HasPassword
	Method      string // MQTT 5 Authentication Method, empty without enhanced authentication
	Data        []byte // MQTT 5 Authentication Data
	// Prefix is the CONNECT from the first byte of its variable header up to the Password's length, which a
	// credential in the Password may cover.
	Prefix []byte
}

// Outcome is the kind of a Verdict. The zero value rejects.
type Outcome uint8

// The outcomes of an authentication step.
const (
	Rejected  Outcome = iota
	Accepted          // Principal is who the client is
	Continued         // Data goes to the client in AUTH; its answer goes to Next
)

// Failure classes of rejected logins. The client learns the class and nothing more; unknown names and wrong passwords
// are one class.
type Failure uint8

// The failure classes.
const (
	NotAuthenticated Failure = iota // wrong, unknown or missing credentials
	NotPermitted                    // known, but may not connect here or with this Client Identifier
	BadMethod                       // Authentication Method not offered
	Busy                            // the login queue is full: try again later
	Banned                          // locked out
)

// Verdict is one answer of an authenticator.
type Verdict struct {
	Outcome   Outcome
	Principal Principal
	Data      []byte                    // Authentication Data for the client, with Accepted and Continued
	Next      func(data []byte) Verdict // set with Continued
	ExpiresAt time.Time                 // with Accepted: when the proof ends and the connection with it; zero: never
	Failure   Failure                   // set with Rejected
	Cause     error                     // for the log and for explain; never sent to the client
}

// Failed is implemented by the errors of transports and authenticators that refuse a client: which check it was, what it
// wanted and what it saw. check is one of a fixed set of words, and empty when the peer only went away. None of them holds
// a secret; text that the peer chose is quoted and bounded.
type Failed interface {
	error
	Failed() (check, expected, found string)
}
