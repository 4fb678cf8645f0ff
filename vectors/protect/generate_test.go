package protect_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/cbor"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

var update = flag.Bool("update", false, "write the vectors instead of comparing them")

const (
	topicName = "plant/7/temp"
	now       = 1800000000
)

var (
	wireID  = []byte{0x00, 0x2a}
	reading = []byte(`{"t":21.5}`)
)

// stream is a fixed random source.
type stream struct {
	seed string
	n    uint64
	rest []byte
}

func (s *stream) Read(p []byte) (int, error) {
	for i := range p {
		if len(s.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.seed), s.n))
			s.n++
			s.rest = sum[:]
		}
		p[i], s.rest = s.rest[0], s.rest[1:]
	}
	return len(p), nil
}

// world makes keys and messages from fixed seeds.
type world struct {
	t     *testing.T
	cases []*testCase
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// key makes the record called name; change may adjust it before its kid is set.
func (w *world) key(name string, use keyring.Use, alg cose.Algorithm, rule string, change ...func(*key)) key {
	w.t.Helper()
	sum := sha256.Sum256([]byte("sealmq vectors " + name))
	var material *cose.Key
	var err error
	switch {
	case alg == cose.AlgEdDSA:
		material, err = cose.NewEd25519Key(ed25519.NewKeyFromSeed(sum[:]))
	case alg == cose.AlgES256 || alg.IsKeyAgreement():
		var private *ecdsa.PrivateKey
		private, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
		w.must(err)
		material, err = cose.NewECDSAKey(private)
	default:
		material, err = cose.NewSymmetricKey(sum[:alg.KeySize()])
	}
	w.must(err)
	k := key{Use: use.String(), Alg: int64(alg), Rule: rule, Topics: []string{"plant/#"}}
	switch rule {
	case "wire":
		k.Size = len(wireID)
	case "fixed":
		k.ID = wireID
	}
	if alg.IsKeyAgreement() {
		k.ContentAlg = int64(cose.AlgA128GCM)
		if alg == cose.AlgECDHESA256KW {
			k.ContentAlg = int64(cose.AlgA256GCM)
		}
	}
	if use == keyring.UseP1 || use == keyring.UseP2 || use == keyring.UseP3 {
		k.Topics = nil
	}
	for _, f := range change {
		f(&k)
	}
	if use.Symmetric() {
		k.KID = []byte{sum[0], sum[1], sum[2], 0, 1}
	} else {
		tp := material.Thumbprint()
		k.KID = tp[:8]
	}
	k.Key, err = cose.AppendKey(nil, material, cose.KeyInfo{}, true)
	w.must(err)
	return k
}

func (k key) public(w *world) key {
	material, _, err := cose.ParseKey(k.Key)
	w.must(err)
	k.Key, err = cose.AppendKey(nil, material.Public(), cose.KeyInfo{}, false)
	w.must(err)
	return k
}

func (k key) symmetric(w *world) []byte {
	material, _, err := cose.ParseKey(k.Key)
	w.must(err)
	return material.SymmetricBytes()
}

func clock() time.Time { return time.Unix(now, 0) }

func (w *world) session(boot uint32, seed string) *protect.Session {
	s, err := protect.NewSession(boot, &stream{seed: seed})
	w.must(err)
	return s
}

// seal makes one message; boot 0xffffffff means unordered.
func (w *world) sealer(seed string, cfg protect.SealerConfig) *protect.Sealer {
	cfg.Random, cfg.Clock = &stream{seed: seed}, clock
	s, err := protect.NewSealer(cfg)
	w.must(err)
	return s
}

func (w *world) seal(s *protect.Sealer, m protect.Message) []byte {
	if m.Topic == "" {
		m.Topic = topicName
	}
	if m.Payload == nil {
		m.Payload = reading
	}
	out, err := s.Seal(nil, &m)
	w.must(err)
	return out
}

// add appends a case with the defaults of an open case.
func (w *world) add(id, spec, comment, expect string, c testCase) {
	c.ID, c.Spec, c.Comment, c.Expect = id, spec, comment, expect
	if c.Type == "" {
		c.Type = "open"
	}
	if c.Topic == "" && c.Type != "credential" {
		c.Topic = topicName
	}
	if c.Now == 0 && c.Type != "checksum" {
		c.Now = now
	}
	if c.Require == nil && c.Type != "credential" && c.Type != "checksum" {
		c.Require = &require{Confidential: true}
	}
	if c.Expect == "ok" && c.Type != "sequence" && c.Result == nil {
		c.Result = &resultOut{Payload: reading, Kind: 1}
	}
	w.cases = append(w.cases, &c)
}

// pubAAD is the external_aad of an encryption.
func pubAAD(kind uint64, topic string, sender []byte) []byte {
	b := cbor.AppendUint(cbor.AppendText(cbor.AppendArray(nil, 4), "MQTT1"), kind)
	return cbor.AppendBytes(cbor.AppendText(b, topic), sender)
}

// srcAAD is the external_aad of a signature or MAC.
func srcAAD(kind uint64, topic string, sender, fresh, aud []byte) []byte {
	b := cbor.AppendUint(cbor.AppendUint(cbor.AppendText(cbor.AppendArray(nil, 7), "MQTT1"), 10), kind)
	b = cbor.AppendBytes(cbor.AppendBytes(cbor.AppendText(b, topic), sender), fresh)
	if aud == nil {
		return cbor.AppendNull(b)
	}
	return cbor.AppendBytes(b, aud)
}

// item is one parameter of a hand-made bucket: encoded label and value.
type item struct{ label, value []byte }

func num(n int64) []byte                { return cbor.AppendInt(nil, n) }
func str(b ...byte) []byte              { return cbor.AppendBytes(nil, b) }
func fill(n int) []byte                 { return bytes.Repeat([]byte{7}, n) }
func at(label int64, value []byte) item { return item{num(label), value} }

func bucket(items ...item) []byte {
	b := cbor.AppendMap(nil, len(items))
	for _, i := range items {
		b = append(append(b, i.label...), i.value...)
	}
	return b
}

func claims(items ...item) item { return at(15, bucket(items...)) }

func orderedCTI(boot, seq uint32) item {
	return at(7, cbor.AppendBytes(nil, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, boot), seq)))
}

