package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sealmq/sealmq/topic"
)

// Key describes one key of the file for people: the reference and "config show" are made of it.
type Key struct {
	Path    string // dotted, as in limits.queue.bytes; keys of a list element have [] after the list
	Kind    string // what may be written, in words
	Range   string // "" when every value of the kind is allowed
	Default string // as it would be written; a sentence in parentheses when it depends on something
	Doc     string
	Restart bool // a reload cannot change it
}

// field is a Key together with the code that reads, resets and shows the value inside a T.
type field[T any] struct {
	Key
	reset  func(*T)
	decode func(*T, *decoder, *yaml.Node)
	show   func(*T) string // as it would be written; "" when there is nothing to write
}

// option changes a description after its constructor made it.
type option func(*Key)

// restart marks a key that a reload cannot change.
func restart(k *Key) { k.Restart = true }

// required documents a key that every file must give.
func required(k *Key) { k.Default = "" }

// inherits documents a default that is the value of another key.
func inherits(path string) option {
	return func(k *Key) { k.Default = "(" + path + ")" }
}

// kind is how values of one type are written.
type kind[V any] struct {
	name   string
	parse  func(string) (V, error) // the error says what is wanted
	format func(V) string
}

var (
	counts    = kind[int]{"count", parseCount, strconv.Itoa}
	sizes     = kind[Size]{"size", parseSize, Size.String}
	durations = kind[time.Duration]{"duration", parseDuration, formatDuration}
	rates     = kind[Rate]{"rate", parseRate, Rate.String}
	byteRates = kind[ByteRate]{"byte rate", parseByteRate, ByteRate.String}
)

// bounded is a number in lo..hi. When hi is the unlimited value of its type, the word "unlimited" is allowed and
// finite values have no upper bound of their own.
func bounded[T any, V cmp.Ordered](k kind[V], path string, at func(*T) *V, def, lo, hi V, doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{
		Path: path, Kind: k.name, Default: k.format(def), Doc: doc,
		Range: k.format(lo) + " to " + k.format(hi),
	}}
	f.reset = func(t *T) { *at(t) = def }
	f.show = func(t *T) string { return k.format(*at(t)) }
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		s, ok := d.scalar(n, f.Path)
		if !ok {
			return
		}
		v, err := k.parse(s)
		switch {
		case err != nil:
			d.report(n, f.Path, fmt.Sprintf("%s is not %v", quote(s), err), numberHint(s, k.name))
		case v < lo || v > hi:
			d.report(n, f.Path, fmt.Sprintf("%s is outside %s", s, f.Range), "")
		default:
			*at(t) = v
			d.origin(f.Path, n)
		}
	}
	return finish(f, opts)
}

// yesNo is a boolean; only true and false are understood, because YAML readers disagree about yes, on and y.
func yesNo[T any](path string, at func(*T) *bool, def bool, doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{Path: path, Kind: "true or false", Default: strconv.FormatBool(def), Doc: doc}}
	f.reset = func(t *T) { *at(t) = def }
	f.show = func(t *T) string { return strconv.FormatBool(*at(t)) }
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		s, ok := d.scalar(n, f.Path)
		if !ok {
			return
		}
		if s != "true" && s != "false" || n.Style&quotedStyles != 0 {
			d.report(n, f.Path, fmt.Sprintf("%s is not true or false", quote(s)), boolHint(s))
			return
		}
		*at(t) = s == "true"
		d.origin(f.Path, n)
	}
	return finish(f, opts)
}

// choice is one of a few words; the first is the default.
func choice[T any, V ~string](path string, at func(*T) *V, doc string, words []V, opts ...option) field[T] {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	f := field[T]{Key: Key{
		Path: path, Kind: "word", Default: names[0], Range: strings.Join(names, ", "), Doc: doc,
	}}
	f.reset = func(t *T) { *at(t) = words[0] }
	f.show = func(t *T) string { return string(*at(t)) }
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		s, ok := d.scalar(n, f.Path)
		if !ok {
			return
		}
		if !slices.Contains(names, s) {
			d.report(n, f.Path, fmt.Sprintf("%s is not one of %s", quote(s), f.Range), didYouMean(s, names))
			return
		}
		*at(t) = V(s)
		d.origin(f.Path, n)
	}
	return finish(f, opts)
}

// nameForm is what node and listener names look like: they appear in logs, metrics and file:line references.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

const nameRange = "1 to 64 of A-Z a-z 0-9 _ . -, starting with a letter or digit"

// name is an identifier. An empty default means that the key must be given.
func name[T any](path string, at func(*T) *string, def, doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{Path: path, Kind: "name", Default: def, Range: nameRange, Doc: doc}}
	f.reset = func(t *T) { *at(t) = def }
	f.show = func(t *T) string { return quoteYAML(*at(t)) }
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		s, ok := d.text(n, f.Path)
		if !ok {
			return
		}
		if !nameForm.MatchString(s) {
			d.report(n, f.Path, fmt.Sprintf("%s is not a name: %s", quote(s), nameRange), "")
			return
		}
		*at(t) = s
		d.origin(f.Path, n)
	}
	return finish(f, opts)
}

