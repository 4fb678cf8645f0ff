package authn

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// MaxPassword is the length in bytes above which a password is refused unseen: hashing costs, and nobody types more.
const MaxPassword = 1024

// Format is how a password verifier is written in an account file.
type Format string

// The formats. Mosquitto6 is read only: one round of SHA-512 is no protection, and SealMQ does not write it.
const (
	Argon2id   Format = "argon2id"   // $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH, RFC 9106
	Mosquitto7 Format = "mosquitto7" // $7$ROUNDS$SALT$HASH, PBKDF2-HMAC-SHA-512, RFC 8018 §5.2
	Mosquitto6 Format = "mosquitto6" // $6$SALT$HASH, SHA-512 of password and salt
)

// The parameters of new verifiers, and with them the line below which a verifier is weak.
const (
	argonMemory  = 19 << 10 // KiB
	argonPasses  = 2
	argonLanes   = 1
	pbkdf2Rounds = 210_000
	newSalt      = 16 // bytes
	argonHash    = 32 // bytes
)

// The most that a verifier may ask for. A file is trusted, but a wrong digit must not take the broker's memory.
const (
	maxArgonMemory = 128 << 10 // KiB
	maxArgonPasses = 16
	maxArgonLanes  = 4
	maxRounds      = 2_000_000
	minSalt        = 8
	maxSalt        = 64 // bytes; Mosquitto 2.1 uses 64, 2.0 uses 12
	minHash        = 16
	maxHash        = 64
)

// Verifier is what an account file keeps instead of a password. It is immutable. Its String shows the parameters and
// nothing that helps guessing; Encode is the form of the file.
type Verifier struct {
	format Format
	memory uint32 // KiB, argon2id
	passes uint32 // argon2id
	lanes  uint8  // argon2id
	rounds int    // mosquitto7
	salt   []byte
	hash   []byte
}

// NewVerifier hashes a password with a fresh salt in a format that can be written.
func NewVerifier(f Format, password []byte) (*Verifier, error) {
	if err := checkNewPassword(password); err != nil {
		return nil, err
	}
	v := &Verifier{format: f, salt: make([]byte, newSalt)}
	_, _ = rand.Read(v.salt) // never fails since Go 1.24
	size := argonHash
	switch f {
	case Argon2id:
		v.memory, v.passes, v.lanes = argonMemory, argonPasses, argonLanes
	case Mosquitto7:
		v.rounds, size = pbkdf2Rounds, sha512.Size
	default:
		return nil, fmt.Errorf("the format %q cannot be written", string(f))
	}
	v.hash = v.derive(password, size)
	return v, nil
}

func checkNewPassword(password []byte) error {
	switch {
	case len(password) == 0:
		return errors.New("the password is empty")
	case len(password) > MaxPassword:
		return fmt.Errorf("the password is longer than %d bytes", MaxPassword)
	}
	return nil
}

var (
	errVerifierForm = errors.New("not a verifier: expected $argon2id$…, $7$…, or $6$…")
	errVerifierB64  = errors.New("salt or hash is not base64")
	errVerifierSize = fmt.Errorf("salt or hash has the wrong length: salts have %d to %d bytes", minSalt, maxSalt)
)

// ParseVerifier reads one verifier. Parameters outside the bounds are an error, so that checking a password never costs
// more than the bounds allow.
func ParseVerifier(s string) (*Verifier, error) {
	parts := strings.Split(s, "$")
	if len(parts) < 4 || parts[0] != "" {
		return nil, errVerifierForm
	}
	var v *Verifier
	var err error
	encoding := base64.StdEncoding
	switch {
	case parts[1] == "argon2id" && len(parts) == 6:
		encoding = base64.RawStdEncoding
		v, err = parseArgon(parts[2], parts[3])
	case parts[1] == "7" && len(parts) == 5:
		v = &Verifier{format: Mosquitto7}
		v.rounds, err = boundedNumber("rounds", parts[2], maxRounds)
	case parts[1] == "6" && len(parts) == 4:
		v = &Verifier{format: Mosquitto6}
	default:
		return nil, errVerifierForm
	}
	if err != nil {
		return nil, err
	}
	var badSalt, badHash error
	v.salt, badSalt = encoding.Strict().DecodeString(parts[len(parts)-2])
	v.hash, badHash = encoding.Strict().DecodeString(parts[len(parts)-1])
	switch {
	case badSalt != nil || badHash != nil || strings.ContainsAny(s, "\r\n"):
		return nil, errVerifierB64
	case len(v.salt) < minSalt || len(v.salt) > maxSalt || len(v.hash) < minHash || len(v.hash) > maxHash,
		v.format != Argon2id && len(v.hash) != sha512.Size:
		return nil, errVerifierSize
	}
	return v, nil
}

