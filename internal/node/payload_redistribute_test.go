package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// secretText stands in every payload that must not be seen.
const secretText = "the secret of the press"

// TestPayload_ToBroker: a message that a device seals to the broker, without TLS, reaches subscribers as the rule says:
// live, retained, queued, as a Will and in a shared group, with every QoS, from and to MQTT 3.1.1 and 5. In plaintext it
// reaches nobody without TLS, and nothing of it lies in plaintext on the disk.
func TestPayload_ToBroker(t *testing.T) {
	device := key(t, "device", keyring.UseS, byClient)
	public := key(t, "field", keyring.UseEnc, byClient)
	group := key(t, "readers", keyring.UseS, redistributed)
	storage := key(t, "rest", keyring.UseR, redistributed)
	signer := key(t, "press", keyring.UseSign, nil)
	broker := key(t, "broker", keyring.UseSign, brokerSigns)
	s := newSealedNode(t, `
storage_key: rest
signer: broker
rules:
  - {topic: "plant/open/+", redistribute: plaintext-to-tls}
  - {topic: "plant/sealed/+", redistribute: sealed, group: readers}
  - {topic: "plant/signed/+", redistribute: sealed, group: readers, require: sign}
`, device, public, group, storage, signer.Public(), broker)
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for _, to := range []struct {
			name   string
			sealer func(id string) *protect.Sealer
		}{
			{"shared key", func(id string) *protect.Sealer {
				return sealer(t, protect.SealerConfig{Key: device, ClientID: id})
			}},
			{"signed to the public key", func(id string) *protect.Sealer {
				return sealer(t, protect.SealerConfig{Recipients: []*keyring.Record{public}, Signer: signer, ClientID: id})
			}},
		} {
			for _, branch := range []string{"open", "sealed", "signed"} {
				if branch == "signed" && to.name == "shared key" {
					continue // nobody signed it
				}
				t.Run(fmt.Sprintf("%v %s %s", v, to.name, branch), func(t *testing.T) {
					r := &redistribution{sealedNode: s, t: t, v: v, branch: branch, seal: to.sealer, topic: fmt.Sprintf("plant/%s/%s-%d", branch, strings.Fields(to.name)[0], v), signed: strings.HasPrefix(to.name, "signed")}
					r.reader = func() *protect.Opener { return subscriberOf(t, group, broker.Public()) }
					r.live()
					r.retained()
					r.queued()
					r.shared()
					r.will()
				})
			}
		}
	}
	// What nothing protects is found, so the search is good.
	s.send(s.dial("plain", mqtt.V5, false), &client.Message{Topic: "office/1", Payload: []byte("nothing secret"), QoS: 1, Retain: true})
	if s.onDisk("nothing secret") == "" {
		t.Error("an unprotected message is not found on the disk")
	}
	if where := s.onDisk(secretText); where != "" {
		t.Errorf("plaintext in %s", where)
	}
	s.stop()
	if where := s.onDisk(secretText); where != "" {
		t.Errorf("plaintext in %s after the stop", where)
	}
}

// redistribution is one way through the broker.
type redistribution struct {
	*sealedNode
	t      *testing.T
	v      mqtt.Version
	branch string
	topic  string
	signed bool // the signer, and not the connection, says who it is
	seal   func(id string) *protect.Sealer
	reader func() *protect.Opener
	count  int
}

func (r *redistribution) id(what string) string {
	r.count++
	return fmt.Sprintf("%s-%d-%s-%d", what, r.v, strings.ReplaceAll(r.topic, "/", "-"), r.count)
}

// expect checks what a subscriber got.
func (r *redistribution) expect(m *client.Message, o *protect.Opener, sender string) {
	r.t.Helper()
	if m.Topic != r.topic {
		r.t.Fatalf("delivered %s %q", m.Topic, m.Payload)
	}
	if r.branch == "open" {
		if string(m.Payload) != secretText {
			r.t.Errorf("delivered %q", m.Payload)
		}
		return
	}
	if r.signed {
		sender = "press"
	}
	res := opens(r.t, o, m, secretText)
	if res.Kind != protect.KindRedistribution || string(res.Sender) != sender || !res.HasIAT || (r.branch == "signed") != (res.Signer != nil) {
		r.t.Errorf("redistributed with sender %q, signer %x, want sender %q", res.Sender, res.Signer, sender)
	}
}

