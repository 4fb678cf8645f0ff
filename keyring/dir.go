package keyring

import (
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/sealmq/sealmq/internal/privfile"
)

// ErrExposed is wrapped when others than the owner can reach a key file.
var ErrExposed = privfile.ErrExposed

// Names in a directory.
const (
	headerFile  = "keyring.json"
	lockName    = ".lock"
	keySuffix   = ".key"
	counterDir  = "counters"
	headerCheck = "sealmq keyring"
)

// maxRecords bounds the key files of one directory.
const maxRecords = 1 << 16

// dirHeader is keyring.json. KDF and Check are present if the directory is
// sealed by a passphrase; Check tells a wrong one before any key is read.
type dirHeader struct {
	Version int         `json:"version"`
	KDF     *kdfParams  `json:"kdf,omitempty"`
	Check   *sealedFile `json:"check,omitempty"`
}

// Dir is a ring kept in a directory of mode 0700: keyring.json, one file of
// mode 0600 per record, and the counters of its senders. Every change is
// durable when the method returns. Methods are safe for concurrent use, and
// changes by several processes do not overwrite each other; a process sees the
// others' changes after Reload.
type Dir struct {
	path string
	aead cipher.AEAD // nil: not sealed
	ring *Ring

	described atomic.Pointer[map[string]*Record] // keys that are not held, by kid
}

// Create makes a new keyring in path, which must not exist or be empty. An
// empty passphrase leaves the files unsealed.
func Create(path string, passphrase Secret) (*Dir, error) {
	if err := os.MkdirAll(filepath.Join(path, counterDir), 0o700); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	if err := checkDir(path); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	if len(entries) > 1 { // the counters
		return nil, fmt.Errorf("create keyring: %s: %w", path, os.ErrExist)
	}
	header := dirHeader{Version: recordVersion}
	d := &Dir{path: path, ring: &Ring{}}
	if passphrase.Len() > 0 {
		if header.KDF, err = newKDFParams(); err != nil {
			return nil, fmt.Errorf("create keyring: %w", err)
		}
		if d.aead, err = header.KDF.aead(passphrase); err != nil {
			return nil, fmt.Errorf("create keyring: %w", err)
		}
		if header.Check, err = sealFile(d.aead, headerFile, []byte(headerCheck)); err != nil {
			return nil, fmt.Errorf("create keyring: %w", err)
		}
	}
	b, err := json.MarshalIndent(&header, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	if err := privfile.Write(filepath.Join(path, headerFile), b); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	return d, nil
}

// Open reads the keyring in path. It refuses the whole directory if one file
// is readable by others, damaged, or breaks a rule: half a policy is none.
func Open(path string, passphrase Secret) (*Dir, error) {
	d := &Dir{path: path, ring: &Ring{}}
	if err := checkDir(path); err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	b, err := privfile.Read(filepath.Join(path, headerFile), maxRecordFile)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	var header dirHeader
	if err := strictJSON(b, &header); err != nil {
		return nil, fmt.Errorf("open keyring %s: %w", headerFile, err)
	}
	if header.Version != recordVersion || (header.KDF == nil) != (header.Check == nil) {
		return nil, fmt.Errorf("open keyring: %s is not of version %d", headerFile, recordVersion)
	}
	if header.KDF != nil {
		if d.aead, err = header.KDF.aead(passphrase); err != nil {
			return nil, fmt.Errorf("open keyring: %w", err)
		}
		if _, err := header.Check.open(d.aead, headerFile); err != nil {
			return nil, fmt.Errorf("open keyring: %w", err)
		}
	}
	return d, d.Reload()
}

func checkDir(path string) error {
	for _, p := range []string{path, filepath.Join(path, counterDir)} {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", p)
		}
		if err := privfile.Check(p, info); err != nil {
			return err
		}
	}
	return nil
}

// Ring returns the live ring of the directory.
func (d *Dir) Ring() *Ring { return d.ring }

