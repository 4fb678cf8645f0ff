package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Flags is what the command line of serve can say.
type Flags struct {
	Config string   // configuration file; "" for FolderFile in Data or Folder if it is there, and not Dev
	Data   string   // folder for durable state, "" for the configured one
	Listen []string // addresses such as mqtt://127.0.0.1:1883; they replace the configured listeners
	// Dev is for trying: loopback, anonymous, durable sessions for everybody, and, without Config, generous limits and
	// nothing kept unless Data is given.
	Dev bool
}

// Plan is what serve is going to do.
type Plan struct {
	Config *Config
	// Dev allows durable sessions to anonymous clients.
	Dev   bool
	flags Flags
	home  string // the folder whose file was found without being named; "" when one was named
}

// Home is the folder whose configuration is used because no file was named; "" when one was, or there is none.
func (p *Plan) Home() string { return p.home }

// File is the absolute path of the configuration file, "" when there is none.
func (p *Plan) File() string {
	if p.flags.Config == "" {
		return ""
	}
	abs, err := filepath.Abs(p.flags.Config)
	if err != nil {
		return p.flags.Config
	}
	return abs
}

// FlagError is a flag that cannot be used as given.
type FlagError struct {
	Flag string // with its value
	Why  string
	Hint string
}

func (e *FlagError) Error() string { return e.Flag + ": " + e.Why }

// The folder that serve makes and uses when nothing else is said, and the configuration in it.
const (
	Folder     = "sealmq-data"
	FolderFile = "sealmq.yaml"
)

// plainPreset is what is in force without any file: nobody can log in.
const plainPreset = "version: 1\n"

const devPreset = `
version: 1
auth: {anonymous: true}
acl:
  publish: {allow: ["#"]}
  subscribe: {allow: ["#", "$SYS/#"]}
limits:
  packet: 16MiB
  subscriptions_per_client: 100000
  filters_per_subscribe: 10000
  receive_maximum: 65535
  inflight: 65535
  unacked_v3: {messages: 65535, bytes: 256MiB}
  topic_alias_maximum: 65535
  publish_rate: {per_client: unlimited}
  publish_bytes: {per_client: unlimited}
  queue: {messages: 100000, bytes: 256MiB}
  queue_total: 4GiB
  retained: {messages: 1000000, bytes: 1GiB, messages_per_principal: 1000000, bytes_per_principal: 1GiB}
  sessions_per_principal: 1000000
storage: {engine: memory}
`

// FromFlags makes the plan of serve. The error is a *FlagError for a flag, an *Invalid for the file, or the error of
// reading it.
func FromFlags(f Flags) (*Plan, error) {
	home := f.findFile()
	c, d, preset, err := f.base()
	if err != nil {
		return nil, err
	}
	if err := f.override(c, d); err != nil {
		return nil, err
	}
	if c, err = conclude(c, d); err != nil {
		return nil, err
	}
	for i := range c.Listeners {
		if f.Dev && !c.Listeners[i].Loopback() {
			return nil, &FlagError{"--dev", "the listener " + quote(c.Listeners[i].Name) + " can be reached from other machines", "bind it to loopback, or leave --dev out"}
		}
	}
	if preset != "" {
		for path := range c.origins {
			c.origins[path] = Origin{Flag: preset}
		}
		c.ACL.Publish.unplace()
		c.ACL.Subscribe.unplace()
	}
	if f.Data != "" {
		c.origins["node.data_dir"] = Origin{Flag: "--data"}
	}
	if len(f.Listen) > 0 {
		c.origins["listeners"] = Origin{Flag: "--listen"}
	}
	return &Plan{Config: c, Dev: f.Dev, flags: f, home: home}, nil
}

// findFile names the file of the folder when no other is named, and returns the folder.
func (f *Flags) findFile() (home string) {
	if f.Config != "" || f.Dev {
		return ""
	}
	dir := f.Data
	if dir == "" {
		dir = Folder
	}
	file := filepath.Join(dir, FolderFile)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	f.Config = file // also one that cannot be read: that must be said
	return dir
}

// base decodes what the flags are applied to. preset is the origin of all values when that is no file.
func (f *Flags) base() (c *Config, d *decoder, preset string, err error) {
	switch {
	case f.Dev && f.Config == "":
		c, d = decode("", []byte(devPreset))
		return c, d, "--dev", nil
	case f.Config == "":
		c, d = decode("", []byte(plainPreset))
		return c, d, "no file", nil
	}
	data, err := read(f.Config)
	if err != nil {
		return nil, nil, "", err
	}
	c, d = decode(f.Config, data)
	return c, d, "", nil
}

