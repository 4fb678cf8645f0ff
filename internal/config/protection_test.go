package config

import (
	"errors"
	"strings"
	"testing"
)

// TestProtectionRefused: a rule that cannot be, changes nothing or contradicts another is an error that says what to do.
func TestProtectionRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`rules: [{topic: "a/#"}]`, "it changes nothing: it requires nothing"},
		{`rules: [{topic: "a/#", require: none}]`, "what no rule matches is delivered as it came"},
		{`rules: [{require: mac}]`, "a rule says which topic it is about"},
		{`rules: [{topic: "a/#/b", require: mac}]`, "not a topic filter"},
		{`rules: [{topic: "a", requires: mac}]`, `did you mean "require"?`},
		{`rules: [{topic: "a", require: signed}]`, `did you mean "sign"?`},
		{`rules: [{topic: "a", require: mac, require: sign}]`, "given twice"},
		{`rules: [{topic: "a", integrity: strong}]`, "is not one of checksum, group, source"},
		{`rules: [{topic: "a", require: mac, mode: block}]`, "is not one of observe, warn, enforce"},
		{`rules: [{topic: "a", require: mac, max_age: 5}]`, "did you mean 5s?"},
		{`rules: [{topic: "a", require: mac, max_age: unlimited}]`, "is outside 1s to 366d"},
		{`rules: [{topic: "a", require: mac, quarantine: yes}]`, "write true"},
		{`rules: [{topic: "a", require: mac, clear: "group:nobody"}]`, "there is no group"},
		{`rules: [{topic: "a", require: mac, clear: "alice"}]`, "KIND:NAME"},
		{`rules: [{topic: "$SYS/#", require: mac}]`, "it can never match"},
		{`rules: [{topic: "a", require: mac, relax: fresh}]`, "relax has no effect"},
		{`rules: [{topic: "a/#", require: mac}, {topic: "a/b", require: mac}]`, "already requires as much, on line 4"},
		{`rules: [{topic: "a", require: mac}, {topic: "a", require: mac}]`, "already requires as much"},
		{`rules: [{topic: "a", require: checksum}]`, "add checksum: prefix"},
		{`rules: [{topic: "a", require: encrypt, checksum: raw}]`, "remove checksum"},
		{`rules: [{topic: "a", checksum: raw, require: fresh}]`, "is fresh"},
		{`rules: [{topic: "a/#", require: checksum, checksum: raw}, {topic: "a/b", require: checksum, checksum: prefix}]`, "another form"},
		{`rules: [{topic: "a", redistribute: sealed}]`, "add group: NAME"},
		{`rules: [{topic: "a", require: mac, group: g}]`, "group has no effect"},
		{`rules: [{topic: "a", redistribute: plaintext-to-tls}]`, "needs protection.storage_key"},
		{`rules: [{topic: "a", redistribute: sealed, group: g, require: sign}]`, "needs protection.signer"},
		{`rules: [{topic: "a", redistribute: sealed, group: g, require: end-to-end}]`, "choose one"},
		{`rules: [{topic: "a/#", redistribute: sealed, group: g}, {topic: "a/b", require: end-to-end}]`, "nothing can meet both"},
		{`rules: [{topic: "a/#", redistribute: sealed, group: g}, {topic: "a/+", redistribute: sealed, group: h}]`, "in another way"},
		{`storage_key: k`, "protection.storage_key: has no effect"},
		{"storage_key: k\n  rules: [{topic: a, require: mac}]", "protection.storage_key: has no effect"},
		{"signer: k\n  rules: [{topic: a, require: mac}]", "protection.signer: has no effect"},
		{"quarantine: $q\n  rules: [{topic: a, require: mac}]", "protection.quarantine: has no effect"},
		{"quarantine: plain\n  rules: [{topic: a, require: mac, quarantine: true}]", "begins with $"},
		{"quarantine: $SYS/x\n  rules: [{topic: a, require: mac, quarantine: true}]", "another meaning"},
		{`mode: warn`, "protection.mode: has no effect"},
	} {
		_, err := Parse("f.yaml", []byte("version: 1\nkeys: {dir: k}\nprotection:\n  "+c.text+"\n"))
		var invalid *Invalid
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Report(), c.want) {
			t.Errorf("%s: %v, want %q", c.text, report(err), c.want)
		}
	}
	_, err := Parse("f.yaml", []byte("version: 1\nprotection: {rules: [{topic: a, redistribute: sealed, group: g}]}\n"))
	if err == nil || !strings.Contains(report(err), "redistribute needs keys.dir") {
		t.Errorf("redistribution without keys: %v", err)
	}
}

func report(err error) string {
	var invalid *Invalid
	if errors.As(err, &invalid) {
		return invalid.Report()
	}
	return "no error"
}

// TestProtectionWrittenAndRead: what config show writes is read as the same.
func TestProtectionWrittenAndRead(t *testing.T) {
	c := parse(t, `version: 1
groups: {ops: [alice]}
keys: {dir: k, passphrase_file: p}
protection:
  mode: warn
  storage_key: rest
  signer: broker
  quarantine: "$bin/payload"
  rules:
    - {topic: "a/#", require: [sign+encrypt, fresh], max_age: 30s, clear: ["user:alice", "group:ops"], quarantine: true}
    - {topic: "b/#", require: checksum, checksum: raw, mode: observe}
    - {topic: "c/#", redistribute: plaintext-to-tls}
    - {topic: "d/#", redistribute: sealed, group: g, integrity: source, mode: enforce}
    - {topic: "a/b", relax: [fresh]}
    - {topic: "e/#", require: end-to-end, accept_unknown_keys: true}
`)
	for _, r := range c.Protection.Rules {
		if r.Mode == 0 || r.Place.Line == 0 {
			t.Errorf("%s: mode %v, line %d", r.Topic, r.Mode, r.Place.Line)
		}
	}
	again := parse(t, c.YAML(false))
	if changes := Diff(c, again); len(changes) != 0 {
		t.Errorf("written and read again it differs: %v", changes)
	}
}
