// Package protecting joins a keyring with an MQTT client: it finds records by name, makes the sealers and openers of
// package protect from them, and fits the client's seams Protector and CredentialSealer. It decides nothing about
// security: the records do.
package protecting

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// ErrName is wrapped when a name does not lead to exactly one usable key.
var ErrName = errors.New("no such key")

// ExporterTopic is the one topic of a signature key that signs key bundles and nothing else. Such a record in a keyring
// says: keys that come from its owner are installed.
const ExporterTopic = "$sealmq/keys"

// SenderSize is the length in bytes of the sender ids that a keyring makes, and of the kids of public keys.
const SenderSize = 8

const senderFile = "sender-id"

// Keys is a keyring on disk with what belongs to its holder as a sender. It is safe for concurrent use.
type Keys struct {
	*keyring.Dir
	path string

	mu       sync.Mutex // guards sessions; held while a boot number is stored, which happens once per key
	sessions map[string]*protect.Session
}

// Open opens the keyring in path.
func Open(path string, passphrase keyring.Secret) (*Keys, error) {
	d, err := keyring.Open(path, passphrase)
	if err != nil {
		return nil, err
	}
	return &Keys{Dir: d, path: path, sessions: map[string]*protect.Session{}}, nil
}

// Create makes a new keyring in path, with a random sender id for its holder.
func Create(path string, passphrase keyring.Secret) (*Keys, error) {
	d, err := keyring.Create(path, passphrase)
	if err != nil {
		return nil, err
	}
	id := make([]byte, SenderSize)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	if err := privfile.Write(filepath.Join(path, senderFile), hex.AppendEncode(nil, id)); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	return &Keys{Dir: d, path: path, sessions: map[string]*protect.Session{}}, nil
}

// Path returns the folder of the keyring.
func (k *Keys) Path() string { return k.path }

// File returns the path of a record's file.
func (k *Keys) File(rec *keyring.Record) string {
	return filepath.Join(k.path, hex.EncodeToString(rec.KID)+".key")
}

// SenderID returns the id that this keyring's holder puts on the wire. A copied keyring has the same one: receivers
// then see two senders with one boot counter, and say so.
func (k *Keys) SenderID() ([]byte, error) {
	b, err := privfile.Read(filepath.Join(k.path, senderFile), 2*keyring.MaxSenderID)
	if err != nil {
		return nil, fmt.Errorf("sender id of the keyring: %w", err)
	}
	id := make([]byte, hex.DecodedLen(len(b)))
	if _, err := hex.Decode(id, b); err != nil || len(id) != SenderSize {
		return nil, fmt.Errorf("sender id of the keyring: %s does not hold %d bytes in hexadecimal", senderFile, SenderSize)
	}
	return id, nil
}

// Named returns all epochs of a name, or the one record whose kid the name is in hexadecimal, oldest epoch first where
// kids count.
func Named(ring *keyring.Ring, name string) []*keyring.Record {
	var out []*keyring.Record
	for _, rec := range ring.Records() {
		if rec.Group == name || hex.EncodeToString(rec.KID) == name {
			out = append(out, rec)
		}
	}
	return out
}

// Sealing returns the active record of a name with one of the uses. Two active ones are an error, because nothing
// chooses between them.
func (k *Keys) Sealing(name string, uses ...keyring.Use) (*keyring.Record, error) {
	var found *keyring.Record
	others := 0
	for _, rec := range Named(k.Ring(), name) {
		if len(uses) > 0 && !slices.Contains(uses, rec.Use) || !rec.Seals() {
			others++
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%q: two active keys, name one by its kid: %w", name, ErrName)
		}
		found = rec
	}
	switch {
	case found != nil:
		return found, nil
	case others > 0:
		return nil, fmt.Errorf("%q: none of its %d keys is active and of the use that is needed: %w", name, others, ErrName)
	}
	return nil, fmt.Errorf("%q: %w", name, ErrName)
}

// Exporters returns the records whose bundles are installed.
func (k *Keys) Exporters() []*keyring.Record {
	var out []*keyring.Record
	for _, rec := range k.Ring().Records() {
		if IsExporter(rec) && rec.Opens() {
			out = append(out, rec)
		}
	}
	return out
}

// IsExporter reports whether a record signs key bundles and nothing else.
func IsExporter(rec *keyring.Record) bool {
	return rec.Use == keyring.UseSign && len(rec.Topics) == 1 && rec.Topics[0] == ExporterTopic
}

// NewSerial reserves the number of the exporter's next bundle. It follows the clock, so that a keyring restored from a
// backup does not repeat numbers.
func (k *Keys) NewSerial(exporter *keyring.Record, now time.Time) (uint64, error) {
	return k.Bundles(exporter.KID).ReserveFrom(uint64(max(now.UnixMilli(), 1)))
}

// session returns the one session of this process under a key.
func (k *Keys) session(owner *keyring.Record) (*protect.Session, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.sessions[string(owner.KID)]; s != nil {
		return s, nil
	}
	s, err := protect.OpenSession(k.Boot(owner.KID))
	if err != nil {
		return nil, err
	}
	k.sessions[string(owner.KID)] = s
	return s, nil
}

// Exists reports whether there is a keyring in path.
func Exists(path string) bool {
	_, err := os.Stat(filepath.Join(path, "keyring.json"))
	return err == nil
}
