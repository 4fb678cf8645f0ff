package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/topic"
)

// ErrRecord is wrapped by every error about a record that breaks a rule.
var ErrRecord = errors.New("invalid key record")

// Use is the one thing a key may do.
type Use uint8

// Uses of a record.
const (
	UseR    Use = iota + 1 // Encrypt0, random nonce
	UseS                   // Encrypt0, session key derived per boot
	UseMAC                 // Mac0
	UseSign                // Sign1, alone or inside an encryption
	UseEnc                 // Encrypt to a public key
	UseP1                  // credential: password sealed to the broker's key
	UseP2                  // credential: MAC under a pre-shared key
	UseP3                  // credential: signature
)

var useNames = [...]string{UseR: "R", UseS: "S", UseMAC: "mac", UseSign: "sign", UseEnc: "enc", UseP1: "p1", UseP2: "p2", UseP3: "p3"}

// String returns the name used in key files.
func (u Use) String() string {
	if u == 0 || int(u) >= len(useNames) {
		return "no use"
	}
	return useNames[u]
}

// ParseUse is the inverse of Use.String.
func ParseUse(s string) (Use, error) {
	for u, name := range useNames {
		if u > 0 && name == s {
			return Use(u), nil
		}
	}
	return 0, fmt.Errorf("%w: use %q", ErrRecord, s)
}

// Symmetric reports whether the use takes a symmetric key.
func (u Use) Symmetric() bool { return u == UseR || u == UseS || u == UseMAC || u == UseP2 }

// credential reports whether the use is a CONNECT credential.
func (u Use) credential() bool { return u == UseP1 || u == UseP2 || u == UseP3 }

// SenderKind says where the sender of a message stands.
type SenderKind uint8

// Sender rules; a record has exactly one.
const (
	SenderWire           SenderKind = iota + 1 // Size bytes on the wire
	SenderFixed                                // ID of the record, nothing on the wire
	SenderClientID                             // Client Identifier of the connection
	SenderRedistribution                       // original publisher, sealed again by a broker
	SenderAnonymous                            // unknown
)

var senderNames = [...]string{
	SenderWire: "wire", SenderFixed: "fixed", SenderClientID: "client-id",
	SenderRedistribution: "redistribution", SenderAnonymous: "anonymous",
}

// String returns the name used in key files.
func (k SenderKind) String() string {
	if k == 0 || int(k) >= len(senderNames) {
		return "no sender rule"
	}
	return senderNames[k]
}

// MaxSenderID bounds a sender id in bytes.
const MaxSenderID = 64

// SenderRule is a SenderKind with its parameter.
type SenderRule struct {
	Kind SenderKind
	Size int    // SenderWire: length of the id in bytes, 1..MaxSenderID
	ID   []byte // SenderFixed: the id, 1..MaxSenderID bytes
}

// State of a key, after NIST SP 800-57 part 1 §7.
type State uint8

// States in the order a key passes through them.
const (
	StatePreActive   State = iota + 1 // opens, does not seal yet
	StateActive                       // seals and opens
	StateDecryptOnly                  // opens, does not seal any more
	StateDestroyed                    // material erased; the kid stays taken
)

var stateNames = [...]string{
	StatePreActive: "pre-active", StateActive: "active",
	StateDecryptOnly: "decrypt-only", StateDestroyed: "destroyed",
}

// String returns the name used in key files.
func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return "no state"
	}
	return stateNames[s]
}

// Limits of a record's fields.
const (
	MaxKID       = 32 // bytes
	MinPublicKID = 8  // bytes of the thumbprint
	EpochSize    = 2  // bytes at the end of a symmetric kid that Successor counts
	MaxTopics    = 64
	MaxAgeLimit  = 366 * 24 * time.Hour
)

// Record is a key with everything a receiver needs to judge a message under
// it. It is delivered by provisioning and never negotiated. Treat a Record in
// a Ring as immutable.
type Record struct {
	KID        []byte         // unique in a ring; 1..32 bytes
	Key        *cose.Key      // nil only in StateDestroyed
	Alg        cose.Algorithm // of the message; of the recipient for enc and p1
	ContentAlg cose.Algorithm // enc and p1 only
	Use        Use
	Sender     SenderRule
	Unordered  bool          // a random 16-byte cti is allowed
	Clockless  bool          // boot 0 in mode S, or a credential without iat, is allowed
	MaxAge     time.Duration // whole seconds; 0 means none
	E2E        bool          // never held by a broker
	Pairwise   bool          // held by exactly one sender and one receiver
	Broker     bool          // the signer is a broker
	Binding    bool          // a credential covers the CONNECT bytes
	Topics     []string      // filters the key may be used on; message uses need at least one
	ClientID   string        // client the key belongs to, "" if none
	Group      string        // names the epochs of one key; "" for a symmetric key means its kid without epoch
	State      State
	// MaxMessages bounds the messages sealed under the key by this holder; 0
	// means the limit of the algorithm (see Budget).
	MaxMessages uint64
}

// Opens reports whether messages under the key may be opened.
func (r *Record) Opens() bool { return r.State != StateDestroyed }

// Seals reports whether the key may seal now.
func (r *Record) Seals() bool { return r.State == StateActive }

// Allows reports whether the key may be used on a Topic Name.
func (r *Record) Allows(name string) bool {
	for _, f := range r.Topics {
		if topic.Filter(f).Matches(topic.Name(name)) {
			return true
		}
	}
	return false
}

// MaxAgeSeconds returns MaxAge in seconds.
func (r *Record) MaxAgeSeconds() uint64 { return uint64(r.MaxAge / time.Second) }

// Thumbprint returns the thumbprint of the key; zero once destroyed.
func (r *Record) Thumbprint() [32]byte {
	if r.Key == nil {
		return [32]byte{}
	}
	return r.Key.Thumbprint()
}

// group returns the name shared by the epochs of one key, "" if it has none.
func (r *Record) group() string {
	if r.Group == "" && r.Use.Symmetric() {
		return fmt.Sprintf("%x", r.KID[:len(r.KID)-EpochSize])
	}
	return r.Group
}

// String names the record without its key.
func (r *Record) String() string {
	return fmt.Sprintf("key record %x (%v, %v, %v)", r.KID, r.Use, r.Alg, r.State)
}

// Clone returns an independent copy that shares the immutable key.
func (r *Record) Clone() *Record {
	c := *r
	c.KID = bytes.Clone(r.KID)
	c.Sender.ID = bytes.Clone(r.Sender.ID)
	c.Topics = append([]string(nil), r.Topics...)
	return &c
}

// Public returns the record with the public half of its key only, for
// distribution to those who encrypt to it or verify its signatures. A
// symmetric record has none and is returned whole.
func (r *Record) Public() *Record {
	c := r.Clone()
	if r.Key != nil && !r.Use.Symmetric() {
		c.Key = r.Key.Public()
	}
	return c
}
