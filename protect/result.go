package protect

import (
	"fmt"
	"strings"
	"time"

	"github.com/sealmq/sealmq/cose"
)

// Form is what a message turned out to be.
type Form uint8

// Forms of a payload.
const (
	FormPlain    Form = iota + 1 // no protection
	FormChecksum                 // SHA-256 prefix
	FormMAC                      // COSE_Mac0
	FormSigned                   // COSE_Sign1
	FormSealed                   // COSE_Encrypt0
	FormSealedTo                 // COSE_Encrypt to public keys
)

var formNames = [...]string{
	FormPlain: "plain", FormChecksum: "checksum", FormMAC: "mac", FormSigned: "signed", FormSealed: "sealed", FormSealedTo: "sealed-to",
}

// String returns the word used in policies and logs.
func (f Form) String() string {
	if f == 0 || int(f) >= len(formNames) {
		return "no form"
	}
	return formNames[f]
}

// Integrity says against whom the content is protected, in rising order.
type Integrity uint8

// Levels of integrity.
const (
	IntegrityNone     Integrity = iota
	IntegrityChecksum           // against accidents only
	IntegrityGroup              // against everyone without the shared key
	IntegritySource             // against everyone but the sender
)

var integrityNames = [...]string{"none", "checksum", "group", "source"}

// String returns the word used in policies.
func (i Integrity) String() string {
	if int(i) >= len(integrityNames) {
		return "no integrity"
	}
	return integrityNames[i]
}

// Outcome says what to do with an opened message. Every outcome is a success to
// the peer.
type Outcome uint8

// Outcomes of a successful Open.
const (
	// Deliver: new, hand it over.
	Deliver Outcome = iota + 1
	// SameState: the retained message already known, or seen before and now
	// retained. Deliver once per subscription.
	SameState
	// Duplicate: verified, but seen before. Acknowledge, do not deliver; the
	// Result has no payload.
	Duplicate
	// Ignore: an empty raw payload on a protected topic, which says nothing.
	Ignore
)

var outcomeNames = [...]string{Deliver: "deliver", SameState: "same-state", Duplicate: "duplicate", Ignore: "ignore"}

// String returns the word used in logs and vectors.
func (o Outcome) String() string {
	if o == 0 || int(o) >= len(outcomeNames) {
		return "no outcome"
	}
	return outcomeNames[o]
}

// Result is an opened message and what was verified about it. Byte slices may
// alias the input of Open; KIDs alias key records and must not be changed.
type Result struct {
	Outcome Outcome
	Payload []byte
	// ContentType is the application's CoAP Content-Format.
	ContentType    uint16
	HasContentType bool

	Form      Form
	Kind      Kind // 0 for plain and checksum
	KID       []byte
	Signer    []byte // kid of a verified signature, alone or inside; nil if none
	Integrity Integrity
	// Confidential: the payload was encrypted on its way.
	Confidential bool
	// EndToEnd: no broker holds the key of the outermost layer.
	EndToEnd   bool
	Recipients int // of a COSE_Encrypt

	// SenderKnown says whether Sender was authenticated. For
	// KindRedistribution it is what the broker vouches for.
	SenderKnown bool
	Sender      []byte

	// Unverified: the key is not held, so nothing was proved. The fields say what the form of the message claims.
	Unverified bool

	HasIAT, HasExp bool
	IAT, Exp       time.Time // as claimed under protection, whole seconds
	// Ordered messages carry Boot and Seq.
	Ordered   bool
	Boot, Seq uint32
}

// Label says in words what was verified, and nothing more than that.
func (r *Result) Label() string {
	if r.Unverified {
		return fmt.Sprintf("form of a %v message under key %x, not verified", r.Form, r.KID)
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch r.Form {
	case FormPlain:
		return "plain, nothing verified"
	case FormChecksum:
		return "checksum matches (not tamper-proof)"
	case FormMAC:
		add("MAC ok, key %x", r.KID)
	case FormSealed:
		add("sealed, key %x", r.KID)
	case FormSealedTo:
		add("sealed to %x", r.KID)
		if r.Recipients > 1 {
			add("and %d others", r.Recipients-1)
		}
	}
	if r.Signer != nil {
		add("signed by %x", r.Signer)
	}
	switch {
	case !r.SenderKnown:
		add("sender unknown")
	case r.Kind == KindRedistribution:
		add("sender %s as the broker says", quoteID(r.Sender))
	case r.Integrity == IntegrityGroup:
		add("sender %s or another holder of the key", quoteID(r.Sender))
	case r.Integrity == IntegrityNone:
		add("sender %s as the connection says", quoteID(r.Sender))
	default:
		add("sender %s", quoteID(r.Sender))
	}
	if r.Kind == KindWill {
		add("will")
	}
	return strings.Join(parts, ", ")
}

// quoteID shows an id as text if it is plain ASCII, else in hexadecimal.
func quoteID(id []byte) string {
	for _, c := range id {
		if c <= ' ' || c > '~' || c == '"' {
			return fmt.Sprintf("0x%x", id)
		}
	}
	return fmt.Sprintf("%q", id)
}

// setClaims copies the time claims.
func (r *Result) setClaims(c *cose.Claims) {
	r.HasIAT, r.HasExp = c.HasIAT, c.HasExp
	if c.HasIAT {
		r.IAT = time.Unix(int64(c.IAT), 0)
	}
	if c.HasExp {
		r.Exp = time.Unix(int64(c.Exp), 0)
	}
}
