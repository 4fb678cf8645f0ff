package keyring

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/privfile"
)

// descriptionSuffix ends the files of descriptions in a directory.
const descriptionSuffix = ".described"

// Describe returns the record of a shared message key without the key: what somebody on the way of end-to-end messages,
// such as a broker, may know of it. It opens nothing and proves nothing. Public keys need no description, since their
// public half can be given away.
func (r *Record) Describe() (*Record, error) {
	if !r.Use.Symmetric() || r.Use.credential() {
		return nil, fmt.Errorf("kid %x: %w: only shared message keys are described", r.KID, ErrRecord)
	}
	d := r.Clone()
	d.Key = nil
	return d, d.validateDescription()
}

// validateDescription checks a record without its key by every other rule.
func (r *Record) validateDescription() error {
	if r.Key != nil || !r.Use.Symmetric() || r.Use.credential() || r.State == StateDestroyed {
		return fmt.Errorf("%w: kid %x: not the description of a shared message key", ErrRecord, r.KID)
	}
	probe := *r
	key, err := cose.GenerateKey(r.Alg)
	if err != nil {
		return fmt.Errorf("%w: kid %x: %w", ErrRecord, r.KID, err)
	}
	probe.Key = key
	return probe.Validate()
}

// MarshalDescription returns the JSON form of the record's description. It holds no secret.
func (r *Record) MarshalDescription() ([]byte, error) {
	d, err := r.Describe()
	if err != nil {
		return nil, err
	}
	j, err := d.json()
	if err != nil {
		return nil, err
	}
	j.Described = true
	return json.MarshalIndent(j, "", "  ")
}

// ParseDescription is the strict inverse of MarshalDescription.
func ParseDescription(b []byte) (*Record, error) {
	var j recordJSON
	if err := strictJSON(b, &j); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if !j.Described || len(j.Key) > 0 {
		return nil, fmt.Errorf("%w: not a description", ErrRecord)
	}
	r, err := j.record()
	if err != nil {
		return nil, err
	}
	return r, r.validateDescription()
}

// Described returns the description of a kid whose key the directory does not hold, or nil.
func (d *Dir) Described(kid []byte) *Record {
	if m := d.described.Load(); m != nil {
		return (*m)[string(kid)]
	}
	return nil
}

// Descriptions returns all of them in the order of their kids.
func (d *Dir) Descriptions() []*Record {
	m := d.described.Load()
	if m == nil {
		return nil
	}
	out := make([]*Record, 0, len(*m))
	for _, r := range *m {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *Record) int { return bytes.Compare(a.KID, b.KID) })
	return out
}

// AddDescription stores what is known of a key that the directory does not hold. An older description of the kid is
// replaced.
func (d *Dir) AddDescription(rec *Record) error {
	b, err := rec.MarshalDescription()
	if err != nil {
		return err
	}
	return d.change(func() error {
		if d.ring.Lookup(rec.KID) != nil {
			return fmt.Errorf("kid %x: %w", rec.KID, ErrExists)
		}
		if err := privfile.Write(filepath.Join(d.path, descriptionFile(rec.KID)), b); err != nil {
			return err
		}
		return d.Reload()
	})
}

// notDescribed refuses keys that are described here: who is given the key of an end-to-end group by mistake is told.
func (d *Dir) notDescribed(recs []*Record) error {
	for _, rec := range recs {
		if d.Described(rec.KID) != nil {
			return fmt.Errorf("kid %x is described here and not held (remove %s first): %w", rec.KID, descriptionFile(rec.KID), ErrExists)
		}
	}
	return nil
}

func descriptionFile(kid []byte) string { return hex.EncodeToString(kid) + descriptionSuffix }

// readDescriptions reads the descriptions among the files of a directory. held is its ring.
func (d *Dir) readDescriptions(names []string, held *Ring) (map[string]*Record, error) {
	out := map[string]*Record{}
	for _, name := range names {
		if !strings.HasSuffix(name, descriptionSuffix) {
			continue
		}
		b, err := privfile.Read(filepath.Join(d.path, name), maxRecordFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		rec, err := ParseDescription(b)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case descriptionFile(rec.KID) != name:
			return nil, fmt.Errorf("%s: file describes kid %x: %w", name, rec.KID, ErrRecord)
		case held.Lookup(rec.KID) != nil:
			return nil, fmt.Errorf("%s: kid %x is held, too: %w", name, rec.KID, ErrExists)
		}
		out[string(rec.KID)] = rec
	}
	return out, nil
}
