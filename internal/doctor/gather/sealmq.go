package gather

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/audit"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/topic"
)

// SealMQ gathers a configuration file of SealMQ. The error is that of reading the file; one that is wrong is judged, too.
func SealMQ(path string) (*doctor.Model, error) {
	c, invalid, err := config.Examine(path)
	if err != nil {
		return nil, err
	}
	m := FromConfig(path, c)
	m.Audit = auditFile(c)
	m.Files = append(m.Files, file(doctor.TrustedFile, "the configuration", path, doctor.Place{File: path}))
	if invalid != nil {
		m.Problems = append(m.Problems, problems(invalid)...)
	}
	return m, nil
}

// FromConfig gathers a configuration at hand. subject is its file, or what stands for it.
func FromConfig(subject string, c *config.Config) *doctor.Model {
	g := gatherer{c: c, m: &doctor.Model{Dialect: doctor.SealMQ, Subject: subject, Now: now()}}
	for i := range c.Listeners {
		g.listener(&c.Listeners[i])
	}
	g.login()
	g.rules()
	g.protection()
	g.limits()
	g.state()
	g.ops()
	g.m.SharedKeys = shared(g.holders)
	return g.m
}

type gatherer struct {
	c       *config.Config
	m       *doctor.Model
	holders []holder
}

// at is where a key was set, or the nearest section around it that was.
func (g *gatherer) at(key string) doctor.Place {
	for {
		if o := g.c.Origin(key); o.File != "" {
			return doctor.Place{File: o.File, Line: o.Line}
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return doctor.Place{}
		}
		key = key[:i]
	}
}

func (g *gatherer) file(kind doctor.FileKind, key, path string) {
	if path != "" {
		g.m.Files = append(g.m.Files, file(kind, key, path, g.at(key)))
	}
}

func (g *gatherer) listener(c *config.Listener) {
	key := func(k string) string { return "listeners[" + c.Name + "]." + k }
	place := g.at(key("bind"))
	l := doctor.Listener{
		Name: c.Name, Place: place, Address: c.Address(), Loopback: c.Loopback(), Encrypted: c.Encrypted(), PSK: c.PSK.File != "",
		Anonymous: g.c.Auth.Anonymous && c.Loopback(), AnonymousPlace: g.at("auth.anonymous"),
		SecretsInClear: c.AllowClearPassword, SecretsPlace: g.at(key("allow_clear_password")),
		NoForwardSecrecy: c.PSK.AllowNoForwardSecrecy, ForwardPlace: g.at(key("tls_psk.allow_no_forward_secrecy")),
		ClientCA: c.ClientCert.CA != "", ClientCAPlace: g.at(key("client_cert.ca")), IdentityUsed: g.c.Auth.Offers(config.AuthByCertificate),
		NoLogin: !g.c.Auth.HasLogin() && (!g.c.Auth.Anonymous || !c.Loopback()), NoLoginPlace: g.at("auth"),
	}
	if !c.Encrypted() && !c.Loopback() && c.AllowPlaintext {
		l.Place = g.at(key("allow_plaintext"))
	}
	if c.TLS.Cert != "" {
		l.Certificate = certificate(c.TLS.Cert, c.TLS.Key, g.at(key("tls.cert")))
	}
	if c.ClientCert.CRL != "" {
		l.CRL = revocations(c.ClientCert.CRL, g.at(key("client_cert.crl")))
	}
	g.file(doctor.TrustedFile, key("tls.cert"), c.TLS.Cert)
	g.file(doctor.SecretKey, key("tls.key"), c.TLS.Key)
	g.file(doctor.TrustedFile, key("client_cert.ca"), c.ClientCert.CA)
	g.file(doctor.SecretKey, key("tls_psk.file"), c.PSK.File)
	if c.PSK.File != "" {
		g.holders = append(g.holders, pskHolders(c.PSK.File, g.at(key("tls_psk.file")))...)
	}
	if c.ClientCert.CA != "" {
		g.holders = append(g.holders, certificateHolders(c.ClientCert.CA, g.at(key("client_cert.ca")), g.m.Now)...)
	}
	g.m.Listeners = append(g.m.Listeners, l)
}

