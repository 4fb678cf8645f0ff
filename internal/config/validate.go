package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/topic"
)

// complete gives listener values that are not set the values they inherit.
func (c *Config) complete() {
	c.completeAuth()
	c.completeProtection()
	c.completeAudit()
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.MaxClients == 0 {
			l.MaxClients = c.Limits.Clients
		}
		if l.MaxPacket == 0 {
			l.MaxPacket = c.Limits.Packet
		}
		if l.TLS.Cert != "" && l.TLS.MinVersion == "" {
			l.TLS.MinVersion = TLS13
		}
		if l.ClientCert.CA != "" && l.ClientCert.Mode == "" {
			l.ClientCert.Mode = RequireCert
		}
	}
}

// check reports what is wrong between keys that are each right on their own.
func (c *Config) check(d *decoder) {
	c.checkSizes(d)
	c.checkIntervals(d)
	c.checkNoEffect(d)
	c.checkAuth(d)
	c.checkListeners(d)
	c.checkOps(d)
	c.checkRules(d)
	c.checkMosquitto(d)
	c.checkProtection(d)
	c.ACL.Publish.check(d, "acl.publish", c.Limits.TopicLevels)
	c.ACL.Subscribe.check(d, "acl.subscribe", c.Limits.TopicLevels)
}

// conflict reports a problem between keys at the first of them that was set. When one of them is already reported, it
// has its default instead of what was meant, and there is nothing to say about it.
func (d *decoder) conflict(message, hint string, paths ...string) {
	if slices.ContainsFunc(paths, func(p string) bool { return d.broken[p] }) {
		return
	}
	for _, p := range paths {
		if n := d.nodes[p]; n != nil {
			d.add(n.Line, n.Column, p, message, hint)
			return
		}
	}
	d.add(0, 0, paths[0], message, hint)
}

// checkSizes makes sure that everything that takes a packet has room for the largest one: otherwise a message that the
// broker said it would take could never be stored, and its publisher would send it again for ever.
func (c *Config) checkSizes(d *decoder) {
	l := &c.Limits
	const packet = "limits.packet"
	holders := []struct {
		path string
		size Size
		used bool
	}{
		{"limits.unacked_v3.bytes", l.UnackedV3.Bytes, true},
		{"limits.publish_bytes.burst", l.PublishBytes.Burst, l.PublishBytes.PerClient != UnlimitedByteRate},
		{"limits.queue.bytes", l.Queue.Bytes, true},
		{"limits.retained.bytes", l.Retained.Bytes, l.Retained.Messages > 0},
		{"limits.retained.bytes_per_principal", l.Retained.BytesPerPrincipal, l.Retained.Messages > 0},
	}
	for _, h := range holders {
		if h.used && h.size < l.Packet {
			d.conflict(fmt.Sprintf("%s: %v has no room for one packet of %v (%s)", h.path, h.size, l.Packet, packet),
				fmt.Sprintf("raise %s to at least %v, or lower %s", h.path, l.Packet, packet), h.path, packet)
		}
	}
	if l.QueueTotal < l.Queue.Bytes {
		d.conflict(fmt.Sprintf("limits.queue_total: %v is less than one full queue of %v (limits.queue.bytes)",
			l.QueueTotal, l.Queue.Bytes), "", "limits.queue_total", "limits.queue.bytes")
	}
	if l.ConnectPacket > l.Packet {
		d.conflict(fmt.Sprintf("limits.connect_packet: %v is more than limits.packet (%v)", l.ConnectPacket, l.Packet),
			"", "limits.connect_packet", packet)
	}
}

// checkIntervals makes sure that what is told to clients in seconds can be told.
func (c *Config) checkIntervals(d *decoder) {
	l := &c.Limits
	const never = math.MaxUint32 // [MQTT-3.1.2-23]: an interval of that many seconds never ends
	for _, i := range []struct {
		path string
		v    time.Duration
		most int64 // seconds
	}{
		{"limits.session_expiry_max", l.SessionExpiryMax, never - 1},
		{"limits.session_expiry_v3", l.SessionExpiryV3, never - 1},
		{"limits.message_expiry_max", l.MessageExpiryMax, never - 1},
		{"limits.will_delay_max", l.WillDelayMax, never - 1},
		{"limits.keep_alive_max", l.KeepAliveMax, math.MaxUint16},
	} {
		switch {
		case i.v == Unlimited:
		case i.v%time.Second != 0:
			d.conflict(fmt.Sprintf("%s: %s is not a whole number of seconds", i.path, formatDuration(i.v)), "", i.path)
		case int64(i.v/time.Second) > i.most:
			longest := time.Duration(i.most) * time.Second
			d.conflict(fmt.Sprintf("%s: %s is more than MQTT can say (%s)", i.path, formatDuration(i.v), formatDuration(longest)),
				"write unlimited for no bound", i.path)
		}
	}
	if l.SessionExpiryV3 > l.SessionExpiryMax {
		d.conflict(fmt.Sprintf("limits.session_expiry_v3: %s is more than limits.session_expiry_max (%s)",
			formatDuration(l.SessionExpiryV3), formatDuration(l.SessionExpiryMax)), "",
			"limits.session_expiry_v3", "limits.session_expiry_max")
	}
}

