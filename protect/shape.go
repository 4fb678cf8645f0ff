package protect

import (
	"bytes"
	"encoding/binary"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

// envelope is a message whose shape has been checked: one outermost layer.
//
//	message  = enc0 / encm / mac0 / sign1
//	enc0     = #6.16([ bstr .cbor p-enc0, { iv-R // iv-S }, bstr ])
//	encm     = #6.96([ bstr .cbor p-encm, { 5: bstr .size 12 }, bstr, [1*16 recipient] ])
//	mac0     = #6.17([ bstr .cbor p-mac, { ? 10: sid }, bstr, bstr .size 32 ])
//	sign1    = #6.18([ bstr .cbor p-sign, {}, bstr, bstr .size 64 ])
//	iv-R     = ( 5: bstr .size 12, ? 10: sid )
//	iv-S     = ( 6: piv, 10: kid-context )
type envelope struct {
	tag     uint64
	headers *cose.Headers // of the layer in use
	enc0    cose.Encrypt0
	enc     cose.Encrypt
	mac     cose.Mac0
	sign    cose.Sign1
}

const (
	optional     = cose.HasContentType | cose.HasKind
	macTagSize   = 32
	sigSize      = 64
	minKIDPublic = keyring.MinPublicKID
)

// parse reads a message that fills b, after one optional tag 55799. Everything
// it refuses is not a message of the profile, whatever key it names.
func (e *envelope) parse(b []byte) *Refusal {
	b = cose.TrimSelfDescribed(b)
	e.tag = cose.TagOf(b)
	var err error
	switch e.tag {
	case cose.TagEncrypt0:
		err = e.enc0.Parse(b)
		e.headers = &e.enc0.Headers
	case cose.TagEncrypt:
		err = e.enc.Parse(b)
		e.headers = &e.enc.Headers
	case cose.TagMac0:
		err = e.mac.Parse(b)
		e.headers = &e.mac.Headers
	case cose.TagSign1:
		err = e.sign.Parse(b)
		e.headers = &e.sign.Headers
	default:
		return refuse(ReasonMalformed, "no tag of the profile")
	}
	if err != nil {
		return refuse(ReasonMalformed, "%v", err)
	}
	return e.checkShape()
}

func (e *envelope) checkShape() *Refusal {
	p, u := &e.headers.Protected, &e.headers.Unprotected
	if p.Has(cose.HasKind) && p.Kind != int64(KindWill) {
		return refuse(ReasonMalformed, "kind label %d", p.Kind)
	}
	if p.Has(cose.HasKID) && (len(p.KID) < 1 || len(p.KID) > keyring.MaxKID) {
		return refuse(ReasonMalformed, "kid of %d bytes", len(p.KID))
	}
	if r := checkCTI(&p.Claims); r != nil {
		return r
	}
	switch e.tag {
	case cose.TagEncrypt0:
		return checkEncrypt0(p, u)
	case cose.TagEncrypt:
		return e.checkEncrypt(p, u)
	case cose.TagMac0:
		return e.checkMac0(p, u)
	}
	return checkSignature(&e.sign, optional)
}

// checkLabels accepts exactly the labels must plus any of may.
func checkLabels(h *cose.Header, must, may cose.Labels) *Refusal {
	if !h.Has(must) || h.Labels&^(must|may) != 0 {
		return refuse(ReasonMalformed, "header parameters are not those of the structure")
	}
	return nil
}

// checkCTI checks the size and the range of a cti:
//
//	cti = bstr .size 8 / bstr .size 16   ; boot (4) || seq (4), both at least 1; random
func checkCTI(c *cose.Claims) *Refusal {
	switch {
	case c.CTI == nil || len(c.CTI) == unorderedCTI:
		return nil
	case len(c.CTI) != orderedCTI:
		return refuse(ReasonMalformed, "cti of %d bytes", len(c.CTI))
	case binary.BigEndian.Uint32(c.CTI) == 0 || binary.BigEndian.Uint32(c.CTI[4:]) == 0:
		return refuse(ReasonMalformed, "cti with boot or sequence 0")
	}
	return nil
}

// p-enc0 = { 1: 1 / 3, 4: kid, ? 3: uint .le 65535, ? 15: claims, ? -65537: 2 }
func checkEncrypt0(p, u *cose.Header) *Refusal {
	if r := checkLabels(p, cose.HasAlg|cose.HasKID, optional|cose.HasClaims); r != nil {
		return r
	}
	if !p.Alg.IsAEAD() {
		return refuse(ReasonMalformed, "%v as content encryption", p.Alg)
	}
	if !u.Has(cose.HasPartialIV) { // mode R
		if r := checkLabels(u, cose.HasIV, cose.HasKIDContext); r != nil {
			return r
		}
		if len(u.IV) != nonceSize {
			return refuse(ReasonMalformed, "IV of %d bytes", len(u.IV))
		}
		return checkWireSender(u)
	}
	if r := checkLabels(u, cose.HasPartialIV|cose.HasKIDContext, 0); r != nil {
		return r
	}
	switch {
	case len(u.PartialIV) < 1 || len(u.PartialIV) > maxPartialIV || u.PartialIV[0] == 0:
		return refuse(ReasonMalformed, "Partial IV %x", u.PartialIV)
	case len(u.KIDContext) < sessionSize || len(u.KIDContext) > maxKIDContext:
		return refuse(ReasonMalformed, "kid context of %d bytes", len(u.KIDContext))
	}
	return nil
}

// checkWireSender checks label 10 outside mode S: sid = bstr .size (1..64).
func checkWireSender(u *cose.Header) *Refusal {
	if u.Has(cose.HasKIDContext) && (len(u.KIDContext) < 1 || len(u.KIDContext) > maxWireSender) {
		return refuse(ReasonMalformed, "sender id of %d bytes", len(u.KIDContext))
	}
	return nil
}

// p-encm    = { 1: 1 / 3, ? 3: uint .le 65535, 15: claims, ? -65537: 2 }
// recipient = [ bstr .cbor { 1: -29 / -31 }, { -1: eph-key, 4: bstr .size (8..32) }, bstr ]
func (e *envelope) checkEncrypt(p, u *cose.Header) *Refusal {
	if r := checkLabels(p, cose.HasAlg|cose.HasClaims, optional); r != nil {
		return r
	}
	if r := checkLabels(u, cose.HasIV, 0); r != nil {
		return r
	}
	if len(u.IV) != nonceSize {
		return refuse(ReasonMalformed, "IV of %d bytes", len(u.IV))
	}
	return checkRecipients(&e.enc)
}

// checkRecipients checks the recipients' headers. The key agreement must be the
// one that belongs to the content algorithm. With two or more recipients every
// kid is a full thumbprint, all different, because aud is made of them.
func checkRecipients(m *cose.Encrypt) *Refusal {
	agreement, ok := agreementOf(m.Protected.Alg)
	if !ok {
		return refuse(ReasonMalformed, "%v as content encryption", m.Protected.Alg)
	}
	for i := range m.Recipients {
		c := &m.Recipients[i]
		if r := checkLabels(&c.Protected, cose.HasAlg, 0); r != nil {
			return r
		}
		if r := checkLabels(&c.Unprotected, cose.HasKID|cose.HasEphemeral, 0); r != nil {
			return r
		}
		kid := c.Unprotected.KID
		if c.Protected.Alg != agreement || len(kid) < minKIDPublic || len(kid) > keyring.MaxKID {
			return refuse(ReasonMalformed, "recipient %d: %v, kid of %d bytes", i, c.Protected.Alg, len(kid))
		}
		if len(m.Recipients) == 1 {
			continue
		}
		if len(kid) != thumbprintSize {
			return refuse(ReasonMalformed, "recipient %d of several is not named by its thumbprint", i)
		}
		for j := range i {
			if bytes.Equal(kid, m.Recipients[j].Unprotected.KID) {
				return refuse(ReasonMalformed, "recipient %d twice", i)
			}
		}
	}
	return nil
}

// agreementOf pairs content encryption and key agreement: -29 only with
// A128GCM, -31 only with A256GCM.
func agreementOf(content cose.Algorithm) (cose.Algorithm, bool) {
	switch content {
	case cose.AlgA128GCM:
		return cose.AlgECDHESA128KW, true
	case cose.AlgA256GCM:
		return cose.AlgECDHESA256KW, true
	}
	return 0, false
}

// p-mac = { 1: 5, 4: kid, ? 3: uint .le 65535, 15: claims, ? -65537: 2 }
func (e *envelope) checkMac0(p, u *cose.Header) *Refusal {
	if r := checkLabels(p, cose.HasAlg|cose.HasKID|cose.HasClaims, optional); r != nil {
		return r
	}
	if r := checkLabels(u, 0, cose.HasKIDContext); r != nil {
		return r
	}
	if p.Alg != cose.AlgHMAC256 || len(e.mac.Tag) != macTagSize {
		return refuse(ReasonMalformed, "COSE_Mac0 with %v and a tag of %d bytes", p.Alg, len(e.mac.Tag))
	}
	return checkWireSender(u)
}

// checkInner checks a Sign1 inside an encryption: no kind label and no cti, as
// the outermost layer has them.
func checkInner(m *cose.Sign1) *Refusal {
	if r := checkSignature(m, cose.HasContentType); r != nil {
		return r
	}
	if m.Protected.Claims.CTI != nil {
		return refuse(ReasonMalformed, "cti inside and outside")
	}
	return nil
}

// p-sign = { 1: -7 / -8, 4: kid, ? 3: uint .le 65535, ? 15: claims, ? -65537: 2 }
func checkSignature(m *cose.Sign1, may cose.Labels) *Refusal {
	p := &m.Protected
	if r := checkLabels(p, cose.HasAlg|cose.HasKID, may|cose.HasClaims); r != nil {
		return r
	}
	if r := checkLabels(&m.Unprotected, 0, 0); r != nil {
		return r
	}
	if !p.Alg.IsSignature() || len(p.KID) < minKIDPublic || len(p.KID) > keyring.MaxKID || len(m.Signature) != sigSize {
		return refuse(ReasonMalformed, "COSE_Sign1 with %v, kid of %d and signature of %d bytes", p.Alg, len(p.KID), len(m.Signature))
	}
	return nil
}

// nested reports whether the plaintext is a Sign1: without the marker it is
// never parsed.
func (e *envelope) nested() bool {
	p := &e.headers.Protected
	return (e.tag == cose.TagEncrypt0 || e.tag == cose.TagEncrypt) &&
		p.Has(cose.HasContentType) && p.ContentType == nestedContentType
}
