// Package protect_test holds the language-neutral test vectors of the profile MQTT1.
// ../README.md describes the files; ../run.py runs them without any of this code.
package protect_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// hexed is a byte string that JSON shows in hexadecimal.
type hexed []byte

func (h hexed) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexed) UnmarshalText(b []byte) error {
	out, err := hex.AppendDecode(nil, b)
	*h = out
	return err
}

// testCase is one file. ../README.md has the meaning of the fields.
type testCase struct {
	ID      string     `json:"id"`
	Type    string     `json:"type"` // open, credential, sequence, checksum
	Spec    string     `json:"spec"`
	Comment string     `json:"comment"`
	Expect  string     `json:"expect"`
	Keys    []key      `json:"keys,omitempty"`
	Now     int64      `json:"now,omitempty"`
	Topic   string     `json:"topic,omitempty"`
	Client  string     `json:"client_id,omitempty"`
	TLS     bool       `json:"tls,omitempty"`
	Retain  bool       `json:"retain,omitempty"`
	Require *require   `json:"require,omitempty"`
	Connect *connect   `json:"connect,omitempty"`
	Form    string     `json:"checksum,omitempty"`
	Message hexed      `json:"message,omitempty"`
	Steps   []seqStep  `json:"steps,omitempty"`
	Result  *resultOut `json:"result,omitempty"`
}

type key struct {
	KID        hexed    `json:"kid"`
	Use        string   `json:"use"`
	Alg        int64    `json:"alg"`
	ContentAlg int64    `json:"content_alg,omitempty"`
	Key        hexed    `json:"key"` // COSE_Key
	Rule       string   `json:"sender_rule"`
	Size       int      `json:"sender_size,omitempty"`
	ID         hexed    `json:"sender_id,omitempty"`
	Unordered  bool     `json:"unordered,omitempty"`
	Clockless  bool     `json:"clockless,omitempty"`
	MaxAge     int64    `json:"max_age,omitempty"`
	E2E        bool     `json:"e2e,omitempty"`
	Pairwise   bool     `json:"pairwise,omitempty"`
	Broker     bool     `json:"broker,omitempty"`
	Binding    bool     `json:"cb,omitempty"`
	Topics     []string `json:"topics,omitempty"`
	Client     string   `json:"client_id,omitempty"`
}

type require struct {
	Confidential bool   `json:"confidential,omitempty"`
	EndToEnd     bool   `json:"end_to_end,omitempty"`
	Fresh        bool   `json:"fresh,omitempty"`
	Integrity    string `json:"integrity,omitempty"`
}

type connect struct {
	Level    byte    `json:"level"`
	Client   string  `json:"client_id"`
	Username *string `json:"username"`
	Server   string  `json:"server"`
	CB       hexed   `json:"cb,omitempty"`
}

type seqStep struct {
	Message hexed  `json:"message"`
	Retain  bool   `json:"retain,omitempty"`
	Expect  string `json:"expect"` // deliver, duplicate, same-state, or an expect word of a refusal
}

type resultOut struct {
	Payload  hexed `json:"payload"`
	Kind     int   `json:"kind,omitempty"`
	Sender   hexed `json:"sender,omitempty"`
	Signer   hexed `json:"signer,omitempty"`
	Password hexed `json:"password,omitempty"`
}

var useByName = map[string]keyring.Use{}

var ruleByName = map[string]keyring.SenderKind{}

func init() {
	for u := keyring.UseR; u <= keyring.UseP3; u++ {
		useByName[u.String()] = u
	}
	for k := keyring.SenderWire; k <= keyring.SenderAnonymous; k++ {
		ruleByName[k.String()] = k
	}
}

func (k *key) record(t *testing.T) *keyring.Record {
	t.Helper()
	material, _, err := cose.ParseKey(k.Key)
	if err != nil {
		t.Fatalf("kid %x: %v", k.KID, err)
	}
	return &keyring.Record{
		KID: k.KID, Key: material, Alg: cose.Algorithm(k.Alg), ContentAlg: cose.Algorithm(k.ContentAlg), Use: useByName[k.Use],
		Sender:    keyring.SenderRule{Kind: ruleByName[k.Rule], Size: k.Size, ID: k.ID},
		Unordered: k.Unordered, Clockless: k.Clockless, MaxAge: time.Duration(k.MaxAge) * time.Second, E2E: k.E2E, Pairwise: k.Pairwise,
		Broker: k.Broker, Binding: k.Binding, Topics: k.Topics, ClientID: k.Client, State: keyring.StateActive,
	}
}

