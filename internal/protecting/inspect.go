package protecting

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/protect"
)

// ErrNoEnvelope is wrapped when bytes are no envelope.
var ErrNoEnvelope = errors.New("not an envelope")

// Envelope is what an envelope shows to everybody, without any key. Nothing in it is verified.
type Envelope struct {
	Structure   string `json:"structure"`
	Size        int    `json:"size"`                // bytes in all
	Payload     int    `json:"payload_size"`        // bytes of the payload or the ciphertext, its tag included
	Overhead    int    `json:"overhead"`            // the other bytes
	Algorithm   string `json:"algorithm,omitempty"` // by name
	KID         string `json:"kid,omitempty"`       // hexadecimal, as all byte strings here
	Mode        string `json:"mode,omitempty"`      // R or S
	Kind        string `json:"kind,omitempty"`      // publish or will, as the header says
	Nested      bool   `json:"nested,omitempty"`    // a signature is inside
	ContentType *int   `json:"content_type,omitempty"`
	Sender      string `json:"sender,omitempty"` // on the wire
	Boot        uint32 `json:"boot,omitempty"`
	Sequence    uint32 `json:"sequence,omitempty"`
	Salt        string `json:"salt,omitempty"`
	Unordered   string `json:"unordered_id,omitempty"`
	Attempt     uint64 `json:"attempt,omitempty"` // number of a CONNECT credential
	IssuedAt    string `json:"issued_at,omitempty"`
	Expires     string `json:"expires,omitempty"`
	IV          string `json:"iv,omitempty"`
	Recipients  []To   `json:"recipients,omitempty"`
	Signature   int    `json:"signature_size,omitempty"`
	MAC         int    `json:"mac_size,omitempty"`
	// AAD is what is protected without being in the message: the receiver must know it.
	AAD      string `json:"aad,omitempty"`
	Readable bool   `json:"payload_readable"` // anybody can read the payload
	Matches  *bool  `json:"checksum_matches,omitempty"`
	SelfDesc bool   `json:"self_described,omitempty"` // tag 55799 in front

	content []byte // payload of what is readable
}

// To is a recipient of a COSE_Encrypt.
type To struct {
	KID       string `json:"kid"`
	Algorithm string `json:"algorithm"`
}

// COSE reports whether the bytes are a COSE message, rather than a checksum.
func (e *Envelope) COSE() bool { return e.Algorithm != "" && e.Matches == nil }

// Content returns the payload that anybody can read.
func (e *Envelope) Content() []byte { return e.content }

// checksumHead is how a checksum in prefix form begins.
var checksumHead = []byte{0x82, 0x2f, 0x58, 0x20}

// Inspect takes an envelope apart. A checksum in raw form has no mark and is not recognised: nothing tells it from plain
// bytes.
func Inspect(b []byte) (*Envelope, error) {
	if bytes.HasPrefix(b, checksumHead) && len(b) >= len(checksumHead)+sha256.Size {
		content := b[len(checksumHead)+sha256.Size:]
		match := bytes.Equal(protect.AppendChecksum(nil, protect.ChecksumPrefix, content), b)
		return &Envelope{
			Structure: "checksum, prefix form", Size: len(b), Payload: len(content), Overhead: len(b) - len(content),
			Algorithm: "SHA-256", Readable: true, Matches: &match, content: content,
		}, nil
	}
	inner := cose.TrimSelfDescribed(b)
	e := &Envelope{Size: len(b), SelfDesc: len(inner) != len(b), Structure: structureOf(cose.TagOf(inner))}
	var err error
	switch cose.TagOf(inner) {
	case cose.TagEncrypt0:
		err = e.encrypt0(inner)
	case cose.TagEncrypt:
		err = e.encrypt(inner)
	case cose.TagMac0:
		err = e.mac0(inner)
	case cose.TagSign1:
		err = e.sign1(inner)
	default:
		return nil, fmt.Errorf("%w: it begins with no tag of a COSE message that is known here", ErrNoEnvelope)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoEnvelope, err)
	}
	e.Overhead = e.Size - e.Payload
	return e, nil
}

