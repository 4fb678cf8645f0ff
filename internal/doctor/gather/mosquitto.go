package gather

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/internal/mosquittoconf"
)

// Mosquitto gathers a configuration file of Mosquitto with what it includes.
func Mosquitto(path string) (*doctor.Model, error) {
	c, err := mosquittoconf.Load(path)
	if err != nil {
		return nil, err
	}
	g := mosquitto{c: c, m: &doctor.Model{Dialect: doctor.Mosquitto, Subject: path, Now: now()}}
	g.m.Files = append(g.m.Files, file(doctor.TrustedFile, "the configuration", path, doctor.Place{File: path}))
	for i := range c.Listeners {
		g.listener(&c.Listeners[i], false)
	}
	if c.Default.Get("port") != nil || c.Default.Get("bind_address") != nil || len(c.Listeners) == 0 {
		g.listener(&c.Default, c.Default.Get("port") == nil && c.Default.Get("bind_address") == nil)
	}
	for i := range c.Bridges {
		g.bridge(&c.Bridges[i])
	}
	g.broker()
	g.lines()
	g.m.SharedKeys = shared(g.holders)
	return g.m, nil
}

type mosquitto struct {
	c    *mosquittoconf.Config
	m    *doctor.Model
	seen map[string]bool // files that were looked at

	holders []holder
}

func placeOf(d *mosquittoconf.Directive) doctor.Place {
	if d == nil {
		return doctor.Place{}
	}
	return doctor.Place{File: d.File, Line: d.Line}
}

// file looks at a file once, however many listeners name it.
func (g *mosquitto) file(kind doctor.FileKind, d *mosquittoconf.Directive) (path string, first bool) {
	if d == nil || d.Args == "" {
		return "", false
	}
	path = g.c.Path(d)
	if g.seen == nil {
		g.seen = map[string]bool{}
	}
	if g.seen[path] {
		return path, false
	}
	g.seen[path] = true
	g.m.Files = append(g.m.Files, file(kind, d.Name, path, placeOf(d)))
	return path, true
}