func (c *testCase) ring(t *testing.T) *keyring.Ring {
	t.Helper()
	ring := &keyring.Ring{}
	for i := range c.Keys {
		if err := ring.Add(c.Keys[i].record(t)); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

func (c *testCase) clock() protect.Clock {
	if c.Now == 0 {
		return nil
	}
	return func() time.Time { return time.Unix(c.Now, 0) }
}

var integrityByName = map[string]protect.Integrity{
	"": protect.IntegrityNone, "checksum": protect.IntegrityChecksum, "group": protect.IntegrityGroup, "source": protect.IntegritySource,
}

var formByName = map[string]protect.ChecksumForm{"": protect.ChecksumNone, "prefix": protect.ChecksumPrefix, "raw": protect.ChecksumRaw}

func (c *testCase) opener(t *testing.T) *protect.Opener {
	t.Helper()
	entry := protect.Entry{Filter: "#", Checksum: formByName[c.Form]}
	if q := c.Require; q != nil {
		entry.Require = protect.Requirement{
			Confidential: q.Confidential, EndToEnd: q.EndToEnd, Fresh: q.Fresh, Integrity: integrityByName[q.Integrity],
		}
	}
	policy, err := protect.NewPolicy(entry)
	if err != nil {
		t.Fatal(err)
	}
	replay, err := protect.NewReplay(protect.ReplayLimits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := protect.NewOpener(protect.OpenerConfig{Keys: c.ring(t), Replay: replay, Policy: policy, Clock: c.clock()})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// outcome maps an error to the closed set of expect words.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	r, ok := err.(*protect.Refusal)
	if !ok {
		return err.Error()
	}
	switch r.Reason {
	case protect.ReasonMalformed:
		return "malformed"
	case protect.ReasonVerify:
		return "verify-failed"
	case protect.ReasonUnknownKey:
		return "unknown-key"
	}
	return "policy"
}

// run executes a case and returns its outcome and result.
func (c *testCase) run(t *testing.T) (string, *resultOut) {
	t.Helper()
	switch c.Type {
	case "open", "checksum":
		res, err := c.opener(t).Open(nil, &protect.Delivery{Topic: c.Topic, Payload: c.Message, Retain: c.Retain, ClientID: c.Client, TLS: c.TLS})
		if err != nil {
			return outcome(err), nil
		}
		return "ok", &resultOut{Payload: res.Payload, Kind: int(res.Kind), Sender: res.Sender, Signer: res.Signer}
	case "credential":
		marks, err := protect.NewMarks(nil)
		if err != nil {
			t.Fatal(err)
		}
		v := &protect.Verifier{Keys: c.ring(t), Marks: marks, Clock: c.clock()}
		cred, err := v.Verify(c.Message, c.Connect.connect())
		if err != nil {
			return outcome(err), nil
		}
		return "ok", &resultOut{Password: cred.Password.Reveal()}
	case "sequence":
		o := c.opener(t)
		for i, s := range c.Steps {
			res, err := o.Open(nil, &protect.Delivery{Topic: c.Topic, Payload: s.Message, Retain: s.Retain})
			got := outcome(err)
			if err == nil {
				got = res.Outcome.String()
			}
			if got != s.Expect {
				t.Errorf("%s: step %d: got %s, want %s (%v)", c.ID, i, got, s.Expect, err)
			}
		}
		return "ok", nil
	}
	t.Fatalf("%s: type %q", c.ID, c.Type)
	return "", nil
}

func (c *connect) connect() *protect.Connect {
	out := &protect.Connect{Level: c.Level, ClientID: c.Client, Server: c.Server}
	if c.Username != nil {
		out.HasUsername, out.Username = true, *c.Username
	}
	if c.CB != nil {
		out.HasBinding, out.Binding = true, [32]byte(c.CB)
	}
	return out
}

var expectWords = map[string]bool{"ok": true, "malformed": true, "unknown-key": true, "policy": true, "verify-failed": true}

func same(a, b *resultOut) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return bytes.Equal(a.Payload, b.Payload) && a.Kind == b.Kind && bytes.Equal(a.Sender, b.Sender) &&
		bytes.Equal(a.Signer, b.Signer) && bytes.Equal(a.Password, b.Password)
}

// TestVectors runs every committed file. Unknown fields and words fail.
// caseFiles lists the cases of the profile. The folders of the packet codec and of topics belong to those packages' own
// tests.
func caseFiles() (list []string, err error) {
	files, err := filepath.Glob("*/*.json")
	for _, f := range files {
		if dir := filepath.Dir(f); dir != "mqtt" && dir != "topic" {
			list = append(list, f)
		}
	}
	return list, err
}

func TestVectors(t *testing.T) {
	files, err := caseFiles()
	if err != nil {
		t.Fatal(err)
	}
	positive := 0
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var c testCase
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Run(c.ID, func(t *testing.T) {
			if !expectWords[c.Expect] || filepath.Base(name) != c.ID+".json" {
				t.Fatalf("%s: expect %q, id %q", name, c.Expect, c.ID)
			}
			got, res := c.run(t)
			if got != c.Expect {
				t.Errorf("got %s, want %s", got, c.Expect)
			}
			if !same(res, c.Result) {
				t.Errorf("got %+v, want %+v", res, c.Result)
			}
		})
		if c.Expect == "ok" {
			positive++
		}
	}
	if negative := len(files) - positive; positive < 30 || negative <= positive {
		t.Errorf("%d positive and %d negative cases", positive, negative)
	}
}
