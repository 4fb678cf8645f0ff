package translation

import (
	"path/filepath"
	"strings"

	"github.com/sealmq/sealmq/internal/mosquittoconf"
)

// security decides who gets in. Login methods hold for all listeners here, so a listener that would let in more than
// before is left out.
func (t *translator) security() {
	for _, l := range t.listeners {
		t.login(l)
	}
	t.sameFile("password_file", "accounts", func(l *listener) *string { return &l.accounts })
	t.sameFile("acl_file", "rules", func(l *listener) *string { return &l.rules })
	t.sameFile("psk_file", "pre-shared keys", func(l *listener) *string { return &l.keys })
	t.copies()
	t.sameIdentity()
	for _, l := range t.listeners {
		switch accounts := t.accounts(); {
		case l.refused != "":
		case l.psk && !t.has(Keys):
			l.refuse("there are no pre-shared keys for it")
		case !l.anonymous && l.accounts == "" && l.identity == "" && !l.pskNames && accounts:
			l.refuse("nobody could log in to it before, and accounts would be able to")
		}
		if l.refused != "" {
			t.say(l.start, Refused, l.refused+": the listener is left out")
		}
	}
	t.anonymity()
}

// accounts reports whether login with passwords is offered.
func (t *translator) accounts() bool { return t.has(Accounts) }

func (t *translator) has(k Kind) bool {
	for _, c := range t.result.Copies {
		if c.Kind == k {
			return true
		}
	}
	return false
}

// login reads what decides about a listener.
func (t *translator) login(l *listener) {
	c := t.c
	l.accounts = t.file(l.section, "password_file", "plugin_opt_password_file")
	l.rules = t.file(l.section, "acl_file", "plugin_opt_acl_file")
	if l.psk {
		l.keys = c.Path(c.Security(l.section, "psk_file"))
	}
	allowed := c.Security(l.section, "allow_anonymous")
	// Without a listener of its own, Mosquitto lets everybody on this machine in.
	l.anonymous = l.start == nil && l.section.Get("bind_address") == nil
	if allowed != nil {
		l.anonymous = allowed.True()
	}
}

// file looks a file up in the two ways in which versions 2.0 and 2.1 name it.
func (t *translator) file(s *mosquittoconf.Section, old, option string) string {
	if d := t.c.Security(s, old); d != nil {
		return t.c.Path(d)
	}
	return t.c.Path(t.c.Security(s, option))
}

// sameFile keeps the first file that a listener names, and leaves those out that name another.
func (t *translator) sameFile(name, what string, of func(*listener) *string) {
	first := ""
	for _, l := range t.listeners {
		switch file := *of(l); {
		case l.refused != "" || file == "":
		case first == "":
			first = file
		case file != first:
			l.refuse("its " + what + " are those of " + file + ", and there is one file for all listeners, " + first)
			t.say(l.section.Get(name), Refused, l.refused)
		}
	}
}

// copies decides which files are taken over.
func (t *translator) copies() {
	take := func(kind Kind, to string, of func(*listener) string) {
		for _, l := range t.listeners {
			from := of(l)
			if from == "" || l.refused != "" || t.has(kind) {
				continue
			}
			c := Copy{From: from, To: to, Kind: kind}
			var err error
			if t.o.Usable != nil {
				err = t.o.Usable(c)
			}
			if err == nil {
				t.result.Copies = append(t.result.Copies, c)
				t.sayFile(kind, from, Kept, map[Kind]string{
					Accounts: "auth.password.file: " + to, Rules: "acl.mosquitto: " + to, Keys: "listeners[].tls_psk.file: " + to,
				}[kind])
				return
			}
			t.sayFile(kind, from, Refused, "it cannot be used: "+err.Error())
			switch kind {
			case Rules:
				t.blocked = append(t.blocked, from)
			case Accounts:
				t.lost = true
			}
			return
		}
	}
	take(Accounts, accountsFile, func(l *listener) string { return l.accounts })
	take(Rules, rulesFile, func(l *listener) string { return l.rules })
	take(Keys, keysFile, func(l *listener) string { return l.keys })
}

// sayFile speaks about every directive that names the file.
func (t *translator) sayFile(kind Kind, file string, v Verdict, why string) {
	names := map[Kind][]string{
		Accounts: {"password_file", "plugin_opt_password_file"}, Rules: {"acl_file", "plugin_opt_acl_file"}, Keys: {"psk_file"},
	}[kind]
	for i := range t.c.Directives {
		d := &t.c.Directives[i]
		for _, n := range names {
			if d.Name == n && t.c.Path(d) == file {
				t.say(d, v, why)
			}
		}
	}
}

