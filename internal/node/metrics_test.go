package node

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/pkitest"
	"github.com/sealmq/sealmq/mqtt"
)

// watched starts a broker with an operations port and a TLS listener, lets a client log in and fail, and returns its URL.
func watched(t *testing.T) *Node {
	t.Helper()
	pki := pkitest.New(t)
	pki.Server()
	text := "version: 1\nlisteners:\n  - {name: local, bind: \"127.0.0.1:0\"}\n  - {name: lan, bind: \"127.0.0.1:0\", tls: {cert: server.crt, key: server.key}}\n" +
		"auth: {anonymous: true, password: {file: passwd}}\nacl: {publish: {allow: [a]}, subscribe: {allow: [a]}}\nstorage: {engine: memory}\nops: {bind: \"127.0.0.1:0\", mosquitto_names: true}\n"
	file := filepath.Join(pki.Dir, "sealmq.yaml")
	for name, text := range map[string]string{file: text, filepath.Join(pki.Dir, "passwd"): ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := config.FromFlags(config.Flags{Config: file, Data: ""})
	if err != nil {
		t.Fatal(err)
	}
	plan.Config.Node.DataDir = t.TempDir()
	n := startNode(t, plan)
	n.SetFindings(map[string]int{"high": 2})
	return n
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // test
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v\n%s", url, resp.StatusCode, err, b)
	}
	return string(b)
}

// family is a parsed metric family.
type family struct {
	kind   string
	labels map[string]bool
	values map[string]float64 // by the sample's name with its labels
}

var sampleForm = regexp.MustCompile(`^([a-z_][a-z0-9_]*)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)$`)

// parseMetrics reads the text format strictly: every family once, with HELP and TYPE, its samples together.
func parseMetrics(t *testing.T, text string) map[string]*family {
	t.Helper()
	all := map[string]*family{}
	var name string
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		line := scanner.Text()
		if help, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, _, _ = strings.Cut(help, " ")
			if all[name] != nil || !scanner.Scan() || !strings.HasPrefix(scanner.Text(), "# TYPE "+name+" ") {
				t.Fatalf("family %s: twice, or without a type", name)
			}
			all[name] = &family{strings.TrimPrefix(scanner.Text(), "# TYPE "+name+" "), map[string]bool{}, map[string]float64{}}
			continue
		}
		m := sampleForm.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("line %q", line)
		}
		f := all[name]
		if f == nil || m[1] != name && (f.kind != "histogram" || !slices.Contains([]string{"_bucket", "_sum", "_count"}, strings.TrimPrefix(m[1], name))) {
			t.Fatalf("%s within %s", m[1], name)
		}
		for _, l := range regexp.MustCompile(`([a-z]+)="`).FindAllStringSubmatch(m[2], -1) {
			f.labels[l[1]] = true
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		key, _, _ := strings.Cut(line, " ")
		if m[2] != "" {
			key = m[1] + "{" + m[2] + "}"
		}
		f.values[key] = v
	}
	return all
}

