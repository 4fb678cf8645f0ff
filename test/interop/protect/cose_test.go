//go:build interop

package protect

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

const topicName = "plant/ü/1"

// records are one key of each form; the symmetric ones differ by kid alone, which a ring would refuse, so that each has
// a ring of its own.
type records struct{ enc0, enc, mac, sign *keyring.Record }

func newRecords(t *testing.T) records {
	t.Helper()
	symmetric, err := cose.NewSymmetricKey(bytes.Repeat([]byte{0x5a, 0x3c}, 16))
	if err != nil {
		t.Fatal(err)
	}
	pair := func(alg cose.Algorithm) (*cose.Key, []byte) {
		k, err := cose.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		tp := k.Thumbprint()
		return k, tp[:8]
	}
	reader, readerKID := pair(cose.AlgECDHESA256KW)
	signer, signerKID := pair(cose.AlgEdDSA)
	record := func(kid []byte, k *cose.Key, use keyring.Use, alg, content cose.Algorithm, sender keyring.SenderRule) *keyring.Record {
		r := &keyring.Record{
			KID: kid, Key: k, Use: use, Alg: alg, ContentAlg: content, Sender: sender, State: keyring.StateActive, Topics: []string{"plant/#"},
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	wire := keyring.SenderRule{Kind: keyring.SenderWire, Size: 8}
	return records{
		enc0: record([]byte("enc0--\x00\x01"), symmetric, keyring.UseR, cose.AlgA256GCM, 0, wire),
		mac:  record([]byte("mac---\x00\x01"), symmetric, keyring.UseMAC, cose.AlgHMAC256, 0, wire),
		enc:  record(readerKID, reader, keyring.UseEnc, cose.AlgECDHESA256KW, cose.AlgA256GCM, keyring.SenderRule{Kind: keyring.SenderAnonymous}),
		sign: record(signerKID, signer, keyring.UseSign, cose.AlgEdDSA, 0, keyring.SenderRule{Kind: keyring.SenderFixed, ID: signerKID}),
	}
}

func (r records) byForm() map[string]*keyring.Record {
	return map[string]*keyring.Record{"Encrypt0": r.enc0, "Encrypt": r.enc, "Mac0": r.mac, "Sign1": r.sign}
}

// sealWith makes a message under one record.
func sealWith(t *testing.T, rec *keyring.Record, payload string) []byte {
	t.Helper()
	cfg := protect.SealerConfig{Key: rec, Clock: time.Now, Timestamp: true}
	if rec.Use == keyring.UseEnc {
		cfg.Key, cfg.Recipients = nil, []*keyring.Record{rec}
	} else {
		session, err := protect.NewSession(1, nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Session = session
	}
	if rec.Sender.Kind == keyring.SenderWire {
		cfg.Sender = []byte("sealmq01")
	}
	s, err := protect.NewSealer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Seal(nil, &protect.Message{Topic: topicName, Payload: []byte(payload)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openWith(t *testing.T, rec *keyring.Record, b []byte) (protect.Result, error) {
	t.Helper()
	ring := &keyring.Ring{}
	if err := ring.Add(rec); err != nil {
		t.Fatal(err)
	}
	replay, err := protect.NewReplay(protect.ReplayLimits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := protect.NewOpener(protect.OpenerConfig{Keys: ring, Replay: replay, Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return o.Open(nil, &protect.Delivery{Topic: topicName, Payload: b})
}

func python(t *testing.T, module string) string {
	t.Helper()
	name, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("skipped: python3 is not installed: apt-get install python3")
	}
	if module != "" && exec.Command(name, "-c", "import "+module).Run() != nil {
		t.Skipf("skipped: %s is not installed: python3 -m pip install pycose==1.1.0 cbor2==5.6.5", module)
	}
	return name
}

// TestPycose: pycose opens every form of ours, and we open every form of pycose's.
func TestPycose(t *testing.T) {
	name := python(t, "pycose")
	r := newRecords(t)
	public, err := r.enc.Key.PublicKey().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	private, err := r.enc.Key.PrivateKey().(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	seed := r.sign.Key.PrivateKey().(ed25519.PrivateKey)
	messages := map[string]string{}
	for form, rec := range r.byForm() {
		messages[form] = hex.EncodeToString(sealWith(t, rec, "made by us: "+form))
	}
	in, err := json.Marshal(map[string]any{
		"key": hex.EncodeToString(r.enc0.Key.SymmetricBytes()), "kid": hex.EncodeToString(r.enc0.KID), "mac_kid": hex.EncodeToString(r.mac.KID),
		"public_x": hex.EncodeToString(public[1:33]), "public_y": hex.EncodeToString(public[33:]), "private": hex.EncodeToString(private),
		"reader": hex.EncodeToString(r.enc.KID), "signer": hex.EncodeToString(r.sign.KID),
		"seed": hex.EncodeToString(seed.Seed()), "seed_public": hex.EncodeToString(seed.Public().(ed25519.PublicKey)),
		"sender": hex.EncodeToString([]byte("sealmq01")), "topic": topicName, "messages": messages,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), name, "scripts/cose.py")
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var got struct{ Opened, Made map[string]string }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for form, rec := range r.byForm() {
		if want := hex.EncodeToString([]byte("made by us: " + form)); got.Opened[form] != want {
			t.Errorf("%s: pycose opened %q", form, got.Opened[form])
		}
		b, err := hex.DecodeString(got.Made[form])
		if err != nil {
			t.Fatal(err)
		}
		res, err := openWith(t, rec, b)
		if err != nil || string(res.Payload) != "made by pycose: "+form {
			t.Errorf("%s of pycose: %q, %+v", form, res.Payload, err)
		}
		b[len(b)-1] ^= 1
		if _, err := openWith(t, rec, b); err == nil {
			t.Errorf("%s of pycose with its last bit changed: opened", form)
		}
	}
}

// TestMACInPython: thirty lines of Python without any library come to the same tag.
func TestMACInPython(t *testing.T) {
	name := python(t, "")
	rec := newRecords(t).mac
	b := sealWith(t, rec, "payload")
	key := hex.EncodeToString(rec.Key.SymmetricBytes())
	for want, topic := range map[string]string{"ok\n": topicName, "the tag differs\n": "plant/2"} {
		out, err := exec.CommandContext(t.Context(), name, "scripts/mac.py", hex.EncodeToString(b), key, topic).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s: got %q, %v", topic, out, err)
		}
	}
}

// TestGoCose runs the test of the nested module.
func TestGoCose(t *testing.T) {
	name, err := exec.LookPath("go")
	if err != nil {
		t.Skip("skipped: go is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), name, "test", "-C", "gocose", "-count", "1", "./...").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
