package protect

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

func TestEveryFormOpens(t *testing.T) {
	for _, f := range allForms(t) {
		t.Run(f.name, func(t *testing.T) {
			for _, payload := range []string{`{"t":21.5}`, "", strings.Repeat("x", 5000)} {
				m := Message{Payload: []byte(payload), ContentType: 50, HasContentType: true}
				if f.want.Kind == KindRedistribution {
					m.Origin = []byte("dev-9")
					f.want.Sender = m.Origin
				}
				res, err := openOne(t, &f, seal(t, f.sealer, m))
				if err != nil {
					t.Fatalf("%v: %s", err, err.(*Refusal).Detail)
				}
				want := f.want
				if want.Kind == 0 {
					want.Kind = KindPublish
				}
				if res.Outcome != Deliver || string(res.Payload) != payload || !res.HasContentType || res.ContentType != 50 {
					t.Errorf("content: %+v", res)
				}
				if res.Form != want.Form || res.Kind != want.Kind || res.Confidential != want.Confidential || res.Integrity != want.Integrity ||
					!bytes.Equal(res.Sender, want.Sender) || !bytes.Equal(res.Signer, want.Signer) || res.Recipients != want.Recipients ||
					res.SenderKnown != (len(want.Sender) > 0) {
					t.Errorf("verdict: %+v", res)
				}
			}
		})
	}
}

// No change of any bit of any form yields a plaintext, except bits that are
// not authenticated by design and change nothing: none in these forms, since a
// broken one is refused by the strict reader or by the cryptography. With
// several recipients the other recipients' parts are not covered.
func TestAnyBitFlipIsRefused(t *testing.T) {
	for _, f := range allForms(t) {
		if f.want.Recipients > 1 {
			continue
		}
		msg := seal(t, f.sealer, Message{Payload: []byte("secret reading")})
		o := newOpener(t, f.ring, mustPolicy(t, Entry{Filter: "#", Require: Requirement{Integrity: f.want.Integrity, Confidential: f.want.Confidential}}))
		for bit := range len(msg) * 8 {
			d := f.delivery
			d.Payload = bytes.Clone(msg)
			d.Payload[bit/8] ^= 1 << (bit % 8)
			res, err := o.Open(nil, &d)
			if err == nil {
				t.Fatalf("%s: bit %d: opened as %q", f.name, bit, res.Payload)
			}
		}
		d := f.delivery
		d.Payload = msg
		if _, err := o.Open(nil, &d); err != nil {
			t.Errorf("%s: the refusals left a trace: %v", f.name, err)
		}
	}
}

