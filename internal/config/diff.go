package config

import (
	"fmt"
	"slices"
	"strings"
)

// Change is one key whose effective value differs between two configurations.
type Change struct {
	Key     string // a listener's keys are named listeners[NAME].KEY
	Old     string // as written in a file; "" when a listener is new
	New     string // as written in a file; "" when a listener is gone
	Restart bool   // a running broker cannot take it over
	Origin  Origin // of the new value
}

// String is one line for the log.
func (c Change) String() string {
	s := fmt.Sprintf("%s: %s -> %s", c.Key, absent(c.Old), absent(c.New))
	if c.Origin != (Origin{}) {
		s += " (" + c.Origin.String() + ")"
	}
	return s
}

func absent(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Diff lists the keys whose effective values differ, in the order of the reference.
func Diff(old, new *Config) []Change {
	var changes []Change
	changes = append(changes, diff(topKeys, old, new, func(path string) string { return path }, new.origins)...)
	for i := range old.Listeners {
		o := &old.Listeners[i]
		if n := new.listener(o.Name); n != nil {
			changes = append(changes, diff(listenerKeys, o, n, labelled(o.Name), new.origins)...)
		} else {
			changes = append(changes, Change{Key: "listeners[" + o.Name + "]", Old: o.Address(), Restart: true, Origin: new.Origin("listeners")})
		}
	}
	for i := range new.Listeners {
		n := &new.Listeners[i]
		if old.listener(n.Name) == nil {
			changes = append(changes, Change{Key: "listeners[" + n.Name + "]", New: n.Address(), Restart: true, Origin: new.Origin("listeners")})
		}
	}
	return changes
}

func diff[T any](fields []field[T], old, new *T, label func(string) string, origins map[string]Origin) []Change {
	var changes []Change
	for _, f := range fields {
		if a, b := f.show(old), f.show(new); a != b {
			path := label(f.Path)
			changes = append(changes, Change{Key: path, Old: a, New: b, Restart: f.Restart, Origin: origins[path]})
		}
	}
	return changes
}

// labelled puts a listener's name into the path of its keys.
func labelled(name string) func(string) string {
	return func(path string) string { return strings.Replace(path, "[]", "["+name+"]", 1) }
}

// listener finds a listener by its name; nil when there is none.
func (c *Config) listener(name string) *Listener {
	if i := slices.IndexFunc(c.Listeners, func(l Listener) bool { return l.Name == name }); i >= 0 {
		return &c.Listeners[i]
	}
	return nil
}

// RestartError refuses a reload because of keys that only a restart can change.
type RestartError struct{ Changes []Change }

func (e *RestartError) Error() string {
	lines := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		lines[i] = c.String()
	}
	return "nothing was changed, because these keys need a restart: " + strings.Join(lines, "; ")
}

// NeedRestart returns a *RestartError with the changes that need a restart, or nil when there are none.
func NeedRestart(changes []Change) error {
	var blocked []Change
	for _, c := range changes {
		if c.Restart {
			blocked = append(blocked, c)
		}
	}
	if len(blocked) == 0 {
		return nil
	}
	return &RestartError{Changes: blocked}
}
