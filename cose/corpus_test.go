package cose

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SEALMQ_VECTORS")
	if dir == "" {
		t.Skip("SEALMQ_VECTORS is not set: public vectors not run")
	}
	return dir
}

// example is a file of the COSE working group's example collection, as far as
// these structures need it.
type example struct {
	Title string `json:"title"`
	Fail  bool   `json:"fail"`
	Input struct {
		Plaintext    string      `json:"plaintext"`
		PlaintextHex string      `json:"plaintext_hex"`
		Encrypted    *exampleMsg `json:"encrypted"`
		Enveloped    *exampleMsg `json:"enveloped"`
		Mac0         *exampleMsg `json:"mac0"`
		Sign0        *exampleMsg `json:"sign0"`
	} `json:"input"`
	Output struct {
		CBOR string `json:"cbor"`
	} `json:"output"`
}

type exampleMsg struct {
	External   string          `json:"external"`
	Key        *exampleKey     `json:"key"`
	Unsent     json.RawMessage `json:"unsent"`
	Recipients []struct {
		Key *exampleKey `json:"key"`
	} `json:"recipients"`
}

type exampleKey struct {
	Kty, Crv, X, Y, D, K   string
	XHex, YHex, DHex, KHex string
}

func (k *exampleKey) UnmarshalJSON(b []byte) error {
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	str := func(name string) string { s, _ := m[name].(string); return s }
	*k = exampleKey{
		Kty: str("kty"), Crv: str("crv"), X: str("x"), Y: str("y"), D: str("d"), K: str("k"),
		XHex: str("x_hex"), YHex: str("y_hex"), DHex: str("d_hex"), KHex: str("k_hex"),
	}
	return nil
}

