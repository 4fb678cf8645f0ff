package router

import (
	"slices"
	"sync/atomic"
)

const (
	// maxLeaf is the number of items of a chunk, and so what a change copies at most.
	maxLeaf = 16
	// mergeLeaf is the number of items at which the chunks below an inner node become one again. It is well below
	// maxLeaf, so that changes around one size do not split and merge in turns.
	mergeLeaf = maxLeaf / 2

	fanBits = 4
	fan     = 1 << fanBits
)

// hashed is an item of a hashTree. Its hash comes from a random seed, so that nobody can choose items that collide.
type hashed interface{ hash32() uint32 }

// hashTree is a set of items in chunks, found by hash. Readers need no lock and may run beside one writer; writers
// exclude each other. Chunks never change once published: a writer replaces a chunk by a changed copy with one atomic
// store, so a reader sees each item that is there for the whole time exactly once. The zero value is empty.
//
// Finding and changing is O(log16 n + maxLeaf). The depth is at most 8; items whose 32 bits are all equal share a chunk
// without limit.
type hashTree[T hashed] struct {
	root atomic.Pointer[treeNode[T]]
}

// treeNode is a chunk (kids is nil) or an inner node.
type treeNode[T hashed] struct {
	items []T
	kids  *[fan]atomic.Pointer[treeNode[T]]
}

// leaf returns a chunk, nil for no items. One item, by far the most common number, takes one allocation.
func leaf[T hashed](items []T) *treeNode[T] {
	switch len(items) {
	case 0:
		return nil
	case 1:
		n := &struct {
			treeNode[T]
			one [1]T
		}{one: [1]T{items[0]}}
		n.items = n.one[:]
		return &n.treeNode
	}
	return &treeNode[T]{items: items}
}

func (t *hashTree[T]) empty() bool { return t.root.Load() == nil }

// find returns the item with hash h for which is holds, or nil. The item must not be changed.
func (t *hashTree[T]) find(h uint32, is func(*T) bool) *T {
	n := t.root.Load()
	for path := h; n != nil; path >>= fanBits {
		if n.kids == nil {
			if i := n.index(h, is); i >= 0 {
				return &n.items[i]
			}
			return nil
		}
		n = n.kids[path%fan].Load()
	}
	return nil
}

func (n *treeNode[T]) index(h uint32, is func(*T) bool) int {
	for i := range n.items {
		if n.items[i].hash32() == h && is(&n.items[i]) {
			return i
		}
	}
	return -1
}

// put adds item, or replaces the item of the same hash for which is holds and returns that one.
func (t *hashTree[T]) put(item T, is func(*T) bool) (old T, replaced bool) {
	h := item.hash32()
	at := &t.root
	for shift := 0; ; {
		n := at.Load()
		switch {
		case n == nil:
			at.Store(leaf([]T{item}))
			return old, false
		case n.kids != nil:
			at = &n.kids[h>>shift%fan]
			shift += fanBits
			continue
		}
		if i := n.index(h, is); i >= 0 {
			items := slices.Clone(n.items)
			old, items[i] = items[i], item
			at.Store(leaf(items))
			return old, true
		}
		if len(n.items) < maxLeaf || shift >= 32 {
			items := make([]T, len(n.items)+1)
			items[copy(items, n.items)] = item
			at.Store(leaf(items))
			return old, false
		}
		at.Store(split(n.items, shift))
	}
}

// split distributes a full chunk over the kids of a new inner node.
func split[T hashed](items []T, shift int) *treeNode[T] {
	var parts [fan][]T
	for _, it := range items {
		p := &parts[it.hash32()>>shift%fan]
		*p = append(*p, it)
	}
	n := &treeNode[T]{kids: new([fan]atomic.Pointer[treeNode[T]])}
	for i := range parts {
		if len(parts[i]) > 0 {
			n.kids[i].Store(leaf(slices.Clip(parts[i])))
		}
	}
	return n
}

// remove takes out the item with hash h for which is holds.
func (t *hashTree[T]) remove(h uint32, is func(*T) bool) (old T, removed bool) {
	var path [32/fanBits + 1]*atomic.Pointer[treeNode[T]]
	path[0] = &t.root
	depth := 0
	n := t.root.Load()
	for n != nil && n.kids != nil {
		at := &n.kids[h>>(depth*fanBits)%fan]
		depth++
		path[depth] = at
		n = at.Load()
	}
	if n == nil {
		return old, false
	}
	i := n.index(h, is)
	if i < 0 {
		return old, false
	}
	old = n.items[i]
	items := make([]T, 0, len(n.items)-1)
	items = append(append(items, n.items[:i]...), n.items[i+1:]...)
	path[depth].Store(leaf(items))
	for depth--; depth >= 0; depth-- {
		merged, ok := path[depth].Load().gather()
		if !ok {
			break
		}
		path[depth].Store(leaf(merged))
	}
	return old, true
}

// gather returns the items of all chunks below an inner node when they are few enough to become one chunk.
func (n *treeNode[T]) gather() (items []T, ok bool) {
	total := 0
	for i := range n.kids {
		if k := n.kids[i].Load(); k != nil {
			if k.kids != nil {
				return nil, false
			}
			if total += len(k.items); total > mergeLeaf {
				return nil, false
			}
		}
	}
	items = make([]T, 0, total)
	for i := range n.kids {
		if k := n.kids[i].Load(); k != nil {
			items = append(items, k.items...)
		}
	}
	return items, true
}

// each calls yield with every chunk. A chunk must not be changed.
func (t *hashTree[T]) each(yield func(chunk []T)) { t.root.Load().each(yield) }

// each recurses at most 8 deep, the number of hash digits.
func (n *treeNode[T]) each(yield func(chunk []T)) {
	switch {
	case n == nil:
	case n.kids == nil:
		yield(n.items)
	default:
		for i := range n.kids {
			n.kids[i].Load().each(yield)
		}
	}
}