// path is a file or folder; a relative one starts at the folder of the configuration file.
func path[T any](path string, at func(*T) *string, def, doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{Path: path, Kind: "path", Default: def, Range: "relative paths start at this file", Doc: doc}}
	f.reset = func(t *T) { *at(t) = def }
	f.show = func(t *T) string {
		if *at(t) == "" {
			return ""
		}
		return quoteYAML(*at(t))
	}
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		s, ok := d.text(n, f.Path)
		if !ok {
			return
		}
		if s == "" || strings.ContainsFunc(s, isControl) {
			d.report(n, f.Path, fmt.Sprintf("%s is not a path", quote(s)), "")
			return
		}
		if !filepath.IsAbs(s) {
			s = filepath.Join(d.dir, s)
		}
		*at(t) = filepath.Clean(s)
		d.origin(f.Path, n)
	}
	return finish(f, opts)
}

// optionalPath is a path that need not be given.
func optionalPath[T any](key string, at func(*T) *string, doc string, opts ...option) field[T] {
	f := path(key, at, "", doc, opts...)
	f.Default = "(none)"
	f.show = func(t *T) string { return quoteUnlessEmpty(*at(t)) }
	return f
}

// checked is a text that need not be given; check says why one cannot be used, "" when it can.
func checked[T any](path, kind string, at func(*T) *string, allowed string, check func(string) string, doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{Path: path, Kind: kind, Default: "(none)", Range: allowed, Doc: doc}}
	f.reset = func(t *T) { *at(t) = "" }
	f.show = func(t *T) string { return quoteUnlessEmpty(*at(t)) }
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		s, ok := d.text(n, f.Path)
		if !ok {
			return
		}
		if why := check(s); why != "" {
			d.report(n, f.Path, fmt.Sprintf("%s: %s", quote(s), why), "")
			return
		}
		*at(t) = s
		d.origin(f.Path, n)
	}
	return finish(f, opts)
}

func quoteUnlessEmpty(s string) string {
	if s == "" {
		return ""
	}
	return quoteYAML(s)
}

// words is a list of different words out of allowed, at least one. Without a default the key has one that depends on
// other keys.
func words[T any, V ~string](path string, at func(*T) *[]V, def, allowed []V, doc string, opts ...option) field[T] {
	names := make([]string, len(allowed))
	for i, w := range allowed {
		names[i] = string(w)
	}
	show := func(list []V) string {
		if len(list) == 0 {
			return ""
		}
		texts := make([]string, len(list))
		for i, w := range list {
			texts[i] = string(w)
		}
		return flow(texts)
	}
	f := field[T]{Key: Key{Path: path, Kind: "list of words", Default: show(def), Range: strings.Join(names, ", "), Doc: doc}}
	if f.Default == "" {
		f.Default = "(what is configured)"
	}
	f.reset = func(t *T) { *at(t) = slices.Clone(def) }
	f.show = func(t *T) string { return show(*at(t)) }
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		if list, ok := d.words(n, f.Path, names); ok {
			*at(t) = nil
			for _, w := range list {
				*at(t) = append(*at(t), V(w))
			}
			d.origin(f.Path, n)
		}
	}
	return finish(f, opts)
}

// unixPrefix starts the address of a Unix socket.
const unixPrefix = "unix:"

// address is the place a listener is bound to.
func address[T any](path string, at func(*T) (*netip.AddrPort, *string), doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{
		Path: path, Kind: "address", Doc: doc,
		Range: `"ADDRESS:PORT" or "unix:/PATH"; ":PORT" is every address of this machine; host names other than localhost are refused`,
	}}
	f.reset = func(t *T) {
		ip, unix := at(t)
		*ip, *unix = netip.AddrPort{}, ""
	}
	f.show = func(t *T) string {
		ip, unix := at(t)
		if *unix != "" {
			return quoteYAML(unixPrefix + *unix)
		}
		return quoteYAML(ip.String())
	}
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		s, ok := d.text(n, f.Path)
		if !ok {
			return
		}
		ip, unix := at(t)
		if socket, is := strings.CutPrefix(s, unixPrefix); is {
			if !filepath.IsAbs(socket) || len(socket) > maxUnixPath || strings.ContainsFunc(socket, isControl) {
				d.report(n, f.Path, fmt.Sprintf("%s is not unix: with an absolute path of at most %d bytes", quote(s), maxUnixPath), "")
				return
			}
			*unix = filepath.Clean(socket)
			d.origin(f.Path, n)
			return
		}
		v, err := parseBind(s)
		if err != nil {
			d.report(n, f.Path, fmt.Sprintf("%v", err), "")
			return
		}
		*ip = v
		d.origin(f.Path, n)
	}
	return finish(f, opts)
}

// maxUnixPath is what every system takes as the name of a socket, in bytes.
const maxUnixPath = 100

// optional is a choice that stays empty unless it is given; complete fills in the first word where it has a meaning.
func optional[T any, V ~string](path string, at func(*T) *V, doc string, words []V, opts ...option) field[T] {
	f := choice(path, at, doc, words, opts...)
	f.reset = func(t *T) { *at(t) = "" }
	f.show = func(t *T) string {
		if *at(t) == "" {
			return ""
		}
		return quoteYAML(string(*at(t)))
	}
	return f
}

