package psktls

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// Bounds of a PSK file.
const (
	// MaxKeyFileLen bounds the file, in octets.
	MaxKeyFileLen = 64 << 20
	// MaxKeyFileEntries bounds the identities of one file.
	MaxKeyFileEntries = 1 << 20

	maxKeyFileLine = MaxIdentityLen + 1 + 2*MaxKeyLen + 2
)

// KeySet is an immutable set of identities and keys. It does not print its keys.
// All methods may be called from several goroutines.
type KeySet struct {
	keys map[string]Secret
}

// KeyFileError says what is wrong in which line of a PSK file. It never holds a
// key or a part of one.
type KeyFileError struct {
	Name string // of the file
	Line int    // from 1; 0 if the file as a whole is at fault
	Err  error
}

// Error gives "name:line: cause".
func (e *KeyFileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("psk file %s: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("psk file %s:%d: %v", e.Name, e.Line, e.Err)
}

// Unwrap gives the cause.
func (e *KeyFileError) Unwrap() error { return e.Err }

var (
	errFileTooLong  = fmt.Errorf("more than %d octets", MaxKeyFileLen)
	errTooMany      = fmt.Errorf("more than %d identities", MaxKeyFileEntries)
	errLineTooLong  = fmt.Errorf("line is longer than %d octets", maxKeyFileLine)
	errNoColon      = errors.New("want identity:hexkey, found no colon")
	errTwoColons    = errors.New("want identity:hexkey, found more than one colon")
	errNoIdentity   = errors.New("identity is empty")
	errLongIdentity = fmt.Errorf("identity is longer than %d octets", MaxIdentityLen)
	errIdentityText = errors.New("identity is not printable UTF-8, or begins or ends with a space")
	errNotHex       = errors.New("key is not hexadecimal, or has an odd number of digits")
	errNoFile       = errors.New("not a regular file")
)

// ParseKeySet reads a PSK file in the form of Mosquitto: one identity:hexkey a
// line; empty lines and lines that begin with # are skipped. It refuses the
// whole file for one bad line: keys outside MinKeyLen..MaxKeyLen, an identity
// that occurs twice, anything that is not the form. name is for errors.
func ParseKeySet(r io.Reader, name string) (*KeySet, error) {
	set := &KeySet{keys: make(map[string]Secret)}
	limited := &io.LimitedReader{R: r, N: MaxKeyFileLen + 1}
	scanner := bufio.NewScanner(limited)
	buffer := make([]byte, maxKeyFileLine+2)
	defer clear(buffer)
	scanner.Buffer(buffer, len(buffer))
	lines := make(map[string]int)
	n := 0
	for scanner.Scan() {
		n++
		if err := set.parseLine(scanner.Bytes(), n, lines); err != nil {
			return nil, &KeyFileError{Name: name, Line: n, Err: err}
		}
	}
	err := scanner.Err()
	switch {
	case limited.N <= 0:
		return nil, &KeyFileError{Name: name, Err: errFileTooLong}
	case errors.Is(err, bufio.ErrTooLong):
		return nil, &KeyFileError{Name: name, Line: n + 1, Err: errLineTooLong}
	case err != nil:
		return nil, &KeyFileError{Name: name, Err: err}
	}
	return set, nil
}

// parseLine adds one line; lines remembers where each identity was seen.
func (s *KeySet) parseLine(line []byte, n int, lines map[string]int) error {
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	if len(line) > maxKeyFileLine {
		return errLineTooLong
	}
	id, digits, found := bytes.Cut(line, []byte{':'})
	switch {
	case !found:
		return errNoColon
	case bytes.IndexByte(digits, ':') >= 0:
		return errTwoColons
	}
	if err := checkIdentityText(id); err != nil {
		return err
	}
	identity := string(id)
	if first, ok := lines[identity]; ok {
		return fmt.Errorf("identity %s is already in line %d", quotePeer(id), first)
	}
	if len(lines) == MaxKeyFileEntries {
		return errTooMany
	}
	key := make(Secret, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(key, digits); err != nil {
		// The error of package hex shows a digit of the key.
		return errNotHex
	}
	if err := checkKeyLen(key); err != nil {
		return err
	}
	s.keys[identity], lines[identity] = key, n
	return nil
}

// checkIdentityText refuses identities that would surprise in a log or could
// not have been meant: RFC 4279 §5.1 asks for UTF-8.
func checkIdentityText(id []byte) error {
	switch {
	case len(id) == 0:
		return errNoIdentity
	case len(id) > MaxIdentityLen:
		return errLongIdentity
	case !utf8.Valid(id) || len(bytes.TrimSpace(id)) != len(id):
		return errIdentityText
	}
	for _, r := range string(id) {
		if !unicode.IsPrint(r) {
			return errIdentityText
		}
	}
	return nil
}

// LoadKeySet reads the PSK file at path.
func LoadKeySet(path string) (*KeySet, error) {
	// A FIFO would block in open, and a device might never end.
	if info, err := os.Stat(path); err != nil {
		return nil, &KeyFileError{Name: path, Err: err}
	} else if !info.Mode().IsRegular() {
		return nil, &KeyFileError{Name: path, Err: errNoFile}
	}
	f, err := os.Open(path) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, &KeyFileError{Name: path, Err: err}
	}
	defer f.Close() //nolint:errcheck // read only
	return ParseKeySet(f, path)
}

// GetKey gives a copy of the key of an identity, nil if it is unknown; it never
// fails. It suits Config.GetKey.
//
// The lookup is that of a Go map, whose hash is seeded for each map: its time
// may tell by nanoseconds whether an identity is known, and nothing of a key.
// Identities are visible on the wire anyway.
func (s *KeySet) GetKey(identity []byte) ([]byte, error) {
	key, ok := s.keys[string(identity)]
	if !ok {
		return nil, nil
	}
	return bytes.Clone(key), nil
}

// Len gives the number of identities.
func (s *KeySet) Len() int { return len(s.keys) }

// Format writes the number of identities, whatever the verb.
func (s *KeySet) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "psktls.KeySet(%d identities)", s.Len())
}

// KeyFile is a PSK file that can be read again while it is in use.
type KeyFile struct {
	path    string
	current atomic.Pointer[KeySet]
}

// OpenKeyFile reads the file at path for the first time.
func OpenKeyFile(path string) (*KeyFile, error) {
	f := &KeyFile{path: path}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the file again. If that fails the keys in use stay as they are.
// Connections that are past their handshake are not affected.
func (f *KeyFile) Reload() error {
	set, err := LoadKeySet(f.path)
	if err != nil {
		return err
	}
	f.current.Store(set)
	return nil
}

// KeySet gives the present snapshot.
func (f *KeyFile) KeySet() *KeySet { return f.current.Load() }

// GetKey looks an identity up in the present snapshot. It suits Config.GetKey.
func (f *KeyFile) GetKey(identity []byte) ([]byte, error) { return f.current.Load().GetKey(identity) }

// Format writes the path and the number of identities, whatever the verb.
func (f *KeyFile) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "psktls.KeyFile(%q, %d identities)", f.path, f.KeySet().Len())
}