// silent shows that plaintext did not reach a client without TLS.
func (r *redistribution) silent(c *client.Client) {
	r.t.Helper()
	if r.branch == "open" {
		r.nothing(c)
	}
}

func (r *redistribution) live() {
	for qos := range mqtt.QoS(3) {
		over, bare := r.dial(r.id("over"), r.v, true), r.dial(r.id("bare"), r.v, false)
		r.subscribe(over, qos, r.topic)
		r.subscribe(bare, qos, r.topic)
		id := r.id("device")
		from, seal := r.dial(id, r.v, false), r.seal(id)
		b := sealAs(r.t, seal, r.topic, secretText)
		o := r.reader()
		for range 2 { // the second is a replay: a success, and not delivered
			if code := r.send(from, &client.Message{Topic: r.topic, Payload: b, QoS: qos}); code != mqtt.Success {
				r.t.Fatalf("QoS %d: %v", qos, code)
			}
		}
		r.expect(r.receive(over), o, id)
		r.nothing(over)
		if r.branch == "open" {
			r.nothing(bare)
		} else {
			r.expect(r.receive(bare), r.reader(), id)
		}
		r.close(from, over, bare)
	}
}

func (r *redistribution) close(list ...*client.Client) {
	r.t.Helper()
	for _, c := range list {
		if err := c.Close(r.t.Context()); err != nil {
			r.t.Error(err)
		}
	}
}

func (r *redistribution) retained() {
	id := r.id("device")
	from, seal := r.dial(id, r.v, false), r.seal(id)
	for qos := range mqtt.QoS(3) {
		r.send(from, &client.Message{Topic: r.topic, Payload: sealAs(r.t, seal, r.topic, secretText), QoS: qos, Retain: true})
		r.send(from, &client.Message{Topic: "office/sync", Payload: []byte("x"), QoS: 1}) // by now it is retained
		over, bare := r.dial(r.id("over"), r.v, true), r.dial(r.id("bare"), r.v, false)
		r.subscribe(over, qos, r.topic)
		m := r.receive(over)
		if !m.Retain {
			r.t.Error("not retained")
		}
		r.expect(m, r.reader(), id)
		r.subscribe(bare, qos, r.topic)
		if r.branch == "open" {
			r.nothing(bare)
		} else {
			r.expect(r.receive(bare), r.reader(), id)
		}
		r.close(over, bare)
	}
	// A tombstone under the sender's key takes the plaintext away, and stands for it where it is sealed.
	r.send(from, &client.Message{Topic: r.topic, Payload: sealAs(r.t, seal, r.topic, ""), QoS: 1, Retain: true})
	late := r.dial(r.id("late"), r.v, true)
	r.subscribe(late, 1, r.topic)
	if r.branch == "open" {
		r.nothing(late)
	} else {
		opens(r.t, r.reader(), r.receive(late), "")
	}
	r.close(from, late)
}

func (r *redistribution) queued() {
	for qos := mqtt.QoS(1); qos < 3; qos++ {
		reader := r.id("sleeper")
		asleep := r.dial(reader, r.v, true, keep)
		r.subscribe(asleep, qos, r.topic)
		drainRetained(r, asleep)
		r.close(asleep)
		id := r.id("device")
		from, seal := r.dial(id, r.v, false), r.seal(id)
		r.send(from, &client.Message{Topic: r.topic, Payload: sealAs(r.t, seal, r.topic, secretText), QoS: qos})
		r.close(from)
		awake := r.dial(reader, r.v, true, keep)
		r.expect(r.receive(awake), r.reader(), id)
		r.close(awake)
		r.dropSession(reader)
	}
}

// drainRetained takes the tombstone that a sealed branch has.
func drainRetained(r *redistribution, c *client.Client) {
	r.t.Helper()
	if r.branch != "open" {
		opens(r.t, r.reader(), r.receive(c), "")
	}
}

func (r *redistribution) dropSession(id string) {
	r.t.Helper()
	c := r.dial(id, r.v, true)
	r.close(c)
}

