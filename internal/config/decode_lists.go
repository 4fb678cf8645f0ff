package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sealmq/sealmq/topic"
)

// listeners reads the list of listeners.
func (d *decoder) listeners(n *yaml.Node) []Listener {
	const path = "listeners"
	d.nodes[path] = n
	switch {
	case !d.plain(n, path):
		return nil
	case n.Kind != yaml.SequenceNode:
		d.report(n, path, "not a list", `write each listener as: - {name: local, bind: "127.0.0.1:1883"}`)
		return nil
	case len(n.Content) == 0:
		d.report(n, path, "an empty list: nobody could connect", "remove the key to get the default listener")
		return nil
	case len(n.Content) > maxListeners:
		d.report(n, path, fmt.Sprintf("more than %d listeners", maxListeners), "")
		return nil
	}
	list := make([]Listener, 0, len(n.Content))
	lines := map[string]int{}
	for i, e := range n.Content {
		d.element = strconv.Itoa(i)
		if !d.section(e, "listeners[]") {
			continue
		}
		if s := valueOf(e, "name"); nameForm.MatchString(s) {
			if first, twice := lines[s]; twice {
				d.add(e.Line, e.Column, path, fmt.Sprintf("two listeners are named %s, the first on line %d", s, first), "")
				continue
			}
			d.element, lines[s] = s, e.Line
		}
		l := Listener{}
		for _, f := range listenerKeys {
			f.reset(&l)
		}
		mapping(d, e, "listeners[]", listenerKeys, &l, nil)
		if has(e, "websocket") && l.WebSocket.Path == "" {
			l.WebSocket.Path = defaultWebPath
		}
		for _, required := range []string{"name", "bind"} {
			if !has(e, required) {
				d.report(e, "listeners[]", "the key "+required+" is missing", "")
			}
		}
		list = append(list, l)
	}
	d.element = ""
	return list
}

// has reports whether a mapping gives the key, with whatever value.
func has(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// valueOf looks a scalar up in a mapping; "" when it is absent or not a scalar.
func valueOf(n *yaml.Node, key string) string {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key && n.Content[i+1].Kind == yaml.ScalarNode {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// filters reads a list of Topic Filters.
func (d *decoder) filters(n *yaml.Node, path string, to *[]Rule) {
	switch {
	case !d.plain(n, path):
		return
	case n.Kind != yaml.SequenceNode:
		d.report(n, path, "not a list", `write it as: ["sensors/#", "lamp/+"]`)
		return
	case len(n.Content) > maxRules:
		d.report(n, path, fmt.Sprintf("more than %d filters", maxRules), "")
		return
	}
	*to = make([]Rule, 0, len(n.Content))
	for _, e := range n.Content {
		s, ok := d.text(e, path)
		if !ok {
			continue
		}
		f, why := parseFilter(s)
		if why != "" {
			d.report(e, path, fmt.Sprintf("%s is not a topic filter: %s", quote(s), why), "")
			continue
		}
		*to = append(*to, Rule{Filter: f, File: d.name, Line: e.Line})
		d.rules[path] = append(d.rules[path], e)
	}
	d.origin(path, n)
}

// parseFilter says why s is not a filter for a rule. Control characters are refused: nobody means them, and rules
// appear in logs.
func parseFilter(s string) (f topic.Filter, why string) {
	if strings.ContainsFunc(s, isControl) {
		return "", "it contains a control character"
	}
	f, err := topic.ParseFilter(s)
	var wrong *topic.Error
	switch {
	case errors.As(err, &wrong):
		return "", wrong.Text
	case err != nil:
		return "", err.Error()
	}
	return f, ""
}

// words reads a list of different words out of allowed; ok is false when it was reported.
func (d *decoder) words(n *yaml.Node, path string, allowed []string) (list []string, ok bool) {
	switch {
	case !d.plain(n, path):
		return nil, false
	case n.Kind != yaml.SequenceNode:
		d.report(n, path, "not a list", "write it as: ["+allowed[0]+"]")
		return nil, false
	case len(n.Content) == 0:
		d.report(n, path, "an empty list", "remove the key to get its default")
		return nil, false
	}
	ok = true
	for _, e := range n.Content {
		s, isText := d.scalar(e, path)
		switch {
		case !isText:
			ok = false
		case !slices.Contains(allowed, s):
			d.report(e, path, fmt.Sprintf("%s is not one of %s", quote(s), strings.Join(allowed, ", ")), didYouMean(s, allowed))
			ok = false
		case slices.Contains(list, s):
			d.report(e, path, s+" comes twice", "remove one of them")
			ok = false
		default:
			list = append(list, s)
		}
	}
	return list, ok
}
