package topic

import "strings"

// HasWildcard reports whether the filter has a wildcard character.
func (f Filter) HasWildcard() bool { return strings.ContainsAny(string(f), "+#") }

// startsWithWildcard reports whether a wildcard is the first level.
func startsWithWildcard(s string) bool { return s != "" && (s[0] == '+' || s[0] == '#') }

// Matches reports whether the filter matches the name. A wildcard in the first level does not match a name that starts
// with '$' [MQTT-4.7.2-1]. '#' stands for any number of levels, none included: "a/#" matches "a" (MQTT 5 §4.7.1.2).
func (f Filter) Matches(n Name) bool {
	if f == "" || n == "" || n[0] == '$' && startsWithWildcard(string(f)) {
		return false
	}
	return covers(string(f), string(n))
}

// Covers reports whether every name that g matches is matched by f, too. It is exact.
func (f Filter) Covers(g Filter) bool {
	if f == "" || g == "" || g[0] == '$' && startsWithWildcard(string(f)) {
		return false
	}
	if g == "#" {
		return f == "#" || f == "+/#" // a name has at least one level, so these two match the same names
	}
	return covers(string(f), string(g))
}

// covers compares level by level; i and j are where the current levels of f and s start. The levels of s may
// themselves be wildcards, which only the same or a wider wildcard of f covers; a name has none.
func covers(f, s string) bool {
	for i, j := 0, 0; ; i, j = i+1, j+1 {
		if i < len(f) && f[i] == '#' {
			return true
		}
		if i < len(f) && f[i] == '+' {
			if j < len(s) && s[j] == '#' {
				return false
			}
			for i++; j < len(s) && s[j] != '/'; j++ {
			}
		} else {
			for i < len(f) && j < len(s) && f[i] == s[j] && f[i] != '/' {
				i, j = i+1, j+1
			}
		}
		switch {
		case j == len(s):
			return i == len(f) || f[i:] == "/#" // "a/#" matches "a"
		case i == len(f) || f[i] != '/' || s[j] != '/':
			return false
		}
	}
}
