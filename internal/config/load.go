package config

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
)

// Default returns the configuration of a file that sets nothing: one plaintext listener on loopback that accepts no
// anonymous clients, and safe limits.
func Default() *Config {
	c := blank()
	c.complete()
	return c
}

// blank is Default before inherited values are filled in.
func blank() *Config {
	c := &Config{origins: map[string]Origin{}}
	for i := range topKeys {
		topKeys[i].reset(c)
	}
	c.Listeners = []Listener{defaultListener()}
	return c
}

// defaultListener is the one of a file without listeners.
func defaultListener() Listener {
	var l Listener
	for _, f := range listenerKeys {
		f.reset(&l)
	}
	l.Name, l.Bind = "local", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1883)
	return l
}

// Load reads the file. The error is an *Invalid when the file could be read and is wrong.
func Load(file string) (*Config, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, data)
}

// read returns the file's bytes, at most one more than a configuration may have.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return data, nil
}

// Parse is Load for bytes at hand. name is the file as named by the user: it appears in errors and rules, and relative
// paths start at its folder. The error is always an *Invalid.
func Parse(name string, data []byte) (*Config, error) {
	c, d := decode(name, data)
	return conclude(c, d)
}

// decode fills a Config from data. Values that were reported keep their defaults.
func decode(name string, data []byte) (*Config, *decoder) {
	d := newDecoder(name)
	c := blank()
	c.Node.DataDir = filepath.Join(d.dir, c.Node.DataDir)
	root := d.tree(data)
	if root == nil {
		return c, d
	}
	mapping(d, root, "", topKeys, c, func(p pair) bool {
		if p.key.Value != "listeners" {
			return false
		}
		c.Listeners = d.listeners(p.value)
		return true
	})
	if !has(root, "version") {
		d.add(root.Line, root.Column, "version", "the key version is missing", "add the line: version: 1")
	}
	if has(root, "ops") {
		c.openOps()
	}
	if d.nodes["acl"] != nil {
		c.denyUnwritten(d)
	}
	return c, d
}

// denyUnwritten empties the lists that an acl section does not give: with acl, what is not allowed is denied.
func (c *Config) denyUnwritten(d *decoder) {
	if d.nodes["acl.publish.allow"] == nil {
		c.ACL.Publish.Allow = nil
	}
	if d.nodes["acl.subscribe.allow"] == nil {
		c.ACL.Subscribe.Allow = nil
	}
}

// conclude completes and checks a decoded Config, and gives every value its origin.
func conclude(c *Config, d *decoder) (*Config, error) {
	c.complete()
	c.check(d)
	if err := d.err(); err != nil {
		return nil, err
	}
	for path, n := range d.nodes {
		c.origins[path] = Origin{File: d.name, Line: n.Line}
	}
	return c, nil
}

// Origin says where the value of a key came from. A listener's keys are named listeners[NAME].KEY.
func (c *Config) Origin(path string) Origin { return c.origins[path] }

// Notes are sentences about settings that are valid and probably not what somebody wants.
func (c *Config) Notes() []string {
	var notes []string
	if !c.Auth.Anonymous && !c.Auth.HasLogin() {
		notes = append(notes, "nobody can log in: auth.anonymous is false and no login method is configured")
	}
	if c.Auth.Anonymous && c.Auth.HasLogin() {
		notes = append(notes, "clients on this machine need no login although there is one: auth.anonymous is true")
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.AllowClearPassword {
			notes = append(notes, "passwords cross the network in clear text: listeners["+l.Name+"].allow_clear_password is true")
		}
	}
	notes = append(notes, c.ACL.notes()...)
	if c.Storage.AckBeforeSync {
		notes = append(notes, "a power failure loses acknowledged messages: storage.ack_before_sync is true")
	}
	return notes
}