// pointless is a key whose value another key makes meaningless.
type pointless struct{ path, because string }

// pointless lists the keys that have no effect with these values.
func (c *Config) pointless() []pointless {
	out := slices.Concat(c.pointlessAuth(), c.pointlessProtection(), c.pointlessOps(), c.pointlessAudit())
	for _, k := range []struct {
		pointless
		is bool
	}{
		{pointless{"limits.publish_rate.burst", "limits.publish_rate.per_client is unlimited"}, c.Limits.PublishRate.PerClient == UnlimitedRate},
		{pointless{"limits.publish_bytes.burst", "limits.publish_bytes.per_client is unlimited"}, c.Limits.PublishBytes.PerClient == UnlimitedByteRate},
		{pointless{"limits.retained.bytes", "limits.retained.messages is 0"}, c.Limits.Retained.Messages == 0},
		{pointless{"limits.retained.messages_per_principal", "limits.retained.messages is 0"}, c.Limits.Retained.Messages == 0},
		{pointless{"limits.retained.bytes_per_principal", "limits.retained.messages is 0"}, c.Limits.Retained.Messages == 0},
		{pointless{"storage.sync", "storage.engine is memory"}, c.Storage.Engine == EngineMemory},
		{pointless{"storage.ack_before_sync", "storage.engine is memory"}, c.Storage.Engine == EngineMemory},
	} {
		if k.is {
			out = append(out, k.pointless)
		}
	}
	return out
}

// checkNoEffect refuses keys that say something while another key makes it meaningless.
func (c *Config) checkNoEffect(d *decoder) {
	for _, k := range c.pointless() {
		if d.nodes[k.path] != nil {
			d.conflict(k.path+": has no effect, because "+k.because, "remove it", k.path)
		}
	}
}

func (c *Config) checkListeners(d *decoder) {
	for i := range c.Listeners {
		l := &c.Listeners[i]
		at := func(key string) string { return "listeners[" + l.Name + "]." + key }
		if l.MaxClients > c.Limits.Clients {
			d.conflict(fmt.Sprintf("%s: %d is more than limits.clients (%d)", at("max_clients"), l.MaxClients, c.Limits.Clients),
				"", at("max_clients"), "limits.clients")
		}
		if l.MaxPacket > c.Limits.Packet || l.MaxPacket < c.Limits.ConnectPacket && c.Limits.ConnectPacket <= c.Limits.Packet {
			d.conflict(fmt.Sprintf("%s: %v is not between limits.connect_packet (%v) and limits.packet (%v)", at("max_packet"),
				l.MaxPacket, c.Limits.ConnectPacket, c.Limits.Packet), "", at("max_packet"), "limits.packet", "limits.connect_packet")
		}
		l.checkTransport(d, at)
		if l.Unix != "" {
			for j := range i {
				if other := &c.Listeners[j]; other.Unix == l.Unix {
					d.conflict(fmt.Sprintf("%s: %s is already taken by the listener %s", at("bind"), l.Address(), other.Name), "", at("bind"), "listeners")
				}
			}
		}
		if !l.Bind.IsValid() {
			continue
		}
		for j := range i {
			if other := &c.Listeners[j]; overlap(l.Bind, other.Bind) {
				d.conflict(fmt.Sprintf("%s: %v is already taken by the listener %s (%v)", at("bind"), l.Bind, other.Name, other.Bind),
					"", at("bind"), "listeners")
			}
		}
		if l.AllowClearPassword && (!l.AllowPlaintext || l.Loopback() || !c.Auth.sendsSecret()) {
			d.conflict(at("allow_clear_password")+": it has no effect without allow_plaintext, on loopback, or without login by password or token",
				"remove it", at("allow_clear_password"))
		}
		if what, hint := l.exposure(&c.Auth); what != "" {
			d.conflict(fmt.Sprintf("%s: %s", at("bind"), what), hint, at("bind"), "listeners")
		}
	}
}

