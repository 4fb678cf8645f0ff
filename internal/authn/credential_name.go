package authn

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/keyring"
)

// DefaultCredentialIdentity makes the name of a key the user name.
const DefaultCredentialIdentity = "{name}"

// recordTemplate makes a user name of a key record.
type recordTemplate struct {
	text  string
	parts []string // literal, field, literal, field, …
}

// CheckCredentialTemplate reports whether s is a template of user names: printable text of at most MaxName bytes with at
// least one of {name}, the key's name in the keyring, {client_id}, the client that it belongs to, and {kid}.
func CheckCredentialTemplate(s string) error {
	_, err := parseRecordTemplate(s)
	return err
}

func parseRecordTemplate(s string) (recordTemplate, error) {
	if s == "" {
		s = DefaultCredentialIdentity
	}
	parts, err := splitTemplate(s, "key", "{name}", "{client_id}", "{kid}")
	return recordTemplate{text: s, parts: parts}, err
}

// of makes the name; a field that the key does not have is an error.
func (t *recordTemplate) of(rec *keyring.Record) (string, error) {
	var b strings.Builder
	for i, part := range t.parts {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		value := rec.Group
		switch part {
		case "client_id":
			value = rec.ClientID
		case "kid":
			value = fmt.Sprintf("%x", rec.KID)
		}
		if err := plainName(value, "#+*"); err != nil {
			return "", fmt.Errorf("{%s} is %s: %w", part, quote(value), err)
		}
		b.WriteString(value)
	}
	if b.Len() > MaxName {
		return "", fmt.Errorf("the name is longer than %d bytes", MaxName)
	}
	return b.String(), nil
}

// readSecretLine reads the first line of a file that only its owner can read.
func readSecretLine(path string, limit int64) (keyring.Secret, error) {
	b, err := privfile.Read(path, limit)
	if err != nil {
		return keyring.Secret{}, fmt.Errorf("passphrase file: %w", err)
	}
	defer clear(b)
	line, _, _ := bytes.Cut(b, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return keyring.Secret{}, fmt.Errorf("passphrase file %s: its first line is empty", path)
	}
	return keyring.NewSecret(line), nil
}
