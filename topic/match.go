package topic

import "strings"

// cutLevel splits off the first level. more is false when there is no separator.
func cutLevel(s string) (level, rest string, more bool) { return strings.Cut(s, "/") }

// HasWildcard reports whether the filter has a wildcard character.
func (f Filter) HasWildcard() bool { return strings.ContainsAny(string(f), "+#") }

// startsWithWildcard reports whether a wildcard is the first level.
func startsWithWildcard(s string) bool { return s != "" && (s[0] == '+' || s[0] == '#') }

// Matches reports whether the filter matches the name. A wildcard in the first level does not match a name that starts
// with '$' [MQTT-4.7.2-1]. '#' stands for any number of levels, none included: "a/#" matches "a" (MQTT 5 §4.7.1.2).
func (f Filter) Matches(n Name) bool {
	if n == "" || n[0] == '$' && startsWithWildcard(string(f)) {
		return false
	}
	return covers(string(f), string(n))
}

// Covers reports whether every name that g matches is matched by f, too. It is exact.
func (f Filter) Covers(g Filter) bool {
	if g == "" || g[0] == '$' && startsWithWildcard(string(f)) {
		return false
	}
	return covers(string(f), string(g))
}

// covers compares level by level. The levels of s may themselves be wildcards, which only the same or a wider
// wildcard of f covers; for a name there are none.
func covers(f, s string) bool {
	for {
		fl, fRest, fMore := cutLevel(f)
		sl, sRest, sMore := cutLevel(s)
		switch {
		case fl == "#":
			return true
		case sl == "#", fl != "+" && fl != sl:
			return false
		case !fMore && !sMore:
			return true
		case !sMore:
			return fRest == "#" // "a/#" matches "a"
		case !fMore:
			return false
		}
		f, s = fRest, sRest
	}
}
