package keyring

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
)

func groupRecord(t testing.TB, kid string) *Record {
	t.Helper()
	return record(t, UseS, kid, func(r *Record) { r.Sender = SenderRule{Kind: SenderWire, Size: 2} })
}

// record returns a valid active record of a use after change.
func record(t testing.TB, use Use, kid string, change func(*Record)) *Record {
	t.Helper()
	r := &Record{Use: use, State: StateActive, Sender: SenderRule{Kind: SenderAnonymous}, Topics: []string{"#"}}
	switch use {
	case UseR, UseS:
		r.Alg = cose.AlgA128GCM
	case UseMAC, UseP2:
		r.Alg = cose.AlgHMAC256
	case UseSign, UseP3:
		r.Alg = cose.AlgES256
	case UseEnc, UseP1:
		r.Alg, r.ContentAlg = cose.AlgECDHESA128KW, cose.AlgA128GCM
	}
	if use.credential() {
		r.Topics = nil
	}
	key, err := cose.GenerateKey(r.Alg)
	if err != nil {
		t.Fatal(err)
	}
	r.Key = key
	if use.Symmetric() {
		if r.KID, err = hex.DecodeString(kid); err != nil {
			t.Fatal(err)
		}
	} else {
		tp := key.Thumbprint()
		r.KID = tp[:8]
	}
	if change != nil {
		change(r)
	}
	return r
}

