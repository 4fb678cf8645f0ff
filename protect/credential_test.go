package protect

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

func connect() *Connect {
	return &Connect{Level: 5, ClientID: "dev-42", HasUsername: true, Username: "dev-42", Server: "broker-a"}
}

func newVerifier(t testing.TB, store StateStore, recs ...*keyring.Record) *Verifier {
	t.Helper()
	marks, err := NewMarks(store)
	if err != nil {
		t.Fatal(err)
	}
	return &Verifier{Keys: ringOf(t, recs...), Marks: marks, Clock: testClock}
}

func credential(t testing.TB, rec *keyring.Record, number uint64, c *Connect) []byte {
	t.Helper()
	b, err := SealCredential(CredentialConfig{Record: rec, Number: number, Clock: testClock, Password: keyring.NewSecret([]byte("hunter2"))}, c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var credentialUses = []keyring.Use{keyring.UseP1, keyring.UseP2, keyring.UseP3}

func TestCredentials(t *testing.T) {
	for _, use := range credentialUses {
		t.Run(use.String(), func(t *testing.T) {
			rec := testRecord(t, use, nil)
			v := newVerifier(t, nil, rec)
			token := credential(t, rec, 5, connect())
			cred, err := v.Verify(token, connect())
			if err != nil {
				t.Fatal(err)
			}
			if want := use == keyring.UseP1; (string(cred.Password.Reveal()) == "hunter2") != want {
				t.Errorf("password %x", cred.Password.Reveal())
			}
			other, err := v.Verify(token, connect())
			if err != nil {
				t.Fatalf("verified and not accepted yet: %v", err)
			}
			if err := cred.Accept(); err != nil {
				t.Fatal(err)
			}
			wantReason(t, other.Accept(), ReasonStale)
			for _, number := range []uint64{5, 4} {
				_, err = v.Verify(credential(t, rec, number, connect()), connect())
				wantReason(t, err, ReasonStale)
			}
			if _, err := v.Verify(credential(t, rec, 6, connect()), connect()); err != nil {
				t.Error(err)
			}
			for name, change := range map[string]func(*Connect){
				"level":         func(c *Connect) { c.Level = 4 },
				"client id":     func(c *Connect) { c.ClientID = "dev-43" },
				"user name":     func(c *Connect) { c.Username = "root" },
				"no user name":  func(c *Connect) { c.HasUsername, c.Username = false, "" },
				"server":        func(c *Connect) { c.Server = "broker-b" },
				"empty is sent": func(c *Connect) { c.Username = "" },
			} {
				c := connect()
				change(c)
				_, err := newVerifier(t, nil, rec).Verify(token, c)
				if err == nil {
					t.Errorf("%s changed", name)
					continue
				}
				wantReason(t, err, ReasonVerify)
			}
			for bit := range len(token) * 8 {
				changed := bytes.Clone(token)
				changed[bit/8] ^= 1 << (bit % 8)
				if _, err := newVerifier(t, nil, rec).Verify(changed, connect()); err == nil {
					t.Fatalf("bit %d changed", bit)
				}
			}
			self := append([]byte{0xd9, 0xd9, 0xf7}, token...)
			_, err = v.Verify(self, connect())
			wantReason(t, err, ReasonMalformed)
		})
	}
}

func TestCredentialRules(t *testing.T) {
	for _, use := range credentialUses {
		rec := testRecord(t, use, nil)
		at := func(d time.Duration) Clock { return func() time.Time { return testClock().Add(d) } }
		for d, ok := range map[time.Duration]bool{0: true, 120 * time.Second: true, 121 * time.Second: false, -120 * time.Second: true, -121 * time.Second: false} {
			b, err := SealCredential(CredentialConfig{Record: rec, Number: 1, Clock: at(d)}, connect())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := newVerifier(t, nil, rec).Verify(b, connect()); (err == nil) != ok {
				t.Errorf("%v: iat %v away: %v", use, d, err)
			}
		}
		if _, err := SealCredential(CredentialConfig{Record: rec, Number: 1}, connect()); !errors.Is(err, ErrSeal) {
			t.Errorf("%v: without clock: %v", use, err)
		}
		clockless := rec.Clone()
		clockless.Clockless = true
		b, err := SealCredential(CredentialConfig{Record: clockless, Number: 1}, connect())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newVerifier(t, nil, clockless).Verify(b, connect()); err != nil {
			t.Errorf("%v: clockless: %v", use, err)
		}
		_, err = newVerifier(t, nil, rec).Verify(b, connect())
		wantReason(t, err, ReasonTime)
		bound := rec.Clone()
		bound.Binding = true
		c := connect()
		if _, err := SealCredential(CredentialConfig{Record: bound, Number: 1, Clock: testClock}, c); !errors.Is(err, ErrSeal) {
			t.Errorf("%v: bound without binding: %v", use, err)
		}
		c.HasBinding, c.Binding = true, sha256.Sum256([]byte("connect"))
		token := credential(t, bound, 1, c)
		if _, err := newVerifier(t, nil, bound).Verify(token, c); err != nil {
			t.Errorf("%v: bound: %v", use, err)
		}
		c.Binding[0] ^= 1
		_, err = newVerifier(t, nil, bound).Verify(token, c)
		wantReason(t, err, ReasonVerify)
		_, err = newVerifier(t, nil, rec).Verify(token, c) // the record decides, not the message
		wantReason(t, err, ReasonVerify)
		owned := rec.Clone()
		owned.ClientID = "dev-1"
		_, err = newVerifier(t, nil, owned).Verify(credential(t, rec, 1, connect()), connect())
		wantReason(t, err, ReasonSender)
		empty := connect()
		empty.ClientID = ""
		_, err = newVerifier(t, nil, rec).Verify(credential(t, rec, 1, connect()), empty)
		wantReason(t, err, ReasonSender)
		_, err = newVerifier(t, nil).Verify(credential(t, rec, 1, connect()), connect())
		wantReason(t, err, ReasonUnknownKey)
	}
}

func TestMarksSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "marks")
	rec := testRecord(t, keyring.UseP3, nil)
	token := credential(t, rec, 1<<40, connect())
	for i := range 2 {
		f, err := OpenStateFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := newVerifier(t, f, rec).Verify(token, connect())
		if i == 0 {
			if err != nil {
				t.Fatal(err)
			}
			if err := cred.Accept(); err != nil {
				t.Fatal(err)
			}
		} else {
			wantReason(t, err, ReasonStale)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	store := &memStore{fail: true}
	cred, err := newVerifier(t, store, rec).Verify(token, connect())
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, cred.Accept(), ReasonState)
}

func TestPasswordPadding(t *testing.T) {
	for n := range 70 {
		word := strings.Repeat("p", n)
		b := appendPasswordMap(nil, keyring.NewSecret([]byte(word)))
		if len(b)%paddedBlock != 0 || len(b) > n+8+paddedBlock {
			t.Fatalf("password of %d bytes: map of %d", n, len(b))
		}
		got, r := readPasswordMap(b)
		if r != nil || string(got.Reveal()) != word {
			t.Fatalf("%d: %v", n, r)
		}
	}
	for name, in := range map[string]string{
		"no password": "\xa1\x03\x40", "text": "\xa1\x01\x61p", "twice": "\xa2\x01\x40\x01\x40", "unknown key": "\xa2\x01\x40\x04\x40",
		"reserved of wrong size": "\xa2\x01\x40\x02\x40", "trailing": "\xa1\x01\x40\x00", "not a map": "\x40",
	} {
		if _, r := readPasswordMap([]byte(in)); r == nil {
			t.Errorf("%s accepted", name)
		}
	}
	if _, r := readPasswordMap([]byte("\xa1\x01\x41p")); r != nil {
		t.Errorf("padding may be absent: %v", r.Detail)
	}
}

func TestConnectBinding(t *testing.T) {
	packet := []byte("\x10\x16\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x01u\x00\x02pw")
	cb, ok := ConnectBinding(packet, 2)
	if !ok || cb != sha256.Sum256(packet[2:len(packet)-4]) {
		t.Errorf("%x %v", cb, ok)
	}
	for _, n := range []int{-1, 0, 1, 3, 30, 70000} {
		if _, ok := ConnectBinding(packet, n); ok {
			t.Errorf("password of %d bytes accepted", n)
		}
	}
	if _, ok := ConnectBinding(nil, 0); ok {
		t.Error("empty packet accepted")
	}
}

// A credential is not a message and a message is not a credential.
func TestCredentialsAreNotMessages(t *testing.T) {
	p3 := testRecord(t, keyring.UseP3, func(r *keyring.Record) { r.Alg = cose.AlgEdDSA })
	sign := testRecord(t, keyring.UseSign, nil)
	ring := ringOf(t, p3, sign)
	_, err := newOpener(t, ring, nil).Open(nil, &Delivery{Topic: testTopic, Payload: credential(t, p3, 1<<32|1, connect())})
	wantReason(t, err, ReasonRecord)
	msg := seal(t, newSealer(t, SealerConfig{Key: sign, Session: newSession(t, 1)}), Message{Payload: make([]byte, 16)})
	marks, err := NewMarks(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&Verifier{Keys: ring, Marks: marks, Clock: testClock}).Verify(msg, connect())
	wantReason(t, err, ReasonRecord)
}

func FuzzVerify(f *testing.F) {
	recs := make([]*keyring.Record, 0, 3)
	tokens := map[string]bool{}
	for _, use := range credentialUses {
		rec := testRecord(f, use, nil)
		recs = append(recs, rec)
		token := credential(f, rec, 1, connect())
		tokens[string(token)] = true
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := newVerifier(t, nil, recs...).Verify(in, connect()); err == nil && !tokens[string(in)] {
			t.Fatalf("forged %x", in)
		}
	})
}