// listener judges one. localOnly is the listener that Mosquitto opens when no other is configured.
func (g *mosquitto) listener(s *mosquittoconf.Section, localOnly bool) {
	l := doctor.Listener{Place: placeOf(s.Start)}
	bind := ""
	switch words := []string(nil); {
	case localOnly:
		l.Place = doctor.Place{File: g.c.File}
		l.Name, l.Address, l.Loopback = "default", "127.0.0.1:1883", true
	case s.Start != nil:
		if words = s.Start.Words(); len(words) > 0 {
			l.Name = words[0]
		}
		if len(words) > 1 {
			bind = words[1]
		}
		if l.Name == "0" { // a Unix socket
			l.Name, l.Address, l.Loopback = bind, bind, true
		}
	default:
		l.Name = "1883"
		if d := s.Get("port"); d != nil {
			l.Name, l.Place = d.Args, placeOf(d)
		}
		if d := s.Get("bind_address"); d != nil {
			bind, l.Place = d.Args, placeOf(d)
		}
	}
	if l.Address == "" {
		l.Address, l.Loopback = net.JoinHostPort(bind, l.Name), loopback(bind)
		if d := s.Get("bind_interface"); d != nil && d.Args == "lo" {
			l.Loopback = true
		}
	}
	g.transport(s, &l)
	g.login(s, &l, localOnly)
	g.m.Listeners = append(g.m.Listeners, l)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (g *mosquitto) transport(s *mosquittoconf.Section, l *doctor.Listener) {
	cert, key := s.Get("certfile"), s.Get("keyfile")
	if cert != nil && key != nil {
		l.Encrypted = true
		g.file(doctor.TrustedFile, cert)
		g.file(doctor.SecretKey, key)
		l.Certificate = certificate(g.c.Path(cert), g.c.Path(key), placeOf(cert))
	} else if half := firstOf(cert, key); half != nil {
		g.m.Problems = append(g.m.Problems, doctor.Problem{
			Kind: doctor.NoEffect, Place: placeOf(half), Text: half.Name + " without its other half: the listener " + l.Name + " speaks no TLS",
			Change: "give it certfile and keyfile",
		})
	}
	if d := s.Get("psk_hint"); d != nil {
		l.Encrypted, l.PSK = true, true
	}
	if d := s.Get("tls_version"); d != nil && (d.Args == "tlsv1" || d.Args == "tlsv1.0" || d.Args == "tlsv1.1") {
		l.OldTLS, l.OldTLSPlace = strings.TrimPrefix(d.Args, "tlsv"), placeOf(d)
	}
	if d := s.Get("require_certificate"); d != nil && d.True() {
		l.ClientCA, l.ClientCAPlace = true, placeOf(d)
		for _, name := range []string{"use_identity_as_username", "use_subject_as_username"} {
			if use := s.Get(name); use != nil && use.True() {
				l.IdentityUsed = true
			}
		}
		if crl := s.Get("crlfile"); crl != nil {
			l.CRL = revocations(g.c.Path(crl), placeOf(crl))
		}
	}
	if ca := s.Get("cafile"); ca != nil && l.Encrypted {
		g.file(doctor.TrustedFile, ca)
	}
	if d := s.Get("protocol"); d != nil && d.Args == "websockets" && s.Get("websockets_origin") == nil {
		l.AnyOrigin, l.OriginPlace = true, placeOf(d)
	}
}

func firstOf(list ...*mosquittoconf.Directive) *mosquittoconf.Directive {
	for _, d := range list {
		if d != nil {
			return d
		}
	}
	return nil
}

func (g *mosquitto) login(s *mosquittoconf.Section, l *doctor.Listener, localOnly bool) {
	c := g.c
	anonymous := c.Security(s, "allow_anonymous")
	l.Anonymous = anonymous != nil && anonymous.True() || anonymous == nil && localOnly
	l.AnonymousPlace = placeOf(anonymous)
	if anonymous == nil {
		l.AnonymousPlace = l.Place
	}
	passwords, plugin, psk := c.Security(s, "password_file"), firstOf(c.Security(s, "plugin"), c.Security(s, "auth_plugin"), c.Security(s, "plugin_use"), c.Global.Get("global_plugin")), c.Security(s, "psk_file")
	if passwords != nil {
		l.SecretsInClear, l.SecretsPlace = !l.Encrypted, placeOf(passwords)
		if path, first := g.file(doctor.SecretFile, passwords); first {
			g.m.Accounts = append(g.m.Accounts, accounts(path)...)
		}
		if g.m.Lockout == nil && !l.Loopback {
			g.m.Lockout = &doctor.Lockout{Place: placeOf(passwords), None: true}
		}
	}
	if psk != nil {
		if path, first := g.file(doctor.SecretKey, psk); first {
			g.holders = append(g.holders, pskHolders(path, placeOf(psk))...)
		}
	}
	certificates := l.ClientCA && l.IdentityUsed
	if !l.Anonymous && passwords == nil && plugin == nil && psk == nil && !certificates {
		l.NoLogin, l.NoLoginPlace = true, l.Place
	}
	g.access(s, l, plugin != nil)
}

// access looks at the rules of a listener. A plug-in may have rules of its own.
func (g *mosquitto) access(s *mosquittoconf.Section, l *doctor.Listener, plugin bool) {
	rules := g.c.Security(s, "acl_file")
	if rules == nil {
		if !plugin && !l.NoLogin {
			g.m.NoRules = append(g.m.NoRules, l.Place)
		}
		return
	}
	if path, first := g.file(doctor.TrustedFile, rules); first {
		g.aclFile(path)
	}
}

// aclFile finds rules that allow too much.
func (g *mosquitto) aclFile(path string) {
	data, err := read(path)
	if err != nil {
		return // said of the file
	}
	user, n := "", 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "user":
			user = rest
		case "topic", "pattern":
			g.aclLine(doctor.Place{File: path, Line: n}, line, word, user, rest)
		}
	}
}

func (g *mosquitto) aclLine(place doctor.Place, line, word, user, rest string) {
	access, filter, two := strings.Cut(rest, " ")
	if !two || access != "read" && access != "write" && access != "readwrite" && access != "deny" {
		access, filter = "readwrite", rest
	}
	filter = strings.TrimSpace(filter)
	everybody := word == "pattern" || user == ""
	r := doctor.Rule{Place: place, Text: line}
	switch {
	case access == "deny":
		return
	case everybody && (filter == "#" || filter == "+/#"):
		who := "every client"
		if word == "topic" {
			who = "every client without login"
		}
		r.Kind, r.Why, r.Fix = doctor.Open, who+" may "+access+" everywhere", "give each client its own branch, for example: pattern readwrite devices/%u/#"
	case everybody && strings.HasPrefix(filter, "$SYS"):
		r.Kind, r.Why, r.Fix = doctor.SysOpen, "every client may read it", "put it below the user who needs it"
	case strings.Contains(filter, "%c"):
		r.Kind, r.Why, r.Fix = doctor.ByClient, "a client identifier is what a client calls itself, and proves nothing", "use %u"
	case word == "pattern" && (strings.HasSuffix(filter, "+/#") || !strings.Contains(filter, "%") && strings.HasSuffix(filter, "#")):
		r.Kind, r.Why, r.Fix = doctor.Wide, "it leaves more than one level open for every client", "put %u where the client's own name belongs"
	default:
		return
	}
	g.m.Rules = append(g.m.Rules, r)
}