func (e *Envelope) encrypt0(b []byte) error {
	var m cose.Encrypt0
	if err := m.Parse(b); err != nil {
		return err
	}
	e.Payload, e.Mode = len(m.Ciphertext), "R"
	if m.Unprotected.Has(cose.HasPartialIV) {
		e.Mode = "S"
	}
	e.headers(&m.Headers)
	e.AAD = `["MQTT1", kind, topic, sender]`
	return nil
}

func (e *Envelope) encrypt(b []byte) error {
	var m cose.Encrypt
	if err := m.Parse(b); err != nil {
		return err
	}
	e.Payload = len(m.Ciphertext)
	for i := range m.Recipients {
		r := &m.Recipients[i]
		e.Recipients = append(e.Recipients, To{hex.EncodeToString(r.Unprotected.KID), r.Protected.Alg.String()})
	}
	e.headers(&m.Headers)
	e.AAD = `["MQTT1", kind, topic, sender]`
	return nil
}

func (e *Envelope) mac0(b []byte) error {
	var m cose.Mac0
	if err := m.Parse(b); err != nil {
		return err
	}
	e.Payload, e.MAC, e.Readable, e.content = len(m.Payload), len(m.Tag), true, m.Payload
	e.headers(&m.Headers)
	e.AAD = sourceAAD
	return nil
}

func (e *Envelope) sign1(b []byte) error {
	var m cose.Sign1
	if err := m.Parse(b); err != nil {
		return err
	}
	e.Payload, e.Signature, e.Readable, e.content = len(m.Payload), len(m.Signature), true, m.Payload
	e.headers(&m.Headers)
	e.AAD = sourceAAD
	return nil
}

const connectAAD = `["MQTT1", 3, level, client id, user name, server, CONNECT binding]`

// sourceAAD is of the structures that name a source.
const sourceAAD = `["MQTT1", 10, kind, topic, sender, freshness, audience]`

// AsCredential reads the envelope as the Password of a CONNECT: nothing in the bytes tells the two apart.
func (e *Envelope) AsCredential() {
	e.Attempt = uint64(e.Boot)<<32 | uint64(e.Sequence)
	e.Boot, e.Sequence, e.Kind, e.AAD = 0, 0, "credential", connectAAD
}

// Sizes of the parts of a sequence, in bytes.
const (
	nestedContentType = 18
	sessionSize       = 12 // boot and salt at the end of a kid context
	orderedCTI        = 8
)

// headers reads both buckets.
func (e *Envelope) headers(h *cose.Headers) {
	p, u := &h.Protected, &h.Unprotected
	e.Algorithm, e.KID = p.Alg.String(), hex.EncodeToString(p.KID)
	if p.Has(cose.HasContentType) {
		n := int(p.ContentType)
		e.ContentType = &n
		e.Nested = n == nestedContentType && !e.Readable
	}
	e.Kind = "publish"
	if p.Has(cose.HasKind) {
		e.Kind = protect.Kind(p.Kind).String()
	}
	e.IV = hex.EncodeToString(u.IV)
	context := u.KIDContext
	if u.Has(cose.HasPartialIV) && len(context) >= sessionSize {
		tail := context[len(context)-sessionSize:]
		context = context[:len(context)-sessionSize]
		e.Boot, e.Salt = binary.BigEndian.Uint32(tail), hex.EncodeToString(tail[4:])
		for _, c := range u.PartialIV {
			e.Sequence = e.Sequence<<8 | uint32(c)
		}
	}
	e.Sender = hex.EncodeToString(context)
	e.claims(&p.Claims)
}

func (e *Envelope) claims(c *cose.Claims) {
	if c.HasIAT {
		e.IssuedAt = time.Unix(int64(c.IAT), 0).UTC().Format(time.RFC3339)
	}
	if c.HasExp {
		e.Expires = time.Unix(int64(c.Exp), 0).UTC().Format(time.RFC3339)
	}
	if len(c.CTI) != orderedCTI {
		e.Unordered = hex.EncodeToString(c.CTI)
		return
	}
	e.Boot, e.Sequence = binary.BigEndian.Uint32(c.CTI), binary.BigEndian.Uint32(c.CTI[4:])
}
