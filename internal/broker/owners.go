package broker

import (
	"hash/maphash"
	"sync"

	"github.com/sealmq/sealmq/internal/identity"
)

// owners counts the durable sessions of each principal. A large fleet has as many principals as sessions, so that they are
// known by a hash only. Two of the same hash, which nobody can look for, would share one limit.
type owners struct {
	mu    sync.Mutex
	count map[ownerKey]int32
}

// ownerKey is the hash of a principal, in a form that the count beside it fills up without a gap.
type ownerKey [2]uint32

var ownerSeed = maphash.MakeSeed()

func keyOfOwner(p *identity.Principal) ownerKey {
	h := maphash.Comparable(ownerSeed, *p)
	return ownerKey{uint32(h >> 32), uint32(h)}
}

func (o *owners) init() { o.count = make(map[ownerKey]int32) }

// add counts n more durable sessions of p, or fewer.
func (o *owners) add(p *identity.Principal, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := keyOfOwner(p)
	if o.count[k] += int32(n); o.count[k] <= 0 {
		delete(o.count, k)
	}
}

// take counts one more durable session of p, unless there are limit of them; a limit of 0 is none.
func (o *owners) take(p *identity.Principal, limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := keyOfOwner(p)
	if limit > 0 && int(o.count[k]) >= limit {
		return false
	}
	o.count[k]++
	return true
}

// len is how many principals have sessions.
func (o *owners) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.count)
}
