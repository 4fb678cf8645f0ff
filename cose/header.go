package cose

import (
	"fmt"
	"math"
	"strconv"

	"github.com/sealmq/sealmq/internal/cbor"
)

// Labels is the set of header parameters a Header carries.
type Labels uint16

// The header parameters this package knows: RFC 9052 §3.1, RFC 9053 §6.3.1,
// RFC 9597 and the private label of MQTT wills. Their order is that of
// deterministic encoding.
const (
	HasAlg         Labels = 1 << iota // 1
	HasContentType                    // 3
	HasKID                            // 4
	HasIV                             // 5
	HasPartialIV                      // 6
	HasKIDContext                     // 10
	HasClaims                         // 15, CWT Claims
	HasEphemeral                      // -1, ephemeral key of a recipient
	HasKind                           // -65537, the kind of an MQTT message
)

const (
	labelAlg         = 1
	labelContentType = 3
	labelKID         = 4
	labelIV          = 5
	labelPartialIV   = 6
	labelKIDContext  = 10
	labelClaims      = 15
	labelEphemeral   = -1
	labelKind        = -65537
)

// refusedLabels names well-known parameters in the refusal.
var refusedLabels = map[int64]string{
	2: "crit", 7: "countersignature", 8: "operation time", 9: "countersignature 0", 11: "countersignature V2",
	12: "countersignature 0 V2", 16: "typ", 33: "x5chain", 34: "x5t", -2: "static key", -3: "static key id",
	-20: "salt", -21: "PartyU identity", -24: "PartyV identity",
}

// Header is one bucket of header parameters. A field has meaning only if its
// bit is set in Labels. Slices alias the message they were parsed from.
type Header struct {
	Labels      Labels
	Alg         Algorithm
	ContentType uint16 // CoAP Content-Format number; text media types are refused
	KID         []byte
	IV          []byte
	PartialIV   []byte
	KIDContext  []byte
	Claims      Claims
	Ephemeral   Point
	Kind        int64
	used        bool // by an earlier parse, which may have failed half-way
}

// Has reports whether all parameters of l are present.
func (h *Header) Has(l Labels) bool { return h.Labels&l == l }

// parseHeader reads one bucket.
func (h *Header) parse(r *cbor.Reader) error {
	if h.used { // clearing it costs as much as reading it
		*h = Header{}
	}
	h.used = true
	pairs, err := r.Map()
	if err != nil {
		return err
	}
	for range pairs {
		label, err := r.Int()
		if err != nil {
			return err
		}
		bit, err := h.parseParameter(r, label)
		if err != nil {
			return err
		}
		if h.Labels&bit != 0 {
			return malformed("header parameter " + strconv.FormatInt(label, 10) + " twice")
		}
		h.Labels |= bit
	}
	return nil
}

func (h *Header) parseParameter(r *cbor.Reader, label int64) (bit Labels, err error) {
	switch label {
	case labelAlg:
		var n int64
		n, err = r.Int()
		h.Alg, bit = Algorithm(n), HasAlg
	case labelContentType:
		var n uint64
		if n, err = r.Uint(); err == nil && n > math.MaxUint16 {
			err = malformed("content type above 65535")
		}
		h.ContentType, bit = uint16(n), HasContentType
	case labelKID:
		h.KID, err = r.Bytes()
		bit = HasKID
	case labelIV:
		h.IV, err = r.Bytes()
		bit = HasIV
	case labelPartialIV:
		h.PartialIV, err = r.Bytes()
		bit = HasPartialIV
	case labelKIDContext:
		h.KIDContext, err = r.Bytes()
		bit = HasKIDContext
	case labelClaims:
		err = h.Claims.parse(r)
		bit = HasClaims
	case labelEphemeral:
		err = h.Ephemeral.parse(r)
		bit = HasEphemeral
	case labelKind:
		h.Kind, err = r.Int()
		bit = HasKind
	default:
		name, known := refusedLabels[label]
		if !known {
			name = "unknown"
		}
		err = fmt.Errorf("%w: header parameter %d (%s): %w", ErrMalformed, label, name, ErrUnsupported)
	}
	return bit, err
}

