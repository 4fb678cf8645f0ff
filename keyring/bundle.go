package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/cbor"
)

// ErrBundle is wrapped when a bundle is not from its exporter, not for its
// recipient, damaged, or older than one already imported.
var ErrBundle = errors.New("key bundle refused")

// MaxBundleRecords bounds the records of one bundle.
const MaxBundleRecords = 1024

// Bundle is a set of key records on its way from an exporter to one recipient.
type Bundle struct {
	// Serial must be higher in each bundle of an exporter for a recipient.
	Serial  uint64
	Issued  time.Time // whole seconds
	Records []*Record
}

// bundleJSON is the signed content of a bundle.
type bundleJSON struct {
	Version int               `json:"version"`
	Serial  uint64            `json:"serial"`
	Issued  int64             `json:"issued"` // seconds since 1970
	Records []json.RawMessage `json:"records"`
}

// nestedSign1 is the CoAP Content-Format of a COSE_Sign1, RFC 9052 §11.3.
const nestedSign1 = 18

// bundleAAD binds both layers to their purpose and to the recipient's key, so
// that a recipient cannot seal a signed bundle again for somebody else:
//
//	bundle-aad = [ "SealMQ bundle", 1, recipient-thumbprint : bstr .size 32 ]
func bundleAAD(recipient *Record) []byte {
	tp := recipient.Thumbprint()
	aad := cbor.AppendArray(nil, 3)
	aad = cbor.AppendText(aad, "SealMQ bundle")
	aad = cbor.AppendUint(aad, recordVersion)
	return cbor.AppendBytes(aad, tp[:])
}

// Seal signs the bundle with the exporter's sign record and encrypts it to the
// recipient's enc record: a COSE_Sign1 inside a COSE_Encrypt. toBroker says
// that the recipient is a broker, which never gets an end-to-end key.
func (b *Bundle) Seal(exporter, recipient *Record, toBroker bool) ([]byte, error) {
	if err := checkBundleKeys(recipient, exporter); err != nil {
		return nil, err
	}
	if len(b.Records) > MaxBundleRecords || b.Serial == 0 {
		return nil, fmt.Errorf("%w: %d records, serial %d", ErrBundle, len(b.Records), b.Serial)
	}
	content := bundleJSON{Version: recordVersion, Serial: b.Serial, Issued: b.Issued.Unix()}
	for _, rec := range b.Records {
		if toBroker && rec.E2E {
			return nil, fmt.Errorf("%w: kid %x is end-to-end and the recipient is a broker", ErrBundle, rec.KID)
		}
		if err := rec.Validate(); err != nil {
			return nil, err
		}
		j, err := rec.encode()
		if err != nil {
			return nil, err
		}
		content.Records = append(content.Records, j)
	}
	payload, err := json.Marshal(&content)
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	defer clear(payload)
	return sealBundle(payload, exporter, recipient)
}

func sealBundle(payload []byte, exporter, recipient *Record) ([]byte, error) {
	aad := bundleAAD(recipient)
	sign := cose.Sign1{
		Headers: cose.Headers{Protected: cose.Header{
			Labels: cose.HasAlg | cose.HasKID, Alg: exporter.Alg, KID: exporter.KID,
		}},
		Payload: payload,
	}
	inner, err := sign.Append(nil, exporter.Key, aad)
	if err != nil {
		return nil, fmt.Errorf("sign bundle: %w", err)
	}
	defer clear(inner)
	iv, err := randomIV()
	if err != nil {
		return nil, err
	}
	tp := recipient.Thumbprint()
	enc := cose.Encrypt{Headers: cose.Headers{
		Protected: cose.Header{
			Labels: cose.HasAlg | cose.HasContentType, Alg: recipient.ContentAlg, ContentType: nestedSign1,
		},
		Unprotected: cose.Header{Labels: cose.HasIV, IV: iv},
	}}
	to := []cose.RecipientKey{{Alg: recipient.Alg, KID: tp[:], Key: recipient.Key}}
	out, err := enc.Seal(nil, nil, to, inner, aad)
	if err != nil {
		return nil, fmt.Errorf("seal bundle: %w", err)
	}
	return out, nil
}