func (r *redistribution) shared() {
	bare, over := r.dial(r.id("bare"), r.v, false), r.dial(r.id("over"), r.v, true)
	share := "$share/" + r.id("g") + "/" + r.topic
	r.subscribe(bare, 1, share)
	r.subscribe(over, 1, share)
	id := r.id("device")
	from, seal := r.dial(id, r.v, false), r.seal(id)
	const messages = 6
	for range messages {
		r.send(from, &client.Message{Topic: r.topic, Payload: sealAs(r.t, seal, r.topic, secretText), QoS: 1})
	}
	if r.branch == "open" { // the member without TLS is no member for this message
		for range messages {
			r.expect(r.receive(over), nil, id)
		}
		r.nothing(bare)
	}
	r.close(from, over, bare)
}

func (r *redistribution) will() {
	over, bare := r.dial(r.id("over"), r.v, true), r.dial(r.id("bare"), r.v, false)
	r.subscribe(over, 1, r.topic)
	drainRetained(r, over)
	r.subscribe(bare, 1, r.topic)
	drainRetained(r, bare)
	id := r.id("device")
	seal := r.seal(id)
	b := sealWill(r.t, seal, r.topic, secretText)
	dying := r.dial(id, r.v, false, func(cfg *client.Config) { cfg.Will = &client.Message{Topic: r.topic, Payload: b, QoS: 1} })
	if _, err := r.n.Broker().Kick(id); err != nil {
		r.t.Fatal(err)
	}
	<-dying.Done()
	r.expect(r.receive(over), r.reader(), id)
	r.silent(bare)
	// Published as a message the same bytes are refused: they were sealed as a Will.
	from := r.dial(id, r.v, false)
	r.send(from, &client.Message{Topic: r.topic, Payload: b, QoS: 1})
	// A message as a Will is refused at CONNECT.
	message := sealAs(r.t, seal, r.topic, secretText)
	_, err := r.tryDial(id, r.v, false, func(cfg *client.Config) { cfg.Will = &client.Message{Topic: r.topic, Payload: message, QoS: 1} })
	var refused *client.ConnackError
	if !errors.As(err, &refused) || refused.Code != mqtt.NotAuthorized {
		r.t.Errorf("a message as a Will: %v", err)
	}
	_, err = r.tryDial(id, r.v, false, func(cfg *client.Config) {
		cfg.Will = &client.Message{Topic: r.topic, Payload: []byte("plain"), QoS: 1}
	})
	want := mqtt.PayloadFormatInvalid
	if r.v < mqtt.V5 {
		want = mqtt.NotAuthorized
	}
	if !errors.As(err, &refused) || refused.Code != want {
		r.t.Errorf("a Will in plaintext: %v", err)
	}
	r.nothing(over)
	r.close(from, over, bare)
}