// append writes the bucket in deterministic order.
func (h *Header) append(dst []byte) []byte {
	n := 0
	for l := h.Labels; l != 0; l &= l - 1 {
		n++
	}
	dst = cbor.AppendMap(dst, n)
	if h.Has(HasAlg) {
		dst = cbor.AppendInt(cbor.AppendInt(dst, labelAlg), int64(h.Alg))
	}
	if h.Has(HasContentType) {
		dst = cbor.AppendUint(cbor.AppendInt(dst, labelContentType), uint64(h.ContentType))
	}
	if h.Has(HasKID) {
		dst = cbor.AppendBytes(cbor.AppendInt(dst, labelKID), h.KID)
	}
	if h.Has(HasIV) {
		dst = cbor.AppendBytes(cbor.AppendInt(dst, labelIV), h.IV)
	}
	if h.Has(HasPartialIV) {
		dst = cbor.AppendBytes(cbor.AppendInt(dst, labelPartialIV), h.PartialIV)
	}
	if h.Has(HasKIDContext) {
		dst = cbor.AppendBytes(cbor.AppendInt(dst, labelKIDContext), h.KIDContext)
	}
	if h.Has(HasClaims) {
		dst = h.Claims.append(cbor.AppendInt(dst, labelClaims))
	}
	if h.Has(HasEphemeral) {
		dst = h.Ephemeral.append(cbor.AppendInt(dst, labelEphemeral))
	}
	if h.Has(HasKind) {
		dst = cbor.AppendInt(cbor.AppendInt(dst, labelKind), h.Kind)
	}
	return dst
}

// Headers are the two buckets of a message or a recipient, RFC 9052 §3:
//
//	Headers = ( protected : empty_or_serialized_map, unprotected : header_map )
//	empty_or_serialized_map = bstr .cbor header_map / bstr .size 0
type Headers struct {
	Protected   Header
	Unprotected Header
	// raw is the content of the protected byte string as received: it is what
	// was authenticated, whatever its order.
	raw []byte
}

// RawProtected returns the protected bytes as they enter the structures to be
// authenticated: as received, an empty map as the empty string.
func (h *Headers) RawProtected() []byte { return h.raw }

func (h *Headers) parse(r *cbor.Reader) error {
	raw, err := r.Bytes()
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		h.Protected = Header{}
	} else {
		inner := cbor.NewReader(raw)
		if err := h.Protected.parse(&inner); err != nil {
			return fmt.Errorf("protected header: %w", err)
		}
		if err := inner.Done(); err != nil {
			return fmt.Errorf("protected header: %w", err)
		}
	}
	// RFC 9052 §5.3, §6.3, §4.4: an encoded empty map is authenticated as a
	// zero-length string.
	if h.Protected.Labels == 0 {
		raw = nil
	}
	h.raw = raw
	if err := h.Unprotected.parse(r); err != nil {
		return fmt.Errorf("unprotected header: %w", err)
	}
	if h.Protected.Labels&h.Unprotected.Labels != 0 {
		return malformed("header parameter in both buckets")
	}
	return nil
}

// Alg returns the algorithm from the bucket that carries it.
func (h *Headers) Alg() (Algorithm, error) {
	switch {
	case h.Protected.Has(HasAlg):
		return h.Protected.Alg, nil
	case h.Unprotected.Has(HasAlg):
		return h.Unprotected.Alg, nil
	}
	return 0, malformed("no algorithm")
}

// freeze encodes the protected bucket once, into buf, before sealing.
func (h *Headers) freeze(buf []byte) []byte {
	if h.Protected.Labels == 0 {
		h.raw = nil
		return buf
	}
	start := len(buf)
	buf = h.Protected.append(buf)
	h.raw = buf[start:len(buf):len(buf)]
	return buf
}

// encode writes both buckets into s and returns how much of a message they and the heads of its other parts take: exactly,
// but for the shorter forms of the heads, so that what is allocated for a message is what is kept.
func (h *Headers) encode(s *scratch) int {
	s.protected = h.freeze(s.protected)
	s.unprotected = h.Unprotected.append(s.unprotected)
	const heads = 2 + 1 + 3 + 5 + 2 // tag, array, protected bucket, content, tag or signature
	return heads + len(s.protected) + len(s.unprotected)
}

// append writes both buckets; freeze or parse must have set raw.
func (h *Headers) append(dst []byte) []byte {
	return h.Unprotected.append(cbor.AppendBytes(dst, h.raw))
}
