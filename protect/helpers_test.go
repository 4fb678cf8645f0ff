package protect

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

const (
	testTopic = "plant/7/temp"
	testNow   = 1800000000
)

func testClock() time.Time { return time.Unix(testNow, 0) }

// testRecord returns a valid active record of a use after change.
func testRecord(t testing.TB, use keyring.Use, change func(*keyring.Record)) *keyring.Record {
	t.Helper()
	r := &keyring.Record{
		Use: use, State: keyring.StateActive, Sender: keyring.SenderRule{Kind: keyring.SenderAnonymous}, Topics: []string{"plant/#"},
		KID: []byte{0xa1, 0xb2, 0xc3, byte(use), 1},
	}
	switch use {
	case keyring.UseR, keyring.UseS:
		r.Alg = cose.AlgA128GCM
		r.Sender = keyring.SenderRule{Kind: keyring.SenderWire, Size: 2}
	case keyring.UseMAC, keyring.UseP2:
		r.Alg = cose.AlgHMAC256
		r.Sender = keyring.SenderRule{Kind: keyring.SenderWire, Size: 2}
	case keyring.UseSign, keyring.UseP3:
		r.Alg = cose.AlgEdDSA
		r.Sender = keyring.SenderRule{Kind: keyring.SenderFixed, ID: []byte{0, 42}}
	case keyring.UseEnc, keyring.UseP1:
		r.Alg, r.ContentAlg = cose.AlgECDHESA128KW, cose.AlgA128GCM
	}
	if use == keyring.UseP1 || use == keyring.UseP2 || use == keyring.UseP3 {
		r.Topics, r.Sender = nil, keyring.SenderRule{Kind: keyring.SenderAnonymous}
	}
	if change != nil {
		change(r)
	}
	if r.Key == nil {
		key, err := cose.GenerateKey(r.Alg)
		if err != nil {
			t.Fatal(err)
		}
		r.Key = key
	}
	if !use.Symmetric() {
		tp := r.Key.Thumbprint()
		r.KID = tp[:8]
	}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	return r
}

