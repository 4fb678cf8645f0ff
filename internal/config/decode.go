package config

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	maxFile  = 1 << 20 // bytes of a configuration file
	maxDepth = 16      // nesting; the deepest key needs 4
)

const quotedStyles = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// decoder walks the node tree of one file and collects problems instead of stopping at the first.
type decoder struct {
	name     string // the file as named by the user
	dir      string // where relative paths start
	lines    []string
	problems []Problem
	more     int
	element  string                  // what stands between the brackets of listeners[]
	nodes    map[string]*yaml.Node   // value node of every key that was set, by full path
	rules    map[string][]*yaml.Node // value nodes of the elements of lists of filters
	broken   map[string]bool         // keys whose value was reported, by full path
}

func newDecoder(name string) *decoder {
	d := &decoder{
		name: name, dir: filepath.Dir(name),
		nodes: map[string]*yaml.Node{}, rules: map[string][]*yaml.Node{}, broken: map[string]bool{},
	}
	if abs, err := filepath.Abs(d.dir); err == nil { // without a working directory paths stay relative, which is right too
		d.dir = abs
	}
	return d
}

// label puts the current list element into a path: listeners[].bind becomes listeners[lan].bind.
func (d *decoder) label(path string) string {
	return strings.Replace(path, "[]", "["+d.element+"]", 1)
}

// origin remembers where a key was set.
func (d *decoder) origin(path string, n *yaml.Node) { d.nodes[d.label(path)] = n }

// report adds a problem with the value of the key path.
func (d *decoder) report(n *yaml.Node, path, message, hint string) {
	path = d.label(path)
	d.broken[path] = true
	d.add(n.Line, n.Column, path, path+": "+message, hint)
}

// add keeps a problem; its line is shown up to its end.
func (d *decoder) add(line, column int, key, message, hint string) {
	if len(d.problems) == maxProblems {
		d.more++
		return
	}
	p := Problem{File: d.name, Line: line, Column: column, Key: key, Message: message, Hint: hint}
	if line >= 1 && line <= len(d.lines) {
		p.Excerpt, p.Caret = excerpt(d.lines[line-1], column)
	} else {
		p.Line, p.Column = 0, 0
	}
	d.problems = append(d.problems, p)
}

// addKey keeps a problem about a key that has no meaning. Its value may be a secret under a misspelt name, so the
// excerpt ends with the key.
func (d *decoder) addKey(k *yaml.Node, path, message, hint string) {
	before := len(d.problems)
	d.add(k.Line, k.Column, path, message, hint)
	if len(d.problems) == before || d.problems[before].Line == 0 {
		return
	}
	p := &d.problems[before]
	runes := []rune(d.lines[k.Line-1])
	start := min(k.Column-1, len(runes))
	end := min(start+utf8.RuneCountInString(k.Value), len(runes))
	if k.Style&quotedStyles != 0 {
		end = min(end+2, len(runes))
	}
	p.Excerpt, p.Caret = excerpt(string(runes[start:end])+": …", 1)
	if indent := string(runes[:start]); strings.TrimLeft(indent, " -") == "" && len(indent) < excerptLead {
		p.Excerpt, p.Caret = indent+p.Excerpt, len(indent)
	}
}

// err returns every problem in the order of the file, or nil.
func (d *decoder) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &Invalid{File: d.name, Problems: d.problems, More: d.more}
}

// tree parses data into the one mapping a file consists of; nil when there is none, with the problem reported.
func (d *decoder) tree(data []byte) *yaml.Node {
	if len(data) > maxFile {
		d.add(0, 0, "", fmt.Sprintf("the file has more than %v", Size(maxFile)), "")
		return nil
	}
	d.lines = strings.Split(string(data), "\n")
	if !d.plainText(data) {
		return nil
	}
	var documents []yaml.Node
	limits := loaderlimits.New(loaderlimits.DepthValue(maxDepth))
	err := yaml.Load(data, &documents, yaml.WithAllDocuments(), yaml.WithPlugin(limits))
	if err != nil {
		d.syntax(err)
		return nil
	}
	switch {
	case len(documents) == 0 || len(documents[0].Content) == 0:
		d.add(1, 1, "", "the file is empty", "the least it needs is: version: 1")
		return nil
	case len(documents) > 1:
		n := &documents[1]
		d.add(n.Line, n.Column, "", "a second document: a file holds one", "remove the line ---")
		return nil
	}
	root := documents[0].Content[0]
	if root.Kind != yaml.MappingNode {
		d.add(root.Line, root.Column, "", "the file is not a list of keys with values", "the least it needs is: version: 1")
		return nil
	}
	return root
}

// plainText reports whether data is UTF-8 without control characters other than tab and line ends.
func (d *decoder) plainText(data []byte) bool {
	for i, line := range d.lines {
		for j, r := range line {
			if r == utf8.RuneError {
				if _, size := utf8.DecodeRuneInString(line[j:]); size > 1 {
					continue // a replacement character that really is in the file
				}
				d.add(i+1, utf8.RuneCountInString(line[:j])+1, "", "not UTF-8", "save the file as UTF-8")
				return false
			}
			if isControl(r) && r != '\t' && (r != '\r' || j != len(line)-1) {
				d.add(i+1, utf8.RuneCountInString(line[:j])+1, "", "a control character", "")
				return false
			}
		}
	}
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		d.add(1, 1, "", "a byte order mark", "save the file as UTF-8 without one")
		return false
	}
	return true
}

