package authn

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/identity"
)

// Refusal is the Cause of a rejected login, for the log and for explain. It never holds a secret, and what it quotes
// from the client is bounded and escaped.
type Refusal struct {
	Method   string // as in the configuration: "password", "scram", "jwt", "certificate", "psk", "credential", "anonymous", or "lockout"
	Check    string // what was looked at
	Expected string
	Found    string // may be empty
	Err      error  // underlying error, may be nil
}

// Error implements error.
func (r *Refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: expected %s", r.Method, r.Check, r.Expected)
	if r.Found != "" {
		b.WriteString(", found " + r.Found)
	}
	if r.Err != nil {
		b.WriteString(": " + r.Err.Error())
	}
	return b.String()
}

// Failed implements identity.Failed.
func (r *Refusal) Failed() (check, expected, found string) {
	found = r.Found
	if r.Err != nil {
		if found != "" {
			found += ": "
		}
		found += r.Err.Error()
	}
	return r.Method + ": " + r.Check, r.Expected, found
}

// Unwrap gives the underlying error.
func (r *Refusal) Unwrap() error { return r.Err }

// reject is a Verdict with a Refusal.
func reject(f identity.Failure, method, check, expected, found string, err error) identity.Verdict {
	return identity.Verdict{Failure: f, Cause: &Refusal{Method: method, Check: check, Expected: expected, Found: found, Err: err}}
}

// accept is the Verdict for a proved identity.
func accept(method, issuer, name string) identity.Verdict {
	return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Principal{Method: method, Issuer: issuer, Name: name}}
}

const quotedBytes = 64 // of what a client says, in a log line

// quote shows what a client or a file said: bounded, and unable to forge a log line.
func quote(s string) string {
	if len(s) > quotedBytes {
		return strconv.QuoteToASCII(s[:quotedBytes]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
