package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what an Entry is about.
type Kind string

// The kinds. The last five are the log's own.
const (
	Refused Kind = "refused" // a decision against a client
	Login   Kind = "login"   // a client was let in
	Admin   Kind = "admin"   // somebody changed something
	Reload  Kind = "reload"  // the configuration was read again
	Start   Kind = "start"   // the broker started
	Stop    Kind = "stop"    // the broker stopped in order

	Begin      Kind = "begin"      // the first line of a file
	Checkpoint Kind = "checkpoint" // signed
	Suppressed Kind = "suppressed" // refusals that were too many for a line each
	Lost       Kind = "lost"       // entries that could not be written
	Repaired   Kind = "repaired"   // what a crash left behind was cut off
)

// Entry is one line. Log fills Seq, Time and Prev; what is empty is left out.
type Entry struct {
	Seq  uint64    `json:"seq"` // from 1, without gaps
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`

	ID        string   `json:"id,omitempty"` // of a decision, as explain takes it
	Layer     string   `json:"layer,omitempty"`
	Client    string   `json:"client,omitempty"`
	User      string   `json:"user,omitempty"` // claimed, not proved
	Principal string   `json:"principal,omitempty"`
	Remote    string   `json:"remote,omitempty"`
	Listener  string   `json:"listener,omitempty"`
	Transport string   `json:"transport,omitempty"`
	Version   string   `json:"version,omitempty"`
	Action    string   `json:"action,omitempty"`
	Topic     string   `json:"topic,omitempty"`
	Check     string   `json:"check,omitempty"`
	Expected  string   `json:"expected,omitempty"`
	Found     string   `json:"found,omitempty"`
	Rule      string   `json:"rule,omitempty"`
	Why       string   `json:"why,omitempty"`
	Code      int      `json:"code,omitempty"`  // reason code that an MQTT 5 client was told
	Times     int64    `json:"times,omitempty"` // with refused: so often by now; with suppressed and lost: how many
	By        string   `json:"by,omitempty"`    // who acted: user and process of the control socket
	Operation string   `json:"operation,omitempty"`
	Details   []string `json:"details,omitempty"`
	Error     string   `json:"error,omitempty"` // the operation failed

	Chain string `json:"chain,omitempty"` // with begin and checkpoint: random name of the chain
	Key   string `json:"key,omitempty"`   // with begin: the public key; with checkpoint: its name
	First uint64 `json:"first,omitempty"` // with checkpoint: the oldest line that is kept

	Prev string `json:"prev"` // hash of the line before; zeros in the first line of a chain

	Hash string `json:"-"` // of this line
	Sig  string `json:"-"` // with checkpoint
}

const (
	maxText    = 1024 // bytes of one text
	maxDetails = 64
	maxLine    = 1 << 20 // bytes; texts are bounded far below
	hashMark   = `,"hash":"`
	sigMark    = `","sig":"`
	lineEnd    = `"}`
)

// signedText is what a checkpoint's signature covers, before the hash of the line, which covers everything before it.
const signedText = "SealMQ audit checkpoint\x00"

type digest [sha256.Size]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// cut bounds every text.
func (e *Entry) cut() {
	bound := func(s string) string {
		if len(s) > maxText {
			return strings.ToValidUTF8(s[:maxText], "") + "…"
		}
		return s
	}
	for _, s := range []*string{
		&e.ID, &e.Layer, &e.Client, &e.User, &e.Principal, &e.Remote, &e.Listener, &e.Transport, &e.Version, &e.Action, &e.Topic,
		&e.Check, &e.Expected, &e.Found, &e.Rule, &e.Why, &e.By, &e.Operation, &e.Error,
	} {
		*s = bound(*s)
	}
	if n := len(e.Details); n > maxDetails {
		e.Details = append(e.Details[:maxDetails:maxDetails], fmt.Sprintf("and %d more", n-maxDetails))
	}
	for i := range e.Details {
		e.Details[i] = bound(e.Details[i])
	}
}

// appendLine appends the entry's line, signed if key is given, and returns its hash:
//
//	{"seq":…,…,"prev":"H(line before)","hash":"H(everything before ,"hash")"[,"sig":"…"]}
func (e *Entry) appendLine(dst []byte, key ed25519.PrivateKey) ([]byte, digest, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return dst, digest{}, fmt.Errorf("encode an audit entry: %w", err)
	}
	body = body[:len(body)-1] // without the brace
	hash := digest(sha256.Sum256(body))
	dst = append(append(append(dst, body...), hashMark...), hash.String()...)
	if key != nil {
		sig := ed25519.Sign(key, append([]byte(signedText), hash[:]...))
		dst = base64.StdEncoding.AppendEncode(append(dst, sigMark...), sig)
	}
	return append(append(dst, lineEnd...), '\n'), hash, nil
}

var errLine = errors.New("not a line of an audit file")

// parseLine reads one line, without its line end, and checks its own hash. The chain and signatures are not checked.
func parseLine(line []byte) (*Entry, digest, error) {
	// A quote inside a text is escaped, so the mark cannot be part of one.
	at := bytes.LastIndex(line, []byte(hashMark))
	if at < 0 || len(line) > maxLine {
		return nil, digest{}, errLine
	}
	body, rest := line[:at], string(line[at+len(hashMark):])
	rest, ok := strings.CutSuffix(rest, lineEnd)
	claimed, sig, signed := strings.Cut(rest, sigMark)
	hash := digest(sha256.Sum256(body))
	if !ok || len(claimed) != 2*len(hash) {
		return nil, hash, errLine
	}
	e := &Entry{Hash: claimed, Sig: sig}
	if err := json.Unmarshal(append(bytes.Clone(body), '}'), e); err != nil {
		return nil, hash, errLine
	}
	if signed != (e.Kind == Checkpoint) {
		return nil, hash, errLine
	}
	if claimed != hash.String() {
		return e, hash, errors.New("its hash is that of another text: it was changed")
	}
	return e, hash, nil
}

// signedBy reports whether the key signed the checkpoint.
func (e *Entry) signedBy(key ed25519.PublicKey) bool {
	sig, err := base64.StdEncoding.Strict().DecodeString(e.Sig)
	hash, err2 := hex.DecodeString(e.Hash)
	return err == nil && err2 == nil && len(key) == ed25519.PublicKeySize &&
		ed25519.Verify(key, append([]byte(signedText), hash...), sig)
}
