package pebblestore

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// TestRecordRoundTrip shows that what is parsed is what was appended, for every kind of record and any content.
func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string { return rapid.String().Draw(t, name) }
		qos := mqtt.QoS(rapid.IntRange(0, 2).Draw(t, "qos"))
		on := func(name string) bool { return rapid.Bool().Draw(t, name) }
		same := func(kind string, want, got any, err error) {
			t.Helper()
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || d != "" {
				t.Fatalf("%s: %v (-want +got):\n%s", kind, err, d)
			}
		}

		p := store.Pointer{
			Body: store.BodyID(rapid.Uint64().Draw(t, "body")), QoS: qos, Retain: on("retain"), Sole: on("sole"),
			ExpiresAt: rapid.Int64().Draw(t, "expires"), Size: rapid.Uint32().Draw(t, "size"),
			SubscriptionIDs: rapid.SliceOfN(rapid.Uint32(), 0, 20).Draw(t, "ids"),
		}
		gotP, err := parsePointer(appendPointer(nil, &p))
		same("pointer", p, gotP, err)
		head, err := parsePointerHead(appendPointer(nil, &p))
		p.SubscriptionIDs = nil
		same("pointer head", p, head, err)

		in := store.Inflight{
			Ord: store.Ord(rapid.Uint64().Draw(t, "ord")), QoS: qos, State: store.InflightState(rapid.IntRange(1, 2).Draw(t, "state")),
		}
		gotIn, err := parseInflight(appendInflight(nil, &in))
		same("in-flight", in, gotIn, err)

		who := identity.Principal{Method: text("method"), Issuer: text("issuer"), Name: text("name")}
		s := store.Session{
			ClientID: text("client"), Group: text("group"), Principal: who, Version: mqtt.Version(rapid.Byte().Draw(t, "version")),
			Expiry: rapid.Uint32().Draw(t, "expiry"), ExpiresAt: rapid.Int64().Draw(t, "ends"), Created: rapid.Int64().Draw(t, "created"),
		}
		gotS, err := parseSession(appendSession(nil, &s), &words{})
		same("session", s, gotS, err)

		sub := store.Subscription{
			Filter: text("filter"), QoS: qos, NoLocal: on("no local"), RetainAsPublished: on("as published"),
			RetainHandling: rapid.ByteRange(0, 2).Draw(t, "handling"), SubscriptionID: rapid.Uint32().Draw(t, "id"),
		}
		gotSub, err := parseSubscription(sub.Filter, appendSubscription(nil, &sub))
		same("subscription", sub, gotSub, err)

		topic, props := text("topic"), rapid.SliceOf(rapid.Byte()).Draw(t, "props")
		data := append(append([]byte(topic), props...), rapid.SliceOf(rapid.Byte()).Draw(t, "payload")...)
		m := message.Restore(data, len(topic), len(props))
		m.QoS, m.Retain, m.ClientID = qos, on("retained"), text("publisher")
		m.ReceivedAt, m.ExpiresAt = rapid.Int64().Draw(t, "received"), rapid.Int64().Draw(t, "message expires")
		if on("author") {
			m.Author = &who
		}
		plain := cmp.AllowUnexported(message.Message{})
		gotM, err := parseMessage(append(appendMessageHead(nil, m), data...), &authors{})
		if d := cmp.Diff(m, gotM, plain, cmpopts.EquateEmpty()); err != nil || d != "" {
			t.Fatalf("message: %v\n%s", err, d)
		}

		w := store.Will{
			ClientID: text("will client"), Principal: who, Delay: rapid.Uint32().Draw(t, "delay"),
			Due: rapid.Int64().Draw(t, "due"), Message: m,
		}
		gotW, err := parseWill(append(appendMessageHead(appendWillHead(nil, &w), m), data...), &authors{})
		if d := cmp.Diff(w, gotW, plain, cmpopts.EquateEmpty()); err != nil || d != "" {
			t.Fatalf("will: %v\n%s", err, d)
		}
	})
}

