package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// rights say what SealMQ checks.
type rights int

const (
	open          rights = iota // everybody may do everything
	loginAndRules               // a password or pre-shared key, and one rule for each login
	signatures                  // besides, the signature, sender, topic and sequence of each payload
)

// limits are off where the load would run into them: they protect a broker from clients like these.
const limits = `limits:
  clients: 100000
  publish_rate: {per_client: unlimited}
  publish_bytes: {per_client: unlimited}
  subscriptions_per_client: 1000000
  sessions_per_principal: 1000000
  queue: {messages: 2000000, bytes: 4GiB}
  queue_total: 8GiB
  retained: {messages: 1000000, bytes: 4GiB, messages_per_principal: 1000000, bytes_per_principal: 4GiB}
`

// sealmqArgs configures SealMQ for a case.
func sealmqArgs(s *site, r rights) ([]string, error) {
	var b strings.Builder
	engine := "memory"
	if s.c.durable {
		engine = "disk"
	}
	fmt.Fprintf(&b, "version: 1\nnode: {data_dir: %q}\nstorage: {engine: %s}\nlisteners:\n  - name: bench\n    bind: %q\n",
		filepath.Join(s.dir, "data"), engine, s.addr)
	switch t := s.c.transport; {
	case t == certificate:
		fmt.Fprintf(&b, "    tls: {cert: %q, key: %q}\n", s.lab.cert, s.lab.key)
	case t.psk():
		fmt.Fprintf(&b, "    tls_psk: {file: %q, allow_no_forward_secrecy: %v}\n", s.lab.psk, t == psk12Plain)
	}
	serve := "serve --config"
	switch {
	case s.c.transport.psk():
		b.WriteString("auth: {psk: true}\n")
	case r == open:
		b.WriteString("auth: {anonymous: true}\n")
		serve = "serve --dev --config" // lets anonymous clients have sessions that outlive them
	default:
		fmt.Fprintf(&b, "auth: {password: {file: %q, max_parallel_hashes: 2}}\n", s.lab.passwd)
	}
	rules, err := s.acl(r)
	if err != nil {
		return nil, err
	}
	b.WriteString(rules + limits)
	if r == signatures {
		fmt.Fprintf(&b, "keys: {dir: %q}\nprotection: {rules: [{topic: %q, require: sign}]}\n", s.lab.verifying, prefix+"/#")
	}
	return s.config(serve, b.String())
}

// maxRules is how many rules a configuration may have. More of them stand in a file of Mosquitto's form.
const maxRules = 1000

func (s *site) acl(r rights) (string, error) {
	var b strings.Builder
	switch {
	case r == open:
		return "acl: [{who: anyone, allow: all, topic: \"#\"}]\n", nil
	case len(s.c.rules) > maxRules:
		for _, x := range s.c.rules {
			fmt.Fprintf(&b, "user %s\ntopic readwrite %s\n", x.login, x.topic)
		}
		file := filepath.Join(s.dir, "acl.txt")
		return fmt.Sprintf("acl: {mosquitto: %q}\n", file), os.WriteFile(file, []byte(b.String()), 0o600)
	}
	method := "user"
	if s.c.transport.psk() {
		method = "psk"
	}
	b.WriteString("acl:\n")
	for _, x := range s.c.rules {
		fmt.Fprintf(&b, "  - {who: %q, allow: %s, topic: %q}\n", method+":"+x.login, x.allow, x.topic)
	}
	return b.String(), nil
}

// loadArgs are for the load generator: how to log in and to sign.
func (l *lab) loadArgs(c *benchCase, b *broker) []string {
	var words []string
	switch t := c.transport; {
	case t == certificate:
		words = args("-tls", "-ca", l.authority)
	case t.psk():
		words = args("-psk", l.psk, "-psk-mode", map[transport]string{psk13: "1.3", psk12: "1.2", psk12Plain: "1.2-plain"}[t])
	}
	if b.rights != open && !c.transport.psk() {
		words = append(words, "-password", password)
	}
	if b.rights == signatures {
		words = append(words, "-sign", l.signing)
	}
	return words
}
