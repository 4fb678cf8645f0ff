package broker

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

const (
	refusalsKept  = 1024 // of each layer
	refusalText   = 1024 // bytes of each text in a Refusal
	refusalLines  = 20   // log lines per second and layer, averaged
	refusalBurst  = 100  // log lines at once
	refusalIDSize = 10   // characters of an id: 50 random bits, so that one cannot be guessed from another
	checksCounted = 256  // different checks with a counter of their own; the rest share one
)

// Layer says which part of the broker refused.
type Layer uint8

// The layers, in the order in which a client meets them.
const (
	_              Layer = iota
	LayerTransport       // TLS and WebSocket, before the first MQTT packet
	LayerProtocol        // what the standard does not allow
	LayerLogin           // who is it
	LayerAccess          // may it
	LayerPayload         // is the message protected as policy demands
	LayerLimit           // is it too much
	layerCount
)

var layerNames = [layerCount]string{"none", "transport", "protocol", "login", "access", "payload", "limit"}

// String returns the word that logs, metrics and the audit file use.
func (l Layer) String() string {
	if l < layerCount {
		return layerNames[l]
	}
	return layerNames[0]
}

// Layers are all of them, in their order.
func Layers() []Layer {
	return []Layer{LayerTransport, LayerProtocol, LayerLogin, LayerAccess, LayerPayload, LayerLimit}
}

// Refusal is one decision against a client, with what it takes to explain it later. Texts are cut to 1024 bytes. None of
// them is shown to the client: it learns the reason code and nothing else. None of them holds a secret.
type Refusal struct {
	ID    string    // random, given by refuse
	At    time.Time // of the first of Times equal ones
	Last  time.Time
	Times int

	Layer     Layer
	ClientID  string // as far as it is known
	Username  string // what a CONNECT claimed; with LayerLogin only
	Principal identity.Principal
	Remote    string // empty for deliveries
	Listener  string // empty for deliveries
	Version   mqtt.Version

	Action identity.Action // with LayerAccess, and with other layers if it was about a topic
	Topic  string          // as the client wrote it: a Shared Subscription has its $share/NAME/

	// Check is which check refused: one of a fixed set of words, never something a client chose. For limits it is the
	// key of the configuration.
	Check    string
	Expected string // may be empty
	Found    string // may be empty
	// Decision has the rule that decided, with file and line if it was written somewhere, and the reason in words.
	Decision identity.Decision
	Code     mqtt.ReasonCode // what an MQTT 5 client was told; 0 when it was told nothing
	// Generation is the Authorizer's at that moment: when it has changed, the same question may have another answer.
	Generation uint64
	Withdrawn  bool // the client had the right when it asked; nothing was said to it
	Cut        bool // a text was longer than what is kept
}

// RefusalCount is how often one check refused since the start.
type RefusalCount struct {
	Layer Layer
	Check string // "other" for checks that found no counter of their own
	Times int64
}

// refusals keeps the last decisions of one layer, and says which of them deserve a line in the log. Repeating what was
// refused last adds to a count and no line, so that one client in a loop neither fills the log nor pushes out the others.
type refusals struct {
	mu         sync.Mutex
	ring       [refusalsKept]*Refusal
	next       int
	byID       map[string]*Refusal
	byWho      map[string]*Refusal // the last one
	lines      float64             // that may be written now
	refilled   time.Time
	suppressed int64
	silent     int64 // lines left out since the start
	checks     map[string]int64
}

// told says what became of a refusal: a line or not, how many were left out since the last one, and whether it is a new
// one or how often it was met before.
type told struct {
	line       bool
	suppressed int64
	times      int
}

// who is what a refusal is remembered by, next to its id.
func (r *Refusal) who() string {
	if r.ClientID != "" {
		return r.ClientID
	}
	return "\x00" + r.address() // no Client Identifier has this character
}

// address is Remote without the port, which differs with every connection.
func (r *Refusal) address() string {
	if i := strings.LastIndexByte(r.Remote, ':'); i >= 0 {
		return r.Remote[:i]
	}
	return r.Remote
}

func (l *refusals) add(now time.Time, r *Refusal) (id string, t told) {
	r.cut()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(r.Check)
	if last := l.byWho[r.who()]; last != nil && last.same(r) {
		last.Times++
		last.Last, last.Remote = now, r.Remote
		l.suppressed++
		l.silent++
		*r = *last
		return last.ID, told{times: last.Times}
	}
	if l.byID == nil {
		l.byID, l.byWho = map[string]*Refusal{}, map[string]*Refusal{}
	}
	if old := l.ring[l.next]; old != nil {
		delete(l.byID, old.ID)
		if l.byWho[old.who()] == old {
			delete(l.byWho, old.who())
		}
	}
	r.ID, r.At, r.Last, r.Times = rand.Text()[:refusalIDSize], now, now, 1
	kept := *r
	l.ring[l.next] = &kept
	l.next = (l.next + 1) % refusalsKept
	l.byID[r.ID], l.byWho[r.who()] = &kept, &kept
	return r.ID, l.line(now)
}

