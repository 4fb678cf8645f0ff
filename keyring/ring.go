package keyring

import (
	"errors"
	"fmt"
	"maps"
	"sort"
	"sync"
	"sync/atomic"
)

var (
	// ErrExists is returned when a kid or a public key is taken already.
	ErrExists = errors.New("key already in the ring")
	// ErrUnknown is returned when no record has the kid.
	ErrUnknown = errors.New("no such key")
	// ErrState is returned when a key's state does not allow the change.
	ErrState = errors.New("key state does not allow this")
)

// Ring finds key records by kid. It is safe for concurrent use; look-ups take
// no lock and do not allocate. The zero value is an empty ring.
type Ring struct {
	mu    sync.Mutex // serialises changes
	index atomic.Pointer[ringIndex]
}

type ringIndex struct {
	byKID   map[string]*Record
	byPrint map[[32]byte]*Record // public keys for encryption only
}

// Lookup returns the record of a kid, or nil. Destroyed records are returned:
// their kid is known, and taken for ever.
func (r *Ring) Lookup(kid []byte) *Record {
	if idx := r.index.Load(); idx != nil {
		return idx.byKID[string(kid)]
	}
	return nil
}

// LookupThumbprint returns the enc record of a public key, or nil.
func (r *Ring) LookupThumbprint(thumbprint []byte) *Record {
	idx := r.index.Load()
	if idx == nil || len(thumbprint) != 32 {
		return nil
	}
	return idx.byPrint[[32]byte(thumbprint)]
}

// Records returns all records in the order of their kids.
func (r *Ring) Records() []*Record {
	idx := r.index.Load()
	if idx == nil {
		return nil
	}
	out := make([]*Record, 0, len(idx.byKID))
	for _, rec := range idx.byKID {
		out = append(out, rec)
	}
	sort.Slice(out, func(i, j int) bool { return string(out[i].KID) < string(out[j].KID) })
	return out
}

// Add validates records and adds copies of them, all or none. A kid is used
// once, and so is the material of a key: one key in two records would be two
// uses of one key. The exception is a signature key that also signs CONNECT
// credentials, because the external_aad of the two are of different kinds.
func (r *Ring) Add(recs ...*Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	kids, prints := map[string]bool{}, map[[32]byte]*Record{}
	for _, rec := range r.Records() {
		kids[string(rec.KID)] = true
		if rec.Key != nil {
			prints[rec.Thumbprint()] = rec
		}
	}
	added := make([]*Record, 0, len(recs))
	for _, rec := range recs {
		if err := rec.Validate(); err != nil {
			return err
		}
		if kids[string(rec.KID)] {
			return fmt.Errorf("kid %x: %w", rec.KID, ErrExists)
		}
		kids[string(rec.KID)] = true
		if rec.Key != nil {
			if other := prints[rec.Thumbprint()]; other != nil && !mayShareKey(rec, other) {
				return fmt.Errorf("kid %x has the key of kid %x: %w", rec.KID, other.KID, ErrExists)
			}
			prints[rec.Thumbprint()] = rec
		}
		added = append(added, rec.Clone())
	}
	r.store(added...)
	return nil
}

func mayShareKey(a, b *Record) bool {
	return (a.Use == UseSign && b.Use == UseP3) || (a.Use == UseP3 && b.Use == UseSign)
}

// store puts records in the place of those with their kids. Caller holds mu.
func (r *Ring) store(recs ...*Record) {
	next := &ringIndex{byKID: map[string]*Record{}, byPrint: map[[32]byte]*Record{}}
	if old := r.index.Load(); old != nil {
		maps.Copy(next.byKID, old.byKID)
	}
	for _, rec := range recs {
		next.byKID[string(rec.KID)] = rec
	}
	for _, rec := range next.byKID {
		if rec.Use == UseEnc && rec.Key != nil {
			next.byPrint[rec.Thumbprint()] = rec
		}
	}
	r.index.Store(next)
}