func (g *gatherer) login() {
	a := &g.c.Auth
	g.file(doctor.SecretFile, "auth.password.file", a.Password.File)
	g.m.Accounts = append(g.m.Accounts, accounts(a.Password.File)...)
	if a.SCRAM.File != a.Password.File {
		g.file(doctor.SecretFile, "auth.scram.file", a.SCRAM.File)
		g.m.Accounts = append(g.m.Accounts, accounts(a.SCRAM.File)...)
	}
	g.file(doctor.SecretFolder, "auth.credential.keyring", a.Credential.Keyring)
	g.file(doctor.SecretFile, "auth.credential.passphrase_file", a.Credential.Passphrase)
	g.keyring("auth.credential.keyring", a.Credential.Keyring, a.Credential.Passphrase)
	g.file(doctor.TrustedFile, "auth.jwt.keys", a.JWT.Keys)
	g.file(doctor.TrustedFile, "auth.jwt.keys_ca", a.JWT.KeysCA)
	if a.HasLogin() {
		place := g.at("auth.lockout.failures")
		if a.Lockout.For < time.Minute {
			place = g.at("auth.lockout.for")
		}
		g.m.Lockout = &doctor.Lockout{Place: place, Failures: a.Lockout.Failures, For: a.Lockout.For}
	}
}

// allOf is every topic, as filters say it.
var allOf = []topic.Filter{"#", "+/#"}

func (g *gatherer) rules() {
	a := &g.c.ACL
	if a.Rules == nil {
		g.lists()
		return
	}
	for _, f := range acl.Lint(a.Rules, g.c.Limits.TopicLevels) {
		r := &a.Rules[f.Index]
		kind := doctor.Wide
		switch {
		case f.ID == "never-decides":
			continue // a problem of the file
		case f.ID == "client-id":
			kind = doctor.ByClient
		case slices.Contains(allOf, topic.Filter(r.Topic)) && (r.Who.Kind == acl.Anyone || r.Who.Kind == acl.Authenticated):
			kind = doctor.Open
		}
		g.rule(kind, r, f.Why, f.Fix)
	}
	for i := range a.Rules {
		r := &a.Rules[i]
		if r.Who.Kind == acl.Group && len(a.Groups[r.Who.Name]) == 0 {
			g.rule(doctor.NoMember, r, "the group "+r.Who.Name+" has no member", "name its members, or remove the rule")
		}
		if !r.Deny && strings.HasPrefix(r.Topic, "$SYS") && (r.Who.Kind == acl.Anyone || r.Who.Kind == acl.Authenticated) {
			g.rule(doctor.SysOpen, r, "every client may read it", "give it to a group of operators")
		}
	}
}

func (g *gatherer) rule(kind doctor.RuleKind, r *acl.Rule, why, fix string) {
	g.m.Rules = append(g.m.Rules, doctor.Rule{
		Kind: kind, Place: doctor.Place{File: r.Place.File, Line: r.Place.Line}, Text: r.String(), Why: why, Fix: fix,
	})
}

// lists judges the other form, which holds for everybody.
func (g *gatherer) lists() {
	a := &g.c.ACL
	if g.at("acl") == (doctor.Place{}) {
		g.m.NoRules = append(g.m.NoRules, doctor.Place{File: g.m.Subject})
		return
	}
	for _, l := range []struct {
		verb string
		list config.Rules
	}{{"publish", a.Publish}, {"subscribe", a.Subscribe}} {
		for _, r := range l.list.Allow {
			add := func(kind doctor.RuleKind, why, fix string) {
				g.m.Rules = append(g.m.Rules, doctor.Rule{
					Kind: kind, Place: doctor.Place{File: r.File, Line: r.Line}, Text: "allow " + l.verb + " " + string(r.Filter), Why: why, Fix: fix,
				})
			}
			switch {
			case slices.Contains(allOf, r.Filter):
				add(doctor.Open, "every client may "+l.verb+" everywhere", "use rules that follow the client's name, such as devices/%u/#; see docs/operate/acl.md")
			case strings.HasPrefix(string(r.Filter), "$SYS"):
				add(doctor.SysOpen, "every client may read it", "use rules, and give it to a group of operators")
			}
		}
	}
}

// What counts as no bound: above it, one client can take what all need.
const (
	hugePacket  = 16 * config.MiB
	hugeQueue   = 1_000_000
	hugeSession = 100 * 24 * time.Hour
)

func (g *gatherer) limits() {
	l := &g.c.Limits
	for _, x := range []struct {
		bad         bool
		key, value  string
		why, change string
	}{
		{l.Packet > hugePacket, "limits.packet", l.Packet.String(), "a few clients can fill the memory with one packet each", "set it to the largest message you send, for example 256KiB"},
		{l.PublishRate.PerClient == config.UnlimitedRate, "limits.publish_rate.per_client", "unlimited", "one client can keep all processors busy", "set it to ten times what a device sends, for example 100/s"},
		{l.PublishBytes.PerClient == config.UnlimitedByteRate, "limits.publish_bytes.per_client", "unlimited", "one client can fill the network and the disk", "set it, for example to 1MiB/s"},
		{l.Queue.Messages >= hugeQueue, "limits.queue.messages", fmt.Sprint(l.Queue.Messages), "one client that stays away fills the disk", "set it to what a client can catch up with, for example 1000"},
		{l.SessionExpiryMax == config.Unlimited && l.SessionExpiryV3 == config.Unlimited, "limits.session_expiry_v3", "unlimited", "sessions of devices that are gone collect messages for ever", "set it to the longest time a device is away, for example 7d"},
		{l.SessionExpiryV3 != config.Unlimited && l.SessionExpiryV3 > hugeSession, "limits.session_expiry_v3", l.SessionExpiryV3.String(), "sessions of devices that are gone collect messages for months", "set it to the longest time a device is away, for example 7d"},
	} {
		if x.bad {
			g.m.Limits = append(g.m.Limits, doctor.Limit{Key: x.key, Value: x.value, Place: g.at(x.key), Why: x.why, Change: x.change})
		}
	}
}

