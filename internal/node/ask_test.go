package node

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/explain"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// TestLiveDecisionEqualsExplained: for random rules a running broker answers PUBLISH, SUBSCRIBE, Will and delivery as
// explain says, with the same rule; and the refusal that it keeps has the same text.
func TestLiveDecisionEqualsExplained(t *testing.T) {
	n, _, _ := loginNode(t, ", upgrade: false")
	dir := t.TempDir()
	level := rapid.SampledFrom([]string{"a", "b", "+", "%u", "%c"})
	filter := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(level, 1, 3).Draw(t, "levels"), "/") + rapid.SampledFrom([]string{"", "/#"}).Draw(t, "rest")
	})
	rule := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("  - {who: %q, %s: %s, topic: %q}\n",
			rapid.SampledFrom([]string{"anyone", "user:carl", "group:g", "client:a", "authenticated"}).Draw(t, "who"),
			rapid.SampledFrom([]string{"allow", "allow", "deny"}).Draw(t, "verb"),
			rapid.SampledFrom([]string{"publish", "subscribe", "all", "retain", "will", "receive"}).Draw(t, "do"), filter.Draw(t, "filter"))
	})
	answers := map[bool]int{}
	rapid.Check(t, func(rt *rapid.T) {
		rules := rapid.SliceOfN(rule, 1, 5).Draw(rt, "rules")
		if rapid.Bool().Draw(rt, "open") { // or hardly anything would be allowed
			rules = append(rules, "  - {who: anyone, allow: all, topic: \"#\"}\n")
		}
		plan := randomPlan(rt, dir, n, rules)
		if plan == nil {
			return // a rule that can never decide: the file is refused
		}
		name := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "carl"}), 1, 3).Draw(rt, "topic"), "/")
		client := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "client")
		action := rapid.SampledFrom([]identity.Action{identity.Publish, identity.Retain, identity.Will, identity.Subscribe}).Draw(rt, "action")
		if action == identity.Subscribe {
			name = strings.ReplaceAll(filter.Draw(rt, "wanted"), "%", "")
		}
		q := Question{Query: explain.Query{
			Principal: identity.Principal{Method: "password", Name: "carl"}, ClientID: client, Action: action, Topic: name,
		}}
		said, err := n.Ask(&q)
		if err != nil {
			rt.Fatal(err)
		}
		byFile, err := Ask(plan, &q)
		if err != nil || byFile.Allowed != said.Allowed || byFile.Rule != said.Rule {
			rt.Fatalf("running: %+v, file: %+v %v", said, byFile, err)
		}
		if allowed := try(t, n, client, action, name); allowed != said.Allowed {
			rt.Fatalf("%v %s by %s: live %v, explained\n%s", action, name, client, allowed, said.Text())
		}
		answers[said.Allowed]++
		if said.Allowed {
			return
		}
		r, ok := n.broker.LastRefusal(client)
		if !ok || r.Decision.Rule.String() != said.Rule || r.Topic != name {
			rt.Fatalf("kept %+v, explained %+v", r, said)
		}
	})
	if answers[true] < 5 || answers[false] < 5 {
		t.Errorf("the rules say too little: %v", answers)
	}
}

// randomPlan puts rules in force and returns the plan; nil when the file is refused.
func randomPlan(rt *rapid.T, dir string, n *Node, rules []string) *config.Plan {
	file := filepath.Join(dir, "sealmq.yaml")
	text := "version: 1\nlisteners: [{name: local, bind: \"127.0.0.1:0\"}]\nstorage: {engine: memory}\n" +
		"auth: {password: {file: passwd}}\ngroups: {g: [carl]}\nacl:\n" + strings.Join(rules, "")
	for name, text := range map[string]string{file: text, filepath.Join(dir, "passwd"): "carl:passwordless\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			rt.Fatal(err)
		}
	}
	plan, err := config.FromFlags(config.Flags{Config: file})
	if err != nil {
		return nil
	}
	if err := n.Reload(plan); err != nil {
		rt.Fatal(err)
	}
	return plan
}