func TestSecretDoesNotPrint(t *testing.T) {
	s := NewSecret([]byte("hunter2"))
	shown := []string{s.String(), s.GoString(), s.LogValue().String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, s), fmt.Sprintf(verb, struct{ S Secret }{s}), fmt.Sprintf(verb, &s))
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "in", []Secret{s})
	js, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	type document struct{ S Secret }
	x, err := xml.Marshal(document{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range append(shown, log.String(), string(js), string(x)) {
		if strings.Contains(out, "hunter2") || strings.Contains(out, hex.EncodeToString([]byte("hunter2"))) {
			t.Errorf("secret shown: %s", out)
		}
	}
	if _, err := s.MarshalBinary(); err == nil {
		t.Error("secret encoded")
	}
	if string(s.Reveal()) != "hunter2" || !s.Equal(NewSecret([]byte("hunter2"))) || s.Equal(Secret{}) {
		t.Error("secret lost")
	}
	s.Destroy()
	if bytes.Contains(s.Reveal(), []byte("hunter2")) {
		t.Error("destroyed secret is still there")
	}
}

func TestRecordRules(t *testing.T) {
	for use := UseR; use <= UseP3; use++ {
		r := record(t, use, "a1b2c30001", nil)
		if use == UseS {
			r.Sender = SenderRule{Kind: SenderFixed, ID: []byte("dev")}
		}
		if err := r.Validate(); err != nil {
			t.Errorf("%v: %v", use, err)
		}
	}
	for _, c := range []struct {
		name   string
		use    Use
		change func(*Record)
	}{
		{"no kid", UseR, func(r *Record) { r.KID = nil }},
		{"kid of 33 bytes", UseR, func(r *Record) { r.KID = make([]byte, 33) }},
		{"kid shorter than an epoch", UseR, func(r *Record) { r.KID = []byte{1} }},
		{"short public kid", UseSign, func(r *Record) { r.KID = r.KID[:7] }},
		{"public kid not the thumbprint", UseSign, func(r *Record) { r.KID = []byte("12345678") }},
		{"no state", UseR, func(r *Record) { r.State = 0 }},
		{"no use", UseR, func(r *Record) { r.Use = 0 }},
		{"algorithm of another use", UseR, func(r *Record) { r.Alg = cose.AlgHMAC256 }},
		{"AES-128 wrap with A256GCM", UseEnc, func(r *Record) { r.ContentAlg = cose.AlgA256GCM }},
		{"content algorithm without encryption to a key", UseR, func(r *Record) { r.ContentAlg = cose.AlgA128GCM }},
		{"key of another size", UseR, func(r *Record) { r.Alg = cose.AlgA256GCM }},
		{"key of another type", UseMAC, func(r *Record) { r.Key = record(t, UseSign, "", nil).Key }},
		{"no key", UseR, func(r *Record) { r.Key = nil }},
		{"destroyed with a key", UseR, func(r *Record) { r.State = StateDestroyed }},
		{"anonymous mode S", UseS, nil},
		{"no sender rule", UseR, func(r *Record) { r.Sender = SenderRule{} }},
		{"wire id of 0 bytes", UseR, func(r *Record) { r.Sender = SenderRule{Kind: SenderWire} }},
		{"wire id of 65 bytes", UseR, func(r *Record) { r.Sender = SenderRule{Kind: SenderWire, Size: 65} }},
		{"fixed without id", UseR, func(r *Record) { r.Sender = SenderRule{Kind: SenderFixed} }},
		{"wire and id", UseR, func(r *Record) { r.Sender = SenderRule{Kind: SenderWire, Size: 2, ID: []byte{1}} }},
		{"signer on the wire", UseSign, func(r *Record) { r.Sender = SenderRule{Kind: SenderWire, Size: 2} }},
		{"redistribution to a public key", UseEnc, func(r *Record) { r.Sender = SenderRule{Kind: SenderRedistribution} }},
		{"max-age below a second", UseR, func(r *Record) { r.MaxAge = time.Millisecond }},
		{"negative max-age", UseR, func(r *Record) { r.MaxAge = -time.Second }},
		{"broker that does not sign", UseR, func(r *Record) { r.Broker = true }},
		{"end-to-end key of a broker", UseSign, func(r *Record) { r.Broker, r.E2E = true, true }},
		{"pairwise anonymous", UseR, func(r *Record) { r.Pairwise = true }},
		{"pairwise signature", UseSign, func(r *Record) { r.Pairwise = true }},
		{"binding on a message key", UseR, func(r *Record) { r.Binding = true }},
		{"clockless mode R", UseR, func(r *Record) { r.Clockless = true }},
		{"unordered credential", UseP3, func(r *Record) { r.Unordered = true }},
		{"no topics", UseR, func(r *Record) { r.Topics = nil }},
		{"invalid filter", UseR, func(r *Record) { r.Topics = []string{"a/#/b"} }},
		{"topics on a credential", UseP2, func(r *Record) { r.Topics = []string{"#"} }},
		{"pre-shared key of 24 bytes", UseP2, func(r *Record) { r.Key, _ = cose.NewSymmetricKey(make([]byte, 24)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := record(t, c.use, "a1b2c30001", c.change)
			if err := r.Validate(); !errors.Is(err, ErrRecord) {
				t.Errorf("got %v, want ErrRecord", err)
			}
			if err := new(Ring).Add(r); err == nil {
				t.Error("the ring took it")
			}
		})
	}
}

func TestRingIsUnique(t *testing.T) {
	var ring Ring
	if ring.Lookup([]byte("x")) != nil || len(ring.Records()) != 0 {
		t.Fatal("empty ring is not empty")
	}
	a := groupRecord(t, "a1b2c30001")
	if err := ring.Add(a); err != nil {
		t.Fatal(err)
	}
	twice := groupRecord(t, "a1b2c30001")
	if err := ring.Add(twice); !errors.Is(err, ErrExists) {
		t.Errorf("kid twice: %v", err)
	}
	sameKey := a.Clone()
	sameKey.KID = []byte{9, 9, 9, 0, 1}
	if err := ring.Add(sameKey); !errors.Is(err, ErrExists) {
		t.Errorf("key twice: %v", err)
	}
	sign := record(t, UseSign, "", nil)
	p3 := sign.Clone()
	p3.Use, p3.Topics = UseP3, nil
	tp := p3.Thumbprint()
	p3.KID = tp[:9]
	if err := ring.Add(sign, p3); err != nil {
		t.Errorf("one signature key for messages and credentials: %v", err)
	}
	enc := record(t, UseEnc, "", nil)
	if err := ring.Add(enc); err != nil {
		t.Fatal(err)
	}
	print := enc.Thumbprint()
	if got := ring.LookupThumbprint(print[:]); got == nil || !bytes.Equal(got.KID, enc.KID) {
		t.Errorf("thumbprint: %v", got)
	}
	if got := ring.LookupThumbprint(print[:8]); got != nil {
		t.Errorf("short thumbprint: %v", got)
	}
	tp = sign.Thumbprint()
	if got := ring.LookupThumbprint(tp[:]); got != nil {
		t.Errorf("signature key found as recipient: %v", got)
	}
}

func TestRotationOverlap(t *testing.T) {
	var ring Ring
	old := groupRecord(t, "a1b2c300ff")
	if err := ring.Add(old); err != nil {
		t.Fatal(err)
	}
	next, err := old.Successor()
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(next.KID) != "a1b2c30100" || next.State != StatePreActive || next.Key.Equal(old.Key) {
		t.Fatalf("successor %v", next)
	}
	if !next.Opens() || next.Seals() {
		t.Error("a pre-active key opens and does not seal")
	}
	if err := ring.Add(next); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Activate(next.KID); err != nil {
		t.Fatal(err)
	}
	if got := ring.Lookup(old.KID); got.State != StateDecryptOnly || got.Seals() || !got.Opens() {
		t.Errorf("old epoch is %v", got.State)
	}
	if !ring.Lookup(next.KID).Seals() {
		t.Error("new epoch does not seal")
	}
	if _, err := ring.Activate(next.KID); !errors.Is(err, ErrState) {
		t.Errorf("activate twice: %v", err)
	}
	if _, err := ring.Activate(old.KID); !errors.Is(err, ErrState) {
		t.Errorf("reactivate: %v", err)
	}
	if _, err := ring.Destroy(old.KID); err != nil {
		t.Fatal(err)
	}
	if got := ring.Lookup(old.KID); got == nil || got.Key != nil || got.Opens() {
		t.Errorf("destroyed: %v", got)
	}
	if err := ring.Add(groupRecord(t, "a1b2c300ff")); !errors.Is(err, ErrExists) {
		t.Errorf("kid of a destroyed key reused: %v", err)
	}
	if _, err := ring.Destroy(old.KID); !errors.Is(err, ErrState) {
		t.Errorf("destroy twice: %v", err)
	}
	if _, err := ring.Activate([]byte("none")); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown kid: %v", err)
	}
	last := groupRecord(t, "a1b2c3ffff")
	if _, err := last.Successor(); !errors.Is(err, ErrState) {
		t.Errorf("successor of the last epoch: %v", err)
	}
	signer := record(t, UseSign, "", nil)
	if _, err := signer.Successor(); !errors.Is(err, ErrRecord) {
		t.Errorf("public key without group: %v", err)
	}
	signer.Group = "plant"
	if next, err := signer.Successor(); err != nil || next.Group != "plant" {
		t.Errorf("public successor: %v %v", next, err)
	}
}

func TestRecordCodecRoundTrip(t *testing.T) {
	for use := UseR; use <= UseP3; use++ {
		r := record(t, use, "a1b2c30001", func(r *Record) {
			r.ClientID, r.MaxAge, r.MaxMessages = "dev-42", time.Hour, 7
			r.Sender = SenderRule{Kind: SenderFixed, ID: []byte{0, 42}}
			if use == UseEnc {
				r.Sender = SenderRule{Kind: SenderClientID}
			}
		})
		b, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeRecord(b)
		if err != nil {
			t.Fatalf("%v: %v", use, err)
		}
		again, err := got.encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%v: %s\n%s %v", use, b, again, err)
		}
	}
}