// line takes one line from what the log may get. mu is held.
func (l *refusals) line(now time.Time) told {
	if l.refilled.IsZero() {
		l.lines = refusalBurst
	}
	l.lines = min(refusalBurst, l.lines+now.Sub(l.refilled).Seconds()*refusalLines)
	l.refilled = now
	if l.lines < 1 {
		l.suppressed++
		l.silent++
		return told{times: 1}
	}
	l.lines--
	t := told{line: true, suppressed: l.suppressed, times: 1}
	l.suppressed = 0
	return t
}

// count adds one to the counter of a check. mu is held.
func (l *refusals) count(check string) {
	if l.checks == nil {
		l.checks = map[string]int64{}
	}
	if _, known := l.checks[check]; !known && len(l.checks) >= checksCounted {
		check = "other"
	}
	l.checks[check]++
}

// same reports whether both are the same question with the same answer, from the same client.
func (r *Refusal) same(o *Refusal) bool {
	return r.Layer == o.Layer && r.ClientID == o.ClientID && r.Username == o.Username && r.Principal == o.Principal &&
		r.Action == o.Action && r.Topic == o.Topic && r.Check == o.Check && r.Found == o.Found && r.Decision.Rule == o.Decision.Rule &&
		r.Code == o.Code && r.Generation == o.Generation && r.Listener == o.Listener && r.Version == o.Version &&
		r.address() == o.address() && !r.Cut && !o.Cut
}

// cut bounds and copies every text, which may be part of a packet's buffer.
func (r *Refusal) cut() {
	for _, s := range []*string{
		&r.ClientID, &r.Username, &r.Principal.Method, &r.Principal.Issuer, &r.Principal.Name, &r.Topic,
		&r.Check, &r.Expected, &r.Found, &r.Decision.Why,
	} {
		if len(*s) > refusalText {
			*s, r.Cut = strings.ToValidUTF8((*s)[:refusalText], ""), true
		}
		*s = strings.Clone(*s)
	}
}

func (l *refusals) get(id string) (Refusal, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.byID[id]; r != nil {
		return *r, true
	}
	return Refusal{}, false
}

// last returns the most recent one, of one client unless clientID is empty.
func (l *refusals) last(clientID string) (Refusal, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var best *Refusal
	if clientID != "" {
		best = l.byWho[clientID]
	} else {
		for _, r := range l.ring {
			if r != nil && (best == nil || r.Last.After(best.Last)) {
				best = r
			}
		}
	}
	if best == nil {
		return Refusal{}, false
	}
	return *best, true
}

// Refusal finds a decision by the id that the log and explain show. The last 1024 kinds of refusals of each layer and the
// last 1024 kinds of withheld deliveries are kept, in memory only.
func (b *Broker) Refusal(id string) (Refusal, bool) {
	for i := range b.refusals {
		if r, ok := b.refusals[i].get(id); ok {
			return r, true
		}
	}
	return b.deliveries.get(id)
}

// LastRefusal is the most recent refusal, of one client unless clientID is empty; without one, the most recent withheld
// delivery.
func (b *Broker) LastRefusal(clientID string) (Refusal, bool) {
	if len(clientID) > refusalText {
		clientID = strings.ToValidUTF8(clientID[:refusalText], "")
	}
	var best Refusal
	found := false
	for i := range b.refusals {
		if r, ok := b.refusals[i].last(clientID); ok && (!found || r.Last.After(best.Last)) {
			best, found = r, true
		}
	}
	if found {
		return best, true
	}
	return b.deliveries.last(clientID)
}

// RefusalCounts are the counters of all layers and checks, in a fixed order. Every refusal is counted, whether or not it is
// kept or logged; withheld deliveries have a counter of their own in Snapshot.
func (b *Broker) RefusalCounts() []RefusalCount {
	var out []RefusalCount
	for _, layer := range Layers() {
		l := &b.refusals[layer]
		l.mu.Lock()
		for _, check := range slices.Sorted(maps.Keys(l.checks)) {
			out = append(out, RefusalCount{layer, check, l.checks[check]})
		}
		l.mu.Unlock()
	}
	return out
}

// SuppressedLines is how many refusals got no line in the log since the start, because they repeated another one or were
// too many.
func (b *Broker) SuppressedLines() (n int64) {
	for i := range b.refusals {
		l := &b.refusals[i]
		l.mu.Lock()
		n += l.silent
		l.mu.Unlock()
	}
	return n
}
