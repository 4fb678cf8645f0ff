package config

import (
	"errors"
	"strings"
)

// checkFilter reports why s is not a Topic Filter (MQTT 5 §4.7). Shared Subscriptions are refused: a rule is about
// topics, and $share/NAME/ in front of a subscription is cut off before rules are asked.
func checkFilter(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty [MQTT-4.7.3-1]")
	case len(s) > 65535:
		return errors.New("it has more than 65535 bytes [MQTT-4.7.3-3]")
	case strings.ContainsRune(s, 0):
		return errors.New("it contains U+0000 [MQTT-4.7.3-2]")
	case strings.ContainsFunc(s, isControl):
		return errors.New("it contains a control character")
	case strings.HasPrefix(s, "$share/"):
		return errors.New("rules are about topics: leave $share/NAME/ out")
	}
	levels := strings.Split(s, "/")
	for i, level := range levels {
		switch {
		case level == "#" && i < len(levels)-1:
			return errors.New("# must be the last level [MQTT-4.7.1-1]")
		case strings.Contains(level, "#") && level != "#":
			return errors.New("# must be a level of its own [MQTT-4.7.1-1]")
		case strings.Contains(level, "+") && level != "+":
			return errors.New("+ must be a level of its own [MQTT-4.7.1-2]")
		}
	}
	return nil
}

// covers reports that every topic that b matches is matched by a. It may miss a pair of unlike spelling, such as "+/#"
// and "#"; it never claims one that is not.
func covers(a, b string) bool {
	system := strings.HasPrefix(b, "$") // wildcards in the first level do not match those [MQTT-4.7.2-1]
	for first := true; ; first = false {
		levelA, restA, moreA := strings.Cut(a, "/")
		levelB, restB, moreB := strings.Cut(b, "/")
		switch {
		case levelA == "#":
			return !first || !system
		case levelB == "#":
			return false
		case levelA == "+" && first && system:
			return false
		case levelA != "+" && levelA != levelB:
			return false
		case !moreA && !moreB:
			return true
		case !moreB:
			return restA == "#" // a/# includes a itself (MQTT 5 §4.7.1.2)
		case !moreA:
			return false
		}
		a, b = restA, restB
	}
}
