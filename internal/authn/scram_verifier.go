package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/xdg-go/scram"
)

// Mechanism is a SCRAM mechanism without channel binding in its name, as in RFC 7677.
type Mechanism string

// The mechanisms. SCRAM-SHA-1 is not offered.
const (
	SCRAMSHA256 Mechanism = "SCRAM-SHA-256"
	SCRAMSHA512 Mechanism = "SCRAM-SHA-512"
)

// Mechanisms are all there are.
var Mechanisms = []Mechanism{SCRAMSHA256, SCRAMSHA512}

// Iterations of SCRAM verifiers. RFC 7677 §4 asks for 4096 at least; the client does the work, and small devices have
// to be able to.
const (
	MinSCRAMIterations     = 4096
	DefaultSCRAMIterations = 100_000
	MaxSCRAMIterations     = 10_000_000
)

// size is the length of the mechanism's hash; 0 for an unknown one.
func (m Mechanism) size() int {
	switch m {
	case SCRAMSHA256:
		return sha256.Size
	case SCRAMSHA512:
		return sha512.Size
	default:
		return 0
	}
}

func (m Mechanism) hash() scram.HashGeneratorFcn {
	if m == SCRAMSHA512 {
		return scram.SHA512
	}
	return scram.SHA256
}

// SCRAMVerifier is what a server keeps for SCRAM (RFC 5802 §3). With it nobody can log in, but passwords can be guessed.
type SCRAMVerifier struct {
	mechanism  Mechanism
	iterations int
	salt       []byte
	storedKey  []byte
	serverKey  []byte
}

// NewSCRAMVerifier makes a verifier with a fresh salt. prepared is the user name as SCRAM clients send it, after
// SASLprep (RFC 4013).
func NewSCRAMVerifier(m Mechanism, user string, password []byte, iterations int) (v *SCRAMVerifier, prepared string, err error) {
	if err := checkNewPassword(password); err != nil {
		return nil, "", err
	}
	if m.size() == 0 || iterations < MinSCRAMIterations || iterations > MaxSCRAMIterations {
		return nil, "", fmt.Errorf("%s with %d iterations: expected %d to %d", m, iterations, MinSCRAMIterations, MaxSCRAMIterations)
	}
	client, err := m.hash().NewClient(user, string(password), "")
	if err != nil {
		return nil, "", fmt.Errorf("user name or password cannot be used with SCRAM: %w", err)
	}
	first, err := client.NewConversation().Step("")
	if err != nil {
		return nil, "", err
	}
	salt := make([]byte, newSalt)
	_, _ = rand.Read(salt) // never fails since Go 1.24
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return nil, "", err
	}
	v = &SCRAMVerifier{mechanism: m, iterations: iterations, salt: salt, storedKey: stored.StoredKey, serverKey: stored.ServerKey}
	return v, scramUser([]byte(first)), nil
}

var errSCRAMForm = errors.New("not a SCRAM verifier: expected MECHANISM$ITERATIONS:SALT$STOREDKEY:SERVERKEY")

// ParseSCRAMVerifier reads "SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY" with base64 values, the form that
// PostgreSQL made common.
func ParseSCRAMVerifier(s string) (*SCRAMVerifier, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 3 {
		return nil, errSCRAMForm
	}
	v := &SCRAMVerifier{mechanism: Mechanism(parts[0])}
	if v.mechanism.size() == 0 {
		return nil, fmt.Errorf("the mechanism %s is not known", quote(parts[0]))
	}
	iterations, salt, ok1 := strings.Cut(parts[1], ":")
	stored, server, ok2 := strings.Cut(parts[2], ":")
	if !ok1 || !ok2 || strings.ContainsAny(s, "\r\n") {
		return nil, errSCRAMForm
	}
	var err error
	if v.iterations, err = boundedNumber("iterations ", iterations, MaxSCRAMIterations); err != nil {
		return nil, err
	}
	if v.iterations < MinSCRAMIterations {
		return nil, fmt.Errorf("%d iterations: at least %d are needed, clients refuse less", v.iterations, MinSCRAMIterations)
	}
	for _, f := range []struct {
		text string
		to   *[]byte
	}{{salt, &v.salt}, {stored, &v.storedKey}, {server, &v.serverKey}} {
		if *f.to, err = base64.StdEncoding.Strict().DecodeString(f.text); err != nil {
			return nil, errVerifierB64
		}
	}
	if len(v.salt) < minSalt || len(v.salt) > maxSalt || len(v.storedKey) != v.mechanism.size() || len(v.serverKey) != v.mechanism.size() {
		return nil, errVerifierSize
	}
	return v, nil
}

// Encode is the form of the account file.
func (v *SCRAMVerifier) Encode() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", v.mechanism, v.iterations, b64(v.salt), b64(v.storedKey), b64(v.serverKey))
}

// Mechanism returns what the verifier is for.
func (v *SCRAMVerifier) Mechanism() Mechanism { return v.mechanism }

// String shows mechanism and parameters, and nothing that helps guessing.
func (v *SCRAMVerifier) String() string {
	return fmt.Sprintf("%s iterations=%d", v.mechanism, v.iterations)
}

// credentials is the verifier in the library's form.
func (v *SCRAMVerifier) credentials() scram.StoredCredentials {
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(v.salt), Iters: v.iterations},
		StoredKey:  v.storedKey, ServerKey: v.serverKey,
	}
}
