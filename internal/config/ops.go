package config

import (
	"fmt"
	"net/netip"

	"go.yaml.in/yaml/v4"
)

// opsPort is where exporters for Mosquitto listen, so that a scrape job that exists keeps its target.
const opsPort = 9234

var opsKeys = []field[Config]{
	tcpAddress("ops.bind", func(c *Config) *netip.AddrPort { return &c.Ops.Bind },
		"Address for metrics and health over HTTP. A section ops, be it {}, opens 127.0.0.1:9234; without one nothing "+
			"listens. Beyond this machine it needs ops.tls and ops.token.", restart,
		func(k *Key) { k.Default = "(127.0.0.1:9234, with a section ops)" }),
	urlPath("ops.metrics", func(c *Config) *string { return &c.Ops.Metrics },
		"Path of the metrics, in the text format of Prometheus. See metrics.md.", restart,
		func(k *Key) { k.Default = defaultMetricsPath }),
	yesNo("ops.health", func(c *Config) *bool { return &c.Ops.Health }, true,
		"Answer /healthz (the process is alive), /readyz (it takes connections and messages) and /startupz.", restart),
	yesNo("ops.mosquitto_names", func(c *Config) *bool { return &c.Ops.MosquittoNames }, false,
		"Also give the metrics that exporters for Mosquitto make of $SYS, such as broker_clients_connected, so that their dashboards go on.", restart),
	optionalPath("ops.token", func(c *Config) *string { return &c.Ops.Token },
		"File with the bearer token that scrapers show for the metrics; only the broker's user may read it. Health needs none.", restart),
	optionalPath("ops.tls.cert", func(c *Config) *string { return &c.Ops.TLS.Cert },
		"Certificate of the port, PEM, with its chain. It makes the port speak HTTPS.", restart),
	optionalPath("ops.tls.key", func(c *Config) *string { return &c.Ops.TLS.Key },
		"Private key of the certificate, PEM; a file that others can read is refused.", restart),
}

const defaultMetricsPath = "/metrics"

// openOps fills in what a section ops does not say.
func (c *Config) openOps() {
	o := &c.Ops
	if !o.Bind.IsValid() {
		o.Bind = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), opsPort)
	}
	if o.Metrics == "" {
		o.Metrics = defaultMetricsPath
	}
}

// pointlessOps lists the keys that have no effect without an operations port.
func (c *Config) pointlessOps() []pointless {
	if c.Ops.Bind.IsValid() {
		return nil
	}
	var out []pointless
	for i := range opsKeys {
		out = append(out, pointless{opsKeys[i].Path, "ops is not given"})
	}
	return out
}

// checkOps refuses an operations port that would give away what it knows, and half of a TLS configuration.
func (c *Config) checkOps(d *decoder) {
	o := &c.Ops
	if !o.Bind.IsValid() {
		return
	}
	for _, p := range []struct {
		wrong         bool
		key, say, fix string
	}{
		{o.TLS.Cert != "" && o.TLS.Key == "", "ops.tls.cert", "a certificate without its key", "add ops.tls.key"},
		{o.TLS.Key != "" && o.TLS.Cert == "", "ops.tls.key", "a key without its certificate", "add ops.tls.cert"},
		{
			!o.Loopback() && o.TLS.Cert == "", "ops.bind", fmt.Sprintf("other machines can reach %v, and everything on it would be readable on the way", o.Bind),
			"bind it to 127.0.0.1, or add ops.tls.cert, ops.tls.key and ops.token",
		},
		{
			!o.Loopback() && o.TLS.Cert != "" && o.Token == "", "ops.bind", fmt.Sprintf("other machines can reach %v, and anyone could read the metrics", o.Bind),
			"bind it to 127.0.0.1, or add ops.token",
		},
		{
			o.Health && (o.Metrics == "/healthz" || o.Metrics == "/readyz" || o.Metrics == "/startupz"), "ops.metrics", o.Metrics + " is a path of ops.health",
			"choose another, such as " + defaultMetricsPath,
		},
	} {
		if p.wrong {
			d.conflict(p.key+": "+p.say, p.fix, p.key, "ops")
		}
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.Bind.IsValid() && overlap(l.Bind, o.Bind) {
			d.conflict(fmt.Sprintf("ops.bind: %v is already taken by the listener %s (%v)", o.Bind, l.Name, l.Bind), "", "ops.bind", "ops")
		}
	}
}

// tcpAddress is an address and a port; unlike that of a listener it cannot be a Unix socket.
func tcpAddress[T any](path string, at func(*T) *netip.AddrPort, doc string, opts ...option) field[T] {
	f := field[T]{Key: Key{
		Path: path, Kind: "address", Doc: doc,
		Range: `"ADDRESS:PORT"; ":PORT" is every address of this machine; host names other than localhost are refused`,
	}}
	f.reset = func(t *T) { *at(t) = netip.AddrPort{} }
	f.show = func(t *T) string {
		if !at(t).IsValid() {
			return ""
		}
		return quoteYAML(at(t).String())
	}
	f.decode = func(t *T, d *decoder, n *yaml.Node) {
		s, ok := d.text(n, f.Path)
		if !ok {
			return
		}
		v, err := parseBind(s)
		if err != nil {
			d.report(n, f.Path, err.Error(), "")
			return
		}
		*at(t) = v
		d.origin(f.Path, n)
	}
	return finish(f, opts)
}
