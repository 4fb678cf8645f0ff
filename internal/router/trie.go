package router

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// trie holds the filters with wildcards. Writers exclude each other by writing; readers take no lock, because a node
// becomes reachable through one atomic store and never moves.
//
// Level names are kept by the nodes. Sharing equal names of different nodes in one table would cost every distinct name
// more than it saves: names that repeat below many nodes ("status") are short, and the many ones (device identifiers)
// do not repeat.
type trie[S comparable] struct {
	seed  maphash.Seed
	root  node[S]
	nodes atomic.Int64 // without the root

	writing sync.Mutex
	path    []*node[S] // scratch of the writer
}

// maxShared is the length of a filter, in bytes, up to which a node keeps it in memory instead of a copy of its own level:
// whoever subscribed keeps it, too, most often for as long.
const maxShared = 64

// node is a level of one or more filters.
type node[S comparable] struct {
	level string
	kids  hashTree[child[S]]       // literal levels below
	plus  atomic.Pointer[node[S]]  // "+" below
	here  atomic.Pointer[entry[S]] // the filter that ends with this level
	multi atomic.Pointer[entry[S]] // the filter that ends with "#" below
}

// child refers to a node by the hash of its level, so that a search touches only the node it looks for.
type child[S comparable] struct {
	node *node[S]
	tag  uint32
}

func (c child[S]) hash32() uint32 { return c.tag }

func (n *node[S]) empty() bool {
	return n.kids.empty() && n.plus.Load() == nil && n.here.Load() == nil && n.multi.Load() == nil
}

func (n *node[S]) child(level string, tag uint32) *node[S] {
	if c := n.kids.find(tag, func(c *child[S]) bool { return c.node.level == level }); c != nil {
		return c.node
	}
	return nil
}

func (t *trie[S]) tag(level string) uint32 { return uint32(maphash.String(t.seed, level)) }

// change replaces the entry of f by what do makes of it, and afterwards removes all nodes that hold nothing any more.
// Without create, do is not called when the entry does not exist. O(levels of f) without do.
func (t *trie[S]) change(f string, create bool, do edit[S]) (changed bool) {
	t.writing.Lock()
	defer t.writing.Unlock()
	at := t.locate(f, create)
	if at == nil {
		return false
	}
	old := at.Load()
	if old == nil && !create {
		clear(t.path)
		return false
	}
	next, left, changed := do(old)
	switch {
	case !left:
		at.Store(nil)
		t.prune()
	case old == nil || *old != next:
		e := next // only this one goes to the heap
		at.Store(&e)
	}
	clear(t.path)
	return changed
}

// locate returns the place for the entry of f and leaves the nodes above it in t.path. Without create it returns nil
// when a node is missing.
func (t *trie[S]) locate(f string, create bool) *atomic.Pointer[entry[S]] {
	n := &t.root
	t.path = append(t.path[:0], n)
	long := len(f) > maxShared
	for more := true; more; {
		var level string
		level, f, more = strings.Cut(f, "/")
		var next *node[S]
		switch level {
		case "#":
			return &n.multi
		case "+":
			next = n.plus.Load()
			if next == nil && create {
				next = &node[S]{level: "+"}
				t.nodes.Add(1)
				n.plus.Store(next)
			}
		default:
			tag := t.tag(level)
			next = n.child(level, tag)
			if next == nil && create {
				if long {
					level = strings.Clone(level)
				}
				next = &node[S]{level: level}
				t.nodes.Add(1)
				n.kids.put(child[S]{next, tag}, func(*child[S]) bool { return false })
			}
		}
		if next == nil {
			clear(t.path)
			return nil
		}
		n = next
		t.path = append(t.path, n)
	}
	return &n.here
}

// prune removes the empty nodes at the end of t.path.
func (t *trie[S]) prune() {
	for i := len(t.path) - 1; i > 0 && t.path[i].empty(); i-- {
		n, parent := t.path[i], t.path[i-1]
		if parent.plus.Load() == n {
			parent.plus.Store(nil)
		} else {
			parent.kids.remove(t.tag(n.level), func(c *child[S]) bool { return c.node == n })
		}
		t.nodes.Add(-1)
	}
}

// walk is the scratch memory of matching one topic name.
type walk[S comparable] struct {
	rest    string // levels not split off yet
	ended   bool   // there are none
	levels  []levelTag
	pending []visit[S]
	visits  int // nodes visited, for tests
	found   []*entry[S]
}

type levelTag struct {
	text string
	tag  uint32
}

// visit is a node still to be visited; depth levels of the name lead to it.
type visit[S comparable] struct {
	node  *node[S]
	depth int
}

// match adds to w.found the entry of every filter that matches name. It takes the next node from a stack, which never
// holds more than one node a level and one more, because a node adds at most two.
func (t *trie[S]) match(name string, w *walk[S]) {
	if t.root.empty() {
		return
	}
	w.rest, w.ended, w.visits = name, false, 0
	w.levels = w.levels[:0]
	// A filter with a wildcard in its first level does not match a name that starts with "$" [MQTT-4.7.2-1].
	reserved := strings.HasPrefix(name, "$")
	w.pending = append(w.pending[:0], visit[S]{&t.root, 0})
	for len(w.pending) > 0 {
		v := w.pending[len(w.pending)-1]
		w.pending[len(w.pending)-1] = visit[S]{} // scratch memory keeps no node alive
		w.pending = w.pending[:len(w.pending)-1]
		w.visits++
		wild := v.depth > 0 || !reserved
		if e := v.node.multi.Load(); e != nil && wild {
			w.found = append(w.found, e) // also when the name ends here: "a/#" matches "a", MQTT 5 §4.7.1.2
		}
		level, ok := w.level(t, v.depth)
		if !ok {
			if e := v.node.here.Load(); e != nil {
				w.found = append(w.found, e)
			}
			continue
		}
		if n := v.node.plus.Load(); n != nil && wild {
			w.pending = append(w.pending, visit[S]{n, v.depth + 1})
		}
		if n := v.node.child(level.text, level.tag); n != nil {
			w.pending = append(w.pending, visit[S]{n, v.depth + 1})
		}
	}
	w.rest = ""
	clear(w.levels) // nor the name, which may lie in a packet buffer
}

// level returns the level of the name at depth, which is at most one deeper than any before. ok is false when the name
// has no more levels. Each level is hashed once.
func (w *walk[S]) level(t *trie[S], depth int) (l levelTag, ok bool) {
	if depth == len(w.levels) {
		if w.ended {
			return l, false
		}
		text, rest, more := strings.Cut(w.rest, "/")
		w.levels = append(w.levels, levelTag{text, t.tag(text)})
		w.rest, w.ended = rest, !more
	}
	return w.levels[depth], true
}