func TestDir(t *testing.T) {
	for name, word := range map[string]Secret{"plain": {}, "sealed": NewSecret([]byte("correct horse"))} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			d, err := Create(path, word)
			if err != nil {
				t.Fatal(err)
			}
			rec := groupRecord(t, "a1b2c30001")
			if err := d.Add(rec); err != nil {
				t.Fatal(err)
			}
			next, err := rec.Successor()
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Add(next); err != nil {
				t.Fatal(err)
			}
			if err := d.Activate(next.KID); err != nil {
				t.Fatal(err)
			}
			if err := d.Destroy(rec.KID); err != nil {
				t.Fatal(err)
			}
			if err := d.Add(groupRecord(t, "a1b2c30001")); !errors.Is(err, ErrExists) {
				t.Errorf("destroyed kid reused: %v", err)
			}
			again, err := Open(path, word)
			if err != nil {
				t.Fatal(err)
			}
			if got := again.Ring().Lookup(next.KID); got == nil || !got.Key.Equal(next.Key) || !got.Seals() {
				t.Errorf("next epoch: %v", got)
			}
			if got := again.Ring().Lookup(rec.KID); got == nil || got.State != StateDestroyed || got.Key != nil {
				t.Errorf("destroyed epoch: %v", got)
			}
			if again.Sealed() != (name == "sealed") {
				t.Error("sealed is wrong")
			}
			if _, err := Create(path, word); !errors.Is(err, os.ErrExist) {
				t.Errorf("create over a keyring: %v", err)
			}
			if name == "sealed" {
				testSealedFiles(t, path, next)
			}
		})
	}
}

