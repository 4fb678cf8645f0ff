package router

import "hash/maphash"

// Ahead is how many names LookAhead takes at once.
const Ahead = 16

// LookAhead reads what MatchIn is going to need for each of up to Ahead names, without a result. With many subscriptions
// a match that is not cached waits for memory several times, one wait after the other; here the waits of all the names
// run side by side. It is worth its time only for names that the cache does not have, of which the last Result tells. It
// concerns filters without wildcards; those with wildcards share their upper levels. The sum of what was read means nothing;
// without it nobody would have to read.
func (r *Router[S]) LookAhead(names [][]byte) (sum uint64) {
	var hashes [Ahead]uint64
	var filters [Ahead]*exactFilter[S]
	n := min(len(names), Ahead)
	for i, name := range names[:n] {
		hashes[i] = maphash.Bytes(r.seed, name)
	}
	for _, h := range hashes[:n] {
		if len(r.cache.sets) > 0 {
			sum += uint64(r.cache.set(h).tags[0].Load())
		}
		if t := r.exact.shard(h).table.Load(); t != nil {
			sum += t.slots[t.home(slotHash(h))].hash.Load()
		}
	}
	for i, h := range hashes[:n] {
		filters[i] = r.exact.first(h)
	}
	for _, f := range filters[:n] {
		if f != nil {
			sum += uint64(f.entry.one.options) + uint64(len(f.text))
		}
	}
	for _, f := range filters[:n] {
		if f != nil {
			sum += uint64(f.text[0])
		}
	}
	return sum
}

// first returns the first filter that may be the one with hash h, or nil.
func (x *exact[S]) first(h uint64) *exactFilter[S] {
	t := x.shard(h).table.Load()
	if t == nil {
		return nil
	}
	h = slotHash(h)
	for i := t.home(h); ; i = t.after(i) {
		switch t.slots[i].hash.Load() {
		case 0:
			return nil
		case h:
			return t.slots[i].filter.Load()
		}
	}
}