// TestMarksOfOneKeyAreBounded: whoever has one device's key cannot take the room of all others, not even over a restart;
// clients that have a mark go on, and so do other keys and the key of a broker, which all its clients share.
func TestMarksOfOneKeyAreBounded(t *testing.T) {
	store := &memStore{}
	marks, err := NewMarks(store)
	if err != nil {
		t.Fatal(err)
	}
	greedy, honest, shared := testRecord(t, keyring.UseP2, nil), testRecord(t, keyring.UseP3, nil), testRecord(t, keyring.UseP1, nil)
	raise := func(m *Marks, rec *keyring.Record, client int, n uint64) error {
		if r := m.raise(stateKey(domainMark, string(rec.KID), strconv.Itoa(client)), rec, n); r != nil {
			return r
		}
		return nil
	}
	for i := range maxMarksPerKey {
		if err := raise(marks, greedy, i, 1); err != nil {
			t.Fatal(err)
		}
	}
	again, err := NewMarks(store)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Marks{marks, again} {
		wantReason(t, raise(m, greedy, maxMarksPerKey, 1), ReasonLimit)
		if err := raise(m, greedy, 0, 2); err != nil {
			t.Errorf("a client with a mark: %v", err)
		}
	}
	for i := range maxMarksPerKey + 1 {
		if err := raise(marks, shared, i, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := raise(marks, honest, 0, 1); err != nil {
		t.Error(err)
	}
}

// TestCredentialRecognised: the three forms and nothing that a person types.
func TestCredentialRecognised(t *testing.T) {
	for _, use := range credentialUses {
		if b := credential(t, testRecord(t, use, nil), 1, connect()); !IsCredential(b) {
			t.Errorf("%v is not recognised", use)
		}
	}
	for _, s := range []string{"", "\xd1", "\xd1\x84", "\xd1\x84\x40", "\xd1\x84\x41\xa0", "\xd1\x83\x43\xa1\x01\x05", "\xd0\x83\x43\xa1\x01\x01", "фX", "пароль", "\xd8\x60\x84\x41\x61"} {
		if IsCredential([]byte(s)) {
			t.Errorf("%q is taken for a credential", s)
		}
	}
}
