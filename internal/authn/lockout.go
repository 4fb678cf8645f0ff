package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"strconv"
	"sync"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
)

// LockoutOptions say after how many failures logins are refused unseen, and for how long.
type LockoutOptions struct {
	Failures        int           // of one address with one user name
	AddressFailures int           // of one address with any names; loopback is not counted
	Within          time.Duration // in which they are counted
	For             time.Duration // first lock; each further one is twice as long, up to maxBackOff times
}

const (
	maxBackOff  = 16
	maxTracked  = 64 << 10  // entries of each table
	trustedFor  = time.Hour // how long a success lets an address with a name through the lock of its address
	evictSample = 8
)

// lockout counts failed logins by address and by address with user name. A user name alone is never locked: that would
// let a stranger lock out a device. Names are counted whether or not they exist.
//
// An address with a name that logged in lately passes the lock of its address, because an attacker may share the
// address; its own failures still count. The tables are bounded: when one is full, the entry that matters least of a
// few is dropped.
type lockout struct {
	secret [32]byte

	mu        sync.Mutex
	options   LockoutOptions
	addresses map[addressKey]*record
	pairs     map[pairKey]*record
}

type pairKey [sha256.Size]byte

// record is the history of one address, or of one address with one name.
type record struct {
	failures int
	since    time.Time // of the first of them
	until    time.Time // locked
	locks    int       // how many in a row
	success  time.Time // the last one; zero is endlessly long ago
}

func newLockout(o LockoutOptions) *lockout {
	l := &lockout{options: o, addresses: map[addressKey]*record{}, pairs: map[pairKey]*record{}}
	_, _ = rand.Read(l.secret[:]) // never fails since Go 1.24
	return l
}

// configure takes over other options; what was counted stays.
func (l *lockout) configure(o LockoutOptions) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.options = o
}

// attempt is one login, known by where it comes from and who it claims to be.
type attempt struct {
	l       *lockout
	address addressKey
	pair    pairKey
	exempt  bool // the address is not counted
}

func (l *lockout) attempt(ev *identity.Evidence, name string) attempt {
	a := attempt{l: l, address: sourceOf(ev), exempt: ev.Loopback || !ev.Remote.IsValid()}
	mac := hmac.New(sha256.New, l.secret[:])
	mac.Write([]byte(a.address.String()))
	mac.Write([]byte{0})
	mac.Write([]byte(name))
	a.pair = pairKey(mac.Sum(nil))
	return a
}

// locked returns the refusal of a login that is not looked at, nil when it is.
func (a attempt) locked() error {
	l := a.l
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	pair := l.pairs[a.pair]
	if pair != nil && now.Before(pair.until) {
		return l.refusal("failures", a.address.String()+" with this user name", pair, now, l.options.Failures)
	}
	trusted := pair != nil && now.Sub(pair.success) < trustedFor
	if r := l.addresses[a.address]; !a.exempt && !trusted && r != nil && now.Before(r.until) {
		return l.refusal("address_failures", a.address.String(), r, now, l.options.AddressFailures)
	}
	return nil
}

func (l *lockout) refusal(check, who string, r *record, now time.Time, limit int) error {
	return &Refusal{
		Method: "lockout", Check: check,
		Expected: "less than " + strconv.Itoa(limit) + " within " + l.options.Within.String(),
		Found:    "more from " + who + "; it can try again in " + r.until.Sub(now).Round(time.Second).String(),
	}
}

func (a attempt) failed() {
	l := a.l
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	entry(l.pairs, a.pair, now).fail(now, &l.options, l.options.Failures)
	if !a.exempt {
		entry(l.addresses, a.address, now).fail(now, &l.options, l.options.AddressFailures)
	}
}

func (a attempt) succeeded() {
	l := a.l
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	r := entry(l.pairs, a.pair, now)
	*r = record{success: now}
}

// fail counts one failure and locks when there are too many.
func (r *record) fail(now time.Time, o *LockoutOptions, limit int) {
	if r.failures == 0 || now.Sub(r.since) > o.Within {
		r.failures, r.since = 0, now
	}
	if now.Sub(r.until) > o.For*time.Duration(backOff(r.locks)) {
		r.locks = 0 // it behaved for as long as it was locked
	}
	if r.failures++; r.failures < limit {
		return
	}
	r.until = now.Add(o.For * time.Duration(backOff(r.locks)))
	r.failures = 0
	r.locks++
}

// backOff is 1, 2, 4, … maxBackOff.
func backOff(locks int) int {
	f := 1
	for range locks {
		if f *= 2; f >= maxBackOff {
			return maxBackOff
		}
	}
	return f
}

// entry finds or makes a record, within the bound of the table.
func entry[K comparable](table map[K]*record, key K, now time.Time) *record {
	r := table[key]
	if r != nil {
		return r
	}
	if len(table) >= maxTracked {
		var least K
		var worth int64
		n := 0
		for k, r := range table { // Go begins somewhere else each time
			if w := r.worth(now); n == 0 || w < worth {
				least, worth = k, w
			}
			if n++; n == evictSample {
				break
			}
		}
		delete(table, least)
	}
	r = new(record)
	table[key] = r
	return r
}

// worth orders records by how much it matters to keep them: locks first, then trust, then counts.
func (r *record) worth(now time.Time) int64 {
	switch {
	case now.Before(r.until):
		return 1<<62 + int64(r.until.Sub(now))>>2
	case now.Sub(r.success) < trustedFor:
		return 1<<61 - int64(now.Sub(r.success))
	default:
		return int64(r.failures + r.locks)
	}
}
