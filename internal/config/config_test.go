package config

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sealmq/sealmq/topic"
)

// sample sets one key of every kind away from its default.
const sample = `version: 1
node: {name: plant-a, data_dir: data}
listeners:
  - {name: one, bind: "127.0.0.1:1883", max_clients: 7}
  - name: two
    bind: "[::1]:1883"
    max_packet: 128KiB
auth: {anonymous: true}
acl:
  publish:
    allow: ["plant/#"]
    deny:
      - plant/+/secret/#
  subscribe: {allow: ["plant/#", "$SYS/#"]}
limits:
  clients: 10
  packet: 512KiB
  connect_timeout: 1m30s
  publish_rate: {per_client: 90/m}
  publish_bytes: {per_client: 1MiB/s}
  message_expiry_max: 7d
  queue: {on_full: refuse_publish, qos0_offline: true}
storage: {engine: memory}
`

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("/etc/sealmq/sealmq.yaml", []byte(text))
	if err != nil {
		var invalid *Invalid
		if errors.As(err, &invalid) {
			t.Fatalf("%s", invalid.Report())
		}
		t.Fatal(err)
	}
	return c
}

func TestParseSample(t *testing.T) {
	c := parse(t, sample)
	want := Default()
	want.Node = Node{Name: "plant-a", DataDir: "/etc/sealmq/data"}
	want.Auth.Anonymous = true
	want.Listeners = []Listener{
		{Name: "one", Bind: netip.MustParseAddrPort("127.0.0.1:1883"), MaxClients: 7, MaxPacket: 512 * KiB},
		{Name: "two", Bind: netip.MustParseAddrPort("[::1]:1883"), MaxClients: 10, MaxPacket: 128 * KiB},
	}
	rule := func(filter topic.Filter, line int) Rule {
		return Rule{Filter: filter, File: "/etc/sealmq/sealmq.yaml", Line: line}
	}
	want.ACL = ACL{
		Publish:   Rules{Allow: []Rule{rule("plant/#", 11)}, Deny: []Rule{rule("plant/+/secret/#", 13)}},
		Subscribe: Rules{Allow: []Rule{rule("plant/#", 14), rule("$SYS/#", 14)}},
	}
	l := &want.Limits
	l.Clients, l.Packet, l.ConnectTimeout = 10, 512*KiB, 90*time.Second
	l.PublishRate.PerClient, l.PublishBytes.PerClient = 1.5, ByteRate(MiB)
	l.MessageExpiryMax, l.Queue.OnFull, l.Queue.QoS0Offline = 7*day, RefusePublish, true
	want.Storage.Engine, want.Audit.File = EngineMemory, ""
	if diff := cmp.Diff(want, c, cmp.FilterPath(isOrigins, cmp.Ignore()), cmp.Comparer(sameAddr)); diff != "" {
		t.Error(diff)
	}
}

func isOrigins(p cmp.Path) bool { return p.Last().String() == ".origins" }

func sameAddr(a, b netip.AddrPort) bool { return a == b }

