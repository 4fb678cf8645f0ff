package node

import (
	"testing"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// forms are the messages that a publisher can make, by name.
type forms struct {
	mac, otherMAC, sign, group, to *keyring.Record
	broker                         []*keyring.Record
	made                           map[string]func(topic string) []byte
}

func newForms(t *testing.T) *forms {
	f := &forms{
		mac: key(t, "mac", keyring.UseMAC, nil), otherMAC: key(t, "stranger", keyring.UseMAC, nil), sign: key(t, "sign", keyring.UseSign, nil),
		group: key(t, "group", keyring.UseS, endToEnd), to: key(t, "readers", keyring.UseEnc, endToEnd),
	}
	f.broker = []*keyring.Record{f.mac, f.sign.Public(), f.to.Public()}
	mac, stranger := sealer(t, protect.SealerConfig{Key: f.mac}), sealer(t, protect.SealerConfig{Key: f.otherMAC})
	sign, group, to := sealer(t, protect.SealerConfig{Key: f.sign}), sealer(t, protect.SealerConfig{Key: f.group}), sealer(t, protect.SealerConfig{Recipients: []*keyring.Record{f.to}})
	f.made = map[string]func(string) []byte{
		"plain":    func(string) []byte { return []byte("plain text") },
		"checksum": func(string) []byte { return protect.AppendChecksum(nil, protect.ChecksumPrefix, []byte("text")) },
		"checksum broken": func(string) []byte {
			b := protect.AppendChecksum(nil, protect.ChecksumPrefix, []byte("text"))
			b[len(b)-1]++
			return b
		},
		"mac":             func(topic string) []byte { return sealAs(t, mac, topic, "text") },
		"mac stranger":    func(topic string) []byte { return sealAs(t, stranger, topic, "text") },
		"mac other topic": func(string) []byte { return sealAs(t, mac, "plant/elsewhere", "text") },
		"mac flipped": func(topic string) []byte {
			b := sealAs(t, mac, topic, "text")
			b[len(b)-1]++
			return b
		},
		"mac cut":      func(topic string) []byte { b := sealAs(t, mac, topic, "text"); return b[:len(b)-1] },
		"sign":         func(topic string) []byte { return sealAs(t, sign, topic, "text") },
		"sign flipped": func(topic string) []byte { b := sealAs(t, sign, topic, "text"); b[len(b)-1]++; return b },
		"group":        func(topic string) []byte { return sealAs(t, group, topic, "text") },
		"to readers":   func(topic string) []byte { return sealAs(t, to, topic, "text") },
		"empty":        func(string) []byte { return nil },
	}
	return f
}

// TestPayload_Enforce: what a topic demands is refused or passes in every version and with every QoS, as MQTT 5 says and
// as MQTT 3.1.1 can, and nothing of a refused message is delivered or stored.
func TestPayload_Enforce(t *testing.T) {
	f := newForms(t)
	s := newSealedNode(t, `
rules:
  - {topic: "plant/mac/+", require: mac}
  - {topic: "plant/sign/+", require: sign}
  - {topic: "plant/sealed/+", require: [confidential, end-to-end]}
  - {topic: "plant/sum/+", require: checksum, checksum: prefix}
`, f.broker...)
	if err := s.keys.AddDescription(mustDescribe(t, f.group)); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(); err != nil {
		t.Fatal(err)
	}
	const (
		ok     = mqtt.Success
		format = mqtt.PayloadFormatInvalid
		denied = mqtt.NotAuthorized
		kid    = mqtt.ImplementationSpecificError
	)
	sub := s.dial("sub", mqtt.V5, false)
	s.subscribe(sub, 2, "plant/#")
	v5, v3 := s.dial("five", mqtt.V5, false), s.dial("three", mqtt.V311, false)
	for _, c := range []struct {
		topic, form string
		want        mqtt.ReasonCode
	}{
		{"plant/mac/1", "mac", ok},
		{"plant/mac/1", "sign", ok}, // more than asked for
		{"plant/mac/1", "plain", format},
		{"plant/mac/1", "mac flipped", format},
		{"plant/mac/1", "mac cut", format},
		{"plant/mac/1", "mac other topic", format},
		{"plant/mac/1", "mac stranger", kid},
		{"plant/mac/1", "checksum", format},
		{"plant/mac/1", "empty", ok}, // ignored
		{"plant/sign/1", "sign", ok},
		{"plant/sign/1", "sign flipped", format},
		{"plant/sign/1", "mac", format},
		{"plant/sealed/1", "group", ok},
		{"plant/sealed/1", "to readers", ok},
		{"plant/sealed/1", "mac", format},
		{"plant/sealed/1", "plain", format},
		{"plant/sum/1", "checksum", ok},
		{"plant/sum/1", "checksum broken", format},
		{"plant/sum/1", "plain", format},
		{"plant/free", "plain", ok},
	} {
		for qos := range mqtt.QoS(3) {
			for _, from := range []*client.Client{v5, v3} {
				b := f.made[c.form](c.topic)
				got := s.send(from, &client.Message{Topic: c.topic, Payload: b, QoS: qos})
				want := c.want
				if qos == 0 || from == v3 {
					want = ok // nobody can be told
				}
				if got != want {
					t.Errorf("%s on %s, QoS %d: %v, want %v", c.form, c.topic, qos, got, want)
				}
				if c.want == ok && c.form != "empty" {
					if m := s.receive(sub); m.Topic != c.topic || string(m.Payload) != string(b) {
						t.Errorf("%s on %s: delivered %s %x", c.form, c.topic, m.Topic, m.Payload)
					}
				}
			}
		}
		// Not ten bad ones in a row.
		for _, from := range []*client.Client{v5, v3} {
			s.send(from, &client.Message{Topic: "plant/free", Payload: []byte("ok"), QoS: 1})
			s.receive(sub)
		}
	}
	s.nothing(sub)
}

func mustDescribe(t *testing.T, r *keyring.Record) *keyring.Record {
	t.Helper()
	d, err := r.Describe()
	if err != nil {
		t.Fatal(err)
	}
	return d
}