// override applies --data and --listen.
func (f *Flags) override(c *Config, d *decoder) error {
	if f.Data != "" {
		switch {
		case f.Dev && f.Config == "":
			c.Storage.Engine = EngineDisk
		case c.Storage.Engine == EngineMemory:
			return &FlagError{"--data " + f.Data, "it has no effect, because storage.engine is memory", "remove the flag"}
		}
		dir, err := filepath.Abs(f.Data)
		if err != nil {
			return fmt.Errorf("find the data folder %s: %w", f.Data, err)
		}
		c.Node.DataDir = dir
	}
	if len(f.Listen) == 0 {
		return nil
	}
	for path := range d.nodes {
		if strings.HasPrefix(path, "listeners") {
			delete(d.nodes, path)
		}
	}
	c.Listeners = c.Listeners[:0:0]
	for i, url := range f.Listen {
		l, err := parseListen(url)
		if err != nil {
			return err
		}
		if i > 0 {
			l.Name += "-" + strconv.Itoa(i+1)
		}
		for j := range c.Listeners {
			if overlap(l.Bind, c.Listeners[j].Bind) {
				return &FlagError{"--listen " + url, "the address is already taken by --listen " + f.Listen[j], "give each address once"}
			}
		}
		c.Listeners = append(c.Listeners, l)
	}
	return nil
}

// parseListen reads mqtt://ADDRESS[:PORT], or the same with ws://, for a listener on loopback.
func parseListen(url string) (Listener, error) {
	refuse := func(why, hint string) (Listener, error) {
		return Listener{}, &FlagError{"--listen " + quote(url), why, hint}
	}
	scheme, host, ok := strings.Cut(url, "://")
	switch {
	case !ok:
		return refuse("it is not a URL", "write it as mqtt://127.0.0.1:1883")
	case scheme == "mqtts" || scheme == "wss":
		return refuse("the scheme "+scheme+" needs a certificate, which has no flag", "describe the listener in a file: sealmq serve --config sealmq.yaml")
	case scheme != "mqtt" && scheme != "ws":
		return refuse("the scheme "+quote(scheme)+" is not known; it can be mqtt or ws", "write it as mqtt://127.0.0.1:1883")
	}
	port := ":1883"
	if scheme == "ws" {
		port = ":8083"
		host = strings.TrimSuffix(host, defaultWebPath)
	}
	host = strings.TrimSuffix(host, "/")
	if strings.ContainsAny(host, "/?#@ ") {
		return refuse("a listener has an address and a port, nothing else", "write it as mqtt://127.0.0.1:1883")
	}
	if host == "" {
		return refuse("it has no address", "write it as mqtt://127.0.0.1:1883")
	}
	if strings.HasSuffix(host, "]") || !strings.Contains(host, ":") {
		host += port
	}
	bind, err := parseBind(host)
	if err != nil {
		return refuse(err.Error(), "write it as mqtt://127.0.0.1:1883")
	}
	l := defaultListener()
	l.Bind = bind
	if scheme == "ws" {
		l.Name, l.WebSocket.Path = "web", defaultWebPath
	}
	if !l.Loopback() {
		return refuse("other machines can reach it, and it has neither encryption nor a login: anyone could read and publish",
			"bind it to loopback, for example --listen mqtt://127.0.0.1:"+strconv.Itoa(int(bind.Port())))
	}
	return l, nil
}

// unplace forgets where rules of a preset were written.
func (r *Rules) unplace() {
	for _, list := range [][]Rule{r.Allow, r.Deny} {
		for i := range list {
			list[i].File, list[i].Line = "", 0
		}
	}
}

// Notes are sentences for whoever starts the broker.
func (p *Plan) Notes() []string {
	notes := p.Config.Notes()
	if p.Dev {
		notes = append(notes, "--dev is for trying, not for use: anyone on this machine may connect, publish and subscribe")
		if p.Config.Storage.Engine == EngineMemory {
			notes = append(notes, "nothing is kept: sessions and retained messages end with the broker (keep them with --data DIR)")
		}
	} else if p.flags.Config == "" {
		notes = append(notes, "there is no configuration file: sealmq serve or sealmq init makes one")
	}
	return notes
}

// errNoFile is the reason why a plan made of flags alone has nothing to reload.
var errNoFile = errors.New("there is no configuration file to read again: the broker was started without --config")

// Reload reads the file of the plan again, under the same flags, and returns the new plan with what changed. On an
// error, among them a *RestartError, nothing has changed and the old plan stays in force.
func (p *Plan) Reload() (*Plan, []Change, error) {
	if p.flags.Config == "" {
		return nil, nil, errNoFile
	}
	next, err := FromFlags(p.flags)
	if err != nil {
		return nil, nil, err
	}
	next.home = p.home
	changes := Diff(p.Config, next.Config)
	if err := NeedRestart(changes); err != nil {
		return nil, nil, err
	}
	return next, changes, nil
}