// parseArgon reads "v=19" and "m=…,t=…,p=…".
func parseArgon(version, params string) (*Verifier, error) {
	if version != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("argon2id %s: only v=%d is known", quote(version), argon2.Version)
	}
	parts := strings.Split(params, ",")
	if len(parts) != 3 {
		return nil, errVerifierForm
	}
	limits := []struct {
		prefix string
		most   int
	}{{"m=", maxArgonMemory}, {"t=", maxArgonPasses}, {"p=", maxArgonLanes}}
	var n [3]int
	for i, l := range limits {
		digits, ok := strings.CutPrefix(parts[i], l.prefix)
		if !ok {
			return nil, errVerifierForm
		}
		var err error
		if n[i], err = boundedNumber(l.prefix, digits, l.most); err != nil {
			return nil, err
		}
	}
	if n[0] < 8*n[2] { // RFC 9106 §3.1
		return nil, errors.New("argon2id: m is less than 8 times p")
	}
	return &Verifier{format: Argon2id, memory: uint32(n[0]), passes: uint32(n[1]), lanes: uint8(n[2])}, nil
}

// boundedNumber reads a decimal number of 1 to most in its only spelling.
func boundedNumber(what, digits string, most int) (int, error) {
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > most || strconv.Itoa(n) != digits {
		return 0, fmt.Errorf("%s%s is not a number of 1 to %d", what, quote(digits), most)
	}
	return n, nil
}

// Matches reports whether the password is the one the verifier was made of. It takes the time and memory of Cost,
// whatever the answer.
func (v *Verifier) Matches(password []byte) bool {
	return subtle.ConstantTimeCompare(v.derive(password, len(v.hash)), v.hash) == 1
}

func (v *Verifier) derive(password []byte, size int) []byte {
	switch v.format {
	case Argon2id:
		return argon2.IDKey(password, v.salt, v.passes, v.memory, v.lanes, uint32(size))
	case Mosquitto7:
		key, err := pbkdf2.Key(sha512.New, string(password), v.salt, v.rounds, size)
		if err != nil {
			return make([]byte, size+1) // never equal; the bounds of ParseVerifier leave no way here
		}
		return key
	default:
		sum := sha512.Sum512(append(append(make([]byte, 0, len(password)+len(v.salt)), password...), v.salt...))
		return sum[:]
	}
}

// Format returns how the verifier is written.
func (v *Verifier) Format() Format { return v.format }

// Weak says why the verifier gives a thief of the file too little trouble; "" when it does not.
func (v *Verifier) Weak() string {
	switch {
	case v.format == Mosquitto6:
		return "one round of SHA-512"
	case v.format == Mosquitto7 && v.rounds < pbkdf2Rounds:
		return fmt.Sprintf("PBKDF2 with %d rounds, at least %d are wanted", v.rounds, pbkdf2Rounds)
	case v.format == Argon2id && uint64(v.memory)*uint64(v.passes) < argonMemory*argonPasses:
		return fmt.Sprintf("argon2id with m=%d t=%d, at least m=%d t=%d is wanted", v.memory, v.passes, argonMemory, argonPasses)
	}
	return ""
}

// Cost names what checking a password takes: verifiers of equal Cost take equal time and memory.
func (v *Verifier) Cost() string { return v.String() }

// Memory is what checking a password allocates, in bytes.
func (v *Verifier) Memory() int64 { return int64(v.memory) << 10 }

// String shows format and parameters.
func (v *Verifier) String() string {
	switch v.format {
	case Argon2id:
		return fmt.Sprintf("argon2id m=%d t=%d p=%d", v.memory, v.passes, v.lanes)
	case Mosquitto7:
		return fmt.Sprintf("mosquitto7 rounds=%d", v.rounds)
	default:
		return string(v.format)
	}
}

// Encode is the form of the account file.
func (v *Verifier) Encode() string {
	switch v.format {
	case Argon2id:
		return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, v.memory, v.passes, v.lanes,
			base64.RawStdEncoding.EncodeToString(v.salt), base64.RawStdEncoding.EncodeToString(v.hash))
	case Mosquitto7:
		return fmt.Sprintf("$7$%d$%s$%s", v.rounds,
			base64.StdEncoding.EncodeToString(v.salt), base64.StdEncoding.EncodeToString(v.hash))
	default:
		return "$6$" + base64.StdEncoding.EncodeToString(v.salt) + "$" + base64.StdEncoding.EncodeToString(v.hash)
	}
}
