package router

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/sealmq/sealmq/topic"
)

const (
	generationSlots = 1 << 16 // half a megabyte: one change makes one topic in ten thousand stale by accident
	// prefixLevels is how many literal levels of a wildcard filter choose its slot. Filters that agree in more make the
	// same topics stale.
	prefixLevels = 6
	stampSlots   = prefixLevels + 2 // and: the topic's whole text, no levels at all
)

// generations counts the changes of subscriptions in slots. A filter without wildcard counts in the slot of its text;
// one with wildcards in the slot of the literal levels in front of its first wildcard. A topic is concerned by the slot
// of its text and those of its first 0 to prefixLevels levels, and by no others, because a filter that matches a topic
// starts with the topic's levels or with a wildcard.
//
// A slot is counted up after a change is visible and before Subscribe or Unsubscribe returns. Who reads the slots first
// and the subscriptions then, and finds the slots unchanged later, has a result that is still right.
type generations struct {
	slots [generationSlots]atomic.Uint64
}

// stamp is the state of all slots that concern one topic. Slots only grow, so their sum is enough to see a change.
type stamp struct {
	sum  uint64
	slot [stampSlots]uint16
	n    uint8
}

// Text and levels take different bits of the hash, so that "a/b" subscribed exactly does not touch "a/b/c".
func textSlot(h uint64) uint16   { return uint16(h >> 32 % generationSlots) }
func prefixSlot(h uint64) uint16 { return uint16(h % generationSlots) }

// stamp returns the present stamp of a topic name with hash h. O(length of the first levels).
func (g *generations) stamp(seed maphash.Seed, name string, h uint64) stamp {
	s := stamp{n: 2}
	s.slot[0], s.slot[1] = textSlot(h), prefixSlot(maphash.String(seed, ""))
	for end := 0; end <= len(name) && s.n < stampSlots; end++ { // a name may end with an empty level
		i := strings.IndexByte(name[end:], '/')
		if i < 0 {
			s.slot[s.n] = prefixSlot(h)
			s.n++
			break
		}
		end += i
		s.slot[s.n] = prefixSlot(maphash.String(seed, name[:end]))
		s.n++
	}
	s.sum = g.sum(&s)
	return s
}

func (g *generations) sum(s *stamp) (sum uint64) {
	for _, i := range s.slot[:s.n] {
		sum += g.slots[i].Load()
	}
	return sum
}

// changedExact makes the topic with hash h stale.
func (g *generations) changedExact(h uint64) { g.slots[textSlot(h)].Add(1) }

// changedWild makes the topics stale that a filter with wildcards can match.
func (g *generations) changedWild(seed maphash.Seed, f topic.Filter) {
	g.slots[prefixSlot(maphash.String(seed, literalPrefix(string(f))))].Add(1)
}

// literalPrefix returns the levels of f in front of its first wildcard, at most prefixLevels, without the separator
// behind them.
func literalPrefix(f string) string {
	end := -1
	for range prefixLevels {
		start := end + 1
		if start >= len(f) || f[start] == '+' || f[start] == '#' {
			break
		}
		i := strings.IndexByte(f[start:], '/')
		if i < 0 {
			return f
		}
		end = start + i
	}
	return f[:max(end, 0)]
}
