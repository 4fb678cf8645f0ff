package retained

import (
	"hash/maphash"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/topic"
)

const (
	// maxChunk is the number of topics of a chunk; a full one is cut in two halves.
	maxChunk = 512
	// minChunk is the number below which a chunk joins a neighbour, if both together are at most three quarters full.
	minChunk = maxChunk / 8
	joined   = maxChunk * 3 / 4
	// skips is how many topics that do not match one page looks at, beside those that do.
	skips = 1024
	// pageSize is how many messages Match reads at once.
	pageSize = 256
	// shrinkMin is the peak size from which the hash gives the memory of deleted topics back.
	shrinkMin = 1024
)

// Tree is the set of Retained Messages. Make it with New.
type Tree struct {
	mu     sync.RWMutex // guards all below; held for one page at most
	topics map[string]*item
	chunks [][]*item // in the order of compare; none is empty
	peak   int       // most topics since the map was made
	bytes  int64
	held   map[uint64]Holding // by authorKey
}

// Holding is what is retained of one author.
type Holding struct {
	Count int
	Bytes int64
}

var authorSeed = maphash.MakeSeed()

// authorKey stands for the author of a message, so that a holding does not keep a principal in memory. Two authors of the
// same hash, which nobody can look for, would share a holding.
func authorKey(m *message.Message) uint64 {
	if m.Author == nil {
		return 0 // the broker itself
	}
	return maphash.Comparable(authorSeed, *m.Author)
}

// item is a topic and its message. It stays when the message is replaced, so that neither hash nor order change.
type item struct {
	topic   string // a copy: the message it first came with must not stay in memory
	message *message.Message
}

// New returns an empty Tree.
func New() *Tree { return &Tree{topics: make(map[string]*item), held: make(map[uint64]Holding)} }

// Put retains m in place of what its topic had, and returns that, or nil [MQTT-3.3.1-5]. A message without payload
// deletes instead and is never stored [MQTT-3.3.1-6] [MQTT-3.3.1-7].
func (t *Tree) Put(m *message.Message) (previous *message.Message) {
	if len(m.Payload()) == 0 {
		return t.Delete(m.Topic())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(m, 1)
	if it := t.topics[m.Topic()]; it != nil {
		previous, it.message = it.message, m
		t.count(previous, -1)
		return previous
	}
	it := &item{strings.Clone(m.Topic()), m}
	t.topics[it.topic] = it
	t.peak = max(t.peak, len(t.topics))
	t.insert(it)
	return nil
}

// Delete removes the message of a topic and returns it, or nil when there is none.
func (t *Tree) Delete(name string) (previous *message.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	it := t.topics[name]
	if it == nil {
		return nil
	}
	t.count(it.message, -1)
	delete(t.topics, name)
	t.remove(name)
	if t.peak >= shrinkMin && len(t.topics) <= t.peak/4 { // a Go map keeps its memory
		smaller := make(map[string]*item, len(t.topics))
		for name, it := range t.topics {
			smaller[name] = it
		}
		t.topics, t.peak = smaller, len(smaller)
	}
	return it.message
}

// Get returns the message of a topic, or nil.
func (t *Tree) Get(name string) *message.Message {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if it := t.topics[name]; it != nil {
		return it.message
	}
	return nil
}

// Count returns the number of messages.
func (t *Tree) Count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.topics)
}

// Bytes returns the sum of the messages' sizes, as message.Message counts them.
func (t *Tree) Bytes() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.bytes
}

// Held returns what is retained of the author of m.
func (t *Tree) Held(m *message.Message) Holding {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.held[authorKey(m)]
}

// count adds a message to the sums, or takes it away.
func (t *Tree) count(m *message.Message, sign int) {
	size := int64(sign * m.Size())
	t.bytes += size
	k := authorKey(m)
	h := t.held[k]
	if h = (Holding{h.Count + sign, h.Bytes + size}); h.Count == 0 {
		delete(t.held, k)
	} else {
		t.held[k] = h
	}
}

// Match calls yield with each message that f matches, in a fixed order of the topics, until yield returns false. No
// lock is held during yield, which may use the Tree.
func (t *Tree) Match(f topic.Filter, yield func(*message.Message) bool) {
	if !f.HasWildcard() {
		if m := t.Get(string(f)); m != nil {
			yield(m)
		}
		return
	}
	p := newPattern(string(f))
	var buf [pageSize]*message.Message
	for after, more := "", true; more; {
		var page []*message.Message
		page, after = t.page(&p, after, buf[:0], pageSize)
		more = after != ""
		for _, m := range page {
			if !yield(m) {
				return
			}
		}
	}
}

