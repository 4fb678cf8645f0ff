package keyring

import (
	"bytes"
	"fmt"

	"github.com/sealmq/sealmq/cose"
)

// Successor makes the next epoch of a key: the same record with fresh material,
// the next kid and StatePreActive. Nothing of the new key is derived from the
// old one, so whoever is not given it cannot compute it.
func (r *Record) Successor() (*Record, error) {
	next := r.Clone()
	next.State = StatePreActive
	next.Group = r.group()
	if next.Group == "" {
		return nil, fmt.Errorf("kid %x: %w: a public key needs a group to rotate in", r.KID, ErrRecord)
	}
	alg := r.Alg
	if r.Use == UseP2 {
		alg = cose.AlgA256GCM // any 32 random bytes: the MAC key is derived
	}
	key, err := cose.GenerateKey(alg)
	if err != nil {
		return nil, err
	}
	next.Key = key
	if r.Use.Symmetric() {
		if next.KID, err = nextEpoch(r.KID); err != nil {
			return nil, err
		}
	} else {
		tp := key.Thumbprint()
		next.KID = bytes.Clone(tp[:len(r.KID)])
	}
	return next, next.Validate()
}

// nextEpoch counts the last EpochSize bytes up by one. An epoch is never
// reused, so the last one has no successor.
func nextEpoch(kid []byte) ([]byte, error) {
	next := bytes.Clone(kid)
	for i := len(next) - 1; i >= len(next)-EpochSize; i-- {
		next[i]++
		if next[i] != 0 {
			return next, nil
		}
	}
	return nil, fmt.Errorf("kid %x: %w: last epoch is used, choose a new group", kid, ErrState)
}

// Activate makes a pre-active key the one that seals. Active keys of the same
// group and use become decrypt-only in the same step.
func (r *Ring) Activate(kid []byte) (changed []*Record, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed, err = r.activation(kid)
	if err == nil {
		r.store(changed...)
	}
	return changed, err
}

// activation returns the records Activate changes, without changing the ring.
func (r *Ring) activation(kid []byte) ([]*Record, error) {
	rec := r.Lookup(kid)
	switch {
	case rec == nil:
		return nil, fmt.Errorf("kid %x: %w", kid, ErrUnknown)
	case rec.State != StatePreActive:
		return nil, fmt.Errorf("activate kid %x, which is %v: %w", kid, rec.State, ErrState)
	}
	active := rec.Clone()
	active.State = StateActive
	changed := []*Record{active}
	for _, other := range r.Records() {
		if other.State == StateActive && other.Use == rec.Use && other.group() == rec.group() && rec.group() != "" {
			old := other.Clone()
			old.State = StateDecryptOnly
			changed = append(changed, old)
		}
	}
	return changed, nil
}

// Destroy erases the material of a key. The kid stays in the ring, so that it
// is never given to another key.
func (r *Ring) Destroy(kid []byte) (*Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone, err := r.destruction(kid)
	if err == nil {
		r.store(gone)
	}
	return gone, err
}

func (r *Ring) destruction(kid []byte) (*Record, error) {
	rec := r.Lookup(kid)
	switch {
	case rec == nil:
		return nil, fmt.Errorf("kid %x: %w", kid, ErrUnknown)
	case rec.State == StateDestroyed:
		return nil, fmt.Errorf("destroy kid %x twice: %w", kid, ErrState)
	}
	gone := rec.Clone()
	gone.State, gone.Key = StateDestroyed, nil
	return gone, nil
}
