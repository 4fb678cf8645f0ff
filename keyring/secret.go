package keyring

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// redacted is all a Secret ever shows, whatever its length.
const redacted = "[secret]"

// Secret is a byte string that must not be seen: a passphrase, a derived key,
// an exported private key. No verb of fmt, no logger and no encoder shows its
// content; the only way to the bytes is Reveal, which is easy to search for.
//
// The zero value is the empty secret. A Secret is immutable until Destroy and
// safe for concurrent use until then.
type Secret struct {
	b []byte
}

// NewSecret copies b. Callers that own b should clear it.
func NewSecret(b []byte) Secret { return Secret{b: append([]byte(nil), b...)} }

// Reveal returns a copy of the bytes.
func (s Secret) Reveal() []byte { return append([]byte(nil), s.b...) }

// Len returns the number of bytes.
func (s Secret) Len() int { return len(s.b) }

// Equal reports in constant time whether both hold the same bytes; lengths
// are not hidden.
func (s Secret) Equal(other Secret) bool { return subtle.ConstantTimeCompare(s.b, other.b) == 1 }

// Destroy overwrites the bytes, of every copy of this value. It is hygiene, not
// a guarantee: the runtime may have moved or spilled them.
func (s Secret) Destroy() { clear(s.b) }

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer, for %#v.
func (s Secret) GoString() string { return redacted }

// Format implements fmt.Formatter: every verb prints the same word.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText implements encoding.TextMarshaler, for YAML, XML and map keys.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalBinary implements encoding.BinaryMarshaler by refusing, so that no
// binary encoder writes a placeholder that is later read back as a secret.
func (s Secret) MarshalBinary() ([]byte, error) {
	return nil, errors.New("a secret is not encoded; use Reveal")
}
