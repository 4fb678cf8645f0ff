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

// Room is memory for a Match whose result is not kept in the cache, and for working in. One goroutine uses it at a time;
// the zero value is ready.
type Room[S comparable] struct {
	walk[S]
	plain []*entry[S] // the found ones with plain subscriptions
	subs  []linked[S] // the plain subscriptions of all found entries
	heads []int32     // first subscription of each subscriber
	slots []int32     // open-addressed hash of heads, plus one; 0 is empty

	result Result[S]
	target [1]Target[S] // of a result with a single one
}

// Clear forgets the last result, so that it keeps no subscriber in memory.
func (w *Room[S]) Clear() {
	if w.result.passing {
		w.result, w.target = Result[S]{}, [1]Target[S]{}
	}
}

// linked is a subscription with the next one of the same subscriber; -1 ends.
type linked[S comparable] struct {
	sub[S]
	next int32
}

// merge builds the Result of the entries in w.found, and counts what memory it takes.
func (w *Room[S]) merge(r *Result[S]) (bytes int64) {
	total := 0
	for _, e := range w.found {
		if e.many == nil {
			w.plain = append(w.plain, e)
			total++
			continue
		}
		e.many.groups.each(func(chunk []groupRef[S]) {
			for i := range chunk {
				r.Shared = append(r.Shared, chunk[i].group)
			}
		})
		if !e.many.subs.empty() {
			w.plain = append(w.plain, e)
			total += int(e.many.count.Load())
		}
	}
	bytes = int64(len(r.Shared)) * int64(unsafe.Sizeof(r.Shared[0]))
	switch {
	case len(w.plain) == 0:
		return bytes
	case len(w.plain) > 1:
		w.link(total)
		list, more := w.targets()
		r.Targets = list
		return bytes + more
	}
	var ids []uint32
	switch e := w.plain[0]; {
	case e.many != nil:
		r.Targets = e.many.targets()
	case r.passing:
		w.target[0] = e.one.target(&ids)
		r.Targets = w.target[:]
	default:
		r.Targets = []Target[S]{e.one.target(&ids)}
	}
	return bytes + int64(len(r.Targets))*int64(unsafe.Sizeof(Target[S]{})+unsafe.Sizeof(uint32(0)))
}

// tidy forgets everything that working has left behind, and gives memory back when there was very much.
func (w *Room[S]) tidy() {
	clear(w.found)
	clear(w.plain)
	clear(w.subs)
	w.found, w.plain, w.subs, w.heads = w.found[:0], w.plain[:0], w.subs[:0], w.heads[:0]
	if cap(w.subs) > scratchMax {
		w.subs, w.heads, w.slots = nil, nil, nil
	}
}

// target is the Target that a subscription means on its own. Its identifier goes to the end of ids.
func (s *sub[S]) target(ids *[]uint32) Target[S] {
	t := Target[S]{Subscriber: s.subscriber, QoS: s.options.qos(), RetainAsPublished: s.options.retainAsPublished()}
	if id := s.options.id(); id != 0 {
		*ids = append(*ids, id)
		t.SubscriptionIDs = (*ids)[len(*ids)-1 : len(*ids) : len(*ids)]
	}
	if s.options.noLocal() {
		t.Local = noLocal
	}
	return t
}

// targets returns the Targets of one entry; the caller shares them with others. O(1) while nothing changes for an entry
// with many subscribers.
func (m *many[S]) targets() []Target[S] {
	version := m.version.Load()
	if f := m.flat.Load(); f != nil && f.version == version {
		return f.targets
	}
	n := int(m.count.Load())
	list := make([]Target[S], 0, n)
	var ids []uint32
	m.subs.each(func(chunk []sub[S]) {
		for i := range chunk {
			s := &chunk[i]
			if ids == nil && s.options.id() != 0 {
				ids = make([]uint32, 0, n)
			}
			list = append(list, s.target(&ids))
		}
	})
	if len(list) >= flatMin {
		m.flat.Store(&flat[S]{targets: list, version: version}) // not current any more if m changed meanwhile
	}
	return list
}

// link collects the subscriptions of w.plain, about total, and links those of the same subscriber.
func (w *Room[S]) link(total int) {
	w.subs = slices.Grow(w.subs, total)
	for _, e := range w.plain {
		if e.many == nil {
			w.subs = append(w.subs, linked[S]{e.one, -1})
			continue
		}
		e.many.subs.each(func(chunk []sub[S]) {
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
func (w *Room[S]) targets() (list []Target[S], bytes int64) {
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
func (w *Room[S]) mergeInto(head int32, t *Target[S], ids *[]uint32) (local, all int) {
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
func (w *Room[S]) local(head int32) *Local {
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