// TestSeal shows that a value is accepted only unchanged and under its own key.
func TestSeal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 30).Draw(t, "key")
		record := rapid.SliceOf(rapid.Byte()).Draw(t, "record")
		value := append(make([]byte, crcLen), record...)
		seal(key, value)
		if got, err := unseal(key, value); err != nil || !bytes.Equal(got, record) {
			t.Fatalf("unseal: %x, %v", got, err)
		}
		bit := byte(1) << rapid.IntRange(0, 7).Draw(t, "bit")
		if i := rapid.IntRange(0, len(key)+len(value)-1).Draw(t, "at"); i < len(key) {
			key[i] ^= bit
		} else {
			value[i-len(key)] ^= bit
		}
		if _, err := unseal(key, value); err == nil {
			t.Fatal("a changed bit was not noticed")
		}
	})
}

// TestAuthorsAreShared shows that reading many messages does not make a principal for each, and that the table has an
// end.
func TestAuthorsAreShared(t *testing.T) {
	var shared authors
	read := func(name string) *identity.Principal {
		return shared.read(&reader{b: appendPrincipal(nil, &identity.Principal{Method: "jwt", Name: name})})
	}
	alice := read("alice")
	if again := read("alice"); again != alice || read("bob") == alice {
		t.Error("principals are not shared by content")
	}
	for i := range 2 * maxAuthors {
		read(string(rune(i + 0x100)))
	}
	if len(shared.known) > maxAuthors {
		t.Errorf("%d principals held", len(shared.known))
	}
}

// FuzzParse feeds arbitrary records to the parsers of all tables. What is accepted must survive another round, and
// nothing may be allocated beyond what the input pays for.
func FuzzParse(f *testing.F) {
	m := message.New(&mqtt.Publish{Topic: "a/b", Payload: []byte("x")}, "client", &identity.Anonymous, 5)
	data, _, _ := m.Data()
	f.Add(byte(tableBody), append(appendMessageHead(nil, m), data...))
	f.Add(byte(tableQueue), appendPointer(nil, &store.Pointer{Body: 1, SubscriptionIDs: []uint32{1}, ExpiresAt: 5}))
	f.Add(byte(tableSession), appendSession(nil, &store.Session{ClientID: "c"}))
	f.Add(byte(tableInflight), appendInflight(nil, &store.Inflight{Ord: 1, State: store.Released}))
	f.Add(byte(tableSubscription), appendSubscription(nil, &store.Subscription{QoS: 1}))
	f.Add(byte(tableWill), append(appendMessageHead(appendWillHead(nil, &store.Will{}), m), data...))
	f.Fuzz(func(t *testing.T, table byte, record []byte) {
		again := reencode(table, record)
		if again == nil {
			return
		}
		if third := reencode(table, again); !bytes.Equal(again, third) {
			t.Errorf("table %c: %x became %x", table, again, third)
		}
	})
}

// reencode parses a record and appends it anew; nil when it is refused.
func reencode(table byte, record []byte) []byte {
	switch table {
	case tableBody, tableRetained:
		if m, err := parseMessage(record, &authors{}); err == nil {
			data, _, _ := m.Data()
			return append(appendMessageHead(nil, m), data...)
		}
	case tableQueue:
		if p, err := parsePointer(record); err == nil {
			return appendPointer(nil, &p)
		}
	case tableInflight:
		if in, err := parseInflight(record); err == nil {
			return appendInflight(nil, &in)
		}
	case tableSession:
		if s, err := parseSession(record, &words{}); err == nil {
			return appendSession(nil, &s)
		}
	case tableSubscription:
		if s, err := parseSubscription("f", record); err == nil {
			return appendSubscription(nil, &s)
		}
	case tableWill:
		if w, err := parseWill(record, &authors{}); err == nil {
			data, _, _ := w.Message.Data()
			return append(appendMessageHead(appendWillHead(nil, &w), w.Message), data...)
		}
	}
	return nil
}
