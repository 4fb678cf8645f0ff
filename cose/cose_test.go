package cose

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newKey(t testing.TB, alg Algorithm) *Key {
	t.Helper()
	k, err := GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed0(t testing.TB, k *Key, payload, aad []byte) []byte {
	t.Helper()
	aead, err := k.AEAD(AlgA128GCM)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, 12)
	_, _ = rand.Read(iv)
	m := Encrypt0{Headers: Headers{
		Protected:   Header{Labels: HasAlg | HasKID, Alg: AlgA128GCM, KID: []byte{1, 2, 3, 4}},
		Unprotected: Header{Labels: HasIV, IV: iv},
	}}
	out, err := m.Seal(nil, aead, iv, payload, aad)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func open0(k *Key, msg, aad []byte) ([]byte, error) {
	var m Encrypt0
	if err := m.Parse(msg); err != nil {
		return nil, err
	}
	if m.Protected.Alg != AlgA128GCM {
		return nil, ErrUnsupported
	}
	aead, err := k.AEAD(m.Protected.Alg)
	if err != nil {
		return nil, err
	}
	return m.Open(nil, aead, m.Unprotected.IV, aad)
}

func TestEncrypt0RoundTrip(t *testing.T) {
	k := newKey(t, AlgA128GCM)
	rapid.Check(t, func(r *rapid.T) {
		payload := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(r, "payload")
		aad := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "aad")
		msg := sealed0(t, k, payload, aad)
		got, err := open0(k, msg, aad)
		if err != nil || !bytes.Equal(got, payload) {
			r.Fatalf("open: %x, %v", got, err)
		}
		if _, err := open0(k, msg, append(aad, 0)); !errors.Is(err, ErrVerify) {
			r.Fatalf("other AAD: %v", err)
		}
	})
}