func (g *gatherer) state() {
	s := &g.c.Storage
	g.m.Storage = &doctor.Storage{
		Memory: s.Engine == config.EngineMemory, MemoryPlace: g.at("storage.engine"),
		AckBeforeSync: s.AckBeforeSync, AckPlace: g.at("storage.ack_before_sync"),
	}
	if s.Engine == config.EngineDisk {
		g.file(doctor.SecretFolder, "node.data_dir", g.c.Node.DataDir)
	}
}

// auditFile follows the chain of the audit file, if there is one already.
func auditFile(c *config.Config) *doctor.Audit {
	if !c.Audit.On() {
		return nil
	}
	if _, err := os.Stat(c.Audit.File); err != nil {
		return nil
	}
	a := &doctor.Audit{Path: c.Audit.File, Place: doctor.Place{File: c.Audit.File}}
	key, err := audit.ReadKey(audit.KeyFile(c.Audit.File))
	if err != nil {
		a.Broken = "its public key cannot be read: " + reason(err)
		return a
	}
	var bad *audit.Bad
	switch _, err := audit.Verify(c.Audit.File, key); {
	case errors.As(err, &bad):
		a.Place, a.Broken = doctor.Place{File: bad.File, Line: bad.Line}, bad.What
	case err != nil:
		a.Broken = reason(err)
	}
	return a
}

func (g *gatherer) ops() {
	o := &g.c.Ops
	if !o.Bind.IsValid() {
		return
	}
	g.m.Ops = &doctor.Ops{Place: g.at("ops.bind"), Address: o.Bind.String(), Loopback: o.Loopback(), TLS: o.TLS.Cert != "", Token: o.Token != ""}
	g.file(doctor.SecretFile, "ops.token", o.Token)
	g.file(doctor.TrustedFile, "ops.tls.cert", o.TLS.Cert)
	g.file(doctor.SecretKey, "ops.tls.key", o.TLS.Key)
}

// problems are those of the file that no check of the model says in its own words.
func problems(bad *config.Invalid) []doctor.Problem {
	var out []doctor.Problem
	for _, p := range bad.Problems {
		place := doctor.Place{File: p.File, Line: p.Line}
		change := p.Hint
		if change == "" {
			change = "correct it; docs/operate/configuration.md describes every key"
		}
		switch {
		case strings.Contains(p.Message, "can never decide") || strings.Contains(p.Message, "can never match"):
			out = append(out, doctor.Problem{Kind: doctor.NeverMatches, Place: place, Text: p.Message, Change: change, Delete: alone(p.File, p.Line)})
		case strings.Contains(p.Message, "other machines can reach"):
			// plaintext-reachable and ops-exposed say it.
		default:
			out = append(out, doctor.Problem{Kind: doctor.InvalidConfig, Place: place, Text: p.Message, Change: change})
		}
	}
	if bad.More > 0 {
		out = append(out, doctor.Problem{Place: doctor.Place{File: bad.File}, Text: fmt.Sprintf("%d more problems", bad.More), Change: "correct the others first"})
	}
	return out
}

// alone reports whether a line holds one element of a list and nothing else, so that it can go without its neighbours.
func alone(path string, n int) bool {
	data, err := read(path)
	if err != nil || n < 1 {
		return false
	}
	lines := strings.Split(string(data), "\n")
	if n > len(lines) {
		return false
	}
	text := strings.TrimSpace(lines[n-1])
	if !strings.HasPrefix(text, "- ") || n < len(lines) && indent(lines[n]) > indent(lines[n-1]) && strings.TrimSpace(lines[n]) != "" {
		return false
	}
	body := strings.TrimSpace(text[2:])
	return !strings.HasPrefix(body, "{") || strings.HasSuffix(body, "}")
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// DataDir is the folder of a configuration's state.
func DataDir(c *config.Config) string { return filepath.Clean(c.Node.DataDir) }
