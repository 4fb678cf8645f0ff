package config

import (
	"fmt"
	"slices"
	"strings"
)

// Value is one effective setting.
type Value struct {
	Key    string // a listener's keys are named listeners[NAME].KEY
	Value  string // as written in a file
	Origin Origin
}

// Values lists every effective setting, in the order of the reference. Keys that have no effect with these settings
// or no value are left out.
func (c *Config) Values() []Value {
	skip := c.pointless()
	var values []Value
	for i, f := range topKeys {
		if i == len(nodeKeys) {
			values = append(values, c.listenerValues()...)
		}
		text := f.show(c)
		if text != "" && !slices.ContainsFunc(skip, func(p pointless) bool { return p.path == f.Path }) {
			values = append(values, Value{Key: f.Path, Value: text, Origin: c.Origin(f.Path)})
		}
	}
	return values
}

func (c *Config) listenerValues() []Value {
	var values []Value
	for i := range c.Listeners {
		l := &c.Listeners[i]
		for _, f := range listenerKeys {
			if f.show(l) == "" || f.Path == "listeners[].tls_psk.allow_no_forward_secrecy" && l.PSK.File == "" ||
				f.Path == "listeners[].allow_plaintext" && (l.Encrypted() || l.Unix != "") {
				continue
			}
			path := labelled(l.Name)(f.Path)
			o := c.Origin(path)
			if o == (Origin{}) && c.Origin("listeners").Flag != "" {
				o = c.Origin("listeners")
			}
			values = append(values, Value{Key: path, Value: f.show(l), Origin: o})
		}
	}
	return values
}

// YAML is the complete configuration in the form of a file; reading it gives the same settings. With origin each line
// ends with a comment that says where its value came from.
func (c *Config) YAML(origin bool) string {
	var b strings.Builder
	line := func(text string, o Origin) {
		if origin {
			text = fmt.Sprintf("%-48s # %v", text, o)
		}
		b.WriteString(text + "\n")
	}
	var open []string // sections that enclose the previous line
	inside := ""      // section within a listener that encloses the previous line
	for _, v := range c.Values() {
		name, isListener := strings.CutPrefix(v.Key, "listeners[")
		if isListener {
			if len(open) == 0 || open[0] != "listeners" {
				b.WriteString("listeners:\n")
				open = []string{"listeners"}
			}
			_, key, _ := strings.Cut(name, "].")
			lead := "    "
			if key == "name" {
				lead, inside = "  - ", ""
			}
			if section, rest, nested := strings.Cut(key, "."); nested {
				if section != inside {
					b.WriteString(lead + section + ":\n")
				}
				inside, lead, key = section, lead+"  ", rest
			} else {
				inside = ""
			}
			line(lead+key+": "+v.Value, v.Origin)
			continue
		}
		parts := strings.Split(v.Key, ".")
		sections, key := parts[:len(parts)-1], parts[len(parts)-1]
		for depth, s := range sections {
			if depth >= len(open) || open[depth] != s {
				b.WriteString(strings.Repeat("  ", depth) + s + ":\n")
				open = append(open[:depth:depth], s)
			}
		}
		open = open[:len(sections)]
		line(strings.Repeat("  ", len(sections))+key+": "+v.Value, v.Origin)
	}
	return b.String()
}