// try does it on the wire and reports whether the broker let it.
func try(t *testing.T, n *Node, client string, action identity.Action, name string) bool {
	w := dial(t, n, mqtt.V5)
	defer w.conn.Close() //nolint:errcheck // a test
	p := &mqtt.Connect{ProtocolVersion: mqtt.V5, CleanStart: true, ClientID: client, HasUsername: true, Username: "carl"}
	if action == identity.Will {
		p.HasWill, p.Will.Topic, p.Will.Payload = true, name, []byte("w")
	}
	w.send(p)
	code, ok := w.connack()
	if !ok || code.IsError() && action != identity.Will {
		t.Fatalf("CONNACK %v %v", code, ok)
	}
	switch action {
	case identity.Publish, identity.Retain:
		w.send(&mqtt.Publish{Topic: name, QoS: 1, PacketID: 1, Retain: action == identity.Retain})
		code = next[*mqtt.Puback](w).ReasonCode
	case identity.Subscribe:
		w.send(&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: name}}})
		code = next[*mqtt.Suback](w).ReasonCodes[0]
	}
	if !code.IsError() && action == identity.Will {
		w.send(&mqtt.Disconnect{})
	}
	if code.IsError() && code != mqtt.NotAuthorized {
		t.Fatalf("%v: %v", action, code)
	}
	return !code.IsError()
}

// next reads packets until one of the type comes.
func next[P mqtt.Packet](w *wire) P {
	w.tb.Helper()
	for {
		p, err := w.r.ReadPacket()
		if err != nil {
			w.tb.Fatal(err)
		}
		if want, ok := p.(P); ok {
			return want
		}
	}
}

// TestAskLogin: what --listener says about a login, with the place in the file that decides.
func TestAskLogin(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", "carl:$7$1000$c2FsdHNhbHRzYWx0$"+strings.Repeat("A", 86)+"==\nguest:passwordless\n")
	write("psk.txt", "dev:00112233445566778899aabbccddeeff\n")
	write("sealmq.yaml", `version: 1
listeners:
  - {name: local, bind: "127.0.0.1:1883"}
  - {name: open, bind: "0.0.0.0:1884", allow_plaintext: true}
  - {name: clear, bind: "0.0.0.0:1885", allow_plaintext: true, allow_clear_password: true}
  - {name: tiny, bind: "0.0.0.0:8886", tls_psk: {file: psk.txt}}
auth:
  anonymous: true
  psk: true
  password: {file: passwd}
acl:
  - {who: anyone, allow: all, topic: a}
`)
	plan, err := config.FromFlags(config.Flags{Config: filepath.Join(dir, "sealmq.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	password := func(name string) identity.Principal { return identity.Principal{Method: "password", Name: name} }
	for _, c := range []struct {
		listener string
		who      identity.Principal
		from     string
		allowed  bool
		words    []string
	}{
		{"local", password("carl"), "", true, []string{"ALLOWED  client c (user carl) may log in on listener local", "sealmq.yaml:10 auth.password.file"}},
		{"local", password("mallory"), "", false, []string{"password: user name", "DENIED", "134 Bad User Name or Password, the same for an unknown name"}},
		{"open", password("carl"), "", false, []string{"password: encryption of the connection", "a secret in clear text, from another machine", "sealmq.yaml:4 ", "connect over TLS"}},
		{"open", password("guest"), "", true, []string{"sealmq.yaml:10 auth.password.file"}}, // has no secret that could be read
		{"open", password("carl"), "127.0.0.1", true, []string{"on this machine"}},
		{"clear", password("carl"), "192.0.2.7", true, []string{"from 192.0.2.7"}},
		{"local", identity.Anonymous, "", true, []string{"auth.anonymous: true"}},
		{"open", identity.Anonymous, "", false, []string{"anonymous: address", "loopback", "sealmq.yaml:8 auth.anonymous"}},
		{"tiny", password("carl"), "", false, []string{"psk: order"}},
		{"tiny", identity.Principal{Method: "psk", Name: "dev"}, "", true, []string{"auth.psk"}},
		{"local", identity.Principal{Method: "psk", Name: "dev"}, "", false, []string{"transport", "a listener with tls_psk", "sealmq.yaml:3 "}},
		{"clear", identity.Principal{Method: "certificate", Name: "dev"}, "", false, []string{"transport", "client_cert"}},
	} {
		q := &Question{Query: explain.Query{Principal: c.who, ClientID: "c", Action: identity.Publish, Topic: "a"}, Listener: c.listener}
		if c.from != "" {
			q.From = netip.MustParseAddr(c.from)
		}
		a, err := Ask(plan, q)
		if err != nil || a.Login == nil || a.Login.Allowed != c.allowed || a.Granted() != c.allowed {
			t.Errorf("%s %v from %s: %+v %v", c.listener, c.who, c.from, a.Login, err)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(a.Text(), w) {
				t.Errorf("%s %v from %s: no %q in\n%s", c.listener, c.who, c.from, w, a.Text())
			}
		}
	}
	if _, err := Ask(plan, &Question{Query: explain.Query{Action: identity.Publish, Topic: "a"}, Listener: "lan"}); err == nil ||
		!strings.Contains(err.Error(), "there are local, open, clear, tiny") {
		t.Errorf("a listener that is not there: %v", err)
	}
}
