package cose

import "github.com/sealmq/sealmq/internal/cbor"

// maxTime is the largest time claim: 2^53-1, exact in every language.
const maxTime = 1<<53 - 1

// Claims are the CWT claims allowed in header parameter 15 (RFC 9597):
//
//	claims = { ? 4: time, ? 6: time, ? 7: cti }   ; exp, iat, cti; never empty
//	time   = uint .lt 9007199254740992            ; seconds since 1970, no tag
type Claims struct {
	HasExp, HasIAT bool
	Exp, IAT       uint64 // seconds since 1970-01-01T00:00Z
	CTI            []byte // nil if absent
}

// IsZero reports whether no claim is set.
func (c *Claims) IsZero() bool { return !c.HasExp && !c.HasIAT && c.CTI == nil }

const (
	claimExp = 4
	claimIAT = 6
	claimCTI = 7
)

func (c *Claims) parse(r *cbor.Reader) error {
	*c = Claims{}
	pairs, err := r.Map()
	if err != nil {
		return err
	}
	if pairs == 0 {
		return malformed("empty claims")
	}
	for range pairs {
		key, err := r.Int()
		if err != nil {
			return err
		}
		switch {
		case key == claimExp && !c.HasExp:
			c.Exp, err = readTime(r)
			c.HasExp = true
		case key == claimIAT && !c.HasIAT:
			c.IAT, err = readTime(r)
			c.HasIAT = true
		case key == claimCTI && c.CTI == nil:
			c.CTI, err = r.Bytes()
		default:
			err = malformed("claim unknown or twice")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readTime(r *cbor.Reader) (uint64, error) {
	t, err := r.Uint()
	if err == nil && t > maxTime {
		err = malformed("time above 2^53-1")
	}
	return t, err
}

func (c *Claims) append(dst []byte) []byte {
	n := 0
	for _, has := range [...]bool{c.HasExp, c.HasIAT, c.CTI != nil} {
		if has {
			n++
		}
	}
	dst = cbor.AppendMap(dst, n)
	if c.HasExp {
		dst = cbor.AppendUint(cbor.AppendInt(dst, claimExp), c.Exp)
	}
	if c.HasIAT {
		dst = cbor.AppendUint(cbor.AppendInt(dst, claimIAT), c.IAT)
	}
	if c.CTI != nil {
		dst = cbor.AppendBytes(cbor.AppendInt(dst, claimCTI), c.CTI)
	}
	return dst
}