func (g *mosquitto) bridge(s *mosquittoconf.Section) {
	b := doctor.Bridge{Place: placeOf(s.Start), Name: s.Start.Args, Loopback: true}
	for _, d := range append(s.All("address"), s.All("addresses")...) {
		for _, a := range d.Words() {
			host := a
			if h, _, err := net.SplitHostPort(a); err == nil {
				host = h
			}
			b.Loopback = b.Loopback && loopback(host)
		}
	}
	b.Encrypted = s.Get("bridge_cafile") != nil || s.Get("bridge_capath") != nil || s.Get("bridge_psk") != nil || s.Get("bridge_tls_use_os_certs") != nil
	if d := firstOf(s.Get("remote_password"), s.Get("password")); d != nil {
		b.Secret = true
	}
	if d := s.Get("bridge_insecure"); d != nil && d.True() {
		p := placeOf(d)
		b.Insecure = &p
	}
	g.m.Bridges = append(g.m.Bridges, b)
}

// broker judges what holds for all listeners.
func (g *mosquitto) broker() {
	s := &g.c.Global
	number := func(name string, otherwise int) (int, *mosquittoconf.Directive) {
		d := s.Get(name)
		if d == nil {
			return otherwise, nil
		}
		n, err := strconv.Atoi(d.Args)
		if err != nil {
			return otherwise, d
		}
		return n, d
	}
	limit := func(bad bool, d *mosquittoconf.Directive, key, value, why, change string) {
		if bad {
			place := placeOf(d)
			if d == nil {
				place = doctor.Place{File: g.c.File}
			}
			g.m.Limits = append(g.m.Limits, doctor.Limit{Key: key, Value: value, Place: place, Why: why, Change: change})
		}
	}
	packet, d := number("max_packet_size", 0)
	old, od := number("message_size_limit", 0)
	if d == nil {
		d = od
	}
	limit(packet == 0 && old == 0, d, "max_packet_size", "not set", "a client may send packets of 256 MB", "write: max_packet_size 262144, or the largest message you send")
	queued, d := number("max_queued_messages", 1000)
	bytes, _ := number("max_queued_bytes", 0)
	limit(queued == 0 && bytes == 0, d, "max_queued_messages", "0", "one client that stays away fills the memory", "write: max_queued_messages 1000")
	if d := s.Get("persistent_client_expiration"); d == nil {
		limit(true, nil, "persistent_client_expiration", "not set", "sessions of devices that are gone collect messages for ever", "write: persistent_client_expiration 14d")
	}
	if d := s.Get("persistence"); d == nil || !d.True() {
		place := placeOf(d)
		if d == nil {
			place = doctor.Place{File: g.c.File}
		}
		g.m.Storage = &doctor.Storage{Memory: true, MemoryPlace: place}
	}
	if d := s.Get("user"); d != nil && d.Args == "root" {
		g.m.Process = &doctor.Process{Root: true, RootPlace: placeOf(d)}
	}
	if d := s.Get("persistence_location"); d != nil {
		path := strings.TrimSuffix(g.c.Path(d), "/")
		if f := file(doctor.SecretFolder, d.Name, path, placeOf(d)); !f.Missing {
			// Packages make it readable by the group and others; what is in it is not.
			f.Path, f.Kind = filepath.Join(path, "mosquitto.db"), doctor.SecretFile
			if db := file(f.Kind, d.Name, f.Path, f.Place); !db.Missing {
				g.m.Files = append(g.m.Files, db)
			}
		}
	}
}

// lines judges lines that do nothing, or will not for long.
func (g *mosquitto) lines() {
	for i := range g.c.Unknown {
		d := &g.c.Unknown[i]
		g.m.Problems = append(g.m.Problems, doctor.Problem{Kind: doctor.UnknownName, Place: placeOf(d), Text: "no version knows " + d.Name, Change: "correct or remove it"})
	}
	for _, p := range g.c.Problems {
		g.m.Problems = append(g.m.Problems, doctor.Problem{Kind: doctor.NoEffect, Place: doctor.Place{File: p.File, Line: p.Line}, Text: p.Err.Error(), Change: "correct the line, or what it names"})
	}
	if g.c.PerListener() {
		// With it, what stands before the first listener is that of the default listener, and reaches no other.
		for i := range g.c.Default.Directives {
			d := &g.c.Default.Directives[i]
			scope, _ := mosquittoconf.Known(d.Name)
			if scope == mosquittoconf.OfSecurity && len(g.c.Listeners) > 0 && g.c.Default.Get("port") == nil {
				g.m.Problems = append(g.m.Problems, doctor.Problem{
					Kind: doctor.NoEffect, Place: placeOf(d), Text: d.Name + " stands before the first listener, and per_listener_settings is on: it reaches none",
					Change: "move it below each listener it is meant for",
				})
			}
		}
	}
	for i := range g.c.Directives {
		d := &g.c.Directives[i]
		if why := mosquittoconf.Deprecated(d.Name); why != "" {
			g.m.Deprecated = append(g.m.Deprecated, doctor.Directive{Place: placeOf(d), Name: d.Name, Why: why, NoEffect: strings.HasPrefix(why, "without effect")})
		}
	}
}
