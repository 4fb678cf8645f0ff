package router

import (
	"strings"
	"sync/atomic"

	"github.com/sealmq/sealmq/topic"
)

// Group is one Shared Subscription: the subscribers of one ShareName and Topic Filter, MQTT 5 §4.8.2. It lives as long
// as it has members; who subscribes after the last one left founds a new Group. Its methods are safe for concurrent use
// and always speak of the present members, also for a Group out of an older Result.
type Group[S comparable] struct {
	name    topic.ShareName
	filter  topic.Filter
	members hashTree[sub[S]]
	list    atomic.Pointer[memberList[S]]
	version atomic.Uint32 // counts the changes of members, after each change
	count   atomic.Int32
	turn    atomic.Uint64
}

// Member is one subscriber of a Group.
type Member[S comparable] struct {
	Subscriber S
	Options    // NoLocal is never set
}

type memberList[S comparable] struct {
	members []Member[S]
	version uint32
}

// newGroup copies its strings: the caller's may lie in a packet buffer.
func newGroup[S comparable](name topic.ShareName, f topic.Filter) *Group[S] {
	return &Group[S]{name: topic.ShareName(strings.Clone(string(name))), filter: topic.Filter(strings.Clone(string(f)))}
}

// ShareName returns the name of the group.
func (g *Group[S]) ShareName() topic.ShareName { return g.name }

// Filter returns the Topic Filter, without "$share" and ShareName.
func (g *Group[S]) Filter() topic.Filter { return g.filter }

// Next returns a number that grows by one with each call, for choosing members round robin. The first is 0.
func (g *Group[S]) Next() uint64 { return g.turn.Add(1) - 1 }

// Members returns the present members in an order that stays the same while nobody joins or leaves. The slice is an
// immutable snapshot; the caller must not change it. It is empty when the last member has left meanwhile. The first call
// after a change costs O(members), further ones O(1).
func (g *Group[S]) Members() []Member[S] {
	v := g.version.Load()
	if l := g.list.Load(); l != nil && l.version == v {
		return l.members
	}
	// A change during the walk leaves the list with a version that is no longer current; the next call builds anew.
	list := make([]Member[S], 0, g.count.Load())
	g.members.each(func(chunk []sub[S]) {
		for i := range chunk {
			list = append(list, Member[S]{Subscriber: chunk[i].subscriber, Options: chunk[i].options.options()})
		}
	})
	g.list.Store(&memberList[S]{members: list, version: v})
	return list
}

func (g *Group[S]) subscribe(s sub[S]) (replaced bool) {
	s.options &^= packedNoLocal
	old, replaced := g.members.put(s, func(x *sub[S]) bool { return x.subscriber == s.subscriber })
	if replaced && old.options == s.options {
		return true
	}
	if !replaced {
		g.count.Add(1)
	}
	g.version.Add(1)
	return replaced
}

func (g *Group[S]) unsubscribe(s sub[S]) (existed bool) {
	_, existed = g.members.remove(s.tag, func(x *sub[S]) bool { return x.subscriber == s.subscriber })
	if existed {
		g.count.Add(-1)
		g.version.Add(1)
		g.list.Store(nil)
	}
	return existed
}
