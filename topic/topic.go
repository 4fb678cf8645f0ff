// Package topic has the Topic Names and Topic Filters of MQTT: which strings they are, and which names a filter
// matches (MQTT 5 §4.7 and §4.8.2). Name, Filter and ShareName are types of their own, so that one cannot be passed for
// another; their values come from the Parse functions. Nothing here is recursive or grows with the depth of a topic, and
// matching allocates nothing.
//
// Which characters a UTF-8 Encoded String may have at all is the business of package mqtt.
package topic

import "strings"

// Name is a Topic Name: at least one character, no wildcards.
type Name string

// Filter is a Topic Filter, with or without wildcards; never a Shared Subscription.
type Filter string

// ShareName is the ShareName of a Shared Subscription.
type ShareName string

const (
	// MaxLevels is the number of levels that ParseName, ParseFilter and ParseSubscription accept. The standard sets no
	// bound; a caller with a lower one uses Levels.
	MaxLevels = 128
	// MaxLength is the largest length of a name or filter, in bytes [MQTT-4.7.3-3].
	MaxLength = 65535

	sharePrefix = "$share/"
)

// Levels returns the number of levels of a name or filter, which is the number of separators plus one.
func Levels(s string) int { return strings.Count(s, "/") + 1 }

// ParseName checks that s is a Topic Name [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3].
func ParseName(s string) (Name, error) {
	if err := checkCommon(InvalidName, s); err != nil {
		return "", err
	}
	if i := strings.IndexAny(s, "+#"); i >= 0 {
		return "", &Error{InvalidName, "wildcard in topic name", i}
	}
	return Name(s), nil
}

// ParseFilter checks that s is a Topic Filter: '#' is the last character and alone in its level [MQTT-4.7.1-1], '+' is
// alone in its level [MQTT-4.7.1-2]. A filter that starts with "$share/" is refused, because it would be taken for a
// Shared Subscription; ParseSubscription accepts both.
func ParseFilter(s string) (Filter, error) {
	if strings.HasPrefix(s, sharePrefix) {
		return "", &Error{InvalidFilter, "shared subscription where a plain filter is expected", 0}
	}
	return parseFilter(s, 0)
}

// parseFilter checks the filter that starts at offset of s.
func parseFilter(s string, offset int) (Filter, error) {
	f := s[offset:]
	if err := checkCommon(InvalidFilter, f); err != nil {
		err.Offset += offset
		return "", err
	}
	for i := 0; i < len(f); i++ {
		if f[i] != '+' && f[i] != '#' {
			continue
		}
		if i > 0 && f[i-1] != '/' {
			return "", &Error{InvalidFilter, "wildcard after other characters of its level", offset + i}
		}
		if f[i] == '#' && i != len(f)-1 {
			return "", &Error{InvalidFilter, "characters after '#'", offset + i + 1}
		}
		if i < len(f)-1 && f[i+1] != '/' {
			return "", &Error{InvalidFilter, "characters after '+' in its level", offset + i + 1}
		}
	}
	return Filter(f), nil
}

// ParseSubscription splits the Topic Filter of a SUBSCRIBE or UNSUBSCRIBE. For a Shared Subscription,
// $share/ShareName/filter (MQTT 5 §4.8.2), it returns both parts; otherwise the ShareName is empty. The ShareName has at
// least one character and none of "/", "+" and "#", and a filter follows [MQTT-4.8.2-1] [MQTT-4.8.2-2].
func ParseSubscription(s string) (ShareName, Filter, error) {
	if !strings.HasPrefix(s, sharePrefix) {
		f, err := parseFilter(s, 0)
		return "", f, err
	}
	share, _, found := strings.Cut(s[len(sharePrefix):], "/")
	end := len(sharePrefix) + len(share)
	switch {
	case share == "":
		return "", "", &Error{InvalidFilter, "empty ShareName", len(sharePrefix)}
	case strings.ContainsAny(share, "+#"):
		return "", "", &Error{InvalidFilter, "wildcard in ShareName", len(sharePrefix) + strings.IndexAny(share, "+#")}
	case strings.IndexByte(share, 0) >= 0:
		return "", "", &Error{InvalidFilter, "U+0000 in ShareName", len(sharePrefix) + strings.IndexByte(share, 0)}
	case !found:
		return "", "", &Error{InvalidFilter, "shared subscription without filter", end}
	}
	f, err := parseFilter(s, end+1)
	if err != nil {
		return "", "", err
	}
	return ShareName(share), f, nil
}

// checkCommon checks what holds for names and filters alike.
func checkCommon(kind Kind, s string) *Error {
	if s == "" {
		return &Error{kind, "no characters", 0}
	}
	if len(s) > MaxLength {
		return &Error{kind, "more than 65535 bytes", MaxLength}
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		return &Error{kind, "U+0000", i}
	}
	levels := 1
	for i := 0; i < len(s); i++ {
		if s[i] != '/' {
			continue
		}
		if levels++; levels > MaxLevels {
			return &Error{TooManyLevels, "more than 128 levels", i}
		}
	}
	return nil
}