// urlPath is the path of a URL, empty by default.
func urlPath[T any](path string, at func(*T) *string, doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{Path: path, Kind: "path of a URL", Default: defaultWebPath, Range: "A-Z a-z 0-9 / _ . - and ~, starting with /", Doc: doc}}
	f.reset = func(t *T) { *at(t) = "" }
	f.show = func(t *T) string {
		if *at(t) == "" {
			return ""
		}
		return quoteYAML(*at(t))
	}
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		s, ok := d.text(n, f.Path)
		if !ok {
			return
		}
		if !webPathForm.MatchString(s) {
			d.report(n, f.Path, fmt.Sprintf("%s is not a path of a URL such as /mqtt", quote(s)), "")
			return
		}
		*at(t) = s
		d.origin(f.Path, n)
	}
	return finish(f, opts)
}

// defaultWebPath is what clients expect.
const defaultWebPath = "/mqtt"

var (
	webPathForm = regexp.MustCompile(`^/[A-Za-z0-9/_.~-]{0,127}$`)
	originForm  = regexp.MustCompile(`^https?://[a-z0-9.:\[\]-]{1,255}$`)
)

// maxOrigins bounds a list of origins.
const maxOrigins = 100

// origins is a list of origins in the form of browsers (RFC 6454 §6.2).
func origins[T any](path string, at func(*T) *[]string, doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{Path: path, Kind: "list of origins", Default: "[]", Range: "at most " + strconv.Itoa(maxOrigins), Doc: doc}}
	f.reset = func(t *T) { *at(t) = nil }
	f.show = func(t *T) string {
		if len(*at(t)) == 0 {
			return ""
		}
		return flow(*at(t))
	}
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		if !d.plain(n, f.Path) {
			return
		}
		if n.Kind != yaml.SequenceNode || len(n.Content) > maxOrigins {
			d.report(n, f.Path, fmt.Sprintf("not a list of at most %d", maxOrigins), `write it as: ["https://plant.example"]`)
			return
		}
		list := make([]string, 0, len(n.Content))
		for _, e := range n.Content {
			s, ok := d.text(e, f.Path)
			if ok && !originForm.MatchString(s) {
				d.report(e, f.Path, fmt.Sprintf("%s is not an origin: scheme and host in lower case, and the port if it is not the usual one", quote(s)),
					"write it as browsers send it: https://plant.example or http://127.0.0.1:8080")
			}
			list = append(list, s)
		}
		*at(t) = list
		d.origin(f.Path, n)
	}
	return finish(f, opts)
}

// filters is a list of Topic Filters; each keeps its line.
func filters[T any](path string, at func(*T) *[]Rule, def []string, doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{Path: path, Kind: "list of topic filters", Default: flow(def), Doc: doc, Range: "at most " + strconv.Itoa(maxRules)}}
	f.reset = func(t *T) {
		*at(t) = nil
		for _, s := range def {
			*at(t) = append(*at(t), Rule{Filter: topic.Filter(s)})
		}
	}
	f.show = func(t *T) string {
		texts := make([]string, len(*at(t)))
		for i, r := range *at(t) {
			texts[i] = string(r.Filter)
		}
		return flow(texts)
	}
	f.decode = func(t *T, d *decoder, n *yaml.Node) { d.filters(n, f.Path, at(t)) }
	return finish(f, opts)
}

func finish[T any](f field[T], opts []option) field[T] {
	for _, o := range opts {
		o(&f.Key)
	}
	return f
}

// flow writes a list of texts on one line.
func flow(texts []string) string {
	quoted := make([]string, len(texts))
	for i, s := range texts {
		quoted[i] = quoteYAML(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// quoteYAML writes s as a double-quoted scalar; the escapes of Go are a subset of those of YAML 1.2 §5.7 for the valid
// UTF-8 that a decoded file consists of.
func quoteYAML(s string) string { return strconv.Quote(s) }

// quote shows a value inside an error, bounded and without control characters.
func quote(s string) string {
	const limit = 60
	if len(s) > limit {
		cut := limit
		for cut > 0 && s[cut]&0xC0 == 0x80 {
			cut--
		}
		return strconv.Quote(s[:cut]) + "…"
	}
	return strconv.Quote(s)
}

// parseBind reads ADDRESS:PORT. Names are not looked up: what a listener is bound to must not depend on DNS.
func parseBind(s string) (netip.AddrPort, error) {
	const want = `such as "127.0.0.1:1883", "[::1]:1883" or ":1883"`
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return netip.AddrPort{}, fmt.Errorf("%s has no port: an address is written %s", quote(s), want)
	}
	port, ok := parseDigits(s[i+1:])
	if !ok || port > 65535 {
		return netip.AddrPort{}, fmt.Errorf("%s is not a port in %s: ports are 0 to 65535", quote(s[i+1:]), quote(s))
	}
	switch host := s[:i]; host {
	case "":
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), nil
	case "localhost":
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)), nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s is not an address: write one %s; host names are not looked up", quote(s), want)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}
