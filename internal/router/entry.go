package router

import (
	"sync/atomic"

	"github.com/sealmq/sealmq/topic"
)

// sub is one subscription: a subscriber, its options, and the hash of the subscriber.
type sub[S comparable] struct {
	subscriber S
	tag        uint32
	options    packed
}

func (s sub[S]) hash32() uint32 { return s.tag }

// groupRef is a shared subscription of an entry, found by the hash of its ShareName.
type groupRef[S comparable] struct {
	group *Group[S]
	tag   uint32
}

func (g groupRef[S]) hash32() uint32 { return g.tag }

// entry is everything that is subscribed with one Topic Filter: one plain subscription, by far the most common case, or
// else many. An entry never changes: a change makes a new one, which takes the place of the old with one atomic store.
// Writers exclude each other by the lock of the shard or trie the entry lies in; readers need no lock.
type entry[S comparable] struct {
	one  sub[S]
	many *many[S] // nil: only one
}

// edit makes a changed entry of e, which is nil when nothing is subscribed with the filter. left is false when nothing is
// any more, and changed tells that results for the filter's topics are stale.
type edit[S comparable] func(e *entry[S]) (next entry[S], left, changed bool)

// many holds any number of plain subscriptions and, apart from them, the shared ones. It changes in place.
type many[S comparable] struct {
	subs   hashTree[sub[S]]
	groups hashTree[groupRef[S]]
	flat   atomic.Pointer[flat[S]]
	// version counts the changes of subs, after each change. A flat list is current while its version is.
	version atomic.Uint32
	count   atomic.Int32 // items in subs
}

// flat is the list of Targets that an entry means on its own, for use by every topic that only it matches.
type flat[S comparable] struct {
	targets []Target[S]
	version uint32
}

// subscribe adds or replaces a plain subscription. changed is false when the same one was there already.
func (e *entry[S]) subscribe(s sub[S]) (next entry[S], replaced, changed bool) {
	switch {
	case e == nil:
		return entry[S]{one: s}, false, true
	case e.many == nil && e.one.subscriber == s.subscriber:
		return entry[S]{one: s}, true, e.one.options != s.options
	}
	next = e.asMany()
	replaced, changed = next.many.subscribe(s)
	return next, replaced, changed
}

// unsubscribe ends a plain subscription. left is false when it was the last of the entry.
func (e *entry[S]) unsubscribe(s sub[S]) (next entry[S], left, existed bool) {
	if e.many == nil {
		existed = e.one.subscriber == s.subscriber
		return *e, !existed, existed
	}
	existed = e.many.unsubscribe(s)
	next, left = e.many.entry()
	return next, left, existed
}

// subscribeShared adds or replaces a membership. created tells that the group is new.
func (e *entry[S]) subscribeShared(tag uint32, name topic.ShareName, f topic.Filter, s sub[S]) (next entry[S], replaced, created bool) {
	next = e.asMany()
	if ref := next.many.findGroup(tag, name); ref != nil {
		return next, ref.group.subscribe(s), false
	}
	g := newGroup[S](name, f)
	g.subscribe(s) // before it becomes visible: readers never meet a new group without members
	next.many.groups.put(groupRef[S]{g, tag}, func(*groupRef[S]) bool { return false })
	return next, false, true
}

// unsubscribeShared ends a membership. deleted tells that the group had no other member and is gone, left that something
// of the entry is still there.
func (e *entry[S]) unsubscribeShared(tag uint32, name topic.ShareName, s sub[S]) (next entry[S], left, existed, deleted bool) {
	if e.many == nil {
		return *e, true, false, false
	}
	ref := e.many.findGroup(tag, name)
	if ref == nil || !ref.group.unsubscribe(s) {
		return *e, true, false, false
	}
	if !ref.group.members.empty() {
		return *e, true, true, false
	}
	e.many.groups.remove(tag, func(x *groupRef[S]) bool { return x.group.name == name })
	next, left = e.many.entry()
	return next, left, true, true
}

// asMany returns an entry that has room for more than one subscription, with what e has. e may be nil.
func (e *entry[S]) asMany() entry[S] {
	switch {
	case e == nil:
		return entry[S]{many: new(many[S])}
	case e.many != nil:
		return *e
	}
	m := new(many[S])
	m.subscribe(e.one)
	return entry[S]{many: m}
}

// entry returns the smallest entry for what is left; false when nothing is.
func (m *many[S]) entry() (e entry[S], left bool) {
	switch n := m.count.Load(); {
	case !m.groups.empty() || n > 1:
		return entry[S]{many: m}, true
	case n == 0:
		return e, false
	}
	m.subs.each(func(chunk []sub[S]) { e.one = chunk[0] })
	return e, true
}

func (m *many[S]) subscribe(s sub[S]) (replaced, changed bool) {
	old, replaced := m.subs.put(s, func(x *sub[S]) bool { return x.subscriber == s.subscriber })
	if replaced && old.options == s.options {
		return true, false
	}
	if !replaced {
		m.count.Add(1)
	}
	m.version.Add(1)
	return replaced, true
}

func (m *many[S]) unsubscribe(s sub[S]) (existed bool) {
	_, existed = m.subs.remove(s.tag, func(x *sub[S]) bool { return x.subscriber == s.subscriber })
	if existed {
		m.count.Add(-1)
		m.version.Add(1)
		m.flat.Store(nil) // it refers to a subscriber that may be gone
	}
	return existed
}

func (m *many[S]) findGroup(tag uint32, name topic.ShareName) *groupRef[S] {
	return m.groups.find(tag, func(x *groupRef[S]) bool { return x.group.name == name })
}
