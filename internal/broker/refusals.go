package broker

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

const (
	refusalsKept  = 1024
	refusalText   = 1024 // bytes of each text in a Refusal
	refusalLines  = 20   // log lines per second, averaged
	refusalBurst  = 100  // log lines at once
	refusalIDSize = 10   // characters of an id: 50 random bits, so that one cannot be guessed from another
)

// Refusal is one decision against a client, with what it takes to explain it later. Texts are cut to 1024 bytes.
type Refusal struct {
	ID        string
	At        time.Time // of the first of Times equal ones
	Last      time.Time
	Times     int
	ClientID  string
	Principal identity.Principal
	Remote    string // empty for deliveries
	Listener  string // empty for deliveries
	Version   mqtt.Version
	Action    identity.Action
	Topic     string // as the client wrote it: a Shared Subscription has its $share/NAME/
	Decision  identity.Decision
	// Generation is the Authorizer's at that moment: when it has changed, the same question may have another answer.
	Generation uint64
	Cut        bool // a text was longer than what is kept
}

// refusals keeps the last decisions, and says which of them deserve a line in the log. Repeating what was refused last adds
// to a count and no line, so that one client in a loop neither fills the log nor pushes out the others.
type refusals struct {
	mu         sync.Mutex
	ring       [refusalsKept]*Refusal
	next       int
	byID       map[string]*Refusal
	byClient   map[string]*Refusal // the last one
	lines      float64             // that may be written now
	refilled   time.Time
	suppressed int
}

// told says what the log gets: a line or not, and how many were left out since the last one.
type told struct {
	line       bool
	suppressed int
}

func (l *refusals) add(now time.Time, r Refusal) (id string, t told) {
	r.cut()
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.byClient[r.ClientID]; last != nil && last.same(&r) {
		last.Times++
		last.Last = now
		l.suppressed++
		return last.ID, told{}
	}
	if l.byID == nil {
		l.byID, l.byClient = map[string]*Refusal{}, map[string]*Refusal{}
	}
	if old := l.ring[l.next]; old != nil {
		delete(l.byID, old.ID)
		if l.byClient[old.ClientID] == old {
			delete(l.byClient, old.ClientID)
		}
	}
	r.ID, r.At, r.Last, r.Times = rand.Text()[:refusalIDSize], now, now, 1
	l.ring[l.next] = &r
	l.next = (l.next + 1) % refusalsKept
	l.byID[r.ID], l.byClient[r.ClientID] = &r, &r
	if l.refilled.IsZero() {
		l.lines = refusalBurst
	}
	l.lines = min(refusalBurst, l.lines+now.Sub(l.refilled).Seconds()*refusalLines)
	l.refilled = now
	if l.lines < 1 {
		l.suppressed++
		return r.ID, told{}
	}
	l.lines--
	t = told{line: true, suppressed: l.suppressed}
	l.suppressed = 0
	return r.ID, t
}

// same reports whether both are the same question with the same answer.
func (r *Refusal) same(o *Refusal) bool {
	return r.ClientID == o.ClientID && r.Principal == o.Principal && r.Action == o.Action && r.Topic == o.Topic &&
		r.Generation == o.Generation && r.Listener == o.Listener && r.Version == o.Version && !r.Cut && !o.Cut
}

// cut bounds and copies every text, which may be part of a packet's buffer.
func (r *Refusal) cut() {
	for _, s := range []*string{
		&r.ClientID, &r.Principal.Method, &r.Principal.Issuer, &r.Principal.Name, &r.Topic, &r.Decision.Why,
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
		best = l.byClient[clientID]
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

// Refusal finds a decision by the id that the log and explain show. The last 1024 refused requests and the last 1024 kinds
// of withheld deliveries are kept, in memory only.
func (b *Broker) Refusal(id string) (Refusal, bool) {
	if r, ok := b.refusals.get(id); ok {
		return r, true
	}
	return b.deliveries.get(id)
}

// LastRefusal is the most recent refused request, of one client unless clientID is empty; without one, the most recent
// withheld delivery.
func (b *Broker) LastRefusal(clientID string) (Refusal, bool) {
	if len(clientID) > refusalText {
		clientID = clientID[:refusalText]
	}
	if r, ok := b.refusals.last(clientID); ok {
		return r, true
	}
	return b.deliveries.last(clientID)
}