func testSealedFiles(t *testing.T, path string, rec *Record) {
	for _, word := range []string{"", "wrong"} {
		if _, err := Open(path, NewSecret([]byte(word))); !errors.Is(err, ErrPassphrase) {
			t.Errorf("passphrase %q: %v", word, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(path, keyFile(rec.KID)))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(hex.EncodeToString(rec.Key.SymmetricBytes()))) {
		t.Error("key in clear")
	}
	var header dirHeader
	hb, err := os.ReadFile(filepath.Join(path, headerFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(hb, &header); err != nil {
		t.Fatal(err)
	}
	header.KDF.Memory = 8 // would make guessing cheap
	if _, err := header.KDF.aead(NewSecret([]byte("x"))); err == nil {
		t.Error("weak derivation accepted")
	}
	header.KDF.Memory = 1 << 31 // would exhaust memory
	if _, err := header.KDF.aead(NewSecret([]byte("x"))); err == nil {
		t.Error("absurd derivation accepted")
	}
}

func TestDirRefusesExposedFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no mode bits on windows")
	}
	path := filepath.Join(t.TempDir(), "keys")
	d, err := Create(path, Secret{})
	if err != nil {
		t.Fatal(err)
	}
	rec := groupRecord(t, "a1b2c30001")
	if err := d.Add(rec); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, keyFile(rec.KID))
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key file has mode %v, %v", info.Mode(), err)
	}
	for _, c := range []struct {
		path     string
		bad, was os.FileMode
	}{{file, 0o640, 0o600}, {file, 0o604, 0o600}, {path, 0o750, 0o700}, {filepath.Join(path, counterDir), 0o701, 0o700}} {
		if err := os.Chmod(c.path, c.bad); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Secret{}); !errors.Is(err, ErrExposed) {
			t.Errorf("%s with mode %o: %v", c.path, c.bad, err)
		}
		if err := os.Chmod(c.path, c.was); err != nil {
			t.Fatal(err)
		}
	}
	// A damaged or renamed file refuses the whole directory.
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "00"+keySuffix), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Secret{}); !errors.Is(err, ErrRecord) {
		t.Errorf("renamed file: %v", err)
	}
}

func TestCounter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "boot")
	var wg sync.WaitGroup
	got := make([]uint64, 40)
	for i := range got {
		wg.Go(func() {
			v, err := NewCounter(path, 100).Reserve(1)
			if err != nil {
				t.Error(err)
			}
			got[i] = v
		})
	}
	wg.Wait()
	seen := map[uint64]bool{}
	for _, v := range got {
		if v < 1 || v > 40 || seen[v] {
			t.Fatalf("values %v", got)
		}
		seen[v] = true
	}
	c := NewCounter(path, 100)
	if v, err := c.ReserveFrom(90); err != nil || v != 90 {
		t.Errorf("from the clock: %d, %v", v, err)
	}
	if v, err := c.ReserveFrom(3); err != nil || v != 91 {
		t.Errorf("clock behind: %d, %v", v, err)
	}
	if _, err := c.Reserve(10); !errors.Is(err, ErrExhausted) {
		t.Errorf("past the end: %v", err)
	}
	if err := c.Raise(91); err == nil {
		t.Error("raised to the same value")
	}
	if v, err := c.Value(); err != nil || v != 91 {
		t.Errorf("a refusal changed the counter: %d, %v", v, err)
	}
	for _, bad := range []string{"", "x", "-1", "007", "1 2"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Reserve(1); err == nil || errors.Is(err, ErrExhausted) {
			t.Errorf("content %q: %v", bad, err)
		}
	}
}