func TestOrigin(t *testing.T) {
	c := parse(t, sample)
	for path, want := range map[string]string{
		"node.name":                      "/etc/sealmq/sealmq.yaml:2",
		"listeners[one].max_clients":     "/etc/sealmq/sealmq.yaml:4",
		"listeners[two].max_packet":      "/etc/sealmq/sealmq.yaml:7",
		"listeners[two].max_clients":     "default",
		"limits.publish_rate.per_client": "/etc/sealmq/sealmq.yaml:19",
		"limits.inflight":                "default",
	} {
		if got := c.Origin(path).String(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// TestACLDefaults: without acl everything but $SYS is open to whoever logs in; with acl, what is not written is denied.
func TestACLDefaults(t *testing.T) {
	open := parse(t, "version: 1\n").ACL
	if len(open.Publish.Allow) != 1 || open.Publish.Allow[0] != (Rule{Filter: "#"}) || len(open.Subscribe.Allow) != 1 {
		t.Errorf("without acl: %+v", open)
	}
	half := parse(t, "version: 1\nacl: {publish: {allow: [a]}}\n").ACL
	if len(half.Publish.Allow) != 1 || len(half.Subscribe.Allow) != 0 {
		t.Errorf("with half an acl: %+v", half)
	}
	denied := parse(t, "version: 1\nacl: {publish: {deny: [a]}}\n").ACL
	if len(denied.Publish.Allow) != 0 || len(denied.Subscribe.Allow) != 0 {
		t.Errorf("with a deny list only: %+v", denied)
	}
}

func TestDefaultIsValid(t *testing.T) {
	c := parse(t, "version: 1\n")
	want := Default()
	want.Node.DataDir, want.Audit.File = "/etc/sealmq/sealmq-data", "/etc/sealmq/sealmq-data/audit/audit.jsonl"
	if diff := cmp.Diff(want, c, cmp.FilterPath(isOrigins, cmp.Ignore()), cmp.Comparer(sameAddr)); diff != "" {
		t.Error(diff)
	}
	if c.Auth.Anonymous || !c.Listeners[0].Loopback() || c.Storage.AckBeforeSync {
		t.Error("the default is not the safe one")
	}
}

// TestYAMLReadsBack: what config show prints is a configuration with the same settings.
func TestYAMLReadsBack(t *testing.T) {
	for name, text := range map[string]string{"default": "version: 1\n", "sample": sample, "dev": devPreset, "plain": plainPreset, "mosquitto": "version: 1\nacl: {mosquitto: acl.txt}\n"} {
		for _, origin := range []bool{false, true} {
			first := parse(t, text)
			second := parse(t, first.YAML(origin))
			if changes := Diff(first, second); len(changes) != 0 {
				t.Errorf("%s: %v", name, changes)
			}
			if second.YAML(false) != first.YAML(false) {
				t.Errorf("%s: the second output differs", name)
			}
		}
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "absent.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a folder was read")
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte("version: 1\n#"+strings.Repeat("x", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	var invalid *Invalid
	if _, err := Load(big); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "more than 1MiB") {
		t.Errorf("large file: %v", err)
	}
}

// TestBytesThatAreNoText covers what a golden file cannot hold.
func TestBytesThatAreNoText(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"not UTF-8":       {"version: 1\nnode: {name: \"é\xff\"}\n", "f:2:16: not UTF-8"},
		"escape sequence": {"version: 1\n# \x1b[31m\n", "f:2:3: a control character"},
		"NUL":             {"version: 1\x00\n", "f:1:11: a control character"},
		"lone CR":         {"version: 1\rnode: {}\n", "f:1:11: a control character"},
		"byte order mark": {"\ufeffversion: 1\n", "f:1:1: a byte order mark"},
	} {
		_, err := Parse("f", []byte(c.text))
		var invalid *Invalid
		if !errors.As(err, &invalid) || !strings.HasPrefix(invalid.Report(), c.want) {
			t.Errorf("%s: got %v, want %s", name, invalid.Report(), c.want)
		}
		if bytes.ContainsAny([]byte(invalid.Report()), "\x1b\x00") || !utf8.ValidString(invalid.Report()) {
			t.Errorf("%s: the report holds raw bytes", name)
		}
	}
	if _, err := Parse("f", []byte("version: 1\r\nnode: {name: \ufffd}\r\n")); err == nil || strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("line ends of Windows and a real U+FFFD: %v", err)
	}
}

// TestExcerptLies: characters that reorder a terminal's line do not reach it.
func TestExcerptLies(t *testing.T) {
	window, caret := excerpt("a\u202eb\tc\u0085", 3)
	if window != "a·b c·" || caret != 2 {
		t.Errorf("got %q, %d", window, caret)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, err := Parse("f", []byte("version: 1\n"+strings.Repeat("? []\n: 1\n", 500)))
	var invalid *Invalid
	if !errors.As(err, &invalid) || len(invalid.Problems) != maxProblems || invalid.More != 400 {
		t.Fatalf("got %d problems and %d more", len(invalid.Problems), invalid.More)
	}
	if !strings.HasSuffix(invalid.Report(), "f: 400 more problems are not shown\n") {
		t.Error("the report does not say that it is cut")
	}
}

// TestHostileFiles: files made to be slow, deep or large are refused with a bounded report.
func TestHostileFiles(t *testing.T) {
	for _, text := range []string{
		"a: " + strings.Repeat("[", maxFile), strings.Repeat("a: ", 100_000), strings.Repeat("a: 1\n", 50_000),
		strings.Repeat("- ", 100_000), strings.Repeat("? ", 100_000), strings.Repeat("&a ", 50_000),
		strings.Repeat("{a,", 100_000), strings.Repeat("k: !!a b\n", 20_000), strings.Repeat("#\n", 100_000),
		"version: 1\n" + strings.Repeat("k", 500_000) + ": 1\n", "version: 1\nnode: {name: " + strings.Repeat("x", 500_000) + "}\n",
	} {
		_, err := Parse("f", []byte(text))
		var invalid *Invalid
		if !errors.As(err, &invalid) {
			t.Errorf("%.10q…: %v", text, err)
			continue
		}
		if n := len(invalid.Report()); n > maxProblems*1000 {
			t.Errorf("%.10q…: a report of %d bytes", text, n)
		}
	}
}

// TestMisspeltSecretIsNotShown: the value under an unknown key never reaches the report.
func TestMisspeltSecretIsNotShown(t *testing.T) {
	for _, text := range []string{
		"version: 1\npasword: hunter2\n", "version: 1\nnode: {pw: hunter2}\n", "version: 1\n'a key': hunter2\n",
		"version: 1\nnode: {name: a}\nnode: hunter2\n",
	} {
		_, err := Parse("f", []byte(text))
		var invalid *Invalid
		if !errors.As(err, &invalid) || strings.Contains(invalid.Report(), "hunter2") {
			t.Errorf("%q: %v", text, invalid.Report())
		}
	}
}

func TestKeysAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		if seen[k.Path] {
			t.Errorf("%s is described twice", k.Path)
		}
		seen[k.Path] = true
		if k.Doc == "" || !strings.HasSuffix(k.Doc, ".") || k.Kind == "" || strings.Contains(k.Doc+k.Range, "|") {
			t.Errorf("%s: description %q, kind %q", k.Path, k.Doc, k.Kind)
		}
	}
}

// TestReference keeps docs/operate/configuration.md equal to the table of keys.
func TestReference(t *testing.T) {
	const page = "../../docs/operate/configuration.md"
	if *update {
		if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Reference() {
		t.Errorf("%s differs from the table of keys: go test ./internal/config -run TestReference -update", page)
	}
}

// TestReferenceExample: the example in the reference is valid.
func TestReferenceExample(t *testing.T) {
	_, rest, _ := strings.Cut(Reference(), "```yaml sealmq.yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no example")
	}
	parse(t, example)
}

// FuzzParse: a file either gives a complete configuration that reads back from its own output, or an *Invalid with a
// bounded, printable report. Nothing else, and no panic.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(devPreset))
	cases, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range cases {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, text, _ := strings.Cut(string(data), "-- sealmq.yaml --\n")
		text, _, _ = strings.Cut(text, "-- want --\n")
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data)
		if err != nil {
			var invalid *Invalid
			if !errors.As(err, &invalid) || c != nil || len(invalid.Problems) == 0 || len(invalid.Problems) > maxProblems {
				t.Fatalf("got %v, %T %v", c, err, err)
			}
			for _, r := range invalid.Report() {
				if isControl(r) && r != '\n' || isDirectional(r) {
					t.Fatalf("the report holds %U:\n%s", r, invalid.Report())
				}
			}
			return
		}
		again, err := Parse("f", []byte(c.YAML(true)))
		if err != nil {
			t.Fatalf("own output: %v\n%s", err, c.YAML(true))
		}
		if changes := Diff(c, again); len(changes) != 0 {
			t.Fatalf("own output differs: %v", changes)
		}
	})
}

// TestOpsSection: a section, be it empty, opens the port on loopback; without one there is none.
func TestOpsSection(t *testing.T) {
	if c := parse(t, "version: 1\n"); c.Ops.Bind.IsValid() {
		t.Errorf("without a section: %v", c.Ops.Bind)
	}
	c := parse(t, "version: 1\nops: {}\n")
	if c.Ops.Bind != netip.MustParseAddrPort("127.0.0.1:9234") || c.Ops.Metrics != "/metrics" || !c.Ops.Health {
		t.Errorf("an empty section: %+v", c.Ops)
	}
	c = parse(t, "version: 1\nops: {bind: \":1\", tls: {cert: a, key: b}, token: c, metrics: /m}\n")
	if c.Ops.Loopback() || c.Ops.TLS.Cert != "/etc/sealmq/a" || c.Ops.Token != "/etc/sealmq/c" || c.Ops.Metrics != "/m" {
		t.Errorf("a full section: %+v", c.Ops)
	}
}