// sameIdentity leaves listeners out whose clients would be somebody without a password who were not before: a login with
// a certificate or a pre-shared key is offered on all listeners, or on none.
func (t *translator) sameIdentity() {
	template, names := "", false
	for _, l := range t.listeners {
		if l.refused != "" {
			continue
		}
		if l.identity != "" && template == "" {
			template = l.identity
		}
		names = names || l.psk && l.pskNames
	}
	for _, l := range t.listeners {
		switch {
		case l.refused != "":
		case l.clientCA != "" && l.identity != template && l.identity == "":
			l.refuse("a certificate alone would log in here, and a password was needed as well")
		case l.clientCA != "" && l.identity != template:
			l.refuse("certificates are named by " + template + " on another listener")
		case l.psk && names && !l.pskNames:
			l.refuse("a pre-shared key alone would log in here, and a password was needed as well")
		}
	}
}

// anonymity lets clients in without login where every listener that this machine can reach did, and on loopback only.
func (t *translator) anonymity() {
	if t.lost {
		t.sayAnonymous(Tightened, "auth.anonymous: false, because the accounts are gone, and who is one of them cannot be told")
		return
	}
	some := false
	for _, l := range t.listeners {
		if l.refused != "" || l.reach == fromElsewhere {
			continue
		}
		some = true
		if !l.anonymous {
			t.sayAnonymous(Tightened, "auth.anonymous: false, because another listener wants a login, and one setting holds for all")
			return
		}
	}
	t.anonymous = some
	if some {
		t.sayAnonymous(Tightened, "auth.anonymous: true, on loopback only, without durable sessions")
		return
	}
	t.sayAnonymous(Tightened, "auth.anonymous: false: only clients of this machine may be anonymous")
}

func (t *translator) sayAnonymous(v Verdict, why string) {
	for i := range t.c.Directives {
		d := &t.c.Directives[i]
		if d.Name != "allow_anonymous" && d.Name != "listener_allow_anonymous" {
			continue
		}
		if d.True() {
			t.say(d, v, why)
		} else {
			t.say(d, Kept, "auth.anonymous: false")
		}
	}
}

// exposure binds what is not encrypted to this machine, unless it is wanted otherwise.
func (t *translator) exposure() {
	login := t.accounts() || t.identityTemplate() != "" || t.pskLogin()
	for _, l := range t.listeners {
		if l.refused != "" || l.encrypted() || l.reach == fromHere {
			continue
		}
		if t.o.AllowPlaintext && login {
			l.plaintext = true
			if l.start != nil {
				delete(t.said, place{l.start.File, l.start.Line})
			}
			t.say(l.start, Kept, "listeners["+l.name+"].allow_plaintext: true: anyone on the way reads and changes everything")
			continue
		}
		if l.reach == fromElsewhere {
			l.refuse("it is not encrypted, and other machines can reach it")
			t.say(l.start, Refused, l.refused+": the listener is left out (--allow-plaintext keeps it)")
			continue
		}
		port := l.bind[strings.LastIndexByte(l.bind, ':'):]
		l.bind = "127.0.0.1" + port
		why := "bound to this machine, because it is not encrypted (--allow-plaintext keeps it reachable)"
		if t.o.AllowPlaintext {
			why = "bound to this machine, because it is not encrypted and there is no login"
		}
		t.say(l.start, Tightened, "listeners["+l.name+"].bind: "+l.bind+": "+why)
	}
}

// overlaps leaves listeners out whose port another one has.
func (t *translator) overlaps() {
	for i, l := range t.listeners {
		for _, other := range t.listeners[:i] {
			if l.refused == "" && other.refused == "" && collide(l.bind, other.bind) {
				l.refuse("its port is that of the listener " + other.name)
				t.say(l.start, Refused, l.refused+": the listener is left out")
			}
		}
	}
}

// collide reports that two listeners cannot be open at the same time.
func collide(a, b string) bool {
	if a == b {
		return true
	}
	i, j := strings.LastIndexByte(a, ':'), strings.LastIndexByte(b, ':')
	if strings.HasPrefix(a, "unix:") || strings.HasPrefix(b, "unix:") || a[i:] != b[j:] {
		return false
	}
	return everywhere(a[:i]) || everywhere(b[:j])
}

func everywhere(host string) bool { return host == "" || host == "0.0.0.0" || host == "[::]" }

// plugins speaks about those whose work is done here, and about what is left of login.
func (t *translator) plugins() {
	for i := range t.c.Directives {
		d := &t.c.Directives[i]
		switch {
		case isPlugin(d.Name) && strings.Contains(filepath.Base(d.Args), "mosquitto_persist"):
			t.say(d, Tightened, "everything is on disk before it is acknowledged")
		case isPlugin(d.Name), d.Name == "plugin_use":
			t.say(d, Kept, "what it does is done without a plug-in")
		case d.Name == "allow_zero_length_clientid":
			t.say(d, Refused, "clients without an identifier are given one")
		case d.Name == "auto_id_prefix":
			t.say(d, Refused, "client identifiers that the broker gives are random")
		}
	}
}

// identityTemplate is that of the certificate listeners that are taken over; "" without.
func (t *translator) identityTemplate() string {
	for _, l := range t.listeners {
		if l.refused == "" && l.identity != "" {
			return l.identity
		}
	}
	return ""
}

func (t *translator) pskLogin() bool {
	for _, l := range t.listeners {
		if l.refused == "" && l.psk && l.pskNames {
			return true
		}
	}
	return false
}
