package node

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// TestPayload_RefusedByALimitIsNew: a message that verifies and then finds a full queue is refused, and accepted when it
// comes again: the replay state has not kept it.
func TestPayload_RefusedByALimitIsNew(t *testing.T) {
	mac := key(t, "mac", keyring.UseMAC, nil)
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", require: mac}
`, mac)
	s.stop()
	s.more = "limits: {queue: {messages: 1, on_full: refuse_publish}}"
	s.write(s.protection)
	s.start()
	const topic = "plant/1"
	for qos := mqtt.QoS(1); qos < 3; qos++ {
		asleep := s.dial("asleep", mqtt.V5, false, keep)
		s.subscribe(asleep, 2, topic)
		_ = asleep.Close(t.Context())
		seal, from := sealer(t, protect.SealerConfig{Key: mac}), s.dial("from", mqtt.V5, false)
		first, second := sealAs(t, seal, topic, "1"), sealAs(t, seal, topic, "2")
		if code := s.send(from, &client.Message{Topic: topic, Payload: first, QoS: qos}); code != mqtt.Success {
			t.Fatal(code)
		}
		if code := s.send(from, &client.Message{Topic: topic, Payload: second, QoS: qos}); code != mqtt.QuotaExceeded {
			t.Fatalf("QoS %d: %v", qos, code)
		}
		awake := s.dial("asleep", mqtt.V5, false, keep)
		if m := s.receive(awake); !bytes.Equal(m.Payload, first) {
			t.Errorf("delivered %x", m.Payload)
		}
		for range 2 { // the second time it is a duplicate
			if code := s.send(from, &client.Message{Topic: topic, Payload: second, QoS: qos}); code != mqtt.Success {
				t.Errorf("QoS %d, again: %v", qos, code)
			}
		}
		if m := s.receive(awake); !bytes.Equal(m.Payload, second) {
			t.Errorf("delivered %x", m.Payload)
		}
		s.nothing(awake)
		_ = awake.Close(t.Context())
		_ = s.dial("asleep", mqtt.V5, false).Close(t.Context()) // ends the session
		_ = from.Close(t.Context())
	}
}

// crashed is set in a process that is going to be killed.
const crashed = "SEALMQ_TEST_CRASH"

// TestPayload_CrashChild is the broker of TestPayload_Crash. It says where it listens and waits for its end.
func TestPayload_CrashChild(t *testing.T) {
	dir := os.Getenv(crashed)
	if dir == "" {
		return // it is a part of TestPayload_Crash
	}
	plan, err := config.FromFlags(config.Flags{Config: filepath.Join(dir, "sealmq.yaml"), Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(t.Context(), plan, discard, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "addr.new"), []byte(n.Addrs()[0].String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "addr.new"), filepath.Join(dir, "addr")); err != nil {
		t.Fatal(err)
	}
	select {}
}

// TestPayload_Crash: after a SIGKILL whatever was acknowledged is there once, and cannot be sent again.
func TestPayload_Crash(t *testing.T) {
	mac := key(t, "mac", keyring.UseMAC, nil)
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", require: mac}
`, mac)
	s.stop()
	child := exec.Command(os.Args[0], "-test.run", "^TestPayload_CrashChild$")
	child.Env = append(os.Environ(), crashed+"="+s.dir)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var addr []byte
	s.await("the broker of the other process", func() (ok bool) {
		b, err := os.ReadFile(filepath.Join(s.dir, "addr"))
		addr = b
		return err == nil
	})
	at := func(cfg *client.Config) { cfg.Server = "mqtt://" + string(addr) }
	const topic = "plant/1"
	s.n = &Node{listeners: make([]listener, 0)}
	dialAt := func(id string, more ...func(*client.Config)) *client.Client {
		cfg := client.Config{Server: "mqtt://" + string(addr), ClientID: id, CleanStart: true, NoReconnect: true}
		for _, f := range append(more, at) {
			f(&cfg)
		}
		c, err := client.Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	asleep := dialAt("asleep", keep)
	s.subscribe(asleep, 2, topic)
	_ = asleep.Close(t.Context())
	from, seal := dialAt("from"), sealer(t, protect.SealerConfig{Key: mac})
	var sent [][]byte
	for i := range 40 {
		b := sealAs(t, seal, topic, "x")
		if code := s.send(from, &client.Message{Topic: topic, Payload: b, QoS: mqtt.QoS(1 + i%2)}); code != mqtt.Success {
			t.Fatal(code)
		}
		sent = append(sent, b)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()

	s.n = nil
	s.start()
	again := s.dial("from", mqtt.V5, false)
	for i, b := range sent { // what was captured comes again
		if code := s.send(again, &client.Message{Topic: topic, Payload: b, QoS: mqtt.QoS(i % 3)}); code != mqtt.Success {
			t.Errorf("message %d: %v", i, code)
		}
	}
	awake := s.dial("asleep", mqtt.V5, false, keep)
	got := map[string]int{}
	for range sent {
		got[string(s.receive(awake).Payload)]++
	}
	for i, b := range sent {
		if got[string(b)] != 1 {
			t.Errorf("message %d: delivered %d times", i, got[string(b)])
		}
	}
	s.nothing(awake)
}

// TestPayload_Quarantine: a copy of what is refused goes to those who may see it, with what it was about; wildcards do not
// find it, nobody can publish there, and it is not kept.
func TestPayload_Quarantine(t *testing.T) {
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", require: mac, quarantine: true}
  - {topic: "office/#", require: mac}
`)
	watch, all := s.dial("watch", mqtt.V5, false), s.dial("all", mqtt.V5, false)
	s.subscribe(watch, 2, "$quarantine/#")
	s.subscribe(all, 2, "#", "+/+")
	from := s.dial("from", mqtt.V5, false)
	for _, topic := range []string{"office/1", "plant/1"} {
		if code := s.send(from, &client.Message{Topic: topic, Payload: []byte("bare"), QoS: 1, Retain: true}); code != mqtt.PayloadFormatInvalid {
			t.Errorf("%s: %v", topic, code)
		}
	}
	m := s.receive(watch)
	told := map[string]string{}
	for _, u := range m.Properties.User {
		told[u.Key] = u.Value
	}
	if m.Topic != "$quarantine/payload" || string(m.Payload) != "bare" || m.Retain || m.QoS != 0 || told["topic"] != "plant/1" ||
		told["reason"] != "unprotected" || told["client"] != "from" || !strings.Contains(told["rule"], "plant/#") {
		t.Errorf("quarantine has %+v with %v", m, told)
	}
	if r, ok := s.n.Broker().Refusal(told["decision"]); !ok || r.Layer != broker.LayerPayload || r.Decision.Rule.Line == 0 {
		t.Errorf("decision %q is %+v", told["decision"], r)
	}
	if code := s.send(from, &client.Message{Topic: "$quarantine/payload", Payload: []byte("x"), QoS: 1}); code != mqtt.NotAuthorized {
		t.Errorf("publish to the quarantine: %v", code)
	}
	s.nothing(all)
	late := s.dial("late", mqtt.V5, false)
	s.subscribe(late, 2, "$quarantine/#")
	s.nothing(late)
	s.nothing(watch)

	// Without a rule that names it, nobody reads it.
	text, err := os.ReadFile(filepath.Join(s.dir, "sealmq.yaml"))
	if err == nil {
		text = bytes.Replace(text, []byte(`  - {who: anyone, allow: subscribe, topic: "$quarantine/#"}`+"\n"), nil, 1)
		err = os.WriteFile(filepath.Join(s.dir, "sealmq.yaml"), text, 0o600)
	}
	if err == nil {
		err = s.reload()
	}
	if err != nil {
		t.Fatal(err)
	}
	codes, err := late.Subscribe(t.Context(), mqtt.Subscription{Filter: "$quarantine/#"})
	if err == nil || codes[0] != mqtt.NotAuthorized {
		t.Errorf("subscribe: %v, %v", codes, err)
	}
}

// TestPayload_TooManyBad: a client that sends nothing else is disconnected; one that is stale is not, because it only sends
// again what it has.
func TestPayload_TooManyBad(t *testing.T) {
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", require: mac}
`)
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for qos := range mqtt.QoS(3) {
			c := s.dial("bad", v, false)
			for range 9 {
				s.send(c, &client.Message{Topic: "plant/1", Payload: []byte("x"), QoS: qos})
			}
			s.send(c, &client.Message{Topic: "office", Payload: []byte("good"), QoS: qos}) // begins anew
			for range 9 {
				s.send(c, &client.Message{Topic: "plant/1", Payload: []byte("x"), QoS: qos})
			}
			select {
			case <-c.Done():
				t.Fatalf("%v QoS %d: ended too early: %v", v, qos, c.Err())
			default:
			}
			_ = c.PublishAsync(t.Context(), &client.Message{Topic: "plant/1", Payload: []byte("x"), QoS: qos}, nil)
			<-c.Done()
			var told *client.DisconnectError
			if v == mqtt.V5 && (!errors.As(c.Err(), &told) || told.Code != mqtt.PayloadFormatInvalid) {
				t.Errorf("QoS %d: %v", qos, c.Err())
			}
		}
	}
}

