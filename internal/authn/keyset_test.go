package authn

import (
	"context"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// jwkWith is a key with further members, or other values for those it has.
func jwkWith(t *testing.T, key string, members map[string]any) string {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(key), &m); err != nil {
		t.Fatal(err)
	}
	for k, v := range members {
		m[k] = v
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func testRSA(bits uint, e int) string {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return rsaJWK("r", &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: e})
}

// TestKeySetBounds: each member of a key is looked at: what is for something else is left out, what is wrong is an error.
func TestKeySetBounds(t *testing.T) {
	type m = map[string]any
	ed := edJWK("k", make(ed25519.PublicKey, 32))
	g := elliptic.P256().Params()
	ec := fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"e","x":%q,"y":%q}`, b64(g.Gx.FillBytes(make([]byte, 32))), b64(g.Gy.FillBytes(make([]byte, 32))))
	r := testRSA(2048, 65537)
	many := func(n int) string {
		var keys []string
		for i := range n {
			keys = append(keys, jwkWith(t, ed, m{"kid": fmt.Sprint(i)}))
		}
		return strings.Join(keys, ",")
	}
	padded := func(size int) string {
		return ed + strings.Repeat(" ", size-len(`{"keys":[`+ed+`]}`))
	}
	for _, c := range []struct {
		name, keys string
		want       string // the algorithms that are left, or ! and the error
	}{
		{"one of each", ed + "," + ec + "," + r, "EdDSA ES256 RS256"},
		{"for signatures", jwkWith(t, ed, m{"use": "sig"}), "EdDSA"},
		{"to verify with", jwkWith(t, ed, m{"key_ops": []string{"verify"}}), "EdDSA"},
		{"for encryption", ec + "," + jwkWith(t, ed, m{"use": "enc"}), "ES256"},
		{"to derive with", ec + "," + jwkWith(t, ed, m{"key_ops": []string{"deriveBits"}}), "ES256"},
		{"its algorithm", jwkWith(t, ed, m{"alg": "EdDSA"}), "EdDSA"},
		{"its algorithm by its newer name", jwkWith(t, ed, m{"alg": "Ed25519"}), "EdDSA"},
		{"another algorithm", ed + "," + jwkWith(t, ec, m{"alg": "ES384"}), "EdDSA"},
		{"an algorithm of another kind", ed + "," + jwkWith(t, ec, m{"alg": "Ed25519"}), "EdDSA"},
		{"the algorithm of another kind", ec + "," + jwkWith(t, ed, m{"alg": "ES256"}), "ES256"},
		{"another padding", ed + "," + jwkWith(t, r, m{"alg": "PS256"}), "EdDSA"},
		{"one kid, two algorithms", ed + "," + jwkWith(t, ec, m{"kid": "k"}), "EdDSA ES256"},
		{"one algorithm, two kids", ed + "," + jwkWith(t, ed, m{"kid": "k2"}), "EdDSA EdDSA"},
		{"one kid twice", ed + "," + ed, "!two EdDSA keys"},
		{"a kind from the future", ed + `,{"kty":"AKP","kid":"q"}`, "EdDSA"},
		{"X25519", ec + "," + jwkWith(t, ed, m{"crv": "X25519"}), "ES256"},
		{"a curve of another kind", ec + "," + jwkWith(t, ed, m{"crv": "P-256"}), "ES256"},
		{"a kind of another curve", ed + "," + jwkWith(t, ec, m{"crv": "Ed25519"}), "EdDSA"},
		{"EC on X25519's kind", ec + "," + jwkWith(t, ed, m{"kty": "EC"}), "ES256"},
		{"private", jwkWith(t, ed, m{"d": "AAAA"}), "!holds a secret"},
		{"symmetric", ed + `,{"kty":"oct","k":"AAAA"}`, "!holds a secret"},
		{"longest kid", jwkWith(t, ed, m{"kid": strings.Repeat("k", maxKid)}), "EdDSA"},
		{"kid too long", jwkWith(t, ed, m{"kid": strings.Repeat("k", maxKid+1)}), "!kid is longer"},
		{"x of Ed25519 is not base64", jwkWith(t, ed, m{"x": "!"}), "!illegal base64"},
		{"x is short", jwkWith(t, ec, m{"x": "AAAA"}), "!a coordinate has 3 bytes"},
		{"y is not base64", jwkWith(t, ec, m{"y": "!"}), "!illegal base64"},
		{"n is not base64", jwkWith(t, r, m{"n": "!"}), "!illegal base64"},
		{"e is not base64", jwkWith(t, r, m{"e": "!"}), "!illegal base64"},
		{"smallest RSA", testRSA(minRSA, 3), "RS256"},
		{"RSA too small", testRSA(minRSA-1, 3), "!2047 bits"},
		{"largest RSA", testRSA(maxRSA, 1<<31-1), "RS256"},
		{"RSA too large", testRSA(maxRSA+1, 3), "!8193 bits"},
		{"exponent 1", testRSA(2048, 1), "!exponent"},
		{"even exponent", testRSA(2048, 4), "!exponent"},
		{"exponent too large", jwkWith(t, r, m{"e": b64([]byte{0x80, 0, 0, 1})}), "!exponent"},
		{"exponent of five bytes that looks small", jwkWith(t, r, m{"e": b64([]byte{0, 0, 1, 0, 1})}), "!exponent"},
		{"as many keys as there may be", many(maxSetKeys), strings.TrimSpace(strings.Repeat("EdDSA ", maxSetKeys))},
		{"a key more", many(maxSetKeys + 1), "!more than 100 keys"},
		{"as long as it may be", padded(maxKeySet), "EdDSA"},
		{"a byte more", padded(maxKeySet + 1), "!longer than"},
		{"no object", `]`, "!not a JWK Set"},
	} {
		s, err := parseKeySet([]byte(`{"keys":[` + c.keys + `]}`))
		var got []string
		if err == nil {
			for _, k := range s.keys {
				got = append(got, string(algorithmOf(k.key)))
			}
		}
		if why, bad := strings.CutPrefix(c.want, "!"); bad && (err == nil || !strings.Contains(err.Error(), why)) ||
			!bad && (err != nil || strings.Join(got, " ") != c.want) {
			t.Errorf("%s: %v, %v, want %s", c.name, got, err, c.want)
		}
	}
}

// TestKeySetFile: an error of the file says which one.
func TestKeySetFile(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long")
	if err := os.WriteFile(long, []byte(`{"keys":[`+edJWK("k", make(ed25519.PublicKey, 32))+`]}`+strings.Repeat(" ", maxKeySet)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "missing"), dir, long} {
		if _, err := loadKeySet(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := newJWT(&JWTOptions{File: path}, nil); err == nil {
			t.Errorf("%s is taken", path)
		}
	}
	for _, path := range []string{filepath.Join(dir, "missing"), dir, long} { // no PEM in the last
		if _, err := newJWT(&JWTOptions{URL: "https://id.example", CA: path}, nil); err == nil || !strings.Contains(err.Error(), "authorities") {
			t.Errorf("authorities %s: %v", path, err)
		}
	}
}

// keyServer answers for an address without a network, under the clock of synctest.
type keyServer struct {
	kids   []string
	status int
	down   bool
	pad    int
	asked  int
}

func (s *keyServer) RoundTrip(*http.Request) (*http.Response, error) {
	s.asked++
	if s.down {
		return nil, fs.ErrClosed
	}
	var keys []string
	for _, kid := range s.kids {
		keys = append(keys, edJWK(kid, make(ed25519.PublicKey, 32)))
	}
	body := `{"keys":[` + strings.Join(keys, ",") + `]}` + strings.Repeat(" ", s.pad)
	return &http.Response{StatusCode: s.status, Status: fmt.Sprint(s.status), Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestRemoteKeysOverTime: when keys are asked for again, and until when old ones count.
func TestRemoteKeysOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{kids: []string{"a"}, status: http.StatusOK}
		r := &remoteKeys{url: "https://id.example", refresh: time.Hour, client: &http.Client{Transport: s}, log: slog.New(slog.DiscardHandler)}
		noKey := errNoKey.Error()
		var stages []string
		at := func(what, kid, want string, asked int) {
			t.Helper()
			stages = append(stages, what)
			_, err := r.find(context.Background(), kid, EdDSA)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%v: %v, want %q", stages, err, want)
			}
			var unavailable *keysUnavailable
			if errors.As(err, &unavailable) != (want != "" && want != noKey) {
				t.Errorf("%v: %v is of the wrong class", stages, err)
			}
			if errors.Is(err, fs.ErrClosed) != (want == "closed") {
				t.Errorf("%v: %v hides its reason", stages, err)
			}
			if s.asked != asked {
				t.Errorf("%v: asked %d times, want %d", stages, s.asked, asked)
			}
		}
		const refused, status, long = "closed", "answers", "longer than"
		s.down = true
		at("the first time, and nobody answers", "a", refused, 1)
		s.down = false
		time.Sleep(fetchPause - 1)
		at("too early to ask again", "a", refused, 1)
		time.Sleep(time.Nanosecond)
		s.status = http.StatusTeapot
		at("another status", "a", status, 2)
		time.Sleep(fetchPause)
		s.status, s.pad = http.StatusOK, maxKeySet
		at("a long answer", "a", long, 3)
		time.Sleep(fetchPause)
		s.pad = 0
		at("keys", "a", "", 4)
		time.Sleep(fetchPause)
		at("keys that are young", "a", "", 4)
		s.kids = []string{"a", "b"}
		at("an unknown kid", "b", "", 5)
		at("another unknown kid", "c", noKey, 5)
		time.Sleep(fetchPause)
		at("no kid, and two keys: asking would not help", "", noKey, 5)
		s.kids = []string{"b"}
		at("an unknown kid again", "c", noKey, 6)
		at("a key that was withdrawn", "a", noKey, 6)
		time.Sleep(time.Hour - 1)
		at("nearly old", "b", "", 6)
		time.Sleep(time.Nanosecond)
		at("old", "b", "", 7)
		fetched := time.Now()
		s.down = true
		for i := 1; i < staleFactor; i++ {
			time.Sleep(time.Hour)
			at("old, and nobody answers", "b", "", 7+i)
		}
		time.Sleep(time.Until(fetched.Add(staleFactor*time.Hour - 1)))
		at("nearly too old", "b", "", 7+staleFactor)
		time.Sleep(time.Nanosecond)
		at("too old", "b", refused, 7+staleFactor)
		s.down = false
		time.Sleep(fetchPause)
		at("answered again", "b", "", 8+staleFactor)
	})
}