func ringOf(t testing.TB, recs ...*keyring.Record) *keyring.Ring {
	t.Helper()
	ring := &keyring.Ring{}
	for _, r := range recs {
		if r != nil {
			if err := ring.Add(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	return ring
}

func newReplay(t testing.TB) *Replay {
	t.Helper()
	r, err := NewReplay(ReplayLimits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newOpener(t testing.TB, ring *keyring.Ring, policy *Policy) *Opener {
	t.Helper()
	o, err := NewOpener(OpenerConfig{Keys: ring, Replay: newReplay(t), Policy: policy, Clock: testClock})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func newSession(t testing.TB, boot uint32) *Session {
	t.Helper()
	s, err := NewSession(boot, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSealer(t testing.TB, cfg SealerConfig) *Sealer {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = testClock
	}
	s, err := NewSealer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seal(t testing.TB, s *Sealer, m Message) []byte {
	t.Helper()
	if m.Topic == "" {
		m.Topic = testTopic
	}
	out, err := s.Seal(nil, &m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// form is one way to protect a message, with everything both sides need.
type form struct {
	name     string
	sealer   *Sealer
	ring     *keyring.Ring
	delivery Delivery
	want     Result
}

var sid = []byte{0, 42}

// allForms returns every form of the profile once.
func allForms(t testing.TB) []form {
	unordered := func(r *keyring.Record) { r.Unordered = true }
	r, s, mac, sign := testRecord(t, keyring.UseR, nil), testRecord(t, keyring.UseS, nil), testRecord(t, keyring.UseMAC, nil), testRecord(t, keyring.UseSign, nil)
	enc, enc2 := testRecord(t, keyring.UseEnc, nil), testRecord(t, keyring.UseEnc, nil)
	es := testRecord(t, keyring.UseSign, func(r *keyring.Record) { r.Alg = cose.AlgES256 })
	un := testRecord(t, keyring.UseR, unordered)
	anon := testRecord(t, keyring.UseR, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderAnonymous} })
	client := testRecord(t, keyring.UseEnc, func(r *keyring.Record) { r.Sender.Kind = keyring.SenderClientID })
	c2b := testRecord(t, keyring.UseS, func(r *keyring.Record) {
		r.Sender = keyring.SenderRule{Kind: keyring.SenderClientID}
		r.Pairwise = true
	})
	fixed := testRecord(t, keyring.UseR, func(r *keyring.Record) {
		r.Alg, r.Sender = cose.AlgA256GCM, keyring.SenderRule{Kind: keyring.SenderFixed, ID: sid}
	})
	redist := testRecord(t, keyring.UseS, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderRedistribution} })
	broker := testRecord(t, keyring.UseSign, func(r *keyring.Record) { r.Broker = true })
	session := newSession(t, 7)
	group, source := IntegrityGroup, IntegritySource
	forms := []form{
		{
			"mode R", newSealer(t, SealerConfig{Key: r, Sender: sid, Session: session}), ringOf(t, r),
			Delivery{},
			Result{Form: FormSealed, Confidential: true, Integrity: group, Sender: sid},
		},
		{
			"mode R unordered", newSealer(t, SealerConfig{Key: un, Sender: sid}), ringOf(t, un),
			Delivery{},
			Result{Form: FormSealed, Confidential: true, Integrity: group, Sender: sid},
		},
		{
			"mode R anonymous", newSealer(t, SealerConfig{Key: anon}), ringOf(t, anon),
			Delivery{},
			Result{Form: FormSealed, Confidential: true, Integrity: group},
		},
		{
			"mode R fixed, 256 bits", newSealer(t, SealerConfig{Key: fixed, Session: session}), ringOf(t, fixed),
			Delivery{},
			Result{Form: FormSealed, Confidential: true, Integrity: group, Sender: sid},
		},
		{
			"mode S", newSealer(t, SealerConfig{Key: s, Sender: sid, Session: session}), ringOf(t, s),
			Delivery{},
			Result{Form: FormSealed, Confidential: true, Integrity: group, Sender: sid},
		},
		{
			"mode S to the broker", newSealer(t, SealerConfig{Key: c2b, ClientID: "dev-42", Session: session}), ringOf(t, c2b),
			Delivery{ClientID: "dev-42"},
			Result{Form: FormSealed, Confidential: true, Integrity: source, Sender: []byte("dev-42")},
		},
		{
			"MAC", newSealer(t, SealerConfig{Key: mac, Sender: sid, Session: session}), ringOf(t, mac),
			Delivery{},
			Result{Form: FormMAC, Integrity: group, Sender: sid},
		},
		{
			"signature", newSealer(t, SealerConfig{Key: sign, Session: session}), ringOf(t, sign),
			Delivery{},
			Result{Form: FormSigned, Integrity: source, Sender: sid, Signer: sign.KID},
		},
		{
			"signature ES256", newSealer(t, SealerConfig{Key: es, Session: session}), ringOf(t, es),
			Delivery{},
			Result{Form: FormSigned, Integrity: source, Sender: sid, Signer: es.KID},
		},
		{
			"signed in mode R", newSealer(t, SealerConfig{Key: r, Signer: sign, Sender: sid, Session: session}), ringOf(t, r, sign),
			Delivery{},
			Result{Form: FormSealed, Confidential: true, Integrity: source, Sender: sid, Signer: sign.KID},
		},
		{
			"signed in mode S", newSealer(t, SealerConfig{Key: s, Signer: sign, Sender: sid, Session: session}), ringOf(t, s, sign),
			Delivery{},
			Result{Form: FormSealed, Confidential: true, Integrity: source, Sender: sid, Signer: sign.KID},
		},
		{
			"to one key", newSealer(t, SealerConfig{Recipients: []*keyring.Record{enc}}), ringOf(t, enc),
			Delivery{},
			Result{Form: FormSealedTo, Confidential: true, Recipients: 1},
		},
		{
			"to two keys, second is ours", newSealer(t, SealerConfig{Recipients: []*keyring.Record{enc, enc2}}), ringOf(t, enc2),
			Delivery{},
			Result{Form: FormSealedTo, Confidential: true, Recipients: 2},
		},
		{
			"signed to one key", newSealer(t, SealerConfig{Recipients: []*keyring.Record{enc}, Signer: sign, Session: session}), ringOf(t, enc, sign),
			Delivery{},
			Result{Form: FormSealedTo, Confidential: true, Integrity: source, Sender: sid, Signer: sign.KID, Recipients: 1},
		},
		{
			"signed to two keys", newSealer(t, SealerConfig{Recipients: []*keyring.Record{enc, enc2}, Signer: sign, Session: session}), ringOf(t, enc2, sign),
			Delivery{},
			Result{Form: FormSealedTo, Confidential: true, Integrity: source, Sender: sid, Signer: sign.KID, Recipients: 2},
		},
		{
			"to the broker's key under TLS", newSealer(t, SealerConfig{Recipients: []*keyring.Record{client}, ClientID: "dev-42", Session: session}), ringOf(t, client),
			Delivery{ClientID: "dev-42", TLS: true},
			Result{Form: FormSealedTo, Confidential: true, Recipients: 1, Sender: []byte("dev-42")},
		},
		{
			"signed to the broker's key", newSealer(t, SealerConfig{Recipients: []*keyring.Record{client}, Signer: sign, ClientID: "dev-42", Session: session}), ringOf(t, client, sign),
			Delivery{ClientID: "dev-42"},
			Result{Form: FormSealedTo, Confidential: true, Integrity: source, Recipients: 1, Sender: sid, Signer: sign.KID},
		},
		{
			"redistributed", newSealer(t, SealerConfig{Key: redist, Session: session}), ringOf(t, redist),
			Delivery{},
			Result{Form: FormSealed, Confidential: true, Integrity: group, Kind: KindRedistribution},
		},
		{
			"redistributed and signed", newSealer(t, SealerConfig{Key: redist, Signer: broker, Session: session}), ringOf(t, redist, broker),
			Delivery{},
			Result{Form: FormSealed, Confidential: true, Integrity: source, Kind: KindRedistribution, Signer: broker.KID},
		},
	}
	for i := range forms {
		forms[i].delivery.Topic = testTopic
	}
	return forms
}

func openOne(t testing.TB, f *form, payload []byte) (Result, error) {
	d := f.delivery
	d.Payload = payload
	return newOpener(t, f.ring, nil).Open(nil, &d)
}

func wantReason(t *testing.T, err error, want Reason) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("got %v, want a refusal for %v", err, want)
	}
	if r.Reason != want {
		t.Errorf("refused for %v (%s), want %v", r.Reason, r.Detail, want)
	}
	outcomes := []error{ErrUnknownKey, ErrPolicy, ErrOpen}
	if n := len(slices.DeleteFunc(outcomes, func(o error) bool { return !errors.Is(err, o) })); n != 1 {
		t.Errorf("%v is %d outcomes", err, n)
	}
}

var errDisk = errors.New("disk on fire")

// memStore is a StateStore that can fail.
type memStore struct {
	last  map[string][]byte
	saves int
	fail  bool
}

func (m *memStore) Load(yield func(k, v []byte) error) error {
	for k, v := range m.last {
		if err := yield([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

func (m *memStore) Save(k, v []byte) error {
	if m.fail {
		return errDisk
	}
	if m.last == nil {
		m.last = map[string][]byte{}
	}
	m.saves++
	m.last[string(k)] = bytes.Clone(v)
	return nil
}