// MatchPage returns up to limit messages that f matches, those behind the cursor after in a fixed order of the topics;
// after is empty for the first page. next is the cursor for the following page, empty when there is none. The cursor is
// a Topic Name and stays good whatever is put or deleted between pages, its own topic included. A page may have fewer
// messages than limit, even none, and still have a next one: one call looks at no more than limit topics that match and
// 1024 that do not. A limit below 1 counts as 1.
func (t *Tree) MatchPage(f topic.Filter, after string, limit int) (page []*message.Message, next string) {
	p := newPattern(string(f))
	return t.page(&p, after, nil, max(limit, 1))
}

// page appends to dst, which is empty.
func (t *Tree) page(p *pattern, after string, dst []*message.Message, limit int) (page []*message.Message, next string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	start := p.start()
	c := cursor{chunks: t.chunks}
	if after != "" && compare(after, start) >= 0 {
		if seek(&c, after); c.valid() && c.topic() == after {
			c.next()
		}
	} else {
		seek(&c, start)
	}
	var key []byte
	for left := skips; c.valid(); {
		var v verdict
		last := c.topic()
		switch v, key = p.next(last, key[:0]); v {
		case match:
			dst = append(dst, c.item().message)
			c.next()
		case follow:
			left--
			c.next()
		case jump:
			left--
			seek(&c, key)
		case end:
			return dst, ""
		}
		if (len(dst) == limit || left == 0) && c.valid() {
			return dst, last
		}
	}
	return dst, ""
}

// insert puts a new item in its place.
func (t *Tree) insert(it *item) {
	c := cursor{chunks: t.chunks}
	seek(&c, it.topic)
	if !c.valid() {
		if len(t.chunks) == 0 {
			t.chunks = append(t.chunks, []*item{it})
			return
		}
		c.chunk = len(t.chunks) - 1 // behind all others
		c.at = len(t.chunks[c.chunk])
	}
	items := slices.Insert(t.chunks[c.chunk], c.at, it)
	t.chunks[c.chunk] = items
	if len(items) >= maxChunk {
		half := len(items) / 2
		low := slices.Clone(items[:half])
		t.chunks[c.chunk] = slices.Clone(items[half:])
		t.chunks = slices.Insert(t.chunks, c.chunk, low)
	}
}

// remove takes out the item of a topic that is there.
func (t *Tree) remove(name string) {
	c := cursor{chunks: t.chunks}
	seek(&c, name)
	items := slices.Delete(t.chunks[c.chunk], c.at, c.at+1)
	t.chunks[c.chunk] = items
	if len(items) == 0 {
		t.chunks = slices.Delete(t.chunks, c.chunk, c.chunk+1)
		return
	}
	if len(items) >= minChunk {
		return
	}
	low := max(c.chunk-1, 0)
	if low+1 < len(t.chunks) && len(t.chunks[low])+len(t.chunks[low+1]) <= joined {
		t.chunks[low] = slices.Concat(t.chunks[low], t.chunks[low+1])
		t.chunks = slices.Delete(t.chunks, low+1, low+2)
	}
}

// cursor is a place in the order of topics. It holds only while the lock is.
type cursor struct {
	chunks    [][]*item
	chunk, at int
}

func (c *cursor) valid() bool   { return c.chunk < len(c.chunks) }
func (c *cursor) item() *item   { return c.chunks[c.chunk][c.at] }
func (c *cursor) topic() string { return c.item().topic }

func (c *cursor) next() {
	if c.at++; c.at == len(c.chunks[c.chunk]) {
		c.chunk, c.at = c.chunk+1, 0
	}
}

// seek goes forward to the first topic that is not before key, and stays when the present one is not. Near places are
// found faster than far ones.
func seek[K string | []byte](c *cursor, key K) {
	if !c.valid() {
		return
	}
	items := c.chunks[c.chunk]
	if compare(items[len(items)-1].topic, key) < 0 {
		from := c.chunk + 1
		c.chunk = from + sort.Search(len(c.chunks)-from, func(i int) bool {
			items := c.chunks[from+i]
			return compare(items[len(items)-1].topic, key) >= 0
		})
		if c.at = 0; !c.valid() {
			return
		}
		items = c.chunks[c.chunk]
	}
	from, step := c.at, 1
	for from+step < len(items) && compare(items[from+step].topic, key) < 0 {
		from, step = from+step, step*2
	}
	c.at = from + sort.Search(min(step, len(items)-from), func(i int) bool { return compare(items[from+i].topic, key) >= 0 })
}