// TestPayload_Word: MQTT 5 publishers learn in one word why a key or a sequence was not accepted, if they want to hear it.
func TestPayload_Word(t *testing.T) {
	mac, stranger := key(t, "mac", keyring.UseMAC, nil), key(t, "stranger", keyring.UseMAC, nil)
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", require: mac}
`, mac)
	const topic = "plant/1"
	old, recent := sealer(t, protect.SealerConfig{Key: mac}), sealer(t, protect.SealerConfig{Key: mac})
	s.send(s.dial("new", mqtt.V5, false), &client.Message{Topic: topic, Payload: sealAs(t, recent, topic, "x"), QoS: 1})
	for _, c := range []struct {
		payload []byte
		word    string
	}{
		{sealAs(t, sealer(t, protect.SealerConfig{Key: stranger}), topic, "x"), "kid"},
		{sealAs(t, old, topic, "x"), "stale"},
		{[]byte("plain"), ""},
	} {
		for qos := mqtt.QoS(1); qos < 3; qos++ {
			for _, quiet := range []bool{false, true} {
				path := newOnPath(t, s.n.Addrs()[0].String())
				from := s.dial("from", mqtt.V5, false, func(cfg *client.Config) {
					cfg.Server = path.url()
					if quiet {
						cfg.Properties.SetRequestProblemInfo(false)
					}
				})
				s.send(from, &client.Message{Topic: topic, Payload: c.payload, QoS: qos})
				path.mu.Lock()
				said := bytes.Contains(path.seen, append([]byte("cose-err\x00"), append([]byte{byte(len(c.word))}, c.word...)...))
				some := bytes.Contains(path.seen, []byte("cose-err"))
				path.mu.Unlock()
				if want := c.word != "" && !quiet; said != want && want || some && !want {
					t.Errorf("word %q, quiet %v, QoS %d: said %v, any %v", c.word, quiet, qos, said, some)
				}
				_ = from.Close(t.Context())
			}
		}
	}
}

// TestPayload_Reload: rules and keys that change hold for the next message.
func TestPayload_Reload(t *testing.T) {
	sign := key(t, "sign", keyring.UseSign, nil)
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", require: sign, mode: observe}
`)
	from, seal := s.dial("from", mqtt.V5, false), sealer(t, protect.SealerConfig{Key: sign})
	const topic = "plant/1"
	check := func(what string, payload []byte, want mqtt.ReasonCode) {
		t.Helper()
		got := s.send(from, &client.Message{Topic: topic, Payload: payload, QoS: 1})
		if got == mqtt.NoMatchingSubscribers {
			got = mqtt.Success
		}
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	// What is retained in plaintext from before a rule is counted when the rule comes.
	s.send(from, &client.Message{Topic: topic, Payload: []byte("plain"), QoS: 1, Retain: true})
	check("observed", []byte("plain"), mqtt.Success)
	s.write("rules:\n  - {topic: \"plant/#\", require: sign}")
	plan, _, err := s.plan.Reload()
	if err != nil {
		t.Fatal(err)
	}
	commit, err := s.n.payload.prepare(plan.Config)
	if err != nil {
		t.Fatal(err)
	}
	commit()
	s.n.broker.Renew()
	if count, name := s.n.payload.policy.Unprotected(); count != 1 || name != topic {
		t.Errorf("%d retained messages in plaintext, such as %q", count, name)
	}
	s.write("rules:\n  - {topic: \"plant/#\", require: sign}")
	if err := s.reload(); err != nil {
		t.Fatal(err)
	}
	check("plain", []byte("plain"), mqtt.PayloadFormatInvalid)
	check("signed by nobody known", sealAs(t, seal, topic, "x"), mqtt.ImplementationSpecificError)
	s.add(sign.Public())
	if err := s.reload(); err != nil {
		t.Fatal(err)
	}
	check("signed", sealAs(t, seal, topic, "x"), mqtt.Success)
	if err := s.keys.Destroy(sign.KID); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(); err != nil {
		t.Fatal(err)
	}
	check("signed by a revoked key", sealAs(t, seal, topic, "x"), mqtt.ImplementationSpecificError)
	// A reload that fails changes nothing.
	s.write("rules:\n  - {topic: \"plant/#\", redistribute: sealed, group: absent}")
	if err := s.reload(); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("reload with a key that is not there: %v", err)
	}
	check("signed by a revoked key, after it", sealAs(t, seal, topic, "x"), mqtt.ImplementationSpecificError)
}
