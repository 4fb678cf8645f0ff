package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sealmq/sealmq/internal/identity"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func edJWK(kid string, key ed25519.PublicKey) string {
	return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}`, kid, b64(key))
}

func rsaJWK(kid string, key *rsa.PublicKey) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":%q,"n":%q,"e":%q}`, kid, b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes()))
}

func keyFile(t testing.TB, jwks ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, []byte(`{"keys":[`+strings.Join(jwks, ",")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func jwtOptions(file string, algorithms ...Algorithm) func(*Options) {
	return func(o *Options) {
		o.JWT = &JWTOptions{File: file, Issuer: "https://id.example", Audience: "mqtt", NameClaim: "sub", Algorithms: algorithms, Refresh: time.Hour}
	}
}

// token signs claims; a nil value removes a claim or a header.
func token(t testing.TB, m jwt.SigningMethod, key any, header, claims map[string]any) string {
	t.Helper()
	c := jwt.MapClaims{"iss": "https://id.example", "aud": "mqtt", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	tok := jwt.NewWithClaims(m, c)
	tok.Header["kid"] = "k1"
	set := func(to, from map[string]any) {
		for k, v := range from {
			to[k] = v
			if v == nil {
				delete(to, k)
			}
		}
	}
	set(c, claims)
	set(tok.Header, header)
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJWT(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	l := newLogin(t, jwtOptions(keyFile(t, edJWK("k1", public), rsaJWK("r", &rsaKey.PublicKey),
		fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"e","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:]))), EdDSA, ES256))
	ed := func(header, claims map[string]any) string {
		return token(t, jwt.SigningMethodEdDSA, private, header, claims)
	}
	type m = map[string]any
	past, future := time.Now().Add(-time.Minute).Unix(), time.Now().Add(time.Minute).Unix()
	good := ed(nil, nil)
	parts := strings.Split(good, ".")
	for _, c := range []struct {
		name, token string
		why         string // "": accepted
	}{
		{"good", good, ""},
		{"ES256", token(t, jwt.SigningMethodES256, ec, m{"kid": "e"}, nil), ""},
		{"no kid, one key", ed(m{"kid": nil}, nil), ""},
		{"audiences", ed(nil, m{"aud": []string{"other", "mqtt"}}), ""},
		{"jku, x5u, jwk are not looked at", ed(m{"jku": "https://evil.example", "x5u": "https://evil.example", "jwk": m{"kty": "OKP"}}, nil), ""},
		{"own key in the header", token(t, jwt.SigningMethodEdDSA, stranger, m{"jwk": m{"kty": "OKP", "crv": "Ed25519", "x": b64(stranger.Public().(ed25519.PublicKey))}}, nil), "signature"},
		{"stranger", token(t, jwt.SigningMethodEdDSA, stranger, nil, nil), "signature"},
		{"none", token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil), ""},
		{"HS256 with the public key", token(t, jwt.SigningMethodHS256, []byte(public), nil, nil), "signature"},
		{"RS256 is not listed", token(t, jwt.SigningMethodRS256, rsaKey, m{"kid": "r"}, nil), "signature"},
		{"kid of another algorithm", ed(m{"kid": "r"}, nil), "kid"},
		{"unknown kid", ed(m{"kid": "../../k1"}, nil), "kid"},
		{"long kid", ed(m{"kid": strings.Repeat("k", maxKid+1)}, nil), "header"},
		{"longest kid", ed(m{"kid": strings.Repeat("k", maxKid)}, nil), "kid and alg"},
		{"no typ", ed(m{"typ": nil}, nil), ""},
		{"typ of an access token", ed(m{"typ": "at+JWT"}, nil), ""},
		{"kid is a number", ed(m{"kid": 1}, nil), "header"},
		{"crit", ed(m{"crit": []string{"exp"}}, nil), "header"},
		{"typ", ed(m{"typ": "dpop+jwt"}, nil), "header"},
		{"expired", ed(nil, m{"exp": past}), "exp"},
		{"just expired", ed(nil, m{"exp": time.Now().Add(-time.Second).Unix()}), "exp"},
		{"no exp", ed(nil, m{"exp": nil}), "exp"},
		{"exp is text", ed(nil, m{"exp": "never"}), "expected"},
		{"not yet", ed(nil, m{"nbf": future}), "nbf"},
		{"from the future", ed(nil, m{"iat": future}), "iat"},
		{"issuer", ed(nil, m{"iss": "https://evil.example"}), "iss"},
		{"no issuer", ed(nil, m{"iss": nil}), "iss"},
		{"audience", ed(nil, m{"aud": "other"}), "aud"},
		{"no audience", ed(nil, m{"aud": nil}), "aud"},
		{"no subject", ed(nil, m{"sub": nil}), "sub"},
		{"subject is a number", ed(nil, m{"sub": 7}), "sub"},
		{"subject with a wildcard", ed(nil, m{"sub": "#"}), "sub"},
		{"changed", parts[0] + "." + b64([]byte(`{"sub":"root"}`)) + "." + parts[2], "expected"},
		{"no signature", parts[0] + "." + parts[1] + ".", "signature"},
		{"padding", good + "=", "expected"},
		{"rubbish", "eyJ.eyJ.x", "form"},
		{"as long as it may be", "eyJ" + strings.Repeat("x", maxToken-5) + "..", "form"},
		{"too long", "eyJ" + strings.Repeat("x", maxToken-4) + "..", "length"},
	} {
		v := authenticate(t, l, local(), &identity.Credentials{Level: 5, HasPassword: true, Password: []byte(c.token)})
		if c.name == "none" {
			c.why = "signature"
		}
		if c.why == "" {
			wantAccepted(t, v, identity.Principal{Method: "jwt", Issuer: "https://id.example", Name: "alice"})
			if left := time.Until(v.ExpiresAt); left < 59*time.Minute || left > time.Hour {
				t.Errorf("%s: expires in %v", c.name, left)
			}
		} else {
			t.Log(c.name, v.Cause)
			wantRefused(t, v, identity.NotAuthenticated, "jwt: ", c.why)
			if v.Cause != nil && strings.Contains(v.Cause.Error(), parts[2]) {
				t.Errorf("%s: the cause shows the token", c.name)
			}
		}
	}
	wantAccepted(t, authenticate(t, l, local(), &identity.Credentials{Level: 5, Method: TokenMethod, Data: []byte(good)}),
		identity.Principal{Method: "jwt", Issuer: "https://id.example", Name: "alice"})
	wantRefused(t, authenticate(t, l, local(), userPassword("root", good)), identity.NotAuthenticated, "CONNECT")
	wantAccepted(t, authenticate(t, l, local(), userPassword("alice", good)), identity.Principal{Method: "jwt", Issuer: "https://id.example", Name: "alice"})
	remote := from("192.0.2.1:1")
	remote.TLS = nil
	wantRefused(t, authenticate(t, l, remote, userPassword("", good)), identity.NotPermitted, "clear text")

	both := newLogin(t, jwtOptions(keyFile(t, rsaJWK("r", &rsaKey.PublicKey)), RS256))
	v := authenticate(t, both, local(), userPassword("", token(t, jwt.SigningMethodRS256, rsaKey, m{"kid": "r"}, nil)))
	wantAccepted(t, v, identity.Principal{Method: "jwt", Issuer: "https://id.example", Name: "alice"})
}

func TestBadKeySets(t *testing.T) {
	ed := edJWK("k", make(ed25519.PublicKey, 32))
	small := rsaJWK("s", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537})
	for _, s := range []string{
		``, `[]`, `{}`, `{"keys":[]}`, `{"keys":[{"kty":"EC","crv":"P-521"}]}`,
		`{"keys":[` + ed + `,` + ed + `]}`,
		`{"keys":[` + small + `]}`,
		`{"keys":[` + strings.Replace(ed, `}`, `,"d":"AAAA"}`, 1) + `]}`,
		`{"keys":[{"kty":"oct","k":"AAAA"},` + ed + `]}`,
		`{"keys":[` + strings.Replace(ed, `}`, `,"use":"enc"}`, 1) + `]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}]}`,
		`{"keys":[` + strings.Repeat(ed+",", maxSetKeys) + ed + `]}`,
	} {
		if k, err := parseKeySet([]byte(s)); err == nil {
			t.Errorf("%.80s is read as %d keys", s, len(k.keys))
		}
	}
}

// FuzzParseKeySet: a set that is taken has keys, each of a kind that is used, none twice.
func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[` + edJWK("k", make(ed25519.PublicKey, 32)) + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseKeySet(b)
		if err != nil {
			return
		}
		if len(s.keys) == 0 || len(s.keys) > maxSetKeys {
			t.Fatalf("%d keys", len(s.keys))
		}
		for _, k := range s.keys {
			got, err := s.find(t.Context(), k.kid, algorithmOf(k.key))
			if eq, ok := k.key.(interface{ Equal(crypto.PublicKey) bool }); k.kid != "" && (err != nil || !ok || !eq.Equal(got)) {
				t.Fatalf("key %q: %v", k.kid, err)
			}
		}
	})
}

// TestRemoteKeys: fetched once for many logins, again for an unknown kid but not for each, never by redirect.
func TestRemoteKeys(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	var asked atomic.Int32
	var redirect atomic.Bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if redirect.Load() {
			http.Redirect(w, r, "/other", http.StatusFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []json.RawMessage{json.RawMessage(edJWK("k1", public))}})
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	remote := func(ca string) *Login {
		return newLogin(t, func(o *Options) {
			jwtOptions("", EdDSA)(o)
			o.JWT.URL, o.JWT.CA = server.URL, ca
		})
	}
	good := userPassword("", token(t, jwt.SigningMethodEdDSA, private, nil, nil))
	unknown := userPassword("", token(t, jwt.SigningMethodEdDSA, private, map[string]any{"kid": "x"}, nil))
	l := remote(ca)
	for range 3 {
		wantAccepted(t, authenticate(t, l, local(), good), identity.Principal{Method: "jwt", Issuer: "https://id.example", Name: "alice"})
		wantRefused(t, authenticate(t, l, local(), unknown), identity.NotAuthenticated)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	wantRefused(t, authenticate(t, remote(""), local(), good), identity.Busy, "key set") // the authority is not known
	redirect.Store(true)
	wantRefused(t, authenticate(t, remote(ca), local(), good), identity.Busy, "redirects")
}
