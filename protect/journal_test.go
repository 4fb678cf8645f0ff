package protect

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/sealmq/sealmq/keyring"
)

// rowStore is a StateStore with an order, as a broker's store has it.
type rowStore map[string][]byte

func (s rowStore) Load(yield func(key, value []byte) error) error {
	var keys []string
	for k := range s {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := yield([]byte(k), s[k]); err != nil {
			return err
		}
	}
	return nil
}

func (s rowStore) Save(key, value []byte) error {
	if value == nil {
		delete(s, string(key))
		return nil
	}
	s[string(key)] = bytes.Clone(value)
	return nil
}

func (s rowStore) put(key, value []byte) { s[string(key)] = value }

func journalOpener(t *testing.T, rows rowStore, limits ReplayLimits, recs ...*keyring.Record) *Opener {
	t.Helper()
	replay, err := NewJournal(limits, rows)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpener(OpenerConfig{Keys: ringOf(t, recs...), Replay: replay, Clock: testClock})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func begin(t *testing.T, o *Opener, d Delivery) (Result, *Mark) {
	t.Helper()
	res, m, err := o.Begin(nil, &d, Requirement{Integrity: IntegrityGroup}, ChecksumNone)
	if err != nil {
		t.Fatal(err)
	}
	if m == nil {
		t.Fatal("no mark")
	}
	return res, m
}

// TestJournal_SurvivesACrash: what was stored with its row is a duplicate after a restart without Close, and what was not
// stored is new.
func TestJournal_SurvivesACrash(t *testing.T) {
	for _, c := range []struct {
		name string
		rec  *keyring.Record
		cfg  func(*keyring.Record) SealerConfig
	}{
		{"ordered", testRecord(t, keyring.UseMAC, nil), func(r *keyring.Record) SealerConfig {
			return SealerConfig{Key: r, Sender: []byte{0, 42}, Session: newSession(t, 7)}
		}},
		{"mode S", testRecord(t, keyring.UseS, nil), func(r *keyring.Record) SealerConfig {
			return SealerConfig{Key: r, Sender: []byte{0, 42}, Session: newSession(t, 7)}
		}},
		{"unordered", testRecord(t, keyring.UseMAC, func(r *keyring.Record) { r.Unordered = true }), func(r *keyring.Record) SealerConfig {
			return SealerConfig{Key: r, Sender: []byte{0, 42}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := rowStore{}
			s := newSealer(t, c.cfg(c.rec))
			o := journalOpener(t, rows, ReplayLimits{}, c.rec)
			stored := Delivery{Topic: testTopic, Payload: seal(t, s, Message{Payload: []byte("stored")})}
			lost := Delivery{Topic: testTopic, Payload: seal(t, s, Message{Payload: []byte("lost")})}
			_, m := begin(t, o, stored)
			if out, err := m.Take(rows.put); out != Deliver || err != nil {
				t.Fatal(out, err)
			}
			_, m = begin(t, o, lost)
			if out, err := m.Take(func(_, _ []byte) {}); out != Deliver || err != nil { // the crash comes before the row is written
				t.Fatal(out, err)
			}

			o = journalOpener(t, rows, ReplayLimits{}, c.rec)
			_, m = begin(t, o, stored)
			if out, err := m.Take(rows.put); out != Duplicate || err != nil {
				t.Errorf("stored before the crash: %v, %v", out, err)
			}
			_, m = begin(t, o, lost)
			if out, err := m.Take(rows.put); out != Deliver || err != nil {
				t.Errorf("not stored before the crash: %v, %v", out, err)
			}
		})
	}
}

// TestJournal_Undo: a message that was refused in the end is new when it comes again, and the window around it is as it
// was.
func TestJournal_Undo(t *testing.T) {
	mac := testRecord(t, keyring.UseMAC, func(r *keyring.Record) { r.Unordered = true })
	for _, c := range []struct {
		name string
		cfg  SealerConfig
	}{
		{"ordered", SealerConfig{Key: mac, Sender: []byte{0, 42}, Session: newSession(t, 7)}},
		{"unordered", SealerConfig{Key: mac, Sender: []byte{0, 42}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := rowStore{}
			s, o := newSealer(t, c.cfg), journalOpener(t, rows, ReplayLimits{}, mac)
			for i := range 3 {
				d := Delivery{Topic: testTopic, Payload: seal(t, s, Message{Payload: []byte{byte(i)}})}
				_, m := begin(t, o, d)
				if out, err := m.Take(func(_, _ []byte) {}); out != Deliver || err != nil {
					t.Fatal(out, err)
				}
				m.Undo()
				m.Undo() // once is enough
				_, m = begin(t, o, d)
				if out, err := m.Take(rows.put); out != Deliver || err != nil {
					t.Errorf("after undo: %v, %v", out, err)
				}
				_, m = begin(t, o, d)
				if out, err := m.Take(rows.put); out != Duplicate || err != nil {
					t.Errorf("again: %v, %v", out, err)
				}
				m.Undo() // of a duplicate nothing is undone
				_, m = begin(t, o, d)
				if out, _ := m.Take(rows.put); out != Duplicate {
					t.Errorf("after the undo of a duplicate: %v", out)
				}
			}
		})
	}
}

// TestJournal_ForgetsRows: a topic that is folded into its sender's floor leaves no row, and stays closed.
func TestJournal_ForgetsRows(t *testing.T) {
	mac := testRecord(t, keyring.UseMAC, nil)
	rows := rowStore{}
	s := newSealer(t, SealerConfig{Key: mac, Sender: []byte{0, 42}, Session: newSession(t, 7)})
	limits := ReplayLimits{Topics: 2}
	o := journalOpener(t, rows, limits, mac)
	var first Delivery
	for i, topic := range []string{"plant/a", "plant/b", "plant/c"} {
		d := Delivery{Topic: topic, Payload: seal(t, s, Message{Topic: topic, Payload: []byte("x")})}
		if i == 0 {
			first = d
		}
		_, m := begin(t, o, d)
		if out, err := m.Take(rows.put); out != Deliver || err != nil {
			t.Fatal(out, err)
		}
	}
	if len(rows) != 3 { // the sender and two windows
		t.Errorf("%d rows", len(rows))
	}
	for _, o := range []*Opener{o, journalOpener(t, rows, limits, mac)} {
		_, _, err := o.Begin(nil, &first, Requirement{Integrity: IntegrityGroup}, ChecksumNone)
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != ReasonStale {
			t.Errorf("replay of a folded topic: %v", err)
		}
	}
}

// TestJournal_DamagedRow: a row that is not understood refuses the state; forgetting it would reopen replay.
func TestJournal_DamagedRow(t *testing.T) {
	mac := testRecord(t, keyring.UseMAC, nil)
	rows := rowStore{}
	s, o := newSealer(t, SealerConfig{Key: mac, Sender: []byte{0, 42}, Session: newSession(t, 7)}), journalOpener(t, rows, ReplayLimits{}, mac)
	_, m := begin(t, o, Delivery{Topic: testTopic, Payload: seal(t, s, Message{Payload: []byte("x")})})
	if _, err := m.Take(rows.put); err != nil {
		t.Fatal(err)
	}
	for key, value := range rows {
		for i := range value {
			broken := rowStore{key: value[:i]}
			if _, err := NewJournal(ReplayLimits{}, broken); err == nil {
				t.Errorf("row cut to %d of %d bytes was taken", i, len(value))
			}
		}
	}
}

// TestForm: a receiver that holds no key checks what can be seen, and says that it has proved nothing.
func TestForm(t *testing.T) {
	s := testRecord(t, keyring.UseS, func(r *keyring.Record) { r.E2E = true })
	public := testRecord(t, keyring.UseEnc, func(r *keyring.Record) { r.E2E = true })
	other := testRecord(t, keyring.UseEnc, nil)
	signer := testRecord(t, keyring.UseSign, nil)
	described := s.Clone()
	described.Key = nil
	ring := ringOf(t, public.Public())
	o, err := NewOpener(OpenerConfig{Keys: ring, Replay: newReplay(t), Clock: testClock, Described: func(kid []byte) *keyring.Record {
		if bytes.Equal(kid, described.KID) {
			return described
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	session := newSession(t, 7)
	sealed := seal(t, newSealer(t, SealerConfig{Key: s, Sender: []byte{0, 42}, Session: session}), Message{Payload: []byte("secret")})
	nested := seal(t, newSealer(t, SealerConfig{Key: s, Sender: []byte{0, 42}, Session: session, Signer: signer}), Message{Payload: []byte("secret")})
	to := seal(t, newSealer(t, SealerConfig{Recipients: []*keyring.Record{public}}), Message{Payload: []byte("secret")})
	toBoth := seal(t, newSealer(t, SealerConfig{Recipients: []*keyring.Record{public, other}}), Message{Payload: []byte("secret")})
	signed := seal(t, newSealer(t, SealerConfig{Key: signer, Session: session}), Message{Payload: []byte("open")})
	stranger := testRecord(t, keyring.UseS, func(r *keyring.Record) { r.KID = []byte{9, 9, 9, 0, 1} })
	strange := seal(t, newSealer(t, SealerConfig{Key: stranger, Sender: []byte{0, 42}, Session: session}), Message{Payload: []byte("x")})
	all := Requirement{Confidential: true, EndToEnd: true, Fresh: true}
	for _, c := range []struct {
		name    string
		payload []byte
		req     Requirement
		topic   string
		form    bool
		any     bool
		reason  Reason // 0: passes
	}{
		{"sealed", sealed, Requirement{Confidential: true, EndToEnd: true, Integrity: IntegrityGroup}, testTopic, true, false, 0},
		{"sealed is not of a source", sealed, Requirement{Integrity: IntegritySource}, testTopic, true, false, ReasonUnprotected},
		{"signed inside", nested, Requirement{Integrity: IntegritySource, EndToEnd: true}, testTopic, true, false, 0},
		{"to a public key", to, all, testTopic, true, false, 0},
		{"to one who is not known", toBoth, Requirement{Confidential: true}, testTopic, true, false, ReasonUnknownKey},
		{"to one who is not known, any key", toBoth, Requirement{Confidential: true}, testTopic, true, true, 0},
		{"topic is not the key's", sealed, Requirement{}, "office/1", true, false, ReasonRecord},
		{"a stranger's key", strange, Requirement{Confidential: true}, testTopic, true, false, ReasonUnknownKey},
		{"a stranger's key, any key", strange, Requirement{Confidential: true}, testTopic, true, true, 0},
		{"a signature must verify", signed, Requirement{Integrity: IntegritySource}, testTopic, true, true, ReasonUnknownKey},
		{"not asked for", sealed, Requirement{Confidential: true}, testTopic, false, false, ReasonUnknownKey},
		{"cut", sealed[:len(sealed)-len(sealed)/2], Requirement{Confidential: true}, testTopic, true, false, ReasonMalformed},
		{"plain", []byte("plain"), Requirement{Confidential: true}, testTopic, true, true, ReasonUnprotected},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Delivery{Topic: c.topic, Payload: c.payload, FormOnly: c.form, AnyKey: c.any}
			res, mark, err := o.Begin(nil, &d, c.req, ChecksumNone)
			if mark != nil {
				t.Error("a mark for a message that was not verified")
			}
			var r *Refusal
			switch errors.As(err, &r); {
			case c.reason == 0 && (err != nil || res.Outcome != Deliver || !res.Unverified || res.Payload != nil):
				t.Errorf("%+v, %v", res, err)
			case c.reason != 0 && (r == nil || r.Reason != c.reason):
				t.Errorf("got %v, %+v, want %v", err, r, c.reason)
			}
		})
	}
}

// TestForm_DestroyedKeyStaysRefused: a key that was revoked is known, and any-key does not bring it back.
func TestForm_DestroyedKeyStaysRefused(t *testing.T) {
	rec := testRecord(t, keyring.UseS, nil)
	ring := ringOf(t, rec)
	sealed := seal(t, newSealer(t, SealerConfig{Key: rec, Sender: []byte{0, 42}, Session: newSession(t, 7)}), Message{Payload: []byte("x")})
	if _, err := ring.Destroy(rec.KID); err != nil {
		t.Fatal(err)
	}
	o := newOpener(t, ring, nil)
	_, _, err := o.Begin(nil, &Delivery{Topic: testTopic, Payload: sealed, FormOnly: true, AnyKey: true}, Requirement{}, ChecksumNone)
	if !errors.Is(err, ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
}

// FuzzJournalRow: whatever stands in a row, it is loaded or refused as a whole; what is loaded is written again as it was.
func FuzzJournalRow(f *testing.F) {
	mac := testRecord(f, keyring.UseMAC, func(r *keyring.Record) { r.Unordered = true })
	for _, cfg := range []SealerConfig{{Key: mac, Sender: []byte{0, 42}, Session: newSession(f, 7)}, {Key: mac, Sender: []byte{0, 42}}} {
		rows := rowStore{}
		replay, err := NewJournal(ReplayLimits{}, rows)
		if err != nil {
			f.Fatal(err)
		}
		o, err := NewOpener(OpenerConfig{Keys: ringOf(f, mac), Replay: replay, Clock: testClock})
		if err != nil {
			f.Fatal(err)
		}
		payload := seal(f, newSealer(f, cfg), Message{Payload: []byte("x")})
		_, m, err := o.Begin(nil, &Delivery{Topic: testTopic, Payload: payload}, Requirement{}, ChecksumNone)
		if err == nil {
			_, err = m.Take(rows.put)
		}
		if err != nil {
			f.Fatal(err)
		}
		for k, v := range rows {
			f.Add([]byte(k), v)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r, err := NewJournal(ReplayLimits{}, rowStore{string(key): value})
		if err != nil {
			return
		}
		for e := r.topics.Front(); e != nil; e = e.Next() {
			s := e.Value.(*topicState)
			if !bytes.Equal(s.row(), value) || !bytes.Equal(s.rowKey(), key) {
				t.Errorf("row %x = %x is written as %x = %x", key, value, s.rowKey(), s.row())
			}
		}
	})
}