// TestMetricsCount: what clients do is counted, under the right labels.
func TestMetricsCount(t *testing.T) {
	n := watched(t)
	got := make(chan struct{}, 1)
	c, err := client.Dial(t.Context(), client.Config{
		Server: n.URLs()[0], ClientID: "one",
		Handler: func(*client.Message) { got <- struct{}{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // test
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := c.Subscribe(ctx, mqtt.Subscription{Filter: "a", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(ctx, &client.Message{Topic: "a", QoS: 1, Payload: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	<-got
	_ = c.Publish(ctx, &client.Message{Topic: "secret", QoS: 1, Payload: []byte("x")}) // refused
	if bad, err := client.Dial(ctx, client.Config{Server: n.URLs()[0], ClientID: "two", Username: "eve", Password: []byte("guess")}); err == nil {
		bad.Close(ctx) //nolint:errcheck // test
		t.Fatal("a wrong password was accepted")
	}
	for ctx.Err() == nil && n.Broker().Snapshot().Clients != 1 { // the refused connection is about to end
		time.Sleep(time.Millisecond)
	}
	all := parseMetrics(t, fetch(t, n.OpsURL()+"/metrics"))
	for sample, want := range map[string]float64{
		`sealmq_build_info{version="test",go=`: 1,
		"sealmq_ready":                         1,
		"sealmq_connections":                   1,
		`sealmq_connects_total{listener="local",result="accepted"}`:                1,
		`sealmq_connects_total{listener="local",result="not_authenticated"}`:       1,
		`sealmq_auth_failures_total{method="password",reason="not_authenticated"}`: 1,
		"sealmq_auth_seconds_count":                                                2,
		`sealmq_acl_decisions_total{action="publish",result="allowed"}`:            1,
		`sealmq_acl_decisions_total{action="publish",result="denied"}`:             1,
		`sealmq_acl_decisions_total{action="subscribe",result="allowed"}`:          1,
		`sealmq_publish_received_total{qos="1"}`:                                   2,
		`sealmq_publish_sent_total{qos="1"}`:                                       1,
		"sealmq_denied_total":                                                      1,
		"sealmq_subscriptions":                                                     1,
		`sealmq_doctor_findings{severity="high"}`:                                  2,
		`sealmq_doctor_findings{severity="low"}`:                                   0,
		`sealmq_dropped_total{reason="queue_full"}`:                                0,
	} {
		found := false
		for _, f := range all {
			for key, v := range f.values {
				if key == sample || strings.HasSuffix(sample, "=") && strings.HasPrefix(key, sample) {
					found = true
					if v != want {
						t.Errorf("%s is %v, want %v", sample, v, want)
					}
				}
			}
		}
		if !found {
			t.Errorf("%s is missing", sample)
		}
	}
	expiry := all["sealmq_certificate_expiry_timestamp_seconds"].values[`sealmq_certificate_expiry_timestamp_seconds{name="lan"}`]
	if left := time.Until(time.Unix(int64(expiry), 0)); left < 30*time.Minute || left > 90*time.Minute {
		t.Errorf("the certificate expires in %v", left)
	}
	if all["broker_clients_connected"] == nil {
		t.Error("the names of exporters are missing")
	}
}

// exists reports whether a name in an expression is a metric, and its labels.
func exists(all map[string]*family, name string) (map[string]bool, bool) {
	if f := all[name]; f != nil {
		return f.labels, f.kind != "histogram"
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if f := all[strings.TrimSuffix(name, suffix)]; f != nil && strings.HasSuffix(name, suffix) && f.kind == "histogram" {
			return f.labels, true
		}
	}
	return nil, false
}

var (
	metricUse = regexp.MustCompile(`(sealmq_[a-z_]+)(?:\{([^}]*)\})?`)
	labelUse  = regexp.MustCompile(`([a-z]+)(?:=~|!~|!=|=)"`)
	groupUse  = regexp.MustCompile(`by \(([a-z, ]+)\)`)
)

// checkExpressions refuses metrics and labels that do not exist.
func checkExpressions(t *testing.T, where string, all map[string]*family, expressions []string) {
	t.Helper()
	for _, e := range expressions {
		uses := metricUse.FindAllStringSubmatch(e, -1)
		if len(uses) == 0 {
			t.Errorf("%s: no metric in %q", where, e)
		}
		for _, u := range uses {
			labels, ok := exists(all, u[1])
			if !ok {
				t.Errorf("%s: %s does not exist", where, u[1])
			}
			wanted := labelUse.FindAllStringSubmatch(u[2], -1)
			for _, g := range groupUse.FindAllStringSubmatch(e, -1) {
				for _, l := range strings.Split(g[1], ",") {
					wanted = append(wanted, []string{"", strings.TrimSpace(l)})
				}
			}
			for _, l := range wanted {
				if l[1] != "job" && !labels[l[1]] {
					t.Errorf("%s: %s has no label %s", where, u[1], l[1])
				}
			}
		}
	}
}

// TestMetricsAreDocumented: the page, the dashboard and the alert rules speak of the metrics that exist, all of them on
// the page.
func TestMetricsAreDocumented(t *testing.T) {
	n := watched(t)
	if c, err := client.Dial(t.Context(), client.Config{Server: n.URLs()[0], ClientID: "one"}); err == nil {
		defer c.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // test
	}
	if c, err := client.Dial(t.Context(), client.Config{Server: n.URLs()[0], ClientID: "two", Username: "eve", Password: []byte("guess")}); err == nil {
		defer c.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // test
	}
	all := parseMetrics(t, fetch(t, n.OpsURL()+"/metrics"))
	page, err := os.ReadFile("../../docs/operate/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(sealmq_[a-z_]+)` \\| (\\w+) \\|([^|]*)\\|").FindAllStringSubmatch(string(page), -1) {
		documented[row[1]] = true
		f := all[row[1]]
		if f == nil || f.kind != row[2] {
			t.Errorf("metrics.md: %s is no %s", row[1], row[2])
			continue
		}
		labels := regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(row[3], -1)
		if len(labels) != len(f.labels) {
			t.Errorf("metrics.md: %s has the labels %v, not %s", row[1], f.labels, row[3])
		}
		for _, l := range labels {
			if !f.labels[l[1]] {
				t.Errorf("metrics.md: %s has no label %s", row[1], l[1])
			}
		}
	}
	for name := range all {
		if strings.HasPrefix(name, "sealmq_") && !documented[name] {
			t.Errorf("metrics.md: %s is missing", name)
		}
	}
	checkExpressions(t, "alerts.yaml", all, alertExpressions(t))
	checkExpressions(t, "grafana-dashboard.json", all, dashboardExpressions(t))
}

func alertExpressions(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../../docs/operate/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Load(b, &file, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("alerts.yaml: %q is not complete", r.Alert)
			}
			out = append(out, r.Expr)
		}
	}
	return out
}

func dashboardExpressions(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../../docs/operate/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			out = append(out, target.Expr)
		}
		if len(p.Targets) == 0 {
			t.Errorf("the panel %s shows nothing", p.Title)
		}
	}
	return out
}

// TestExpressionCheckCanFail: the check finds a metric and a label that are not there.
func TestExpressionCheckCanFail(t *testing.T) {
	all := map[string]*family{"sealmq_a": {"counter", map[string]bool{"x": true}, nil}}
	if _, ok := exists(all, "sealmq_b"); ok {
		t.Error("sealmq_b was found")
	}
	if labels, ok := exists(all, "sealmq_a"); !ok || labels["y"] {
		t.Error("the label y was found")
	}
}
