package translation

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/mosquittoconf"
)

// listener is one that is taken over, unless refused says why not.
type listener struct {
	section *mosquittoconf.Section
	start   *mosquittoconf.Directive // what began it; nil for the one that Mosquitto opens by itself
	name    string
	bind    string // as it is written
	reach   reach
	refused string

	cert, key  string
	minVersion string
	clientCA   string // "" unless a client certificate is required
	crl        string
	identity   string // template of the user name; "" when the certificate says nothing about it
	psk        bool
	pskNames   bool // the identity of the key is the user name
	websocket  bool
	origins    []string
	maxClients string
	plaintext  bool // allow_plaintext

	anonymous bool
	accounts  string // files of Mosquitto; "" without
	rules     string
	keys      string
}

// reach is from where a listener can be reached.
type reach uint8

const (
	fromHere       reach = iota // loopback, or a Unix socket
	fromElsewhere               // an address that is not loopback
	fromEverywhere              // all addresses, loopback among them
)

func (l *listener) encrypted() bool { return l.cert != "" || l.psk }

// refuse leaves the listener out; the first reason counts.
func (l *listener) refuse(why string) {
	if l.refused == "" {
		l.refused = why
	}
}

// collect reads all listeners, and speaks about their directives.
func (t *translator) collect() {
	c := t.c
	if c.Default.Get("port") != nil || c.Default.Get("bind_address") != nil {
		t.add(&c.Default, c.Default.Get("port"))
	} else if len(c.Listeners) == 0 {
		// Without any, Mosquitto listens on loopback only, and lets everybody in.
		t.add(&c.Default, nil)
	} else {
		for i := range c.Default.Directives {
			t.say(&c.Default.Directives[i], Refused, "it stands before the first listener, and there is no port")
		}
	}
	for i := range c.Listeners {
		t.add(&c.Listeners[i], c.Listeners[i].Start)
	}
	names := map[string]int{}
	for _, l := range t.listeners {
		if names[l.name]++; names[l.name] > 1 {
			l.name += "-" + strconv.Itoa(names[l.name])
		}
	}
}

func (t *translator) add(s *mosquittoconf.Section, start *mosquittoconf.Directive) {
	l := &listener{section: s, start: start, name: "local", bind: "127.0.0.1:1883"}
	t.listeners = append(t.listeners, l)
	if start != nil || s.Get("bind_address") != nil {
		t.address(l)
	}
	t.say(start, Kept, fmt.Sprintf("listeners[%s].bind: %s", l.name, l.bind))
	for i := range s.Directives {
		d := &s.Directives[i]
		if scope, _ := mosquittoconf.Known(d.Name); scope == mosquittoconf.OfSecurity || d.Name == "listener_allow_anonymous" {
			continue // security speaks about it
		}
		if h := listenerDirectives[d.Name]; h != nil {
			v, why := h(t, l, d)
			t.say(d, v, why)
		}
	}
	t.encryption(l)
}

// address finds out where a listener is bound.
func (t *translator) address(l *listener) {
	s := l.section
	port, host := "1883", ""
	if l.start != nil {
		words := l.start.Words()
		if len(words) > 0 {
			port = words[0]
		}
		if len(words) > 1 {
			host = strings.Join(words[1:], " ")
		}
	}
	if d := s.Get("bind_address"); d != nil && s == &t.c.Default {
		host = d.Args
	}
	domain := ""
	if d := s.Get("socket_domain"); d != nil {
		domain = d.Args
	}
	n, err := strconv.ParseUint(port, 10, 16)
	port = strconv.FormatUint(n, 10)
	switch {
	case err != nil:
		l.refuse("it has no port")
	case n == 0 && filepath.IsAbs(host):
		l.name, l.bind = "unix", "unix:"+filepath.Clean(host)
		return
	case n == 0:
		l.refuse("a Unix socket needs an absolute path")
	default:
		l.name = "port-" + port
	}
	l.bind, l.reach = ":"+port, fromEverywhere
	ip, err := netip.ParseAddr(host)
	switch {
	case l.refused != "":
	case host == "" && domain == "ipv4":
		l.bind = "0.0.0.0:" + port
	case host == "" && domain == "ipv6":
		l.refuse("it was for IPv6 only: give the address")
	case host == "" && s.Get("bind_interface") != nil:
		l.refuse("it was for one interface only: give its address")
	case host == "":
	case host == "localhost":
		l.bind, l.reach = "127.0.0.1:"+port, fromHere
	case err != nil:
		l.refuse("host names are not looked up: give the address")
	default:
		ip = ip.Unmap()
		l.bind = netip.AddrPortFrom(ip, 0).String()
		l.bind = strings.TrimSuffix(l.bind, "0") + port
		switch {
		case ip.IsLoopback():
			l.reach = fromHere
		case !ip.IsUnspecified():
			l.reach = fromElsewhere
		}
	}
}

