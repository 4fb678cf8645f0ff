package keyring

import (
	"fmt"
	"sync"
)

// Message limits per key (RFC 9053 §4.1, NIST SP 800-38D §8.3).
const (
	// MaxRandomNonce bounds messages under one AES-GCM key with random nonces,
	// over all its senders: 2^30 keeps the chance of a collision near 2^-37.
	MaxRandomNonce = 1 << 30
	// MaxOther bounds messages under any other key. In mode S each session has
	// its own derived key and counts its own 2^32-1 besides.
	MaxOther = 1 << 48
	// budgetBlock is how many messages are reserved on disk at a time; a crash
	// forgets at most this many unused ones.
	budgetBlock = 1 << 12
)

// Budget counts the messages sealed under one key and ends at its limit. It is
// safe for concurrent use.
type Budget struct {
	limit uint64
	count *Counter // nil: counts in memory only

	mu   sync.Mutex // guards used and left
	used uint64
	left uint64 // reserved and not used yet
}

// NewBudget returns the budget of a record. With a nil counter it counts in
// memory, for keys that live no longer than the process.
func NewBudget(r *Record, count *Counter) *Budget {
	limit := uint64(MaxOther)
	if r.Use == UseR {
		limit = MaxRandomNonce
	}
	if r.MaxMessages != 0 && r.MaxMessages < limit {
		limit = r.MaxMessages
	}
	if count != nil {
		count = NewCounter(count.path, limit)
	}
	return &Budget{limit: limit, count: count}
}

// Take uses one message of the budget. The error wraps ErrExhausted at the end.
func (b *Budget) Take() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count == nil {
		if b.used >= b.limit {
			return fmt.Errorf("%d messages: %w", b.limit, ErrExhausted)
		}
		b.used++
		return nil
	}
	if b.left == 0 {
		// Reserving is rare and must be durable before the messages leave, so
		// it happens under the lock.
		if err := b.reserve(); err != nil {
			return err
		}
	}
	b.left--
	return nil
}

func (b *Budget) reserve() error {
	n := uint64(budgetBlock)
	used, err := b.count.Value()
	if err != nil {
		return err
	}
	if rest := b.limit - min(used, b.limit); rest < n {
		n = max(rest, 1) // 1: let Reserve say that nothing is left
	}
	if _, err := b.count.Reserve(n); err != nil {
		return err
	}
	b.left = n
	return nil
}