// syntax reports what the YAML parser did not understand.
func (d *decoder) syntax(err error) {
	var one *yaml.LoadError
	if !errors.As(err, &one) {
		d.add(0, 0, "", err.Error(), "")
		return
	}
	message, hint := "not YAML: "+one.Message, ""
	if one.ContextMsg != "" {
		message += " " + one.ContextMsg
	}
	line := ""
	if one.Mark.Line >= 1 && one.Mark.Line <= len(d.lines) {
		line = d.lines[one.Mark.Line-1]
	}
	switch {
	case strings.Contains(one.Message, "max depth"):
		message = fmt.Sprintf("nested deeper than %d levels", maxDepth)
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		hint = "indent with spaces, not tabs"
	case strings.Contains(one.Message, "mapping values are not allowed"):
		hint = "check the indentation; a text with a colon needs quotes"
	}
	d.add(one.Mark.Line, one.Mark.Column, "", message, hint)
}

// plain reports nodes that are more than values: anchors, aliases and tags. Without aliases a file cannot grow when it
// is read, and policy reads top to bottom.
func (d *decoder) plain(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		d.report(n, path, "an alias (*"+n.Value+"): write the value out", "")
	case n.Anchor != "":
		d.report(n, path, "an anchor (&"+n.Anchor+"): anchors and aliases are not part of the format", "")
	case n.Style&yaml.TaggedStyle != 0:
		d.report(n, path, "a tag ("+quote(n.Tag)+"): tags are not part of the format", "")
	default:
		return true
	}
	return false
}

// scalar returns the text of a single value.
func (d *decoder) scalar(n *yaml.Node, path string) (string, bool) {
	if !d.plain(n, path) {
		return "", false
	}
	switch {
	case n.Kind == yaml.SequenceNode:
		d.report(n, path, "a list, where one value belongs", "")
	case n.Kind == yaml.MappingNode:
		d.report(n, path, "keys, where one value belongs", "")
	case n.Tag == "!!null":
		d.report(n, path, "no value", "remove the key to get its default")
	default:
		return n.Value, true
	}
	return "", false
}

// text is scalar for free text. Substitution is refused rather than taken literally.
func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	s, ok := d.scalar(n, path)
	if ok && strings.Contains(s, "${") {
		d.report(n, path, "${...} is only replaced in keys that hold secrets", "write the value out")
		return "", false
	}
	return s, ok
}

// pair is one key with its value.
type pair struct{ key, value *yaml.Node }

// pairs returns the entries of a mapping and reports keys that are not plain words or come twice. path is "" at the
// top, and ends without a dot.
func (d *decoder) pairs(n *yaml.Node, path string) []pair {
	seen := make(map[string]int, len(n.Content)/2)
	out := make([]pair, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Anchor != "" || k.Style&yaml.TaggedStyle != 0 || k.Tag == "!!merge" {
			d.add(k.Line, k.Column, path, "keys are plain words", "")
			continue
		}
		full := d.label(join(path, k.Value))
		if first, twice := seen[k.Value]; twice {
			d.addKey(k, full, fmt.Sprintf("%s: given twice, first on line %d", bounded64(full), first), "remove one of them")
			continue
		}
		seen[k.Value] = k.Line
		out = append(out, pair{k, v})
	}
	return out
}

// section checks that n holds keys.
func (d *decoder) section(n *yaml.Node, path string) bool {
	switch {
	case !d.plain(n, path):
	case n.Tag == "!!null":
		d.report(n, path, "a section without keys", "remove it to get its defaults")
	case n.Kind != yaml.MappingNode:
		d.report(n, path, "a value, where keys belong", "")
	default:
		return true
	}
	return false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// bounded64 cuts what a file says about itself down to a size for messages.
func bounded64(s string) string {
	if len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return isControl(r) || isDirectional(r) }) {
		return s
	}
	return quote(s)
}

// mapping reads the keys below path into t; extra handles keys that are not in fields and says whether it did.
func mapping[T any](d *decoder, n *yaml.Node, path string, fields []field[T], t *T, extra func(pair) bool) {
	for _, p := range d.pairs(n, path) {
		full := join(path, p.key.Value)
		i := slices.IndexFunc(fields, func(f field[T]) bool { return f.Path == full })
		switch {
		case i >= 0 && (full != aclPath || p.value.Kind != yaml.MappingNode):
			fields[i].decode(t, d, p.value)
		case slices.ContainsFunc(fields, func(f field[T]) bool { return strings.HasPrefix(f.Path, full+".") }):
			d.nodes[full] = p.value
			if d.section(p.value, full) {
				mapping(d, p.value, full, fields, t, nil)
			}
		case extra == nil || !extra(p):
			d.addKey(p.key, d.label(full), "unknown key "+bounded64(d.label(full)), unknownHint(path, p.key.Value))
		}
	}
}

// unknownHint looks for a key with a similar name in the same section, then for one of that name anywhere.
func unknownHint(path, written string) string {
	var siblings []string
	elsewhere := ""
	for _, k := range Keys() {
		if rest, ok := strings.CutPrefix(k.Path, join(path, "")); ok || path == "" {
			if path == "" {
				rest = k.Path
			}
			sibling, _, _ := strings.Cut(rest, ".")
			siblings = append(siblings, strings.TrimSuffix(sibling, "[]"))
		}
		if elsewhere == "" && (strings.HasSuffix(k.Path, "."+written) || strings.Contains(k.Path, "."+written+".")) {
			at := strings.Index(k.Path, "."+written)
			elsewhere = k.Path[:at+1+len(written)]
		}
	}
	if elsewhere != "" && !slices.Contains(siblings, written) {
		if w := nearest(written, siblings); w == "" || distance(w, written) > 1 {
			return "did you mean " + elsewhere + "?"
		}
	}
	if w := nearest(written, siblings); w != "" {
		return "did you mean " + strconv.Quote(w) + "?"
	}
	return ""
}
