package setup

import (
	"fmt"
	"strings"
)

// configuration writes sealmq.yaml. Names in it have the form of file names, so nothing needs quoting beyond that.
func (o *Options) configuration(p ports) string {
	var b strings.Builder
	b.WriteString(`# Made at the first start; it is yours to change. Unknown keys are errors. After a change:
#   sealmq config check sealmq.yaml
#   kill -HUP the broker, which takes it over as a whole or not at all
# Every key is described in docs/operate/configuration.md. Paths start at this folder.
version: 1

node:
  data_dir: "."  # sessions, queues and retained messages are kept in this folder

listeners:
`)
	for _, l := range o.listeners(p) {
		b.WriteString(l)
	}
	b.WriteString(o.login())
	b.WriteString(o.rules())
	return b.String()
}

func (o *Options) listeners(p ports) []string {
	local := fmt.Sprintf(`  # For programs on this machine: not encrypted, and not reachable from elsewhere. It takes a login all the same.
  - name: local
    bind: "127.0.0.1:%d"
`, p.local)
	tls := fmt.Sprintf(`  # For everybody else: encrypted, and clients check server.crt with ca.crt. Login with name and password.
  - name: tls
    bind: ":%d"
    tls: {cert: server.crt, key: server.key}
`, p.tls)
	mutual := fmt.Sprintf(`  # Encrypted, and both sides show a certificate: sealmq ca issue NAME makes one, sealmq ca revoke takes it back.
  # The revocation list has to be signed again before it is out of date (sealmq ca crl), or nobody gets in.
  - name: tls
    bind: ":%d"
    tls: {cert: server.crt, key: server.key}
    client_cert: {mode: require, ca: ca.crt, crl: ca.crl}
`, p.tls)
	psk := fmt.Sprintf(`  # For small devices: encrypted with a key that only the device and psk.txt have. Its identity is the user name.
  - name: psk
    bind: ":%d"
    tls_psk: {file: psk.txt}
`, p.psk)
	switch o.Profile {
	case Plant:
		return []string{local, mutual, psk}
	case Strict:
		return []string{mutual}
	}
	return []string{local, tls, psk}
}

func (o *Options) login() string {
	const (
		head        = "\nauth:\n  anonymous: false\n"
		password    = "  password: {file: passwd}  # sealmq passwd add passwd NAME\n"
		psk         = "  psk: true\n"
		certificate = "  certificate: {identity: \"{cn}\"}  # the common name is the user name\n"
	)
	switch o.Profile {
	case Plant:
		return head + certificate + psk + password
	case Strict:
		return head + certificate
	}
	return head + password + psk
}

func (o *Options) rules() string {
	var b strings.Builder
	b.WriteString("\n# Who may do what: the first rule that matches decides, and what none matches is denied. # covers no topic that begins with $.\n")
	if o.Profile != Home {
		fmt.Fprintf(&b, "groups:\n  operators: [\"certificate:%s\"%s]\n", o.User, map[Profile]string{Plant: fmt.Sprintf(", \"user:%s\"", o.User)}[o.Profile])
	}
	b.WriteString("acl:\n")
	if o.Profile == Home {
		fmt.Fprintf(&b, "  - {who: \"user:%s\", allow: all, topic: \"#\"}\n", o.User)
	} else {
		b.WriteString("  - {who: \"group:operators\", allow: all, topic: \"#\"}\n")
		b.WriteString("  - {who: \"method:certificate\", allow: [publish, subscribe], topic: \"devices/%u/#\"}\n")
	}
	if o.Profile != Strict {
		b.WriteString("  - {who: \"method:psk\", allow: [publish, subscribe], topic: \"devices/%u/#\"}\n")
		b.WriteString("  - {who: \"method:psk\", allow: [publish, subscribe], topic: \"test/#\"}\n")
	}
	return b.String()
}