func TestBudget(t *testing.T) {
	rec := record(t, UseR, "a1b2c30001", func(r *Record) { r.MaxMessages = 10 })
	path := filepath.Join(t.TempDir(), "used")
	for name, c := range map[string]*Counter{"memory": nil, "file": NewCounter(path, MaxOther)} {
		b := NewBudget(rec, c)
		for i := range 10 {
			if err := b.Take(); err != nil {
				t.Fatalf("%s %d: %v", name, i, err)
			}
		}
		if err := b.Take(); !errors.Is(err, ErrExhausted) {
			t.Errorf("%s: message 11: %v", name, err)
		}
	}
	if err := NewBudget(rec, NewCounter(path, MaxOther)).Take(); !errors.Is(err, ErrExhausted) {
		t.Errorf("after a restart: %v", err)
	}
	rec.MaxMessages = 1 << 40
	if b := NewBudget(rec, nil); b.limit != MaxRandomNonce {
		t.Errorf("limit %d above that of the algorithm", b.limit)
	}
}

// A member that is left out of the distribution cannot open the next epoch.
func TestBundleLeavesMemberOut(t *testing.T) {
	exporter := record(t, UseSign, "", nil)
	member, outsider := record(t, UseEnc, "", nil), record(t, UseEnc, "", nil)
	group := groupRecord(t, "a1b2c30001")
	next, err := group.Successor()
	if err != nil {
		t.Fatal(err)
	}
	b := Bundle{Serial: 2, Issued: time.Unix(1800000000, 0), Records: []*Record{group, next, exporter.Public()}}
	wire, err := b.Seal(exporter, member.Public(), false)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Create(filepath.Join(t.TempDir(), "keys"), Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.ImportBundle(wire, member, exporter.Public()); err != nil || n != 3 {
		t.Fatalf("import: %d, %v", n, err)
	}
	if got := d.Ring().Lookup(next.KID); got == nil || !got.Key.Equal(next.Key) {
		t.Errorf("next epoch: %v", got)
	}
	if got := d.Ring().Lookup(exporter.KID); got.Key.Private() {
		t.Error("exporter's private key was distributed")
	}
	if _, err := OpenBundle(wire, outsider, exporter.Public()); !errors.Is(err, ErrBundle) {
		t.Errorf("outsider: %v", err)
	}
	if _, err := OpenBundle(wire, member, record(t, UseSign, "", nil)); !errors.Is(err, ErrBundle) {
		t.Errorf("another exporter: %v", err)
	}
	if _, err := d.ImportBundle(wire, member, exporter.Public()); !errors.Is(err, ErrBundle) {
		t.Errorf("same bundle again: %v", err)
	}
	for i := range len(wire) {
		changed := bytes.Clone(wire)
		changed[i] ^= 0x80
		if _, err := OpenBundle(changed, member, exporter.Public()); !errors.Is(err, ErrBundle) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	active := next.Clone()
	active.State = StateActive
	moved := Bundle{Serial: 3, Records: []*Record{active}}
	if wire, err = moved.Seal(exporter, member.Public(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ImportBundle(wire, member, exporter.Public()); err != nil {
		t.Fatal(err)
	}
	if !d.Ring().Lookup(next.KID).Seals() {
		t.Error("state did not move on")
	}
	other := active.Clone()
	other.Topics = []string{"secret/#"}
	changed := Bundle{Serial: 4, Records: []*Record{other}}
	if wire, err = changed.Seal(exporter, member.Public(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ImportBundle(wire, member, exporter.Public()); !errors.Is(err, ErrBundle) {
		t.Errorf("kid with another meaning: %v", err)
	}
}

// A recipient that opens a bundle cannot pass the signed part on as its own.
func TestBundleForBrokerAndForwarding(t *testing.T) {
	exporter, broker, victim := record(t, UseSign, "", nil), record(t, UseEnc, "", nil), record(t, UseEnc, "", nil)
	group := groupRecord(t, "a1b2c30001")
	group.E2E = true
	b := Bundle{Serial: 1, Records: []*Record{group}}
	if _, err := b.Seal(exporter, broker.Public(), true); !errors.Is(err, ErrBundle) {
		t.Errorf("end-to-end key for a broker: %v", err)
	}
	wire, err := b.Seal(exporter, broker.Public(), false)
	if err != nil {
		t.Fatal(err)
	}
	var enc cose.Encrypt
	if err := enc.Parse(wire); err != nil {
		t.Fatal(err)
	}
	inner, err := enc.Open(nil, 0, broker.Key, bundleAAD(broker))
	if err != nil {
		t.Fatal(err)
	}
	tp := victim.Thumbprint()
	iv := make([]byte, 12)
	again := cose.Encrypt{Headers: cose.Headers{
		Protected:   cose.Header{Labels: cose.HasAlg | cose.HasContentType, Alg: cose.AlgA128GCM, ContentType: 18},
		Unprotected: cose.Header{Labels: cose.HasIV, IV: iv},
	}}
	forwarded, err := again.Seal(nil, nil, []cose.RecipientKey{{Alg: victim.Alg, KID: tp[:], Key: victim.Key.Public()}}, inner, bundleAAD(victim))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBundle(forwarded, victim, exporter); !errors.Is(err, ErrBundle) {
		t.Errorf("forwarded bundle: %v", err)
	}
}

func TestPortableFormats(t *testing.T) {
	for _, alg := range []cose.Algorithm{cose.AlgA128GCM, cose.AlgES256, cose.AlgEdDSA} {
		k, err := cose.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		j, err := MarshalJWK(k, "k1", true)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseJWK(j.Reveal()); err != nil || !got.Equal(k) {
			t.Errorf("%v JWK: %v, %v", alg, got, err)
		}
		if k.Type() == cose.KeySymmetric {
			if _, err := MarshalJWK(k, "", false); !errors.Is(err, cose.ErrKey) {
				t.Errorf("public half of %v: %v", k, err)
			}
			if _, err := MarshalPEM(k, true); !errors.Is(err, cose.ErrKey) {
				t.Errorf("PEM of %v: %v", k, err)
			}
			continue
		}
		for _, private := range []bool{true, false} {
			p, err := MarshalPEM(k, private)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParsePEM(p.Reveal())
			if err != nil || got.Thumbprint() != k.Thumbprint() || got.Private() != private {
				t.Errorf("%v PEM: %v, %v", alg, got, err)
			}
			if _, err := ParsePEM(append(p.Reveal(), p.Reveal()...)); !errors.Is(err, ErrFormat) {
				t.Errorf("two blocks: %v", err)
			}
		}
		public, err := MarshalJWK(k, "", false)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseJWK(public.Reveal()); err != nil || got.Private() {
			t.Errorf("%v public JWK: %v, %v", alg, got, err)
		}
	}
	for _, bad := range []string{
		``, `{}`, `{"kty":"RSA"}`, `{"kty":"oct","k":"AA"}`, `{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`,
		`{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA","key_ops":["sign"]}`, `{"kty":"EC","crv":"P-384"}`,
	} {
		if _, err := ParseJWK([]byte(bad)); err == nil {
			t.Errorf("JWK %s accepted", bad)
		}
	}
}

// FuzzDecodeRecord: an accepted record is valid and encodes to itself.
func FuzzDecodeRecord(f *testing.F) {
	for use := UseR; use <= UseP3; use++ {
		if b, err := record(f, use, "a1b2c30001", nil).encode(); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := decodeRecord(in)
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		b, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeRecord(b); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

// FuzzPortable: an accepted key survives its own encoding.
func FuzzPortable(f *testing.F) {
	k, _ := cose.GenerateKey(cose.AlgES256)
	j, _ := MarshalJWK(k, "x", true)
	p, _ := MarshalPEM(k, true)
	f.Add(j.Reveal())
	f.Add(p.Reveal())
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, parse := range []func([]byte) (*cose.Key, error){ParseJWK, ParsePEM} {
			k, err := parse(in)
			if err != nil {
				continue
			}
			out, err := MarshalJWK(k, "", k.Private())
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseJWK(out.Reveal()); err != nil || !again.Equal(k) {
				t.Fatalf("%v: %v", again, err)
			}
		}
	})
}
