package retained

import "strings"

// compare orders topics level by level: a topic comes right before the topics below it, and no other topic comes in
// between. It is the order of the bytes, but with '/' below all others. No topic has U+0000 [MQTT-4.7.3-2], which seek
// keys use as "behind everything below this level".
func compare[B string | []byte](a string, b B) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	if i < n {
		return rank(a[i]) - rank(b[i])
	}
	return len(a) - len(b)
}

// rank puts '/' first, U+0000 second, and keeps the order of the rest.
func rank(c byte) int {
	if c == '/' {
		return 0
	}
	return int(c) + 1
}

// pattern is a Topic Filter prepared for a walk in the order of compare.
type pattern struct {
	levels []string // without a "#" at the end
	multi  bool     // "#" at the end
}

func newPattern(f string) pattern {
	levels := strings.Split(f, "/")
	if last := len(levels) - 1; levels[last] == "#" {
		return pattern{levels[:last], true}
	}
	return pattern{levels, false}
}

// start returns the smallest string a matching topic can be: the literal levels in front of the first wildcard.
func (p *pattern) start() string {
	for i, level := range p.levels {
		if level == "+" {
			return strings.Join(p.levels[:i], "/")
		}
	}
	return strings.Join(p.levels, "/")
}

// wildFirst reports whether the first level is a wildcard, which does not match names that start with "$"
// [MQTT-4.7.2-1].
func (p *pattern) wildFirst() bool { return len(p.levels) == 0 || p.levels[0] == "+" }

// verdict is the answer of pattern.next.
type verdict uint8

// The verdicts.
const (
	_      verdict = iota
	match          // the topic matches
	follow         // it does not; the next topic in order may
	jump           // it does not; no topic before the seek key does
	end            // it does not, nor does any topic behind it
)

// next tells whether the pattern matches topic t, and otherwise where to go on. key is appended to the empty buf.
// O(length of t).
func (p *pattern) next(t string, buf []byte) (v verdict, key []byte) {
	if p.wildFirst() && strings.HasPrefix(t, "$") {
		return jump, append(buf, '$'+1)
	}
	wild := -1 // end in t of the last level that "+" took
	at := 0    // start in t of the level looked at; beyond t when there is none
	for i, want := range p.levels {
		if at > len(t) {
			// t is above what could match. Its first candidate is the literal below it, or whatever comes next.
			if want == "+" {
				return follow, buf
			}
			return jump, append(append(append(buf, t...), '/'), want...)
		}
		stop := len(t)
		if n := strings.IndexByte(t[at:], '/'); n >= 0 {
			stop = at + n
		}
		if want == "+" {
			wild = stop
		} else if c := strings.Compare(t[at:stop], want); c < 0 {
			return jump, append(append(buf, t[:at]...), want...)
		} else if c > 0 {
			if wild < 0 {
				return end, buf
			}
			return jump, append(append(buf, t[:wild]...), 0)
		}
		at = stop + 1
		if i == len(p.levels)-1 && !p.multi && stop < len(t) {
			// Everything below this level is too deep.
			return jump, append(append(buf, t[:stop]...), 0)
		}
	}
	return match, buf
}
