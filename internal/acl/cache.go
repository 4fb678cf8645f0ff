package acl

import (
	"strings"
	"sync"

	"github.com/sealmq/sealmq/internal/identity"
)

const (
	cacheShards = 64
	// shardEntries bounds one shard, in compiled rules and clients together: about 40 MiB for all shards. A full shard
	// starts again empty, which costs its clients one compilation each.
	shardEntries = 16384
)

// cache keeps the rules of each client that was seen. It belongs to one Policy, so a new policy begins with nothing.
type cache struct{ shards [cacheShards]shard }

type shard struct {
	mu   sync.RWMutex
	sets map[cacheKey]cached
	cost int
}

// cacheKey is short because hashing it is most of a decision's price. Clients that share it and differ in how they logged
// in take turns in one place.
type cacheKey struct{ name, client string }

type cached struct {
	method, issuer string
	list           []entry
}

// shardOf spreads clients by the ends of what they are called; it need not be even.
func (c *cache) shardOf(who *identity.Principal, clientID string) *shard {
	h := uint(len(clientID))*31 + uint(len(who.Name))
	for _, s := range [2]string{clientID, who.Name} {
		if n := len(s); n > 1 {
			h = h*31 + uint(s[n-1])*7 + uint(s[n-2])
		}
	}
	return &c.shards[h%cacheShards]
}

// entries returns the rules that are about a client, in their order.
func (p *Policy) entries(who *identity.Principal, clientID string) []entry {
	if p.common != nil {
		return p.common
	}
	s := p.cache.shardOf(who, clientID)
	key := cacheKey{who.Name, clientID}
	s.mu.RLock()
	c, ok := s.sets[key]
	s.mu.RUnlock()
	if ok && c.method == who.Method && c.issuer == who.Issuer {
		return c.list
	}
	list := p.compile(who, clientID)
	s.put(cacheKey{strings.Clone(who.Name), strings.Clone(clientID)},
		cached{method: strings.Clone(who.Method), issuer: strings.Clone(who.Issuer), list: list})
	return list
}

func (s *shard) put(key cacheKey, c cached) {
	cost := len(c.list) + 1
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, there := s.sets[key]; there {
		s.cost -= len(old.list) + 1
	}
	if s.sets == nil || s.cost+cost > shardEntries {
		s.sets, s.cost = map[cacheKey]cached{}, 0
	}
	s.sets[key] = c
	s.cost += cost
}