func TestMac0RoundTrip(t *testing.T) {
	k := newKey(t, AlgHMAC256)
	m := Mac0{
		Headers: Headers{Protected: Header{Labels: HasAlg | HasKID, Alg: AlgHMAC256, KID: []byte("k")}},
		Payload: []byte("reading"),
	}
	msg, err := m.Append(nil, k.SymmetricBytes(), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	var got Mac0
	if err := got.Parse(msg); err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(k.SymmetricBytes(), []byte("aad")); err != nil {
		t.Errorf("verify: %v", err)
	}
	got.Tag = got.Tag[:16]
	if err := got.Verify(k.SymmetricBytes(), []byte("aad")); !errors.Is(err, ErrVerify) {
		t.Errorf("truncated tag: %v", err)
	}
}

func TestSign1RoundTrip(t *testing.T) {
	for _, alg := range []Algorithm{AlgES256, AlgEdDSA} {
		k := newKey(t, alg)
		m := Sign1{Headers: Headers{Protected: Header{Labels: HasAlg, Alg: alg}}, Payload: []byte{}}
		msg, err := m.Append(nil, k, []byte("aad"))
		if err != nil {
			t.Fatal(err)
		}
		var got Sign1
		if err := got.Parse(msg); err != nil {
			t.Fatal(err)
		}
		if err := got.Verify(k.Public(), []byte("aad")); err != nil {
			t.Errorf("%v: %v", alg, err)
		}
		if err := got.Verify(newKey(t, alg), []byte("aad")); !errors.Is(err, ErrVerify) {
			t.Errorf("%v under another key: %v", alg, err)
		}
		for i := range got.Signature {
			got.Signature[i] ^= 1
			if err := got.Verify(k, []byte("aad")); !errors.Is(err, ErrVerify) {
				t.Fatalf("%v: flipped byte %d: %v", alg, i, err)
			}
			got.Signature[i] ^= 1
		}
		if _, err := m.Append(nil, k.Public(), nil); !errors.Is(err, ErrKey) {
			t.Errorf("signing with a public key: %v", err)
		}
	}
}

func TestEncryptRoundTrip(t *testing.T) {
	for _, c := range []struct{ content, wrap Algorithm }{{AlgA128GCM, AlgECDHESA128KW}, {AlgA256GCM, AlgECDHESA256KW}} {
		for _, n := range []int{1, 2, MaxRecipients} {
			t.Run(fmt.Sprintf("%v to %d", c.wrap, n), func(t *testing.T) {
				var keys []*Key
				var to []RecipientKey
				for i := range n {
					k := newKey(t, c.wrap)
					keys = append(keys, k)
					to = append(to, RecipientKey{Alg: c.wrap, KID: []byte{byte(i)}, Key: k.Public()})
				}
				m := Encrypt{Headers: Headers{
					Protected:   Header{Labels: HasAlg, Alg: c.content},
					Unprotected: Header{Labels: HasIV, IV: make([]byte, 12)},
				}}
				msg, err := m.Seal(nil, nil, to, []byte("secret"), []byte("aad"))
				if err != nil {
					t.Fatal(err)
				}
				var got Encrypt
				if err := got.Parse(msg); err != nil {
					t.Fatal(err)
				}
				for i, k := range keys {
					plain, err := got.Open(nil, i, k, []byte("aad"))
					if err != nil || string(plain) != "secret" {
						t.Errorf("recipient %d: %q, %v", i, plain, err)
					}
				}
				if _, err := got.Open(nil, 0, newKey(t, c.wrap), []byte("aad")); !errors.Is(err, ErrVerify) {
					t.Errorf("stranger: %v", err)
				}
			})
		}
	}
}

// A compressed ephemeral key opens too, and a point off the curve never does.
func TestEphemeralPoint(t *testing.T) {
	k := newKey(t, AlgECDHESA128KW)
	p := Point{X: k.x, Odd: k.y[31]&1 == 1}
	b, err := p.uncompressed()
	if err != nil || !bytes.Equal(b[33:], k.y) {
		t.Fatalf("decompressed %x, %v; want y %x", b, err, k.y)
	}
	for name, p := range map[string]Point{
		"off the curve":         {X: k.x, Y: k.x},
		"zero":                  {X: make([]byte, 32), Y: make([]byte, 32)},
		"x above the prime":     {X: bytes.Repeat([]byte{0xff}, 32)},
		"no y for this x":       {X: append(make([]byte, 31), 1)}, // 1 - 3 + b is not a square
		"uncompressed over 2^n": {X: bytes.Repeat([]byte{0xff}, 32), Y: k.y},
	} {
		if _, err := p.ecdh(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRefusedMessages(t *testing.T) {
	k := newKey(t, AlgA128GCM)
	good := hex.EncodeToString(sealed0(t, k, []byte("x"), nil))
	const iv = "054c000000000000000000000000"
	const ct = "51" + "0000000000000000000000000000000000"
	for _, c := range []struct{ name, in string }{
		{"untagged", good[2:]},
		{"tag of another structure", "d1" + good[2:]},
		{"tag twice", "d0" + good},
		{"self-described inside", "d0d9d9f7" + good[2:]},
		{"trailing byte", good + "00"},
		{"truncated", good[:len(good)-2]},
		{"nil ciphertext", "d08343a10101a1" + iv + "f6"},
		{"two elements", "d08243a10101a1" + iv},
		{"four elements", "d08443a10101a1" + iv + ct + "40"},
		{"crit", "d08347a2010102810105" + "a1" + iv + ct},
		{"unknown label", "d08346a201011818" + "00a1" + iv + ct},
		{"text label", "d08345a1616101" + "00a1" + iv + ct},
		{"countersignature", "d08343a10101a2" + iv + "0b40" + ct},
		{"label twice", "d08345a201010101a1" + iv + ct},
		{"label in both buckets", "d08343a10101a2" + "0101" + iv + ct},
		{"protected with trailing byte", "d08344a1010100a1" + iv + ct},
		{"protected not a map", "d0834180a1" + iv + ct},
		{"text algorithm", "d08344a1016161a1" + iv + ct},
		{"text content type", "d08346a20101036161a1" + iv + ct},
		{"content type 65536", "d0834aa20101031a00010000a1" + iv + ct},
		{"empty claims", "d08345a201010fa0a1" + iv + ct},
		{"claim iss", "d08347a201010fa10100a1" + iv + ct},
		{"negative iat", "d08347a201010fa10620a1" + iv + ct},
		{"time 2^53", "d0834fa201010fa1061b0020000000000000a1" + iv + ct},
		{"indefinite map", "d08345bf0101ff" + "a1" + iv + ct},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m Encrypt0
			if err := m.Parse(unhex(t, c.in)); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
		})
	}
}

func TestRecipientLimits(t *testing.T) {
	body := "d8608443a10101a1054c" + "000000000000000000000000" + "50" + "00000000000000000000000000000000"
	rec := "8340a040"
	var m Encrypt
	for n, ok := range map[int]bool{0: false, 1: true, 16: true, 17: false} {
		in := fmt.Sprintf("%s%02x", body, 0x80+n)
		for range n {
			in += rec
		}
		if err := m.Parse(unhex(t, in)); (err == nil) != ok {
			t.Errorf("%d recipients: %v", n, err)
		}
	}
	if err := m.Parse(unhex(t, body+"81"+"8440a04080")); !errors.Is(err, ErrMalformed) {
		t.Errorf("nested recipients: %v", err)
	}
}

// Unsupported algorithms are refused, and the error says which one it was.
func TestAlgorithmsRefusedByName(t *testing.T) {
	for alg, name := range map[Algorithm]string{
		-65534: "A128CTR does not authenticate: not supported", -65529: "A256CBC does not authenticate: not supported",
		2: "A192GCM: not supported", 24: "ChaCha20/Poly1305: not supported", 4: "HMAC 256/64: not supported",
		-6: "direct: not supported", -257: "RS256: not supported", 0: "algorithm 0: not supported", -999: "algorithm -999: not supported",
	} {
		if err := alg.Check(); !errors.Is(err, ErrUnsupported) || err.Error() != name {
			t.Errorf("%d: %v", alg, err)
		}
		if _, err := GenerateKey(alg); !errors.Is(err, ErrUnsupported) {
			t.Errorf("generate %d: %v", alg, err)
		}
		if _, err := newKey(t, AlgA128GCM).AEAD(alg); !errors.Is(err, ErrUnsupported) {
			t.Errorf("AEAD %d: %v", alg, err)
		}
	}
	for alg := range allowedNames {
		if err := alg.Check(); err != nil {
			t.Error(err)
		}
		if _, both := refusedNames[alg]; both {
			t.Errorf("%v is allowed and refused", alg)
		}
	}
}

func TestKeyCodec(t *testing.T) {
	for _, alg := range []Algorithm{AlgA128GCM, AlgA256GCM, AlgHMAC256, AlgES256, AlgEdDSA, AlgECDHESA128KW} {
		k := newKey(t, alg)
		b, err := AppendKey(nil, k, KeyInfo{KID: []byte("kid"), Alg: alg}, true)
		if err != nil {
			t.Fatal(err)
		}
		got, info, err := ParseKey(b)
		if err != nil || !got.Equal(k) || string(info.KID) != "kid" || info.Alg != alg {
			t.Errorf("%v: %v %v %v", alg, got, info, err)
		}
		public, err := AppendKey(nil, k, KeyInfo{}, false)
		if k.Type() == KeySymmetric {
			if !errors.Is(err, ErrKey) {
				t.Errorf("public half of %v: %v", k, err)
			}
			continue
		}
		got, _, err = ParseKey(public)
		if err != nil || got.Private() || got.Thumbprint() != k.Thumbprint() || bytes.Contains(public, k.secret) {
			t.Errorf("public %v: %v %v", alg, got, err)
		}
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	for _, alg := range []Algorithm{AlgA128GCM, AlgES256, AlgEdDSA} {
		k := newKey(t, alg)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			out := fmt.Sprintf(verb, k)
			if out != k.String() || bytes.Contains([]byte(out), []byte(hex.EncodeToString(k.secret))) {
				t.Errorf("%s prints %q", verb, out)
			}
		}
		if js, err := json.Marshal(k); err != nil || string(js) != fmt.Sprintf("%q", k.String()) {
			t.Errorf("JSON: %s, %v", js, err)
		}
	}
}

// Worked example of RFC 9679 §6: the thumbprint of an EC2 key.
func TestThumbprintRFC9679(t *testing.T) {
	key, _, err := ParseKey(unhex(t, "a40102200121582065eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d"+
		"2258201e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c"))
	if err != nil {
		t.Fatal(err)
	}
	got := key.Thumbprint()
	const want = "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"
	if hex.EncodeToString(got[:]) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}
