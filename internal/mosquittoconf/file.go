// Package mosquittoconf reads configuration files of Mosquitto 2.0 and 2.1 into directives that keep their file and line,
// put into the sections they belong to. It knows what a directive is about, not whether it is wise.
package mosquittoconf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealmq/sealmq/internal/boundedfile"
)

// Bounds of what is read.
const (
	maxFile       = 4 << 20 // bytes of one file
	maxFiles      = 200     // of include_dir
	maxDirectives = 20_000
	maxLine       = 64 << 10 // bytes
)

// Directive is one line.
type Directive struct {
	Name string // as written
	Args string // the rest of the line, without blanks at its ends
	File string
	Line int // 1-based
}

// Place is FILE:LINE.
func (d *Directive) Place() string { return fmt.Sprintf("%s:%d", d.File, d.Line) }

// Words are the arguments as Mosquitto splits them, at blanks.
func (d *Directive) Words() []string { return strings.Fields(d.Args) }

// True reports whether the directive switches something on. What is no boolean is off.
func (d *Directive) True() bool { return d.Args == "true" || d.Args == "1" }

// Section is a group of directives: everything that is global, a listener, or a bridge.
type Section struct {
	Start      *Directive // "listener" or "connection"; nil for the global section and the listener of port
	Directives []Directive
}

// Get returns the last directive of the name, which is the one in force, or nil.
func (s *Section) Get(name string) *Directive {
	for i := len(s.Directives) - 1; i >= 0; i-- {
		if s.Directives[i].Name == name {
			return &s.Directives[i]
		}
	}
	return nil
}

// All returns every directive of the name, in order.
func (s *Section) All(name string) []*Directive {
	var out []*Directive
	for i := range s.Directives {
		if s.Directives[i].Name == name {
			out = append(out, &s.Directives[i])
		}
	}
	return out
}

// Config is one configuration with everything it includes.
type Config struct {
	File       string
	Directives []Directive // all of them, in the order in which Mosquitto reads them
	Global     Section
	Default    Section // of the listener that port and the directives before the first listener make; without "port" it may not exist
	Listeners  []Section
	Bridges    []Section
	Unknown    []Directive // names that no version 2 has
	Problems   []Problem   // what was left out
}

// Problem is something that could not be read.
type Problem struct {
	File string
	Line int // 0 for a file as a whole
	Err  error
	// Unread says that Mosquitto may know more than what was read here: a part of the configuration is missing.
	Unread bool
}

func (p *Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %v", p.File, p.Err)
	}
	return fmt.Sprintf("%s:%d: %v", p.File, p.Line, p.Err)
}

// Load reads a file and what it includes. A file that cannot be read at all is an error; an include that cannot be read
// is one of the Problems.
func Load(path string) (*Config, error) {
	data, err := boundedfile.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	return parse(path, data, true), nil
}

// Parse is Load for bytes at hand. Includes are not followed: each is one of the Problems.
func Parse(name string, data []byte) *Config { return parse(name, data, false) }

func parse(name string, data []byte, follow bool) *Config {
	c := &Config{File: name}
	r := reader{c: c, follow: follow}
	r.read(name, data, true)
	c.sort()
	return c
}

// reader collects the directives of a file and its includes.
type reader struct {
	c      *Config
	follow bool
	files  int
}

func (r *reader) problem(file string, line int, err error) {
	r.c.Problems = append(r.c.Problems, Problem{File: file, Line: line, Err: err})
}

// unread is a problem that leaves a part of the configuration out.
func (r *reader) unread(file string, line int, err error) {
	r.c.Problems = append(r.c.Problems, Problem{File: file, Line: line, Err: err, Unread: true})
}

// unprintable characters stand in no path, name or number that somebody meant to write.
func unprintable(c rune) bool { return c < ' ' || c == 0x7f }

