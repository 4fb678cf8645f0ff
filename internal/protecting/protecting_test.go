package protecting

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newKeys(t *testing.T) *Keys {
	t.Helper()
	k, err := Create(filepath.Join(t.TempDir(), "keys"), keyring.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// add makes a record of a use and puts it into the keyrings, whole into the first and its public half into the others.
func add(t *testing.T, name string, use keyring.Use, to ...*Keys) *keyring.Record {
	t.Helper()
	topics := []string{"p/#"}
	if use == keyring.UseP1 || use == keyring.UseP2 || use == keyring.UseP3 {
		topics = nil
	}
	rec, err := NewRecord(name, use, topics, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range to {
		part := rec
		if i > 0 {
			part = rec.Public()
		}
		if err := k.Add(part); err != nil {
			t.Fatal(err)
		}
	}
	return rec
}

func sealing(t *testing.T, k *Keys, o SealOptions) *Sealing {
	t.Helper()
	o.Clock = time.Now
	s, err := NewSealing(k, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func opening(t *testing.T, k *Keys, o OpenOptions) *Opening {
	t.Helper()
	o.Clock = time.Now
	p, err := NewOpening(k, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestManyPublishersFewReaders: 1,000 publishers hold the readers' public keys and nothing else. Every message opens at
// each of three readers; no publisher opens any, its own included.
func TestManyPublishersFewReaders(t *testing.T) {
	const publishers, readers = 1000, 3
	field := newKeys(t) // what a publisher holds: all hold the same
	var names []string
	var open [readers]*Opening
	for i := range readers {
		name := fmt.Sprintf("reader-%d", i)
		k := newKeys(t)
		add(t, name, keyring.UseEnc, k, field)
		names = append(names, name)
		open[i] = opening(t, k, OpenOptions{Require: LevelEncrypt.Requirement()})
	}
	for _, rec := range field.Ring().Records() {
		if rec.Key.Private() {
			t.Fatalf("a publisher holds the secret of %v", rec)
		}
	}
	one, err := protect.NewReplay(protect.ReplayLimits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := protect.NewOpener(protect.OpenerConfig{Keys: field.Ring(), Replay: one, Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for i := range publishers {
		s := sealing(t, field, SealOptions{Level: LevelEncrypt, To: names})
		payload := fmt.Appendf(nil, "reading %d", i)
		sealed, err := s.Seal("p/field", payload, false)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(sealed, payload) {
			t.Fatal("the payload is readable")
		}
		res, err := publisher.Open(nil, &protect.Delivery{Topic: "p/field", Payload: sealed})
		if err == nil && (res.Form != protect.FormPlain || bytes.Contains(res.Payload, payload)) {
			t.Fatalf("publisher %d opened a message: %v", i, res.Label())
		}
		var enc cose.Encrypt
		if err := enc.Parse(sealed); err != nil {
			t.Fatal(err)
		}
		for slot := range enc.Recipients {
			for _, rec := range field.Ring().Records() {
				if _, err := enc.Open(nil, slot, rec.Key, nil); err == nil {
					t.Fatalf("publisher %d opened a message with the key of recipient %d", i, slot)
				}
			}
		}
		for r := range open {
			res, err := open[r].Open("p/field", sealed, false)
			if err != nil || !bytes.Equal(res.Payload, payload) || res.SenderKnown || res.Integrity != protect.IntegrityNone {
				t.Fatalf("reader %d, message %d: %+v, %v", r, i, res.Outcome, err)
			}
		}
	}
}

// openBroker runs a broker that lets everybody in until the test ends, and returns its URL.
func openBroker(t *testing.T) string {
	t.Helper()
	plan, err := config.FromFlags(config.Flags{Dev: true, Listen: []string{"mqtt://127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), plan, slog.New(slog.NewTextHandler(io.Discard, nil)), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return "mqtt://" + n.Addrs()[0].String()
}

// TestClientSeam runs the Protector in two clients with a broker between them: publish, retained, and a will.
func TestClientSeam(t *testing.T) {
	server := openBroker(t)
	sender, receiver := newKeys(t), newKeys(t)
	add(t, "group", keyring.UseR, sender, receiver)
	add(t, "signer", keyring.UseSign, sender, receiver)

	rejected := make(chan error, 8)
	sub, err := client.Dial(t.Context(), client.Config{
		Server: server, CleanStart: true,
		Protector: &Protector{Receive: opening(t, receiver, OpenOptions{Require: LevelMAC.Requirement(), Filters: []string{"p/#"}})},
		Hooks:     client.Hooks{Rejected: func(_ *client.Message, err error) { rejected <- err }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close(context.Background()) //nolint:errcheck // test
	if _, err := sub.Subscribe(t.Context(), mqtt.Subscription{Filter: "p/#", QoS: mqtt.AtLeastOnce}); err != nil {
		t.Fatal(err)
	}
	var seen [][]byte
	pub, err := client.Dial(t.Context(), client.Config{
		Server: server, CleanStart: true, NoReconnect: true, Will: &client.Message{Topic: "p/will", Payload: []byte("gone")},
		Protector: &Protector{
			Publish: sealing(t, sender, SealOptions{Level: LevelEncrypt, Keys: []string{"group"}}),
			Will:    sealing(t, sender, SealOptions{Level: LevelSign, Keys: []string{"signer"}}),
			Sealed:  func(_ client.Kind, _ string, b []byte) { seen = append(seen, b) },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	props := mqtt.Properties{}
	props.SetPayloadFormat(1)
	if err := pub.Publish(t.Context(), &client.Message{Topic: "p/1", Payload: []byte("secret"), QoS: mqtt.AtLeastOnce, Properties: &props}); err != nil {
		t.Fatal(err)
	}
	// A topic outside of the key's filters is refused, and nothing is sent.
	if err := pub.Publish(t.Context(), &client.Message{Topic: "q", Payload: []byte("secret")}); !errors.Is(err, protect.ErrSeal) {
		t.Errorf("got %v", err)
	}
	plain, err := client.Dial(t.Context(), client.Config{Server: server, CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close(context.Background()) //nolint:errcheck // test
	m, err := sub.Receive(t.Context())
	if err != nil || string(m.Payload) != "secret" || m.Topic != "p/1" {
		t.Fatalf("%+v, %v", m, err)
	}
	if err := plain.Publish(t.Context(), &client.Message{Topic: "p/1", Payload: []byte("forged"), QoS: mqtt.AtLeastOnce}); err != nil {
		t.Fatal(err)
	}
	if err := plain.Publish(t.Context(), &client.Message{Topic: "p/1", Payload: seen[1], QoS: mqtt.AtLeastOnce}); err != nil {
		t.Fatal(err) // a replay
	}
	if err := pub.Disconnect(t.Context(), &mqtt.Disconnect{ReasonCode: mqtt.DisconnectWithWill}); err != nil {
		t.Fatal(err)
	}
	if m, err = sub.Receive(t.Context()); err != nil || string(m.Payload) != "gone" || m.Topic != "p/will" {
		t.Fatalf("%+v, %v", m, err)
	}
	if err := <-rejected; !errors.Is(err, protect.ErrPolicy) {
		t.Errorf("plain message: %v", err)
	}
	if err := <-rejected; !errors.Is(err, ErrNotNew) {
		t.Errorf("replay: %v", err)
	}
}

// TestCredentials: what the client's seam makes is what a verifier accepts, once.
func TestCredentials(t *testing.T) {
	k, broker := newKeys(t), newKeys(t)
	marks, err := protect.NewMarks(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, use := range []keyring.Use{keyring.UseP1, keyring.UseP2, keyring.UseP3} {
		t.Run(use.String(), func(t *testing.T) {
			rec := add(t, "login-"+use.String(), use, k)
			if err := broker.Add(rec); err != nil {
				t.Fatal(err)
			}
			v := &protect.Verifier{Keys: broker.Ring(), Marks: marks, Clock: time.Now}
			c := &Credential{Keys: k, Record: rec, Server: "plant", Clock: time.Now}
			if use == keyring.UseP1 {
				c.Password = keyring.NewSecret([]byte("word"))
			}
			p := &mqtt.Connect{ProtocolVersion: mqtt.V5, ClientID: "dev", HasUsername: true, Username: "u"}
			bound := &protect.Connect{Level: 5, ClientID: "dev", HasUsername: true, Username: "u", Server: "plant"}
			for range 3 {
				password, err := c.SealPassword([]byte("prefix"), p)
				if err != nil {
					t.Fatal(err)
				}
				elsewhere := *bound
				elsewhere.Server = "other"
				if _, err := v.Verify(password, &elsewhere); !errors.Is(err, protect.ErrOpen) {
					t.Errorf("another server: %v", err)
				}
				cred, err := v.Verify(password, bound)
				if err != nil {
					t.Fatal(err)
				}
				if use == keyring.UseP1 && string(cred.Password.Reveal()) != "word" {
					t.Error("not the password")
				}
				if err := cred.Accept(); err != nil {
					t.Fatal(err)
				}
				if _, err := v.Verify(password, bound); !errors.Is(err, protect.ErrPolicy) {
					t.Errorf("again: %v", err)
				}
			}
		})
	}
}

// TestUncoveredTopics: a requirement holds on every topic, also on those that "#" does not match.
func TestUncoveredTopics(t *testing.T) {
	p := opening(t, nil, OpenOptions{Require: LevelMAC.Requirement(), Filters: []string{"$own/#"}})
	for _, topic := range []string{"a", "$own/a", "$SYS/a"} {
		if _, err := p.Open(topic, []byte("plain"), false); !errors.Is(err, protect.ErrPolicy) {
			t.Errorf("%s: %v", topic, err)
		}
	}
	if Filter("$share/g/a/#") != "a/#" || Filter("$share") != "$share" || Filter("a") != "a" {
		t.Error("filter of a shared subscription")
	}
}

// TestReplayKept: with the state kept, a message seen before is refused by the next process.
func TestReplayKept(t *testing.T) {
	k := newKeys(t)
	add(t, "group", keyring.UseMAC, k)
	sealed, err := sealing(t, k, SealOptions{Level: LevelMAC, Keys: []string{"group"}}).Seal("p/1", []byte("x"), false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		p := opening(t, k, OpenOptions{KeepReplay: true})
		res, err := p.Open("p/1", sealed, false)
		if i == 0 && (err != nil || res.Outcome != protect.Deliver) || i == 1 && err == nil && res.Outcome == protect.Deliver {
			t.Errorf("run %d: %v, %v", i, res.Outcome, err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestChecksumForms: the prefix is 36 bytes, the rest hashes to it.
func TestChecksumForms(t *testing.T) {
	payload := []byte("payload")
	sum := sha256.Sum256(payload)
	for form, head := range map[protect.ChecksumForm]int{protect.ChecksumPrefix: 36, protect.ChecksumRaw: 32} {
		b, err := sealing(t, nil, SealOptions{Level: LevelChecksum, Checksum: form}).Seal("any", payload, false)
		if err != nil || !bytes.Equal(b[head:], payload) || !bytes.Equal(b[head-32:head], sum[:]) {
			t.Errorf("form %d: %x, %v", form, b, err)
		}
	}
}

// TestNoSecretShows plants known key bytes and looks for them in everything that prints: every verb of fmt on every type,
// JSON, logs, errors, and a dump of all goroutines during a panic.
func TestNoSecretShows(t *testing.T) {
	canary := []byte("CANARY-0123456789-abcdefghij-ABC")
	key, err := cose.NewSymmetricKey(canary)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Create(filepath.Join(t.TempDir(), "keys"), keyring.NewSecret(canary))
	if err != nil {
		t.Fatal(err)
	}
	kid, err := NewSymmetricKID()
	if err != nil {
		t.Fatal(err)
	}
	rec := &keyring.Record{
		KID: kid, Key: key, Alg: cose.AlgHMAC256, Use: keyring.UseMAC, Group: "canary", State: keyring.StateActive,
		Sender: keyring.SenderRule{Kind: keyring.SenderWire, Size: SenderSize}, Topics: []string{"p/#"},
	}
	if err := k.Add(rec); err != nil {
		t.Fatal(err)
	}
	s := sealing(t, k, SealOptions{Level: LevelMAC, Keys: []string{"canary"}})
	p := opening(t, k, OpenOptions{})
	cred := &Credential{Keys: k, Record: rec, Password: keyring.NewSecret(canary)}
	var out bytes.Buffer
	values := []any{key, rec, *rec, k.Ring(), s, p, cred, *cred, &Protector{Publish: s, Receive: p}, keyring.NewSecret(canary), client.Secret(canary)}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		} else {
			out.WriteString(err.Error())
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	}
	// Errors of every kind that hold a key.
	_, err = s.Seal("elsewhere", nil, false)
	fmt.Fprintln(&out, err)
	_, err = NewSealing(k, SealOptions{Level: LevelSign, Keys: []string{"canary"}})
	fmt.Fprintln(&out, err)
	_, err = Open(k.Path(), keyring.NewSecret(append([]byte("not-"), canary...)))
	fmt.Fprintln(&out, err)
	_, err = cred.Seal(&protect.Connect{Level: 5, ClientID: "c"})
	fmt.Fprintln(&out, err)
	func() {
		defer func() {
			fmt.Fprintln(&out, recover())
			stack := make([]byte, 1<<20)
			out.Write(stack[:runtime.Stack(stack, true)])
		}()
		panic(fmt.Sprint(rec, s, cred))
	}()
	// The files of a sealed keyring.
	entries, err := os.ReadDir(k.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			b, err := os.ReadFile(filepath.Join(k.Path(), e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out.Write(b)
		}
	}
	forms := map[string]string{
		"text": string(canary), "hex": hex.EncodeToString(canary), "HEX": strings.ToUpper(hex.EncodeToString(canary)),
		"base64": base64.RawStdEncoding.EncodeToString(canary)[:40], "decimal": strings.Trim(fmt.Sprint(canary), "[]"),
	}
	find := func(text string) (found []string) {
		for name, form := range forms {
			if strings.Contains(text, form) {
				found = append(found, name)
			}
		}
		return found
	}
	if len(find(fmt.Sprintf("%s %x %d", canary, canary, canary))) != 3 {
		t.Fatal("the search does not find what is there")
	}
	if found := find(out.String()); len(found) > 0 {
		t.Errorf("the canary shows as %v", found)
	}
}