var fixedIV = bytes.Repeat([]byte{0x11}, 12)

// rawEncrypt0 encrypts correctly under headers nobody has checked.
func (w *world) rawEncrypt0(k, nonce, protected, unprotected, aad, plain []byte) []byte {
	block, err := aes.NewCipher(k)
	w.must(err)
	aead, err := cipher.NewGCMWithNonceSize(block, len(nonce))
	w.must(err)
	enc := cbor.AppendText(cbor.AppendArray(nil, 3), "Encrypt0")
	enc = cbor.AppendBytes(cbor.AppendBytes(enc, protected), aad)
	b := cbor.AppendBytes(cbor.AppendArray(cbor.AppendTag(nil, 16), 3), protected)
	return cbor.AppendBytes(append(b, unprotected...), aead.Seal(nil, nonce, plain, enc))
}

// TestGenerated compares the committed files with what the generator makes, so
// that neither can drift; with -update it writes them.
func TestGenerated(t *testing.T) {
	w := &world{t: t}
	for _, add := range []func(*world){addForms, addModeR, addModeS, addSource, addRecipients, addNested, addCredentials, addChecksums, addSequences} {
		add(w)
	}
	want := map[string]bool{}
	for _, c := range w.cases {
		raw, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, '\n')
		path := filepath.Join(c.Type, c.ID+".json")
		if want[path] {
			t.Fatalf("case %s twice", c.ID)
		}
		want[path] = true
		if *update {
			w.must(os.MkdirAll(c.Type, 0o755))
			w.must(os.WriteFile(path, raw, 0o644))
			continue
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s is not what the generator makes (%v); run go test ./vectors/protect -run Generated -update", path, err)
		}
	}
	files, err := caseFiles()
	w.must(err)
	for _, f := range files {
		if !want[f] {
			t.Errorf("%s is made by nobody", f)
		}
	}
}