// checkTransport refuses half of a TLS configuration and parts that do not go together: whoever wrote them believes in
// a protection that is not there.
func (l *Listener) checkTransport(d *decoder, at func(string) string) {
	for _, c := range []struct {
		wrong         bool
		key, say, fix string
	}{
		{l.TLS.Cert != "" && l.TLS.Key == "", "tls.cert", "a certificate without its key", "add tls.key"},
		{l.TLS.Key != "" && l.TLS.Cert == "", "tls.key", "a key without its certificate", "add tls.cert"},
		{l.TLS.MinVersion != "" && l.TLS.Cert == "", "tls.min_version", "has no effect without tls.cert", "add tls.cert and tls.key"},
		{l.ClientCert.CA != "" && l.TLS.Cert == "", "client_cert.ca", "client certificates need TLS", "add tls.cert and tls.key"},
		{l.ClientCert.Mode != "" && l.ClientCert.CA == "", "client_cert.mode", "client certificates without an authority to check them against", "add client_cert.ca"},
		{l.ClientCert.CRL != "" && l.ClientCert.CA == "", "client_cert.crl", "has no effect without client_cert.ca", "add client_cert.ca"},
		{l.PSK.File != "" && l.TLS.Cert != "", "tls_psk.file", "a listener has a certificate or pre-shared keys, not both", "make two listeners of it"},
		{l.PSK.AllowNoForwardSecrecy && l.PSK.File == "", "tls_psk.allow_no_forward_secrecy", "has no effect without tls_psk.file", "remove it"},
		{l.PSK.File != "" && l.WebSocket.Path != "", "websocket.path", "browsers cannot use pre-shared keys", "make two listeners of it"},
		{l.Unix != "" && l.Encrypted(), "bind", "a Unix socket has no TLS: nobody else can read what passes through it", "remove tls or tls_psk"},
		{l.AllowPlaintext && (l.Encrypted() || l.Unix != ""), "allow_plaintext", "has no effect: nothing on this listener crosses a network in plaintext", "remove it"},
	} {
		if c.wrong {
			d.conflict(at(c.key)+": "+c.say, c.fix, at(c.key), "listeners")
		}
	}
}

// exposure says why a plaintext listener may not be bound where other machines reach it; "" when it may.
func (l *Listener) exposure(a *Auth) (what, hint string) {
	switch {
	case l.Loopback() || l.Encrypted() || l.AllowPlaintext && a.HasLogin():
		return "", ""
	case !l.AllowPlaintext:
		return fmt.Sprintf("other machines can reach %v, and everything on it would be readable on the way", l.Bind),
			"give it tls or tls_psk, or bind it to 127.0.0.1; plaintext beyond this machine needs allow_plaintext: true and a login"
	default:
		return fmt.Sprintf("other machines can reach %v, and no login is configured: anyone could read and publish", l.Bind),
			"bind it to 127.0.0.1; anonymous clients are accepted on loopback only"
	}
}

// overlap reports that two listeners cannot both have their address. Port 0 never overlaps.
func overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() || a.Port() == 0 || !b.IsValid() {
		return false
	}
	x, y := a.Addr(), b.Addr()
	return x == y || x.IsUnspecified() && (x.Is6() || y.Is4()) || y.IsUnspecified() && (y.Is6() || x.Is4())
}

// check refuses rules that can never decide anything: whoever wrote them believes in an effect that is not there.
// levels is the deepest topic there can be.
func (r *Rules) check(d *decoder, path string, levels int) {
	for i, rule := range r.Allow {
		if j := slices.IndexFunc(r.Deny, func(x Rule) bool { return x.Filter.Covers(rule.Filter) }); j >= 0 {
			d.unused(path+".allow", i, rule, "it is denied by "+r.Deny[j].where())
			continue
		}
		d.covered(path+".allow", r.Allow, i, levels)
	}
	for i := range r.Deny {
		d.covered(path+".deny", r.Deny, i, levels)
	}
}

// covered reports rule i when another rule of the same list says the same or more, or no topic is as deep.
func (d *decoder) covered(path string, list []Rule, i, levels int) {
	f := list[i].Filter
	least := topic.Levels(string(f)) // of a topic that matches; "a/#" matches "a"
	if strings.HasSuffix(string(f), "/#") {
		least--
	}
	if least > levels {
		d.unused(path, i, list[i], fmt.Sprintf("topics have at most %d levels (limits.topic_levels)", levels))
		return
	}
	for j, other := range list {
		if j == i || !other.Filter.Covers(f) {
			continue
		}
		if j > i && f.Covers(other.Filter) {
			continue // equal: the later one is reported
		}
		d.unused(path, i, list[i], "it is covered by "+other.where())
		return
	}
}

// where names a rule and its line.
func (r *Rule) where() string {
	if r.Line == 0 {
		return quote(string(r.Filter))
	}
	return fmt.Sprintf("%s on line %d", quote(string(r.Filter)), r.Line)
}

// unused reports element i of the list at path.
func (d *decoder) unused(path string, i int, rule Rule, because string) {
	n := d.rules[path][i]
	d.add(n.Line, n.Column, path, fmt.Sprintf("%s: %s can never decide: %s", path, quote(string(rule.Filter)), because), "remove it")
}
