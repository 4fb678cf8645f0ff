package broker

import (
	"hash/maphash"
	"sync"
)

// registry finds sessions by Client Identifier. It knows them by the hash, which takes half the memory of a map of texts;
// those whose hash another one has, if there ever are any, it knows by the text.
type registry struct {
	mu     sync.RWMutex
	hash   func(clientID string) uint64
	byHash map[uint64]*clientSession
	others map[string]*clientSession
	locks  stripes // held while a session is bound, ended or expires
}

func (r *registry) init() {
	seed := maphash.MakeSeed()
	r.hash = func(clientID string) uint64 { return maphash.String(seed, clientID) }
	r.byHash, r.others = make(map[uint64]*clientSession), make(map[string]*clientSession)
}

func (r *registry) get(clientID string) *clientSession {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if s := r.byHash[r.hash(clientID)]; s != nil && s.clientID == clientID {
		return s
	}
	return r.others[clientID]
}

// put makes s the session of its Client Identifier.
func (r *registry) put(s *clientSession) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hash(s.clientID)
	if old := r.byHash[h]; old != nil && old.clientID != s.clientID {
		r.others[s.clientID] = s
		return
	}
	delete(r.others, s.clientID) // where it was while another one had its hash
	r.byHash[h] = s
}

// remove forgets s unless another session has taken its place.
func (r *registry) remove(s *clientSession) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hash(s.clientID); r.byHash[h] == s {
		delete(r.byHash, h)
	}
	if r.others[s.clientID] == s {
		delete(r.others, s.clientID)
	}
}

// each calls yield, which must not block, with every session there is now.
func (r *registry) each(yield func(s *clientSession)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.byHash {
		yield(s)
	}
	for _, s := range r.others {
		yield(s)
	}
}

// all returns every session there is now.
func (r *registry) all() []*clientSession {
	list := make([]*clientSession, 0, r.len())
	r.each(func(s *clientSession) { list = append(list, s) })
	return list
}

func (r *registry) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byHash) + len(r.others)
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
