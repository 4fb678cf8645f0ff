package protect

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/keyring"
)

// step is one message and what becomes of it.
type step struct {
	kind      Kind
	boot, seq uint32
	salt      byte
	topic     string
	flags     string // r retained, f fresh required, t timed
	want      string // outcome, or reason
}

func (s step) event() *event {
	e := &event{kid: []byte("kid"), sender: sid, topic: "t" + s.topic, kind: s.kind, now: testNow, maxAge: 300}
	if e.kind == 0 {
		e.kind = KindPublish
	}
	e.seq = sequence{ordered: true, boot: s.boot, seq: s.seq, salt: [saltSize]byte{s.salt}}
	for _, f := range s.flags {
		switch f {
		case 'r':
			e.retain = true
		case 'f':
			e.fresh = true
		case 't':
			e.timed = true
		}
	}
	return e
}

func verdict(o Outcome, r *Refusal) string {
	if r != nil {
		return r.Reason.String()
	}
	return o.String()
}

func TestOrderedReplayRules(t *testing.T) {
	const will = KindWill
	for _, c := range []struct {
		name   string
		limits ReplayLimits
		steps  []step
	}{
		{"in order, again, late", ReplayLimits{}, []step{
			{boot: 1, seq: 5, want: "deliver"},
			{boot: 1, seq: 5, want: "duplicate"},
			{boot: 1, seq: 4, want: "deliver"},
			{boot: 1, seq: 4, want: "duplicate"},
			{boot: 1, seq: 6, want: "deliver"},
		}},
		{"window of 64", ReplayLimits{}, []step{
			{boot: 1, seq: 100, want: "deliver"},
			{boot: 1, seq: 37, want: "deliver"},
			{boot: 1, seq: 36, want: "stale"},
			{boot: 1, seq: 37, want: "duplicate"},
			{boot: 1, seq: 101, want: "deliver"},
			{boot: 1, seq: 37, want: "stale"},
			{boot: 1, seq: 300, want: "deliver"},
			{boot: 1, seq: 101, want: "stale"},
			{boot: 1, seq: 299, want: "deliver"},
		}},
		{"new session", ReplayLimits{}, []step{
			{boot: 1, seq: 9, want: "deliver"}, {boot: 2, salt: 1, seq: 1, want: "deliver"}, {boot: 1, seq: 10, want: "stale"},
		}},
		{"old session on another topic", ReplayLimits{}, []step{
			{boot: 2, seq: 9, want: "deliver"}, {boot: 1, seq: 99, topic: "b", want: "stale"}, {boot: 2, seq: 3, topic: "b", want: "deliver"},
		}},
		{"queued messages of the old session keep their topic", ReplayLimits{}, []step{
			{boot: 1, seq: 1, want: "deliver"}, {boot: 2, seq: 1, topic: "b", want: "deliver"}, {boot: 1, seq: 2, want: "deliver"},
		}},
		{"clone by current session", ReplayLimits{}, []step{
			{boot: 1, salt: 1, seq: 1, want: "deliver"}, {boot: 1, salt: 2, seq: 2, want: "clone"}, {boot: 1, salt: 2, seq: 2, topic: "b", want: "clone"},
		}},
		{"clone by the topic's session", ReplayLimits{}, []step{
			{boot: 1, salt: 1, seq: 1, want: "deliver"}, {boot: 2, salt: 1, seq: 2, topic: "b", want: "deliver"}, {boot: 1, salt: 2, seq: 2, want: "clone"},
		}},
		{"retained", ReplayLimits{}, []step{
			{boot: 1, seq: 5, want: "deliver"},
			{boot: 1, seq: 5, flags: "r", want: "same-state"},
			{boot: 1, seq: 4, flags: "r", want: "rollback"},
			{boot: 1, seq: 6, flags: "r", want: "deliver"},
			{boot: 1, seq: 6, want: "duplicate"},
			{boot: 2, seq: 1, flags: "r", want: "deliver"},
			{boot: 1, seq: 7, flags: "r", want: "rollback"},
		}},
		{"retained of an old session without state", ReplayLimits{}, []step{
			{boot: 2, seq: 5, want: "deliver"},
			{boot: 1, seq: 5, topic: "b", flags: "r", want: "deliver"},
			{boot: 1, seq: 5, topic: "c", want: "stale"},
			{boot: 2, seq: 6, topic: "b", want: "deliver"},
		}},
		{"wills", ReplayLimits{}, []step{
			{boot: 2, seq: 5, want: "deliver"},
			{kind: will, boot: 1, seq: 9, want: "stale"},
			{kind: will, boot: 2, seq: 1, want: "deliver"},
			{kind: will, boot: 2, seq: 1, want: "duplicate"},
			{kind: will, boot: 2, seq: 1, flags: "r", want: "same-state"},
			{kind: will, boot: 2, seq: 1, topic: "b", want: "duplicate"},
			{kind: will, boot: 3, seq: 1, want: "deliver"},
			{kind: will, boot: 2, seq: 7, want: "stale"},
			{boot: 2, seq: 6, want: "deliver"},
			{boot: 2, seq: 7, topic: "b", want: "stale"},
			{kind: will, boot: 3, seq: 4, topic: "b", want: "deliver"},
			{kind: will, boot: 3, seq: 3, want: "stale"},
		}},
		{"will does not move the window", ReplayLimits{}, []step{
			{boot: 1, seq: 1, want: "deliver"}, {kind: will, boot: 1, seq: 500, want: "deliver"}, {boot: 1, seq: 2, want: "deliver"},
		}},
		{"fresh", ReplayLimits{}, []step{
			{boot: 1, seq: 1, flags: "f", want: "time"},
			{boot: 1, seq: 1, flags: "ft", want: "deliver"},
			{boot: 1, seq: 2, topic: "b", flags: "f", want: "deliver"},
			{boot: 1, seq: 3, flags: "f", want: "deliver"},
		}},
		{"fresh and retained", ReplayLimits{}, []step{{boot: 1, seq: 1, flags: "fr", want: "time"}, {boot: 1, seq: 1, flags: "frt", want: "deliver"}}},
		{"boot 0 has a window per salt", ReplayLimits{}, []step{
			{salt: 1, seq: 5, want: "deliver"},
			{salt: 2, seq: 1, want: "deliver"},
			{salt: 1, seq: 5, want: "duplicate"},
			{salt: 1, seq: 6, want: "deliver"},
			{salt: 2, seq: 1, flags: "r", want: "same-state"},
			{salt: 1, seq: 4, flags: "r", want: "rollback"},
			{salt: 3, seq: 1, flags: "f", want: "time"},
			{salt: 1, seq: 7, flags: "f", want: "deliver"},
		}},
		{"boot 0 after a counted session", ReplayLimits{}, []step{
			{boot: 1, seq: 1, want: "deliver"}, {salt: 1, seq: 9, want: "stale"}, {salt: 1, seq: 9, topic: "b", want: "stale"},
		}},
		{"counted session after boot 0", ReplayLimits{}, []step{{salt: 1, seq: 9, want: "deliver"}, {boot: 1, seq: 1, want: "deliver"}, {salt: 1, seq: 10, want: "stale"}}},
		{"dropped topic becomes a floor", ReplayLimits{Topics: 2}, []step{
			{boot: 1, seq: 10, topic: "a", want: "deliver"},
			{boot: 1, seq: 11, topic: "b", want: "deliver"},
			{boot: 1, seq: 12, topic: "c", want: "deliver"},
			{boot: 1, seq: 10, topic: "a", want: "stale"},
			{boot: 1, seq: 9, topic: "d", want: "stale"},
			{boot: 1, seq: 13, topic: "a", want: "deliver"},
			{boot: 1, seq: 11, topic: "b", want: "stale"},
			{boot: 1, seq: 3, topic: "e", flags: "r", want: "deliver"},
		}},
		{"a topic that comes back does not reopen its window", ReplayLimits{Topics: 1}, []step{
			{boot: 3, seq: 2, topic: "c", want: "deliver"},
			{boot: 3, seq: 1, topic: "a", want: "deliver"},
			{boot: 3, seq: 3, topic: "c", want: "deliver"},
			{boot: 3, seq: 2, topic: "c", want: "stale"},
		}},
		{"nor does one that comes back retained", ReplayLimits{Topics: 1}, []step{
			{boot: 3, seq: 9, topic: "c", want: "deliver"},
			{boot: 3, seq: 10, topic: "a", want: "deliver"},
			{boot: 2, seq: 5, topic: "c", flags: "r", want: "deliver"},
			{boot: 3, seq: 9, topic: "c", want: "stale"},
			{boot: 3, seq: 11, topic: "c", want: "deliver"},
		}},
		{"new senders beyond the limit", ReplayLimits{Senders: 1}, []step{{boot: 1, seq: 1, want: "deliver"}, {boot: 1, seq: 2, want: "deliver"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := NewReplay(c.limits, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range c.steps {
				look := verdict(r.look(s.event()))
				got := verdict(r.commit(s.event()))
				if got != s.want || look != got {
					t.Fatalf("step %d %+v: look %s, commit %s", i, s, look, got)
				}
			}
		})
	}
}

func TestNinthSaltForgetsTheFirst(t *testing.T) {
	r := newReplay(t)
	for salt := byte(1); salt <= saltsKept+1; salt++ {
		if got := verdict(r.commit(step{salt: salt, seq: 1}.event())); got != "deliver" {
			t.Fatalf("salt %d: %s", salt, got)
		}
	}
	if got := verdict(r.look(step{salt: 2, seq: 1}.event())); got != "duplicate" {
		t.Errorf("second salt: %s", got)
	}
	if n := len(r.keys["kid"][string(sid)].topics["t"].windows); n != saltsKept {
		t.Errorf("%d windows", n)
	}
}

func unorderedEvent(cti byte, iat uint64, sender string) *event {
	return &event{
		kid: []byte("kid"), sender: []byte(sender), topic: "t", kind: KindPublish, now: testNow, maxAge: 300, iat: iat, timed: true,
		seq: sequence{cti: [unorderedCTI]byte{cti}},
	}
}

func TestUnorderedReplayRules(t *testing.T) {
	r, err := NewReplay(ReplayLimits{Unordered: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	do := func(e *event, want string) {
		t.Helper()
		if got := verdict(r.commit(e)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	do(unorderedEvent(1, testNow, "a"), "deliver")
	do(unorderedEvent(1, testNow, "a"), "duplicate")
	again := unorderedEvent(1, testNow, "a")
	again.retain = true
	do(again, "same-state")
	do(unorderedEvent(1, testNow, "b"), "deliver") // another sender
	will := unorderedEvent(9, testNow, "a")
	will.kind = KindWill
	do(will, "record")
	do(unorderedEvent(2, testNow-100, "a"), "deliver")
	do(unorderedEvent(3, testNow-50, "a"), "deliver") // full: the one of -100 goes
	do(unorderedEvent(2, testNow-100, "a"), "stale")
	do(unorderedEvent(4, testNow-101, "a"), "stale")
	do(unorderedEvent(4, testNow-101, "b"), "deliver") // the floor is a's; -50 of a goes
	do(unorderedEvent(5, testNow-50, "a"), "stale")
	late := unorderedEvent(6, testNow+1000, "b")
	late.now = testNow + 1000 // all others have run out: no floor rises
	do(late, "deliver")
	if len(r.ctis) != 1 {
		t.Errorf("%d ctis are kept", len(r.ctis))
	}
}

func TestSenderLimitRefuses(t *testing.T) {
	r, err := NewReplay(ReplayLimits{Senders: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := verdict(r.commit(unorderedEvent(1, testNow, "a"))); got != "deliver" {
		t.Fatal(got)
	}
	if got := verdict(r.commit(unorderedEvent(1, testNow, "b"))); got != "limit" {
		t.Errorf("second sender: %s", got)
	}
}

// Against a model that remembers everything: nothing is delivered twice.
func TestNothingIsDeliveredTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, err := NewReplay(ReplayLimits{Topics: rapid.IntRange(1, 4).Draw(t, "topics")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		delivered := map[string]bool{}
		for i := range rapid.IntRange(1, 120).Draw(t, "n") {
			s := step{
				boot: uint32(rapid.IntRange(1, 3).Draw(t, "boot")), seq: uint32(rapid.IntRange(1, 90).Draw(t, "seq")),
				topic: rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "topic"),
			}
			if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
				s.kind = KindWill
			}
			e := s.event()
			id := fmt.Sprint(e.kind == KindWill, s.boot, s.seq)
			if e.kind != KindWill {
				id += e.topic
			}
			if o, refusal := r.commit(e); refusal == nil && o == Deliver {
				if delivered[id] {
					t.Fatalf("step %d: %+v delivered twice", i, s)
				}
				delivered[id] = true
			}
		}
	})
}

func TestReplayStateSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "replay")
	open := func() (*StateFile, *Replay) {
		f, err := OpenStateFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReplay(ReplayLimits{}, f)
		if err != nil {
			t.Fatal(err)
		}
		return f, r
	}
	f, r := open()
	for _, s := range []step{{boot: 3, salt: 1, seq: 40}, {boot: 3, salt: 1, seq: 41, topic: "b"}, {kind: KindWill, boot: 3, salt: 1, seq: 2}} {
		if got := verdict(r.commit(s.event())); got != "deliver" {
			t.Fatal(got)
		}
	}
	if got := verdict(r.commit(unorderedEvent(1, testNow, "a"))); got != "deliver" {
		t.Fatal(got)
	}
	// A crash: nothing is closed. The session and the will are known.
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f, r2 := open()
	for _, s := range []step{{boot: 2, salt: 1, seq: 50, want: "stale"}, {boot: 3, salt: 2, seq: 50, want: "clone"}, {kind: KindWill, boot: 3, salt: 1, seq: 2, want: "duplicate"}} {
		if got := verdict(r2.look(s.event())); got != s.want {
			t.Errorf("after a crash %+v: %s", s, got)
		}
	}
	for _, s := range []step{{boot: 3, salt: 1, seq: 40}, {boot: 3, salt: 1, seq: 41, topic: "b"}} {
		if got := verdict(r2.commit(s.event())); got != "deliver" {
			t.Fatal(got)
		}
	}
	if got := verdict(r2.commit(unorderedEvent(1, testNow, "a"))); got != "deliver" {
		t.Fatal(got)
	}
	// A clean end: nothing seen comes back.
	if err := errors.Join(r2.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	f, r = open()
	for _, s := range []step{{boot: 3, salt: 1, seq: 40, want: "stale"}, {boot: 3, salt: 1, seq: 41, topic: "b", want: "stale"}, {boot: 3, salt: 1, seq: 42, want: "deliver"}, {boot: 3, salt: 1, seq: 40, want: "stale"}} {
		if got := verdict(r.commit(s.event())); got != s.want {
			t.Errorf("after a clean end %+v: %s", s, got)
		}
	}
	if got := verdict(r.look(unorderedEvent(1, testNow, "a"))); got != "stale" {
		t.Errorf("unordered after a clean end: %s", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A state that cannot be stored refuses the message and leaves no trace.
func TestFailedSaveRefuses(t *testing.T) {
	store := &memStore{fail: true}
	r, err := NewReplay(ReplayLimits{}, store)
	if err != nil {
		t.Fatal(err)
	}
	e := step{boot: 1, seq: 1}.event()
	if got := verdict(r.commit(e)); got != "state" {
		t.Errorf("got %s", got)
	}
	store.fail = false
	if got := verdict(r.commit(e)); got != "deliver" || store.saves != 1 {
		t.Errorf("afterwards: %s after %d saves", got, store.saves)
	}
	for seq := uint32(2); seq < 100; seq++ {
		if got := verdict(r.commit(step{boot: 1, seq: seq}.event())); got != "deliver" {
			t.Fatal(got)
		}
	}
	if store.saves != 1 {
		t.Errorf("%d saves in one session", store.saves)
	}
}

func TestPersistentCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := func(name string) mark {
			return mark{rapid.Bool().Draw(t, name), rapid.Uint32().Draw(t, name), rapid.Uint32().Draw(t, name)}
		}
		want := persistent{
			kid: rapid.String().Draw(t, "kid"), sender: rapid.String().Draw(t, "sender"), session: m("session"), floor: m("floor"), will: m("will"),
			salt: [saltSize]byte{rapid.Byte().Draw(t, "salt")}, iatFloor: rapid.Uint64().Draw(t, "iat"), hasIATFloor: rapid.Bool().Draw(t, "has"),
		}
		want.session.seq = 0
		got, ok, err := decodePersistent(want.encode())
		if err != nil || !ok || got != want {
			t.Fatalf("%+v\n%+v %v", got, want, err)
		}
	})
}

func FuzzDecodePersistent(f *testing.F) {
	p := persistent{kid: "k", sender: "s", session: mark{true, 1, 0}}
	key, value := p.encode()
	f.Add(key, value)
	f.Fuzz(func(t *testing.T, key, value []byte) {
		p, ok, err := decodePersistent(key, value)
		if err != nil || !ok {
			return
		}
		k, v := p.encode()
		if !bytes.Equal(k, key) || !bytes.Equal(v, value) {
			t.Fatalf("%x %x read and written as %x %x", key, value, k, v)
		}
	})
}

// Two openers see the same stream through the whole of Open.
func TestReplayThroughOpen(t *testing.T) {
	rec := testRecord(t, keyring.UseS, nil)
	s := newSealer(t, SealerConfig{Key: rec, Sender: sid, Session: newSession(t, 1)})
	first, second := seal(t, s, Message{Payload: []byte("1")}), seal(t, s, Message{Payload: []byte("2")})
	o := newOpener(t, ringOf(t, rec), nil)
	open := func(b []byte, retain bool) (Result, error) {
		return o.Open(nil, &Delivery{Topic: testTopic, Payload: b, Retain: retain})
	}
	if res, err := open(second, false); err != nil || res.Outcome != Deliver {
		t.Fatal(err)
	}
	if res, err := open(second, false); err != nil || res.Outcome != Duplicate || res.Payload != nil {
		t.Errorf("again: %+v, %v", res, err)
	}
	if res, err := open(second, true); err != nil || res.Outcome != SameState || string(res.Payload) != "2" {
		t.Errorf("retained: %+v, %v", res, err)
	}
	_, err := open(first, true)
	wantReason(t, err, ReasonRollback)
	forged := bytes.Clone(first)
	forged[len(forged)-1] ^= 1
	_, err = open(forged, true)
	wantReason(t, err, ReasonVerify) // no alarm on what is not authentic
	clone := newSealer(t, SealerConfig{Key: rec, Sender: sid, Session: newSession(t, 1)})
	_, err = open(seal(t, clone, Message{Payload: []byte("3")}), false)
	wantReason(t, err, ReasonClone)
}

func TestRedistributionKeepsFirstTime(t *testing.T) {
	up := testRecord(t, keyring.UseS, nil)
	down := testRecord(t, keyring.UseR, func(r *keyring.Record) {
		r.Sender, r.MaxAge = keyring.SenderRule{Kind: keyring.SenderRedistribution}, time.Hour
	})
	next, err := down.Successor()
	if err != nil {
		t.Fatal(err)
	}
	next.State = keyring.StateActive
	now := testNow
	clock := func() time.Time { return time.Unix(int64(now), 0) }
	res, err := newOpener(t, ringOf(t, up), nil).Open(nil, &Delivery{
		Topic: testTopic, Payload: seal(t, newSealer(t, SealerConfig{Key: up, Sender: sid, Session: newSession(t, 1)}), Message{Payload: []byte("1")}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, rec := range []*keyring.Record{down, next} {
		s := newSealer(t, SealerConfig{Key: rec, Session: newSession(t, uint32(i+1)), Clock: clock})
		msg, err := s.Redistribute(nil, testTopic, &res)
		if err != nil {
			t.Fatal(err)
		}
		if res, err = newOpener(t, ringOf(t, rec), nil).Open(nil, &Delivery{Topic: testTopic, Payload: msg}); err != nil {
			t.Fatal(err)
		}
		if res.Kind != KindRedistribution || !bytes.Equal(res.Sender, sid) || res.IAT.Unix() != testNow || string(res.Payload) != "1" {
			t.Errorf("round %d: %+v", i, res)
		}
		now += 1000
	}
}

// A member that was not given the next epoch does not open it.
func TestNextEpochIsClosedToTheLeftOut(t *testing.T) {
	old := testRecord(t, keyring.UseS, nil)
	next, err := old.Successor()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSealer(SealerConfig{Key: next, Sender: sid, Session: newSession(t, 1)}); !errors.Is(err, ErrSeal) {
		t.Errorf("pre-active key seals: %v", err)
	}
	ring := ringOf(t, old, next)
	before := seal(t, newSealer(t, SealerConfig{Key: old, Sender: sid, Session: newSession(t, 1)}), Message{Payload: []byte("1")})
	if _, err := ring.Activate(next.KID); err != nil {
		t.Fatal(err)
	}
	if _, err := NewSealer(SealerConfig{Key: ring.Lookup(old.KID), Sender: sid, Session: newSession(t, 1)}); !errors.Is(err, ErrSeal) {
		t.Errorf("decrypt-only key seals: %v", err)
	}
	after := seal(t, newSealer(t, SealerConfig{Key: ring.Lookup(next.KID), Sender: sid, Session: newSession(t, 2)}), Message{Payload: []byte("2")})
	policy := mustPolicy(t, Entry{Filter: "#", Require: Requirement{Confidential: true}})
	member, leftOut := newOpener(t, ring, policy), newOpener(t, ringOf(t, old), policy)
	for _, msg := range [][]byte{before, after} {
		if _, err := member.Open(nil, &Delivery{Topic: testTopic, Payload: msg}); err != nil {
			t.Errorf("member: %v", err)
		}
	}
	_, err = leftOut.Open(nil, &Delivery{Topic: testTopic, Payload: after})
	wantReason(t, err, ReasonUnknownKey)
	if _, err := ring.Destroy(old.KID); err != nil {
		t.Fatal(err)
	}
	_, err = newOpener(t, ring, policy).Open(nil, &Delivery{Topic: testTopic, Payload: before})
	wantReason(t, err, ReasonUnknownKey)
	limited := next.Clone()
	limited.State, limited.MaxMessages = keyring.StateActive, 2
	s := newSealer(t, SealerConfig{Key: limited, Sender: sid, Session: newSession(t, 3), Limit: keyring.NewBudget(limited, nil)})
	seal(t, s, Message{})
	seal(t, s, Message{})
	if _, err := s.Seal(nil, &Message{Topic: testTopic}); !errors.Is(err, keyring.ErrExhausted) || !errors.Is(err, ErrSeal) {
		t.Errorf("third of two messages: %v", err)
	}
	last := newSession(t, 4)
	last.last = 1<<32 - 1
	if _, err := last.next(); !errors.Is(err, keyring.ErrExhausted) {
		t.Errorf("sequence after 2^32-1: %v", err)
	}
}

func TestOpenSessionStoresBootFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "boot")
	for want := uint32(1); want < 4; want++ {
		s, err := OpenSession(keyring.NewCounter(path, 3))
		if err != nil || s.Boot() != want {
			t.Fatalf("boot %v, %v", s, err)
		}
		stored, err := keyring.NewCounter(path, 3).Value()
		if err != nil || stored != uint64(want) {
			t.Errorf("stored %d, %v", stored, err)
		}
	}
	if _, err := OpenSession(keyring.NewCounter(path, 3)); !errors.Is(err, keyring.ErrExhausted) {
		t.Errorf("past the last boot: %v", err)
	}
}