// read takes the lines of one file. Mosquitto follows include_dir in the main file only.
func (r *reader) read(name string, data []byte, main bool) {
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, maxLine)
	n := 0
	for scanner.Scan() {
		n++
		// As Mosquitto reads lines: a comment begins in the first column, and the name ends at the first blank.
		line := scanner.Text()
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		word, rest, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
		d := Directive{Name: strings.TrimRight(word, "\t\r"), Args: strings.Trim(rest, " \t\r"), File: name, Line: n}
		if strings.ContainsFunc(d.Name+d.Args, unprintable) {
			r.unread(name, n, fmt.Errorf("a control character in %.100q", d.Name))
			continue
		}
		if len(r.c.Directives) >= maxDirectives {
			r.unread(name, n, fmt.Errorf("more than %d directives", maxDirectives))
			return
		}
		r.c.Directives = append(r.c.Directives, d)
		if d.Name != "include_dir" {
			continue
		}
		switch {
		case !main:
			r.problem(name, n, errors.New("include_dir within an included file has no effect"))
		case !r.follow:
			r.unread(name, n, errors.New("include_dir was not followed"))
		default:
			r.include(&d)
		}
	}
	if err := scanner.Err(); err != nil {
		r.unread(name, n+1, err)
	}
}

// include reads the files of a folder that end with .conf, in the order of their names.
func (r *reader) include(d *Directive) {
	dir := d.Args
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(d.File), dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		r.unread(d.File, d.Line, err)
		return
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, n := range names {
		if r.files++; r.files > maxFiles {
			r.unread(d.File, d.Line, fmt.Errorf("more than %d files", maxFiles))
			return
		}
		path := filepath.Join(dir, n)
		data, err := boundedfile.Read(path, maxFile)
		if err != nil {
			r.unread(d.File, d.Line, err)
			continue
		}
		r.read(path, data, false)
	}
}

// sort puts directives into sections: a listener or a bridge takes what belongs to one from where it begins, and global
// directives are global wherever they stand.
func (c *Config) sort() {
	var listener, bridge *Section
	listener = &c.Default
	for i := range c.Directives {
		d := c.Directives[i]
		switch scope, known := Known(d.Name); {
		case !known:
			c.Unknown = append(c.Unknown, d)
		case d.Name == "listener":
			c.Listeners = append(c.Listeners, Section{Start: &c.Directives[i]})
			listener = &c.Listeners[len(c.Listeners)-1]
		case d.Name == "connection":
			c.Bridges = append(c.Bridges, Section{Start: &c.Directives[i]})
			bridge = &c.Bridges[len(c.Bridges)-1]
		case scope == OfBridge:
			if bridge == nil {
				c.Problems = append(c.Problems, Problem{File: d.File, Line: d.Line, Err: errors.New(d.Name + " belongs to a bridge, and no connection was begun")})
				continue
			}
			bridge.Directives = append(bridge.Directives, d)
		case scope == OfListener:
			listener.Directives = append(listener.Directives, d)
		case scope == OfSecurity && c.perListener():
			listener.Directives = append(listener.Directives, d)
		default:
			c.Global.Directives = append(c.Global.Directives, d)
		}
	}
}

// perListener reports whether per_listener_settings is on.
func (c *Config) perListener() bool {
	for i := range c.Directives {
		if d := &c.Directives[i]; d.Name == "per_listener_settings" {
			return d.True()
		}
	}
	return false
}

// PerListener reports whether login and access rules are those of each listener: per_listener_settings.
func (c *Config) PerListener() bool { return c.perListener() }

// Security returns what holds for a listener about login and access: its own directive with per_listener_settings, the
// global one without. listener_allow_anonymous of version 2.1 is the listener's in any case.
func (c *Config) Security(listener *Section, name string) *Directive {
	if name == "allow_anonymous" {
		if d := listener.Get("listener_allow_anonymous"); d != nil {
			return d
		}
	}
	if c.PerListener() {
		return listener.Get(name)
	}
	return c.Global.Get(name)
}

// Password files, lists and the like are named relative to where Mosquitto was started, which a file does not say: Path
// takes the folder of the configuration.
func (c *Config) Path(d *Directive) string {
	if d == nil || d.Args == "" {
		return ""
	}
	if filepath.IsAbs(d.Args) {
		return d.Args
	}
	return filepath.Join(filepath.Dir(c.File), d.Args)
}
