// Package doctor judges a broker's set-up: it takes a Model of what was gathered and says what is unsafe or fragile, why it
// matters, and what to change. It is pure: it reads no file and asks nobody. The same checks serve SealMQ, Mosquitto, and
// a broker that was only looked at from outside.
package doctor

import (
	"fmt"
	"io/fs"
	"time"
)

// Place is where something was written. The zero value is a default, or nowhere.
type Place struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // 1-based; 0 for a file as a whole
}

// String is FILE:LINE, FILE, or "(default)".
func (p Place) String() string {
	switch {
	case p.File == "":
		return "(default)"
	case p.Line == 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Dialect is the language in which changes are written.
type Dialect string

// The dialects.
const (
	SealMQ    Dialect = "sealmq"
	Mosquitto Dialect = "mosquitto"
	Observed  Dialect = "broker" // nothing but what a client sees is known
)

// Model is everything that was gathered. What is nil or empty is not known or not there, and nothing is said about it.
type Model struct {
	Dialect    Dialect
	Subject    string // file or URL
	Now        time.Time
	Problems   []Problem
	Listeners  []Listener
	Bridges    []Bridge
	Files      []File
	Accounts   []Account
	SharedKeys []SharedKey
	OldKeys    []OldKey
	Lockout    *Lockout
	Rules      []Rule
	NoRules    []Place // places where access rules belong and are not
	Limits     []Limit
	Protection *Protection
	Storage    *Storage
	Ops        *Ops
	Audit      *Audit
	Process    *Process
	Deprecated []Directive
}

// ProblemKind says what is wrong with a configuration file itself.
type ProblemKind uint8

// The kinds.
const (
	InvalidConfig ProblemKind = iota // the broker refuses the file
	NeverMatches                     // a rule that can never decide
	NoEffect                         // read, and without effect
	UnknownName
)

// Problem is something wrong in a file.
type Problem struct {
	Kind   ProblemKind
	Place  Place
	Text   string
	Change string
	Delete bool // the whole line may go: it does nothing
}

// Listener is one way in.
type Listener struct {
	Name      string
	Place     Place
	Address   string
	Loopback  bool // only this machine can reach it
	Encrypted bool
	PSK       bool

	Anonymous      bool // clients that prove nothing are let in
	AnonymousPlace Place
	SecretsInClear bool // passwords or tokens are taken without encryption
	SecretsPlace   Place
	NoLogin        bool // nobody can log in
	NoLoginPlace   Place

	OldTLS           string // the oldest version that is accepted, if it is older than 1.2
	OldTLSPlace      Place
	NoForwardSecrecy bool
	ForwardPlace     Place

	Certificate   *Certificate
	ClientCA      bool // client certificates are asked for
	ClientCAPlace Place
	IdentityUsed  bool // and say who the client is
	CRL           *CRL // nil without

	AnyOrigin   bool // pages of any site may connect with a browser
	OriginPlace Place
	Wildcard    bool // observed: an anonymous client may subscribe to everything
	ReadsSys    bool // observed: an anonymous client may read $SYS
}

// Certificate is that of a listener.
type Certificate struct {
	File      string
	Place     Place
	Err       string // why it could not be read or does not fit its key
	NotBefore time.Time
	NotAfter  time.Time
	Names     int    // DNS names and addresses that it is for
	Weak      string // what is weak about its key or signature
}

// CRL is a list of revoked client certificates.
type CRL struct {
	File       string
	Place      Place
	Err        string
	NextUpdate time.Time
}

// Bridge is a connection to another broker.
type Bridge struct {
	Place     Place
	Name      string
	Encrypted bool
	Loopback  bool
	Secret    bool   // a password is sent
	Insecure  *Place // host names are not checked
}

// FileKind says what a file is.
type FileKind uint8

// The kinds.
const (
	SecretKey    FileKind = iota // private keys and pre-shared keys
	SecretFile                   // accounts, tokens
	TrustedFile                  // public, but whoever writes it decides
	SecretFolder                 // the broker's state
)

// File is a file that the configuration names.
type File struct {
	Kind    FileKind
	Key     string // of the configuration
	Path    string
	Place   Place
	Missing bool
	Err     string // why it could not be looked at
	Mode    fs.FileMode
}

// Account is one line of an account file.
type Account struct {
	Name         string
	Place        Place
	Weak         string // why its verifier is weak
	Broken       bool   // the verifier is no protection at all
	Passwordless bool
	SameAs       string // the account that has the same verifier, "" without one
	Err          string
}

// SharedKey is one key of several: identities with a pre-shared key, clients with a login key or a certificate.
type SharedKey struct {
	Place Place
	Files []string // files and folders that it was found in
	Names []string // at least two
}

// Lockout is what stops guessing.
type Lockout struct {
	Place    Place
	None     bool
	Failures int           // of one address with one name
	For      time.Duration // the first lock
}

// Rule is an access rule that lint has something to say about.
type Rule struct {
	Kind  RuleKind
	Place Place
	Text  string
	Why   string
	Fix   string
}

// RuleKind is what is wrong with a rule.
type RuleKind uint8

// The kinds.
const (
	Wide     RuleKind = iota // allows more than one level of a device
	Open                     // allows everything to everybody
	ByClient                 // believes what a client calls itself
	SysOpen                  // $SYS for everybody
	NoMember                 // about nobody
)

// Limit is a bound that is not there, or so far away that it is none.
type Limit struct {
	Key, Value string
	Place      Place
	Why        string
	Change     string
}

// Protection is the policy for payloads.
type Protection struct {
	Place     Place
	None      bool     // there is no policy
	Uncovered []string // filters of access rules that no rule of protection covers
	Observe   []Place  // rules that look and do not refuse
	NoReplay  []ProtectionRule
}

// ProtectionRule is a rule that lets old messages pass.
type ProtectionRule struct {
	Place Place
	Topic string
}

// OldKey is a key of a keyring that is in use and was not replaced for long.
type OldKey struct {
	Place Place
	Name  string
	Since time.Time
}

// Storage is where state is kept.
type Storage struct {
	Memory        bool
	MemoryPlace   Place
	AckBeforeSync bool
	AckPlace      Place
}

// Ops is the port for metrics and health.
type Ops struct {
	Place    Place
	Address  string
	Loopback bool
	TLS      bool
	Token    bool
}

// Audit is the audit file.
type Audit struct {
	Place  Place
	Path   string
	Broken string // why the chain does not hold
}

// Process is a broker that runs.
type Process struct {
	PID           int
	Root          bool
	RootPlace     Place // of the line that says so, if one does
	Seccomp       bool  // a filter of system calls is in force
	NoNewPrivs    bool
	Capabilities  bool // it has some
	OpenFiles     int  // how many it may open; 0: unknown
	Clients       int  // how many connections the configuration allows
	SecretsInEnv  []string
	SecretsInArgs []string
	ClockUnsynced bool
	NotReady      string
}

// Directive is one that should not be used any more.
type Directive struct {
	Place    Place
	Name     string
	Why      string
	NoEffect bool
}
