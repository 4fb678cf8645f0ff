package config

// Examine reads a file that may be wrong, for whoever judges it: the Config has what could be understood, with defaults in
// place of what could not, and the *Invalid is nil when the file is valid. A broker must not run with a Config that came
// with an *Invalid. The error is that of reading the file.
func Examine(file string) (*Config, *Invalid, error) {
	data, err := read(file)
	if err != nil {
		return nil, nil, err
	}
	c, d := decode(file, data)
	c.complete()
	c.check(d)
	for path, n := range d.nodes {
		c.origins[path] = Origin{File: d.name, Line: n.Line}
	}
	if bad, ok := d.err().(*Invalid); ok { //nolint:errorlint // d.err returns nothing else
		return c, bad, nil
	}
	return c, nil, nil
}
