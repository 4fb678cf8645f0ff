package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// How long and for how many a successful password check is remembered: long enough for a fleet that reconnects, short
// enough that nobody has to think about it.
const (
	verifiedFor  = 2 * time.Minute
	verifiedMost = 16 << 10
)

// verifiedCache remembers credentials that were checked a moment ago, by a MAC under a key that never leaves the
// process. The MAC covers the account's verifier, so that a changed password is another entry. Only successes are kept:
// what a guesser sends never becomes cheaper.
type verifiedCache struct {
	secret [32]byte
	mu     sync.Mutex
	until  map[[sha256.Size]byte]time.Time
}

func newVerifiedCache() *verifiedCache {
	c := &verifiedCache{until: map[[sha256.Size]byte]time.Time{}}
	_, _ = rand.Read(c.secret[:]) // never fails since Go 1.24
	return c
}

// key identifies an account, its verifier and a password.
func (c *verifiedCache) key(name string, v *Verifier, password []byte) [sha256.Size]byte {
	mac := hmac.New(sha256.New, c.secret[:])
	for _, part := range [][]byte{[]byte(name), []byte(v.Encode()), password} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		mac.Write(size[:])
		mac.Write(part)
	}
	return [sha256.Size]byte(mac.Sum(nil))
}

func (c *verifiedCache) has(key [sha256.Size]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.until[key]
	if !time.Now().Before(until) {
		delete(c.until, key)
		ok = false
	}
	return ok
}

func (c *verifiedCache) add(key [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.until) >= verifiedMost {
		c.shrink()
	}
	c.until[key] = time.Now().Add(verifiedFor)
}

// shrink drops what is over and, if nothing is, an arbitrary eighth: whoever is dropped is hashed once more.
func (c *verifiedCache) shrink() {
	now, drop := time.Now(), verifiedMost/8
	for k, until := range c.until {
		if !now.Before(until) {
			delete(c.until, k)
			drop--
		}
	}
	for k := range c.until {
		if drop <= 0 {
			return
		}
		delete(c.until, k)
		drop--
	}
}
