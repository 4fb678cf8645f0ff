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

// entry is everything that is subscribed with one Topic Filter: plain subscriptions and, apart from them, the shared
// ones. Writers exclude each other by the lock of the shard or trie the entry lies in; readers need no lock.
type entry[S comparable] struct {
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

func (e *entry[S]) empty() bool { return e.subs.empty() && e.groups.empty() }

// subscribe adds or replaces a plain subscription. changed is false when the same one was there already.
func (e *entry[S]) subscribe(s sub[S]) (replaced, changed bool) {
	old, replaced := e.subs.put(s, func(x *sub[S]) bool { return x.subscriber == s.subscriber })
	if replaced && old.options == s.options {
		return true, false
	}
	if !replaced {
		e.count.Add(1)
	}
	e.version.Add(1)
	return replaced, true
}

func (e *entry[S]) unsubscribe(s sub[S]) (existed bool) {
	_, existed = e.subs.remove(s.tag, func(x *sub[S]) bool { return x.subscriber == s.subscriber })
	if existed {
		e.count.Add(-1)
		e.version.Add(1)
		e.flat.Store(nil) // it refers to a subscriber that may be gone
	}
	return existed
}

// subscribeShared adds or replaces a membership. created tells that the group is new.
func (e *entry[S]) subscribeShared(tag uint32, name topic.ShareName, f topic.Filter, s sub[S]) (replaced, created bool) {
	ref := e.findGroup(tag, name)
	if ref == nil {
		g := newGroup[S](name, f)
		g.subscribe(s) // before it becomes visible: readers never meet a new group without members
		e.groups.put(groupRef[S]{g, tag}, func(*groupRef[S]) bool { return false })
		return false, true
	}
	return ref.group.subscribe(s), false
}

// unsubscribeShared ends a membership. deleted tells that the group had no other member and is gone.
func (e *entry[S]) unsubscribeShared(tag uint32, name topic.ShareName, s sub[S]) (existed, deleted bool) {
	ref := e.findGroup(tag, name)
	if ref == nil || !ref.group.unsubscribe(s) {
		return false, false
	}
	if !ref.group.members.empty() {
		return true, false
	}
	e.groups.remove(tag, func(x *groupRef[S]) bool { return x.group.name == name })
	return true, true
}

func (e *entry[S]) findGroup(tag uint32, name topic.ShareName) *groupRef[S] {
	return e.groups.find(tag, func(x *groupRef[S]) bool { return x.group.name == name })
}