// Sealed reports whether the files are sealed by a passphrase.
func (d *Dir) Sealed() bool { return d.aead != nil }

// Reload reads all records again and replaces the ring's content in one step;
// on error the ring is as before.
func (d *Dir) Reload() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read keyring: %w", err)
	}
	if len(entries) > maxRecords {
		return fmt.Errorf("read keyring: %s holds more than %d files", d.path, maxRecords)
	}
	fresh := &Ring{}
	var recs []*Record
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), keySuffix) {
			continue
		}
		rec, err := d.read(e.Name())
		if err != nil {
			return fmt.Errorf("read keyring: %s: %w", e.Name(), err)
		}
		recs = append(recs, rec)
	}
	if err := fresh.Add(recs...); err != nil {
		return fmt.Errorf("read keyring: %w", err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	described, err := d.readDescriptions(names, fresh)
	if err != nil {
		return fmt.Errorf("read keyring: %w", err)
	}
	d.ring.mu.Lock()
	defer d.ring.mu.Unlock()
	d.ring.index.Store(fresh.index.Load())
	d.described.Store(&described)
	return nil
}

func (d *Dir) read(name string) (*Record, error) {
	b, err := privfile.Read(filepath.Join(d.path, name), maxRecordFile)
	if err != nil {
		return nil, err
	}
	defer func() { clear(b) }()
	if d.aead != nil {
		var s sealedFile
		if err := strictJSON(b, &s); err != nil {
			return nil, err
		}
		if b, err = s.open(d.aead, name); err != nil {
			return nil, err
		}
	}
	rec, err := decodeRecord(b)
	if err != nil {
		return nil, err
	}
	if keyFile(rec.KID) != name {
		return nil, fmt.Errorf("file holds kid %x: %w", rec.KID, ErrRecord)
	}
	return rec, nil
}

func keyFile(kid []byte) string { return hex.EncodeToString(kid) + keySuffix }

func (d *Dir) write(rec *Record) error {
	b, err := rec.encode()
	if err != nil {
		return err
	}
	defer func() { clear(b) }()
	name := keyFile(rec.KID)
	if d.aead != nil {
		s, err := sealFile(d.aead, name, b)
		if err != nil {
			return err
		}
		clear(b)
		if b, err = json.Marshal(s); err != nil {
			return err
		}
	}
	return privfile.Write(filepath.Join(d.path, name), b)
}

// Add stores new records; the files are durable before the ring has them.
func (d *Dir) Add(recs ...*Record) error {
	return d.change(func() error {
		trial := &Ring{}
		trial.index.Store(d.ring.index.Load())
		if err := errors.Join(trial.Add(recs...), d.notDescribed(recs)); err != nil {
			return err
		}
		for _, rec := range recs {
			if err := d.write(rec); err != nil {
				return err
			}
		}
		return d.ring.Add(recs...)
	})
}

// Activate is Ring.Activate, durable. The new epoch is written first: a crash
// between the files leaves two epochs that open, never none that seals.
func (d *Dir) Activate(kid []byte) error {
	return d.change(func() error {
		changed, err := d.ring.activation(kid)
		if err != nil {
			return err
		}
		for _, rec := range changed {
			if err := d.write(rec); err != nil {
				return err
			}
		}
		_, err = d.ring.Activate(kid)
		return err
	})
}

// Destroy is Ring.Destroy, durable: the file keeps the kid without the key.
// What a file system or a backup kept of the old file is beyond its reach.
func (d *Dir) Destroy(kid []byte) error {
	return d.change(func() error {
		gone, err := d.ring.destruction(kid)
		if err != nil {
			return err
		}
		if err := d.write(gone); err != nil {
			return err
		}
		_, err = d.ring.Destroy(kid)
		return err
	})
}

// change runs f under the directory's lock, on its present content.
func (d *Dir) change(f func() error) error {
	err := privfile.WithLock(filepath.Join(d.path, lockName), func() error {
		if err := d.Reload(); err != nil {
			return err
		}
		return f()
	})
	if err != nil {
		return fmt.Errorf("change keyring: %w", err)
	}
	return nil
}

// Boot returns the boot counter of a sender under a key. Reserve(1) it before
// a session is used; its file is durable first.
func (d *Dir) Boot(kid []byte) *Counter {
	return NewCounter(filepath.Join(d.path, counterDir, hex.EncodeToString(kid)+".boot"), maxBoot)
}

// Credential returns the counter that numbers the CONNECT attempts under a key.
func (d *Dir) Credential(kid []byte) *Counter {
	return NewCounter(filepath.Join(d.path, counterDir, hex.EncodeToString(kid)+".cti"), 1<<63)
}

// Budget returns the persistent message budget of a key.
func (d *Dir) Budget(rec *Record) *Budget {
	return NewBudget(rec, NewCounter(filepath.Join(d.path, counterDir, hex.EncodeToString(rec.KID)+".used"), MaxOther))
}

// ImportBundle opens a bundle as OpenBundle does, refuses one that is not newer
// than the last of its exporter, and adds the records the ring does not have.
// A record it has must be the same; only its state may move on.
func (d *Dir) ImportBundle(b []byte, recipient, exporter *Record) (added int, err error) {
	bundle, err := OpenBundle(b, recipient, exporter)
	if err != nil {
		return 0, err
	}
	err = d.change(func() error {
		var fresh, moved []*Record
		for _, rec := range bundle.Records {
			old := d.ring.Lookup(rec.KID)
			if old == nil {
				fresh = append(fresh, rec)
				continue
			}
			ok, err := moves(old, rec)
			if err != nil {
				return err
			}
			if ok {
				moved = append(moved, rec)
			}
		}
		trial := &Ring{}
		trial.index.Store(d.ring.index.Load())
		if err := errors.Join(trial.Add(fresh...), d.notDescribed(fresh)); err != nil {
			return err
		}
		serial := NewCounter(filepath.Join(d.path, counterDir, hex.EncodeToString(exporter.KID)+".serial"), 1<<63)
		last, err := serial.Value()
		if err != nil {
			return err
		}
		if bundle.Serial <= last {
			return fmt.Errorf("%w: serial %d after %d", ErrBundle, bundle.Serial, last)
		}
		for _, rec := range append(fresh, moved...) {
			if err := d.write(rec); err != nil {
				return err
			}
		}
		added = len(fresh)
		if err := d.Reload(); err != nil {
			return err
		}
		// Last, so that a crash before it lets the same bundle be imported again.
		return serial.Raise(bundle.Serial)
	})
	return added, err
}

// Bind replaces the topics and the client of a key: what its holder lets it be
// used for. The key, its kid and its sender rule stay. A nil topics or client
// leaves that field as it is.
func (d *Dir) Bind(kid []byte, topics []string, client *string) error {
	return d.change(func() error {
		old := d.ring.Lookup(kid)
		if old == nil {
			return fmt.Errorf("kid %x: %w", kid, ErrUnknown)
		}
		next := old.Clone()
		if topics != nil {
			next.Topics = append([]string(nil), topics...)
		}
		if client != nil {
			next.ClientID = *client
		}
		if err := next.Validate(); err != nil {
			return err
		}
		if err := d.write(next); err != nil {
			return err
		}
		return d.Reload()
	})
}

// Bundles returns the counter that numbers the bundles an exporter seals.
func (d *Dir) Bundles(kid []byte) *Counter {
	return NewCounter(filepath.Join(d.path, counterDir, hex.EncodeToString(kid)+".bundles"), 1<<63)
}

// Used returns how many messages under a key have been reserved by this holder,
// and the limit at which it must be rotated.
func (d *Dir) Used(rec *Record) (used, limit uint64, err error) {
	b := d.Budget(rec)
	used, err = b.count.Value()
	return used, b.limit, err
}
