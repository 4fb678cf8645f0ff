package broker

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/sealmq/sealmq/internal/identity"
)

// ConnectCount is how often CONNECT packets of one listener ended in one way.
type ConnectCount struct {
	Listener string
	// Result is "accepted", the class of a refused login ("not_authenticated", "not_permitted", "bad_method", "busy",
	// "banned"), "not_allowed" by the access rules, or "invalid".
	Result string
	Count  int64
}

// connectCounts counts the ends of CONNECT. There are as many keys as listeners and results.
type connectCounts struct {
	mu sync.Mutex
	n  map[ConnectCount]int64 // guarded by mu; the key's Count is 0
}

func (c *connectCounts) add(listener, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[ConnectCount]int64{}
	}
	c.n[ConnectCount{Listener: listener, Result: result}]++
}

// admitted counts how admit ended.
func (c *connectCounts) admitted(listener string, err error) {
	switch {
	case err == nil:
		c.add(listener, "accepted")
	case errors.Is(err, errNotAuthorized):
		c.add(listener, "not_allowed")
	default:
		c.add(listener, "invalid")
	}
}

// failureWords are the results of refused logins.
var failureWords = map[identity.Failure]string{
	identity.NotAuthenticated: "not_authenticated", identity.NotPermitted: "not_permitted",
	identity.BadMethod: "bad_method", identity.Busy: "busy", identity.Banned: "banned",
}

// Connects returns the counts of all ends of CONNECT so far, by listener and result.
func (b *Broker) Connects() []ConnectCount {
	c := &b.stats.connectResults
	c.mu.Lock()
	out := make([]ConnectCount, 0, len(c.n))
	for k, n := range c.n {
		k.Count = n
		out = append(out, k)
	}
	c.mu.Unlock()
	slices.SortFunc(out, func(x, y ConnectCount) int {
		return cmp.Or(cmp.Compare(x.Listener, y.Listener), cmp.Compare(x.Result, y.Result))
	})
	return out
}
