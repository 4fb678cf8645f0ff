package psktls

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is key material that does not print: every verb of fmt, log/slog and
// the text and JSON encoders show a placeholder. A plain []byte can be assigned
// to it. The placeholder does not tell the length.
type Secret []byte

const redacted = "[secret]"

// Format writes the placeholder, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String gives the placeholder.
func (Secret) String() string { return redacted }

// GoString gives the placeholder.
func (Secret) GoString() string { return redacted }

// LogValue gives the placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText gives the placeholder, so that no encoder writes the key.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON gives the placeholder, so that no encoder writes the key.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
