package router

import (
	"slices"
	"unsafe"
)

const (
	// flatMin is the number of subscribers from which an entry keeps its list of Targets for all topics that only it
	// matches. Below, a list of their own costs the topics less than a list more costs a million entries.
	flatMin = 16
	// scratchMax is the number of subscriptions up to which scratch memory is kept for the next match.
	scratchMax = 1 << 16
)

// noLocal is left of a Target whose filters all have No Local.
var noLocal = &Local{None: true}

// scratch is the working memory of one uncached match.
type scratch[S comparable] struct {
	walk[S]
	plain []*entry[S] // the found ones with plain subscriptions
	subs  []linked[S] // the plain subscriptions of all found entries
	heads []int32     // first subscription of each subscriber
	slots []int32     // open-addressed hash of heads, plus one; 0 is empty
}

// linked is a subscription with the next one of the same subscriber; -1 ends.
type linked[S comparable] struct {
	sub[S]
	next int32
}

// merge builds the Result of the entries in w.found, and counts what memory it takes.
func (w *scratch[S]) merge(r *Result[S]) (bytes int64) {
	total := 0
	for _, e := range w.found {
		e.groups.each(func(chunk []groupRef[S]) {
			for i := range chunk {
				r.Shared = append(r.Shared, chunk[i].group)
			}
		})
		if !e.subs.empty() {
			w.plain = append(w.plain, e)
			total += int(e.count.Load())
		}
	}
	bytes = int64(len(r.Shared)) * int64(unsafe.Sizeof(r.Shared[0]))
	switch len(w.plain) {
	case 0:
		return bytes
	case 1:
		r.Targets = w.plain[0].targets()
		return bytes + int64(len(r.Targets))*int64(unsafe.Sizeof(Target[S]{})+unsafe.Sizeof(uint32(0)))
	}
	w.link(total)
	var more int64
	r.Targets, more = w.targets()
	return bytes + more
}

// reset forgets everything the scratch memory refers to.
func (w *scratch[S]) reset() {
	clear(w.found)
	clear(w.plain)
	clear(w.subs)
	w.found, w.plain, w.subs, w.heads = w.found[:0], w.plain[:0], w.subs[:0], w.heads[:0]
}

// targets returns the Targets of one entry; the caller shares them with others. O(1) while nothing changes for an entry
// with many subscribers.
func (e *entry[S]) targets() []Target[S] {
	version := e.version.Load()
	if f := e.flat.Load(); f != nil && f.version == version {
		return f.targets
	}
	n := int(e.count.Load())
	list := make([]Target[S], 0, n)
	var ids []uint32
	e.subs.each(func(chunk []sub[S]) {
		for i := range chunk {
			s := &chunk[i]
			t := Target[S]{Subscriber: s.subscriber, QoS: s.options.qos(), RetainAsPublished: s.options.retainAsPublished()}
			if id := s.options.id(); id != 0 {
				if ids == nil {
					ids = make([]uint32, 0, n)
				}
				ids = append(ids, id)
				t.SubscriptionIDs = ids[len(ids)-1 : len(ids) : len(ids)]
			}
			if s.options.noLocal() {
				t.Local = noLocal
			}
			list = append(list, t)
		}
	})
	if len(list) >= flatMin {
		e.flat.Store(&flat[S]{targets: list, version: version}) // not current any more if e changed meanwhile
	}
	return list
}

// link collects the subscriptions of w.plain, about total, and links those of the same subscriber.
func (w *scratch[S]) link(total int) {
	w.subs = slices.Grow(w.subs, total)
	for _, e := range w.plain {
		e.subs.each(func(chunk []sub[S]) {
			for i := range chunk {
				w.subs = append(w.subs, linked[S]{chunk[i], -1})
			}
		})
	}
	size := 16
	for size < 2*len(w.subs) {
		size *= 2
	}
	w.slots = slices.Grow(w.slots[:0], size)[:size]
	clear(w.slots)
	for i := range w.subs {
		s := &w.subs[i]
		at := int(s.tag) & (size - 1)
		for {
			head := w.slots[at] - 1
			if head < 0 {
				w.heads = append(w.heads, int32(i))
				w.slots[at] = int32(i) + 1
				break
			}
			if w.subs[head].subscriber == s.subscriber {
				s.next, w.subs[head].next = w.subs[head].next, int32(i)
				break
			}
			at = (at + 1) & (size - 1)
		}
	}
}

// targets makes one Target of each subscriber in w.heads.
func (w *scratch[S]) targets() (list []Target[S], bytes int64) {
	nIDs := 0
	for i := range w.subs {
		if w.subs[i].options.id() != 0 {
			nIDs++
		}
	}
	var ids []uint32
	if nIDs > 0 {
		ids = make([]uint32, 0, nIDs)
	}
	list = make([]Target[S], len(w.heads))
	bytes = int64(len(list))*int64(unsafe.Sizeof(list[0])) + int64(nIDs)*int64(unsafe.Sizeof(ids[0]))
	for i, head := range w.heads {
		t := &list[i]
		t.Subscriber = w.subs[head].subscriber
		local, all := w.mergeInto(head, t, &ids)
		switch {
		case local == all:
		case local == 0:
			t.Local = noLocal
		default:
			t.Local = w.local(head)
			bytes += int64(unsafe.Sizeof(*t.Local)) + 4*int64(len(t.Local.SubscriptionIDs))
		}
	}
	return list, bytes
}

// mergeInto merges the subscriptions linked from head, and returns how many there are and how many have no No Local.
func (w *scratch[S]) mergeInto(head int32, t *Target[S], ids *[]uint32) (local, all int) {
	from := len(*ids)
	for i := head; i >= 0; i = w.subs[i].next {
		o := w.subs[i].options
		t.QoS = max(t.QoS, o.qos())
		t.RetainAsPublished = t.RetainAsPublished || o.retainAsPublished()
		if id := o.id(); id != 0 {
			*ids = append(*ids, id)
		}
		if !o.noLocal() {
			local++
		}
		all++
	}
	t.SubscriptionIDs = unique((*ids)[from:])
	*ids = (*ids)[:from+len(t.SubscriptionIDs)]
	return local, all
}

// local merges the subscriptions linked from head that have no No Local.
func (w *scratch[S]) local(head int32) *Local {
	l := new(Local)
	for i := head; i >= 0; i = w.subs[i].next {
		o := w.subs[i].options
		if o.noLocal() {
			continue
		}
		l.QoS = max(l.QoS, o.qos())
		l.RetainAsPublished = l.RetainAsPublished || o.retainAsPublished()
		if id := o.id(); id != 0 {
			l.SubscriptionIDs = append(l.SubscriptionIDs, id)
		}
	}
	l.SubscriptionIDs = unique(l.SubscriptionIDs)
	return l
}

// unique sorts ids, drops equal ones, and leaves no capacity behind them; nil for none.
func unique(ids []uint32) []uint32 {
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return slices.Clip(ids)
}