func (k *exampleKey) field(t *testing.T, b64, hexed string) []byte {
	if hexed != "" {
		return unhex(t, hexed)
	}
	b, err := base64.RawURLEncoding.DecodeString(b64)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (k *exampleKey) key(t *testing.T) (*Key, error) {
	if k.Kty == "oct" {
		return NewSymmetricKey(k.field(t, k.K, k.KHex))
	}
	raw := &rawKey{hasCrv: true, d: k.field(t, k.D, k.DHex)}
	switch k.Crv {
	case "P-256":
		raw.kty, raw.crv = typeEC2, curveP256
	case "Ed25519":
		raw.kty, raw.crv = typeOKP, curveEd25519
	default:
		return nil, ErrUnsupported
	}
	return raw.build()
}

// openExample parses and opens one message; untagged files get their tag, as
// the profile makes it mandatory.
func openExample(t *testing.T, ex *example, in []byte) ([]byte, error) {
	t.Helper()
	want := []byte(ex.Input.Plaintext)
	if ex.Input.PlaintextHex != "" {
		want = unhex(t, ex.Input.PlaintextHex)
	}
	switch {
	case ex.Input.Encrypted != nil:
		e := ex.Input.Encrypted
		var m Encrypt0
		if err := m.Parse(in); err != nil {
			return nil, err
		}
		k, err := e.Recipients[0].Key.key(t)
		if err != nil {
			return nil, err
		}
		alg, err := m.Alg()
		if err != nil {
			return nil, err
		}
		aead, err := k.AEAD(alg)
		if err != nil {
			return nil, err
		}
		return m.Open(nil, aead, m.Unprotected.IV, unhex(t, e.External))
	case ex.Input.Enveloped != nil:
		e := ex.Input.Enveloped
		var m Encrypt
		if err := m.Parse(in); err != nil {
			return nil, err
		}
		k, err := e.Recipients[0].Key.key(t)
		if err != nil {
			return nil, err
		}
		return m.Open(nil, 0, k, unhex(t, e.External))
	case ex.Input.Mac0 != nil:
		e := ex.Input.Mac0
		var m Mac0
		if err := m.Parse(in); err != nil {
			return nil, err
		}
		k, err := e.Recipients[0].Key.key(t)
		if err != nil {
			return nil, err
		}
		return want, m.Verify(k.SymmetricBytes(), unhex(t, e.External))
	case ex.Input.Sign0 != nil:
		e := ex.Input.Sign0
		var m Sign1
		if err := m.Parse(in); err != nil {
			return nil, err
		}
		k, err := e.Key.key(t)
		if err != nil {
			return nil, err
		}
		return want, m.Verify(k.Public(), unhex(t, e.External))
	}
	return nil, ErrUnsupported
}

func loadExample(t *testing.T, path string) (*example, []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var ex example
	if err := json.Unmarshal(raw, &ex); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return &ex, unhex(t, ex.Output.CBOR)
}

// inScope lists what uses an allowed structure and algorithm: it must open, and every negative file must not.
var inScope = []struct {
	glob      string
	untagged  string // structure whose *-pass-03 is untagged
	open, bad int    // expected numbers
}{
	{"encrypted-tests/*", "encrypted", 4, 6},
	{"mac0-tests/*", "mac0", 4, 6},
	{"sign1-tests/*", "sign0", 3, 6},
	{"aes-gcm-examples/aes-gcm-enc-0[13].json", "", 2, 0},
	{"hmac-examples/HMac-enc-01.json", "", 1, 0},
	{"ecdsa-examples/ecdsa-sig-01.json", "", 1, 0},
	{"eddsa-examples/eddsa-sig-01.json", "", 1, 0},
	{"ecdh-wrap-examples/p256-wrap-128-0[12].json", "", 2, 0},
	{"ecdh-wrap-examples/p256-wrap-256-0[12].json", "", 2, 0},
	{"CWT/A_3.json", "", 1, 0},
	{"RFC8152/Appendix_C_2_1.json", "", 1, 0},
}

// outOfScope lists everything else, with what each refusal is about: an algorithm or a parameter that is not allowed, or a
// structure that is not read at all.
var outOfScope = []struct{ glob, because string }{
	{"CWT/A_[45].json", "not supported"}, // HMAC 256/64 and AES-CCM
	{"CWT/A_[67].json", "not supported"},
	{"RFC8152/Appendix_B.json", "elements"}, // two layers of recipients
	{"RFC8152/Appendix_C_1_*.json", "not supported"},
	{"RFC8152/Appendix_C_[3456]_*.json", "not supported"},
	{"cbc-mac-examples/*", ""},
	{"aes-ccm-examples/*", ""},
	{"chacha-poly-examples/*", ""},
	{"rsa-*/*", ""},
	{"hkdf-*/*", ""},
	{"countersign*/*", ""},
	{"ecdh-direct-examples/*", ""},
	{"ecdh-wrap-examples/*-ss-*", "not supported"},
	{"ecdh-wrap-examples/p521-wrap-*", "not supported"},
	{"ecdh-wrap-examples/p256-wrap-192-*", "not supported"},
	{"ecdh-wrap-examples/p256-wrap-128-03*", "not supported"},
	{"ecdh-wrap-examples/p256-wrap-256-03*", "not supported"},
	{"aes-wrap-examples/*", ""},
	{"enveloped-tests/*", ""},
	{"aes-gcm-examples/aes-gcm-0*", ""},
	{"aes-gcm-examples/aes-gcm-enc-02*", "not supported"},
	{"aes-gcm-examples/aes-gcm-enc-04*", "verify"},
	{"hmac-examples/HMac-enc-0[235]*", "not supported"},
	{"hmac-examples/HMac-enc-04*", "verify"},
	{"hmac-examples/HMac-0*", ""},
	{"mac-tests/*", "not supported"},
	{"sign-tests/*", "not supported"},
	{"X25519-tests/*", ""},
	{"eddsa-examples/eddsa-sig-02*", "not supported"},
	{"eddsa-examples/eddsa-0*", "not supported"},
	{"ecdsa-examples/ecdsa-sig-0[234]*", "not supported"},
	{"ecdsa-examples/ecdsa-0*", "not supported"},
}

// glob returns the files of a pattern, and ticks them off.
func globExamples(t *testing.T, pattern string, left map[string]bool) []string {
	t.Helper()
	dir := filepath.Join(corpus(t), "cose-wg-examples")
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	for _, f := range files {
		if !left[f] {
			t.Errorf("%s is listed twice", f)
		}
		delete(left, f)
	}
	return files
}

// TestWorkingGroupExamples: every file of the collection opens, or is refused; none is left out.
func TestWorkingGroupExamples(t *testing.T) {
	all, err := filepath.Glob(filepath.Join(corpus(t), "cose-wg-examples", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, f := range all {
		left[f] = true
	}
	tags := map[string]string{"encrypted": "d0", "mac0": "d1", "sign0": "d2"}
	opened, negative, refused := 0, 0, 0
	for _, c := range inScope {
		files := globExamples(t, c.glob, left)
		if len(files) != c.open+c.bad {
			t.Fatalf("%s: %d files", c.glob, len(files))
		}
		good := 0
		for _, f := range files {
			ex, in := loadExample(t, f)
			name := filepath.Base(f)
			if strings.HasSuffix(name, "-pass-03.json") {
				if _, err := openExample(t, ex, in); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s: untagged message accepted: %v", name, err)
				}
				in = append(unhex(t, tags[c.untagged]), in...)
			}
			got, err := openExample(t, ex, in)
			if ex.Fail != (err != nil) {
				t.Errorf("%s: fail=%v, got %v", name, ex.Fail, err)
				continue
			}
			if err != nil {
				negative++
				continue
			}
			good++
			if !bytes.Equal(got, []byte(ex.Input.Plaintext)) && ex.Input.PlaintextHex != hex.EncodeToString(got) {
				t.Errorf("%s: content %q", name, got)
			}
		}
		if opened += good; good != c.open {
			t.Errorf("%s: opened %d, want %d", c.glob, good, c.open)
		}
	}
	for _, c := range outOfScope {
		for _, f := range globExamples(t, c.glob, left) {
			ex, in := loadExample(t, f)
			got, err := openExample(t, ex, in)
			if err == nil {
				t.Errorf("%s: accepted with content %q", filepath.Base(f), got)
				continue
			}
			if !strings.Contains(err.Error(), c.because) {
				t.Errorf("%s: refused with %q, want %q", filepath.Base(f), err, c.because)
			}
			refused++
		}
	}
	for f := range left {
		t.Errorf("%s is in no list", f)
	}
	t.Logf("%d files opened, %d negative ones refused, %d out of scope refused", opened, negative, refused)
}

type wycheproof struct {
	TestGroups []struct {
		IVSize, KeySize, TagSize int
		PublicKey                struct{ Uncompressed, PK string }
		Tests                    []struct {
			TcID                                     int
			Key, IV, AAD, Msg, CT, Tag, Sig, Result  string
			Public, Private, Shared, IKM, Salt, Info string
			Flags                                    []string
			Size                                     int
			OKM                                      string
		}
	}
}

func loadWycheproof(t *testing.T, name string) *wycheproof {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(corpus(t), "wycheproof", name))
	if err != nil {
		t.Fatal(err)
	}
	var w wycheproof
	if err := json.Unmarshal(raw, &w); err != nil {
		t.Fatal(err)
	}
	return &w
}

func TestWycheproofKeyWrap(t *testing.T) {
	ran := 0
	for _, g := range loadWycheproof(t, "aes_wrap_test.json").TestGroups {
		for _, c := range g.Tests {
			kek, msg, ct := unhex(t, c.Key), unhex(t, c.Msg), unhex(t, c.CT)
			if len(kek) == 24 || len(msg) > wrapMax {
				continue
			}
			ran++
			got, err := UnwrapKey(kek, ct)
			valid := err == nil && bytes.Equal(got, msg)
			// "acceptable" are 8-byte keys, which RFC 3394 leaves undefined.
			if valid != (c.Result == "valid") {
				t.Errorf("unwrap %d (%s, %v): %v", c.TcID, c.Result, c.Flags, err)
			}
			if c.Result == "valid" {
				if out, err := WrapKey(kek, msg); err != nil || !bytes.Equal(out, ct) {
					t.Errorf("wrap %d: %x, %v", c.TcID, out, err)
				}
			}
		}
	}
	if ran < 100 {
		t.Errorf("only %d cases ran", ran)
	}
}

func TestWycheproofSignatures(t *testing.T) {
	ran := 0
	for _, g := range loadWycheproof(t, "ecdsa_secp256r1_sha256_p1363_test.json").TestGroups {
		key, err := newEC2Public(unhex(t, g.PublicKey.Uncompressed))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range g.Tests {
			ran++
			if err := key.Verify(AlgES256, unhex(t, c.Msg), unhex(t, c.Sig)); (err == nil) != (c.Result == "valid") {
				t.Errorf("ES256 %d (%s): %v", c.TcID, c.Result, err)
			}
		}
	}
	for _, g := range loadWycheproof(t, "ed25519_test.json").TestGroups {
		key, err := NewEd25519PublicKey(unhex(t, g.PublicKey.PK))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range g.Tests {
			ran++
			if err := key.Verify(AlgEdDSA, unhex(t, c.Msg), unhex(t, c.Sig)); (err == nil) != (c.Result == "valid") {
				t.Errorf("EdDSA %d (%s): %v", c.TcID, c.Result, err)
			}
		}
	}
	if ran < 400 {
		t.Errorf("only %d cases ran", ran)
	}
}

func TestWycheproofECDH(t *testing.T) {
	ran := 0
	for _, g := range loadWycheproof(t, "ecdh_secp256r1_ecpoint_test.json").TestGroups {
		for _, c := range g.Tests {
			public := unhex(t, c.Public)
			d := unhex(t, c.Private)
			if len(d) > coordinateSize {
				d = d[len(d)-coordinateSize:]
			}
			private, err := newEC2Private(append(make([]byte, coordinateSize-len(d)), d...))
			if err != nil {
				t.Fatalf("%d: %v", c.TcID, err)
			}
			var p Point
			switch {
			case len(public) == 65 && public[0] == 4:
				p = Point{X: public[1:33], Y: public[33:]}
			case len(public) == 33 && (public[0] == 2 || public[0] == 3):
				p = Point{X: public[1:], Odd: public[0] == 3}
			default:
				continue
			}
			ran++
			var shared []byte
			point, err := p.ecdh()
			if err == nil {
				shared, err = private.ecdhPrivate.ECDH(point)
			}
			ok := err == nil && hex.EncodeToString(shared) == c.Shared
			if ok != (c.Result != "invalid") {
				t.Errorf("%d (%s %v): %v", c.TcID, c.Result, c.Flags, err)
			}
		}
	}
	if ran < 300 {
		t.Errorf("only %d cases ran", ran)
	}
}

func TestWycheproofSymmetric(t *testing.T) {
	ran := 0
	for _, g := range loadWycheproof(t, "aes_gcm_test.json").TestGroups {
		if g.IVSize != 96 || g.KeySize == 192 || g.TagSize != 128 {
			continue
		}
		for _, c := range g.Tests {
			k, err := NewSymmetricKey(unhex(t, c.Key))
			if err != nil {
				t.Fatal(err)
			}
			alg := AlgA128GCM
			if g.KeySize == 256 {
				alg = AlgA256GCM
			}
			aead, err := k.AEAD(alg)
			if err != nil {
				t.Fatal(err)
			}
			ran++
			got, err := aead.Open(nil, unhex(t, c.IV), append(unhex(t, c.CT), unhex(t, c.Tag)...), unhex(t, c.AAD))
			if ok := err == nil && bytes.Equal(got, unhex(t, c.Msg)); ok != (c.Result == "valid") {
				t.Errorf("GCM %d: %v", c.TcID, err)
			}
		}
	}
	if ran < 100 {
		t.Errorf("only %d cases ran", ran)
	}
}

// TestWycheproofDerived runs the files of the primitives that the standard library gives us, with the functions that are
// used here.
func TestWycheproofDerived(t *testing.T) {
	macs, keys := 0, 0
	for _, g := range loadWycheproof(t, "hmac_sha256_test.json").TestGroups {
		for _, c := range g.Tests {
			h := hmac.New(sha256.New, unhex(t, c.Key))
			h.Write(unhex(t, c.Msg))
			if ok := hmac.Equal(h.Sum(nil)[:g.TagSize/8], unhex(t, c.Tag)); ok != (c.Result == "valid") {
				t.Errorf("HMAC %d (%s): %v", c.TcID, c.Result, ok)
			}
			macs++
		}
	}
	for _, g := range loadWycheproof(t, "hkdf_sha256_test.json").TestGroups {
		for _, c := range g.Tests {
			out, err := hkdf.Key(sha256.New, unhex(t, c.IKM), unhex(t, c.Salt), string(unhex(t, c.Info)), c.Size)
			if ok := err == nil && hex.EncodeToString(out) == c.OKM; ok != (c.Result == "valid") {
				t.Errorf("HKDF %d (%s): %v", c.TcID, c.Result, err)
			}
			keys++
		}
	}
	if macs < 150 || keys < 80 {
		t.Errorf("only %d and %d cases ran", macs, keys)
	}
}