func mustPolicy(t testing.TB, entries ...Entry) *Policy {
	t.Helper()
	p, err := NewPolicy(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func FuzzOpen(f *testing.F) {
	forms := allForms(f)
	sealed := map[string]bool{}
	for i := range forms {
		msg := seal(f, forms[i].sealer, Message{Payload: []byte("secret reading")})
		sealed[string(msg)] = true
		f.Add(i, msg)
	}
	f.Fuzz(func(t *testing.T, i int, in []byte) {
		if i < 0 || i >= len(forms) || sealed[string(in)] || sealed[string(cose.TrimSelfDescribed(in))] {
			return
		}
		if forms[i].want.Recipients > 1 {
			return // other recipients' wrapped keys are not authenticated
		}
		res, err := openOne(t, &forms[i], in)
		if err == nil && res.Form != FormPlain {
			t.Fatalf("%s: forged %x as %+v", forms[i].name, in, res)
		}
	})
}

// What is bound by external_aad cannot be changed on the way.
func TestBindings(t *testing.T) {
	for _, f := range allForms(t) {
		msg := seal(t, f.sealer, Message{Payload: []byte("x")})
		moved := f
		moved.delivery.Topic = "plant/7/valve"
		if _, err := openOne(t, &moved, msg); err == nil {
			t.Errorf("%s: moved to another topic", f.name)
		} else {
			wantReason(t, err, ReasonVerify)
		}
		moved.delivery.Topic = "office/temp"
		_, err := openOne(t, &moved, msg)
		wantReason(t, err, ReasonRecord)
		if f.delivery.ClientID != "" {
			moved = f
			moved.delivery.ClientID = "dev-43"
			_, err := openOne(t, &moved, msg)
			wantReason(t, err, ReasonVerify)
			moved.delivery.ClientID = ""
			_, err = openOne(t, &moved, msg)
			wantReason(t, err, ReasonSender)
		}
	}
}

// A recipient that decrypts a signed message cannot pass the signature on.
func TestSignatureIsForOneAudience(t *testing.T) {
	sign := testRecord(t, keyring.UseSign, nil)
	a, b := testRecord(t, keyring.UseEnc, nil), testRecord(t, keyring.UseEnc, nil)
	s := newSealer(t, SealerConfig{Recipients: []*keyring.Record{a}, Signer: sign, Session: newSession(t, 1)})
	msg := seal(t, s, Message{Payload: []byte("pay 5")})
	var m cose.Encrypt
	if err := m.Parse(msg); err != nil {
		t.Fatal(err)
	}
	aad := appendPubAAD(nil, KindPublish, testTopic, nil)
	inner, err := m.Open(nil, 0, a.Key, aad)
	if err != nil {
		t.Fatal(err)
	}
	forward := cose.Encrypt{Headers: cose.Headers{Protected: m.Protected, Unprotected: m.Unprotected}}
	out, err := forward.Seal(nil, nil, []cose.RecipientKey{{Alg: b.Alg, KID: b.KID, Key: b.Key}}, inner, aad)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newOpener(t, ringOf(t, b, sign), nil).Open(nil, &Delivery{Topic: testTopic, Payload: out})
	wantReason(t, err, ReasonVerify)
}

func TestSignerRules(t *testing.T) {
	r := testRecord(t, keyring.UseR, nil)
	other := testRecord(t, keyring.UseSign, func(r *keyring.Record) { r.Sender.ID = []byte{0, 43} })
	if _, err := NewSealer(SealerConfig{Key: r, Signer: other, Sender: sid, Session: newSession(t, 1)}); !errors.Is(err, ErrSeal) {
		t.Errorf("sealer signs for another: %v", err)
	}
	// A dishonest sender does not ask its own sealer.
	forge := func(outer, signer *keyring.Record, sender, wire []byte, kind Kind) []byte {
		s := &Sealer{cfg: SealerConfig{Signer: signer, Session: newSession(t, 1)}, outer: outer, owner: outer, ordered: true, random: zeroReader{}}
		tp := outer.Thumbprint()
		s.audience = tp[:]
		j := &sealing{m: &Message{Topic: testTopic, Payload: []byte("x")}, kind: kind, sender: sender, wire: wire}
		j.outside = cose.Header{Labels: cose.HasAlg | cose.HasKID | cose.HasContentType, Alg: outer.Alg, KID: outer.KID, ContentType: nestedContentType}
		if err := s.number(j); err != nil {
			t.Fatal(err)
		}
		plain, err := s.sign(j)
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.sealR(nil, j, plain)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	open := func(msg []byte, d Delivery, recs ...*keyring.Record) error {
		d.Topic, d.Payload = testTopic, msg
		_, err := newOpener(t, ringOf(t, recs...), nil).Open(nil, &d)
		return err
	}
	wantReason(t, open(forge(r, other, sid, sid, KindPublish), Delivery{}, r, other), ReasonSigner)
	wantReason(t, open(forge(r, other, sid, sid, KindPublish), Delivery{}, r), ReasonUnknownKey)
	redist := testRecord(t, keyring.UseR, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderRedistribution} })
	wantReason(t, open(forge(redist, other, sid, sid, KindRedistribution), Delivery{}, redist, other), ReasonSigner)
	elsewhere := testRecord(t, keyring.UseSign, func(r *keyring.Record) { r.Topics = []string{"office/#"} })
	wantReason(t, open(forge(r, elsewhere, sid, sid, KindPublish), Delivery{}, r, elsewhere), ReasonSigner)
	byClient := testRecord(t, keyring.UseR, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderClientID} })
	owned := testRecord(t, keyring.UseSign, func(r *keyring.Record) { r.ClientID = "dev-1" })
	wantReason(t, open(forge(byClient, owned, []byte("dev-2"), nil, KindPublish), Delivery{ClientID: "dev-2"}, byClient, owned), ReasonSigner)
	if err := open(forge(byClient, owned, []byte("dev-1"), nil, KindPublish), Delivery{ClientID: "dev-1"}, byClient, owned); err != nil {
		t.Error(err)
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUnsignedToBrokerNeedsTLS(t *testing.T) {
	for _, f := range allForms(t) {
		if !f.delivery.TLS {
			continue
		}
		f.delivery.TLS = false
		_, err := openOne(t, &f, seal(t, f.sealer, Message{Payload: []byte("x")}))
		wantReason(t, err, ReasonRecord)
		return
	}
	t.Fatal("no form needs TLS")
}

func TestTimeRules(t *testing.T) {
	at := func(d time.Duration) time.Time { return testClock().Add(d) }
	for _, c := range []struct {
		name   string
		change func(*keyring.Record)
		cfg    SealerConfig
		m      Message
		retain bool
		clock  Clock
		want   Reason // 0: opens
	}{
		{"expires later", nil, SealerConfig{}, Message{Expires: at(time.Second)}, false, testClock, 0},
		{"expires now", nil, SealerConfig{}, Message{Expires: at(0)}, false, testClock, ReasonTime},
		{"expires, no clock", nil, SealerConfig{}, Message{Expires: at(time.Hour)}, false, nil, ReasonTime},
		{"300 s ahead", nil, SealerConfig{}, Message{IssuedAt: at(300 * time.Second)}, false, testClock, 0},
		{"301 s ahead", nil, SealerConfig{}, Message{IssuedAt: at(301 * time.Second)}, false, testClock, ReasonTime},
		{"old but ordered", nil, SealerConfig{}, Message{IssuedAt: at(-time.Hour)}, false, testClock, 0},
		{"ordered, no clock", nil, SealerConfig{}, Message{}, false, nil, 0},
		{"retained beyond max-age", func(r *keyring.Record) { r.MaxAge = time.Minute }, SealerConfig{}, Message{IssuedAt: at(-61 * time.Second)}, true, testClock, ReasonTime},
		{"retained within max-age", func(r *keyring.Record) { r.MaxAge = time.Minute }, SealerConfig{}, Message{IssuedAt: at(-60 * time.Second)}, true, testClock, 0},
		{"live beyond max-age", func(r *keyring.Record) { r.MaxAge = time.Minute }, SealerConfig{}, Message{IssuedAt: at(-61 * time.Second)}, false, testClock, 0},
		{"retained with max-age, no clock", func(r *keyring.Record) { r.MaxAge = time.Minute }, SealerConfig{}, Message{}, true, nil, ReasonTime},
		{"retained without max-age, no clock", nil, SealerConfig{}, Message{}, true, nil, 0},
		{"retained will beyond max-age", func(r *keyring.Record) { r.MaxAge = time.Minute }, SealerConfig{}, Message{Will: true, IssuedAt: at(-time.Hour)}, true, testClock, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := testRecord(t, keyring.UseS, c.change)
			s := newSealer(t, SealerConfig{Key: rec, Sender: sid, Session: newSession(t, 3)})
			c.m.Payload = []byte("x")
			o, err := NewOpener(OpenerConfig{Keys: ringOf(t, rec), Replay: newReplay(t), Clock: c.clock})
			if err != nil {
				t.Fatal(err)
			}
			_, err = o.Open(nil, &Delivery{Topic: testTopic, Payload: seal(t, s, c.m), Retain: c.retain})
			if c.want == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantReason(t, err, c.want)
		})
	}
	un := testRecord(t, keyring.UseR, func(r *keyring.Record) { r.Unordered = true })
	for age, ok := range map[time.Duration]bool{0: true, 300 * time.Second: true, 301 * time.Second: false, -300 * time.Second: true} {
		msg := seal(t, newSealer(t, SealerConfig{Key: un, Sender: sid}), Message{IssuedAt: at(-age)})
		_, err := newOpener(t, ringOf(t, un), nil).Open(nil, &Delivery{Topic: testTopic, Payload: msg})
		if (err == nil) != ok {
			t.Errorf("unordered message of age %v: %v", age, err)
		}
	}
}

