package keyring

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/sealmq/sealmq/cose"
)

// recordVersion is the version of the JSON form of a record.
const recordVersion = 1

// maxRecordFile bounds the JSON form of a record in bytes.
const maxRecordFile = 1 << 20

// recordJSON is the local form of a record, in key files and bundles. It holds
// the key in clear: it only ever lives inside this package.
type recordJSON struct {
	Version     int        `json:"version"`
	KID         hexBytes   `json:"kid"`
	Use         string     `json:"use"`
	Alg         string     `json:"alg"`
	ContentAlg  string     `json:"content_alg,omitempty"`
	State       string     `json:"state"`
	Group       string     `json:"group,omitempty"`
	Sender      senderJSON `json:"sender"`
	Topics      []string   `json:"topics,omitempty"`
	ClientID    string     `json:"client_id,omitempty"`
	MaxAge      uint64     `json:"max_age,omitempty"` // seconds
	MaxMessages uint64     `json:"max_messages,omitempty"`
	Unordered   bool       `json:"unordered,omitempty"`
	Clockless   bool       `json:"clockless,omitempty"`
	E2E         bool       `json:"e2e,omitempty"`
	Pairwise    bool       `json:"pairwise,omitempty"`
	Broker      bool       `json:"broker,omitempty"`
	Binding     bool       `json:"cb,omitempty"`
	Described   bool       `json:"described,omitempty"` // a description: there is no key, and must be none
	Key         hexBytes   `json:"key,omitempty"`       // COSE_Key
}

type senderJSON struct {
	Rule string   `json:"rule"`
	Size int      `json:"size,omitempty"`
	ID   hexBytes `json:"id,omitempty"`
}

// hexBytes is a byte string that JSON shows in hexadecimal.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.AppendDecode(nil, text)
	*h = b
	return err
}

// encode returns the JSON of a record, with its secret half if it has one.
func (r *Record) encode() ([]byte, error) {
	j, err := r.json()
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(j, "", "  ")
}

func (r *Record) json() (*recordJSON, error) {
	j := recordJSON{
		Version: recordVersion, KID: r.KID, Use: r.Use.String(), Alg: r.Alg.String(), State: r.State.String(),
		Group: r.Group, Topics: r.Topics, ClientID: r.ClientID, MaxAge: r.MaxAgeSeconds(), MaxMessages: r.MaxMessages,
		Sender:    senderJSON{Rule: r.Sender.Kind.String(), Size: r.Sender.Size, ID: r.Sender.ID},
		Unordered: r.Unordered, Clockless: r.Clockless, E2E: r.E2E, Pairwise: r.Pairwise, Broker: r.Broker, Binding: r.Binding,
	}
	if r.ContentAlg != 0 {
		j.ContentAlg = r.ContentAlg.String()
	}
	if r.Key != nil {
		key, err := cose.AppendKey(nil, r.Key, cose.KeyInfo{}, true)
		if err != nil {
			return nil, fmt.Errorf("encode kid %x: %w", r.KID, err)
		}
		j.Key = key
	}
	return &j, nil
}

// decodeRecord is the strict inverse of encode; the record is validated.
func decodeRecord(b []byte) (*Record, error) {
	var j recordJSON
	if err := strictJSON(b, &j); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if j.Described {
		return nil, fmt.Errorf("%w: a description in the place of a key", ErrRecord)
	}
	r, err := j.record()
	if err != nil {
		return nil, err
	}
	return r, r.Validate()
}

// record translates the JSON form; the caller validates.
func (j *recordJSON) record() (*Record, error) {
	if j.Version != recordVersion {
		return nil, fmt.Errorf("%w: version %d", ErrRecord, j.Version)
	}
	if j.MaxAge > uint64(MaxAgeLimit/time.Second) {
		return nil, fmt.Errorf("%w: max-age %d s", ErrRecord, j.MaxAge)
	}
	r := &Record{
		KID: j.KID, Group: j.Group, Topics: j.Topics, ClientID: j.ClientID,
		MaxAge: time.Duration(j.MaxAge) * time.Second, MaxMessages: j.MaxMessages,
		Sender:    SenderRule{Size: j.Sender.Size, ID: j.Sender.ID},
		Unordered: j.Unordered, Clockless: j.Clockless, E2E: j.E2E, Pairwise: j.Pairwise, Broker: j.Broker, Binding: j.Binding,
	}
	var err error
	if r.Use, err = ParseUse(j.Use); err != nil {
		return nil, err
	}
	if r.Alg, err = cose.ParseAlgorithm(j.Alg); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if j.ContentAlg != "" {
		if r.ContentAlg, err = cose.ParseAlgorithm(j.ContentAlg); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRecord, err)
		}
	}
	r.State = State(nameIndex(stateNames[:], j.State))
	r.Sender.Kind = SenderKind(nameIndex(senderNames[:], j.Sender.Rule))
	if len(j.Key) > 0 {
		if r.Key, _, err = cose.ParseKey(j.Key); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRecord, err)
		}
	}
	return r, nil
}

// nameIndex returns the index of name, or 0, which no enum of a record allows.
func nameIndex(names []string, name string) int {
	for i, n := range names {
		if n == name && n != "" {
			return i
		}
	}
	return 0
}

// strictJSON decodes one JSON value that fills b, with no unknown members.
func strictJSON(b []byte, v any) error {
	if len(b) > maxRecordFile {
		return fmt.Errorf("%d bytes of JSON", len(b))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("bytes after the JSON value")
	}
	return nil
}
