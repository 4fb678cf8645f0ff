package translation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// yaml writes the new configuration.
func (t *translator) yaml() string {
	t.fit()
	var b strings.Builder
	fmt.Fprintf(&b, "# Taken over from %s. Unknown keys are errors; check with: sealmq config check sealmq.yaml\nversion: 1\n", oneLine(t.c.File))
	b.WriteString("node: {data_dir: data}\n\nlisteners:\n")
	n := 0
	for _, l := range t.listeners {
		if l.refused == "" {
			n++
			t.writeListener(&b, l)
		}
	}
	if n == 0 {
		b.WriteString("  - {name: local, bind: \"127.0.0.1:1883\"}\n")
	}
	fmt.Fprintf(&b, "\nauth:\n  anonymous: %t\n", t.anonymous && n > 0)
	if identity := t.identityTemplate(); identity != "" {
		fmt.Fprintf(&b, "  certificate: {identity: %q}\n", identity)
	}
	if t.pskLogin() {
		b.WriteString("  psk: true\n")
	}
	if t.accounts() {
		fmt.Fprintf(&b, "  password: {file: %s}\n", accountsFile)
	}
	t.writeRules(&b)
	t.writeValues(&b)
	return b.String()
}

func (t *translator) writeListener(b *strings.Builder, l *listener) {
	fmt.Fprintf(b, "  - name: %s\n    bind: %s\n", l.name, strconv.Quote(l.bind))
	if l.plaintext {
		b.WriteString("    allow_plaintext: true  # anyone on the way reads and changes everything\n")
		if t.accounts() {
			b.WriteString("    allow_clear_password: true  # anyone on the way can log in afterwards\n")
		}
	}
	if l.cert != "" {
		fmt.Fprintf(b, "    tls: {cert: %s, key: %s, min_version: %q}\n", strconv.Quote(l.cert), strconv.Quote(l.key), l.minVersion)
	}
	if l.clientCA != "" {
		fmt.Fprintf(b, "    client_cert: {mode: require, ca: %s", strconv.Quote(l.clientCA))
		if l.crl != "" {
			fmt.Fprintf(b, ", crl: %s", strconv.Quote(l.crl))
		}
		b.WriteString("}\n")
	}
	if l.psk {
		fmt.Fprintf(b, "    tls_psk: {file: %s}\n", keysFile)
	}
	if l.websocket {
		quoted := make([]string, len(l.origins))
		for i, o := range l.origins {
			quoted[i] = strconv.Quote(o)
		}
		fmt.Fprintf(b, "    websocket: {path: /mqtt, origins: [%s]}\n", strings.Join(quoted, ", "))
	}
	if l.maxClients != "" {
		fmt.Fprintf(b, "    max_clients: %s\n", l.maxClients)
	}
}

func (t *translator) writeRules(b *strings.Builder) {
	switch {
	case len(t.blocked) > 0:
		b.WriteString("\n# What decided about access could not be taken over, so nothing is allowed. Write rules: docs/operate/acl.md\nacl: []\n")
	case t.has(Rules):
		fmt.Fprintf(b, "\nacl: {mosquitto: %s}\n", rulesFile)
	default:
		who := "authenticated"
		if t.anonymous {
			who = "anyone"
		}
		fmt.Fprintf(b, "\n# There were no rules: whoever is in may do everything, except with topics that begin with $.\nacl:\n  - {who: %s, allow: all, topic: \"#\"}\n", who)
	}
}

// writeValues writes the keys outside lists.
func (t *translator) writeValues(b *strings.Builder) {
	if len(t.values) > 0 {
		b.WriteString("\n")
	}
	sections := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		section, rest, nested := strings.Cut(key, ".")
		if !nested {
			fmt.Fprintf(b, "%s: %s\n", key, t.values[key])
			continue
		}
		sections[section] = append(sections[section], rest)
	}
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		fmt.Fprintf(b, "%s:\n", section)
		inner := map[string][]string{}
		for _, key := range sections[section] {
			group, rest, nested := strings.Cut(key, ".")
			if !nested {
				fmt.Fprintf(b, "  %s: %s\n", key, t.values[section+"."+key])
				continue
			}
			inner[group] = append(inner[group], rest+": "+t.values[section+"."+key])
		}
		for _, group := range slices.Sorted(maps.Keys(inner)) {
			fmt.Fprintf(b, "  %s: {%s}\n", group, strings.Join(inner[group], ", "))
		}
	}
}

// defaultClients is the default of limits.clients, within which every listener stays.
const defaultClients = 20_000

// The defaults that a packet has to fit into, in bytes.
const (
	defaultConnectPacket = 64 << 10
	defaultUnacked       = 16 << 20
	defaultQueue         = 8 << 20
	defaultBurst         = 128 << 20
	defaultRetained      = 64 << 20
	defaultQueueTotal    = 1 << 30
	defaultPacket        = 256 << 10
)

// fit raises or lowers what hangs together with the size of a packet.
func (t *translator) fit() {
	get := func(key string, otherwise int64) int64 {
		n, err := strconv.ParseInt(strings.TrimSuffix(t.values[key], "B"), 10, 64)
		if err != nil {
			return otherwise
		}
		return n
	}
	packet := get("limits.packet", defaultPacket)
	if packet < defaultConnectPacket {
		t.values["limits.connect_packet"] = bytes(packet)
	}
	holders := map[string]int64{
		"limits.queue.bytes": defaultQueue, "limits.unacked_v3.bytes": defaultUnacked, "limits.publish_bytes.burst": defaultBurst,
	}
	if t.values["limits.retained.messages"] != "0" {
		holders["limits.retained.bytes_per_principal"] = defaultRetained
	}
	for key, otherwise := range holders {
		if get(key, otherwise) < packet {
			t.values[key] = bytes(packet)
		}
	}
	if queue := get("limits.queue.bytes", defaultQueue); queue > defaultQueueTotal {
		t.values["limits.queue_total"] = bytes(queue)
	}
}

// oneLine keeps a comment in its line.
func oneLine(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