// TestPayload_ToBrokerRefuses: what could let somebody else speak for a device is refused.
func TestPayload_ToBrokerRefuses(t *testing.T) {
	device := key(t, "device", keyring.UseS, byClient)
	public := key(t, "field", keyring.UseEnc, byClient)
	group := key(t, "readers", keyring.UseS, redistributed)
	endToEndTo := key(t, "others", keyring.UseEnc, endToEnd)
	s := newSealedNode(t, `
rules:
  - {topic: "plant/sealed/+", redistribute: sealed, group: readers}
  - {topic: "plant/none/+", require: encrypt}
`, device, public, group, endToEndTo.Public())
	topic := "plant/sealed/1"
	mine := sealer(t, protect.SealerConfig{Key: device, ClientID: "mine"})
	unsigned := sealer(t, protect.SealerConfig{Recipients: []*keyring.Record{public}, ClientID: "mine"})
	member := sealer(t, protect.SealerConfig{Key: group})
	others := sealer(t, protect.SealerConfig{Recipients: []*keyring.Record{endToEndTo}})
	redistributed, err := member.Seal(nil, &protect.Message{Topic: topic, Payload: []byte("x"), Origin: []byte("victim")})
	if err != nil {
		t.Fatal(err)
	}
	sub := s.dial("sub", mqtt.V5, true)
	s.subscribe(sub, 1, "plant/#")
	for _, c := range []struct {
		name, id  string
		encrypted bool
		topic     string
		payload   []byte
		want      mqtt.ReasonCode
	}{
		{"of another client", "thief", false, topic, sealAs(t, mine, topic, "x"), mqtt.PayloadFormatInvalid},
		{"on another topic", "mine", false, "plant/sealed/2", sealAs(t, mine, topic, "x"), mqtt.PayloadFormatInvalid},
		{"bare plaintext", "mine", false, topic, []byte("x"), mqtt.PayloadFormatInvalid},
		{"bare plaintext under TLS", "mine", true, topic, []byte("x"), mqtt.PayloadFormatInvalid},
		{"unsigned to the public key, without TLS", "mine", false, topic, sealAs(t, unsigned, topic, "x"), mqtt.NotAuthorized},
		{"under the redistribution key", "member", true, topic, redistributed, mqtt.NotAuthorized},
		{"a Will as a message", "mine", false, topic, sealWill(t, mine, topic, "x"), mqtt.NotAuthorized},
		{"to somebody else", "mine", false, topic, sealAs(t, others, topic, "x"), mqtt.ImplementationSpecificError},
		{"where nobody redistributes", "mine", false, "plant/none/1", sealAs(t, mine, "plant/none/1", "x"), mqtt.NotAuthorized},
	} {
		from := s.dial(c.id, mqtt.V5, c.encrypted)
		if got := s.send(from, &client.Message{Topic: c.topic, Payload: c.payload, QoS: 1}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		_ = from.Close(t.Context())
	}
	s.nothing(sub)
	// Under TLS the unsigned form is good: the connection says who it is.
	from := s.dial("mine", mqtt.V5, true)
	if got := s.send(from, &client.Message{Topic: topic, Payload: sealAs(t, unsigned, topic, "x"), QoS: 1}); got != mqtt.Success {
		t.Errorf("unsigned under TLS: %v", got)
	}
	opens(t, subscriberOf(t, group), s.receive(sub), "x")
	// A server-assigned Client Identifier is none that anybody sealed for.
	anonymous := s.dial("", mqtt.V5, true)
	b := sealAs(t, sealer(t, protect.SealerConfig{Key: device, ClientID: anonymous.ClientID()}), topic, "x")
	if got := s.send(anonymous, &client.Message{Topic: topic, Payload: b, QoS: 1}); got != mqtt.NotAuthorized {
		t.Errorf("assigned client identifier: %v", got)
	}
	// So is one that is longer than a sender may be.
	long := strings.Repeat("x", 65)
	from = s.dial(long, mqtt.V5, true)
	b = sealAs(t, sealer(t, protect.SealerConfig{Key: device, ClientID: long}), topic, "x")
	if got := s.send(from, &client.Message{Topic: topic, Payload: b, QoS: 1}); got != mqtt.NotAuthorized {
		t.Errorf("long client identifier: %v", got)
	}
	s.nothing(sub)
}

// TestPayload_EndToEndKeyStopsTheStart: the broker does not start, and does not reload, with a key that it must not hold,
// and says which one.
func TestPayload_EndToEndKeyStopsTheStart(t *testing.T) {
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", require: mac}
`, key(t, "fine", keyring.UseMAC, nil))
	s.add(key(t, "forbidden", keyring.UseR, endToEnd))
	if err := s.reload(); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("reload: %v", err)
	}
	s.stop()
	if n, err := Start(t.Context(), s.plan, discard, "test"); err == nil || !strings.Contains(err.Error(), "forbidden") {
		if n != nil {
			s.n = n
		}
		t.Errorf("start: %v", err)
	}
}

// TestPayload_Renew: after a rotation a reload seals retained messages again: who only has the new epoch opens them, who was
// left out does not, and they keep their time.
func TestPayload_Renew(t *testing.T) {
	device := key(t, "device", keyring.UseS, byClient)
	old := key(t, "readers", keyring.UseS, func(r *keyring.Record) { redistributed(r); r.MaxAge = time.Hour })
	s := newSealedNode(t, `
rules:
  - {topic: "plant/sealed/+", redistribute: sealed, group: readers}
`, device, old)
	topic := "plant/sealed/1"
	from := s.dial("device", mqtt.V5, false)
	s.send(from, &client.Message{Topic: topic, Payload: sealAs(t, sealer(t, protect.SealerConfig{Key: device, ClientID: "device"}), topic, "state"), QoS: 1, Retain: true})
	read := func() *client.Message {
		c := s.dial("reader", mqtt.V5, true)
		s.subscribe(c, 1, topic)
		m := s.receive(c)
		_ = c.Close(t.Context())
		return m
	}
	before := read()
	first := opens(t, subscriberOf(t, old), before, "state")

	next, err := old.Successor()
	if err != nil {
		t.Fatal(err)
	}
	s.add(next)
	if err := s.keys.Activate(next.KID); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(); err != nil {
		t.Fatal(err)
	}
	after := read()
	second := opens(t, subscriberOf(t, next), after, "state")
	if !second.IAT.Equal(first.IAT) || string(second.Sender) != "device" {
		t.Errorf("sealed again with iat %v and sender %q, before %v", second.IAT, second.Sender, first.IAT)
	}
	if res, err := subscriberOf(t, old).Open(nil, &protect.Delivery{Topic: topic, Payload: after.Payload, Retain: true}); err == nil && res.Form != protect.FormPlain {
		t.Error("the removed member opens the new epoch")
	}
	// It is on disk in the new form, too.
	s.stop()
	s.start()
	opens(t, subscriberOf(t, next), read(), "state")
}

// TestPayload_SessionRenewed: before the broker's numbers under a key come to their end it goes on with a higher boot number,
// and subscribers notice nothing.
func TestPayload_SessionRenewed(t *testing.T) {
	device, group := key(t, "device", keyring.UseS, byClient), key(t, "readers", keyring.UseS, redistributed)
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", redistribute: sealed, group: readers}
`, device, group)
	s.n.payload.mu.Lock()
	s.n.payload.spent = 2
	s.n.payload.mu.Unlock()
	const topic = "plant/1"
	sub, reader := s.dial("sub", mqtt.V5, false), subscriberOf(t, group)
	s.subscribe(sub, 1, topic)
	from, seal := s.dial("device", mqtt.V5, false), sealer(t, protect.SealerConfig{Key: device, ClientID: "device"})
	var boots []uint32
	for i := range 6 {
		s.send(from, &client.Message{Topic: topic, Payload: sealAs(t, seal, topic, fmt.Sprint(i)), QoS: 1})
		boots = append(boots, opens(t, reader, s.receive(sub), fmt.Sprint(i)).Boot)
		if err := s.n.payload.renewSessions(); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(boots) != "[1 1 2 2 3 3]" {
		t.Errorf("boot numbers %v", boots)
	}
}

// TestPayload_GroupQueueWaitsForTLS: what waits in the queue of a shared group, and in that of a session, does not leave over a
// connection without TLS, whoever comes first.
func TestPayload_GroupQueueWaitsForTLS(t *testing.T) {
	device, storage := key(t, "device", keyring.UseS, byClient), key(t, "rest", keyring.UseR, redistributed)
	s := newSealedNode(t, `
storage_key: rest
rules:
  - {topic: "plant/#", redistribute: plaintext-to-tls}
`, device, storage)
	const topic, share = "plant/1", "$share/g/plant/1"
	over := s.dial("over", mqtt.V5, true, keep)
	s.subscribe(over, 1, share)
	_ = over.Close(t.Context())
	own := s.dial("own", mqtt.V5, true, keep)
	s.subscribe(own, 1, topic)
	_ = own.Close(t.Context())
	bare := s.dial("bare", mqtt.V5, false, keep)
	s.subscribe(bare, 1, share)

	from := s.dial("device", mqtt.V311, false)
	seal := sealer(t, protect.SealerConfig{Key: device, ClientID: "device"})
	for range 3 {
		s.send(from, &client.Message{Topic: topic, Payload: sealAs(t, seal, topic, secretText), QoS: 1})
	}
	s.nothing(bare)
	_ = bare.Close(t.Context())
	bare = s.dial("bare", mqtt.V5, false, keep) // would take what waits in the group's queue
	s.nothing(bare)
	over = s.dial("over", mqtt.V5, true, keep)
	for range 3 {
		if m := s.receive(over); string(m.Payload) != secretText {
			t.Errorf("the group got %q", m.Payload)
		}
	}

	own = s.dial("own", mqtt.V5, false, keep) // the same session, and now without TLS
	s.nothing(own)
	if r, ok := s.n.Broker().LastRefusal("own"); !ok || r.Topic != topic || !strings.Contains(r.Check, "encryption") {
		t.Errorf("what was withheld is explained as %+v", r)
	}
	if where := s.onDisk(secretText); where != "" {
		t.Errorf("plaintext in %s", where)
	}
}
