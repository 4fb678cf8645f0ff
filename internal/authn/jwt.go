package authn

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sealmq/sealmq/internal/identity"
)

// Algorithm is how a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
type Algorithm string

// The algorithms that can be listed. Symmetric ones are not among them, and neither is "none".
const (
	EdDSA Algorithm = "EdDSA"
	ES256 Algorithm = "ES256"
	RS256 Algorithm = "RS256"
)

// JWTOptions are the settings of the JWT method.
type JWTOptions struct {
	File       string // JWK Set; excludes URL
	URL        string // https address of a JWK Set
	CA         string // PEM file of the authorities that URL is verified with; "": those of the system
	Refresh    time.Duration
	Issuer     string // iss must be this
	Audience   string // aud must contain this
	Algorithms []Algorithm
	NameClaim  string // claim with the user name
}

// TokenMethod is the Authentication Method under which MQTT 5 clients send a token as Authentication Data. They can
// renew it on the same connection by re-authentication.
const TokenMethod = "JWT"

const (
	maxToken = 16 << 10 // bytes
	maxKid   = 128      // bytes
	leeway   = 10 * time.Second
)

// jwtMethod logs in with a signed token (RFC 7519), sent as password or as the data of the Authentication Method JWT.
// Keys come from the configured set only: jku, jwk, x5u and x5c in a token are not looked at.
type jwtMethod struct {
	options JWTOptions
	keys    keySource
	parser  *jwt.Parser
}

// keySource finds the key for a token.
type keySource interface {
	find(ctx context.Context, kid string, alg Algorithm) (crypto.PublicKey, error)
}

func newJWT(o *JWTOptions, log *slog.Logger) (*jwtMethod, error) {
	var keys keySource
	var err error
	if o.File != "" {
		keys, err = loadKeySet(o.File)
	} else {
		keys, err = newRemoteKeys(o, log)
	}
	if err != nil {
		return nil, err
	}
	algorithms := make([]string, len(o.Algorithms))
	for i, a := range o.Algorithms {
		algorithms[i] = string(a)
	}
	return &jwtMethod{options: *o, keys: keys, parser: jwt.NewParser(
		jwt.WithValidMethods(algorithms), jwt.WithExpirationRequired(), jwt.WithIssuer(o.Issuer), jwt.WithAudience(o.Audience),
		jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithStrictDecoding(),
	)}, nil
}

func (j *jwtMethod) name() string { return "jwt" }

func (j *jwtMethod) recognises(_ *identity.Evidence, cr *identity.Credentials) bool {
	return cr.Method == TokenMethod || cr.Method == "" && looksLikeToken(cr.Password)
}

// looksLikeToken reports whether a password has the form of a JWS in compact serialization: a JSON object in base64url,
// which begins with eyJ, and two more parts.
func looksLikeToken(p []byte) bool {
	return strings.HasPrefix(string(p), "eyJ") && strings.Count(string(p), ".") == 2
}

// claimed gives no name: what an unverified token says about itself is nothing to count by.
func (j *jwtMethod) claimed(cr *identity.Credentials) string { return cr.Username }

func (j *jwtMethod) sendsSecret(*identity.Credentials) bool { return true }

func (j *jwtMethod) authenticate(ctx context.Context, _ *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	token := cr.Password
	if cr.Method == TokenMethod {
		token = cr.Data
	}
	if len(token) > maxToken {
		return j.deny("token length", fmt.Sprintf("at most %d bytes", maxToken), fmt.Sprint(len(token)), nil)
	}
	claims := jwt.MapClaims{}
	t, err := j.parser.ParseWithClaims(string(token), claims, func(t *jwt.Token) (any, error) { return j.key(ctx, t) })
	if err != nil || !t.Valid { // each implies the other in the library as it is
		return j.refused(err)
	}
	expires, err := claims.GetExpirationTime() // the parser wanted one; here the leeway ends
	if err != nil || expires == nil || !time.Now().Before(expires.Time) {
		return j.deny("exp", "a time in the future", "one that has passed", err)
	}
	name, _ := claims[j.options.NameClaim].(string) // another type becomes "", which is refused
	if err := plainName(name, "#+*"); err != nil {
		return j.deny("claim "+j.options.NameClaim, "a user name", quote(name), err)
	}
	if cr.Username != "" && cr.Username != name {
		return j.deny("user name of CONNECT", quote(name)+" as in the token, or none", quote(cr.Username), nil)
	}
	v := accept(j.name(), j.options.Issuer, name)
	v.ExpiresAt = expires.Time
	return v
}

func (j *jwtMethod) deny(check, expected, found string, err error) identity.Verdict {
	return reject(identity.NotAuthenticated, j.name(), check, expected, found, err)
}

// refused names the check that a token did not pass.
func (j *jwtMethod) refused(err error) identity.Verdict {
	var unavailable *keysUnavailable
	if errors.As(err, &unavailable) {
		return reject(identity.Busy, j.name(), "key set", "one that could be read", "", unavailable)
	}
	for _, c := range []struct {
		is              error
		check, expected string
	}{
		{jwt.ErrTokenExpired, "exp", "a time in the future"},
		{jwt.ErrTokenNotValidYet, "nbf", "a time in the past"},
		{jwt.ErrTokenUsedBeforeIssued, "iat", "a time in the past"},
		{jwt.ErrTokenInvalidIssuer, "iss", quote(j.options.Issuer)},
		{jwt.ErrTokenInvalidAudience, "aud", quote(j.options.Audience)},
		{jwt.ErrTokenRequiredClaimMissing, "claims", "exp, iss and aud"},
		{errTokenHeader, "header", "typ JWT, a bounded kid, no crit"},
		{errNoKey, "kid and alg", "a key of the set"},
		{jwt.ErrTokenMalformed, "form", "a JWS in compact serialization"},
		{jwt.ErrTokenSignatureInvalid, "signature", fmt.Sprintf("one of %v by a key of the set", j.options.Algorithms)},
	} {
		if errors.Is(err, c.is) {
			return j.deny(c.check, c.expected, "another", nil)
		}
	}
	return j.deny("token", "a valid one", "another", nil)
}

var (
	errTokenHeader = errors.New("token header")
	errNoKey       = errors.New("no key for the token")
)

// key checks the header of a token whose algorithm is on the list, and finds its key (RFC 7515 §4).
func (j *jwtMethod) key(ctx context.Context, t *jwt.Token) (any, error) {
	kid, isText := t.Header["kid"].(string)
	if _, given := t.Header["kid"]; given && !isText || len(kid) > maxKid {
		return nil, errTokenHeader
	}
	if _, given := t.Header["crit"]; given { // no extension is understood, so §4.1.11 says: refuse
		return nil, errTokenHeader
	}
	if typ, given := t.Header["typ"]; given {
		s, _ := typ.(string)
		if !slices.Contains([]string{"jwt", "at+jwt", "application/at+jwt"}, strings.ToLower(s)) {
			return nil, errTokenHeader
		}
	}
	return j.keys.find(ctx, kid, Algorithm(t.Method.Alg()))
}

// algorithmOf is the one algorithm that a key is used with.
func algorithmOf(key crypto.PublicKey) Algorithm {
	switch key.(type) {
	case ed25519.PublicKey:
		return EdDSA
	case *ecdsa.PublicKey:
		return ES256
	case *rsa.PublicKey:
		return RS256
	default:
		return ""
	}
}