// listenerHandler says what becomes of a directive of a listener.
type listenerHandler func(t *translator, l *listener, d *mosquittoconf.Directive) (Verdict, string)

// leaveOut refuses the whole listener.
func leaveOut(why string) listenerHandler {
	return func(_ *translator, l *listener, _ *mosquittoconf.Directive) (Verdict, string) {
		l.refuse(why)
		return Refused, why + ": the listener is left out"
	}
}

func answer(v Verdict, why string) listenerHandler {
	return func(*translator, *listener, *mosquittoconf.Directive) (Verdict, string) { return v, why }
}

// ofDefault is for what is about the listener that port opens, wherever it stands.
func ofDefault(why string) listenerHandler {
	return func(t *translator, l *listener, _ *mosquittoconf.Directive) (Verdict, string) {
		if l.section == &t.c.Default {
			return Kept, why
		}
		return Refused, "it is not about the listener above it: write listener PORT ADDRESS"
	}
}

// unless gives one answer when the directive is on, and nothing to worry about when it is off.
func unless(h listenerHandler) listenerHandler {
	return func(t *translator, l *listener, d *mosquittoconf.Directive) (Verdict, string) {
		if !d.True() {
			return Kept, "it is off here, too"
		}
		return h(t, l, d)
	}
}

var listenerDirectives = map[string]listenerHandler{
	"port":           ofDefault("the listener's bind"),
	"bind_address":   ofDefault("part of the listener's bind"),
	"socket_domain":  answer(Kept, "part of the listener's bind"),
	"bind_interface": answer(Refused, "a listener is bound to an address"),
	"protocol":       protocol,
	"certfile":       answer(Kept, "listeners[].tls.cert"),
	"keyfile":        answer(Kept, "listeners[].tls.key"),
	"tls_version":    tlsVersion,
	"websockets_origin": func(_ *translator, l *listener, d *mosquittoconf.Directive) (Verdict, string) {
		l.origins = append(l.origins, d.Args)
		return Kept, "listeners[].websocket.origins"
	},
	"max_connections": func(t *translator, l *listener, d *mosquittoconf.Directive) (Verdict, string) {
		all := defaultClients
		if n, err := strconv.Atoi(t.values["limits.clients"]); err == nil {
			all = n
		}
		n, err := strconv.Atoi(d.Args)
		if err != nil || n < 1 || n > all {
			return Tightened, fmt.Sprintf("there is always a bound here: limits.clients, %d for all listeners together", all)
		}
		l.maxClients = strconv.Itoa(n)
		return Kept, "listeners[].max_clients: " + l.maxClients
	},
	"max_topic_alias": func(t *translator, _ *listener, d *mosquittoconf.Directive) (Verdict, string) {
		n, err := strconv.ParseUint(d.Args, 10, 16)
		if err != nil {
			return Refused, "it is not a number"
		}
		if old, err := strconv.ParseUint(t.values["limits.topic_alias_maximum"], 10, 16); err == nil {
			n = min(n, old)
		}
		t.values["limits.topic_alias_maximum"] = strconv.FormatUint(n, 10)
		return Kept, "limits.topic_alias_maximum, which holds for all listeners: the least of them"
	},

	"require_certificate": func(_ *translator, _ *listener, d *mosquittoconf.Directive) (Verdict, string) {
		if !d.True() {
			return Kept, "client certificates are not asked for"
		}
		return Kept, "listeners[].client_cert.mode: require"
	},
	"use_identity_as_username": answer(Kept, "auth: the name that the certificate or the key proves"),
	"use_subject_as_username":  answer(Kept, "auth.certificate.identity: {subject}"),
	"psk_hint":                 answer(Kept, "listeners[].tls_psk: the hint itself says nothing that a client needs"),
	"capath":                   answer(Refused, "authorities are one file here: put them into one, and name it in client_cert.ca"),

	"ciphers":                         answer(Refused, "the suites are fixed: forward secret, with authenticated encryption"),
	"ciphers_tls1.3":                  answer(Refused, "the suites are fixed"),
	"dhparamfile":                     answer(Refused, "keys are exchanged with elliptic curves only"),
	"disable_client_cert_date_checks": unless(answer(Tightened, "an expired certificate is always refused")),
	"tls_engine":                      leaveOut("keys in hardware are not read"),
	"tls_keyform":                     answer(Refused, "keys are PEM files"),
	"mount_point":                     leaveOut("topics of a listener are not moved below a prefix, so its clients would reach others"),
	"use_username_as_clientid":        unless(leaveOut("the user name does not become the client identifier, by which rules with %c decide")),
	"enable_proxy_protocol":           unless(leaveOut("the PROXY protocol is not spoken, so nobody could connect")),
	"http_dir":                        answer(Refused, "files are not served"),
	"max_qos":                         answer(Refused, "the QoS is not bounded"),
	"accept_protocol_versions":        answer(Refused, "every version of MQTT is accepted"),
	"listener_auto_id_prefix":         answer(Refused, "client identifiers that the broker gives are random"),
	"max_topic_alias_broker":          answer(Refused, "the client says how many it takes"),
}