func TestUnprotectedPayloads(t *testing.T) {
	rec := testRecord(t, keyring.UseS, nil)
	msg := seal(t, newSealer(t, SealerConfig{Key: rec, Sender: sid, Session: newSession(t, 1)}), Message{Payload: []byte("x")})
	foreign := seal(t, newSealer(t, SealerConfig{Key: testRecord(t, keyring.UseR, nil), Sender: sid, Session: newSession(t, 1)}), Message{Payload: []byte("x")})
	policy := mustPolicy(t,
		Entry{Filter: "plant/7/#", Require: Requirement{Integrity: IntegrityGroup}},
		Entry{Filter: "plant/sum/#", Require: Requirement{Integrity: IntegrityChecksum}, Checksum: ChecksumPrefix},
		Entry{Filter: "plant/raw/#", Checksum: ChecksumRaw})
	cut := msg[:len(msg)-1]
	for _, c := range []struct {
		name, topic string
		payload     []byte
		want        Reason
		form        Form
	}{
		{"plain where nothing is required", "plant/free", []byte("21.5"), 0, FormPlain},
		{"cyrillic that starts like COSE", "plant/free", []byte("Ѐ"), 0, FormPlain},
		{"foreign message where nothing is required", "plant/free", foreign, 0, FormPlain},
		{"cut message where nothing is required", "plant/free", cut, 0, FormPlain},
		{"message for another topic where nothing is required", "plant/free", msg, ReasonVerify, 0},
		{"plain where a MAC is required", testTopic, []byte("21.5"), ReasonUnprotected, 0},
		{"checksum where a MAC is required", testTopic, AppendChecksum(nil, ChecksumPrefix, []byte("21.5")), ReasonUnprotected, 0},
		{"foreign message where a MAC is required", testTopic, foreign, ReasonUnknownKey, 0},
		{"cut message where a MAC is required", testTopic, cut, ReasonMalformed, 0},
		{"checksum", "plant/sum/1", AppendChecksum(nil, ChecksumPrefix, []byte("21.5")), 0, FormChecksum},
		{"damaged checksum", "plant/sum/1", append(AppendChecksum(nil, ChecksumPrefix, []byte("21.5")), 0), ReasonVerify, 0},
		{"raw form where the prefix form is set", "plant/sum/1", AppendChecksum(nil, ChecksumRaw, []byte("21.5")), ReasonVerify, 0},
		{"plain where a checksum is set", "plant/raw/1", []byte("21.5"), ReasonVerify, 0},
		{"raw checksum", "plant/raw/1", AppendChecksum(nil, ChecksumRaw, nil), 0, FormChecksum},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := newOpener(t, ringOf(t, rec), policy).Open(nil, &Delivery{Topic: c.topic, Payload: c.payload})
			if c.want != 0 {
				wantReason(t, err, c.want)
				return
			}
			if err != nil || res.Form != c.form {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	o := newOpener(t, ringOf(t, rec), policy)
	if res, err := o.Open(nil, &Delivery{Topic: testTopic}); err != nil || res.Outcome != Ignore {
		t.Errorf("empty live: %v %v", res.Outcome, err)
	}
	_, err := o.Open(nil, &Delivery{Topic: testTopic, Retain: true})
	wantReason(t, err, ReasonClear)
	if res, err := o.Open(nil, &Delivery{Topic: testTopic, Retain: true, MayClear: true}); err != nil || res.Outcome != Deliver {
		t.Errorf("clear with the right: %v %v", res.Outcome, err)
	}
	if res, err := o.Open(nil, &Delivery{Topic: "plant/free", Retain: true}); err != nil || res.Outcome != Deliver {
		t.Errorf("clear of a free topic: %v %v", res.Outcome, err)
	}
}

func TestPolicyTable(t *testing.T) {
	req := func(conf, e2e bool, i Integrity) Requirement {
		return Requirement{Confidential: conf, EndToEnd: e2e, Integrity: i}
	}
	for _, f := range allForms(t) {
		msg := seal(t, f.sealer, Message{Payload: []byte("x")})
		for _, q := range []Requirement{
			req(false, false, IntegrityChecksum), req(false, false, IntegrityGroup), req(false, false, IntegritySource),
			req(true, false, IntegrityNone), req(false, true, IntegrityNone), req(true, false, IntegritySource),
		} {
			d := f.delivery
			d.Payload = msg
			_, err := newOpener(t, f.ring, mustPolicy(t, Entry{Filter: "#", Require: q})).Open(nil, &d)
			meets := (!q.Confidential || f.want.Confidential) && !q.EndToEnd && f.want.Integrity >= q.Integrity
			if meets != (err == nil) {
				t.Errorf("%s under %+v: %v", f.name, q, err)
			}
		}
	}
	e2e := testRecord(t, keyring.UseR, func(r *keyring.Record) { r.E2E = true })
	msg := seal(t, newSealer(t, SealerConfig{Key: e2e, Sender: sid, Session: newSession(t, 1)}), Message{Payload: []byte("x")})
	o := newOpener(t, ringOf(t, e2e), mustPolicy(t, Entry{Filter: "#", Require: req(true, true, IntegrityGroup)}))
	if res, err := o.Open(nil, &Delivery{Topic: testTopic, Payload: msg}); err != nil || !res.EndToEnd {
		t.Errorf("end-to-end: %v", err)
	}
}

func TestPolicyUnionAndRelax(t *testing.T) {
	p := mustPolicy(t,
		Entry{Filter: "#", Require: Requirement{Integrity: IntegrityGroup, Fresh: true}},
		Entry{Filter: "plant/#", Require: Requirement{Confidential: true, EndToEnd: true}},
		Entry{Filter: "plant/7/temp", Require: Requirement{Integrity: IntegritySource}},
		Entry{Filter: "plant/legacy/#", Relax: []Relaxation{RelaxConfidential, RelaxEndToEnd, RelaxIntegrity}},
		Entry{Filter: "a/#", Checksum: ChecksumRaw}, Entry{Filter: "+/b", Checksum: ChecksumPrefix})
	for name, want := range map[string]Requirement{
		"office":         {Integrity: IntegrityGroup, Fresh: true},
		"plant/8":        {Integrity: IntegrityGroup, Fresh: true, Confidential: true, EndToEnd: true},
		"plant/7/temp":   {Integrity: IntegritySource, Fresh: true, Confidential: true, EndToEnd: true},
		"plant/legacy/1": {Fresh: true},
	} {
		if got, _, err := p.For(name); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, _, err := p.For("a/b"); err == nil {
		t.Error("two checksum forms for one topic")
	}
	for _, e := range []Entry{{Filter: "a/#/b"}, {Filter: "a", Relax: []Relaxation{"all"}}, {Filter: "a", Require: Requirement{Integrity: 9}}, {Filter: "a", Checksum: 3}} {
		if _, err := NewPolicy(e); err == nil {
			t.Errorf("policy entry %+v accepted", e)
		}
	}
	// The union never requires less than one of its parts.
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Requirement {
			return Requirement{
				Confidential: rapid.Bool().Draw(t, name), EndToEnd: rapid.Bool().Draw(t, name), Fresh: rapid.Bool().Draw(t, name),
				Integrity: Integrity(rapid.IntRange(0, 3).Draw(t, name)),
			}
		}
		a, b := draw("a"), draw("b")
		u := a.Union(b)
		if u != b.Union(a) || u.Union(a) != u || u.Integrity < a.Integrity || (a.Fresh && !u.Fresh) {
			t.Fatalf("%+v and %+v make %+v", a, b, u)
		}
	})
}

func TestErrorsAreNoOracle(t *testing.T) {
	a, b := &Refusal{Reason: ReasonMalformed, Detail: "one"}, &Refusal{Reason: ReasonVerify, Detail: "two"}
	if a.Error() != b.Error() || !errors.Is(a, ErrOpen) || !errors.Is(b, ErrOpen) {
		t.Errorf("%q and %q differ", a, b)
	}
	for r := ReasonMalformed; r <= ReasonClear; r++ {
		if r.String() == "no reason" || r.String() == "" {
			t.Errorf("reason %d has no name", r)
		}
	}
}

func TestLabels(t *testing.T) {
	for _, f := range allForms(t) {
		res, err := openOne(t, &f, seal(t, f.sealer, Message{Payload: []byte("x")}))
		if err != nil {
			t.Fatal(err)
		}
		label := res.Label()
		if strings.Contains(label, "signed by") != (f.want.Signer != nil) || strings.Contains(label, "sender unknown") == res.SenderKnown {
			t.Errorf("%s: %s", f.name, label)
		}
	}
	sum := Result{Form: FormChecksum}
	if sum.Label() != "checksum matches (not tamper-proof)" {
		t.Error(sum.Label())
	}
}

// The worked example of the profile's design: key schedule and message bytes.
func TestModeSKnownAnswer(t *testing.T) {
	key, err := cose.NewSymmetricKey([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	if err != nil {
		t.Fatal(err)
	}
	rec := testRecord(t, keyring.UseS, func(r *keyring.Record) { r.Key, r.KID = key, []byte{0xa1, 0xb2, 0xc3, 0x01} })
	session, err := NewSession(7, bytes.NewReader([]byte{0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7}))
	if err != nil {
		t.Fatal(err)
	}
	session.last = 0x0101
	got := seal(t, newSealer(t, SealerConfig{Key: rec, Sender: sid, Session: session}), Message{Payload: []byte(`{"t":21.5}`)})
	const want = "d08349a201010444a1b2c301a2064201020a4e002a00000007d0d1d2d3d4d5d6d7581a" +
		"939f647a7c08bc6675b98df51f50ca6fda5247d06d9bb187fb98"
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
	sum := AppendChecksum(nil, ChecksumPrefix, []byte(`{"t":21.5}`))
	if hex.EncodeToString(sum) != "822f582064cb2922cbcd122329525c35461f0e6c3e56d112c21aed2200ed6d45a448f9af7b2274223a32312e357d" {
		t.Errorf("checksum %x", sum)
	}
}
