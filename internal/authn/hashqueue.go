package authn

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
)

var errQueueFull = errors.New("too many logins wait for a password check")

// hashQueue bounds how many passwords are hashed at once, and with that the memory: slots times the dearest verifier.
// Who finds no slot waits, first come first served within one address and in turn between addresses, so that a flood
// from one place delays its own logins and not those of others. When the queue is full, a newcomer displaces the last
// one in line of the address with the most, unless that is its own.
type hashQueue struct {
	slots   int
	garbage hashGarbage

	mu      sync.Mutex
	free    int
	limit   int
	waiting int
	lines   map[netip.Prefix][]*hashWaiter
	turn    []netip.Prefix // addresses with a line, next first
}

type hashWaiter struct {
	ready chan error // nil: the slot is yours; buffered, sent to once
}

func newHashQueue(slots, limit int) *hashQueue {
	return &hashQueue{slots: slots, free: slots, limit: limit, lines: map[netip.Prefix][]*hashWaiter{}}
}

// acquire waits for a slot. The error is errQueueFull or that of ctx; without one, release must be called.
func (q *hashQueue) acquire(ctx context.Context, from netip.Prefix) error {
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return nil
	}
	if q.waiting >= q.limit && !q.displace(from) {
		q.mu.Unlock()
		return errQueueFull
	}
	w := &hashWaiter{ready: make(chan error, 1)}
	if len(q.lines[from]) == 0 {
		q.turn = append(q.turn, from)
	}
	q.lines[from] = append(q.lines[from], w)
	q.waiting++
	q.mu.Unlock()
	select {
	case err := <-w.ready:
		return err
	case <-ctx.Done():
		if !q.leave(from, w) && <-w.ready == nil {
			q.release()
		}
		return ctx.Err()
	}
}

// displace makes room by sending away the last in the longest line, if that is longer than the newcomer's would be.
func (q *hashQueue) displace(from netip.Prefix) bool {
	var longest netip.Prefix
	for a, line := range q.lines {
		if len(line) > len(q.lines[longest]) {
			longest = a
		}
	}
	line := q.lines[longest]
	if len(line) <= len(q.lines[from])+1 {
		return false
	}
	last := line[len(line)-1]
	q.remove(longest, len(line)-1)
	last.ready <- errQueueFull
	return true
}

// leave takes a waiter out and reports whether it was still in line.
func (q *hashQueue) leave(from netip.Prefix, w *hashWaiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.lines[from], w)
	if i < 0 {
		return false
	}
	q.remove(from, i)
	return true
}

// remove deletes element i of a line. mu is held.
func (q *hashQueue) remove(from netip.Prefix, i int) {
	line := slices.Delete(q.lines[from], i, i+1)
	q.waiting--
	if len(line) > 0 {
		q.lines[from] = line
		return
	}
	delete(q.lines, from)
	q.turn = slices.DeleteFunc(q.turn, func(a netip.Prefix) bool { return a == from })
}

// release gives the slot to whose turn it is.
func (q *hashQueue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == 0 {
		q.free++
		return
	}
	from := q.turn[0]
	w := q.lines[from][0]
	q.turn = append(q.turn[1:], from) // to the end; remove takes it out when its line is empty
	q.remove(from, 0)
	w.ready <- nil
}