func protocol(_ *translator, l *listener, d *mosquittoconf.Directive) (Verdict, string) {
	switch d.Args {
	case "mqtt":
		return Kept, "it is the default"
	case "websockets":
		l.websocket = true
		return Tightened, "listeners[].websocket: pages in browsers only from the origins that are listed"
	}
	l.refuse("the protocol " + d.Args + " is not spoken")
	return Refused, l.refused + ": the listener is left out"
}

func tlsVersion(_ *translator, l *listener, d *mosquittoconf.Directive) (Verdict, string) {
	switch d.Args {
	case "tlsv1.3":
		l.minVersion = "1.3"
		return Kept, "listeners[].tls.min_version: 1.3"
	case "tlsv1.2":
		return Kept, "listeners[].tls.min_version: 1.2"
	}
	return Tightened, "TLS 1.2 is the oldest version here"
}

// encryption puts certificates and keys together; half of them leave the listener out.
func (t *translator) encryption(l *listener) {
	s := l.section
	get := func(name string) string { return t.c.Path(s.Get(name)) }
	l.cert, l.key = get("certfile"), get("keyfile")
	l.psk = s.Get("psk_hint") != nil
	required := s.Get("require_certificate") != nil && s.Get("require_certificate").True()
	switch {
	case (l.cert == "") != (l.key == ""):
		l.refuse("certfile and keyfile belong together")
	case l.cert != "" && l.psk:
		l.refuse("a listener has certificates or pre-shared keys, not both")
	}
	if l.minVersion == "" {
		l.minVersion = "1.2" // as Mosquitto has it
	}
	on := func(name string) bool { d := s.Get(name); return d != nil && d.True() }
	if l.psk {
		l.pskNames = on("use_identity_as_username")
	}
	if !required {
		for _, name := range []string{"cafile", "crlfile"} {
			t.say(s.Get(name), Refused, "no client certificate is asked for, so it has no effect")
		}
		return
	}
	l.clientCA, l.crl = get("cafile"), get("crlfile")
	switch {
	case l.cert == "":
		l.refuse("require_certificate needs certfile and keyfile")
	case s.Get("capath") != nil || l.clientCA == "":
		l.refuse("the authorities of client certificates must be one file")
	}
	t.say(s.Get("cafile"), Kept, "listeners[].client_cert.ca")
	t.say(s.Get("crlfile"), Tightened, "listeners[].client_cert.crl: a list that is out of date refuses everybody")
	switch {
	case on("use_subject_as_username"):
		l.identity = "{subject}"
	case on("use_identity_as_username"):
		l.identity = "{cn}"
	}
}
