package broker

import (
	"hash/maphash"
	"sync"
)

// registry finds sessions by Client Identifier.
type registry struct {
	mu    sync.RWMutex
	byID  map[string]*clientSession
	locks stripes // held while a session is bound, ended or expires
}

func (r *registry) init() { r.byID = make(map[string]*clientSession) }

func (r *registry) get(clientID string) *clientSession {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[clientID]
}

// put makes s the session of its Client Identifier.
func (r *registry) put(s *clientSession) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[s.clientID] = s
}

// remove forgets s unless another session has taken its place.
func (r *registry) remove(s *clientSession) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID[s.clientID] == s {
		delete(r.byID, s.clientID)
	}
}

// all returns every session there is now.
func (r *registry) all() []*clientSession {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]*clientSession, 0, len(r.byID))
	for _, s := range r.byID {
		list = append(list, s)
	}
	return list
}

func (r *registry) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byID)
}

// stripes is a fixed set of locks for a large set of names: two names may share one, which costs waiting and nothing
// else. Never take two at once.
type stripes struct {
	locks [256]sync.Mutex
}

var stripeSeed = maphash.MakeSeed()

func (s *stripes) of(name string) *sync.Mutex {
	return &s.locks[maphash.String(stripeSeed, name)%uint64(len(s.locks))]
}