func checkBundleKeys(recipient, exporter *Record) error {
	if recipient.Use != UseEnc || !recipient.Opens() {
		return fmt.Errorf("%w: recipient %v is not a live enc record", ErrBundle, recipient)
	}
	if exporter.Use != UseSign || !exporter.Opens() {
		return fmt.Errorf("%w: exporter %v is not a live sign record", ErrBundle, exporter)
	}
	return nil
}

// OpenBundle decrypts a bundle with the recipient's private key and verifies
// that the exporter signed it for this recipient. Whether it is newer than the
// last one is for the caller to check; Dir.ImportBundle does.
func OpenBundle(b []byte, recipient, exporter *Record) (*Bundle, error) {
	if err := checkBundleKeys(recipient, exporter); err != nil {
		return nil, err
	}
	payload, err := openBundle(b, recipient, exporter)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	defer clear(payload)
	var content bundleJSON
	if err := strictJSON(payload, &content); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if content.Version != recordVersion || content.Serial == 0 || len(content.Records) > MaxBundleRecords {
		return nil, fmt.Errorf("%w: version %d, serial %d, %d records", ErrBundle, content.Version, content.Serial, len(content.Records))
	}
	out := &Bundle{Serial: content.Serial, Issued: time.Unix(content.Issued, 0)}
	for _, j := range content.Records {
		rec, err := decodeRecord(j)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBundle, err)
		}
		out.Records = append(out.Records, rec)
	}
	return out, nil
}

func openBundle(b []byte, recipient, exporter *Record) ([]byte, error) {
	var enc cose.Encrypt
	if err := enc.Parse(b); err != nil {
		return nil, err
	}
	tp := recipient.Thumbprint()
	p, u := &enc.Protected, &enc.Unprotected
	if p.Labels != cose.HasAlg|cose.HasContentType || p.Alg != recipient.ContentAlg || p.ContentType != nestedSign1 ||
		u.Labels != cose.HasIV || len(enc.Recipients) != 1 {
		return nil, fmt.Errorf("%w: not the shape of a bundle", cose.ErrMalformed)
	}
	to := &enc.Recipients[0]
	if to.Protected.Labels != cose.HasAlg || to.Protected.Alg != recipient.Alg ||
		to.Unprotected.Labels != cose.HasKID|cose.HasEphemeral || !bytes.Equal(to.Unprotected.KID, tp[:]) {
		return nil, errors.New("sealed to another key")
	}
	aad := bundleAAD(recipient)
	inner, err := enc.Open(nil, 0, recipient.Key, aad)
	if err != nil {
		return nil, err
	}
	var sign cose.Sign1
	if err := sign.Parse(inner); err != nil {
		return nil, err
	}
	sp := &sign.Protected
	if sp.Labels != cose.HasAlg|cose.HasKID || sp.Alg != exporter.Alg || !bytes.Equal(sp.KID, exporter.KID) || sign.Unprotected.Labels != 0 {
		return nil, errors.New("signed by another key")
	}
	if err := sign.Verify(exporter.Key, aad); err != nil {
		return nil, err
	}
	return sign.Payload, nil
}

// moves reports whether next is old in a later state; any other difference is
// an error, because a kid never changes its meaning.
func moves(old, next *Record) (bool, error) {
	a, b := old.Clone(), next.Clone()
	a.State, b.State, a.Key, b.Key = 0, 0, nil, nil
	sameKey := old.Key == nil || next.Key == nil || old.Thumbprint() == next.Thumbprint()
	if !sameKey || !reflect.DeepEqual(a, b) {
		return false, fmt.Errorf("%w: kid %x is held with another meaning", ErrBundle, next.KID)
	}
	// A private key is not given up for its public half, and states only go on.
	if old.Key != nil && next.Key != nil && old.Key.Private() && !next.Key.Private() {
		return false, nil
	}
	return next.State > old.State, nil
}
